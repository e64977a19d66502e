"""A broker's ping: whose it is, and that nothing comes of one that is not."""

from __future__ import annotations

import asyncio
import gc
import json

import pytest
from pydantic import ValidationError

from ivr.eid import Pings, pinging
from ivr.eid.ping import Ping, read
from ivr.secret import Secret
from tests.unit.fakes import settings

TOKEN, ORDER = Secret("canary-token-1"), Secret("canary-order-1")
BODY = Secret('{"auth_req_id": "canary-order-1"}')
BEARER = {"authorization": "Bearer canary-token-1"}


def ping(broker: str = "example", token: Secret = TOKEN, order: Secret = ORDER) -> bytes:
    return Ping(broker, token, order).words


async def rung(waiting: object) -> bool:
    try:
        async with asyncio.timeout(0):
            await waiting.came()  # type: ignore[attr-defined]
    except TimeoutError:
        return False
    return True


async def test_whoever_waits_for_it_is_told() -> None:
    pings = Pings()
    expected, another = pings.expect("example", TOKEN), pings.expect("example", Secret("other"))
    expected.of(ORDER)
    another.of(ORDER)
    pings.told(ping())
    assert await rung(expected)
    assert not await rung(another)


async def test_one_that_is_quicker_than_the_answer_counts() -> None:
    pings = Pings()
    expected = pings.expect("example", TOKEN)
    pings.told(ping())
    assert not await rung(expected), "nobody knows yet which order that is"
    expected.of(ORDER)
    assert await rung(expected)


@pytest.mark.parametrize(
    "words",
    [
        ping(token=Secret("canary-token-2")),
        ping(order=Secret("canary-order-2")),
        ping("another"),
        ping(token=ORDER, order=TOKEN),
        b"",
        b"{}",
        b"[1]",
        b"\xff",
        json.dumps({"token": 1, "order": None}).encode(),
        json.dumps({"token": "canary-token-1", "order": "canary-order-1"}).encode(),
    ],
)
async def test_of_a_forged_one_nothing_comes(words: bytes) -> None:
    pings = Pings()
    expected = pings.expect("example", TOKEN)
    pings.told(words)
    expected.of(ORDER)
    pings.told(words)
    assert not await rung(expected)


async def test_nobody_is_told_who_waits_no_longer() -> None:
    pings = Pings()
    expected = pings.expect("example", TOKEN)
    expected.of(ORDER)
    assert len(pings._expected) == 1
    del expected
    gc.collect()
    assert len(pings._expected) == 0
    pings.told(ping())


def test_what_is_told_has_neither_token_nor_order_in_it() -> None:
    assert b"canary" not in ping()
    assert "canary" not in repr(Ping("example", TOKEN, ORDER))


def test_what_a_broker_posts() -> None:
    assert read({"example", "other"}, Secret("example"), BEARER, BODY) == Ping("example", TOKEN, ORDER)
    more = Secret('{"auth_req_id": "canary-order-1", "id_token": "a.b.c"}')
    assert read({"example"}, Secret("example"), {"authorization": "bearer  canary-token-1"}, more) is not None


@pytest.mark.parametrize(
    ("name", "headers", "body"),
    [
        ("nobody", BEARER, BODY),
        ("", BEARER, BODY),
        ("example", {}, BODY),
        ("example", {"authorization": "Basic canary-token-1"}, BODY),
        ("example", {"authorization": "Bearer "}, BODY),
        ("example", {"authorization": "Bearer a b"}, BODY),
        ("example", {"authorization": "Bearer \u0661"}, BODY),
        ("example", BEARER, Secret("")),
        ("example", BEARER, Secret("{")),
        ("example", BEARER, Secret("[" * 5000)),
        ("example", BEARER, Secret("{}")),
        ("example", BEARER, Secret('["canary-order-1"]')),
        ("example", BEARER, Secret('{"auth_req_id": ""}')),
        ("example", BEARER, Secret('{"auth_req_id": 1}')),
        ("example", BEARER, Secret('{"auth_req_id": ["canary-order-1"]}')),
    ],
)
def test_what_is_none(name: str, headers: dict[str, str], body: Secret) -> None:
    assert read({"example"}, Secret(name), headers, body) is None


def test_who_is_to_ping_must_have_an_address_for_it() -> None:
    broker = {"issuer": "https://eid.example", "client_id": "t", "client_secret_file": "s", "acr": {"high": 3}}
    pings = {"brokers": {"example": {**broker, "mode": "ping"}, "other": broker}}
    with pytest.raises(ValidationError, match=r'\[eid.brokers.example\] mode is "ping", and there is no \[page\] url'):
        settings(eid=pings, page={})
    assert pinging(settings(eid=pings)) == frozenset({"example"})
    assert pinging(settings()) == frozenset()
