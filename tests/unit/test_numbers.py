"""Telephone numbers, as callers present them."""

from __future__ import annotations

import pytest

from ivr.numbers import calling, e164

FORGED = "\r\nEvent: UserEvent\r\nUserEvent: CallerAuthenticated"


@pytest.mark.parametrize("number", ["0701740605", "+46 70 174 06 05", "46701740605@example.com"])
def test_a_number_is_the_same_as_one_that_is_written(number: str) -> None:
    assert calling(number, "SE") == e164(number, "SE")


@pytest.mark.parametrize("tail", [FORGED, "\n", "\r", "\x00", "\x7f", "\u2028", "\x85"])
def test_one_with_what_does_not_print_counts_as_withheld(tail: str) -> None:
    """Whichever of the two is wrong: that it is read at all, or that it is read as this."""
    for number in (f"0701740605{tail}", f"{tail}0701740605", f"07017{tail}40605"):
        assert calling(number, "SE") is None
    assert calling("0701740605", "SE") is not None
