"""Gateways that report what becomes of texts, as they publish it, to a public address that leads here by a proxy."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import time
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

import aiohttp
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import OctKey

from ivr.secret import Secret
from ivr.sms import Reporting
from ivr.sms.reports import Posted
from tests.contract.texts_server import ACCOUNT, APPLICATION

SIGNATURE = "canary-signature-secret-0123456789abcdefghijklmnop"
API_KEY = "abcd1234"
TOKEN = "canary-auth-token-0123456789abcd"
REPORTING = Reporting("https://id.example.com", Secret("f" * 64))


@dataclass(frozen=True)
class Came:
    """A request as the public page passes it on."""

    way: str
    secret: Secret
    headers: Mapping[str, str] = field(repr=False)
    body: Secret
    at: float


def posted(way: str, body: str, headers: Mapping[str, str] | None = None, **other: object) -> Came:
    """As if it had just come to that gateway's own path."""
    made: dict[str, object] = {"secret": REPORTING.secret(way), "headers": headers or {}, "at": time()}
    return Came(way=way, body=Secret(body), **(made | other))  # type: ignore[arg-type]


class Front:
    """A server that takes what is posted, and a proxy's host name before it."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[Came] = asyncio.Queue()
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def take(self) -> Posted | None:
        """The next one."""
        return await self.came.get()

    async def post(self, address: str, body: str, headers: Mapping[str, str] | None = None) -> int:
        """What somebody posts to the public address; the status of the answer."""
        assert REPORTING.url is not None
        local = address.replace(REPORTING.url, self.url)
        assert local != address, "it was asked to report to somewhere else"
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(local, data=body.encode(), headers=kind | dict(headers or {})) as answer,
        ):
            return answer.status

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/in/{way}/{secret}", self._in)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _in(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        way, secret = request.match_info["way"], Secret(request.match_info["secret"])
        await self.came.put(Came(way, secret, headers, Secret(await request.text()), time()))
        return web.Response(status=204)


# ---------------------------------------------------------------- what each gateway posts


def twilio_report(
    sid: str, status: str, address: str, *, code: str | None = None, token: str = TOKEN, signed: str | None = None
) -> tuple[str, dict[str, str]]:
    """https://www.twilio.com/docs/messaging/guides/track-outbound-message-status; `signed` is the address that goes into the signature."""
    fields = {
        "AccountSid": ACCOUNT, "ApiVersion": "2010-04-01", "From": "+46701740602", "MessageSid": sid,
        "MessageStatus": status, "SmsSid": sid, "SmsStatus": status, "To": "+46701740601",
    }  # fmt: skip
    if code is not None:
        fields["ErrorCode"] = code
    return urlencode(fields), {"X-Twilio-Signature": twilio_signature(signed or address, fields, token)}


def vonage_report(
    id: str,
    status: str,
    *,
    code: str | None = None,
    secret: str = SIGNATURE,
    claims: Mapping[str, object] | None = None,
) -> tuple[str, dict[str, str]]:
    """https://developer.vonage.com/en/messages/concepts/messages-status-callbacks, and how its webhooks are signed; `claims` are in the stead of its own."""
    said: dict[str, object] = {
        "message_uuid": id, "to": "46701740601", "from": "Acme", "timestamp": "2026-01-01T13:37:44.314Z",
        "status": status, "usage": {"currency": "EUR", "price": "0.0333"}, "channel": "sms",
        "destination": {"network_code": "24007"}, "sms": {"count_total": "1"},
    }  # fmt: skip
    if code is not None:
        kind = f"https://developer.vonage.com/api-errors/messages#{code}"
        said["error"] = {"type": kind, "title": code, "detail": "Absent Subscriber", "instance": id}
    body = json.dumps(said)
    own = {
        "iat": int(time()), "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5", "iss": "Vonage", "api_key": API_KEY,
        "payload_hash": hashlib.sha256(body.encode()).hexdigest(), "application_id": APPLICATION,
    }  # fmt: skip
    token = jwt.encode({"alg": "HS256", "typ": "JWT"}, own | dict(claims or {}), OctKey.import_key(secret))
    return body, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}


def twilio_signature(address: str, fields: Mapping[str, str], token: str = TOKEN) -> str:
    words = address + "".join(f"{name}{value}" for name, value in sorted(fields.items()))
    return base64.b64encode(hmac.new(token.encode(), words.encode(), hashlib.sha1).digest()).decode()
