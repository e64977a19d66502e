"""What the public page says, in each language: nothing is missing, nothing is left over."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ivr import page
from ivr.page.back_sheets import TOLD as TOLD_BACK
from ivr.page.person_sheets import TOLD
from ivr.page.words import chosen, languages, words
from ivr.prompts import languages as spoken

HERE = Path(page.__file__).parent


def test_the_languages_are_those_of_the_callers() -> None:
    assert languages() == spoken()


@pytest.mark.parametrize("language", ["de", "pl", "sv"])
def test_a_language_says_all_that_english_says(language: str) -> None:
    english, other = words("en").texts, words(language).texts
    assert set(other) == set(english)
    for name, text in other.items():
        assert sorted(re.findall(r"{\w+}", text)) == sorted(re.findall(r"{\w+}", english[name])), name
        assert text.strip() == text and text, name
        assert name == "who.title" or text != english[name], name


def test_every_sentence_is_used_and_every_one_that_is_used_is_there() -> None:
    code = "".join(file.read_text() for file in (*HERE.glob("*.py"), *HERE.glob("templates/*.html")))
    used = set(re.findall(r"words\(\s*['\"]([a-z_]+\.[a-z_]+)['\"]", code))
    used |= {f"{what}.title" for what in ("confirmed", "was", "denied", "wrong", "expired", "gone", "problem")}
    used |= {f"who.{which}bound{hidden}" for which in ("in", "out") for hidden in ("", "_hidden", "_check")}
    used |= {"caller.call_hidden", "heard.title", "not_me.title", "checked.title"}
    used |= {f"{way}.{what}" for way in ("caller", "called") for what in ("title", "call", "digits", "check", "deny")}
    used |= {f"problem.{why}" for why in ("unavailable", "too_many_requests", "codes", "other", "other_code")}
    used |= {f"person_{what}.title" for what in ("back", "denied", "elsewhere", "moment", "over")}
    used |= {f"person.{which}" for which in ("here", "elsewhere", "site")}
    used |= {f"person_refused.{why}" for why in TOLD}
    used |= {"back_asked.title"} | {f"back_refused.{why}" for why in (*TOLD_BACK, "failed")}
    assert set(words("en").texts) == used


def test_the_messages_own_language_comes_first() -> None:
    assert chosen("sv", "de", "pl").language == "sv"
    assert chosen("ja", "de", "pl").language == "de"
    assert chosen(None, "ja", "pl").language == "pl"
    assert chosen(None, "", None).language == "en"
