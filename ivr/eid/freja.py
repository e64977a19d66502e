"""Freja eID: the authentication service of its REST API, version 1.0, as frejaeid.atlassian.net has it."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self
from urllib.parse import quote

import orjson
from structlog.typing import FilteringBoundLogger

from ivr import config
from ivr.call.ports.eid import Done, EidAsked, Ended, Order, Pending
from ivr.config import Settings
from ivr.eid.mutual import Peer, context
from ivr.eid.signed import Key, pinned, verified
from ivr.eid.words import FREJA_ENDS, FREJA_HINTS, FREJA_REFUSALS
from ivr.outward.client import FORM, Answer, Request, form
from ivr.secret import Personal, Secret

_POLL = 2.0
# Seconds that an authentication lives there.
_LIFE = 120.0
# Seconds by which its clock and ours may differ.
_SKEW = 300.0
_LEVELS = ("BASIC", "EXTENDED", "PLUS")
_UNKNOWN = 1100
# Base64 needs nothing escaped in JSON.
_WHO = "{who}"


class Freja:
    """One relying party at Freja.

    There, one authentication of a person is under way at a time: a second one, also another party's, ends both.
    """

    name: ClassVar[str] = "freja"

    def __init__(
        self, peer: Peer, own: config.Freja, keys: Sequence[Key], clock: Callable[[], float] = time.time
    ) -> None:
        self._peer = peer
        self._own = own
        self._keys = keys
        self._clock = clock

    @classmethod
    def of(cls, settings: Settings, log: FilteringBoundLogger) -> Self | None:
        """By the settings; None where there is none. Raises `ConfigError` for a file that cannot be used."""
        own = settings.eid.freja
        if own is None:
            return None
        trusted = context(settings, "[eid.freja]", own.ca_file, own.certificate_file, own.key_file)
        keys = pinned(settings, "[eid.freja]", "signing_certificate_file", own.signing_certificate_file)
        peer = Peer(
            cls.name, own.url, own.allow_private, log, trusted=trusted, seconds=own.seconds, certified=True
        )  # fmt: skip
        return cls(peer, own, keys)

    @property
    def life(self) -> float:
        """Seconds that an order of its lasts at most."""
        return _LIFE

    async def begin(self, asked: EidAsked) -> Order | Ended:
        """`initAuthentication`: by person number, or of whoever scans or taps. Raises `EidError`."""
        on_phone = asked.start == "phone"
        if on_phone and asked.who is None:
            raise self._peer.fault("on the phone somebody must be asked for")
        answer = await self._asked("initAuthentication", "initAuthRequest", self._order(asked))
        match answer.json():
            case {"authRef": str(order)} if answer.good and order:
                link = None if on_phone else Secret(_link(order))
                return Order(
                    Secret(order),
                    asked,
                    self._clock(),
                    _LIFE,
                    _POLL,
                    link=link,
                    qr=None if link is None else lambda _: link,
                )
            case {"code": int(code)} if code in FREJA_REFUSALS:
                return Ended(FREJA_REFUSALS[code])
            case _:
                raise self._peer.fault(_refused(answer))

    async def look(self, order: Order) -> Pending | Done | Ended:
        """`getOneResult`. What it has not signed can end an order, and never identify anybody. Raises `EidError`."""
        answer = await self._asked("getOneResult", "getOneAuthResultRequest", _by(order))
        match answer.json():
            case {"status": "APPROVED", "details": str(details)} if answer.good:
                said = verified(details, self._keys)
                if said is None:
                    raise self._peer.fault("its result is not signed by the certificate of signing_certificate_file")
                return self._judged(order, said, details)
            case {"status": str(status)} if answer.good and status != "APPROVED":
                if (why := FREJA_ENDS.get(status)) is not None:
                    return Ended(why)
                return Pending(FREJA_HINTS.get(status, "other"))
            case {"code": int(code)} if code == _UNKNOWN:
                return Ended("expired")
            case _:
                raise self._peer.fault(_refused(answer))

    async def cancel(self, order: Order) -> bool:
        """`cancel`: the app lets go of it. Nothing happens where it has ended. True. Raises `EidError`."""
        answer = await self._asked("cancel", "cancelAuthRequest", _by(order))
        match answer.json():
            case {"code": int(code)} if code == _UNKNOWN:
                return True
            case _ if not answer.good:
                raise self._peer.fault(_refused(answer))
            case _:
                return True

    async def reach(self) -> None:
        """Connect to it, and ask for nobody. Raises `EidError`."""
        await self._peer.reach()

    async def close(self) -> None:
        """End what is open."""
        await self._peer.close()

    async def _asked(self, at: str, name: str, said: Secret) -> Answer:
        return await self._peer.send(Request(FORM, form({name: said}), at=f"authentication/1.0/{at}"))

    def _order(self, asked: EidAsked) -> Secret:
        body: dict[str, object] = {
            "minRegistrationLevel": self._own.level,
            "attributesToReturn": [{"attribute": name} for name in ("SSN", "BASIC_USER_INFO", "REGISTRATION_LEVEL")],
        }
        if asked.who is None or asked.start != "phone":
            return _base64({**body, "userInfoType": "INFERRED", "userInfo": "N/A"})
        who = Secret(base64.b64encode(orjson.dumps({"country": self._own.country, "ssn": asked.who.reveal()})).decode())
        return _base64({**body, "userInfoType": "SSN", "userInfo": _WHO}, who)

    def _judged(self, order: Order, said: Mapping[str, Any], details: str) -> Done | Ended:
        """By what it has signed, and by nothing that stands beside it."""
        match said:
            case {"authRef": str(of), "status": "APPROVED"} if Secret(of) == order.id:
                pass
            case _:
                raise self._peer.fault("its signed result is of another order, or not of one that was approved")
        at = said.get("timestamp")
        if not isinstance(at, int) or not -_SKEW <= at / 1000 - order.begun <= _LIFE + _SKEW:
            raise self._peer.fault("its signed result is of another time; compare the two clocks")
        told = said.get("requestedAttributes")
        match told:
            case {"ssn": {"ssn": str(number), "country": self._own.country}, "registrationLevel": str(level)}:
                pass
            case _:
                raise self._peer.fault("its signed result has no person number, or no level")
        if level not in _LEVELS or _LEVELS.index(level) < _LEVELS.index(self._own.level):
            return Ended("not_able")
        who = Secret(number)
        if order.asked.who is not None and who != order.asked.who:
            return Ended("wrong_person")
        evidence = Secret(orjson.dumps({"provider": self.name, "details": details}).decode())
        return Done(who, 3, evidence, _name(told))


def _name(told: object) -> Personal | None:
    match told:
        case {"basicUserInfo": {"name": str(first), "surname": str(last)}}:
            return Personal(f"{first} {last}".strip())
        case _:
            return None


def _link(order: str) -> str:
    return f"frejaeid://bindUserToTransaction?transactionReference={quote(order, safe='')}"


def _by(order: Order) -> Secret:
    return Secret(base64.b64encode(orjson.dumps({"authRef": order.id.reveal()})).decode())


def _base64(said: Mapping[str, object], who: Secret | None = None) -> Secret:
    text = Secret(orjson.dumps(said).decode()) if who is None else who.within(orjson.dumps(said).decode(), _WHO)
    return Secret(base64.b64encode(text.reveal().encode()).decode())


def _refused(answer: Answer) -> str:
    """In our words: its own (`message`) may repeat what it was sent."""
    match answer.json():
        case {"code": int(code)}:
            return f"it refused (code {code})"
        case _ if answer.good:
            return "its answer is not that of Freja"
        case _:
            return f"it refused ({answer.status})"
