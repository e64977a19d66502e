"""A broker that is npm's oidc-provider (tests/node/eid.mjs), one for a session; and one that signs whatever it is told to."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import playwright
from joserfc import jwt
from joserfc.jwk import RSAKey

from ivr.config import Settings
from tests.contract.texts_kit import settings_in
from tests.contract.texts_server import Asked, Status, TextsServer

_CHECKOUT = Path(__file__).resolve().parents[2]
# Playwright brings one of its own
_NODE = Path(playwright.__file__).parent / "driver" / "node"
_MODULES = _CHECKOUT / ".tillit" / "node"
SECRET = "g" * 40
ACR = {"urn:level:high": 3, "urn:level:low": 1}


def broker_settings(folder: Path, issuer: str, **own: object) -> Settings:
    """Settings with this broker, whose name is `broker`."""
    secret = folder / "broker.secret"
    secret.touch(0o600)
    secret.write_text(SECRET)
    fields: dict[str, object] = {
        "issuer": issuer, "client_id": "tillit", "client_secret_file": str(secret), "acr": ACR, "claim": "personal_number",
        "login_hint": "pno:{who}", "allow_private": ["127.0.0.1"],
    }  # fmt: skip
    tables: dict[str, dict[str, object]] = {"eid.brokers.broker": {**fields, **own}}
    if own.get("mode") == "ping":
        tables["page"] = {"url": "https://id.example.com"}
    return settings_in(folder, **tables)


class RealBroker:
    """oidc-provider."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer

    def next(self, **said: object) -> dict[str, str]:
        """What the next person does: `how` is `approve` or `deny`."""
        request = Request(f"{self.issuer}/next", json.dumps(said).encode(), method="POST")
        with urlopen(request, timeout=10) as answer:
            found: dict[str, str] = json.loads(answer.read())
        return found


@contextmanager
def real_broker(
    ping: str | None = None, *, trusted: Path | None = None, back: str = "", host: str = ""
) -> Iterator[RealBroker]:
    """Started, and ended. `ping`: where it posts to, else it is polled; `trusted`: the file of the CA of that address.

    `back`: where it sends people back to; `host`: by what name of the loopback it is reached.
    """
    with subprocess.Popen(
        [_NODE, _CHECKOUT / "tests" / "node" / "eid.mjs", _MODULES, ping or "", back, host],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, **({"NODE_EXTRA_CA_CERTS": str(trusted)} if trusted else {})},
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            said = process.stdout.readline().strip()
            assert said.startswith("http://"), "it does not run; scripts/setup --tests installs it"
            yield RealBroker(said)
        finally:
            process.terminate()


class ForgingBroker:
    """Has an OpenID provider's document and keys, and gives the ID token that a test has made."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.issuer = ""
        self.document: dict[str, object] = {}
        self.answer: dict[str, object] = {}
        self.asked_keys = 0
        self.beside: list[object] = []
        self.alone = False

    def claims(self, **other: object) -> dict[str, object]:
        """Those of a good ID token."""
        now = int(time.time())
        good: dict[str, object] = {
            "iss": self.issuer, "aud": "tillit", "sub": "s-1", "iat": now, "exp": now + 60, "acr": "urn:level:high",
            "auth_time": now, "personal_number": "198001012392",
        }  # fmt: skip
        return {name: value for name, value in {**good, **other}.items() if value is not None}

    def sign(self, claims: Mapping[str, object], key: RSAKey | None = None, **head: object) -> str:
        return jwt.encode({"alg": "RS256", "kid": "one", **head}, dict(claims), key or self.key)

    def gives(self, token: str) -> None:
        self.answer = {"id_token": token, "access_token": "canary", "token_type": "Bearer"}

    def __call__(self, asked: Asked) -> Status:
        match asked.path:
            case "/.well-known/openid-configuration":
                places = {
                    f"{name}_endpoint": f"{self.issuer}/{name}"
                    for name in ("authorization", "token", "backchannel_authentication")
                }
                usual = {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys", **places}
                return Status(200, {name: value for name, value in {**usual, **self.document}.items() if value})
            case "/keys":
                self.asked_keys += 1
                own = [] if self.alone else [self.key.as_dict(private=False)]
                return Status(200, {"keys": [*self.beside, *own]})
            case "/backchannel_authentication":
                return Status(200, {"auth_req_id": "order-canary-1", "expires_in": 60})
            case "/token":
                login = base64.b64encode(f"tillit:{SECRET}".encode()).decode()
                assert asked.headers["authorization"] == f"Basic {login}"
                return Status(200, self.answer)
            case _:
                return Status(404, {})


@asynccontextmanager
async def forging_broker() -> AsyncIterator[tuple[ForgingBroker, TextsServer]]:
    """Started, and ended."""
    broker = ForgingBroker()
    async with TextsServer(broker) as server:
        broker.issuer = server.url
        yield broker, server
