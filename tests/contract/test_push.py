"""Messages to browsers and apps: each to a server that reads them by an implementation of its own."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import structlog
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey
from standardwebhooks import Webhook

from ivr.config import Settings
from ivr.errors import ConfigError, NobodyThere, PushError
from ivr.push.app import KIND, AppServer
from ivr.push.web import MOST, Subscription, WebPush
from ivr.secret import Personal, Secret
from tests.contract.hooks_kit import SECRET
from tests.contract.peers_kit import Internet
from tests.unit.database_kit import settings_in

ROOT = Path(__file__).parents[2]
NODE = next((ROOT / ".tillit/venv/lib").glob("python3.*/site-packages/playwright/driver/node"), None)
LOG = structlog.get_logger()
HOST = "push.example"

# A real push service for tests (npm's web-push-testing), which checks signatures and decrypts.
SERVICE = """
const { createServer } = require('http');
const found = createServer().listen(0, '127.0.0.1', () => {
  const port = found.address().port;
  found.close(() => {
    const { PushApiModel } = require('web-push-testing/src/PushApiModel.js');
    const Service = require('web-push-testing/src/server.js');
    new Service(new PushApiModel(), port).startServer();
    console.log('port ' + port);
  });
});
"""


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """Its address."""
    node = subprocess.Popen(
        [str(NODE), "-e", SERVICE],
        cwd=ROOT / ".tillit/node",
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert node.stdout is not None
    port = ""
    for line in node.stdout:
        if line.startswith("port "):
            port = line.split()[1]
        if "running" in line and port:
            break
    yield f"http://127.0.0.1:{port}"
    node.terminate()
    node.wait()
    node.stdout.close()


@pytest.fixture
def internet(tmp_path: Path) -> Internet:
    return Internet(tmp_path)


def settings_of(folder: Path) -> Settings:
    return settings_in(folder, lines_of(folder))


def lines_of(folder: Path) -> str:
    """Those of a desk that reaches this push service, under a new key."""
    key = ECKey.generate_key("P-256").as_pem(private=True)
    (folder / "vapid.pem").write_bytes(key)
    (folder / "vapid.pem").chmod(0o600)
    return (
        f'[push]\nvapid_key_file = "vapid.pem"\nsubject = "mailto:ops@example.com"\nhosts = ["{HOST}"]\nca_file = "ca.pem"\n'
        'allow_private = ["127.0.0.1"]\nseconds = 5\n'
    )


class Browser:
    """Subscribed at the push service, which is behind TLS here as it is on the internet."""

    def __init__(self, session: aiohttp.ClientSession, service: str, sent: list[dict[str, str]]) -> None:
        self._session = session
        self._service = service
        self.sent = sent
        self.hash = ""

    async def subscribe(self, key: str) -> Secret:
        asked = {"userVisibleOnly": "true", "applicationServerKey": key}
        async with self._session.post(f"{self._service}/subscribe", data=asked) as answer:
            said = (await answer.json())["data"]
        self.hash = said["clientHash"]
        # its keys are standard Base64 of what a browser tells in base64url
        keys = {name: _url(value) for name, value in said["keys"].items()}
        return Secret(
            json.dumps({"endpoint": f"https://{HOST}/notify/{self.hash}", "expirationTime": None, "keys": keys})
        )

    async def received(self) -> list[str]:
        async with self._session.post(f"{self._service}/get-notifications", data={"clientHash": self.hash}) as answer:
            found: dict[str, Any] = (await answer.json())["data"]
            return list(found["messages"])

    async def end(self) -> None:
        async with self._session.post(f"{self._service}/expire-subscription/{self.hash}") as answer:
            assert answer.status == 200


def _url(text: str) -> str:
    return text.replace("+", "-").replace("/", "_").rstrip("=")


@asynccontextmanager
async def browser(internet: Internet, service: str) -> AsyncIterator[Browser]:
    sent: list[dict[str, str]] = []
    async with aiohttp.ClientSession() as session:

        async def passed_on(request: web.Request) -> web.Response:
            sent.append(dict(request.headers))
            headers = {
                name: request.headers[name]
                for name in ("TTL", "Authorization", "Content-Type", "Content-Encoding", "Urgency")
                if name in request.headers
            }
            body = await request.read()
            async with session.post(f"{service}{request.path}", data=body, headers=headers) as answer:
                return web.Response(status=answer.status, body=await answer.read())

        app = web.Application()
        app.router.add_post("/notify/{hash}", passed_on)
        async with internet.served(app, HOST):
            yield Browser(session, service, sent)


def made(settings: Settings, internet: Internet) -> WebPush:
    push = WebPush.of(settings, LOG, internet.names)
    assert push is not None
    return push


@pytest.mark.servers
async def test_a_browser_reads_what_we_have_sent(internet: Internet, tmp_path: Path, service: str) -> None:
    push = made(settings_of(tmp_path), internet)
    async with browser(internet, service) as there:
        to = Subscription.read(await there.subscribe(push.public), [HOST])
        assert to is not None
        message = orjson.dumps({"link": "https://proof.example.com/p/x", "company": "Östgöta"}).decode()
        await push.send(to, Secret(message), seconds=300)
        assert await there.received() == [message]
        (headers,) = there.sent
        assert (headers["TTL"], headers["Urgency"]) == ("300", "high")
        token = headers["Authorization"].removeprefix("vapid t=").partition(",")[0]
        claims = orjson.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        assert claims["aud"] == f"https://{HOST}" and claims["sub"] == "mailto:ops@example.com"


@pytest.mark.servers
async def test_one_who_has_another_key_is_refused(internet: Internet, tmp_path: Path, service: str) -> None:
    """What a copy of the subscriptions is worth without our key."""
    push = made(settings_of(tmp_path), internet)
    async with browser(internet, service) as there:
        to = Subscription.read(await there.subscribe(push.public), [HOST])
        assert to is not None
        thief = made(settings_of(tmp_path), internet)
        with pytest.raises(PushError, match=r"did not take the message \(status 400\)"):
            await thief.send(to, Secret("x"), seconds=60)


@pytest.mark.servers
async def test_a_subscription_that_was_ended(internet: Internet, tmp_path: Path, service: str) -> None:
    push = made(settings_of(tmp_path), internet)
    async with browser(internet, service) as there:
        to = Subscription.read(await there.subscribe(push.public), [HOST])
        assert to is not None
        await there.end()
        with pytest.raises(NobodyThere, match="the browser has ended it") as caught:
            await push.send(to, Secret("x"), seconds=60)
        assert there.hash not in str(caught.value)


@pytest.mark.servers
async def test_a_message_that_is_too_long(internet: Internet, tmp_path: Path, service: str) -> None:
    push = made(settings_of(tmp_path), internet)
    async with browser(internet, service) as there:
        to = Subscription.read(await there.subscribe(push.public), [HOST])
        assert to is not None
        await push.send(to, Secret("å" * (MOST // 2)), seconds=60)
        assert int(there.sent[0]["Content-Length"]) <= 4096
        with pytest.raises(PushError, match="too long"):
            await push.send(to, Secret("x" * (MOST + 1)), seconds=60)


@pytest.mark.servers
async def test_private_addresses_and_redirects(internet: Internet, tmp_path: Path, service: str) -> None:
    push = made(settings_of(tmp_path), internet)
    async with browser(internet, service) as there:
        to = Subscription.read(await there.subscribe(push.public), [HOST])
    assert to is not None
    internet.names.leads[HOST] = ("10.0.0.5", 443)
    with pytest.raises(PushError, match="leads to a private address"):
        await push.send(to, Secret("x"), seconds=60)

    async def turned(_: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect("https://push.example/elsewhere")

    app = web.Application()
    app.router.add_post("/notify/{hash}", turned)
    async with internet.served(app, HOST):
        with pytest.raises(PushError, match="redirects are not followed"):
            await push.send(to, Secret("x"), seconds=60)
    async with internet.served(app, "other.example", named=False) as port:
        internet.names.leads[HOST] = ("127.0.0.1", port)
        with pytest.raises(PushError, match="its certificate is not good"):
            await push.send(to, Secret("x"), seconds=60)


@pytest.mark.parametrize(
    "change",
    [
        {"endpoint": "http://push.example/x"}, {"endpoint": "https://push.example:8443/x"}, {"endpoint": "https://127.0.0.1/x"},
        {"endpoint": "https://evil.example/x"}, {"endpoint": "https://push.example.evil.example/x"}, {"endpoint": 1},
        {"endpoint": "https://u@push.example/x"}, {"endpoint": "https://push.example/" + "x" * 1000}, {"keys": None},
        {"keys": {"p256dh": "BAAA", "auth": "AAAAAAAAAAAAAAAAAAAAAA"}}, {"keys": {"p256dh": "!", "auth": "!"}},
        {"auth": "AAAA"}, {"endpoint": "https://a\\b.push.apple.com/x"}, {"endpoint": "https://å.push.apple.com/x"},
    ],
)  # fmt: skip
def test_what_is_no_subscription(change: dict[str, Any]) -> None:
    said = subscription()
    if "auth" in change:
        said["keys"]["auth"] = change["auth"]
    else:
        said |= change
    assert Subscription.read(Secret(json.dumps(said)), [HOST, "*.push.apple.com"]) is None


def subscription() -> dict[str, Any]:
    point = (
        ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    )
    keys = {"p256dh": _url(base64.b64encode(point).decode()), "auth": _url(base64.b64encode(b"a" * 16).decode())}
    return {"endpoint": "https://push.example/x", "keys": keys}


def test_a_subscription_is_read_as_a_browser_tells_it() -> None:
    said = subscription()
    assert Subscription.read(Secret(json.dumps(said)), [HOST]) is not None
    said["endpoint"] = "https://web.push.apple.com/QAbc"
    found = Subscription.read(Secret(json.dumps(said)), [HOST, "*.push.apple.com"])
    assert found is not None and "QAbc" not in repr(found)
    for rubbish in ("", "[]", "{", "null", "\udc80"):
        assert Subscription.read(Secret(rubbish), [HOST]) is None


def test_a_key_that_is_none(internet: Internet, tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    for text in ("x", ECKey.generate_key("P-384").as_pem(private=True).decode(), ECKey.generate_key("P-256").as_pem(private=False).decode()):  # fmt: skip
        (tmp_path / "vapid.pem").write_text(text)
        with pytest.raises(ConfigError, match="no private key of P-256"):
            WebPush.of(settings, LOG)
    assert WebPush.of(settings_in(tmp_path), LOG) is None


# ---------------------------------------------------------------- apps


def app_of(folder: Path, url: str, *, secret: str = SECRET, more: str = "") -> AppServer:
    (folder / "bank.app").write_text(secret)
    (folder / "bank.app").chmod(0o600)
    settings = settings_in(folder, f'[apps.bank]\nurl = "{url}"\nsecret_file = "bank.app"\n{more}')
    return AppServer.of(settings, "bank", LOG)


LINK = Secret("https://proof.example.com/p/abcdefghijklmnopqrstuv")


async def asked(app: AppServer) -> None:
    try:
        await app.ask(Personal("user-17"), LINK, "Example", 1_800_000_300)
    finally:
        await app.close()


async def test_an_app_is_told_what_it_can_check(internet: Internet, tmp_path: Path) -> None:
    """The receiver checks the signature by the library, as docs/push.md says."""
    heard: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        heard.append(Webhook(SECRET).verify(await request.text(), dict(request.headers)))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/tillit", take)
    async with internet.served(app, "app.bank.example", named=True):
        server = app_of(
            tmp_path, "https://app.bank.example/tillit", more='ca_file = "ca.pem"\nallow_private = ["127.0.0.1"]\n'
        )
        server._client._resolver = internet.names
        await asked(server)
    (said,) = heard
    assert said["type"] == KIND
    assert said["data"] == {"user": "user-17", "link": LINK.reveal(), "company": "Example", "expires": 1_800_000_300}


def test_the_example_of_the_documentation() -> None:
    """A receiver that takes it, and nothing that differs from it, is right."""
    text = (ROOT / "docs" / "push.md").read_text()
    secret = re.search(r"The secret is `(whsec_[^`]+)`", text)
    found = re.search(r"```http\nPOST /tillit HTTP/1.1\n(?P<headers>.+?)\n\n(?P<body>.+?)\n```", text, re.DOTALL)
    assert secret is not None and found is not None
    headers = dict(line.split(": ", 1) for line in found["headers"].splitlines())
    body = found["body"]
    made = hmac.new(
        base64.b64decode(secret[1].removeprefix("whsec_")),
        f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode(), hashlib.sha256,
    )  # fmt: skip
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(made.digest()).decode()}"
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    assert Webhook(secret[1]).sign(headers["webhook-id"], at, body) == headers["webhook-signature"]
    said = json.loads(body)
    assert (said["type"], set(said["data"])) == (KIND, {"user", "link", "company", "expires"})


@pytest.mark.parametrize(("status", "kind"), [(404, NobodyThere), (410, NobodyThere), (400, PushError), (500, PushError), (302, PushError)])  # fmt: skip
async def test_an_app_that_does_not_take_it(tmp_path: Path, status: int, kind: type[Exception]) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "/elsewhere"}, text="user-17 abcdefghijklmnopqrstuv")

    async with plain(answer) as url:
        with pytest.raises(kind) as caught:
            await asked(app_of(tmp_path, url))
    assert str(status) in str(caught.value)
    assert "user-17" not in str(caught.value) and "abcdef" not in str(caught.value)


async def test_an_app_that_does_not_answer(tmp_path: Path) -> None:
    hang = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        await hang.wait()
        return web.Response()

    async with plain(answer) as url:
        with pytest.raises(PushError, match="bank: it did not answer in time"):
            await asked(app_of(tmp_path, url, more="seconds = 0.5\n"))
        hang.set()


@asynccontextmanager
async def plain(answer: Any) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/tillit", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/tillit"
    finally:
        await runner.cleanup()


def test_a_secret_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not whsec_ and Base64"):
        app_of(tmp_path, "https://app.bank.example/tillit", secret="whsec_" + "!" * 40)
