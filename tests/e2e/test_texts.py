"""Calls verified with codes that real HTTP gateways were given: the first one, and the second where the first is down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
from rig.stage import ANNA, Customer, Stage, code_in
from rig.worker import Worker

from tests.contract.texts_kit import tables
from tests.contract.texts_server import PASSWORD, Drip, Never, Raw, Status, TextsServer, elks, twilio
from tests.e2e.scene import Scene

DANE = Customer("10005", "Dorte Dam", "+4520123456", "5927")
STAGE = {"customers": (ANNA, DANE)}


@dataclass
class Services:
    """46elks first, then Twilio."""

    elks: TextsServer
    twilio: TextsServer


@pytest.fixture
async def services() -> AsyncIterator[Services]:
    async with AsyncExitStack() as stack:
        yield Services(
            await stack.enter_async_context(TextsServer(elks)), await stack.enter_async_context(TextsServer(twilio))
        )


@pytest.fixture
def worker(stage: Stage, services: Services, request: pytest.FixtureRequest) -> Iterator[Worker]:
    """A worker whose gateways these are."""
    stage.write_config(
        {
            "texts": {"gateway": "46elks", "fallback": "twilio", "seconds": 4.0},
            **tables("46elks", services.elks.url),
            **tables("twilio", services.twilio.url),
        }
    )
    (stage.folder / "password").touch(0o600)
    (stage.folder / "password").write_text(PASSWORD)
    with stage.worker(request.node.name) as running:
        yield running


async def test_a_caller_keys_the_code_that_46elks_was_given(scene: Scene, services: Services) -> None:
    caller = await scene.caller()
    await scene.key_pin(caller)
    await scene.asked("sms_code")
    asked = await services.elks.until_asked(1)
    assert asked.form["to"] == ANNA.phones
    await caller.send_digits(code_in(asked.form["message"]))
    await scene.reached("verified", Status="verified", Level="2")
    assert services.twilio.connections == 0
    await _nothing_is_told(scene, asked.form["message"])


async def test_the_second_gateway_delivers_while_the_first_hangs(scene: Scene, services: Services) -> None:
    services.elks.always(Never())
    caller = await scene.caller()
    await scene.key_pin(caller)
    await scene.asked("sms_code")
    asked = await services.twilio.until_asked(1)
    assert asked.form["To"] == ANNA.phones
    assert asked.form["Body"] == services.elks.asked[0].form["message"]
    await caller.send_digits(code_in(asked.form["Body"]))
    await scene.reached("verified", Status="verified")
    (failed,) = scene.log("gateway.failed")
    assert (failed["gateway"], failed["error"]) == ("46elks", "no answer in time")
    # the gateways are shared by all calls, and their lines say for which one it was
    (started,) = scene.log("call.started")
    assert failed["call"] == started["call"]
    assert "place" not in failed
    await _nothing_is_told(scene, asked.form["Body"])


async def test_a_number_that_texts_do_not_go_to_hears_what_others_hear(scene: Scene, services: Services) -> None:
    caller = await scene.caller(who=DANE)
    await scene.key_pin(caller, DANE)
    await scene.asked("sms_code")
    barred = await scene.logged("text.barred")
    assert (barred["country"], barred["number"]) == ("DK", "+45…56")
    await caller.send_digits("135790")
    await scene.logged("step.wrong", step="sms_code")
    await caller.hang_up()
    assert services.elks.connections + services.twilio.connections == 0


async def test_while_both_are_down_the_caller_is_told_and_goes_on(scene: Scene, services: Services) -> None:
    services.elks.always(Status(403, "Not enough credits"))
    services.twilio.always(Status(500, ""))
    caller = await scene.caller()
    await scene.key_pin(caller)
    await scene.reached("unverified", Status="unavailable")
    assert [line["gateway"] for line in scene.log("gateway.failed")] == ["46elks", "twilio"]


async def test_rubbish_and_an_answer_without_end_are_no_answers(scene: Scene, services: Services) -> None:
    services.elks.always(Raw(b"\x16\x03\x01 no gateway speaks so\x00\xff" * 20))
    services.twilio.always(Drip())
    desk = await scene.phone("agent3")
    caller = await scene.caller()
    await scene.key_pin(caller)
    await scene.reached("unverified", Status="unavailable", Level="0")
    assert [line["gateway"] for line in scene.log("gateway.failed")] == ["46elks", "twilio"]
    await caller.hears()
    invite = await desk.incoming()
    assert invite.header("X-Caller-Auth") is None and scene.marks() == []
    (started,) = scene.log("call.started")
    assert [row["outcome"] for row in scene.audit() if row["call"] == started["call"]] == ["unavailable"]


async def test_a_command_tries_the_gateways(stage: Stage, worker: Worker, services: Services) -> None:
    services.elks.always(Status(401, "API access requires Basic HTTP authentication."))
    done = await asyncio.to_thread(stage.attempt, "texts", "test", "070-174 06 99")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("46elks: failed: it does not know username and password (401)")
    assert second.startswith("twilio: taken")
    assert services.twilio.asked[0].form["To"] == "+46701740699"
    done = await asyncio.to_thread(stage.attempt, "texts", "test", "+46701740699", "--gateway", "46elks")
    assert (done.returncode, len(services.twilio.asked)) == (1, 1)
    assert "No gateway took the text" in done.stderr
    done = await asyncio.to_thread(stage.attempt, "texts", "test", DANE.phones)
    assert done.returncode == 2
    assert "it is a number of DK, and texts go to SE" in done.stderr


async def _nothing_is_told(scene: Scene, text: str) -> None:
    """The worker's whole output at DEBUG has neither password, number nor code."""
    told = scene.worker.log_file.read_text()
    for canary in (PASSWORD, ANNA.phones.removeprefix("+"), code_in(text)):
        assert canary not in told, canary
