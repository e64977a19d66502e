"""Every route, in every state of a call, by every role: nothing of a customer before that customer is verified.

`DESK_MATRIX=write scripts/test tests/contract/test_desk_matrix.py` writes docs/matrix.md anew.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rig.ports import Ports

from ivr.lock import Channel
from ivr.staff import Permission
from ivr.web.guard import Open
from ivr.web.render import static_path
from ivr.web.routes import ROUTES, Route
from tests.contract.live_server import Server
from tests.contract.matrix_kit import (
    AUDIENCE,
    CANARIES,
    NAME,
    NODE,
    NUMBER,
    OPEN,
    ORIGIN,
    PHONE,
    READERS,
    ROLES,
    STATES,
    Visitor,
    Whole,
    whole,
)  # fmt: skip
from tests.contract.proxy_kit import PATTERNS
from tests.unit.database_kit import settings_in

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

PAGE = Path(__file__).parents[2] / "docs" / "matrix.md"

Seen = dict[tuple[str, str], dict[tuple[str, str], int]]
"""By method and path, the status of each role in each state."""

# What a verified caller's data may stand in. All else says nothing of it to anybody.
GIVES = {
    ("GET", "/"), ("GET", "/live"), ("GET", "/element/live"), ("GET", "/api/v1/calls/current"), ("GET", "/api/v1/customers/{ref}/record"),
}  # fmt: skip
# What is the same for all who ask, whoever they are and whatever goes on: walked in two states.
FEW = ("no call", "level 2")


# ---------------------------------------------------------------- how each is filled in


async def _wish(made: Whole) -> str:
    """Somebody else's wish to open the record, that waits."""
    await _unwish(made)
    asking = await made.visitor("colleague")
    given = {"ref": made.ref, "reason": "must be called back at once", "fields": ["name"]}
    status, told = await made.ask(asking, "POST", "/api/v1/openings", json=given)
    assert status == 201, told
    return re.search(r'"id":"([\w-]{22})"', told)[1]  # type: ignore[index]


async def _unwish(made: Whole) -> None:
    """All that stand, taken back."""
    keys: Any = await made.link.ask("KEYS", f"{made.prefix}:opening:*")
    if keys:
        await made.link.ask("DEL", *keys)


async def _stopped(made: Whole) -> str:
    """Somebody who has read too much."""
    person = made.people["colleague"]
    await made.link.ask("SET", f"{made.prefix}:reads:stop:{person.tenant}:{person.id}", 1)
    return person.id


async def _ref(made: Whole) -> str:
    return made.ref


async def _call(made: Whole) -> str:
    return Channel(NODE, made.channel).name


def _always(text: str) -> Callable[[Whole], Awaitable[str]]:
    async def fill(_: Whole) -> str:
        return text

    return fill


PARAMETERS: dict[str, Callable[[Whole], Awaitable[str]]] = {
    "ref": _ref,
    "call": _call,
    "opening": _wish,
    "person": _stopped,
    "action": _always("set_language"),
    "token": _always("x" * 43),
    "passkey": _always("x" * 22),
    "sum": _always(static_path().rpartition("/")[2]),
    "name": _always("desk.js"),
}
"""What stands in a path, made anew for each request where it is used up."""

BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/sign-in"): {"data": {"login": "who", "password": "wrong", "code": "123456"}},
    ("POST", "/sign-out"): {"data": {}},
    ("POST", "/welcome/{token}"): {"data": {"password": "x", "again": "x", "code": "123456", "sealed": "x"}},
    ("POST", "/api/v1/session"): {"json": {"login": "who", "password": "wrong", "code": "123456"}},
    ("DELETE", "/api/v1/session"): {},
    ("POST", "/api/v1/customers/{ref}/actions/{action}"): {"json": {"arguments": {"language": "sv"}}},
    ("POST", "/api/v1/people/{person}/reads/lift"): {"json": {"reason": "looked at together"}},
    ("POST", "/api/v1/openings"): {
        "json": {"ref": "a" * 12, "reason": "must be called back at once", "fields": ["name", "phones"]}
    },
    ("POST", "/api/v1/openings/{opening}/approval"): {},
    ("DELETE", "/api/v1/openings/{opening}"): {},
    ("POST", "/api/v1/calls/{call}/verification"): {"json": {"policy": "support"}},
    ("DELETE", "/api/v1/calls/{call}/mark"): {"json": {"why": "over"}},
    ("POST", "/api/v1/calls/{call}/token"): {"json": {"audience": AUDIENCE}},
    ("POST", "/api/v1/tokens/introspect"): {"data": {"token": "x.y.z"}},
    ("POST", "/api/v1/element/token"): {"json": {"login": "agent", "origin": ORIGIN}},
    ("POST", "/openings"): {"data": {"ref": "a" * 12, "reason": "must be called back at once", "field-name": "yes"}},
    ("POST", "/openings/{opening}"): {"data": {"do": "open"}},
    ("POST", "/sign-in/passkey"): {"data": {}},
    ("POST", "/sign-in/provider"): {"data": {}},
    ("POST", "/welcome/{token}/passkey"): {"data": {}},
    ("POST", "/account/passkey"): {"data": {}},
    ("POST", "/account/passkeys"): {"data": {}},
    ("POST", "/account/passkeys/{passkey}"): {"data": {"name": "x"}},
}
"""What is sent where something is changed. A route that stands in neither table fails the test: add it here."""


async def _walk(made: Whole, route: Route, visitor: Visitor) -> tuple[int, str]:
    place = route.path
    for name in re.findall(r"{(\w+)}", route.path):
        if name not in PARAMETERS:
            pytest.fail(f"{route.path}: {{{name}}} is not known here. Say in PARAMETERS what stands there")
        place = place.replace(f"{{{name}}}", await PARAMETERS[name](made))
    if route.lasts and route.path.startswith("/element/"):
        return await made.stream(visitor, place)
    if route.lasts:
        return await made.follow(visitor, place)
    given: dict[str, Any] = {}
    if route.method != "GET":
        if (route.method, route.path) not in BODIES:
            pytest.fail(f"{route.method} {route.path}: is not known here. Say in BODIES what is sent")
        given = dict(BODIES[route.method, route.path])
        for kind, fields in given.items():
            if "login" in fields:
                # one that nobody has tried: failures are counted
                given[kind] = {**fields, "login": f"who{made.calls}"}
            if "ref" in fields:
                given[kind] = {**fields, "ref": made.ref}
                await _unwish(made)
    return await made.ask(visitor, route.method, place, **given)


# By the proxy, by the name of the pattern: method, address, and what is sent.
PROXIED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "customer": ("GET", f"/api/customers/{NUMBER}", {}),
    "page": ("GET", f"/customers/{NUMBER}/orders", {}),
    "orders": ("GET", f"/api/orders?customer={NUMBER}", {}),
    "merge": ("POST", "/api/merge", {"json": {"from": {"id": NUMBER}, "to": [NUMBER]}}),
    "search": ("GET", "/api/search?q=a", {}),
    "listed": ("GET", f"/api/list/{NUMBER}", {}),
    "form": ("POST", f"/forms/{NUMBER}", {"data": {"note": "x"}}),
    "own": ("GET", "/by-ref/{ref}", {}),
    "no pattern": ("GET", "/elsewhere", {}),
}


def _few(route: Route) -> bool:
    return route.needs in (Open.ANYONE, Open.PROGRAM) and route.path != "/"


async def test_nothing_of_a_customer_before_verification_whatever_is_asked(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(PROXIED) == {*PATTERNS, "no pattern"}
    with closing(Ports()) as ports:
        async with whole(settings_in(tmp_path), server, ports, monkeypatch) as made:
            seen, given = await _walked(made)
    # what is open is open: the walk has looked where there is something to be seen
    assert {one for one in given if one[0] != "proxy"} == GIVES
    assert {name for kind, name in given if kind == "proxy"} >= {"customer", "page", "orders", "own"}
    page = _page(seen)
    if os.environ.get("DESK_MATRIX") == "write":
        PAGE.write_text(page)
    assert PAGE.read_text() == page, (
        "docs/matrix.md is another: DESK_MATRIX=write scripts/test tests/contract/test_desk_matrix.py"
    )


async def _walked(made: Whole) -> tuple[Seen, set[tuple[str, str]]]:
    """The statuses, and which answers have held a customer's data."""
    seen: Seen = defaultdict(dict)
    given: set[tuple[str, str]] = set()
    for state in STATES:
        for name in PROXIED:
            for role in ROLES:
                seen["proxy", name][role, state], told = await _through(made, name, role, state)
                if _held(told, PROXIED[name][1]):
                    assert role in READERS, (name, role, state)
                    assert state in OPEN - {"level 1"}, (name, role, state)
                    assert PHONE not in told or name != "customer", "its pattern wants level 3 for that"
                    given.add(("proxy", name))
        for route in ROUTES:
            if _few(route) and state not in FEW:
                continue
            for role in ROLES:
                await made.put(state, made.people[_whose(role)])
                status, told = await _walk(made, route, await made.visitor(role))
                key, where = (route.method, route.path), f"{route.method} {route.path}, {role}, {state}"
                seen[key][role, state] = status
                assert status < 500, f"{where}: {status}: {told}"
                if found := _held(told):
                    _may_hold(key, role, state, found, where)
                    given.add(key)
    return seen, given


async def _through(made: Whole, name: str, role: str, state: str) -> tuple[int, str]:
    method, place, sent = PROXIED[name]
    await made.put(state, made.people[_whose(role)])
    status, told = await made.through(await made.visitor(role), method, place.replace("{ref}", made.ref), **sent)
    assert status < 500, (name, role, state, status, told)
    return status, told


def _held(told: str, asked: str = "") -> set[str]:
    """What of customers' data is in an answer, but for what was asked by."""
    return {canary for canary in CANARIES if canary in told and canary not in asked}


def _may_hold(key: tuple[str, str], role: str, state: str, found: set[str], where: str) -> None:
    assert key in GIVES, (where, found)
    assert role in READERS, (where, found)
    assert state in OPEN or (state == "other customer" and key != _RECORD), (where, found)
    if state == "level 1":
        assert found <= {NAME, "Kanarie"}, (where, found)
    if state == "other customer":
        assert found <= {"Orvar Sidovagn", "Sidovagn"}, (where, found)


def _whose(role: str) -> str:
    """Whose call it is."""
    return "agent" if role in ("nobody", "colleague", "program", "element") else role


_RECORD = ("GET", "/api/v1/customers/{ref}/record")


# ---------------------------------------------------------------- the page

_HEAD = """# Who is answered what

Every route of the desk, walked by every role in every state of a call, with what came back. `scripts/test` walks them again, fails where a status is another, and
searches each answer for the customer's name, number and telephone: they stand nowhere before that customer is verified on a call of who asks. A route that is added is
walked by itself, for the list is the desk's own table, of which [the API's description](desk.md#the-api) is made.

The roles: *nobody* is not signed in, *colleague* is an agent while the call is another agent's of the same team, *disabled* and *ended* were agents, and the one of *other tenant* is an agent
there with a call of that tenant's own; *program* is one of the settings, with its secret, and *element* what such a program's page holds of the agent. The states are those of the own call: *other customer* is one who is verified, and not the one whose record is asked for; *third party* has
somebody else in the call; *hung up* and *ringing* have a mark, and nobody on the line. What stands for all is the same in all states, or for all roles.

A 404 behind `/welcome` is a link that nobody has; 303 leads to where one signs in; a 404 of `/crossing` is one that the proxy has not sent. [The proxy](proxy.md) is walked by
one address of each kind of pattern, before a CRM that tells everybody everything. What needs no one's permission, and knows nothing of calls, is walked in two states.
"""


def _page(seen: Seen) -> str:
    lines = [_HEAD, "| Route | Needs | Role | Status |", "|---|---|---|---|"]
    needs = {(route.method, route.path): route.needs for route in ROUTES}
    for key, cells in seen.items():
        states = [state for state in STATES if any(one == state for _, one in cells)]
        by_told: dict[str, list[str]] = defaultdict(list)
        for role in ROLES:
            by_told[_statuses({state: cells[role, state] for state in states})].append(role)
        need = needs.get(key)
        name = "call" if need is None else need.value if isinstance(need, Permission) else need.value.replace("_", " ")
        if key[0] == "proxy":
            method, place, _ = PROXIED[key[1]]
            first = f"by the proxy: `{method} {_spelled(place)}` | {name}"
        else:
            first = f"`{key[0]} {key[1]}` | {name}"
        usual = max(by_told, key=lambda told: len(by_told[told]))
        for told, roles in sorted(by_told.items(), key=lambda one: one[0] == usual):
            who = "all" if len(by_told) == 1 else "all others" if told == usual and len(roles) > 2 else ", ".join(roles)
            lines.append(f"| {first} | {who} | {told} |")
            first = " | "
    return "\n".join(lines) + "\n"


def _spelled(place: str) -> str:
    return place.replace(NUMBER, "{number}")


def _statuses(cells: dict[str, int]) -> str:
    by_status: dict[int, list[str]] = defaultdict(list)
    for state, status in cells.items():
        by_status[status].append(state)
    if len(by_status) == 1:
        return str(next(iter(by_status)))
    usual = max(by_status, key=lambda status: len(by_status[status]))
    told = [f"{status}: {_listed(states)}" for status, states in sorted(by_status.items()) if status != usual]
    return "; ".join([*told, f"{usual}: all else"])


def _listed(states: Iterable[str]) -> str:
    return ", ".join(states)
