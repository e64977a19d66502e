"""Every route, in every state of a call, by every role: nothing of a customer before that customer is verified.

`DESK_MATRIX=write scripts/test tests/contract/test_desk_matrix.py` writes docs/matrix.md anew.
"""

from __future__ import annotations

import asyncio
import base64
import html
import os
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson
import pytest
from rig.ports import Ports

from ivr.lock.actions import ACTIONS
from ivr.staff import Permission
from ivr.web import team
from ivr.web.guard import Open
from ivr.web.live import Kind
from ivr.web.render import static_path
from ivr.web.route import Route
from ivr.web.routes import ROUTES
from tests.contract.keys_kit import whose
from tests.contract.live_server import Server
from tests.contract.matrix_calls import ANNA, CALLER, CUSTOMERS, OPEN, OTHER, STATES, STRANGER
from tests.contract.matrix_kit import AUDIENCE, MEMBER, ORIGIN, OVER_OTHERS, READERS, ROLES, Visitor, Whole, whole
from tests.contract.matrix_right import RIGHT
from tests.contract.proxy_kit import PATTERNS
from tests.unit.database_kit import settings_in

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]

PAGE = Path(__file__).parents[2] / "docs" / "matrix.md"

Seen = dict[tuple[str, str], dict[tuple[str, str], int]]
"""By method and path, the status of each role in each state."""

# What a verified caller's data may stand in. All else says nothing of it to anybody.
GIVES = {
    ("GET", "/"), ("GET", "/live"), ("GET", "/element/live"), ("GET", "/api/v1/calls/current"), ("GET", "/api/v1/customers/{ref}/record"),
    ("GET", "/api/v1/openings/{opening}/record"), ("POST", "/openings/{opening}"),
}  # fmt: skip
_RECORD = ("GET", "/api/v1/customers/{ref}/record")
_ACTION = ("POST", "/api/v1/customers/{ref}/actions/{action}")
_OPENED = {("GET", "/api/v1/openings/{opening}/record"), ("POST", "/openings/{opening}")}
# What is the same whatever goes on: walked in two states by all, and in the others by the agent.
FEW = ("no call", "level 2")
_HALVES = 2
# What monitoring asks stands beside the table.
BESIDE = {("GET", "/healthz"), ("GET", "/readyz")}
# Whole numbers of who calls: nobody at the desk is shown one.
_NEVER = (CALLER, CALLER[3:], STRANGER, STRANGER[3:])


@asynccontextmanager
async def _made(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Whole]:
    tmp_path.mkdir(exist_ok=True)
    with closing(Ports()) as ports:
        async with whole(settings_in(tmp_path), server, ports, monkeypatch) as made:
            yield made


# ---------------------------------------------------------------- how each is filled in


async def _opening(made: Whole, role: str) -> str:
    """One's own that is open, where that is the state; else somebody else's wish, that waits."""
    if made.line.state == "opened":
        return await made.line.open_for(made.whose(role), made.people["data_owner"])
    await made.line.no_wishes()
    asking = await made.visitor("colleague")
    given = {"ref": made.line.asked.ref, "reason": "must be called back at once", "fields": ["name"]}
    status, told = await made.ask(asking, "POST", "/api/v1/openings", json=given)
    assert status == 201, told
    return re.search(r'"id":"([\w-]{22})"', told)[1]  # type: ignore[index]


async def _stopped(made: Whole, _: str) -> str:
    """Somebody who has read too much."""
    person = made.people["colleague"]
    await made.line.link.ask("SET", f"{made.line.prefix}:reads:stop:{person.tenant}:{person.id}", 1)
    return person.id


async def _member(made: Whole, role: str) -> str:
    """Somebody who does nothing else here, and whom nobody has disabled yet."""
    member = made.people[MEMBER]
    if role == "administrator":
        async with made.house.database.write() as connection:
            await made.house.roster.enable(connection, member)
    return member.id


async def _ref(made: Whole, _: str) -> str:
    return made.line.asked.ref


async def _call(made: Whole, _: str) -> str:
    return made.line.call


def _always(text: str) -> Fill:
    async def fill(_: Whole, __: str) -> str:
        return text

    return fill


Fill = Callable[[Whole, str], Awaitable[str]]

PARAMETERS: dict[str, Fill] = {
    "ref": _ref,
    "call": _call,
    "opening": _opening,
    "person": _stopped,
    "member": _member,
    "action": _always("set_language"),
    "dial": _always("x" * 22),
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
    ("POST", "/api/v1/calls/{call}/proof"): {"json": {"way": "text", "about": "case"}},
    ("POST", "/api/v1/calls/{call}/proof/speech"): {},
    ("DELETE", "/api/v1/calls/{call}/proof"): {},
    ("POST", "/api/v1/dials"): {"json": {"customer": "a" * 12}},
    ("DELETE", "/api/v1/dials/{dial}"): {},
    ("POST", "/api/v1/calls/{call}/peer"): {"json": {"domain": "hospital.example"}},
    ("POST", "/api/v1/calls/{call}/peer/read"): {"json": {"code": "481650"}},
    ("DELETE", "/api/v1/calls/{call}/mark"): {"json": {"why": "over"}},
    ("POST", "/api/v1/calls/{call}/token"): {"json": {"audience": AUDIENCE}},
    ("POST", "/api/v1/tokens/introspect"): {"data": {"token": "x.y.z"}},
    ("POST", "/api/v1/element/token"): {"json": {"login": "agent", "origin": ORIGIN}},
    ("POST", "/openings"): {"data": {"ref": "a" * 12, "reason": "must be called back at once", "field-name": "yes"}},
    ("POST", "/openings/{opening}"): {"data": {"do": "open"}},
    ("POST", "/api/v1/people/{member}/disable"): {},
    ("POST", "/api/v1/people/{member}/enable"): {},
    ("POST", "/api/v1/people/{member}/reset"): {},
    ("POST", "/staff/{member}"): {"data": {"do": "enable"}},
    ("POST", "/sign-in/passkey"): {"data": {}},
    ("POST", "/sign-in/provider"): {"data": {}},
    ("POST", "/welcome/{token}/passkey"): {"data": {}},
    ("POST", "/account/passkey"): {"data": {}},
    ("POST", "/account/passkeys"): {"data": {}},
    ("POST", "/account/passkeys/{passkey}"): {"data": {"name": "x"}},
}
"""What is sent where something is changed. A route that stands in neither table fails the test: add it here."""


async def _place(made: Whole, route: Route, role: str) -> str:
    place = route.path
    for name in re.findall(r"{(\w+)}", route.path):
        if name not in PARAMETERS:
            pytest.fail(f"{route.path}: {{{name}}} is not known here. Say in PARAMETERS what stands there")
        place = place.replace(f"{{{name}}}", await PARAMETERS[name](made, role))
    return place


async def _walk(made: Whole, route: Route, visitor: Visitor) -> tuple[int, str]:
    place = await _place(made, route, visitor.role)
    if route.lasts:
        async with made.opened(visitor, place) as (status, frames):
            # the element's head, its words, and what it shows
            count = 3 if status == 200 else 1
            return status, "".join([await anext(frames) for _ in range(count)])
    given: dict[str, Any] = {}
    if route.method != "GET":
        if (route.method, route.path) not in BODIES:
            pytest.fail(f"{route.method} {route.path}: is not known here. Say in BODIES what is sent")
        given = dict(BODIES[route.method, route.path])
        for kind, fields in given.items():
            if "login" in fields:
                # one that nobody has tried: failures are counted
                given[kind] = {**fields, "login": f"who{made.line.calls}"}
            if fields.get("ref"):
                given[kind] = {**fields, "ref": made.line.asked.ref}
                await made.line.no_wishes()
    return await made.ask(visitor, route.method, place, **given)


# By the proxy, by the name of the pattern: method, address, and what is sent.
PROXIED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "customer": ("GET", "/api/customers/{number}", {}),
    "customer, changed": ("PUT", "/api/customers/{number}", {"json": {"name": "x"}}),
    "page": ("GET", "/customers/{number}/orders", {}),
    "orders": ("GET", "/api/orders?customer={number}", {}),
    "merge": ("POST", "/api/merge", {"json": {"from": {"id": "{number}"}, "to": ["{number}"]}}),
    "search": ("GET", "/api/search?q=a", {}),
    "listed": ("GET", "/api/list/{number}", {}),
    "form": ("POST", "/forms/{number}", {"data": {"note": "x"}}),
    "own": ("GET", "/by-ref/{ref}", {}),
    "free": ("GET", "/assets/app.js", {}),
    "no pattern": ("GET", "/elsewhere", {}),
}


def _few(route: Route) -> bool:
    return route.needs in (Open.ANYONE, Open.PROGRAM) and route.path != "/"


# ---------------------------------------------------------------- the walk


async def test_nothing_of_a_customer_before_verification_whatever_is_asked(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {name.partition(",")[0] for name in PROXIED} == {*PATTERNS, "free", "no pattern"}
    assert {"set_language", *(one.said.rpartition("/")[2] for one in RIGHT[_ACTION])} == set(ACTIONS)
    seen: Seen = defaultdict(dict)
    given: set[tuple[str, str]] = set()
    async with AsyncExitStack() as stack:
        # side by side: each waits most of the time
        desks = [
            await stack.enter_async_context(_made(server, tmp_path / str(half), monkeypatch)) for half in range(_HALVES)
        ]
        await _nothing_is_left_out(desks[0])
        walks = [_walked(made, STATES[half::_HALVES], seen, given) for half, made in enumerate(desks)]
        await asyncio.gather(*walks)
        kinds, wrong = _of_tenants(desks, server)
    assert wrong == [], "a key of Redis that is of no kind, or misses its tenant"
    assert kinds >= {"session", "opening:one", "opening:by", "reads:of", "tries:login", "element"}
    # what is open is open: the walk has looked where there is something to be seen
    assert {one for one in given if one[0] != "proxy"} == GIVES
    assert {name for kind, name in given if kind == "proxy"} == {*PROXIED} - {"free", "no pattern"}
    page = _page(seen)
    if os.environ.get("DESK_MATRIX") == "write":
        PAGE.write_text(page)
    assert PAGE.read_text() == page, (
        "docs/matrix.md is another: DESK_MATRIX=write scripts/test tests/contract/test_desk_matrix.py"
    )


def _of_tenants(desks: Iterable[Whole], server: Server) -> tuple[set[str], list[str]]:
    """What the walk has left in Redis: the kinds of keys that are a tenant's, and what is of no kind, or misses its tenant."""
    prefixes = {made.line.prefix for made in desks}
    tenants = frozenset(person.tenant for made in desks for person in made.people.values())
    return whose(server.client.keys(), f"(?:{'|'.join(prefixes)})", tenants)


async def _nothing_is_left_out(made: Whole) -> None:
    """The table is all that is served, and has all that the API's description has."""
    table = {(route.method, route.path) for route in ROUTES}
    there = {(route.method, route.resource.canonical) for route in made.desk.app.router.routes() if route.resource}
    assert {one for one in there if one[0] not in ("HEAD", "OPTIONS")} == table | BESIDE
    _, told = await made.ask(await made.visitor("nobody"), "GET", "/api/v1/openapi.json")
    described = orjson.loads(told.rpartition("\n")[2])["paths"]
    assert table >= {(method.upper(), path) for path, methods in described.items() for method in methods}


async def _walked(made: Whole, states: Iterable[str], seen: Seen, given: set[tuple[str, str]]) -> None:
    """Notes the statuses, and which answers have held a customer's data."""
    for state in states:
        for name in PROXIED:
            for role in ROLES:
                seen["proxy", name][role, state], held = await _through(made, name, role, state)
                if held:
                    given.add(("proxy", name))
        for route in ROUTES:
            for role in ROLES if state in FEW or not _few(route) else ("agent",):
                await made.put(state, role)
                where = f"{route.method} {route.path}, {role}, {state}"
                status, told = await _walk(made, route, await made.visitor(role))
                key = route.method, route.path
                _noted(key, key, role, state, status, told, where, seen, given)
                _of_no_other_tenant(made, role, route.path, told, where)
                if _ends_session(route):
                    made.gone(role)
            for right in RIGHT.get((route.method, route.path), ()):
                for role in right.roles if state in FEW or not right.few else ():
                    await made.put(state, role)
                    where = f"{right.said}, {role}, {state}"
                    status, told = await right.ask(made, await made.visitor(role))
                    key = route.method, route.path
                    _noted(key, ("", right.said), role, state, status, told, where, seen, given)
                    _of_no_other_tenant(made, role, route.path, told, where)
        for place in ("/healthz", "/readyz"):
            assert not _held((await made.ask(await made.visitor("agent"), "GET", place))[1])


def _noted(
    key: tuple[str, str], row: tuple[str, str], role: str, state: str, status: int, told: str, where: str, seen: Seen,
    given: set[tuple[str, str]],
) -> None:  # fmt: skip
    seen[row][role, state] = status
    assert status < 500, f"{where}: {status}: {told}"
    if found := _held(told):
        _may_hold(key, role, state, found, where)
        given.add(key)


def _of_no_other_tenant(made: Whole, role: str, path: str, told: str, where: object) -> None:
    """Not even by what we call them are customers known in another tenant, but for what somebody there has typed."""
    if role == "other tenant":
        typed = {made.line.asked.ref} if "{ref}" in path or "openings" in path else set()
        text = laid_open(told)
        refs = {known.ref for known in made.line.customers.values() if known.ref in text}
        assert refs <= typed, (where, refs)


async def _through(made: Whole, name: str, role: str, state: str) -> tuple[int, bool]:
    """The status, and whether the answer has held a customer's data."""
    await made.put(state, role)
    method, place, sent = PROXIED[name]
    known, before = made.line.asked, made.crm.asked
    place, sent = _filled(place, known.number, known.ref), _filled(sent, known.number, known.ref)
    status, told = await made.through(await made.visitor(role), method, place, **sent)
    where = (name, role, state)
    assert status < 500, (*where, status, told)
    verified = role in READERS - {"element"} and state in OPEN - {"level 1"}
    # a search says in its answer alone whom it is about
    searched = name == "search" and role in READERS and state == "other customer"
    assert verified or searched or made.crm.asked == before, (*where, "the CRM was asked")
    _of_no_other_tenant(made, role, PROXIED[name][1], told, where)
    found = _held(told) - ({known.number} if known.number in place else set())
    assert verified or not found, (*where, found)
    assert known.phone not in found or name != "customer" or state == "level 3", (
        *where,
        "its pattern wants level 3 for that",
    )
    return status, bool(found)


def _filled(what: Any, number: str, ref: str) -> Any:
    if isinstance(what, dict):
        return {key: _filled(value, number, ref) for key, value in what.items()}
    if isinstance(what, list):
        return [_filled(value, number, ref) for value in what]
    return what.replace("{number}", number).replace("{ref}", ref)


def _held(told: str) -> set[str]:
    """What of customers' data is in an answer, in whatever spelling."""
    heads, _, body = told.partition("\n")
    return {*_found(heads), *_found(body)}


@lru_cache(maxsize=512)
def _found(told: str) -> frozenset[str]:
    # many bodies are the same for all
    text = laid_open(told)
    assert not any(number in text for number in _NEVER), told
    return frozenset({canary for known in CUSTOMERS for canary in known.canaries if canary in text})


def laid_open(told: str) -> str:
    """With what is written in base64 (a token, a cursor), in a page's or an address's way, or as JSON may."""
    plain = html.unescape(unquote(told))
    plain = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), plain)
    runs = [run[: len(run) - (len(run) % 4 == 1)] for run in re.findall(r"[A-Za-z0-9_-]{8,}", plain)]
    inside = [base64.urlsafe_b64decode(run + "=" * (-len(run) % 4)).decode(errors="replace") for run in runs]
    return "\n".join([plain, *inside])


def _may_hold(key: tuple[str, str], role: str, state: str, found: set[str], where: str) -> None:
    assert key in GIVES, (where, found)
    assert role in READERS, (where, found)
    if key in _OPENED:
        assert state == "opened" and found <= ANNA.canaries - {ANNA.number}, (where, found)
        return
    assert state in OPEN or (state == "other customer" and key != _RECORD), (where, found)
    whose = OTHER if state == "other customer" else ANNA
    told = set(whose.name.split())
    if key == _RECORD and state != "level 1":
        # telephones take level 3 here
        told |= whose.canaries if state == "level 3" else {whose.number}
    assert found <= told, (where, found)


def _ends_session(route: Route) -> bool:
    return (route.method, route.path) in (("POST", "/sign-out"), ("DELETE", "/api/v1/session"))


@pytest.mark.parametrize("spelled", ["Kanariefågel", "&#75;anariefågel", "%4Banariefågel", "\\u004banariefågel"])
def test_what_the_walk_looks_for_it_finds_in_every_spelling(spelled: str) -> None:
    for said in (spelled, f'{{"name":"{spelled}"}}'):
        assert "Kanariefågel" in laid_open(said)
    for padding in range(3):
        claims = base64.urlsafe_b64encode(b'{"a":"%s","name":"Kanarief\xc3\xa5gel"}' % (b"x" * padding)).rstrip(b"=")
        assert "Kanariefågel" in laid_open(f'{{"token":"eyJhbGciOiJFZERTQSJ9.{claims.decode()}.c2ln"}}')


# ---------------------------------------------------------------- pages that stay open

NO_CALL = frozenset({"no call", "ringing", "hung up", "colleague", "opened"})
"""Of which nothing is shown."""
LASTING = {
    "/live": ("agent", "granted", "supervisor", "other tenant"),
    "/team/live": ("supervisor", "watching", "other team"),
    "/element/live": ("element",),
}
# It tells of wishes, whatever goes on on the line: the walk looks at what it says.
NO_CALLS = {"/openings/live"}


@pytest.mark.parametrize("path", LASTING)
async def test_an_open_page_is_told_nothing_of_a_customer_before_verification_however_calls_change(
    path: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {route.path for route in ROUTES if route.lasts} == LASTING.keys() | NO_CALLS
    monkeypatch.setattr(team, "KIND", Kind("team", Permission.WATCH, all=True))
    async with _made(server, tmp_path, monkeypatch) as made:
        for role in LASTING[path]:
            async with made.opened(await made.visitor(role), path) as (_, frames):
                for state in STATES:
                    # what was open before must go, too
                    for one in ("level 2", state):
                        await made.put(one, role)
                        shown = made.line.call
                        if path == "/team/live":
                            # their own team's calls alone
                            own = made.line.put_beside(made.people[role]) if role == "other team" else made.line.channel
                            shown = f"/{own}"
                        none = role != "other team" and one in NO_CALL
                        made.line.talks.tell(*made.whose(role).endpoints)
                        async for frame in frames:
                            _of_no_other_tenant(made, role, path, frame, (path, state))
                            if _looked_at(frame, role, path, one, shown, none=none):
                                break


def _looked_at(frame: str, role: str, path: str, state: str, shown: str, *, none: bool) -> bool:
    """Whether it shows this very call, or none where there is none; one may be told of the call before once more."""
    view = orjson.loads(frame) if frame.startswith("{") else {}
    calls = view.get("view", view).get("calls")
    here = calls is not None and any(call["id"].endswith(shown) for call in calls)
    if found := _held(frame):
        where = (path, role, state, found)
        assert role in READERS and path != "/team/live", where
        assert not here or state in {*OPEN, "other customer"}, where
        assert not here or found <= set((OTHER if state == "other customer" else ANNA).name.split()), where
        assert not (none and calls == []), where
    return calls == [] if none else here


# ---------------------------------------------------------------- the page

_HEAD = """# Who is answered what

Every route of the desk, walked by every role in every state of a call, with what came back. `scripts/test` walks them again, fails where a status is another, and
searches each answer, its headers and what is in base64 there for the customers' names, numbers and telephones: they stand nowhere before that customer is verified on a call of who asks. Another tenant is not told Tillit's own reference of them, either. A route that is added is
walked by itself, for the list is the desk's own table, of which [the API's description](desk.md#the-api) is made. Pages that stay open are looked at while one state comes after the other.

| Role | |
|---|---|
| nobody | is not signed in |
| agent, supervisor, administrator, auditor, data_owner | have the call themselves |
| denied, granted | an agent whom `call` was taken from, and an auditor who was given it; the call is their own |
| colleague, watching, other team | an agent and a supervisor of the team, and a supervisor of another one, while the call is the agent's |
| other tenant | an agent there, with the call on a phone of that tenant |
| other administrator, other auditor | of that tenant: they walk what shows or changes people and the audit trail, and name this tenant's people |
| disabled, ended | were agents; the session was ended |
| program, element | one of the settings, with its secret, and what such a program's page holds of the agent |

| State of the own call | |
|---|---|
| ringing, hung up | the caller bears a mark, and nobody is on the line. So it is of a caller who is parked |
| verifying, keying | before the agent has the caller; in mid-call, while the agent waits |
| level 1, level 2, level 3 | verified |
| other customer | verified, and not the one whose record is asked for |
| third party, two customers | somebody else is in the same call, verified or not |
| two calls, somebody else meanwhile | a second caller on the same phone, while the first one is not on hold, or is |
| held, asking a colleague | the verified caller is on hold, while nobody else is there, or a colleague |
| colleague | nobody from outside |
| locked | verified, and locked since then |
| opened | no call, and [a second person has agreed](lock.md#without-a-call) to open the record |

What stands for all is the same in all states, or for all roles that are named. All levels are those of [the settings](configuration.md) unless changed, but for the telephones, which take level 3 here.

A 404 behind `/welcome` is a link that nobody has; 303 leads to where one signs in, or to the page of the own role; a 404 of `/crossing` is one that the proxy has not sent. [The proxy](proxy.md) is walked by
one address of each kind of pattern, before a CRM that tells everybody everything and refuses all changes (422): nothing of a request that is refused here comes to it; one whose row cannot be written, or whose caller goes meanwhile, is [in no cell](proxy.md#what-is-read). What needs no one's permission, and knows nothing of calls, is walked in two states by all, and in
all others by the agent. A row of its own has what is right there: a login with its password and code, a link, a token. One that was issued at level 2 is told to be good while that caller is this agent's, verified at no less, and in no other state.
"""


def _page(seen: Seen) -> str:
    lines = [_HEAD, "| Route | Needs | Role | Status |", "|---|---|---|---|"]
    needs = {(route.method, route.path): route.needs for route in ROUTES}
    behind = {("", right.said): key for key, more in RIGHT.items() for right in more}
    rows = [row for key in needs for row in (key, *(one for one, of in behind.items() if of == key))]
    for key in (*(("proxy", name) for name in PROXIED), *rows):
        cells = seen[key]
        by_told: dict[str, list[str]] = defaultdict(list)
        for role in (*ROLES, *OVER_OTHERS):
            if told_of := {state: cells[role, state] for state in STATES if (role, state) in cells}:
                by_told[_statuses(told_of)].append(role)
        need = needs.get(behind.get(key, key))
        name = "call" if need is None else need.value if isinstance(need, Permission) else need.value.replace("_", " ")
        if key[0] == "proxy":
            method, place, _ = PROXIED[key[1]]
            first = f"by the proxy: `{method} {place}` | {name}"
        else:
            asked, _, how = " ".join(key).strip().partition(", ")
            first = f"`{asked}`{', ' if how else ''}{how} | {name}"
        usual = max(by_told, key=lambda told: len(by_told[told]))
        for told, roles in sorted(by_told.items(), key=lambda one: one[0] == usual):
            every = sum(map(len, by_told.values())) == len(ROLES)
            who = (
                "all"
                if len(roles) == len(ROLES)
                else "all others"
                if every and told == usual and len(roles) > 2
                else ", ".join(roles)
            )
            lines.append(f"| {first} | {who} | {told} |")
            first = " | "
    return "\n".join(lines) + "\n"


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
