"""OpenID Connect's code flow with PKCE (RFC 7636): a broker asks whoever sits before a page of ours."""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import orjson
from structlog.typing import FilteringBoundLogger

from ivr.call.ports.eid import Done, EidAsked, Ended
from ivr.config import Settings
from ivr.eid.openid import OpenId
from ivr.eid.words import CIBA_ENDS, refusal
from ivr.errors import StoreError
from ivr.outward.client import form
from ivr.secret import Secret


@dataclass(frozen=True, slots=True)
class Flow:
    """An identification that is under way; to be kept for who has begun it, and taken once."""

    asked: EidAsked
    begun: float
    state: Secret
    nonce: Secret
    verifier: Secret

    @classmethod
    def new(cls, asked: EidAsked, begun: float, use: str = "") -> Self:
        """256 random bits each. `use`: what the state begins with, by which a page knows for what somebody comes back."""
        state, nonce, verifier = (Secret(secrets.token_urlsafe(32)) for _ in range(3))
        return cls(asked, begun, state.within(f"{use}.*", "*") if use else state, nonce, verifier)

    def written(self) -> Secret:
        """To be kept, encrypted, where whoever faces the internet does not reach. Who was asked for does not stand in it."""
        return Secret(
            orjson.dumps({"begun": self.begun, **{name: getattr(self, name).reveal() for name in _SECRET}}).decode()
        )

    @classmethod
    def read(cls, text: Secret, asked: EidAsked) -> Self:
        """As it was kept; `asked`: as it was begun with. Raises `StoreError`."""
        try:
            found = orjson.loads(text.reveal())
            return cls(asked, float(found["begun"]), *(Secret(str(found[name])) for name in _SECRET))
        except (ValueError, TypeError, KeyError):
            raise StoreError("Redis: what stands for an identification at a broker is none") from None


class Code:
    """One broker, gone to from a page. `redirect`: where it sends people back to."""

    def __init__(self, broker: OpenId, redirect: str) -> None:
        self._broker = broker
        self._peer = broker.peer
        self._redirect = redirect

    @classmethod
    def of(cls, settings: Settings, name: str, redirect: str, log: FilteringBoundLogger) -> Self:
        """The broker of `[eid.brokers.NAME]`. Raises `ConfigError` for a file that cannot be used."""
        return cls(OpenId.of(settings, name, log), redirect)

    async def begin(self, asked: EidAsked, use: str = "") -> tuple[Flow, Secret]:
        """A flow, and the address that the person goes to. `use` as of `Flow`. Raises `EidError`."""
        place = (await self._broker.document()).authorization
        if place is None:
            raise self._peer.fault("it does not offer the code flow")
        flow = Flow.new(asked, self._broker.clock(), use)
        fields = {
            "response_type": "code", "client_id": self._broker.rules.client_id, "redirect_uri": self._redirect,
            "scope": self._broker.scope, "acr_values": self._broker.contexts, "code_challenge_method": "S256",
            # an older session there is nobody's word now; whether it has asked anew `auth_time` says
            "prompt": "login", "max_age": "0",
        }  # fmt: skip
        link = Secret(str(place.update_query(fields)))
        own = {"state": flow.state, "nonce": flow.nonce, "code_challenge": _challenge(flow.verifier)}
        return flow, Secret.join((link, Secret("&"), form(own)))

    async def end(self, flow: Flow, answer: Mapping[str, str]) -> Done | Ended:
        """Who that is, by what came back (`code`, `state`, `iss`, `error`). Raises `EidError`."""
        document = await self._broker.document()
        if Secret(answer.get("state", "")) != flow.state:
            raise self._peer.fault("what came back is of another order")
        issuer = answer.get("iss")
        if issuer != self._broker.rules.issuer and (issuer is not None or document.says_issuer):
            # RFC 9207
            raise self._peer.fault("it was another provider that answered")
        if "error" in answer or not answer.get("code"):
            return Ended(CIBA_ENDS.get(answer.get("error", ""), "failed"))
        fields = {
            "grant_type": Secret("authorization_code"), "code": Secret(answer["code"]),
            "redirect_uri": Secret(self._redirect), "code_verifier": flow.verifier,
        }  # fmt: skip
        status, said = await self._broker.asked(document.token, fields)
        match said:
            case {"id_token": str(token)} if status == 200:
                return await self._broker.identified(token, flow.asked, flow.begun, nonce=flow.nonce, fresh=True)
            case {"error": "invalid_grant"}:
                # used before, or another's
                return Ended("failed")
            case _:
                raise self._peer.fault(f"it refused ({refusal(said, status)})")

    async def close(self) -> None:
        """End what is open."""
        await self._broker.close()


_SECRET = ("state", "nonce", "verifier")


def _challenge(verifier: Secret) -> Secret:
    digest = hashlib.sha256(verifier.reveal().encode()).digest()
    return Secret(urlsafe_b64encode(digest).rstrip(b"=").decode())
