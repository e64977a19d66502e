"""What is right where the walk of every route sends what is wrong, or one thing of many: logins, links, codes, tokens, every action, fields by their level."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import orjson
import pyotp

from ivr.lock.actions import ACTIONS
from ivr.secret import Personal, Secret
from ivr.staff import TENANT
from ivr.store.members import Member, Members
from ivr.store.register import Register
from tests.contract.desk_kit import PASSWORD
from tests.contract.matrix_calls import ANNA, OPEN
from tests.contract.matrix_kit import AUDIENCE, MEMBER, ORIGIN, OVER_OTHERS, ROLES, Visitor, Whole

Answer = tuple[int, str]
# Those whom the route lets in, and an element's page: for all others the row of the route itself says what they are answered.
_LET_IN = ("agent", "colleague", "supervisor", "granted", "other tenant", "element")
_serial = count(1)


@dataclass(frozen=True)
class Right:
    """One more row of the matrix. `few`: it is the same in all states, and walked in some."""

    said: str
    ask: Callable[[Whole, Visitor], Awaitable[Answer]]
    few: bool = False
    roles: tuple[str, ...] = ROLES


def body_of(told: str) -> Any:
    """The document of an answer that has one."""
    return orjson.loads(told.rpartition("\n")[2])


# ---------------------------------------------------------------- the customer's record


def _fields(names: str) -> Right:
    async def ask(made: Whole, visitor: Visitor) -> Answer:
        return await made.ask(visitor, "GET", f"/api/v1/customers/{made.line.asked.ref}/record?fields={names}")

    return Right(f"GET /api/v1/customers/{{ref}}/record?fields={names}", ask, roles=_LET_IN)


_ADDED, _OTHER = "+46701999555", "+46701999444"
_ARGUMENTS: Mapping[str, Mapping[str, str]] = {
    "lock": {},
    "add_phone": {"phone": _ADDED},
    "change_phone": {"phone": ANNA.phone, "to": _OTHER},
    "remove_phone": {"phone": ANNA.phone},
    "replace_sim": {"phone": ANNA.phone},
    "clear_pin": {},
}


def _action(name: str) -> Right:
    async def ask(made: Whole, visitor: Visitor) -> Answer:
        place = f"/api/v1/customers/{made.line.asked.ref}/actions/{name}"
        status, told = await made.ask(visitor, "POST", place, json={"arguments": _ARGUMENTS[name]})
        await _as_before(made, name, changed=status == 200)
        return status, told

    return Right(f"POST /api/v1/customers/{{ref}}/actions/{name}", ask, roles=_LET_IN)


async def _as_before(made: Whole, action: str, *, changed: bool) -> None:
    """The record is changed exactly where the answer says so; then it is set back."""
    register, known = Register(made.house.vault), made.line.asked
    async with made.house.database.read() as connection:
        held = await register.by_ref(connection, known.ref)
    assert held is not None
    phones = [one.reveal() for one in held.phones]
    is_other = phones != [known.phone] or any(held.since) or (held.locked and made.line.state != "locked")
    assert is_other == (changed and action != "clear_pin"), (action, made.line.state)
    if is_other:
        async with made.house.database.write() as connection:
            # a number that stays keeps its age
            for numbers in ([], [Personal(known.phone)]):
                await register.set_phones(connection, held, numbers, 0)
            await register.set_locked(connection, held, locked=False)


# ---------------------------------------------------------------- signing in


async def _login(made: Whole) -> Mapping[str, str]:
    """Of somebody who has just been enrolled, with the code that the app shows next: that of now was good for it."""
    person = await made.house.enrolled(f"new{next(_serial)}")
    code = pyotp.TOTP(made.house.keys[person.login].reveal()).at(int(time.time()) + 30)
    return {"login": person.login, "password": PASSWORD, "code": code}


async def _signs_in(made: Whole, visitor: Visitor) -> Answer:
    return await made.ask(visitor, "POST", "/sign-in", data=await _login(made))


async def _begins(made: Whole, visitor: Visitor) -> Answer:
    return await made.ask(visitor, "POST", "/api/v1/session", json=await _login(made))


async def _link(made: Whole) -> Secret:
    return await made.house.invite(await made.house.add(f"new{next(_serial)}"))


async def _looks(made: Whole, visitor: Visitor) -> Answer:
    return await made.ask(visitor, "GET", f"/welcome/{(await _link(made)).reveal()}")


async def _enrols(made: Whole, visitor: Visitor) -> Answer:
    token = await _link(made)
    offer = await made.house.welcome.offer(token)
    assert offer is not None
    code = pyotp.TOTP(offer.key.reveal()).now()
    given = {"password": PASSWORD, "again": PASSWORD, "code": code, "sealed": offer.sealed}
    return await made.ask(visitor, "POST", f"/welcome/{token.reveal()}", data=given)


async def _asks_for_a_passkey(made: Whole, visitor: Visitor) -> Answer:
    return await made.ask(visitor, "POST", f"/welcome/{(await _link(made)).reveal()}/passkey", data={})


async def _crosses(made: Whole, visitor: Visitor) -> Answer:
    status, told = await made.ask(visitor, "GET", f"/crossing?begun={'a' * 64}")
    assert ("code=" in told) == (status == 303 and "/sign-in" not in told), visitor.role
    return status, told


# ---------------------------------------------------------------- programs


async def _introspects(made: Whole, visitor: Visitor) -> Answer:
    """A token of the same caller, from a moment at which that one was verified at level 2."""
    state, agent = made.line.state, await made.visitor("agent")
    await made.line.again("level 2", made.people["agent"], made.people["colleague"])
    status, told = await made.ask(agent, "POST", f"/api/v1/calls/{made.line.call}/token", json={"audience": AUDIENCE})
    assert status == 201, told
    token = body_of(told)["token"]
    await made.line.again(state, made.people["agent"], made.people["colleague"])
    status, told = await made.ask(visitor, "POST", "/api/v1/tokens/introspect", data={"token": token})
    if status == 200:
        assert body_of(told)["active"] == (state in OPEN - {"level 1"}), state
    return status, told


async def _lends(made: Whole, visitor: Visitor) -> Answer:
    await made.visitor("agent")
    given = {"login": made.people["agent"].login, "origin": ORIGIN}
    return await made.ask(visitor, "POST", "/api/v1/element/token", json=given)


# ---------------------------------------------------------------- those over people and the trail of another tenant


def _over_others(method: str, path: str, **given: Any) -> tuple[Right]:
    async def ask(made: Whole, visitor: Visitor) -> Answer:
        before = await _staff_of(made)
        status, told = await made.ask(visitor, method, path.replace("{member}", made.people[MEMBER].id), **given)
        assert await _staff_of(made) == before, (method, path, visitor.role)
        # what people there have asked for by its reference, theirs has rows of
        asked = {made.people[MEMBER].id, made.people["colleague"].id}
        shown = {one.person.id for one in before} - asked
        shown |= {f"{word}(?![\\w-])" for one in before for word in (one.person.name, one.person.actor)}
        shown = {one for one in shown if re.search(one, told)}
        assert not shown, (method, path, visitor.role, shown)
        return status, told

    return (Right(f"{method} {path}, of another tenant's people", ask, few=True, roles=OVER_OTHERS),)


async def _staff_of(made: Whole) -> Sequence[Member]:
    return (await Members(made.house.database, made.house.vault).listed(TENANT, 500)).members


_ACTION = ("POST", "/api/v1/customers/{ref}/actions/{action}")

RIGHT: Mapping[tuple[str, str], tuple[Right, ...]] = {
    ("GET", "/api/v1/customers/{ref}/record"): tuple(map(_fields, ("name", "number", "phones"))),
    _ACTION: tuple(_action(name) for name in ACTIONS if name != "set_language"),
    ("POST", "/sign-in"): (Right("POST /sign-in, as it must be", _signs_in, few=True, roles=("nobody",)),),
    ("POST", "/api/v1/session"): (Right("POST /api/v1/session, as it must be", _begins, few=True, roles=("nobody",)),),
    ("GET", "/welcome/{token}"): (Right("GET /welcome/{token}, a new one", _looks, few=True),),
    ("POST", "/welcome/{token}"): (Right("POST /welcome/{token}, a new one", _enrols, few=True, roles=("nobody",)),),
    ("POST", "/welcome/{token}/passkey"): (
        Right("POST /welcome/{token}/passkey, a new one", _asks_for_a_passkey, few=True),
    ),
    ("GET", "/crossing"): (Right("GET /crossing?begun={begun}", _crosses, few=True),),
    ("POST", "/api/v1/tokens/introspect"): (
        Right("POST /api/v1/tokens/introspect, issued at level 2", _introspects, roles=("program",)),
    ),
    ("GET", "/staff"): _over_others("GET", "/staff"),
    ("GET", "/staff/{member}"): _over_others("GET", "/staff/{member}"),
    ("POST", "/staff/{member}"): _over_others("POST", "/staff/{member}", data={"do": "disable"}),
    ("GET", "/trail"): _over_others("GET", "/trail"),
    ("GET", "/api/v1/trail"): _over_others("GET", "/api/v1/trail"),
    ("GET", "/api/v1/people"): _over_others("GET", "/api/v1/people"),
    ("POST", "/api/v1/people/{member}/disable"): _over_others("POST", "/api/v1/people/{member}/disable"),
    ("POST", "/api/v1/people/{member}/enable"): _over_others("POST", "/api/v1/people/{member}/enable"),
    ("POST", "/api/v1/people/{member}/reset"): _over_others("POST", "/api/v1/people/{member}/reset"),
    ("POST", "/api/v1/element/token"): (Right("POST /api/v1/element/token, for who is signed in", _lends, few=True),),
}
"""By the route whose row it stands behind."""
