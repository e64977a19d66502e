"""What is a tenant's in Redis has the tenant in its key; and what was counted before it had counts on."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from ivr.call.dial import Called, Dialling
from ivr.call.outcome import Locked, Scope
from ivr.call.ports import Attempt, Challenge, Granted, Opened
from ivr.config import Calls, SignIn
from ivr.errors import InputError
from ivr.lock import Begun
from ivr.lock.dial import Dial
from ivr.lock.dialwords import DialAsked
from ivr.secret import Personal, Secret
from ivr.staff import Person
from ivr.store.dials import RedisDials
from ivr.store.elements import Elements, Grant
from ivr.store.handovers import Handovers
from ivr.store.live import RedisLive
from ivr.store.openings import Opening
from ivr.store.sealing import customer_key
from ivr.store.throttle import Throttle
from ivr.store.tickets import Tickets
from ivr.store.wish import Wish
from tests.contract.keys_kit import TENANTS, whose
from tests.contract.live_server import RULES, Server, forgive
from tests.contract.lock_kit import ANNA, Desk, desk_of
from tests.contract.prove_kit import until
from tests.contract.test_lock_dial import Phones
from tests.unit.conftest import Either

pytestmark = pytest.mark.servers

NILS = replace(ANNA, id="p-nils", login="nils", tenant="north", endpoints=frozenset({"PJSIP/nils"}))
READS = {"reads": {"warn_hour": 1, "warn_day": 1, "warn_factor": 1.0, "stop_hour": 3, "stop_day": 3}}
INDEX = "61fb51d4350dbd0cfd9e4bc4d4f666d75adda4982ac363c576eea44172f2b2a9"


@pytest.fixture
async def desk(sqlite: Either, server: Server) -> AsyncIterator[Desk]:
    calls = Calls.model_validate({"dial": "PJSIP/{number}@trunk", "number": "+46812345678"})
    async with desk_of(sqlite().model_copy(update={"calls": calls}), server, READS) as made:
        made.staff.persons[NILS.id] = NILS
        yield made


async def test_every_key_of_a_walk_is_the_machines_or_has_its_tenant(desk: Desk, server: Server) -> None:
    prefix = desk.settings.redis.prefix
    async with AsyncExitStack() as stack:
        for person in (ANNA, NILS):
            await _walk(desk, person, f"c.{person.login}", stack)
        kinds, wrong = whose(server.client.keys(), prefix, frozenset({ANNA.tenant, NILS.tenant}))
    assert wrong == []
    # what requests of persons are counted by is walked with the pages (test_desk_server)
    assert kinds == {*TENANTS} - {r"ticket:[a-z-]+", "pace:person"} | {"ticket:passkey"}
    assert whose([f"{prefix}:fail:customer:{INDEX}", f"{prefix}:new:kind"], prefix, frozenset({"main"}))[1] != []


async def _walk(desk: Desk, person: Person, channel: str, stack: AsyncExitStack) -> None:
    """A day in this tenant: the same customer number, login and phones as in any other."""
    prefix, tenant = desk.settings.redis.prefix, person.tenant
    refs = [await desk.customer(str(number), tenant=tenant) for number in range(10001, 10006)]
    index = desk.vault.index
    key = customer_key(tenant, index.customer_number(Secret("10001")))
    attempt = Attempt(key, index.phone(Personal("+46701234567")), f"node-a:{channel}")
    assert await desk.live.attempt(attempt) == Granted()
    challenge = Challenge("id", key, attempt.call, "mac")
    assert isinstance(await desk.live.open_challenge(challenge, RULES), Opened)
    await desk.live.wish(key, Wish("cli:rita", "rita", 1, "rita", "a reason"))
    token, _ = await desk.signed_in(person)
    assert await desk.sessions.of(token) is not None
    # before so many records are read that nobody may be called any more
    await _call(desk, person, refs[0], stack)
    for ref in refs:
        await desk.marked(ref, channel, level=3)
        desk.joined(person, channel)
        await desk.lock.record(person, ref, ["name"])
    call = index.call("node-a", channel)
    if tenant == ANNA.tenant:
        assert isinstance(await desk.midcall.verify(person, call, "support"), Begun)
    else:
        # the policies here verify the customers of Anna's
        assert desk.midcall.offered(tenant) == ()
        with pytest.raises(InputError, match="may not be chosen"):
            await desk.midcall.verify(person, call, "support")
    wish = await desk.glass.ask(person, refs[0], "must be called back at once", ("name",))
    assert isinstance(wish, Opening)
    throttle = Throttle(desk.link, prefix, SignIn(), index)
    await throttle.count(throttle.of(tenant, person.login, "192.0.2.1"))
    await Tickets(desk.link, prefix).keep("passkey", tenant, b"bound", b"text", seconds=60)
    await Elements(desk.link, prefix).begin(Grant(tenant, person.id, "s", "crm", "https://crm.example.com", ()), 60)
    handovers = Handovers(desk.link, prefix, desk.settings.desk)
    for _ in range(2):
        code = await handovers.keep(token, "crm.example.com", hashlib.sha256(b"begun").hexdigest())
        assert code is not None
    guest = await handovers.take(code, "crm.example.com", Secret("begun"))
    assert isinstance(guest, Secret) and await handovers.of(guest, per_minute=1, used=True) is not None
    again, _ = await desk.signed_in(person)
    await desk.sessions.end_all(tenant, person.id, but=again)


async def _call(desk: Desk, person: Person, ref: str, stack: AsyncExitStack) -> None:
    """Both phones are the test's. Anna's is called off, Nils's goes on."""
    assert desk.calling is not None
    dial = desk.calling.dial(Phones())
    stack.push_async_callback(dial.close)
    desk.talks.talks.clear()
    begun = await dial.begin(person, DialAsked(ref, 1))
    assert isinstance(begun, Dialling)
    await RedisDials(desk.link, desk.settings.redis.prefix).answered("node-a", begun.id, Called(person.tenant, ref, 1))
    if person == ANNA:
        assert await dial.cancel(person, begun.id) is True
        dial.heard(begun.endpoint)
        await until(lambda: _is_over(dial, person))


async def _is_over(dial: Dial, person: Person) -> bool:
    shown = await dial.shown(person)
    return shown is not None and shown.stage.is_end


# ---------------------------------------------------------------- what was counted when there was no tenant in the key

MAIN = Attempt(customer_key("main", INDEX), None, "node:1.1")
NORTH = replace(MAIN, subject=customer_key("north", INDEX))
BEFORE, NOW = f"tillit:fail:customer:{INDEX}", f"tillit:fail:customer:{MAIN.subject}"
MINUTE, DAY = 60, 86400


def before(server: Server, failures: int, *, locked: int = 0) -> None:
    """As an earlier version has left it: so many failures in a row, and a lock of so many seconds."""
    server.client.hset(BEFORE, "n", failures)
    if locked:
        server.client.hset(BEFORE, mapping={"until": int((time.time() + locked) * 1000), "by": "node:0.1"})
    server.client.expire(BEFORE, 90 * DAY)


@pytest.mark.parametrize("attempt", [MAIN, NORTH], ids=["main", "north"])
async def test_who_was_locked_before_is_locked(live: RedisLive, server: Server, attempt: Attempt) -> None:
    before(server, 3, locked=10 * MINUTE)
    for answer in (await live.standing(attempt), await live.attempt(attempt)):
        assert isinstance(answer, Locked) and answer.scope is Scope.CUSTOMER
        assert answer.seconds is not None and 0 <= 10 * MINUTE - answer.seconds <= 5
    # its time passes; each further failure locks at once, for twice as long, as if it had been counted in one place
    server.pass_time(11 * MINUTE)
    assert await live.attempt(attempt) == Granted()
    lock = await live.standing(attempt)
    assert isinstance(lock, Locked) and lock.seconds is not None and 0 <= 30 * MINUTE - lock.seconds <= 5
    assert server.client.hget(BEFORE, "n") == "3", "a version without tenants that still runs sees it as it was"


async def test_failures_of_before_and_of_now_are_in_a_row(live: RedisLive, server: Server) -> None:
    before(server, 2)
    assert await live.standing(MAIN) is None
    assert await live.attempt(MAIN) == Granted()
    assert isinstance(await live.standing(MAIN), Locked)
    # right it was: the lock goes with the try that had set it, and those of before stay
    await live.give_back(MAIN)
    assert await live.standing(MAIN) is None and server.client.hget(BEFORE, "n") == "2"
    assert not server.client.exists(NOW)


async def test_at_the_most_over_both_only_unlock_helps(live: RedisLive, server: Server) -> None:
    before(server, 9)
    server.pass_time(30 * DAY)
    assert await live.attempt(MAIN) == Granted()
    server.pass_time(2 * DAY)
    assert await live.attempt(MAIN) == Locked(Scope.CUSTOMER, None)
    # nobody's patience outlives it: what was counted before is kept as long as what is counted now
    server.pass_time(85 * DAY)
    assert await live.standing(MAIN) == Locked(Scope.CUSTOMER, None)
    assert await live.forget(MAIN.subject) is True, "who erases and adds a customer lifts no lock"
    assert await live.unlock(MAIN.subject) and not await live.unlock(MAIN.subject)
    assert await live.standing(MAIN) is None


async def counts(live: RedisLive, server: Server, attempt: Attempt) -> bool:
    """Whether two failures of before are in a row with one of now, which then locks."""
    call = replace(attempt, call=f"node:{time.monotonic_ns()}")
    assert await live.attempt(call) == Granted()
    locked = await live.standing(call) is not None
    await live.give_back(call)
    return locked


@pytest.mark.parametrize(("one", "other"), [(MAIN, NORTH), (NORTH, MAIN)], ids=["main", "north"])
@pytest.mark.parametrize("how", ["verified", "unlocked", "erased"])
async def test_failures_of_before_are_over_for_whom_they_are_over_and_for_nobody_else(
    live: RedisLive, server: Server, one: Attempt, other: Attempt, how: str
) -> None:
    before(server, 2)
    assert await counts(live, server, one) and await counts(live, server, other)
    if how == "verified":
        await forgive(live, one)
    elif how == "unlocked":
        assert await live.unlock(one.subject) and not await live.unlock(one.subject)
    else:
        assert await live.forget(one.subject) is False
    assert not await counts(live, server, one)
    assert await counts(live, server, other)
    assert server.client.hget(BEFORE, "n") == "2"


async def test_what_is_over_for_a_customer_is_not_kept_by_what_this_one_does(live: RedisLive, server: Server) -> None:
    before(server, 2)
    await forgive(live, NORTH)
    server.pass_time(50 * DAY)
    assert await live.attempt(NORTH) == Granted()
    server.pass_time(39 * DAY)
    assert server.client.exists(BEFORE)
    server.pass_time(2 * DAY)
    assert not server.client.exists(BEFORE)


async def test_a_lock_of_before_that_was_lifted_is_lifted_there_alone(live: RedisLive, server: Server) -> None:
    before(server, 10, locked=10 * MINUTE)
    assert await live.unlock(MAIN.subject)
    assert await live.standing(MAIN) is None
    assert await live.standing(NORTH) == Locked(Scope.CUSTOMER, None)
    # what locks nobody any more is nobody's reason to stay
    assert await live.forget(MAIN.subject) is False
    assert await live.forget(NORTH.subject) is True


async def test_customers_of_two_tenants_with_one_number_are_counted_apart(live: RedisLive) -> None:
    for n in range(3):
        assert await live.attempt(replace(MAIN, call=f"node:{n}")) == Granted()
    assert isinstance(await live.standing(MAIN), Locked)
    assert await live.standing(NORTH) is None
    assert await live.unlock(NORTH.subject) is False
    assert isinstance(await live.standing(MAIN), Locked)
