"""A real OpenID provider (pyop) on this machine: it asks for PKCE and a secret, holds codes and signs; tests can have it lie."""

from __future__ import annotations

import asyncio
import hmac
import json
import ssl
import warnings
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import trustme
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, Key, RSAKey

with warnings.catch_warnings():
    # what it is made of is older than this Python
    warnings.simplefilter("ignore")
    from Cryptodome.PublicKey import RSA
    from jwkest.jwk import RSAKey as SigningKey
    from oic.oic.message import AuthorizationResponse
    from pyop.authz_state import AuthorizationState
    from pyop.exceptions import InvalidAuthorizationCode, InvalidClientAuthentication, InvalidTokenRequest
    from pyop.provider import Provider as Pyop
    from pyop.subject_identifier import HashBasedSubjectIdentifierFactory
    from pyop.userinfo import Userinfo

CLIENT, SECRET = "desk", "a-secret-of-the-desk_s.own"


@cache
def key_of(kid: str) -> Any:
    """Made once, for it takes a second."""
    return RSA.generate(2048)


class OpenIdProvider:
    """`user` is who signs in there; `extra` claims of the token. What lies does so until it is set back."""

    def __init__(self, url: str, back: str) -> None:
        self.issuer = url
        self.back = back
        self.user = "anna-at-the-provider"
        self.extra: dict[str, Any] = {}
        self.tamper: Callable[[dict[str, Any]], dict[str, Any]] | None = None
        self.sign: Callable[[dict[str, Any]], str] | None = None
        self.answer_issuer: str | None = None
        self.document: dict[str, Any] = {}
        self.token_status: int | None = None
        self.deaf = asyncio.Event()
        self.deaf.set()
        self.asked: list[str] = []
        self.error: str | None = None
        self.status = 200
        self.raw: bytes | None = None
        self.no_keys = False
        self.method = "client_secret_basic"
        self.leave: Callable[[], Any] = lambda: None
        self.rotate()

    def rotate(self, kid: str = "k1") -> None:
        """A new key to sign with; the old one is gone from those that are published."""
        self.key = key_of(kid)
        signing = SigningKey(key=self.key, use="sig", alg="RS256", kid=kid)
        self.kid = kid
        about = {
            "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize", "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks", "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "scopes_supported": ["openid", "email"], "id_token_signing_alg_values_supported": ["RS256"],
        }  # fmt: skip
        client = {
            "client_id": CLIENT, "client_secret": SECRET, "redirect_uris": [self.back], "response_types": ["code"],
            "token_endpoint_auth_method": self.method, "subject_type": "public",
        }  # fmt: skip
        state = AuthorizationState(HashBasedSubjectIdentifierFactory("salt"))
        self.provider = Pyop(signing, about, state, {CLIENT: client}, Userinfo(Everybody()))

    def by_form(self) -> None:
        """The secret comes in the form, and nowhere else."""
        self.method = "client_secret_post"
        self.rotate(self.kid)

    def subject(self) -> str:
        """What it calls the user."""
        return str(self.provider.authz_state.get_subject_identifier("public", self.user, ""))

    def private(self) -> Key:
        return RSAKey.import_key(self.key.export_key("PEM"), {"kid": self.kid})

    async def configuration(self, _: web.Request) -> web.Response:
        await self._up("document")
        about = {**self.provider.provider_configuration.to_dict(), **self.document}
        return web.json_response(
            {name: value for name, value in about.items() if value is not None}, status=self.status
        )

    async def keys(self, _: web.Request) -> web.Response:
        await self._up("keys")
        if self.no_keys:
            return web.json_response({"keys": "none"})
        return web.json_response(self.provider.jwks)

    async def authorize(self, request: web.Request) -> web.Response:
        """What a person sees there, who is signed in there already."""
        await self._up("authorize")
        asked = self.provider.parse_authentication_request(request.query_string)
        assert asked["code_challenge_method"] == "S256" and asked["nonce"] and asked["state"]
        if self.error is not None:
            answer: Any = AuthorizationResponse()
            where = f"{self.back}?error={self.error}&state={asked['state']}"
        else:
            answer = self.provider.authorize(asked, self.user)
            if self.answer_issuer is not None:
                answer["iss"] = self.answer_issuer
            where = answer.request(asked["redirect_uri"])
        return web.Response(status=303, headers={"Location": where})

    async def token(self, request: web.Request) -> web.Response:
        await self._up("token")
        if self.raw is not None:
            return web.Response(body=self.raw)
        if self.token_status is not None:
            return web.json_response({"error": "server_error"}, status=self.token_status)
        body = (await request.read()).decode()
        try:
            found = self.provider.handle_token_request(body, dict(request.headers), dict(self.extra))
        except (InvalidAuthorizationCode, InvalidTokenRequest) as error:
            return web.json_response({"error": getattr(error, "oauth_error", "invalid_grant")}, status=400)
        except InvalidClientAuthentication:
            return web.json_response({"error": "invalid_client"}, status=401)
        told = found.to_dict()
        if self.tamper is not None or self.sign is not None:
            claims = jwt.decode(told["id_token"], self.private(), algorithms=["RS256"]).claims
            claims = claims if self.tamper is None else self.tamper(dict(claims))
            told["id_token"] = self.signed(claims) if self.sign is None else self.sign(claims)
        return web.json_response(told)

    def signed(
        self, claims: dict[str, Any], *, alg: str = "RS256", key: Key | None = None, kid: str | None = None
    ) -> str:
        header = {"alg": alg, "kid": kid or self.kid}
        return jwt.encode(header, claims, key or self.private(), algorithms=[alg])

    def unsigned(self, claims: dict[str, Any]) -> str:
        """`alg` none."""
        told = ({"alg": "none"}, claims)
        return ".".join(_text(json.dumps(part).encode()) for part in told) + "."

    def by_secret(self, claims: dict[str, Any]) -> str:
        """As if the public key were a shared secret."""
        public = self.key.public_key().export_key("PEM")
        told = ".".join(_text(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": self.kid}, claims))
        return f"{told}.{_text(hmac.new(public, told.encode(), 'sha256').digest())}"

    def by_another(self, claims: dict[str, Any]) -> str:
        """By a key of somebody else's, which the token brings along."""
        own = ECKey.generate_key("P-256")
        return jwt.encode(
            {"alg": "ES256", "kid": self.kid, "jwk": own.as_dict(private=False)}, claims, own, algorithms=["ES256"]
        )

    async def _up(self, what: str) -> None:
        self.asked.append(what)
        await self.deaf.wait()


class Everybody(dict):  # type: ignore[type-arg]
    """Whoever comes is known there."""

    def __missing__(self, user: str) -> dict[str, Any]:
        return {}

    def __contains__(self, _: object) -> bool:
        return True


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


@asynccontextmanager
async def provider(port: int, back: str, ca: trustme.CA) -> AsyncIterator[OpenIdProvider]:
    """On this port, by TLS; people go back to `back`."""
    made = OpenIdProvider(f"https://127.0.0.1:{port}", back)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(tls)
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", made.configuration)
    app.router.add_get("/jwks", made.keys)
    app.router.add_get("/authorize", made.authorize)
    app.router.add_post("/token", made.token)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
    made.leave = runner.cleanup
    try:
        yield made
    finally:
        made.deaf.set()
        await runner.cleanup()
