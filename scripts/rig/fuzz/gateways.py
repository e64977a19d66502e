"""`gateways`: what answers where a text is sent: bytes of HTTP that aiohttp reads, and each gateway judges."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import BaseConnector
from aiohttp.tracing import Trace

from ivr import sms
from ivr.config import Settings
from ivr.errors import ConfigError, NumberRefused, TextError
from ivr.secret import Personal, Secret
from rig.fuzz.case import Finding, Timeless, logger, quiet
from rig.fuzz.source import Source

_TO, _CODE, _PASSWORD = "+46701740601", "58204719", "canary-7c1f52d0"
_SECRETS = (_TO, _TO[1:], _CODE, _PASSWORD)
_TABLES: dict[str, dict[str, object]] = {
    "46elks": {"username": "u1", "sender": "Acme"},
    "twilio": {"account_sid": f"AC{'0' * 32}", "sender": "Acme"},
    "http": {
        "url": "https://gateway.example/send", "sender": "Acme", "body": {"to": "{to}", "text": "{text}"},
        "headers": {"Authorization": "Bearer {secret}"}, "ok_field": "messages.0.status", "ok_values": ["0", "true", '{"a":1}'],
        "refused_statuses": [422],
    },
}  # fmt: skip
_SAID = (
    b'{"id":"s1","status":"created","to":"+46701740601"}', b'{"sid":"SM1","status":"queued","error_code":null}',
    b'{"sid":"SM1","status":"failed","error_code":21610}', b'{"messages":[{"status":"0"}]}', b'{"code":21211,"message":"+46701740601"}',
    b'Invalid value for key \'to\': "+46701740601"', b'{"messages":[{"status":' + b"[" * 300 + b"]" * 300 + b"}]}", b"[" * 2000, b"",
)  # fmt: skip
_HEADERS = (
    b"Content-Type: application/json", b"Content-Type: text/plain; charset=nowhere", b"Retry-After: 1", b"Retry-After: \xd9\xa3", b"Retry-After: -1",
    b"Retry-After: " + b"9" * 400, b"Retry-After: Wed, 21 Oct 2026 07:28:00 GMT", b"Transfer-Encoding: chunked", b"Content-Encoding: gzip",
    b"Set-Cookie: a=\"b; =; expires=never", b"Location: file:///etc/passwd", b"Connection: close", b"Upgrade: websocket", b"X: y\0z", b" folded",
)  # fmt: skip
_STATUSES = (200, 201, 204, 400, 401, 403, 404, 422, 429, 503, 500, 301, 307, 100, 101, 103, 299, 599, 0, 999)


class _Wire(asyncio.Transport):
    """Takes a request, and gives the answer in pieces."""

    def __init__(self, protocol: ResponseHandler, pieces: list[bytes]) -> None:
        super().__init__()
        self._protocol = protocol
        self._pieces = pieces
        self._over = False
        self._asked = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._asked:
            self._asked = True
            asyncio.get_running_loop().call_soon(self._answer)

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"")

    def _answer(self) -> None:
        if self._over:
            return
        if self._pieces:
            self._protocol.data_received(self._pieces.pop(0))
            asyncio.get_running_loop().call_soon(self._answer)
        else:
            self.close()

    def is_closing(self) -> bool:
        return self._over

    def close(self) -> None:
        if not self._over:
            self._over = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    abort = close

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class _Near(BaseConnector):
    """Connects to nobody: the answers are there already."""

    def __init__(self, answers: list[list[bytes]]) -> None:
        super().__init__(force_close=True)
        self._answers = answers

    async def _create_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        protocol = ResponseHandler(asyncio.get_running_loop())
        pieces = self._answers.pop(0) if len(self._answers) > 1 else list(self._answers[0])
        protocol.connection_made(_Wire(protocol, pieces))
        return protocol


class Gateways:
    """Implements `Target`."""

    name: ClassVar[str] = "gateways"
    allowed: ClassVar[str] = (
        "`TextError` or `NumberRefused`, without number, text or password; taken only with a status from 200 to 299"
    )

    def __init__(self) -> None:
        self._timeless = Timeless()
        self._log = logger(_SECRETS)
        with tempfile.TemporaryDirectory() as folder:
            password = Path(folder) / "password"
            password.touch(0o600)
            password.write_text(_PASSWORD)
            self._names = list(_TABLES)
            secret = {"46elks": "password_file", "twilio": "password_file", "http": "secret_file"}
            tables = {name: {**table, secret[name]: str(password)} for name, table in _TABLES.items()}
            self._settings = Settings.model_validate(
                {
                    "company": {"name": "Acme", "country": "SE"},
                    "policies": {"main": {"steps": ["pin"], "level": 1}},
                    "texts": {"gateway": "46elks", "seconds": 5.0, **tables},
                }
            )
            try:
                self._gateways = {name: sms.one(name, self._settings, self._log) for name in self._names}
            except ConfigError as error:
                raise RuntimeError(str(error)) from None

    def run(self, source: Source) -> int:
        self._timeless.run(self._case(source))
        return 1

    async def _case(self, source: Source) -> None:
        gateway = self._gateways[source.pick(self._names)]
        statuses: list[int] = []
        answers = [self._answer(source, statuses) for _ in range(1 + source.below(3))]
        client = gateway._client  # type: ignore[attr-defined]  # all of these have one
        # as the client makes it, but for where it leads
        client._opened = aiohttp.ClientSession(
            connector=_Near(answers), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False
        )
        try:
            await gateway.send(Personal(_TO), Secret(f"Your code is {_CODE}"))
        except (TextError, NumberRefused) as error:
            quiet(error, _SECRETS)
        else:
            if statuses and not any(200 <= status <= 299 for status in statuses):
                raise Finding("a text that was refused counts as taken")
        finally:
            await client._opened.close()
            client._opened = None
            # connections end a turn later
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    def _answer(self, source: Source, statuses: list[int]) -> list[bytes]:
        body = self._body(source)
        status = source.pick(_STATUSES)
        if source.once_in(8):
            head = source.text(30).encode(errors="replace") + b"\r\n"
            # what the status line is then, nobody here can tell
            statuses.append(200)
        else:
            head = b"HTTP/1.1 %03d %s\r\n" % (status, source.pick((b"OK", b"", b"\xff\xfe")))
            statuses.append(status)
        for _ in range(source.below(5)):
            head += (source.pick(_HEADERS) if not source.once_in(6) else source.take(40)) + b"\r\n"
        match source.below(6):
            case 0:
                whole = head + b"\r\n" + body
            case 1:
                whole = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
            case 2:
                whole = head + b"Content-Length: %d\r\n\r\n" % (len(body) + source.number()) + body
            case _:
                whole = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        if source.once_in(6):
            whole = whole[: source.below(len(whole) + 1)]
        if source.once_in(3):
            at = source.below(len(whole) + 1)
            return [piece for piece in (whole[:at], whole[at:]) if piece]
        return [whole] if whole else []

    def _body(self, source: Source) -> bytes:
        match source.below(8):
            case 0:
                return source.take(80)
            case 1:
                return bytes(source.text(80), "utf-8", "replace")
            case 2:
                return b"x" * (source.below(300) * 1024)
            case 3:
                body = bytearray(source.pick(_SAID))
                for _ in range(1 + source.below(3)):
                    if body:
                        body[source.below(len(body))] = source.byte()
                return bytes(body)
            case _:
                return source.pick(_SAID)
