"""The OpenAPI file against the desk that serves it: whatever it allows, or forbids, is answered as it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
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
    "POST /api/v1/calls/{call}/token": "audience",
    "POST /api/v1/customers/{ref}/actions/{action}": "arguments",
    "POST /api/v1/element/token": "origin",
}
EXAMPLES = 100


@pytest.fixture
async def open_desk(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    limits = "[desk.requests]\nper_minute = 100000\nstrangers_per_minute = 100000\n"
    async with desk(server, limits + crm(monkeypatch, "per_minute = 100000")) as made:
        yield made


RIGHT, WRONG = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE


def asked(document: dict[str, Any], origin: str, headers: dict[str, str], *modes: Any, examples: int) -> list[str]:
    """Ask all that the file tells of, in a thread of its own; the operations."""
    done = []
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = found.ok()
        left_out = [positive_data_acceptance] if operation.label in CHOSEN_ELSEWHERE else []
        for mode in modes:
            # an operation that takes nothing can be asked nothing wrong
            with suppress(Unsatisfiable):
                _ask_each(operation.as_strategy(generation_mode=mode), origin, headers, left_out, examples)
        done.append(operation.label)
    return done


def _ask_each(cases: Any, origin: str, headers: dict[str, str], left_out: list[Any], examples: int) -> None:
    @settings(
        max_examples=examples, database=None, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=cases)
    def ask(case: Any) -> None:
        case.call_and_validate(base_url=origin, headers=headers, excluded_checks=left_out, timeout=10)

    ask()


@pytest.mark.parametrize("open_call", [False, True])
@pytest.mark.timeout(300)
async def test_the_desk_answers_as_its_description_says(open_call: bool, open_desk: Desk) -> None:
    csrf = await open_desk.sign_in()
    if open_call:
        open_desk.world.calls = (VERIFIED,)
        open_desk.world.record_of = {
            "name": Personal("Anna Andersson"),
            "phones": (Personal("+46701740601"),),
            "has_pin": True,
        }
    document = await (await open_desk.get("/api/v1/openapi.json")).json()
    # the session would be over
    del document["paths"]["/api/v1/session"]["delete"]
    # who is not signed in: the test below
    for operation in (one for methods in document["paths"].values() for one in methods.values()):
        operation["security"] = []
    headers = {"Cookie": f"__Host-desk={open_desk.cookie()}", "CSRF-Token": csrf, **as_crm()}
    done = await asyncio.to_thread(asked, document, open_desk.origin, headers, RIGHT, WRONG, examples=EXAMPLES)
    assert len(done) == sum(len(methods) for methods in document["paths"].values()) > 10
    assert set(done) > CHOSEN_ELSEWHERE.keys()
    assert not [line for line in open_desk.log.lines if line["event"] == "web.failed"]


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
    done = await asyncio.to_thread(asked, document, open_desk.origin, headers, RIGHT, examples=10)
    assert len(done) == sum(len(methods) for methods in document["paths"].values()) > 1
