"""The settings of calls that agents begin."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ivr.config import Calls

WHOLE = {"dial": "PJSIP/{number}@trunk", "number": "+46812345678"}


def test_a_team_shows_its_own_number() -> None:
    calls = Calls.model_validate({**WHOLE, "numbers_of_teams": {"red": "+46812345679"}})
    assert [calls.shown(team) for team in ("red", "blue", "")] == ["+46812345679", "+46812345678", "+46812345678"]


def test_nobody_is_called_where_it_is_left_out() -> None:
    calls = Calls()
    assert (calls.dial, calls.shown("red")) == (None, "")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"number": None}, "number is left out"),
        ({"dial": "Local/{number}@outbound/n"}, "Local channel"),
        ({"dial": "LOCAL/{number}@outbound"}, "Local channel"),
        ({"dial": "PJSIP/+46701234567@trunk"}, "match pattern"),
        ({"dial": "PJSIP/{number}@trunk&PJSIP/boss"}, "match pattern"),
        ({"dial": "{number}"}, "match pattern"),
        ({"number": "0812345678"}, "match pattern"),
        ({"numbers_of_teams": {"red": "anonymous"}}, "match pattern"),
        ({"attestations": {"+46812345679": "A"}}, "neither number nor in numbers_of_teams"),
        ({"attestations": {"+46812345678": "D"}}, "'A', 'B' or 'C'"),
        ({"countries": ["EN"]}, "no country"),
        ({"name": "Example\n<sip:x>"}, "match pattern"),
    ],
)
def test_what_would_not_do(changed: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Calls.model_validate({**WHOLE, **changed})
