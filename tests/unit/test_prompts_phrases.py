"""The two words of a proof: enough of them, each told from the others by ear, and none that anybody minds saying."""

from __future__ import annotations

from itertools import pairwise

import pytest

from ivr.prompts import languages
from ivr.prompts.phrases import phrase, words

# What a word may not have in it, in any of the four languages: said to a customer, it would be remembered.
_RUDE = (
    "arsch", "fick", "fotze", "hure", "kack", "nazi", "piss", "scheiß", "fitta", "hora", "knull", "kuk", "skit", "cunt",
    "fuck", "shit", "slut", "whore", "chuj", "cipa", "dupa", "gówno", "jeb", "kurw", "pierd", "sraj", "hitler",
)  # fmt: skip


@pytest.mark.parametrize("language", languages())
def test_there_are_256_of_each_and_no_two_are_the_same(language: str) -> None:
    first, second = words(language)
    assert (len(first), len(second)) == (256, 256)
    together = [word.casefold() for word in (*first, *second)]
    assert len(set(together)) == 512
    for some in (first, second):
        assert not [pair for pair in pairwise(some) if pair[0].casefold() >= pair[1].casefold()], "in their order"


@pytest.mark.parametrize("language", languages())
def test_each_is_short_and_fit_to_be_said(language: str) -> None:
    for word in (*words(language)[0], *words(language)[1]):
        assert 3 <= len(word) <= 10 and word.isalpha(), word
        assert not [rude for rude in _RUDE if rude in word.casefold()], word


def test_a_phrase_is_made_of_both_and_seldom_the_same() -> None:
    first, second = words("sv")
    made = [phrase("sv") for _ in range(200)]
    for one in made:
        adjective, noun = one.split(" ")
        assert adjective in first and noun in second
    assert len(set(made)) > 190
    assert phrase("fi").split(" ")[0] in words("en")[0]
