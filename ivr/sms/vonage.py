"""Vonage, its Messages API: https://developer.vonage.com/en/api/messages."""

from __future__ import annotations

import secrets
from time import time
from typing import Self

import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from structlog.typing import FilteringBoundLogger

from ivr.call.ports import Handed
from ivr.config import Settings
from ivr.errors import NumberRefused, TextError
from ivr.outward.client import Answer, Client, Request
from ivr.secret import Personal, Secret
from ivr.sms.gateway import Table
from ivr.sms.length import parts
from ivr.sms.reporting import Reporting

NAME = "vonage"

# Seconds that a token is good for: it is for one request.
_LIFE = 60
_JSON = Secret("application/json")


class Vonage:
    """Texts by Vonage. Each request has a token of its own, signed by the application's private key."""

    def __init__(
        self, client: Client, application: str, key: RSAKey, sender: str, reports: Secret | None = None
    ) -> None:
        """`reports`: the address that is told what becomes of a text."""
        self._client = client
        self._application = application
        self._key = key
        self._sender = sender.removeprefix("+")
        self._reports = reports

    @classmethod
    def of(cls, settings: Settings, log: FilteringBoundLogger, reporting: Reporting | None = None) -> Self:
        """Raises `ConfigError` where a setting is missing or cannot be used."""
        table, own = Table(settings, NAME), settings.texts.vonage
        application = table.needed("application_id", own.application_id, "Write the ID of your application")
        sender = table.needed("sender", own.sender, "Write who the text is from")
        if own.key_file is None:
            raise table.fault("key_file", "is missing", "Name the file of the application's private key")
        key = _private(table, table.secret("key", own.key_file, None) or Secret(""))
        url, addresses = table.reach(own.url, own.allow_private)
        # a report that nobody can check is not asked for
        known = reporting is not None and signature_secret(settings) is not None
        reports = reporting.address(NAME) if reporting is not None and known else None
        return cls(Client(NAME, url / "v1" / "messages", addresses, log), application, key, sender, reports)

    async def send(self, to: Personal, text: Secret) -> Handed:
        """Hand the text over; raises `TextError` or `NumberRefused`."""
        headers = {"Authorization": self._token(), "Content-Type": _JSON, "Accept": _JSON}
        answer = await self._client.send(Request(headers, self._body(to, text)))
        named = _judge(answer)
        return Handed(NAME, named if self._reports is not None else None, parts(text))

    async def reach(self) -> None:
        """Connect to it, and send nothing; raises `TextError`."""
        await self._client.reach()

    async def close(self) -> None:
        """End what is open."""
        await self._client.close()

    # ------------------------------------------------------------ inside

    def _token(self) -> Secret:
        now = int(time())
        claims: dict[str, object] = {
            "application_id": self._application, "iat": now, "exp": now + _LIFE, "jti": secrets.token_hex(16),
        }  # fmt: skip
        return Secret("Bearer " + jwt.encode({"alg": "RS256", "typ": "JWT"}, claims, self._key))

    def _body(self, to: Personal, text: Secret) -> Secret:
        fixed = {"message_type": "text", "channel": "sms", "from": self._sender}
        hidden = {"to": Secret(to.reveal().removeprefix("+")), "text": text}
        if self._reports is not None:
            fixed["webhook_version"] = "v1"
            hidden["webhook_url"] = self._reports
        return Secret(orjson.dumps(fixed | {name: value.reveal() for name, value in hidden.items()}).decode())


def signature_secret(settings: Settings) -> Secret | None:
    """What Vonage signs its reports with; None where it is not written. Raises `ConfigError`."""
    own = settings.texts.vonage
    return Table(settings, NAME).secret("signature_secret", own.signature_secret_file, own.signature_secret_env)


def _private(table: Table, text: Secret) -> RSAKey:
    try:
        key = RSAKey.import_key(text.reveal())
    except (JoseError, ValueError, TypeError):
        key = None
    if key is None or not key.is_private:
        raise table.fault("key_file", "holds no private key", "Copy the file that Vonage gave you, as it is")
    return key


def _judge(answer: Answer) -> str:
    said = answer.json()
    match said:
        case {"message_uuid": str(found)} if answer.good:
            return found
        case {"invalid_parameters": [*wrong]} if answer.status == 422 and _about_number(wrong):
            raise NumberRefused("no valid number (422)")
        case _ if answer.good:
            raise TextError(f"its answer ({answer.status}) is not that of Vonage")
        case _:
            raise TextError(_REFUSALS.get(answer.status, "it refused the text") + f" ({answer.status})")


def _about_number(wrong: list[object]) -> bool:
    """Whether nothing but the receiver is wrong: whatever else is would meet other texts as well."""
    return bool(wrong) and all(isinstance(one, dict) and one.get("name") == "to" for one in wrong)


_REFUSALS = {
    401: "it does not know application and key",
    402: "it refused the text: credits",
    403: "it refused the text: sender, or rights of the account",
}
