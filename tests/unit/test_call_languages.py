"""Which language is spoken, of those that customer, channel and company name."""

from __future__ import annotations

import pytest

from ivr.call.languages import Languages, matching

SPOKEN = frozenset({"de", "en", "sv"})


@pytest.mark.parametrize(
    ("customers", "channels", "default", "own", "expected"),
    [
        ("sv", "de", "en", "en", "sv"),
        (None, "de", "en", "sv", "de"),
        ("fi", "de", "en", "sv", "de"),
        ("fi", "fr", "en", "sv", "sv"),
        # nobody chose what Asterisk gives to every channel
        (None, "en", "en", "sv", "sv"),
        (None, "en", "de", "sv", "en"),
        ("en", "en", "en", "sv", "en"),
        (None, "de_AT", "de_AT", "sv", "sv"),
        (None, "", "en", "sv", "sv"),
        # a region that has no prompts of its own is spoken to as its language
        (None, "de_AT", "en", "sv", "de"),
        (None, "en_GB", "en", "sv", "en"),
        ("sv-SE", "de", "en", "en", "sv"),
        (None, "fr_CA", "en", "sv", "sv"),
    ],
)
def test_the_first_that_somebody_chose_and_that_has_prompts(
    customers: str | None, channels: str, default: str, own: str, expected: str
) -> None:
    assert Languages(SPOKEN, default, own).of(customers, channels) == expected


@pytest.mark.parametrize(
    ("language", "known", "expected"),
    [
        ("de_AT", {"de", "de_AT"}, "de_AT"),
        ("de_AT", {"de", "en"}, "de"),
        ("EN-gb", {"en"}, "en"),
        ("den", {"de"}, None),
        ("", {"de"}, None),
        ("_AT", {"de"}, None),
        ("fr", {"fr_CA"}, None),
    ],
)
def test_a_regional_language_is_its_language_where_it_is_not_there_itself(
    language: str, known: set[str], expected: str | None
) -> None:
    assert matching(language, known) == expected
