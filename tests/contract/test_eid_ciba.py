"""Brokers: CIBA and the code flow against npm's oidc-provider, and against one that signs what it should not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qs, parse_qsl, urlsplit

import aiohttp
import pytest
from joserfc.jwk import RSAKey
from pydantic import ValidationError

from ivr.call.ports.eid import Done, Ended, Order, Pending
from ivr.config import Settings
from ivr.config.eid import Eids
from ivr.eid.ciba import Ciba
from ivr.eid.code import Code, Flow
from ivr.errors import ConfigError, EidError
from ivr.secret import Secret
from tests.contract.ari_log import Log
from tests.contract.broker_kit import (
    SECRET,
    ForgingBroker,
    RealBroker,
    broker_settings,
    forging_broker,
    real_broker,
)
from tests.contract.eid_kit import ANOTHER, WHO, asked, no_canary, shown
from tests.contract.texts_server import Never, Status, TextsServer

BACK = "https://page.example.com/person/back"
HIGH, LOW = "urn:level:high", "urn:level:low"
Make: TypeAlias = Callable[..., Ciba]


@pytest.fixture(scope="module")
def broker() -> Iterator[RealBroker]:
    with real_broker() as found:
        yield found


@pytest.fixture
async def log() -> Log:
    return Log()


@pytest.fixture
async def us(broker: RealBroker, tmp_path: Path, log: Log) -> AsyncIterator[Ciba]:
    made = Ciba.of(broker_settings(tmp_path, broker.issuer), "broker", log.logger)
    yield made
    await made.close()


async def begun(us: Ciba, **other: object) -> Order:
    order = await us.begin(asked(**other))
    assert isinstance(order, Order)
    return order


async def decided(broker: RealBroker, **said: object) -> dict[str, str]:
    return await asyncio.to_thread(broker.next, **said)


# ---------------------------------------------------------------- CIBA, the real one


async def test_the_person_identifies(us: Ciba, broker: RealBroker, log: Log) -> None:
    order = await begun(us, code=Secret("4816"))
    assert (order.poll, order.life) == (5.0, 120.0)
    assert await us.look(order) == Pending("other")
    told = await decided(broker, how="approve", acr=HIGH)
    assert told == {
        "message": "4816 You called Acme. Anna A. asks who you are.",
        "acr": f"{HIGH} {LOW}",
        "scope": "openid",
    }
    done = await us.look(order)
    assert isinstance(done, Done)
    assert (done.who, done.level) == (Secret(WHO), 3)
    assert done.name is not None
    assert json.loads(done.evidence.reveal())["id_token"].count(".") == 2
    no_canary(shown(None, log, done, order), SECRET)


async def test_nothing_of_it_in_anybodys_log(
    us: Ciba, broker: RealBroker, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    order = await begun(us)
    await decided(broker, how="approve", acr=HIGH)
    assert isinstance(await us.look(order), Done)
    logging.getLogger("asyncio").debug("something")
    assert "something" in caplog.text
    no_canary(shown(None, log) + caplog.text, SECRET)


async def test_a_lower_context_is_a_lower_level(us: Ciba, broker: RealBroker) -> None:
    order = await begun(us)
    await decided(broker, how="approve", acr=LOW)
    done = await us.look(order)
    assert isinstance(done, Done)
    assert done.level == 1


async def test_a_context_that_the_settings_do_not_have(us: Ciba, broker: RealBroker) -> None:
    order = await begun(us)
    await decided(broker, how="approve", acr="urn:level:unheard-of")
    assert await us.look(order) == Ended("not_able")


async def test_the_person_says_no(us: Ciba, broker: RealBroker) -> None:
    order = await begun(us)
    await decided(broker, how="deny")
    assert await us.look(order) == Ended("cancelled")


async def test_a_result_is_given_once(us: Ciba, broker: RealBroker, log: Log) -> None:
    order = await begun(us)
    await decided(broker, how="approve", acr=HIGH)
    assert isinstance(await us.look(order), Done)
    with pytest.raises(EidError, match=r"^broker: it refused \(invalid_grant\)$") as caught:
        await us.look(order)
    no_canary(shown(caught.value, log), SECRET)


async def test_another_person_than_the_record_has(us: Ciba, broker: RealBroker) -> None:
    order = await begun(us)
    await decided(broker, how="approve", acr=HIGH, sub=f"user-{ANOTHER}")
    assert await us.look(order) == Ended("wrong_person")


async def test_nobody_of_that_name(us: Ciba) -> None:
    assert await us.begin(asked(who=Secret("19800101"))) == Ended("not_able")


async def test_an_order_of_another_client(us: Ciba, broker: RealBroker, tmp_path: Path, log: Log) -> None:
    order = await begun(us)
    await decided(broker, how="approve", acr=HIGH)
    other = Ciba.of(broker_settings(tmp_path, broker.issuer, client_id="other"), "broker", log.logger)
    with pytest.raises(EidError, match="invalid_grant"):
        await other.look(order)
    await other.close()


async def test_a_secret_that_it_does_not_know(us: Ciba, broker: RealBroker, tmp_path: Path, log: Log) -> None:
    settings = broker_settings(tmp_path, broker.issuer)
    (tmp_path / "broker.secret").write_text("canary-of-another")
    other = Ciba.of(settings, "broker", log.logger)
    with pytest.raises(EidError, match="invalid_client") as caught:
        await other.begin(asked())
    no_canary(shown(caught.value, log))
    await other.close()


async def test_where_there_is_no_room_the_app_shows_the_digits_alone(us: Ciba, broker: RealBroker) -> None:
    """Cut, a message binds nothing: which call it is of would stand in what is cut off."""
    for words, message in (("You called\nAcme." * 20, "4816"), ("x" * 59, f"4816 {'x' * 59}"), ("x" * 60, "4816")):
        await begun(us, shown=words, code=Secret("4816"))
        assert (await decided(broker, how="deny"))["message"] == message


async def test_where_nobody_hears_digits_none_are_shown(us: Ciba, broker: RealBroker) -> None:
    await begun(us)
    assert "message" not in await decided(broker, how="deny")


async def test_what_cannot_be_asked_is_not(us: Ciba) -> None:
    for other in ({"who": None}, {"start": "qr"}):
        with pytest.raises(EidError, match="somebody must be asked for"):
            await us.begin(asked(**other))


async def test_cancelling_and_reaching(us: Ciba, broker: RealBroker) -> None:
    await us.reach()
    await us.cancel(await begun(us))
    await decided(broker, how="deny")


# ---------------------------------------------------------------- CIBA, one that lies


Lied: TypeAlias = tuple[Ciba, ForgingBroker, TextsServer, Order]


@pytest.fixture
async def lied(tmp_path: Path, log: Log) -> AsyncIterator[Lied]:
    async with forging_broker() as (broker, server):
        made = Ciba.of(broker_settings(tmp_path, broker.issuer, seconds=0.5), "broker", log.logger)
        yield made, broker, server, await begun(made)
        await made.close()


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unsigned(broker: ForgingBroker) -> str:
    return f"{_b64(json.dumps({'alg': 'none'}).encode())}.{_b64(json.dumps(broker.claims()).encode())}."


def _by_the_public_key(broker: ForgingBroker) -> str:
    text = f"{_b64(json.dumps({'alg': 'HS256'}).encode())}.{_b64(json.dumps(broker.claims()).encode())}"
    mac = hmac.new(broker.key.as_pem(private=False), text.encode(), hashlib.sha256).digest()
    return f"{text}.{_b64(mac)}"


def _by_our_secret(broker: ForgingBroker) -> str:
    text = f"{_b64(json.dumps({'alg': 'HS256'}).encode())}.{_b64(json.dumps(broker.claims()).encode())}"
    return f"{text}.{_b64(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest())}"


def _changed(broker: ForgingBroker) -> str:
    head, _, signature = broker.sign(broker.claims(personal_number=ANOTHER)).split(".")
    return f"{head}.{_b64(json.dumps(broker.claims()).encode())}.{signature}"


def _deep(broker: ForgingBroker) -> str:
    return f"{_b64(b'[' * 5000)}.e30.e30"


def _with_its_own_key(broker: ForgingBroker) -> str:
    key = RSAKey.generate_key(2048)
    return broker.sign(broker.claims(), key, jwk=key.as_dict(private=False))


@pytest.mark.parametrize(
    "forge", [_unsigned, _by_the_public_key, _by_our_secret, _changed, _with_its_own_key, _deep, lambda _: "canary"]
)
async def test_a_forged_id_token(lied: Lied, log: Log, forge: Callable[[ForgingBroker], str]) -> None:
    us, broker, _, order = lied
    broker.gives(forge(broker))
    with pytest.raises(EidError, match="not signed by a key of its own") as caught:
        await us.look(order)
    no_canary(shown(caught.value, log), SECRET)
    # asked for anew, at the most once in a while, whoever makes tokens up
    assert broker.asked_keys == 1


_TIMES = ("exp", "iat", "auth_time")


def timed(claims: dict[str, object]) -> dict[str, object]:
    """With times instead of seconds from now."""
    now = int(time.time())
    return {name: now + value if name in _TIMES and isinstance(value, int) else value for name, value in claims.items()}


@pytest.mark.parametrize("claims", [
    {"iss": "https://other.example.com"}, {"aud": "other"}, {"aud": ["tillit", "other"]}, {"azp": "other"},
    {"exp": -3600}, {"iat": -3600}, {"iat": 3600, "exp": 7200}, {"exp": None}, {"iat": None}, {"sub": None},
    {"auth_time": -3600}, {"iss": None}, {"iat": "yesterday"}, {"exp": "tomorrow"}, {"aud": 7}, {"azp": ["tillit"]}, {"auth_time": "now"},
], ids=str)  # fmt: skip
async def test_an_id_token_of_another_order(lied: Lied, log: Log, claims: dict[str, object]) -> None:
    us, broker, _, order = lied
    broker.gives(broker.sign(broker.claims(**timed(claims))))
    with pytest.raises(EidError, match="of another order, or for somebody else, or of another time") as caught:
        await us.look(order)
    no_canary(shown(caught.value, log), SECRET)


async def test_one_issuer_and_no_list_of_them(lied: Lied) -> None:
    us, broker, _, order = lied
    broker.gives(broker.sign(broker.claims(iss=[broker.issuer, "https://other.example.com"])))
    with pytest.raises(EidError, match="of another order"):
        await us.look(order)


async def test_one_that_was_signed_before_we_asked(lied: Lied) -> None:
    us, broker, _, order = lied
    broker.gives(broker.sign(broker.claims()))
    assert isinstance(await us.look(order), Done)
    with pytest.raises(EidError, match="of another order"):
        await us.look(replace(order, begun=order.begun + 600))


@pytest.mark.parametrize("who", [None, "", 198001012392])
async def test_one_that_names_nobody(lied: Lied, who: object) -> None:
    us, broker, _, order = lied
    broker.gives(broker.sign(broker.claims(personal_number=who)))
    with pytest.raises(EidError, match="no claim"):
        await us.look(order)


async def test_its_keys_change(lied: Lied, tmp_path: Path, log: Log) -> None:
    _, broker, _, order = lied
    clock = [time.time()]
    us = Ciba.of(broker_settings(tmp_path, broker.issuer), "broker", log.logger)
    us._broker.clock = lambda: clock[0]
    broker.gives(broker.sign(broker.claims()))
    assert isinstance(await us.look(order), Done)
    broker.key = RSAKey.generate_key(2048, {"kid": "two", "use": "sig"})
    broker.gives(broker.sign(broker.claims(), kid="two"))
    clock[0] += 31
    assert isinstance(await us.look(order), Done)
    assert broker.asked_keys == 2
    await us.close()


async def test_a_key_that_is_none_stands_beside_good_ones(lied: Lied) -> None:
    us, broker, _, order = lied
    broker.beside = [7, {"kty": ["RSA"]}, {"kty": "EC", "crv": "P-999", "x": "AA", "y": "AA"}, {"kty": "RSA", "n": 1}]
    broker.gives(broker.sign(broker.claims()))
    assert isinstance(await us.look(order), Done)


async def test_of_keys_that_are_none_nothing_is_believed(lied: Lied) -> None:
    us, broker, _, order = lied
    broker.gives(broker.sign(broker.claims()))
    broker.beside, broker.alone = [{"kty": "RSA", "n": 1}], True
    with pytest.raises(EidError, match="its keys cannot be read"):
        await us.look(order)


async def test_algorithms_that_are_no_names_are_none(tmp_path: Path, log: Log) -> None:
    async with forging_broker() as (broker, _):
        broker.document = {"id_token_signing_alg_values_supported": [{}, [], None, "RS256", "none"]}
        us = Ciba.of(broker_settings(tmp_path, broker.issuer), "broker", log.logger)
        order = await begun(us)
        broker.gives(broker.sign(broker.claims()))
        assert isinstance(await us.look(order), Done)
        await us.close()


@pytest.mark.parametrize(("answer", "found"), [
    ({"error": "slow_down"}, Pending("other", 10.0)), ({"error": "expired_token"}, Ended("expired")),
    ({"error": "authorization_pending"}, Pending("other")),
])  # fmt: skip
async def test_what_it_says_meanwhile(lied: Lied, answer: object, found: object) -> None:
    us, _, server, order = lied
    server.next(Status(400, answer))
    assert await us.look(order) == found


@pytest.mark.parametrize("answer", [
    Status(400, {"error": f"canary {WHO}"}), Status(500, WHO), Status(200, {"id_token": 7}), Status(302, "", {"Location": "https://x"}), Never(),
])  # fmt: skip
async def test_other_answers_are_told_without_a_value(lied: Lied, log: Log, answer: Status | Never) -> None:
    us, _, server, order = lied
    server.next(answer)
    with pytest.raises(EidError, match="^broker: it") as caught:
        await us.look(order)
    no_canary(shown(caught.value, log), SECRET)


@pytest.mark.parametrize(("document", "words"), [
    ({"issuer": "https://other.example.com"}, "calls itself otherwise"),
    ({"token_endpoint": "http://eid.example.com/token"}, "in clear, or to none"),
    ({"jwks_uri": None}, "in clear, or to none"),
    ({"jwks_uri": "https:///keys"}, "in clear, or to none"),
    ({"backchannel_authentication_endpoint": None}, "does not offer CIBA"),
    ({"backchannel_authentication_endpoint": "https://10.0.0.7/admin"}, "leads to a private address"),
    ({"backchannel_authentication_endpoint": "https://[::ffff:169.254.169.254]/latest"}, "leads to a private address"),
])  # fmt: skip
async def test_a_document_that_leads_elsewhere(
    tmp_path: Path, log: Log, document: dict[str, object], words: str
) -> None:
    async with forging_broker() as (broker, server):
        broker.document = document
        us = Ciba.of(broker_settings(tmp_path, broker.issuer), "broker", log.logger)
        with pytest.raises(EidError, match=words) as caught:
            await us.begin(asked())
        no_canary(shown(caught.value, log), SECRET)
        assert [one.path for one in server.asked] == ["/.well-known/openid-configuration"]
        await us.close()


# ---------------------------------------------------------------- the code flow


@pytest.fixture
async def code(broker: RealBroker, tmp_path: Path, log: Log) -> AsyncIterator[Code]:
    made = Code.of(broker_settings(tmp_path, broker.issuer), "broker", BACK, log.logger)
    yield made
    await made.close()


async def gone(broker: RealBroker, link: Secret, **said: object) -> dict[str, str]:
    """What the person's browser brings back."""
    await decided(broker, page=True, **said)
    where = link.reveal()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        for _ in range(10):
            async with browser.get(where, allow_redirects=False) as answer:
                assert answer.status in (302, 303), await answer.text()
                to = answer.headers["Location"]
            if to.startswith(BACK):
                return dict(parse_qsl(urlsplit(to).query))
            where = to if to.startswith("http") else broker.issuer + to
    raise AssertionError("it never came back")


async def test_the_person_at_the_page_identifies(code: Code, broker: RealBroker, log: Log) -> None:
    flow, link = await code.begin(asked(start="qr"))
    back = await gone(broker, link, how="approve", acr=HIGH, sub=f"user-{WHO}")
    done = await code.end(flow, back)
    assert isinstance(done, Done)
    assert (done.who, done.level) == (Secret(WHO), 3)
    no_canary(shown(None, log, flow, link, done), SECRET)
    # the code is good once
    assert await code.end(flow, back) == Ended("failed")


async def test_a_secret_that_it_does_not_know_at_the_page(code: Code, broker: RealBroker, tmp_path: Path) -> None:
    flow, link = await code.begin(asked(start="qr"))
    back = await gone(broker, link, how="approve", acr=HIGH, sub=f"user-{WHO}")
    settings = broker_settings(tmp_path, broker.issuer)
    (tmp_path / "broker.secret").write_text("canary-of-another")
    other = Code.of(settings, "broker", BACK, Log().logger)
    with pytest.raises(EidError, match=r"it refused \(invalid_client\)"):
        await other.end(flow, back)
    await other.close()


async def test_whoever_it_is_where_nobody_is_named(code: Code, broker: RealBroker) -> None:
    flow, link = await code.begin(asked(start="qr", who=None))
    done = await code.end(flow, await gone(broker, link, how="approve", acr=HIGH, sub=f"user-{ANOTHER}"))
    assert isinstance(done, Done)
    assert done.who == Secret(ANOTHER)


async def test_another_person_at_the_page(code: Code, broker: RealBroker) -> None:
    flow, link = await code.begin(asked(start="qr"))
    back = await gone(broker, link, how="approve", acr=HIGH, sub=f"user-{ANOTHER}")
    assert await code.end(flow, back) == Ended("wrong_person")


async def test_the_person_at_the_page_says_no(code: Code, broker: RealBroker) -> None:
    flow, link = await code.begin(asked(start="qr"))
    assert await code.end(flow, await gone(broker, link, how="deny")) == Ended("cancelled")


async def test_what_one_browser_brings_back_is_of_no_use_in_another(code: Code, broker: RealBroker) -> None:
    mine, _ = await code.begin(asked(start="qr"))
    theirs, link = await code.begin(asked(start="qr"))
    back = await gone(broker, link, how="approve", acr=HIGH, sub=f"user-{WHO}")
    with pytest.raises(EidError, match="of another order"):
        await code.end(mine, back)
    # its state changed to ours, the verifier is another one still
    assert await code.end(mine, {**back, "state": mine.state.reveal()}) == Ended("failed")
    assert isinstance(theirs, Flow)


@pytest.mark.parametrize("issuer", ["https://other.example.com", None])
async def test_an_answer_of_another_provider(code: Code, broker: RealBroker, issuer: str | None) -> None:
    flow, link = await code.begin(asked(start="qr"))
    back = await gone(broker, link, how="approve", acr=HIGH, sub=f"user-{WHO}")
    changed = {name: value for name, value in {**back, "iss": issuer}.items() if value is not None}
    with pytest.raises(EidError, match="another provider"):
        await code.end(flow, changed)


@pytest.mark.parametrize("claims", [{"nonce": "another"}, {"nonce": None}, {"auth_time": None}, {"auth_time": -3600}])
async def test_an_id_token_of_another_flow(tmp_path: Path, log: Log, claims: dict[str, object]) -> None:
    async with forging_broker() as (broker, _):
        us = Code.of(broker_settings(tmp_path, broker.issuer), "broker", BACK, log.logger)
        flow, link = await us.begin(asked(start="qr"))
        nonce = parse_qs(urlsplit(link.reveal()).query)["nonce"][0]
        back = {"code": "c", "state": flow.state.reveal()}
        broker.gives(broker.sign(broker.claims(nonce=nonce)))
        assert isinstance(await us.end(flow, back), Done)
        broker.gives(broker.sign(broker.claims(**{"nonce": nonce, **timed(claims)})))
        with pytest.raises(EidError, match="of another order"):
            await us.end(flow, back)
        await us.close()


# ---------------------------------------------------------------- settings


def test_a_secret_that_is_not_there(tmp_path: Path) -> None:
    settings: Settings = broker_settings(tmp_path, "https://eid.example.com")
    (tmp_path / "broker.secret").unlink()
    with pytest.raises(ConfigError, match=r"\[eid.brokers.broker\] client_secret_file: "):
        Ciba.of(settings, "broker", Log().logger)


@pytest.mark.parametrize("name", ["bankid", "freja"])
def test_a_broker_has_no_other_provider_s_name(tmp_path: Path, name: str) -> None:
    broker = broker_settings(tmp_path, "https://eid.example.com").eid.brokers["broker"]
    with pytest.raises(ValidationError, match=rf"brokers.{name} has the name of another provider"):
        Eids(brokers={name: broker})


@pytest.mark.parametrize(
    "own", [{"issuer": "http://eid.example.com"}, {"login_hint": "pno"}, {"acr": {}}, {"acr": {"x": 4}}, {"unknown": 1}]
)
def test_settings_that_cannot_be_meant(tmp_path: Path, own: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"\[eid.brokers.broker\]"):
        broker_settings(tmp_path, **{"issuer": "https://eid.example.com", **own})  # type: ignore[arg-type]
