"""Each gateway against a local server of its published form: good, slow, refusing, rubbish and half-sent answers."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ivr.errors import ConfigError, NumberRefused, TextError
from ivr.secret import Personal
from ivr.sms import in_turn
from tests.contract.ari_log import Log
from tests.contract.texts_kit import SERVED, TEXT, TO, no_canary, sender, settings_in, shown, tables
from tests.contract.texts_server import (
    ACCOUNT,
    KEY,
    PASSWORD,
    USERNAME,
    Drip,
    Never,
    Raw,
    Status,
    TextsServer,
    anything,
    application_key,
    twilio_error,
    vonage_error,
)

each = pytest.mark.parametrize("name", list(SERVED))


@pytest.fixture
async def server(request: pytest.FixtureRequest) -> AsyncIterator[TextsServer]:
    """Of the gateway that the test is about."""
    api = SERVED[request.getfixturevalue("name")][0] if "name" in request.fixturenames else anything
    async with TextsServer(api) as made:
        yield made


# ---------------------------------------------------------------- what is asked


async def test_46elks(tmp_path: Path) -> None:
    async with TextsServer(SERVED["46elks"][0]) as server:
        texts = sender(tmp_path, server.url, "46elks")
        await texts.send()
        await texts.gateways.close()
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.login) == ("POST", "/a1/sms", f"{USERNAME}:{PASSWORD}")
    assert asked.form == {"from": "Acme", "to": TO.reveal(), "message": TEXT.reveal(), "dontlog": "message"}
    assert asked.headers["host"] == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    ("more", "login", "own"),
    [
        ({}, KEY, {"From": "Acme"}),
        ({"api_key": ""}, ACCOUNT, {"From": "Acme"}),
        ({"sender": "", "messaging_service": "MG" + "3" * 32}, KEY, {"MessagingServiceSid": "MG" + "3" * 32}),
        ({"sender": "+46701740602"}, KEY, {"From": "+46701740602"}),
    ],
    ids=["key", "account", "service", "number"],
)
async def test_twilio(tmp_path: Path, more: dict[str, object], login: str, own: dict[str, str]) -> None:
    async with TextsServer(SERVED["twilio"][0]) as server:
        table = tables("twilio", server.url)
        table["texts.twilio"] = {k: v for k, v in {**table["texts.twilio"], **more}.items() if v != ""}
        gateways = in_turn(settings_in(tmp_path, texts={"gateway": "twilio"}, **table), Log().logger)
        await gateways.send(TO, TEXT)
        await gateways.close()
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json")
    assert asked.login == f"{login}:{PASSWORD}"
    assert asked.form == {**own, "To": TO.reveal(), "Body": TEXT.reveal()}


@pytest.mark.parametrize(("own", "shown"), [("Acme", "Acme"), ("+46701740602", "46701740602")])
async def test_vonage(tmp_path: Path, own: str, shown: str) -> None:
    async with TextsServer(SERVED["vonage"][0]) as server:
        texts = sender(tmp_path, server.url, "vonage", sender=own)
        await texts.send()
        await texts.send()
        await texts.gateways.close()
    first, second = server.asked
    assert (first.method, first.path) == ("POST", "/v1/messages")
    assert json.loads(first.body) == {
        "message_type": "text", "channel": "sms", "from": shown, "to": TO.reveal()[1:], "text": TEXT.reveal(),
    }  # fmt: skip
    # a token of its own for each
    assert first.headers["authorization"] != second.headers["authorization"]


async def test_an_application_that_vonage_does_not_know(tmp_path: Path) -> None:
    async with TextsServer(SERVED["vonage"][0]) as server:
        texts = sender(tmp_path, server.url, "vonage", application_id="0" * 8 + "-bbbb-cccc-dddd-0123456789ab")
        with pytest.raises(TextError, match="does not know application and key .401"):
            await texts.send()
        await texts.gateways.close()


@pytest.mark.parametrize("text", ["", "rubbish", "-----BEGIN PUBLIC KEY-----"])
def test_a_key_of_vonage_that_is_none(tmp_path: Path, text: str) -> None:
    settings = settings_in(tmp_path, texts={"gateway": "vonage"}, **tables("vonage", "https://gateway.example.com"))
    (tmp_path / "vonage.key").write_text(text or application_key().as_pem(private=False).decode())
    with pytest.raises(ConfigError, match=r"\[texts.vonage\] key_file: holds no private key"):
        in_turn(settings, Log().logger)


async def test_any_gateway_by_json(tmp_path: Path) -> None:
    body = {
        "messages": [{"to": "{to}", "content": "{text}", "flash": False, "x": "{ a} {to"}],
        "key": "k-{secret}",
        "n": 1,
    }
    async with TextsServer(anything) as server:
        texts = sender(tmp_path, server.url, "http", body=body, headers={"X-Key": "{secret}"}, method="PUT")
        await texts.send()
        await texts.gateways.close()
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.headers["x-key"]) == ("PUT", "/send", PASSWORD)
    assert asked.headers["content-type"] == "application/json"
    message = {"to": TO.reveal(), "content": TEXT.reveal(), "flash": False, "x": "{ a} {to"}
    assert json.loads(asked.body) == {"messages": [message], "key": f"k-{PASSWORD}", "n": 1}


async def test_any_gateway_by_form(tmp_path: Path) -> None:
    body = {"to": "{to}", "text": "{from}: {text} & co+=%", "a b": "c&d"}
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    async with TextsServer(anything) as server:
        texts = sender(tmp_path, server.url, "http", format="form", body=body, headers=headers)
        await texts.send()
        await texts.gateways.close()
    (asked,) = server.asked
    assert asked.form == {"to": TO.reveal(), "text": f"Acme: {TEXT.reveal()} & co+=%", "a b": "c&d"}
    assert asked.headers["content-type"] == headers["Content-Type"]


@each
async def test_nothing_of_the_environment_is_used(
    name: str, server: TextsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with TextsServer(anything) as proxy:
        for variable in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(variable, proxy.url)
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login canary password canary\n")
        monkeypatch.setenv("NETRC", str(netrc))
        texts = sender(tmp_path, server.url, name)
        await texts.send()
        await texts.gateways.close()
        assert proxy.connections == 0
        assert base64.b64encode(b"canary:canary").decode() not in server.asked[0].headers["authorization"]


# ---------------------------------------------------------------- what is answered

WRONG: dict[str, tuple[str, Any]] = {
    "no JSON": ("not that of|took", Status(200, "created")),
    "other JSON": ("not that of", Status(200, [1, {"id": None}])),
    "JSON in halves": ("not that of", Status(200, b'{"id": "s70')),
    "no letters": ("not that of", Status(200, b"\xff\xfe\x00")),
    "nothing at all": ("not that of", Status(200, b"")),
    "too long": ("too long", Status(200, b'{"id": "' + b"x" * 300_000 + b'"}')),
    "packed": ("not that of", Status(200, b"\x1f\x8b\x08", {"Content-Encoding": "gzip"})),
}
BROKEN: dict[str, tuple[str, Any]] = {
    "no word": ("broke", Raw(b"")),
    "half a header": ("broke|not HTTP", Raw(b"HTTP/1.1 200 OK\r\nContent-Ty")),
    "half a body": ("broke", Raw(b'HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{"id": "s7')),
    "half a chunk": ("broke", Raw(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{"id"')),
    "a bad chunk": ("broke|not HTTP", Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")),
    "no HTTP": ("not HTTP|broke", Raw(b"SSH-2.0-canary\r\n\r\n")),
    "endless header": ("not HTTP|broke", Raw(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n")),
    "elsewhere": ("asked elsewhere .302", Status(302, "", {"Location": "http://127.0.0.1:1/canary"})),
    "elsewhere, the same way": ("asked elsewhere .307", Status(307, "", {"Location": "/a1/sms"})),
    "a fault of its own": ("refused the text .*500", Status(500, "Traceback")),
    "a fault behind it": ("refused the text .*502", Status(502, "<html>bad gateway</html>")),
}


@pytest.mark.parametrize("rule", [pytest.param(rule, id=f"{name}") for name, rule in BROKEN.items()])
@each
async def test_a_broken_answer_is_a_failure_and_is_not_asked_for_again(
    name: str, server: TextsServer, rule: tuple[str, Any], tmp_path: Path
) -> None:
    texts = sender(tmp_path, server.url, name)
    server.next(rule[1])
    with pytest.raises(TextError, match=rule[0]):
        await texts.send()
    assert len(server.asked) == 1, "the text may have been taken"
    await texts.send()
    await texts.gateways.close()


@pytest.mark.parametrize("rule", [pytest.param(rule, id=f"{name}") for name, rule in WRONG.items()])
@pytest.mark.parametrize("name", ["46elks", "twilio", "vonage"])
async def test_an_answer_that_is_not_the_gateways_is_a_failure(
    name: str, server: TextsServer, rule: tuple[str, Any], tmp_path: Path
) -> None:
    texts = sender(tmp_path, server.url, name)
    server.next(rule[1])
    with pytest.raises(TextError, match=rule[0]):
        await texts.send()
    await texts.gateways.close()


@pytest.mark.parametrize("rule", [Never(), Drip(), Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n")])
@each
async def test_an_answer_that_does_not_come_in_time_is_a_failure(
    name: str, server: TextsServer, rule: Never | Drip, tmp_path: Path
) -> None:
    texts = sender(tmp_path, server.url, name, seconds=0.3)
    server.next(rule)
    began = asyncio.get_running_loop().time()
    with pytest.raises(TextError, match="in time|not HTTP|broke"):
        await texts.send()
    assert asyncio.get_running_loop().time() - began < 3.0
    assert len(server.asked) == 1
    await texts.gateways.close()


REFUSALS = [
    ("46elks", Status(401, "API access requires Basic HTTP authentication."), TextError, "username and password .401"),
    ("46elks", Status(403, "Not enough credits"), TextError, "credits"),
    ("46elks", Status(403, "Not enough credits to send to this country"), TextError, "credits"),
    ("46elks", Status(403, "Missing key from"), TextError, "403"),
    ("46elks", Status(404, "Not found"), TextError, "404"),
    ("46elks", Status(400, "Bad request"), TextError, "400"),
    ("46elks", Status(403, "Invalid to number"), NumberRefused, "403"),
    ("46elks", Status(400, "'to' is no number"), NumberRefused, "400"),
    ("46elks", Status(200, {"id": "s1", "status": "failed"}), NumberRefused, "failed at once"),
    ("twilio", twilio_error(401, 20003, "Authenticate"), TextError, "20003"),
    ("twilio", twilio_error(400, 21606, "The 'From' number is no number of yours"), TextError, "21606"),
    ("twilio", twilio_error(400, 21608, "The number is unverified"), TextError, "21608"),
    ("twilio", twilio_error(400, 21211, "The 'To' number +46701740601 is not valid"), NumberRefused, "no valid number"),
    ("twilio", twilio_error(403, 21408, "Permission to send an SMS has not been enabled"), NumberRefused, "21408"),
    ("twilio", twilio_error(400, 21610, "Attempt to send to unsubscribed recipient"), NumberRefused, "unsubscribed"),
    ("twilio", twilio_error(400, 21612, "Cannot be sent"), NumberRefused, "21612"),
    ("twilio", twilio_error(400, 21614, "'To' number is not a valid mobile number"), NumberRefused, "21614"),
    ("twilio", Status(201, {"sid": "SM1", "status": "failed", "error_code": 21614}), NumberRefused, "21614"),
    ("twilio", Status(201, {"sid": "SM1", "status": "failed", "error_code": 30002}), TextError, "30002"),
    ("twilio", Status(403, "<html>"), TextError, "403"),
    ("twilio", Status(400, {"code": "21211"}), TextError, "400"),
    ("vonage", vonage_error(401, "Unauthorized", ""), TextError, "application and key .401"),
    ("vonage", vonage_error(402, "Low balance", ""), TextError, "credits .402"),
    ("vonage", vonage_error(403, "Forbidden", ""), TextError, "rights of the account .403"),
    ("vonage", vonage_error(422, "x", "", invalid_parameters=[{"name": "to"}]), NumberRefused, "no valid number .422"),
    ("vonage", vonage_error(422, "x", "", invalid_parameters=[{"name": "to"}, {"name": "from"}]), TextError, "422"),
    ("vonage", vonage_error(422, "x", "", invalid_parameters=[]), TextError, "422"),
    ("vonage", vonage_error(422, "x", "", invalid_parameters=["to"]), TextError, "422"),
    ("http", Status(401, "no"), TextError, "401"),
    ("http", Status(422, "no"), NumberRefused, "422"),
]


@pytest.mark.parametrize(("name", "rule", "kind", "says"), REFUSALS)
async def test_a_refusal_is_about_the_number_or_about_all(
    name: str, rule: Status, kind: type[Exception], says: str, server: TextsServer, tmp_path: Path
) -> None:
    more: dict[str, object] = {"refused_statuses": [422]} if name == "http" else {}
    texts = sender(tmp_path, server.url, name, **more)
    server.next(rule)
    with pytest.raises(kind, match=says) as caught:
        await texts.send()
    assert type(caught.value) is kind
    assert len(server.asked) == 1
    (line,) = texts.log.of("gateway.refused" if kind is NumberRefused else "gateway.failed")
    assert line["gateway"] == name
    if kind is NumberRefused:
        assert line["number"] == "+46…01"
    no_canary(shown(caught.value, texts.log))
    await texts.gateways.close()


async def test_a_number_that_46elks_itself_refuses(tmp_path: Path) -> None:
    async with TextsServer(SERVED["46elks"][0]) as server:
        texts = sender(tmp_path, server.url, "46elks")
        with pytest.raises(NumberRefused):
            await texts.send(Personal("0701740601"))
        await texts.gateways.close()


OK_FIELD: dict[str, Any] = {"ok_field": "messages.0.status", "ok_values": ["0", "queued", "true"]}


@pytest.mark.parametrize("status", ["0", 0, "queued", True])
async def test_a_field_of_the_answer_says_yes(status: object, tmp_path: Path) -> None:
    async with TextsServer(anything) as server:
        texts = sender(tmp_path, server.url, "http", **OK_FIELD)
        server.next(Status(200, {"messages": [{"status": status}]}))
        await texts.send()
        await texts.gateways.close()


@pytest.mark.parametrize(
    "answer",
    [{"messages": [{"status": "4"}]}, {"messages": []}, {"messages": {"0": 1}}, {}, [], "ok", b"", {"messages": [{}]}],
)
async def test_a_field_of_the_answer_does_not_say_yes(answer: object, tmp_path: Path) -> None:
    async with TextsServer(anything) as server:
        texts = sender(tmp_path, server.url, "http", **OK_FIELD)
        server.next(Status(200, answer))
        with pytest.raises(TextError, match="messages.0.status"):
            await texts.send()
        await texts.gateways.close()


# ---------------------------------------------------------------- trying again


@pytest.mark.parametrize(
    "refusals",
    [
        [Status(429, "slow down", {"Retry-After": "0"})],
        [Status(429, "slow down")],
        [Status(503, ""), Status(503, "", {"Retry-After": "0"})],
    ],
)
@each
async def test_what_was_not_looked_at_is_asked_again(
    name: str, server: TextsServer, refusals: list[Status], tmp_path: Path
) -> None:
    texts = sender(tmp_path, server.url, name, seconds=10.0)
    server.next(*refusals)
    await texts.send()
    assert len(server.asked) == len(refusals) + 1
    assert len({(asked.body, asked.path) for asked in server.asked}) == 1
    assert len(texts.log.of("gateway.retried")) == len(refusals)
    await texts.gateways.close()


@each
async def test_nobody_is_asked_for_ever(name: str, server: TextsServer, tmp_path: Path) -> None:
    texts = sender(tmp_path, server.url, name, seconds=10.0)
    server.always(Status(503, ""))
    with pytest.raises(TextError, match="not available .503"):
        await texts.send()
    assert len(server.asked) == 3
    await texts.gateways.close()


async def test_as_long_as_it_asks_for_is_waited(tmp_path: Path) -> None:
    async with TextsServer(anything) as server:
        texts = sender(tmp_path, server.url, "http", seconds=10.0)
        server.next(Status(429, "", {"Retry-After": "1"}))
        began = asyncio.get_running_loop().time()
        await texts.send()
        assert asyncio.get_running_loop().time() - began >= 1.0
        await texts.gateways.close()


@pytest.mark.parametrize("wait", ["3", "3600", "9" * 400, "Thu, 01 Jan 2026 13:37:42 GMT", "-1", "nan", "1e1", "²"])
async def test_who_asks_for_too_long_or_for_nonsense_is_not_waited_for(wait: str, tmp_path: Path) -> None:
    async with TextsServer(anything) as server:
        texts = sender(tmp_path, server.url, "http", seconds=10.0)
        server.always(Status(429, "", {"Retry-After": wait}))
        with pytest.raises(TextError, match="too many requests"):
            await texts.send()
        assert len(server.asked) == 1
        await texts.gateways.close()


async def test_who_cannot_be_connected_to_is_tried_again(tmp_path: Path) -> None:
    async with TextsServer(anything) as server:
        texts = sender(tmp_path, server.url, "http", seconds=10.0)
        await server.stop()
        sending = asyncio.create_task(texts.send())
        async with asyncio.timeout(5):
            while not texts.log.of("gateway.retried"):
                await asyncio.sleep(0.005)
        async with server:
            await sending
        assert texts.log.of("gateway.retried")[0]["error"] == "it cannot be connected to"
        await texts.gateways.close()


# ---------------------------------------------------------------- secrecy


@pytest.mark.parametrize(
    "rule",
    [
        None,
        Status(403, f"{TO.reveal()} {TEXT.reveal()} {PASSWORD}"),
        Status(302, "", {"Location": f"http://127.0.0.1/?{PASSWORD}={TO.reveal()}"}),
        Status(429, TEXT.reveal(), {"Retry-After": "0"}),
        Raw(f"HTTP/1.1 {TO.reveal()} {PASSWORD}\r\n{TEXT.reveal()}\r\n\r\n".encode()),
        Raw(b""),
    ],
)
@each
async def test_nothing_of_it_is_found_in_logs_and_errors(
    name: str, server: TextsServer, rule: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    asyncio.get_running_loop().slow_callback_duration = 0.0
    texts = sender(tmp_path, server.url, name, seconds=2.0 if rule else 0.3)
    server.next(rule or Never())
    (error,) = await asyncio.gather(texts.send(), return_exceptions=True)
    assert error is None or (error.__cause__, error.__context__) == (None, None)
    assert texts.log.lines
    no_canary(shown(error, texts.log) + repr(texts.gateways._gateways) + caplog.text)
    await texts.gateways.close()
    no_canary(caplog.text)
