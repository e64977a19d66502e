"""A broker: an OpenID provider that speaks for electronic identities. Its document, its keys, and the ID tokens that it signs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote_plus

import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet
from joserfc.jws import JWSRegistry
from structlog.typing import FilteringBoundLogger
from yarl import URL

from ivr.call.ports.eid import Done, EidAsked, Ended
from ivr.config import Broker, Settings, loopback, secret_of, tls
from ivr.eid.mutual import Peer
from ivr.errors import EidError
from ivr.outward.client import FORM, Request, basic, form
from ivr.secret import Personal, Secret

_KEPT_SECONDS = 3600
# A token that names a key we have not seen has them asked for again, but not by everybody who makes one up.
_AGAIN_SECONDS = 30
_PAIRS = ("RSA", "EC", "OKP")
# By a key pair alone: by a shared secret we could have signed it ourselves.
_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
_NONE = Secret("")
# What a token or a key of theirs can raise as it is read.
_UNREADABLE = (JoseError, ValueError, TypeError, KeyError, RecursionError)


class _Registry(JWSRegistry):
    """Takes headers that name the signer's certificates, as long as those are. They are not looked at."""

    max_header_length = 16 * 1024


@dataclass(frozen=True, slots=True)
class Document:
    """Where it is asked for what, and how it signs."""

    token: URL
    keys: URL
    authorization: URL | None
    backchannel: URL | None
    algorithms: frozenset[str]
    basic: bool
    says_issuer: bool


class OpenId:
    """One broker. `close` it."""

    def __init__(
        self, name: str, peer: Peer, rules: Broker, secret: Secret, clock: Callable[[], float] = time.time
    ) -> None:
        self.name = name
        self.rules = rules
        self.peer = peer
        self.clock = clock
        self._secret = secret
        self._kept: tuple[float, Document] | None = None
        self._keys: tuple[float, KeySet] | None = None

    @classmethod
    def of(cls, settings: Settings, name: str, log: FilteringBoundLogger) -> Self:
        """The broker of `[eid.brokers.NAME]`. Raises `ConfigError` for a file that cannot be used."""
        rules, place = settings.eid.brokers[name], f"[eid.brokers.{name}]"
        secret = secret_of(settings, f"{place} client_secret", rules.client_secret_file, None)
        trusted = tls.context(settings, place, rules.ca_file) if rules.issuer.startswith("https:") else None
        peer = Peer(name, rules.issuer, rules.allow_private, log, trusted=trusted, seconds=rules.seconds)
        return cls(name, peer, rules, secret or _NONE)

    @property
    def scope(self) -> str:
        """What is asked for."""
        return " ".join(dict.fromkeys(("openid", *self.rules.scopes)))

    @property
    def contexts(self) -> str:
        """The authentication contexts that are taken, the best first."""
        return " ".join(self.rules.acr)

    async def document(self) -> Document:
        """Its own words about itself, an hour old at most. Raises `EidError`."""
        if self._kept is not None and self.clock() - self._kept[0] < _KEPT_SECONDS:
            return self._kept[1]
        found = self._checked(await self._got(URL(f"{self.rules.issuer.rstrip('/')}/.well-known/openid-configuration")))
        self._kept = self.clock(), found
        return found

    async def asked(self, place: URL, fields: Mapping[str, Secret]) -> tuple[int, Mapping[str, Any]]:
        """What it answers to a form, with our secret: status and JSON. Raises `EidError`."""
        document = await self.document()
        if document.basic:
            # RFC 6749 2.3.1: each encoded as in a form
            login = basic(quote_plus(self.rules.client_id), Secret(quote_plus(self._secret.reveal())))
            request = Request({**FORM, "Authorization": login}, form(fields), at=place)
        else:
            ours = {"client_id": Secret(self.rules.client_id), "client_secret": self._secret}
            request = Request(FORM, form({**fields, **ours}), at=place)
        answer = await self.peer.send(request)
        said = answer.json()
        if not isinstance(said, dict):
            raise self.peer.fault(f"its answer is not that of an OpenID provider ({answer.status})")
        return answer.status, said

    async def identified(
        self, token: str, asked: EidAsked, since: float, *, nonce: Secret | None = None, fresh: bool = False
    ) -> Done | Ended:
        """Who that is, by an ID token that is all that it must be. Raises `EidError` where it is not.

        `since`: it was asked for then, in seconds since 1970; `nonce`: it must have this one; `fresh`: it must tell that the
        person has identified since then, and not before.
        """
        said = await self._read(token)
        wanted = jwt.JWTClaimsRegistry(
            now=int(self.clock()), leeway=self.rules.skew_seconds, iss=_is(self.rules.issuer), aud=_is(self.rules.client_id),
            exp={"essential": True}, iat={"essential": True}, sub={"essential": True},
        )  # fmt: skip
        try:
            wanted.validate(said)
        except JoseError:
            raise self._another() from None
        if nonce is not None and Secret(str(said.get("nonce"))) != nonce:
            raise self._another()
        others = said["aud"] if isinstance(said["aud"], list) else [said["aud"]]
        authorised = said.get("azp", self.rules.client_id if len(others) == 1 else None)
        least, signed_in = since - self.rules.skew_seconds, said.get("auth_time")
        if authorised != self.rules.client_id or said["iat"] < least:
            raise self._another()
        if fresh and signed_in is None:
            raise self._another()
        if signed_in is not None and (not isinstance(signed_in, int) or signed_in < least):
            # of a session of longer ago: nobody has been asked now
            raise self._another()
        level = self.rules.acr.get(str(said.get("acr")))
        if level is None:
            return Ended("not_able")
        who = said.get(self.rules.claim)
        if not isinstance(who, str) or not who:
            raise self.peer.fault(f"its ID token has no claim as [eid.brokers.{self.name}] claim names it")
        if asked.who is not None and asked.who != Secret(who):
            return Ended("wrong_person")
        name = said.get("name")
        evidence = Secret(orjson.dumps({"provider": self.name, "id_token": token}).decode())
        return Done(Secret(who), level, evidence, Personal(name) if isinstance(name, str) and name else None)

    async def close(self) -> None:
        """End what is open."""
        await self.peer.close()

    # ------------------------------------------------------------ inside

    async def _read(self, token: str) -> dict[str, Any]:
        document = await self.document()
        keys = await self._signers(document)
        for found in (keys, None):
            signers = found or await self._signers(document, anew=True)
            if signers is None:
                break
            algorithms = sorted(document.algorithms)
            try:
                registry = _Registry(algorithms=algorithms, strict_check_header=False)
                return jwt.decode(token, signers, algorithms=algorithms, registry=registry).claims
            except _UNREADABLE:
                continue
        raise self.peer.fault("its ID token is not signed by a key of its own")

    async def _signers(self, document: Document, *, anew: bool = False) -> KeySet | None:
        """Its keys; `anew`: those of now, None where they were asked for a moment ago. Raises `EidError`."""
        if self._keys is not None:
            age = self.clock() - self._keys[0]
            if anew and age < _AGAIN_SECONDS:
                return None
            if not anew and age < _KEPT_SECONDS:
                return self._keys[1]
        keys = (await self._got(document.keys)).get("keys")
        found = [key for one in (keys if isinstance(keys, list) else ()) if (key := _key(one)) is not None]
        if not found:
            raise self.peer.fault("its keys cannot be read")
        self._keys = self.clock(), KeySet(found)
        return self._keys[1]

    async def _got(self, place: URL) -> Mapping[str, Any]:
        answer = await self.peer.send(Request({}, _NONE, "GET", place))
        said = answer.json()
        if not answer.good or not isinstance(said, dict):
            raise self.peer.fault(f"its document or its keys cannot be had ({answer.status})")
        return said

    def _checked(self, said: Mapping[str, Any]) -> Document:
        # the document of another issuer would lead to another's keys
        if said.get("issuer") != self.rules.issuer:
            raise self.peer.fault(
                f"it calls itself otherwise than [eid.brokers.{self.name}] issuer. Write it as the provider does"
            )
        token, keys = self._place(said, "token_endpoint"), self._place(said, "jwks_uri")
        if token is None or keys is None:
            raise self.peer.fault("its document leads to addresses in clear, or to none")
        algorithms = said.get("id_token_signing_alg_values_supported")
        methods = said.get("token_endpoint_auth_methods_supported")
        return Document(
            token=token,
            keys=keys,
            authorization=self._place(said, "authorization_endpoint"),
            backchannel=self._place(said, "backchannel_authentication_endpoint"),
            algorithms=_ALGORITHMS.intersection(
                filter(_is_text, algorithms if isinstance(algorithms, list) else ["RS256"])
            ),
            basic=not isinstance(methods, list) or "client_secret_basic" in methods,
            says_issuer=said.get("authorization_response_iss_parameter_supported") is True,
        )

    def _place(self, said: Mapping[str, Any], name: str) -> URL | None:
        try:
            url = URL(str(said.get(name)))
        except ValueError:
            return None
        safe = url.scheme == "https" or (url.scheme == "http" and loopback(url.host or ""))
        return url if safe and url.host else None

    def _another(self) -> EidError:
        return self.peer.fault("its ID token is of another order, or for somebody else, or of another time")


def _key(said: object) -> Key | None:
    """One of its keys; None for one of a kind that is not used here or not known (RFC 7517 5)."""
    if not isinstance(said, dict) or said.get("kty") not in _PAIRS:
        return None
    try:
        return JWKRegistry.import_key(said)
    except _UNREADABLE:
        return None


def _is_text(said: object) -> bool:
    return isinstance(said, str)


def _is(value: str) -> jwt.ClaimsOption:
    return {"essential": True, "value": value}
