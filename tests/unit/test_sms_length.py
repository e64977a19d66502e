"""How many messages a text is, and how it is cut: nothing is lost, and nothing cut in two."""

from __future__ import annotations

import pytest
from aiosmpplib.codec import GSM7BitCodec
from hypothesis import given
from hypothesis import strategies as st

from ivr.prompts import languages, text
from ivr.secret import Secret
from ivr.sms.length import Carried, carried, parts

GSM = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0129:;<=>?¡ABCÄÖÑÜ§¿abcäöñüà"
EXTENDED = "^{}\\[~]|€\f"


@pytest.mark.parametrize(
    ("words", "ucs2", "count"),
    [
        ("", False, 1),
        ("a" * 160, False, 1),
        ("a" * 161, False, 2),
        ("a" * 306, False, 2),
        ("a" * 307, False, 3),
        ("€" * 80, False, 1),
        ("€" * 81, False, 2),
        # 153 letters a part: an escape at its end goes into the next one
        ("a" * 152 + "€" + "a" * 152, False, 3),
        ("ł" * 70, True, 1),
        ("ł" * 71, True, 2),
        ("ł" * 134, True, 2),
        ("ł" * 135, True, 3),
        ("😀" * 35, True, 1),
        ("😀" * 36, True, 2),
        ("ł" * 66 + "😀" * 34, True, 3),
        ("Ł" + "a" * 69, True, 1),
        (GSM + EXTENDED, False, 1),
        ("ç", True, 1),
        ("'’", True, 1),
    ],
)
def test_the_networks_count(words: str, ucs2: bool, count: int) -> None:
    found = carried(Secret(words))
    assert (found.ucs2, len(found.parts), parts(Secret(words))) == (ucs2, count, count)


def joined(found: Carried) -> str:
    return "".join(part.decode("utf-16-be") if found.ucs2 else GSM7BitCodec().decode(part)[0] for part in found.parts)


@given(st.text(st.sampled_from(GSM + EXTENDED), max_size=700) | st.text(max_size=300))
def test_each_part_can_be_read_alone_and_together_they_are_the_text(words: str) -> None:
    """Decoded part by part: a letter that was cut in two would not come out."""
    found = carried(Secret(words))
    expected = words if not found.ucs2 else words.encode("utf-16-be", errors="replace").decode("utf-16-be")
    assert joined(found) == expected
    most = 140 if found.ucs2 else 160
    assert all(len(part) <= (most if len(found.parts) == 1 else most * 134 // 140) for part in found.parts)


def test_it_cannot_be_shown() -> None:
    assert "135790" not in repr(carried(Secret("135790"))) + repr([carried(Secret("135790"))])


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("name", ["sms_code", "sms_code_outbound"])
def test_a_text_with_a_code_is_one_message(language: str, name: str) -> None:
    """With a company's name of twenty letters."""
    words = text(name, language, company="Example Telecom Ltd.").replace("{code}", "135790")
    assert parts(Secret(words)) == 1
