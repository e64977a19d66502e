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
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from ivr.secret import Personal
from tests.contract.live_server import Server
from tests.contract.web_kit import VERIFIED, Desk, as_crm, crm, desk

pytestmark = pytest.mark.servers

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance, negative_data_rejection, unsupported_method,
]  # fmt: skip
EXAMPLES = 100


@pytest.fixture
async def open_desk(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    limits = "[desk.requests]\nper_minute = 100000\nstrangers_per_minute = 100000\n"
    async with desk(server, limits + crm(monkeypatch, "per_minute = 100000")) as made:
        yield made


def asked(document: dict[str, Any], origin: str, headers: dict[str, str]) -> list[str]:
    """Ask all that the file tells of, in a thread of its own; the operations."""
    done = []
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = found.ok()
        for mode in schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE:
            # an operation that takes nothing can be asked nothing wrong
            with suppress(Unsatisfiable):
                _ask_each(operation.as_strategy(generation_mode=mode), origin, headers)
        done.append(operation.label)
    return done


def _ask_each(cases: Any, origin: str, headers: dict[str, str]) -> None:
    @settings(
        max_examples=EXAMPLES, database=None, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=cases)
    def ask(case: Any) -> None:
        case.call_and_validate(base_url=origin, headers=headers, checks=CHECKS, timeout=10)

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
    # who is not signed in: tests/contract/test_desk_server.py
    for operation in (one for methods in document["paths"].values() for one in methods.values()):
        operation["security"] = []
    headers = {"Cookie": f"__Host-desk={open_desk.cookie()}", "CSRF-Token": csrf, **as_crm()}
    done = await asyncio.to_thread(asked, document, open_desk.origin, headers)
    assert len(done) == sum(len(methods) for methods in document["paths"].values()) > 10
    assert not [line for line in open_desk.log.lines if line["event"] == "web.failed"]
