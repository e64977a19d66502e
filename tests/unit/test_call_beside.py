"""Somebody shows who they are while the conversation goes on: what is decided, in which order, and what a part that fails leaves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from ivr.call.beside import Beside, Conversation, Placed
from ivr.call.mark import Mark
from ivr.call.outcome import Factor, Failed, Locked, Outcome, Passed, Reason, Refused, Scope, Status, Verified
from ivr.call.policy import Policy
from ivr.call.ports import Attempt, Entry, Granted, Subject
from ivr.call.steps import all_steps
from ivr.call.undoing import Owed, Undoing
from ivr.errors import StoreError
from ivr.secret import Personal
from tests.contract.ari_log import Log

PASSED = Passed("bankid", Factor.EID)
LOCK = Locked(Scope.CUSTOMER, 60)
OTHERS = Mark("node", "c.1", "ref-2", 1, ("pin",), "usual", 2_000_000_000, "n")


def policy(name: str, *steps: str, level: int = 3, tenant: str = "main") -> Policy:
    kinds = tuple(all_steps()[step] for step in steps)
    return Policy(name, tenant, kinds, level, None, None, 1800, None, "continue", (), "in_turn", 30)


STRICT = policy("strict", "bankid")
POLICIES = {
    "strict": STRICT, "app": policy("app", "totp", level=1), "more": policy("more", "bankid", "pin"),
    "theirs": policy("theirs", "bankid", tenant="other"), "short": replace(STRICT, name="short", mark_seconds=60),
}  # fmt: skip
SUBJECT = Subject("main:key", True, "ref-1")
TALK = Conversation("node", "c.1", Personal("+46701112233"), SUBJECT, STRICT, "round", "proof")


@dataclass
class House:
    """All that is asked, each noted in its order; `down` names what fails."""

    done: list[str] = field(default_factory=list)
    rows: list[Entry] = field(default_factory=list)
    down: str = ""
    stands: str | None = None
    before: Mark | None = None
    placed: list[Mark] = field(default_factory=list)
    free: bool = True
    lock: Locked | None = None
    bar: bool = False
    force: bool = True
    locks_behind_row: bool = False
    here: list[bool] = field(default_factory=list)
    """What is said of it, one look after another; behind that, that they are in the conversation yet."""
    half: bool = False
    """Whether what places a mark fails behind it."""
    faults: int = 1_000
    """How often what is `down` fails."""

    def _do(self, what: str) -> None:
        self.done.append(what)
        if self.down == what and self.faults:
            self.faults -= 1
            raise StoreError(f"{what} is away")

    async def standing(self, attempt: Attempt) -> Locked | None:
        assert attempt == Attempt("main:key", "index", "node:c.1")
        return self.lock

    async def attempt(self, attempt: Attempt) -> Granted | Locked:
        return self.lock or Granted()

    async def give_back(self, attempt: Attempt) -> None:
        self._do("give_back")

    async def barred(self, subject: str) -> bool:
        return self.bar

    async def mark(self, node: str, channel: str) -> Mark | None:
        return self.before

    async def place_beside(self, mark: Mark, attempt: Attempt) -> bool:
        self._do("place")
        if self.free:
            self.placed.append(mark)
        if self.half:
            self.half = False
            raise StoreError("0 of 1 replicas have what was written")
        return self.free

    async def take_away(self, mark: Mark) -> bool:
        self._do("take_away")
        stood = mark in self.placed
        self.placed = [one for one in self.placed if one != mark]
        return stood

    async def append(self, entry: Entry) -> str:
        self._do("void" if entry.action == "mark.void" else "row")
        self.rows.append(entry)
        return self.stands or entry.outcome

    async def in_force(self, subject: Subject) -> bool:
        return self.force and not (self.locks_behind_row and self.rows)

    def phone_key(self, number: Personal) -> str:
        return "index"

    async def still(self) -> bool:
        self._do("still")
        return self.here.pop(0) if self.here else True

    @property
    def beside(self) -> Beside:
        house: Any = self
        return Beside(POLICIES, house, house, house, lambda: 1_900_000_000.0, Log().logger, every=0.0)

    async def settle(self, outcome: Outcome = PASSED, talk: Conversation = TALK) -> Placed | Refused | Verified:
        return await self.beside.settle(talk, outcome, self.still)

    @property
    def outcomes(self) -> list[str]:
        return [f"{row.action}:{row.outcome}" for row in self.rows]


async def test_the_row_is_there_before_the_mark_and_a_look_before_each() -> None:
    house = House()
    placed = await house.settle()
    assert isinstance(placed, Placed) and house.placed == [placed.mark]
    mark = placed.mark
    assert (mark.subject, mark.level, mark.methods, mark.policy) == ("ref-1", 3, ("bankid",), "strict")
    assert house.done == ["give_back", "still", "row", "still", "place"]
    (row,) = house.rows
    assert (row.actor, row.action, row.outcome, row.once) == ("caller", "verify", "verified", "round")
    assert row.detail["round"] == "on_page" and row.detail["steps"] == "bankid:passed"


@pytest.mark.parametrize(
    ("change", "outcome", "status"),
    [
        ({"here": [False]}, PASSED, Status.ABANDONED),
        ({"force": False}, PASSED, Status.LOCKED),
        ({"before": OTHERS}, PASSED, Status.REFUSED),
        ({}, Failed("bankid", Reason.WRONG), Status.REFUSED),
        ({}, LOCK, Status.LOCKED),
        ({}, Locked(Scope.CUSTOMER, None), Status.LOCKED),
    ],
)
async def test_nobody_is_marked_and_the_trail_says_so(change: dict[str, Any], outcome: Outcome, status: Status) -> None:
    house = House(**change)
    verdict = await house.settle(outcome)
    assert isinstance(verdict, Refused) and verdict.status is status
    assert house.outcomes == [f"verify:{status.value}"] and house.placed == []


@pytest.mark.parametrize("part", ["give_back", "still", "row", "place"])
async def test_a_part_that_is_away_marks_nobody(part: str) -> None:
    house = House(down=part)
    verdict = await house.settle()
    assert isinstance(verdict, Refused) and verdict.status is Status.UNAVAILABLE
    assert house.placed == []
    assert house.outcomes == (["verify:verified", "mark.void:unavailable"] if part == "place" else [])


async def until(true: Any) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0)


async def test_a_mark_of_which_redis_did_not_answer_is_taken_away_before_the_trail_is_told() -> None:
    house = House(half=True)
    assert await house.settle() == Refused("strict", Status.UNAVAILABLE)
    assert house.done[-3:] == ["place", "take_away", "void"]
    assert house.placed == [] and house.outcomes == ["verify:verified", "mark.void:unavailable"]


@pytest.mark.parametrize("part", ["take_away", "void"])
async def test_what_cannot_be_undone_now_is_undone_by_the_way(part: str) -> None:
    house = House(half=True, down=part, faults=3)
    beside = house.beside
    assert await beside.settle(TALK, PASSED, house.still) == Refused("strict", Status.UNAVAILABLE)
    assert house.outcomes == ["verify:verified"]
    await until(lambda: house.outcomes == ["verify:verified", "mark.void:unavailable"])
    assert house.placed == [] and house.done.count(part) == 4
    await beside.close()
    assert house.done.count("void") == (1 if part == "take_away" else 4)


@pytest.mark.parametrize("faults", [1, 2])
async def test_at_its_end_a_desk_tries_once_more_and_says_what_is_left(faults: int) -> None:
    house, log = House(down="void", faults=faults), Log()
    undoing = Undoing(house, house, log.logger)
    row = Entry("desk", "mark.void", "unavailable", call="c.1")
    assert not await undoing.undo(Owed(None, row, "proof"))
    await undoing.close()
    assert [line["event"] for line in log.lines] == ["back.failed"] * faults
    assert house.outcomes == (["mark.void:unavailable"] if faults == 1 else [])


@pytest.mark.parametrize(("here", "status"), [([True, False], Status.ABANDONED), ([True], Status.LOCKED)])
async def test_who_is_gone_or_locked_while_the_row_is_written_is_not_marked(here: list[bool], status: Status) -> None:
    house = House(here=here)
    if status is Status.LOCKED:
        house.locks_behind_row = True
    assert await house.settle() == Refused(
        "strict", status, Locked(Scope.CUSTOMER, None) if status is Status.LOCKED else None
    )
    assert house.outcomes == ["verify:verified", f"mark.void:{status.value}"]
    assert "place" not in house.done


@pytest.mark.parametrize("part", ["", "place"])
async def test_a_lower_mark_that_was_replaced_stands_again(part: str) -> None:
    lower = replace(OTHERS, subject="ref-1")
    house = House(before=lower)
    beside = house.beside
    placed = await beside.settle(TALK, PASSED, house.still)
    assert isinstance(placed, Placed) and placed.before == lower
    house.down = part
    assert await beside.undo(TALK, placed) == (None if part else lower)
    assert house.placed == ([] if part else [lower])
    assert house.outcomes == ["verify:verified", "mark.void:unavailable"]


async def test_what_the_trail_says_already_holds() -> None:
    house = House(stands="refused")
    assert await house.settle() == Refused("strict", Status.UNAVAILABLE)
    assert house.placed == []


async def test_a_place_that_is_taken_meanwhile_voids_the_row() -> None:
    house = House(free=False)
    assert await house.settle() == Refused("strict", Status.ABANDONED)
    assert house.outcomes == ["verify:verified", "mark.void:abandoned"]


async def test_a_higher_mark_stays_as_it_is() -> None:
    house = House(before=replace(OTHERS, subject="ref-1", level=3))
    low = replace(TALK, policy=POLICIES["app"])
    verdict = await house.settle(Passed("totp", Factor.POSSESSION), low)
    assert isinstance(verdict, Verified)
    assert house.placed == [] and house.outcomes == ["verify:verified"]
    assert house.rows[0].detail["level"] == "1"


async def test_who_may_not_try() -> None:
    assert await House().beside.may(TALK) is None
    assert await House(lock=LOCK).beside.may(TALK) == LOCK
    assert await House(bar=True).beside.may(TALK) == Locked(Scope.CUSTOMER, None)
    assert await House().beside.count(TALK) is None
    assert await House(lock=LOCK).beside.count(TALK) == LOCK
    nobody = replace(TALK, number=None)
    assert isinstance(await House().settle(PASSED, nobody), Placed)


@pytest.mark.parametrize(
    ("own", "name", "tenant", "enough"),
    [
        (None, "strict", "main", True),
        (None, "none", "main", False),
        (None, "theirs", "main", False),
        ("strict", "strict", "main", True),
        ("app", "strict", "main", True),
        ("more", "strict", "main", False),
        ("gone", "strict", "main", False),
    ],
)
def test_a_customer_who_needs_more_is_not_verified_by_less(
    own: str | None, name: str, tenant: str, enough: bool
) -> None:
    found = House().beside.policy(name, replace(SUBJECT, policy=own), tenant)
    assert (found is not None) is enough


def test_what_a_customers_own_policy_makes_shorter_is_shorter() -> None:
    found = House().beside.policy("strict", replace(SUBJECT, policy="short"), "main")
    assert found is not None and (found.name, found.mark_seconds) == ("short", 60)


@pytest.mark.parametrize(("outcome", "steps"), [(None, ""), (PASSED, "bankid:passed")])
async def test_what_came_to_no_answer_is_given_back_and_told(outcome: Outcome | None, steps: str) -> None:
    house = House()
    await house.beside.unanswered(TALK, Status.ABANDONED, outcome)
    assert house.done == ["give_back", "row"] and house.outcomes == ["verify:abandoned"]
    assert (house.rows[0].detail["wrong"], house.rows[0].detail["steps"]) == ("0", steps)
