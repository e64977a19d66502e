"""Calls that people begin at the desk: whom they may call, what is told of it, and how it ends. Real Redis and database; phones are the test's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from ivr.asterisk.dialling import Dialled, Outgoing
from ivr.call.dial import Called, Dialling, DialStage
from ivr.call.ports import Party, Talk
from ivr.config import Settings, load
from ivr.errors import Unavailable
from ivr.lock import Denied, Reason
from ivr.lock.dial import Dial
from ivr.lock.dialwords import DialAsked
from ivr.secret import Personal, Secret
from ivr.staff import Permission, Person
from ivr.store.dials import RedisDials
from ivr.store.history import Contact
from ivr.store.news import Heard, News
from tests.contract.ari_log import Log, wait_for
from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA, BO, ELSE, NODE, SVEN, Desk, denied, desk_of
from tests.contract.prove_kit import until
from tests.unit.database_kit import asked, settings_in

pytestmark = pytest.mark.servers

NUMBER, SECOND, PREMIUM, ABROAD = "+46701234567", "+46701234568", "+469391234567", "+2348012345678"
CHANNEL = f"tillit-dial-{'a' * 32}"
WHOLE = """
[calls]
dial = "PJSIP/{number}@trunk"
number = "+46812345678"
numbers_of_teams = { red = "+46812345679" }
per_person_hour = 500
per_customer_hour = 30
"""


class Phones:
    """`lock.dialports.Dialler`, as the test says."""

    def __init__(self) -> None:
        self.away = self.down = False
        self.asked: list[tuple[str, Outgoing]] = []
        self.ends: asyncio.Queue[Dialled | Unavailable] = asyncio.Queue()
        self.rings: asyncio.Queue[str] = asyncio.Queue()
        self.hung_up = 0

    async def place(self, endpoints: Collection[str]) -> tuple[str, str] | None:
        if self.down:
            raise Unavailable("Asterisk's REST interface (ARI) does not answer the desk")
        return None if self.away else (NODE, min(endpoints))

    async def dial(self, node: str, outgoing: Outgoing, told: Callable[[str], Awaitable[None]]) -> tuple[Dialled, str]:
        self.asked.append((node, outgoing))
        try:
            while self.ends.empty():
                ring = asyncio.ensure_future(self.rings.get())
                end = asyncio.ensure_future(self.ends.get())
                done, waiting = await asyncio.wait((ring, end), return_when=asyncio.FIRST_COMPLETED)
                for one in waiting:
                    one.cancel()
                if end in done:
                    self.ends.put_nowait(end.result())
                else:
                    await told(ring.result())
        except asyncio.CancelledError:
            self.hung_up += 1
            raise
        ended = self.ends.get_nowait()
        if isinstance(ended, Unavailable):
            raise ended
        return ended, CHANNEL if ended is Dialled.JOINED else ""


@dataclass
class Here:
    """A desk from which people call."""

    desk: Desk
    dial: Dial
    phones: Phones
    told: list[str] = field(default_factory=list)

    async def press(self, person: Person = ANNA, **whom: Any) -> Dialling | Denied:
        """`customer`: by customer number; `ref`: by reference."""
        by = whom["ref"] if "ref" in whom else Secret(whom["customer"])
        return await self.dial.begin(person, DialAsked(by, whom.get("phone", 1)))

    async def begun(self, person: Person = ANNA, **whom: Any) -> Dialling:
        found = await self.press(person, **whom)
        assert isinstance(found, Dialling), found
        return found

    async def stage(self, stage: str, person: Person = ANNA) -> Dialling:
        found: list[Dialling] = []

        async def there() -> bool:
            shown = await self.dial.shown(person)
            found[:] = [] if shown is None else [shown]
            return shown is not None and shown.stage == stage

        await until(there)
        return found[0]

    async def rows(self) -> list[tuple[str, str, str, dict[str, str]]]:
        """Actor, outcome, subject and detail."""
        query = "SELECT actor, outcome, subject, detail FROM audit WHERE action = 'dial' ORDER BY at, seq"
        return [(*row[:3], orjson.loads(row[3])) for row in await asked(self.desk.database, query)]

    async def ended(self, outcome: str) -> None:
        async def there() -> bool:
            return (await self.rows())[-1][1] == outcome

        await until(there)


@asynccontextmanager
async def calling_in(settings: Settings, server: Server) -> AsyncIterator[Here]:
    async with desk_of(settings, server) as desk:
        phones = Phones()
        assert desk.calling is not None
        here = Here(desk, desk.calling.dial(phones), phones)

        def heard(news: Heard) -> None:
            here.told.append(news.endpoint)
            here.dial.heard(news.endpoint)

        came = asyncio.Event()
        async with News(settings, told=heard, came=came.set, log=Log().logger):
            await came.wait()
            yield here
            await here.dial.close()


def settings_of(folder: Path, server: Server, more: str = WHOLE) -> Settings:
    base = settings_in(folder)
    redis = (
        f'[redis]\nurl = "unix://{server.socket}"\nprefix = "{server.settings().redis.prefix}"\nrequest_seconds = 5.0\n'
    )
    base.file.write_text(f"{base.file.read_text()}\n{redis}{more}")
    return load(base.file)


@pytest.fixture
async def here(tmp_path: Path, server: Server) -> AsyncIterator[Here]:
    async with calling_in(settings_of(tmp_path, server), server) as made:
        yield made


async def test_who_reads_too_many_calls_nobody(here: Here) -> None:
    await here.desk.customer("10001", "Xenia Ask", NUMBER)
    read = [await here.desk.reads.count(ANNA, f"acme:{n}") for n in range(41)]
    assert read[-1] == denied(Reason.TOO_MANY_READS)
    assert await here.press(customer="10001") == denied(Reason.TOO_MANY_READS)
    assert here.phones.asked == []
    assert [row[1] for row in await here.rows()] == ["refused"]


async def test_from_the_press_to_the_answer(here: Here) -> None:
    ref = await here.desk.customer("10001", "Xenia Ask", NUMBER, SECOND)
    dialling = await here.begun(customer="10001", phone=2)
    assert (dialling.ref, dialling.endpoint, dialling.stage) == (ref, "PJSIP/anna", DialStage.ASKED)
    for stage in ("agent", "customer"):
        here.phones.rings.put_nowait(stage)
        assert (await here.stage(stage)).id == dialling.id
    here.phones.ends.put_nowait(Dialled.JOINED)
    await here.ended("answered")
    await until(lambda: _nothing(here))
    ((node, outgoing),) = here.phones.asked
    assert node == NODE
    assert outgoing.number == Personal(SECOND)
    # the agent's phone has the reference, the customer's the company's name and number
    assert (outgoing.agent, outgoing.display, outgoing.shown, outgoing.shown_name) == (
        "PJSIP/anna", ref, "+46812345678", "Example",
    )  # fmt: skip
    assert (outgoing.dial, outgoing.ring_agent, outgoing.ring, outgoing.language, outgoing.plus) == (
        "PJSIP/{number}@trunk", 20, 40, "sv", True,
    )  # fmt: skip
    detail = {"person": "p-anna", "tenant": "acme", "node": NODE, "dial": dialling.id, "phone": "2"}
    assert await here.rows() == [
        ("desk:anna", "asked", ref, detail), ("desk:anna", "answered", ref, {**detail, "channel": CHANNEL}),
    ]  # fmt: skip
    assert set(here.told) == {"PJSIP/anna"}
    said = f"{here.desk.log.lines} {await here.rows()} {dialling}"
    assert "1234568" not in said and "10001" not in said and "Xenia" not in said


@pytest.mark.parametrize("how", [*Dialled, None])
async def test_whoever_may_have_heard_it_ring_may_ask_who_it_was(here: Here, how: Dialled | None) -> None:
    """From the moment that their telephone is called, however it ends; and no one whose telephone was never called. None: it is called off."""
    ref = await here.desk.customer("10001", "Xenia Ask", NUMBER)

    async def known() -> Sequence[Contact]:
        return await here.dial._history.about(Personal(NUMBER), Personal("+46812345678"), int(time.time()))

    dialling = await here.begun(ref=ref)
    here.phones.rings.put_nowait("agent")
    await here.stage("agent")
    assert await known() == []
    if how is Dialled.AGENT_AWAY:
        here.phones.ends.put_nowait(how)
        await here.ended(how.value)
        assert await known() == []
        return
    here.phones.rings.put_nowait("customer")
    await here.stage("customer")
    (contact,) = await known()
    assert (contact.shown, contact.ref) == ("+46812345678", ref)
    if how is None:
        assert await here.dial.cancel(ANNA, dialling.id) is True
    else:
        here.phones.ends.put_nowait(how)
    await until(lambda: _over(here))
    assert await known() == [contact]


async def _over(here: Here) -> bool:
    return (await here.rows())[-1][1] != "asked"


async def _nothing(here: Here, person: Person = ANNA) -> bool:
    return await here.dial.shown(person) is None


async def test_who_was_called_is_shown_by_reference_and_to_the_own_tenant_alone(here: Here) -> None:
    ref = await here.desk.customer("10001", "Xenia Ask", NUMBER)
    await here.begun(ref=ref)
    here.phones.ends.put_nowait(Dialled.JOINED)
    await here.ended("answered")
    await until(lambda: _nothing(here))
    own = Party("own", "PJSIP/anna", None, False, 1.0, first=True)
    here.desk.talks.talks["PJSIP/anna"] = (Talk(NODE, own, (Party(CHANNEL, "PJSIP/trunk", None, False, 1.0),)),)
    (current,) = await here.desk.lock.current(ANNA)
    assert (current.dialled, current.ref, current.number, current.name) == (ref, None, None, None)
    assert (current.state, current.shut) == ("not_verified", Reason.NOT_VERIFIED), "who has answered, nobody knows"
    # whoever the call is transferred to, in another tenant
    stranger = here.desk.staff.change(ELSE, endpoints=frozenset({"PJSIP/else"}))
    here.desk.talks.talks["PJSIP/else"] = (
        Talk(NODE, replace(own, endpoint="PJSIP/else"), (Party(CHANNEL, "PJSIP/trunk", None, False, 1.0),)),
    )
    (theirs,) = await here.desk.lock.current(stranger)
    assert theirs.dialled is None


@pytest.mark.parametrize("number", [PREMIUM, ABROAD])
async def test_numbers_that_cost_are_not_called(here: Here, number: str) -> None:
    """Also where somebody has them put on record."""
    await here.desk.customer("10001", "Xenia Ask", number)
    assert await here.press(customer="10001") == denied(Reason.NO_TELEPHONE)
    assert here.phones.asked == []


@pytest.mark.parametrize(
    "whom", [{"customer": "99999"}, {"customer": "10001", "phone": 2}, {"ref": "a" * 12}, {"ref": "not a reference"}]
)
async def test_nobody_and_no_such_number_sound_alike(here: Here, whom: dict[str, Any]) -> None:
    await here.desk.customer("10001", "Xenia Ask", NUMBER)
    assert await here.press(**whom) == denied(Reason.NO_TELEPHONE)
    ((_, outcome, _, detail),) = await here.rows()
    assert (outcome, detail["reason"]) == ("refused", "no_telephone")
    assert "99999" not in str(detail)


async def test_whom_somebody_has_locked_and_whom_another_tenant_has(here: Here) -> None:
    ref = await here.desk.customer("10001", "Xenia Ask", NUMBER)
    theirs = await here.desk.customer("20001", "Orvar Ek", SECOND, tenant="other")
    async with here.desk.database.write() as connection:
        held = await here.desk.register.by_ref(connection, ref, change=True)
        assert held is not None
        await here.desk.register.set_locked(connection, held, locked=True)
    assert await here.press(ref=ref) == await here.press(ref=theirs) == denied(Reason.NO_TELEPHONE)


async def test_who_may_not_who_is_in_a_call_and_whose_phone_is_away(here: Here) -> None:
    await here.desk.customer("10001", "Xenia Ask", NUMBER)
    here.desk.joined(ANNA, "c.1")
    assert await here.press(customer="10001") == denied(Reason.IN_CALL)
    here.desk.joined(ANNA)
    here.phones.away = True
    assert await here.press(customer="10001") == denied(Reason.PHONE_AWAY)
    here.phones.away, here.phones.down = False, True
    assert await here.press(customer="10001") == denied(Reason.UNAVAILABLE)
    here.phones.down, here.desk.talks.down = False, True
    assert await here.press(customer="10001") == denied(Reason.UNKNOWN_BRIDGES)
    here.desk.talks.down = False
    here.desk.staff.change(ANNA, denied=frozenset({Permission.DIAL}))
    assert await here.press(customer="10001") == denied(Reason.NOT_PERMITTED)
    assert [outcome for _, outcome, _, _ in await here.rows()] == ["refused"] * 5
    assert here.phones.asked == []


async def test_one_at_a_time_by_whatever_desk(here: Here) -> None:
    ref = await here.desk.customer("10001", "Xenia Ask", NUMBER)
    assert here.desk.calling is not None
    other = here.desk.calling.dial(Phones())
    pressed = await asyncio.gather(*(one.begin(ANNA, DialAsked(ref)) for one in (here.dial, other) * 2))
    assert sum(isinstance(one, Dialling) for one in pressed) == 1
    assert sum(one == denied(Reason.DIALLING) for one in pressed) == 3
    assert isinstance(await other.begin(BO, DialAsked(ref)), Dialling), "somebody else's is another one"
    await other.close()


async def test_it_is_called_off_at_another_desk(here: Here) -> None:
    ref = await here.desk.customer("10001", "Xenia Ask", NUMBER)
    dialling = await here.begun(ref=ref)
    assert here.desk.calling is not None
    other = here.desk.calling.dial(Phones())
    assert await other.cancel(BO, dialling.id) == denied(Reason.NOT_FOUND), "it is not theirs"
    assert await other.cancel(ANNA, "x" * 22) == denied(Reason.NOT_FOUND)
    await wait_for(lambda: bool(here.phones.asked), "the phones to ring")
    assert await other.cancel(ANNA, dialling.id) is True
    await here.stage("cancelled")
    await here.ended("called_off")
    assert here.phones.hung_up == 1
    assert await other.cancel(ANNA, dialling.id) is False, "it is over"
    assert isinstance(await here.press(ref=ref), Dialling), "the next one may begin"


@pytest.mark.parametrize("how", [one for one in Dialled if one is not Dialled.JOINED])
async def test_every_end_is_shown_and_told(here: Here, how: Dialled) -> None:
    ref = await here.desk.customer("10001", "Xenia Ask", NUMBER)
    await here.begun(ref=ref)
    here.phones.ends.put_nowait(how)
    await here.stage(how.value)
    await here.ended("undone" if how is Dialled.FAILED else how.value)


async def test_a_part_that_is_down_meanwhile(here: Here) -> None:
    ref = await here.desk.customer("10001", "Xenia Ask", NUMBER)
    dialling = await here.begun(ref=ref)
    here.phones.ends.put_nowait(Unavailable("the connection to Asterisk was lost, and what it told meanwhile"))
    await here.stage("failed")
    await here.ended("undone")
    assert [one["dial"] for one in here.desk.log.of("dial.failed")] == [dialling.id]


async def test_nothing_rings_that_the_trail_does_not_know(here: Here) -> None:
    ref = await here.desk.customer("10001", "Xenia Ask", NUMBER)
    async with here.desk.database.write() as connection:
        await connection.exec_driver_sql("ALTER TABLE audit RENAME TO gone")
    assert await here.press(ref=ref) == denied(Reason.UNAVAILABLE)
    assert here.phones.asked == []
    async with here.desk.database.write() as connection:
        await connection.exec_driver_sql("ALTER TABLE gone RENAME TO audit")
    assert isinstance(await here.press(ref=ref), Dialling), "nothing is left of it"


@pytest.mark.parametrize(("setting", "whose"), [("per_person_hour", "person"), ("per_customer_hour", "customer")])
async def test_so_many_and_no_more(tmp_path: Path, server: Server, setting: str, whose: str) -> None:
    """Whoever tries customer numbers out is slowed down as well."""
    more = WHOLE.replace(f"{setting} = {'500' if whose == 'person' else '30'}", f"{setting} = 1")
    async with calling_in(settings_of(tmp_path, server, more), server) as here:
        ref = await here.desk.customer("10001", "Xenia Ask", NUMBER)
        told = []
        for count in range(6):
            whom = {"customer": f"9000{count}"} if whose == "person" else {"ref": ref}
            told.append(await here.press(**whom))
            if isinstance(told[-1], Dialling):
                here.phones.ends.put_nowait(Dialled.BUSY)
                await here.stage("busy")
        assert told[-1] == denied(Reason.TOO_MANY_CALLS)
        assert denied(Reason.TOO_MANY_CALLS) not in told[:-1]
        # another person's, or another customer's, is counted by itself
        other = await here.desk.customer("10002", "Orvar Ek", SECOND)
        who = SVEN if whose == "person" else ANNA
        assert isinstance(await here.press(who, ref=other), Dialling)


async def test_a_team_shows_its_own_number_and_a_trunk_may_take_no_plus(tmp_path: Path, server: Server) -> None:
    more = f'{WHOLE}format = "digits"\nname = "Example Care"\n'
    async with calling_in(settings_of(tmp_path, server, more), server) as here:
        ref = await here.desk.customer("10001", "Xenia Ask", NUMBER)
        here.desk.staff.change(ANNA, team="red")
        await here.begun(ref=ref)
        await wait_for(lambda: bool(here.phones.asked), "the phones to ring")
        ((_, outgoing),) = here.phones.asked
        assert (outgoing.shown, outgoing.shown_name, outgoing.plus) == ("+46812345679", "Example Care", False)


async def test_what_stands_there_of_another_version(here: Here, server: Server) -> None:
    prefix = here.desk.settings.redis.prefix
    dials = RedisDials(here.desk.link, prefix)
    await dials.answered(NODE, CHANNEL, Called("acme", "a" * 12, 1))
    assert await dials.of(NODE, CHANNEL) == Called("acme", "a" * 12, 1)
    assert await dials.of("node-b", CHANNEL) is None
    await here.desk.link.ask("SET", f"{prefix}:dialled:{NODE}:{CHANNEL}", b"[]")
    with pytest.raises(Unavailable, match="customer of a call"):
        await dials.of(NODE, CHANNEL)
    await here.desk.link.ask("SET", f"{prefix}:dial:on:acme:p-anna", b'{"id": "x"}')
    with pytest.raises(Unavailable, match="call that is begun"):
        await here.dial.shown(ANNA)
