"""The second gateway takes over: on real servers, with all that an application has around its gateways."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ivr.call.ports import Texts
from ivr.errors import TextError
from ivr.secret import Personal
from ivr.sms import InTurn, in_turn, texts
from tests.contract.ari_log import Log
from tests.contract.texts_kit import TEXT, TO, no_canary, settings_in, shown, tables
from tests.contract.texts_server import Never, Raw, Status, TextsServer, elks, twilio, twilio_error

DANE = Personal("+4520123456")
PREMIUM = Personal("+46900123456")


@dataclass
class World:
    """46elks first, then Twilio."""

    first: TextsServer
    second: TextsServer
    texts: Texts
    gateways: InTurn
    log: Log

    async def send(self, to: Personal = TO) -> None:
        await self.texts.send(to, TEXT)

    @property
    def delivered(self) -> list[str]:
        """Whom each gateway was asked for, in the log's words."""
        return [line["gateway"] for line in self.log.of("gateway.took")]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(TextsServer(elks))
        second = await stack.enter_async_context(TextsServer(twilio))
        settings = settings_in(
            tmp_path,
            texts={"gateway": "46elks", "fallback": "twilio", "seconds": 2.0},
            **tables("46elks", first.url),
            **tables("twilio", second.url),
        )
        log = Log()
        gateways = in_turn(settings, log.logger)
        stack.push_async_callback(gateways.close)
        yield World(first, second, texts(settings, log.logger, gateways), gateways, log)


async def test_while_the_first_works_the_second_is_asked_nothing(world: World) -> None:
    for _ in range(3):
        await world.send()
    assert (len(world.first.asked), world.second.connections) == (3, 0)


@pytest.mark.parametrize(
    "rule",
    [
        Never(),
        Raw(b""),
        Raw(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"id'),
        Status(401, "API access requires Basic HTTP authentication."),
        Status(403, "Not enough credits"),
        Status(429, "", {"Retry-After": "3600"}),
        Status(500, "Traceback"),
        Status(503, ""),
        Status(200, "<html>"),
        Status(302, "", {"Location": "https://46elks.com"}),
        Status(403, "Invalid to number"),
    ],
    ids=["hangs", "cut", "half", "login", "credits", "busy", "fault", "away", "rubbish", "elsewhere", "number"],
)
async def test_the_second_takes_over(world: World, rule: Any) -> None:
    world.first.always(rule)
    await world.send()
    assert world.delivered == ["twilio"]
    assert world.second.asked[0].form["Body"] == TEXT.reveal() == world.first.asked[0].form["message"]
    no_canary(shown(None, world.log))


async def test_a_first_that_is_not_there(world: World) -> None:
    await world.first.stop()
    await world.send()
    assert world.delivered == ["twilio"]


async def test_both_are_down(world: World) -> None:
    world.first.always(Status(500, ""))
    world.second.always(Raw(b""))
    with pytest.raises(TextError, match="46elks: .*500.*; twilio: .*broke") as caught:
        await world.send()
    no_canary(shown(caught.value, world.log))
    with pytest.raises(TextError):
        await world.texts.pretend()


async def test_a_number_that_both_refuse_is_as_good_as_sent_to_whoever_calls(world: World) -> None:
    world.first.always(Status(403, "Invalid to number"))
    world.second.always(twilio_error(400, 21614, "'To' number is not a valid mobile number: +46701740601"))
    await world.send()
    await world.texts.pretend()
    assert [line["gateway"] for line in world.log.of("gateway.refused")] == ["46elks", "twilio"]
    no_canary(shown(None, world.log))


@pytest.mark.parametrize("down", ["first", "second"])
async def test_a_number_is_refused_where_one_works_and_the_other_is_down(world: World, down: str) -> None:
    """Texts to others go out, so this caller may not be told that none do."""
    refused, failed = Status(403, "Invalid to number"), Status(500, "")
    world.first.always(failed if down == "first" else refused)
    world.second.always(failed if down == "second" else twilio_error(400, 21211, "no"))
    await world.send()
    await world.texts.pretend()


async def test_a_gateway_that_fails_again_and_again_is_asked_last(world: World) -> None:
    world.first.always(Status(500, ""))
    for _ in range(5):
        await world.send()
    assert (len(world.first.asked), len(world.second.asked)) == (3, 5)
    (line,) = world.log.of("gateway.rests")
    assert (line["gateway"], line["failures"]) == ("46elks", 3)
    # last is not never
    world.second.always(Status(500, ""))
    world.first.always(None)
    await world.send()
    assert world.delivered[-1] == "46elks"
    assert len(world.log.of("gateway.back")) == 1
    await world.send()
    assert world.delivered[-1] == "46elks"


@pytest.mark.parametrize(("to", "country", "why"), [(DANE, "DK", "country"), (PREMIUM, "SE", "premium rate")])
async def test_no_text_goes_to_a_number_that_is_barred(world: World, to: Personal, country: str, why: str) -> None:
    await world.send(to)
    (line,) = world.log.of("text.barred")
    assert (line["country"], line["why"], line["number"]) == (country, why, to.masked)
    assert (world.first.connections, world.second.connections) == (0, 0)


async def test_a_barred_number_fails_where_others_do(world: World) -> None:
    world.first.always(Status(500, ""))
    world.second.always(Status(500, ""))
    with pytest.raises(TextError):
        await world.send()
    asked = len(world.first.asked)
    with pytest.raises(TextError, match="latest"):
        await world.send(DANE)
    assert len(world.first.asked) == asked
