"""What callers key, and what is left of a call that verified somebody, or nobody."""

from __future__ import annotations

from ivr.call.mark import EXPIRES, LEVEL, METHODS, STATUS, SUBJECT
from ivr.prompts import Prompt
from ivr.secret import Personal
from tests.unit.fakes import ANNA, ANNA_PIN, Answers, FakeLine, World

RIGHT_PIN = f"{ANNA_PIN}#"
WRONG_PIN = "9999#"
UNVERIFIED = {LEVEL: "0", METHODS: "", SUBJECT: "", EXPIRES: ""}
# policies that customers have of their own
OWN = {
    "turned": {"steps": ["sms_code", "pin"], "level": 2, "tries": 1, "code_minutes": 1},
    "generous": {"steps": ["pin", "sms_code"], "level": 2, "tries": 5, "code_minutes": 10},
    "more": {"steps": ["pin", "sms_code"], "level": 2, "tries": 1, "code_minutes": 1},
}


def right(world: World) -> Answers:
    return {Prompt.ASK_CUSTOMER_NUMBER: [f"{ANNA}#"], Prompt.ASK_PIN: [RIGHT_PIN], Prompt.ASK_CODE: [world.texts.code]}


def assert_verified(world: World, line: FakeLine) -> None:
    assert line.variables[STATUS] == "verified"
    assert line.said[-1] is Prompt.VERIFIED
    assert line.handed_back
    assert [name for name, _ in line.events] == ["CallerAuthenticated"]
    assert world.outcomes == ["verified"]


def assert_unverified(world: World, line: FakeLine, status: str, *sentence: Prompt) -> None:
    assert line.variables == {STATUS: status, **UNVERIFIED}
    assert line.said[-len(sentence) :] == list(sentence)
    assert line.handed_back
    assert world.outcomes[-1] == status
    assert "live.place_mark" not in world.plot.names and world.live.marks == {}
    assert "CallerAuthenticated" not in [name for name, _ in line.events]
    assert line.display in (None, Personal(""))
