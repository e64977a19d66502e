"""The OpenAPI file against the desk that serves it: whatever it allows, or forbids, is answered as it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.specs.openapi.checks import positive_data_acceptance

from ivr.secret import Personal
from tests.contract.live_server import Server
from tests.contract.web_kit import VERIFIED, Desk, as_crm, crm, desk

pytestmark = pytest.mark.servers

# All checks that the library has are made, but for one of these: what they take stands in the settings, or hangs on which action it
# is, and no schema has it; so what fits the schema may be refused.
CHOSEN_ELSEWHERE = {
    "POST /api/v1/calls/{call}/verification": "policy",
    "POST /api/v1/calls/{call}/proof": "about",
    "POST /api/v1/calls/{call}/peer": "domain",
    "POST /api/v1/calls/{call}/token": "audience",
    "POST /api/v1/customers/{ref}/actions/{action}": "arguments",
    "POST /api/v1/element/token": "origin",
}
EXAMPLES = 100


@asynccontextmanager
async def opened(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    limits = "[desk.requests]\nper_minute = 100000\nstrangers_per_minute = 100000\n"
    async with desk(server, limits + crm(monkeypatch, "per_minute = 100000")) as made:
        yield made


@pytest.fixture
async def open_desk(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    async with opened(server, monkeypatch) as made:
        yield made


@dataclass(frozen=True)
class Asked:
    """Where it is asked, and by whom. `session`: whose connection is kept; else there is one for each request."""

    origin: str
    headers: Mapping[str, str]
    session: requests.Session | None = None


RIGHT, WRONG = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE


def asked(document: dict[str, Any], desks: Mapping[str, Asked], *modes: Any, examples: int) -> list[str]:
    """Ask each desk all that the file tells of, in a thread of its own; the operations."""
    done = []
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = found.ok()
        left_out = [positive_data_acceptance] if operation.label in CHOSEN_ELSEWHERE else []
        for mode in modes:
            # an operation that takes nothing can be asked nothing wrong
            with suppress(Unsatisfiable):
                _ask_each(operation.as_strategy(generation_mode=mode), desks, left_out, examples)
        done.append(operation.label)
    return done


def _ask_each(cases: Any, desks: Mapping[str, Asked], left_out: list[Any], examples: int) -> None:
    @settings(
        max_examples=examples, database=None, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=cases)
    def ask(case: Any) -> None:
        # to think of what to ask takes longer than to ask it
        for name, one in desks.items():
            note(name)
            case.call_and_validate(
                base_url=one.origin,
                headers=dict(one.headers),
                session=one.session,
                excluded_checks=left_out,
                timeout=10,
            )

    ask()


@pytest.mark.timeout(300)
async def test_the_desk_answers_as_its_description_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """One with nobody on the line, and one with a verified caller, each with a Redis of its own."""
    asking: dict[str, Asked] = {}
    async with AsyncExitStack() as stack:
        idle, busy = [
            await stack.enter_async_context(opened(stack.enter_context(Server()), monkeypatch)) for _ in range(2)
        ]
        busy.world.calls = (VERIFIED,)
        busy.world.record_of = {
            "name": Personal("Anna Andersson"),
            "phones": (Personal("+46701740601"),),
            "has_pin": True,
        }
        for name, one in {"nobody on the line": idle, "a verified caller": busy}.items():
            csrf = await one.sign_in()
            headers = {"Cookie": f"__Host-desk={one.cookie()}", "CSRF-Token": csrf, **as_crm()}
            asking[name] = Asked(one.origin, headers, stack.enter_context(closing(_connection())))
        document = await (await busy.get("/api/v1/openapi.json")).json()
        # the session would be over
        del document["paths"]["/api/v1/session"]["delete"]
        # who is not signed in: the test below
        for operation in (one for methods in document["paths"].values() for one in methods.values()):
            operation["security"] = []
        done = await asyncio.to_thread(asked, document, asking, RIGHT, WRONG, examples=EXAMPLES)
        assert len(done) == sum(len(methods) for methods in document["paths"].values()) > 10
        assert set(done) > CHOSEN_ELSEWHERE.keys()
        for one in (idle, busy):
            assert not [line for line in one.log.lines if line["event"] == "web.failed"]


def _connection() -> requests.Session:
    """Keeps no cookie, and knows nothing of this machine's proxies."""
    session = requests.Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.trust_env = False
    return session


@pytest.mark.parametrize("by", ["session", "program"])
async def test_what_wants_a_session_or_a_secret_gives_nothing_without(by: str, open_desk: Desk) -> None:
    """The library asks once more without, and with one that is made up, what was given with the right one."""
    csrf = await open_desk.sign_in()
    open_desk.world.calls = (VERIFIED,)
    document = await (await open_desk.get("/api/v1/openapi.json")).json()
    del document["paths"]["/api/v1/session"]["delete"]
    # with both it would say nothing: the one that the file does not name might be what counts
    headers = {"session": {"Cookie": f"__Host-desk={open_desk.cookie()}", "CSRF-Token": csrf}, "program": as_crm()}[by]
    document["paths"] = {
        place: methods
        for place, methods in document["paths"].items()
        if any(by in one for operation in methods.values() for one in operation["security"])
    }
    asking = {by: Asked(open_desk.origin, headers)}
    done = await asyncio.to_thread(asked, document, asking, RIGHT, examples=10)
    assert len(done) == sum(len(methods) for methods in document["paths"].values()) > 1
