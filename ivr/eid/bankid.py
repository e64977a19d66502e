"""BankID (Sweden): the relying party API, version 6.0, as developers.bankid.com has it."""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable
from typing import ClassVar, Self
from urllib.parse import quote

import orjson
from structlog.typing import FilteringBoundLogger

from ivr import config
from ivr.call.ports.eid import Done, EidAsked, Ended, Order, Pending
from ivr.config import Settings
from ivr.eid.mutual import Peer, context
from ivr.eid.words import BANKID_ENDS, BANKID_HINTS
from ivr.outward.client import Answer, Request
from ivr.secret import Personal, Secret

# Seconds between two looks, as its guidelines have it; sooner is refused.
_POLL = 2.0
# Seconds in which the person must have opened the app and identified; its own limit answers first, as a rule.
_LIFE = 180.0
# Characters of userVisibleData and of userNonVisibleData in an identification, in Base64.
_VISIBLE, _NON_VISIBLE = 1500, 1500
_JSON = {"Content-Type": Secret("application/json")}
_RISKS = ("low", "moderate", "high")


class BankId:
    """One relying party at BankID."""

    name: ClassVar[str] = "bankid"

    def __init__(self, peer: Peer, own: config.BankId, clock: Callable[[], float] = time.time) -> None:
        self._peer = peer
        self._own = own
        self._clock = clock

    @classmethod
    def of(cls, settings: Settings, log: FilteringBoundLogger) -> Self | None:
        """By the settings; None where there is none. Raises `ConfigError` for a file that cannot be used."""
        own = settings.eid.bankid
        if own is None:
            return None
        trusted = context(settings, "[eid.bankid]", own.ca_file, own.certificate_file, own.key_file)
        peer = Peer(
            cls.name, own.url, own.allow_private, log, trusted=trusted, seconds=own.seconds, certified=True
        )  # fmt: skip
        return cls(peer, own)

    @property
    def life(self) -> float:
        """Seconds that an order of its lasts at most."""
        return _LIFE

    async def begin(self, asked: EidAsked) -> Order | Ended:
        """`phone/auth` on the phone, else `auth`. Raises `EidError`."""
        on_phone = asked.start == "phone"
        if on_phone and asked.who is None:
            raise self._peer.fault("on the phone somebody must be asked for")
        if not on_phone and asked.address is None:
            raise self._peer.fault("a page must say which address it is seen from")
        answer = await self._asked("phone/auth" if on_phone else "auth", self._order(asked))
        match answer.status, answer.json():
            case 200, {"orderRef": str(order)} if on_phone and order:
                return Order(Secret(order), asked, self._clock(), _LIFE, _POLL)
            case (
                200,
                {
                    "orderRef": str(order),
                    "autoStartToken": str(token),
                    "qrStartToken": str(shown),
                    "qrStartSecret": str(secret),
                },
            ) if order and not on_phone:
                return Order(
                    Secret(order), asked, self._clock(), _LIFE, _POLL,
                    link=_link(token),
                    qr=_Qr(shown, Secret(secret)),
                )  # fmt: skip
            case 400, {"errorCode": "alreadyInProgress"}:
                return Ended("in_progress")
            case _:
                raise self._peer.fault(_refused(answer))

    async def look(self, order: Order) -> Pending | Done | Ended:
        """`collect`. Raises `EidError`, also where the answer is of another order."""
        answer = await self._asked("collect", _by(order))
        said = answer.json()
        if answer.status == 400:
            # collected once, or so long ago that it is gone
            return Ended("expired")
        if answer.status != 200 or not isinstance(said, dict):
            raise self._peer.fault(_refused(answer))
        match said:
            case {"orderRef": str(of)} if Secret(of) == order.id:
                pass
            case _:
                raise self._peer.fault("its answer is of another order")
        match said:
            case {"status": "pending"}:
                return Pending(BANKID_HINTS.get(str(said.get("hintCode")), "other"))
            case {"status": "failed"}:
                return Ended(BANKID_ENDS.get(str(said.get("hintCode")), "failed"))
            case {
                "status": "complete",
                "completionData": {
                    "user": {"personalNumber": str(who)} as user, "signature": str(signature), "ocspResponse": str(ocsp)
                } as data,
            } if who and signature and ocsp:  # fmt: skip
                return self._done(order, Secret(who), user, data)
            case _:
                raise self._peer.fault("its answer is not that of BankID")

    async def cancel(self, order: Order) -> bool:
        """`cancel`: the app lets go of it. Nothing happens where it has ended. True. Raises `EidError`."""
        answer = await self._asked("cancel", _by(order))
        if answer.status not in (200, 400):
            raise self._peer.fault(_refused(answer))
        return True

    async def reach(self) -> None:
        """Connect to it, and ask for nobody. Raises `EidError`."""
        await self._peer.reach()

    async def close(self) -> None:
        """End what is open."""
        await self._peer.close()

    async def _asked(self, at: str, body: Secret) -> Answer:
        return await self._peer.send(Request(_JSON, body, at=at))

    def _order(self, asked: EidAsked) -> Secret:
        required: dict[str, object] = {}
        if self._own.pin_code:
            required["pinCode"] = True
        if self._own.identity_document:
            required["mrtd"] = True
        if self._own.highest_risk is not None:
            required["risk"] = self._own.highest_risk
        body: dict[str, object] = {
            "userVisibleData": _visible(asked.shown),
            # names stand in it: in the other format a star in one of them would be taken for bold type
            "userVisibleDataFormat": "plaintext",
            "userNonVisibleData": _base64(asked.nonce[: _NON_VISIBLE // 4 * 3]),
        }
        if asked.start == "phone":
            body["callInitiator"] = "user" if asked.caller_began else "RP"
        else:
            body["endUserIp"] = asked.address or ""
            body["returnRisk"] = self._own.highest_risk is not None
        if asked.who is None:
            if asked.start == "same_device" and asked.back is not None:
                return Secret(
                    orjson.dumps({**body, "requirement": required, "returnUrl": asked.back.reveal()}).decode()
                )
            return Secret(orjson.dumps({**body, "requirement": required}).decode())
        if asked.start == "phone":
            return Secret(
                orjson.dumps({**body, "requirement": required, "personalNumber": asked.who.reveal()}).decode()
            )
        if asked.start == "same_device" and asked.back is not None:
            return Secret(
                orjson.dumps(
                    {
                        **body,
                        "requirement": {**required, "personalNumber": asked.who.reveal()},
                        "returnUrl": asked.back.reveal(),
                    }
                ).decode()
            )
        return Secret(
            orjson.dumps({**body, "requirement": {**required, "personalNumber": asked.who.reveal()}}).decode()
        )

    def _done(self, order: Order, who: Secret, user: dict[str, object], data: dict[str, object]) -> Done | Ended:
        if order.asked.who is not None and who != order.asked.who:
            return Ended("wrong_person")
        risk, most = data.get("risk"), self._own.highest_risk
        if most is not None and risk is not None and risk not in _RISKS[: _RISKS.index(most) + 1]:
            return Ended("risk")
        name = user.get("name")
        evidence = Secret(orjson.dumps({"provider": self.name, **data}).decode())
        return Done(who, 3, evidence, Personal(name) if isinstance(name, str) and name else None)


class _Qr:
    """What a page draws, another one each second: a picture of it is of no use a moment later."""

    def __init__(self, token: str, secret: Secret) -> None:
        self._token = token
        self._secret = secret

    def __call__(self, seconds: float) -> Secret:
        now = str(max(0, int(seconds)))
        code = hmac.digest(self._secret.reveal().encode(), now.encode(), "sha256").hex()
        return Secret(f"bankid.{self._token}.{now}.{code}")


def _link(token: str) -> Secret:
    """What opens the app. Where that goes back to stands in the order alone: who has begun it reads this, and may send it on."""
    return Secret(f"https://app.bankid.com/?autostarttoken={quote(token, safe='')}&redirect=null")


def _by(order: Order) -> Secret:
    return Secret(orjson.dumps({"orderRef": order.id.reveal()}).decode())


def _visible(text: str) -> str:
    """In Base64, without what it refuses; what is too long for it is cut, which a person can see."""
    clean = "".join(letter if letter == "\n" or letter.isprintable() else " " for letter in text)
    while len(encoded := _base64(clean)) > _VISIBLE:
        clean = clean[:-2].rstrip() + "…"
    return encoded


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _refused(answer: Answer) -> str:
    """In our words: its own (`details`) may repeat what it was sent."""
    match answer.status, answer.json():
        case 401 | 403, _:
            return f"it does not know our certificate, or we may not ask for this ({answer.status})"
        case 400, {"errorCode": "invalidParameters"}:
            return "it does not take what it is asked (invalidParameters)"
        case 200, _:
            return "its answer is not that of BankID"
        case status, _:
            return f"it refused ({status})"
