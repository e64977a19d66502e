"""Delivery reports: each gateway's own, late, early, twice, of another text, stale and forged ones."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any
from urllib.parse import urlencode

import pytest
from rig.elks import elks_report

from ivr.call.ports import Delivery, Handed, Report
from ivr.config import Settings
from ivr.errors import ConfigError, StoreError
from ivr.proving import begun
from ivr.secret import Secret
from ivr.sms import Reporting, in_turn
from ivr.sms.incoming import Incoming
from ivr.sms.reports import Reader, Refused, Twilio, readers
from ivr.store.deliveries import RedisDeliveries
from ivr.store.link import Link
from tests.contract.ari_log import Log, wait_for
from tests.contract.live_server import Server
from tests.contract.reports_kit import (
    API_KEY,
    REPORTING,
    SIGNATURE,
    TOKEN,
    Front,
    posted,
    twilio_report,
    twilio_signature,
    vonage_report,
)
from tests.contract.texts_kit import SERVED, TEXT, TO, settings_in, tables
from tests.contract.texts_server import Asked, Status, TextsServer

SENT, DELIVERED = Delivery.SENT, Delivery.DELIVERED
POSTING = ("46elks", "twilio", "vonage")
ADDRESS = {name: (REPORTING.address(name) or Secret("")).reveal() for name in POSTING}
SID = "SM" + "1" * 32


def settings_for(folder: Path, name: str, url: str = "https://gateway.example.com") -> Settings:
    """With this gateway alone, and what its reports are checked by."""
    token = folder / "auth.token"
    token.touch(0o600)
    token.write_text(TOKEN)
    table = tables(name, url)
    if name == "twilio":
        table["texts.twilio"]["auth_token_file"] = "auth.token"
    if name == "vonage":
        secret = folder / "signature.secret"
        secret.touch(0o600)
        secret.write_text(SIGNATURE)
        table["texts.vonage"] |= {"signature_secret_file": "signature.secret", "api_key": API_KEY}
    return settings_in(folder, texts={"gateway": name, "seconds": 5.0}, **table)


@pytest.fixture
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Reader:
    """Of the gateway that the test is about."""
    name = request.getfixturevalue("name") if "name" in request.fixturenames else "twilio"
    return readers(settings_for(tmp_path, name), REPORTING)[name]


def made(name: str, id: str = SID, status: str = "delivered", **more: Any) -> tuple[str, dict[str, str]]:
    """What the gateway posts."""
    if name == "46elks":
        return elks_report(id, status), {}
    if name == "vonage":
        return vonage_report(id, status, **more)
    return twilio_report(id, status, ADDRESS["twilio"], **more)


def low(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


# ---------------------------------------------------------------- what they say


@pytest.mark.parametrize(
    ("name", "status", "delivery"),
    [
        ("46elks", "sent", SENT),
        ("46elks", "delivered", DELIVERED),
        ("46elks", "failed", Delivery.UNDELIVERED),
        ("46elks", "teleported", Delivery.UNKNOWN),
        ("twilio", "accepted", SENT),
        ("twilio", "scheduled", SENT),
        ("twilio", "queued", SENT),
        ("twilio", "sending", SENT),
        ("twilio", "sent", SENT),
        ("twilio", "delivered", DELIVERED),
        ("twilio", "read", Delivery.READ),
        ("twilio", "undelivered", Delivery.UNDELIVERED),
        ("twilio", "failed", Delivery.FAILED),
        ("twilio", "canceled", Delivery.FAILED),
        ("twilio", "partially_delivered", Delivery.UNKNOWN),
        ("vonage", "submitted", SENT),
        ("vonage", "delivered", DELIVERED),
        ("vonage", "read", Delivery.READ),
        ("vonage", "rejected", Delivery.UNDELIVERED),
        ("vonage", "undeliverable", Delivery.FAILED),
        ("vonage", "teleported", Delivery.UNKNOWN),
    ],
)
def test_statuses_are_mapped_to_one_set(name: str, status: str, delivery: Delivery, reader: Reader) -> None:
    body, headers = made(name, status=status)
    assert reader(posted(name, body, low(headers)), time()) == Report(name, SID, delivery)


@pytest.mark.parametrize(
    ("name", "status", "code", "shown"),
    [
        ("twilio", "undelivered", "30003", "30003"),
        ("twilio", "undelivered", "{canary} 46701740601", ""),
        ("vonage", "rejected", "1320", "1320"),
        ("vonage", "rejected", "+46701740601\n", ""),
    ],
)
def test_why_it_was_lost_comes_along(name: str, status: str, code: str, shown: str, reader: Reader) -> None:
    body, headers = made(name, status=status, code=code)
    assert reader(posted(name, body, low(headers)), time()) == Report(name, SID, Delivery.UNDELIVERED, shown)


def test_the_documented_example_of_twilio(tmp_path: Path) -> None:
    """https://www.twilio.com/docs/usage/security: its URL, its token, its fields, its signature."""
    address = "https://mycompany.com/myapp.php?foo=1&bar=2"
    fields = {
        "CallSid": "CA1234567890ABCDE", "Caller": "+14158675310", "Digits": "1234", "From": "+14158675310",
        "To": "+18005551212",
    }  # fmt: skip
    example = Twilio(Secret("12345"), Secret(address))
    for signature, why in (("GvWf1cFY/Q7PnoempGyD5oXAezc=", "form"), ("GvWf1cFY/Q7PnoempGyD5oXAezd=", "signature")):
        came = posted("twilio", urlencode(fields), {"x-twilio-signature": signature})
        assert example(came, time()) == Refused(why)


# ---------------------------------------------------------------- what is forged


def forged(name: str) -> dict[str, tuple[Any, str]]:
    """Each as it comes, and why it is refused."""
    body, sent = made(name)
    headers = low(sent)
    rows: dict[str, tuple[Any, str]] = {
        "no secret": (posted(name, body, headers, secret=Secret("")), "secret"),
        "a guessed secret": (posted(name, body, headers, secret=Secret("0" * 64)), "secret"),
        "another gateway's secret": (posted(name, body, headers, secret=REPORTING.secret("others")), "secret"),
        "stale": (posted(name, body, headers, at=time() - 121), "stale"),
        "of tomorrow": (posted(name, body, headers, at=time() + 86400), "stale"),
        "10 MB": (posted(name, body + "&x=" + "y" * 10_000_000, headers), "too long"),
        "nothing": (posted(name, "", headers), "form" if name == "46elks" else "signature"),
    }
    if name == "vonage":
        return rows | forged_vonage(body, headers)
    rows |= {
        "no form": (posted(name, '{"id": "s1"}', headers), "form"),
        "a field twice": (posted(name, body + "&" + body, headers), "form"),
        "too many fields": (posted(name, "&".join(f"f{n}=" for n in range(60)), headers), "form"),
        "bytes that are no letters": (posted(name, "id=%ff%fe&status=sent", headers), "form"),
    }
    if name == "46elks":
        rows["no id"] = (posted(name, "status=delivered"), "form")
        rows["an id that is none"] = (posted(name, elks_report("a b\n{canary}", "sent")), "form")
        rows["a form of Twilio's"] = (posted(name, made("twilio")[0], low(made("twilio")[1])), "form")
    else:
        address = ADDRESS[name]
        changed = body.replace("delivered", "undelivered")
        rows |= {
            "no signature": (posted(name, body), "signature"),
            "an empty signature": (posted(name, body, {"x-twilio-signature": ""}), "signature"),
            "a signature that is no letters": (posted(name, body, {"x-twilio-signature": "\udcff"}), "signature"),
            "another token": (posted(name, body, low(made(name, token="0" * 32)[1])), "signature"),
            "no token": (posted(name, body, low(made(name, token="")[1])), "signature"),
            "another URL": (posted(name, body, low(made(name, signed=address + "/more")[1])), "signature"),
            "a query behind it": (posted(name, body, low(made(name, signed=address + "?a=1")[1])), "signature"),
            "the address behind the proxy": (
                posted(name, body, low(made(name, signed="http://127.0.0.1:8445/in/twilio/x")[1])),
                "signature",
            ),
            "a changed field": (posted(name, changed, headers), "signature"),
            "another id": (posted(name, body.replace(SID, "SM" + "2" * 32), headers), "signature"),
            "one more field": (posted(name, body + "&Evil=1", headers), "signature"),
            "one field less": (posted(name, body.rpartition("&")[0], headers), "signature"),
            "a form of 46elks": (posted(name, made("46elks")[0]), "signature"),
            "signed, and no report": (
                posted(name, "a=1", {"x-twilio-signature": twilio_signature(address, {"a": "1"})}),
                "form",
            ),
        }
    return rows


def forged_vonage(body: str, headers: dict[str, str]) -> dict[str, tuple[Any, str]]:
    """By tokens that are another's, or of another report."""

    def by(**claims: object) -> Any:
        own, sent = made("vonage", claims=claims)
        return posted("vonage", own, low(sent))

    def with_token(token: str) -> Any:
        return posted("vonage", body, {"authorization": f"Bearer {token}"})

    parts = headers["authorization"].removeprefix("Bearer ").split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    odd = '{"status": "delivered"}'
    return {
        "no token": (posted("vonage", body), "signature"),
        "an empty token": (with_token(""), "signature"),
        "another kind": (posted("vonage", body, {"authorization": headers["authorization"].replace("Bearer", "Basic")}), "signature"),
        "another secret": (posted("vonage", body, low(made("vonage", secret="0" * 50)[1])), "signature"),
        "unsigned": (with_token(f"{unsigned}.{parts[1]}."), "signature"),
        "unsigned, with a signature": (with_token(f"{unsigned}.{parts[1]}.{parts[2]}"), "signature"),
        "a token that is none": (with_token("a.b.c"), "signature"),
        "a changed body": (posted("vonage", body.replace("delivered", "rejected"), headers), "signature"),
        "another id": (posted("vonage", body.replace(SID, "SM" + "2" * 32), headers), "signature"),
        "one blank more": (posted("vonage", body + " ", headers), "signature"),
        "of another body": (by(payload_hash="0" * 64), "signature"),
        "of no body": (by(payload_hash=None), "signature"),
        "of another account": (by(api_key="efgh5678"), "signature"),
        "signed long ago": (by(iat=int(time()) - 301), "stale"),
        "signed tomorrow": (by(iat=int(time()) + 86400), "stale"),
        "signed at no time": (by(iat=None), "stale"),
        "a form of 46elks": (posted("vonage", made("46elks")[0]), "signature"),
        "signed, and no report": (
            posted("vonage", odd, low(made("vonage", claims={"payload_hash": hashlib.sha256(odd.encode()).hexdigest()})[1])),
            "form",
        ),
        "signed, and no JSON": (
            posted("vonage", "odd", low(made("vonage", claims={"payload_hash": hashlib.sha256(b"odd").hexdigest()})[1])),
            "form",
        ),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "row"), [(name, row) for name in POSTING for row in forged(name)], ids=lambda one: str(one)
)
def test_a_forged_report_is_none(name: str, row: str, reader: Reader) -> None:
    came, why = forged(name)[row]
    assert reader(came, time()) == Refused(why)


def test_without_the_token_no_reports_are_asked_for_or_read(tmp_path: Path) -> None:
    """An API key's secret signs nothing."""
    for name in ("twilio", "vonage"):
        settings = settings_in(tmp_path, texts={"gateway": name}, **tables(name, "https://gateway.example.com"))
        assert readers(settings, REPORTING) == {}


def test_without_a_public_page_none_are(tmp_path: Path) -> None:
    for name in POSTING:
        assert readers(settings_for(tmp_path, name), Reporting(None, Secret("k"))) == {}


def test_the_accounts_own_login_is_the_token(tmp_path: Path) -> None:
    table = tables("twilio", "https://gateway.example.com")
    del table["texts.twilio"]["api_key"]
    found = readers(settings_in(tmp_path, texts={"gateway": "twilio"}, **table), REPORTING)
    body, headers = made("twilio", token=(tmp_path / "password").read_text())
    assert found["twilio"](posted("twilio", body, low(headers)), time()) == Report("twilio", SID, DELIVERED)


def test_a_token_that_cannot_be_read_is_told_at_the_start(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, "twilio")
    (tmp_path / "auth.token").unlink()
    with pytest.raises(ConfigError, match=r"\[texts.twilio\] auth_token"):
        readers(settings, REPORTING)
    with pytest.raises(ConfigError, match=r"\[texts.twilio\] auth_token"):
        in_turn(settings, Log().logger, reporting=REPORTING)


def test_paths_tell_nothing_of_each_other() -> None:
    other = Reporting(REPORTING.url + "/", Secret("e" * 64))
    secrets = {one.secret(name).reveal() for one in (REPORTING, other) for name in ("46elks", "twilio")}
    assert len(secrets) == 4
    assert all(len(secret) == 64 and secret != "f" * 64 for secret in secrets)
    assert other.address("46elks") == Secret(f"https://id.example.com/in/46elks/{other.secret('46elks').reveal()}")
    assert "f" * 64 not in repr(REPORTING)


# ---------------------------------------------------------------- all the way


@dataclass
class World:
    """A gateway that reports, the public address, and two processes: one sends, the other takes what comes in."""

    server: TextsServer
    front: Front
    sender: RedisDeliveries
    settings: Settings
    log: Log
    name: str

    async def send(self) -> Handed:
        gateways = in_turn(self.settings, self.log.logger, reporting=REPORTING)
        try:
            return await gateways.send(TO, TEXT)
        finally:
            await gateways.close()

    async def report(self, id: str, status: str) -> None:
        """The gateway posts to where it was asked to."""
        assert self.asked_for == ADDRESS[self.name]
        own = "submitted" if (self.name, status) == ("vonage", "sent") else status
        body, headers = made(self.name, id, own)
        assert await self.front.post(self.asked_for, body, headers) == 204

    @property
    def asked_for(self) -> str:
        asked = self.server.asked[-1]
        if self.name == "vonage":
            said = json.loads(asked.body)
            assert said["webhook_version"] == "v1"
            return str(said["webhook_url"])
        return asked.form["whendelivered" if self.name == "46elks" else "StatusCallback"]


@pytest.fixture
async def world(request: pytest.FixtureRequest, tmp_path: Path, server: Server) -> AsyncIterator[World]:
    name = request.getfixturevalue("name") if "name" in request.fixturenames else "46elks"
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(TextsServer(SERVED[name][0]))
        front = await stack.enter_async_context(Front())
        log = Log()
        sender, taker = (await deliveries(stack, server, log), await deliveries(stack, server, log))
        settings = settings_for(tmp_path, name, gateway.url)
        incoming = Incoming(front.take, readers(settings, REPORTING), taker, log.logger)
        task = asyncio.create_task(incoming.run())
        stack.push_async_callback(ended, task)
        yield World(gateway, front, sender, settings, log, name)


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def deliveries(stack: AsyncExitStack, server: Server, log: Log) -> RedisDeliveries:
    link = Link.of(server.settings())
    stack.push_async_callback(link.close)
    return await stack.enter_async_context(RedisDeliveries(server.settings(), link, log.logger))


def following(world: World, handed: Handed) -> tuple[asyncio.Task[None], list[Report]]:
    came: list[Report] = []

    async def follow() -> None:
        async with aclosing(world.sender.expect(handed)) as reports:
            async for report in reports:
                came.append(report)

    return asyncio.create_task(follow()), came


@pytest.mark.servers
@pytest.mark.parametrize("name", POSTING)
async def test_a_report_comes_to_whoever_has_sent_the_text(name: str, world: World) -> None:
    handed = await world.send()
    # Vonage does not say how many messages it makes of it
    assert (handed.gateway, handed.parts) == (name, 2 if name == "vonage" else 1)
    assert handed.id is not None
    task, came = following(world, handed)
    await world.report(handed.id, "sent")
    await wait_for(lambda: came == [Report(name, handed.id or "", SENT)])
    await world.report(handed.id, "delivered")
    async with asyncio.timeout(5):
        await task
    assert [report.delivery for report in came] == [SENT, DELIVERED]
    assert [line["delivery"] for line in world.log.of("report.came")] == ["sent", "delivered"]
    assert "46701740601" not in str(world.log.lines)


@pytest.mark.servers
@pytest.mark.parametrize("name", POSTING)
async def test_a_report_that_is_faster_than_the_answer(name: str, world: World, server: Server) -> None:
    """Nobody knows its id yet."""
    api = world.server.api

    def reports_first(asked: Asked) -> Status:
        answer = api(asked)
        assert isinstance(answer.body, dict)
        first.append(answer.body[{"46elks": "id", "twilio": "sid", "vonage": "message_uuid"}[name]])
        return answer

    first: list[str] = []
    world.server.api = reports_first
    held = asyncio.Event()
    world.server.before_answer = held.wait
    sending = asyncio.create_task(world.send())
    await world.server.until_asked(1)
    await wait_for(lambda: bool(first))
    await world.report(first[0], "delivered")
    await wait_for(lambda: bool(world.log.of("report.came")))
    await wait_for(lambda: bool(server.client.keys("*:delivery:*")))
    held.set()
    task, came = following(world, await sending)
    async with asyncio.timeout(5):
        await task
    assert came == [Report(name, first[0], DELIVERED)]


@pytest.mark.servers
async def test_a_report_tells_once(world: World, server: Server) -> None:
    handed = await world.send()
    assert handed.id is not None
    task, came = following(world, handed)
    for _ in range(3):
        await world.report(handed.id, "sent")
    await world.report(handed.id, "delivered")
    async with asyncio.timeout(5):
        await task
    assert [report.delivery for report in came] == [SENT, DELIVERED]
    # and of who asks again it is the same
    task, again = following(world, handed)
    async with asyncio.timeout(5):
        await task
    assert again == came


@pytest.mark.servers
async def test_a_report_of_another_text_is_another_text_s(world: World) -> None:
    mine, other = await world.send(), await world.send()
    assert mine.id is not None
    assert other.id is not None
    assert mine.id != other.id
    task, came = following(world, mine)
    other_task, others = following(world, other)
    await world.report(other.id, "failed")
    async with asyncio.timeout(5):
        await other_task
    assert [report.delivery for report in others] == [Delivery.UNDELIVERED]
    await world.report(mine.id, "delivered")
    async with asyncio.timeout(5):
        await task
    assert came == [Report("46elks", mine.id, DELIVERED)]


@pytest.mark.servers
async def test_the_same_id_at_another_gateway_is_another_text(server: Server) -> None:
    async with AsyncExitStack() as stack:
        both = await deliveries(stack, server, Log())
        await both.tell(Report("twilio", "one", DELIVERED))
        await both.tell(Report("46elks", "one", Delivery.UNDELIVERED))
        found = [report async for report in both.expect(Handed("46elks", "one"))]
    assert found == [Report("46elks", "one", Delivery.UNDELIVERED)]


@pytest.mark.servers
async def test_a_forged_report_tells_nobody_and_is_answered_the_same(world: World, server: Server) -> None:
    handed = await world.send()
    assert handed.id is not None
    task, came = following(world, handed)
    for address in (f"{REPORTING.url}/in/46elks/{'0' * 64}", f"{REPORTING.url}/in/nobody/{'0' * 64}"):
        assert await world.front.post(address, elks_report(handed.id, "delivered")) == 204
    assert await world.front.post(ADDRESS["46elks"], elks_report("a b", "delivered")) == 204
    await world.report(handed.id, "sent")
    await wait_for(lambda: len(came) == 1)
    assert came[0].delivery is SENT
    # a flood of them is one line
    assert [(line["gateway"], line["why"]) for line in world.log.of("report.refused")] == [("46elks", "secret")]
    await ended(task)


@pytest.mark.servers
async def test_who_never_reports_is_not_waited_for(server: Server) -> None:
    async with AsyncExitStack() as stack:
        one = await deliveries(stack, server, Log())
        assert [report async for report in one.expect(Handed("http"))] == []
        assert [report async for report in one.expect(Handed(""))] == []


@pytest.mark.servers
async def test_what_nobody_asked_for_is_forgotten_soon_and_what_is_waited_for_is_not(server: Server) -> None:
    async with AsyncExitStack() as stack:
        one = await deliveries(stack, server, Log())
        await one.tell(Report("46elks", "nobody", DELIVERED))
        await one.tell(Report("46elks", "waited", SENT))
        async with aclosing(one.expect(Handed("46elks", "waited"))) as reports:
            assert (await anext(reports)).delivery is SENT
            server.pass_time(121)
            (key,) = server.client.keys("*:delivery:*")
            assert "waited" not in key
            server.pass_time(600)
            await one.tell(Report("46elks", "waited", DELIVERED))
            assert (await anext(reports)).delivery is DELIVERED
            assert [report async for report in reports] == []
        server.pass_time(15 * 60)
        assert server.client.keys("*:delivery:*") == []


@pytest.mark.servers
async def test_what_comes_while_redis_is_away_from_the_sender_is_not_lost(world: World, server: Server) -> None:
    handed = await world.send()
    assert handed.id is not None
    task, came = following(world, handed)
    await world.report(handed.id, "sent")
    await wait_for(lambda: len(came) == 1)
    # the one who waits is cut off, and told by nobody
    server.client.client_kill_filter(_type="pubsub")
    await world.report(handed.id, "delivered")
    async with asyncio.timeout(10):
        await task
    assert came[-1].delivery is DELIVERED


@pytest.mark.servers
async def test_a_redis_that_fails_is_said_and_tried_again(world: World, server: Server) -> None:
    handed = await world.send()
    assert handed.id is not None
    task, came = following(world, handed)
    await wait_for(lambda: bool(server.client.keys("*:delivery:*")))
    server.client.acl_setuser("default", enabled=True, commands=["-evalsha", "-eval"])
    await world.report(handed.id, "sent")
    await wait_for(lambda: bool(world.log.of("incoming.failed")))
    server.client.acl_setuser("default", enabled=True, commands=["+@all"])
    await world.report(handed.id, "delivered")
    await wait_for(lambda: bool(came) and came[-1].delivery is DELIVERED)
    async with asyncio.timeout(5):
        await task


@pytest.mark.servers
async def test_rubbish_where_reports_should_stand(server: Server) -> None:
    async with AsyncExitStack() as stack:
        one = await deliveries(stack, server, Log())
        await one.tell(Report("46elks", "one", SENT))
        (key,) = server.client.keys("*:delivery:*")
        server.client.hset(key, "teleported", "9 ")
        with pytest.raises(StoreError, match="what became of a text"):
            async for _ in one.expect(Handed("46elks", "one")):
                pass


@pytest.mark.servers
async def test_a_fault_with_one_of_them_is_told_and_the_next_is_read(server: Server) -> None:
    pinged: list[str] = []

    async def ping(came: Any) -> None:
        pinged.append(came.way)
        if len(pinged) == 1:
            raise RecursionError("canary")

    log = Log()
    async with AsyncExitStack() as stack:
        front = await stack.enter_async_context(Front())
        incoming = Incoming(front.take, {}, await deliveries(stack, server, Log()), log.logger, others={"ciba": ping})
        stack.push_async_callback(ended, asyncio.create_task(incoming.run()))
        for _ in range(2):
            await front.post(f"{REPORTING.url}/in/ciba/any", "{}")
        await wait_for(lambda: len(pinged) == 2)
    (told,) = log.of("task.failed")
    assert (told["error"], told["code"]) == ("RecursionError", "incoming")
    assert "canary" not in str(log.lines)


async def test_one_of_the_desk_s_tasks_that_ends_is_told_of() -> None:
    log = Log()

    async def fails() -> None:
        raise KeyError("canary")

    for name, running in (("course", fails()), ("incoming", asyncio.sleep(60))):
        task = begun(name, running, log.logger)
        if name == "incoming":
            task.cancel()
        await asyncio.wait([task])
    await wait_for(lambda: bool(log.of("task.failed")))
    (told,) = log.of("task.failed")
    assert (told["error"], told["code"]) == ("KeyError", "course")


@pytest.mark.servers
async def test_what_is_no_report_goes_to_whoever_reads_it(server: Server) -> None:
    """The same address takes the call-backs of others."""
    pinged: list[str] = []

    async def ping(came: Any) -> None:
        pinged.append(came.way)

    async with AsyncExitStack() as stack:
        front = await stack.enter_async_context(Front())
        incoming = Incoming(front.take, {}, await deliveries(stack, server, Log()), Log().logger, others={"ciba": ping})
        stack.push_async_callback(ended, asyncio.create_task(incoming.run()))
        await front.post(f"{REPORTING.url}/in/ciba/any", "{}")
        await wait_for(lambda: pinged == ["ciba"])
