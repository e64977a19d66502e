"""The OpenID provider, as the desk asks it: code flow with PKCE (RFC 7636), its document and keys kept for an hour."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import ssl
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote_plus, urlencode, urlsplit

import aiohttp
import orjson
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from ivr import __version__
from ivr.config import Settings, loopback, secret_of, tls
from ivr.config.oidc import Oidc
from ivr.errors import OidcError
from ivr.oidc import claims
from ivr.oidc.claims import Claims, Refusal
from ivr.secret import Secret

# Bytes of an answer; a large organisation's keys have some thousands.
_MOST = 256 * 1024
_KEPT_SECONDS = 3600
# A token that names a key we have not seen has them asked for again, but not by everybody who makes one up.
_AGAIN_SECONDS = 30
_PAIRS = ("RSA", "EC", "OKP")


@dataclass(frozen=True, slots=True)
class Flow:
    """A sign-in that is under way. All three come back to us alone."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> Self:
        """256 random bits each."""
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))


@dataclass(frozen=True, slots=True)
class _Document:
    authorization: str
    token: str
    keys: str
    algorithms: frozenset[str]
    says_issuer: bool
    basic: bool
    exit: str | None
    tells: frozenset[str]


class Provider:
    """Asked on the way in alone: whoever has signed in goes on while it is away. `close` it."""

    def __init__(
        self, rules: Oidc, secret: Secret | None, trusted: ssl.SSLContext | bool, redirect: str, after: str,
        *, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        """`redirect`: where it sends people back to; `after`: the same, where they have signed out."""
        self.rules = rules
        self._secret = secret
        self._redirect = redirect
        self._after = after
        self._clock = clock
        self._trusted = trusted
        self._session: aiohttp.ClientSession | None = None
        self._kept: tuple[float, _Document] | None = None
        self._keys: tuple[float, KeySet] | None = None
        self._one = asyncio.Lock()
        self._failures, self._failure = 0, ""

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """By the settings; None where there is none. Raises `ConfigError` for a file that cannot be used."""
        rules = settings.desk.oidc
        if rules is None or settings.desk.url is None:
            return None
        secret = secret_of(settings, "[desk.oidc] client_secret", rules.client_secret_file, rules.client_secret_env)
        trusted = tls.context(settings, "[desk.oidc]", rules.ca_file)
        return cls(rules, secret, trusted, f"{settings.desk.url}/sign-in/provider", f"{settings.desk.url}/sign-in")

    async def close(self) -> None:
        """Let its connections go; nothing happens when that was done."""
        if self._session is not None:
            await self._session.close()

    async def address(self, flow: Flow, *, within: int | None = None) -> str:
        """Where somebody goes to sign in; `within`: anew, and not by a sign-in of longer ago, in seconds. Raises `OidcError`."""
        document = await self._document()
        challenge = urlsafe_b64encode(hashlib.sha256(flow.verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code", "client_id": self.rules.client_id, "redirect_uri": self._redirect,
            "scope": " ".join(dict.fromkeys(("openid", *self.rules.scopes))), "state": flow.state, "nonce": flow.nonce,
            "code_challenge": challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        if self.rules.acr:
            asked["acr_values"] = " ".join(self.rules.acr)
        if within is not None:
            # whether it has done so is not believed: `auth_time`, which the second demands, says it
            asked |= {"prompt": "login", "max_age": str(within)}
        return _with(document.authorization, asked)

    async def exit(self) -> str | None:
        """Where somebody goes to sign out there; None where it has no such place. Raises `OidcError`.

        OpenID Connect RP-Initiated Logout 1.0, without the ID token: that says who somebody is, and would stand in an address.
        """
        document = await self._document()
        if document.exit is None:
            return None
        asked = {"client_id": self.rules.client_id, "post_logout_redirect_uri": self._after}
        return _with(document.exit, asked)

    async def tells(self) -> frozenset[str]:
        """Which of `acr` and `amr` its document says that it tells; there may be others (Discovery 3). Raises `OidcError`."""
        return (await self._document()).tells

    async def who(self, flow: Flow, answer: Mapping[str, str]) -> Claims | Refusal:
        """Who has signed in there, by what came back (`code`, `iss`, `error`). Raises `OidcError`."""
        document = await self._document()
        issuer = answer.get("iss")
        if issuer != self.rules.issuer and (issuer is not None or document.says_issuer):
            return Refusal.ISSUER
        if "error" in answer or not answer.get("code"):
            return Refusal.ERROR
        token = await self._exchange(document, answer["code"], flow.verifier)
        if isinstance(token, Refusal):
            return token
        read = self._read(document, token, await self._signers(document), flow)
        if read is Refusal.SIGNATURE and (again := await self._signers(document, anew=True)) is not None:
            read = self._read(document, token, again, flow)
        return read

    def _read(self, document: _Document, token: str, keys: KeySet | None, flow: Flow) -> Claims | Refusal:
        assert keys is not None
        return claims.read(token, keys, document.algorithms, self.rules, flow.nonce, self._clock())

    # ------------------------------------------------------------ what it is asked

    async def _exchange(self, document: _Document, code: str, verifier: str) -> str | Refusal:
        asked = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": self._redirect, "code_verifier": verifier,
            "client_id": self.rules.client_id,
        }  # fmt: skip
        options: dict[str, Any] = {"data": asked}
        if self._secret is not None and document.basic:
            # RFC 6749 2.3.1: each encoded as in a form
            basic = aiohttp.encode_basic_auth(
                quote_plus(self.rules.client_id), quote_plus(self._secret.reveal()), encoding="utf-8"
            )
            options["headers"] = {"Authorization": basic}
        elif self._secret is not None:
            options["data"] = dict(asked, client_secret=self._secret.reveal())
        status, said = await self._asked("POST", document.token, **options)
        if status in (400, 401, 403):
            # RFC 6749 5.2: this code, or this client; which of them stands in its own log
            return Refusal.CODE
        token = said.get("id_token")
        if status != 200 or not isinstance(token, str):
            raise OidcError(f"the provider gave no ID token (status {status})")
        return token

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """One at a time: a provider that is away is asked once for all who have waited meanwhile. Raises `OidcError`."""
        before = self._failures
        async with self._one:
            if self._failures != before:
                raise OidcError(self._failure)
            try:
                yield
            except OidcError as error:
                self._failures, self._failure = self._failures + 1, str(error)
                raise

    async def _document(self) -> _Document:
        async with self._alone():
            if self._kept is not None and self._clock() - self._kept[0] < _KEPT_SECONDS:
                return self._kept[1]
            status, said = await self._asked("GET", f"{self.rules.issuer.rstrip('/')}/.well-known/openid-configuration")
            if status != 200:
                raise OidcError(f"the provider's document cannot be had (status {status})")
            found = self._checked(said)
            self._kept = self._clock(), found
            return found

    def _checked(self, said: Mapping[str, Any]) -> _Document:
        # the document of another issuer would lead to another's keys
        if said.get("issuer") != self.rules.issuer:
            raise OidcError(
                "the provider calls itself otherwise than [desk.oidc] issuer; write it as the provider does"
            )
        places = [said.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
        if not all(isinstance(place, str) and self._safe(place) for place in places):
            raise OidcError("the provider's document leads to addresses in clear, or to none")
        algorithms = said.get("id_token_signing_alg_values_supported")
        methods = said.get("token_endpoint_auth_methods_supported")
        challenges = said.get("code_challenge_methods_supported")
        leaving = said.get("end_session_endpoint")
        if isinstance(challenges, list) and "S256" not in challenges:
            raise OidcError("the provider does not take PKCE with S256")
        return _Document(
            authorization=str(places[0]),
            token=str(places[1]),
            keys=str(places[2]),
            algorithms=claims.ALGORITHMS & set(algorithms if isinstance(algorithms, list) else ["RS256"]),
            says_issuer=said.get("authorization_response_iss_parameter_supported") is True,
            basic=not isinstance(methods, list) or "client_secret_basic" in methods,
            exit=leaving if isinstance(leaving, str) and self._safe(leaving) else None,
            tells=_tells(said),
        )

    def _safe(self, place: str) -> bool:
        url = urlsplit(place)
        return url.scheme == "https" or (
            url.scheme == "http" and (self.rules.plain_text or loopback(url.hostname or ""))
        )

    async def _signers(self, document: _Document, *, anew: bool = False) -> KeySet | None:
        """Its keys; `anew`: those of now, None where they were asked for a moment ago."""
        async with self._alone():
            if self._keys is not None:
                age = self._clock() - self._keys[0]
                if age < _AGAIN_SECONDS and anew:
                    return None
                if age < _KEPT_SECONDS and not anew:
                    return self._keys[1]
            status, said = await self._asked("GET", document.keys)
            try:
                pairs = [one for one in said["keys"] if one.get("kty") in _PAIRS and one.get("use", "sig") == "sig"]
                found = KeySet.import_key_set({"keys": pairs})
            except (JoseError, ValueError, TypeError, KeyError, AttributeError):
                raise OidcError(f"the provider's keys cannot be read (status {status})") from None
            self._keys = self._clock(), found
            return found

    async def _asked(self, method: str, url: str, **options: Any) -> tuple[int, dict[str, Any]]:
        """No redirects, no proxy, no cookies, in time; of what fails nothing but the kind is told."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._trusted), cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"tillit/{__version__}", "Accept": "application/json"},
            )  # fmt: skip
        try:
            async with (
                asyncio.timeout(self.rules.request_seconds),
                self._session.request(method, url, allow_redirects=False, **options) as answer,
            ):
                body = await answer.content.read(_MOST + 1)
                while len(body) <= _MOST and (more := await answer.content.read(_MOST)):
                    body += more
                said = orjson.loads(body) if len(body) <= _MOST else None
                return answer.status, said if isinstance(said, dict) else {}
        except TimeoutError:
            raise OidcError("the provider did not answer in time") from None
        except orjson.JSONDecodeError:
            raise OidcError("the provider's answer is no JSON") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise OidcError(f"the provider: {tls.fault(error) or type(error).__name__}") from None


def _tells(said: Mapping[str, Any]) -> frozenset[str]:
    named = said.get("claims_supported")
    found = {name for name in ("acr", "amr") if isinstance(named, list) and name in named}
    return frozenset(found | ({"acr"} if said.get("acr_values_supported") else set()))


def _with(place: str, asked: Mapping[str, str]) -> str:
    joint = "&" if urlsplit(place).query else "?"
    return f"{place}{joint}{urlencode(asked)}"
