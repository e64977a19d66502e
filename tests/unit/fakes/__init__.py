"""A caller, agents, stores and a gateway, played by hand, on a clock that moves only when everybody waits.

    world = World()
    line = world.call(answers={Prompt.ASK_PIN: ["9999#", "4711#"], Prompt.ASK_CODE: [world.texts.code]})
    assert line.variables["CALLER_AUTH_STATUS"] == "verified"

Every operation of every fake passes through `World.plot`, where it can fail, or be the moment of a hang-up.
"""

from __future__ import annotations

from tests.unit.fakes.agents import BUSY, NOBODY, Agent
from tests.unit.fakes.customers import FakeCustomers, FakePins, FakeTotps, index
from tests.unit.fakes.dispatch import FakeDispatch
from tests.unit.fakes.eids import FakeEid, FakeIdentities, FakeTurns
from tests.unit.fakes.line import Answers, FakeLine, Keys
from tests.unit.fakes.live import FakeCodes, FakeLive
from tests.unit.fakes.plot import Plot
from tests.unit.fakes.proofs import FakeProofs
from tests.unit.fakes.texts import FakeTexts
from tests.unit.fakes.time import VirtualLoop, clock
from tests.unit.fakes.trail import FakeTrail
from tests.unit.fakes.world import ANNA, ANNA_PHONE, ANNA_PIN, EPOCH, UNKNOWN, World, settings

__all__ = [
    "ANNA",
    "ANNA_PHONE",
    "ANNA_PIN",
    "BUSY",
    "EPOCH",
    "NOBODY",
    "UNKNOWN",
    "Agent",
    "Answers",
    "FakeCodes",
    "FakeCustomers",
    "FakeDispatch",
    "FakeEid",
    "FakeIdentities",
    "FakeLine",
    "FakeLive",
    "FakePins",
    "FakeProofs",
    "FakeTexts",
    "FakeTotps",
    "FakeTrail",
    "FakeTurns",
    "Keys",
    "Plot",
    "VirtualLoop",
    "World",
    "clock",
    "index",
    "settings",
]
