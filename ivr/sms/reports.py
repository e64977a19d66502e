"""Delivery reports as gateways post them: whether they are the gateway's own, and what they say.

A reader holds what it checks by. Whoever posts is told nothing of what came of it, whatever that is.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qsl

from ivr.call.ports import Delivery, Report
from ivr.config import Settings
from ivr.secret import Secret
from ivr.sms import elks, twilio
from ivr.sms.reporting import Reporting

# Bytes: those of the gateways have less than one thousand.
_MOST = 8 * 1024
# Seconds that a report may have waited to be read. Those that are older are of texts that nobody waits for.
_STALE = 120.0
# Fields of a form: Twilio's have about twelve.
_FIELDS = 50

_ID = re.compile(r"[0-9A-Za-z._-]{1,100}")
_CODE = re.compile(r"[0-9A-Za-z-]{1,32}")


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
    """By the name of each gateway of the settings that reports. Raises `ConfigError` where what it is checked by cannot be read."""
    texts, found = settings.texts, dict[str, Reader]()
    used = {texts.gateway, texts.fallback}
    if elks.NAME in used:
        found[elks.NAME] = _read_elks
    if twilio.NAME in used and (token := twilio.auth_token(settings)) is not None:
        found[twilio.NAME] = Twilio(token, reporting.address(twilio.NAME))
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


def _report(gateway: str, id: object, delivery: Delivery, code: str = "") -> Report | Refused:
    if not isinstance(id, str) or not _ID.fullmatch(id):
        return Refused("form")
    return Report(gateway, id, delivery, code if _CODE.fullmatch(code) else "")
