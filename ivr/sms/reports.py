"""Delivery reports as gateways post them: whether they are the gateway's own, and what they say.

A reader holds what it checks by. Whoever posts is told nothing of what came of it, whatever that is.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qsl

import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from ivr.call.ports import Delivery, Report
from ivr.config import Settings
from ivr.secret import Secret
from ivr.sms import elks, twilio, vonage
from ivr.sms.reporting import Reporting

# Bytes: those of the gateways have less than one thousand.
_MOST = 8 * 1024
# Seconds that a report may have waited to be read. Those that are older are of texts that nobody waits for.
_STALE = 120.0
# Fields of a form: Twilio's have about twelve.
_FIELDS = 50
# Seconds between what a token says of its own age and our clock.
_SIGNED = 300


class Posted(Protocol):
    """What somebody posted to a gateway's public address, and nobody has looked at yet.

    `way` and `secret` are the last two parts of the path; `headers` have their names in small letters; `at` is when it
    came, in seconds since the epoch.
    """

    @property
    def way(self) -> str: ...
    @property
    def secret(self) -> Secret: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> Secret: ...
    @property
    def at(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Refused:
    """Not a report of this gateway's, and why: `secret`, `stale`, `too long`, `signature` or `form`."""

    why: str


Reader = Callable[[Posted, float], Report | Refused]


def readers(settings: Settings, reporting: Reporting) -> dict[str, Reader]:
    """By the name of each gateway of the settings that posts reports. Raises `ConfigError` where what they are checked by cannot be read."""
    texts, found = settings.texts, dict[str, Reader]()
    for name in {texts.gateway, texts.fallback}:
        if name is None or (address := reporting.address(name)) is None:
            continue
        match name:
            case elks.NAME:
                found[name] = _read_elks
            case twilio.NAME:
                if (token := twilio.auth_token(settings)) is not None:
                    found[name] = Twilio(token, address)
            case vonage.NAME:
                if (secret := vonage.signature_secret(settings)) is not None:
                    found[name] = Vonage(secret, texts.vonage.api_key)
            case _:
                # it tells by another way, or nothing
                pass
    return {name: _Addressed(reporting.secret(name), reader) for name, reader in found.items()}


@dataclass(frozen=True, slots=True)
class _Addressed:
    """What holds for every gateway, before anything of the body is looked at."""

    secret: Secret
    reader: Reader

    def __call__(self, posted: Posted, now: float) -> Report | Refused:
        if posted.secret != self.secret:
            return Refused("secret")
        if not -_STALE <= now - posted.at <= _STALE:
            return Refused("stale")
        if len(posted.body) > _MOST:
            return Refused("too long")
        return self.reader(posted, now)


# ---------------------------------------------------------------- 46elks


def _read_elks(posted: Posted, _: float) -> Report | Refused:
    """https://46elks.com/docs/sms-delivery-reports: they sign nothing, and the path is what they are known by."""
    fields = _form(posted)
    if fields is None:
        return Refused("form")
    return _report(elks.NAME, fields.get("id"), _ELKS.get(fields.get("status", ""), Delivery.UNKNOWN))


_ELKS = {"sent": Delivery.SENT, "delivered": Delivery.DELIVERED, "failed": Delivery.UNDELIVERED}


# ---------------------------------------------------------------- Twilio


@dataclass(frozen=True, slots=True)
class Twilio:
    """https://www.twilio.com/docs/usage/security#validating-requests; `address` is what it was asked to post to.

    Of the request's own URL nothing is used: behind proxies it is another one.
    """

    token: Secret
    address: Secret

    def __call__(self, posted: Posted, _: float) -> Report | Refused:
        fields = _form(posted)
        if fields is None:
            return Refused("form")
        if not _signed(self.token, self.address, fields, posted.headers.get("x-twilio-signature", "")):
            return Refused("signature")
        delivery = _TWILIO.get(fields.get("MessageStatus", ""), Delivery.UNKNOWN)
        return _report(twilio.NAME, fields.get("MessageSid"), delivery, fields.get("ErrorCode", ""))


_TWILIO = {
    "accepted": Delivery.SENT,
    "scheduled": Delivery.SENT,
    "queued": Delivery.SENT,
    "sending": Delivery.SENT,
    "sent": Delivery.SENT,
    "delivered": Delivery.DELIVERED,
    "read": Delivery.READ,
    "undelivered": Delivery.UNDELIVERED,
    "failed": Delivery.FAILED,
    "canceled": Delivery.FAILED,
}


def _signed(token: Secret, address: Secret, fields: Mapping[str, str], signature: str) -> bool:
    """HMAC-SHA1 of the address and the fields in the order of their names, each name before its value."""
    words = "".join(name + fields[name] for name in sorted(fields))
    expected = base64.b64encode(hmac.digest(token.reveal().encode(), f"{address.reveal()}{words}".encode(), "sha1"))
    return hmac.compare_digest(expected, signature.encode(errors="replace"))


# ---------------------------------------------------------------- Vonage


@dataclass(frozen=True, slots=True)
class Vonage:
    """https://developer.vonage.com/en/getting-started/concepts/webhooks: a token, signed with the account's secret, over the body.

    `key`: the account's API key, where it is known.
    """

    secret: Secret
    key: str | None

    def __call__(self, posted: Posted, now: float) -> Report | Refused:
        claims = self._claims(posted.headers.get("authorization", ""))
        if claims is None or claims.get("payload_hash") != _sha256(posted.body):
            return Refused("signature")
        if self.key is not None and claims.get("api_key") != self.key:
            return Refused("signature")
        made = claims.get("iat")
        if not isinstance(made, int) or abs(now - made) > _SIGNED:
            return Refused("stale")
        match _json(posted.body):
            case {"message_uuid": found, "status": str(status), **more}:
                return _report(vonage.NAME, found, _VONAGE.get(status, Delivery.UNKNOWN), _why(more.get("error")))
            case _:
                return Refused("form")

    def _claims(self, header: str) -> dict[str, object] | None:
        kind, _, token = header.partition(" ")
        if kind.lower() != "bearer":
            return None
        try:
            return dict(jwt.decode(token, OctKey.import_key(self.secret.reveal()), algorithms=["HS256"]).claims)
        except (JoseError, ValueError, TypeError, KeyError):
            return None


_VONAGE = {
    "submitted": Delivery.SENT,
    "delivered": Delivery.DELIVERED,
    "read": Delivery.READ,
    "rejected": Delivery.UNDELIVERED,
    "undeliverable": Delivery.FAILED,
}


def _why(error: object) -> object:
    """The number that an error's type ends with: `https://developer.vonage.com/api-errors/messages#1260`."""
    match error:
        case {"type": str(kind)}:
            return kind.rpartition("#")[2]
        case _:
            return ""


# ---------------------------------------------------------------- what they share


def _form(posted: Posted) -> dict[str, str] | None:
    """The fields of a form, none of them there twice; None where it is not one."""
    try:
        pairs = parse_qsl(
            posted.body.reveal(), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_FIELDS
        )
    except ValueError:
        return None
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else None


def _json(body: Secret) -> object:
    """None where it is not."""
    try:
        return orjson.loads(body.reveal())
    except orjson.JSONDecodeError:
        return None


def _sha256(body: Secret) -> str:
    return hashlib.sha256(body.reveal().encode(errors="surrogatepass")).hexdigest()


def _report(gateway: str, id: object, delivery: Delivery, code: object = "") -> Report | Refused:
    return Report.of(gateway, id, delivery, code) or Refused("form")
