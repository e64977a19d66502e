"""Freja eID's authentication service, version 1.0, as it is published: Base64 of JSON in a form, results signed (JWS).

async with TextsServer(FrejaServer(ends.signer), ends.tls()) as server: ...
"""

from __future__ import annotations

import base64
import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from joserfc import jws
from joserfc.jwk import RSAKey

from tests.contract.texts_server import Asked, Status

_FIELDS = {"userInfoType", "userInfo", "minRegistrationLevel", "attributesToReturn", "userConfirmationMethod"}
_LEVELS = ("BASIC", "EXTENDED", "PLUS")


class _Registry(jws.JWSRegistry):
    max_header_length = 64 * 1024


REGISTRY = _Registry(strict_check_header=False)


@dataclass
class Placed:
    """An authentication, and what becomes of it."""

    ref: str
    body: dict[str, object]
    person: str | None
    status: str = "STARTED"
    user: str = ""
    level: str = "EXTENDED"
    more: dict[str, object] = field(default_factory=dict)

    def signed(self) -> dict[str, object]:
        """What Freja signs of it."""
        return {
            "authRef": self.ref,
            "status": self.status,
            "userInfoType": self.body["userInfoType"],
            "userInfo": json.dumps({"country": "SE", "ssn": self.user}),
            "minRegistrationLevel": self.body["minRegistrationLevel"],
            "timestamp": int(time.time() * 1000),
            "requestedAttributes": {
                "ssn": {"country": "SE", "ssn": self.user},
                "basicUserInfo": {"name": "Karl", "surname": "Canaryson"},
                "registrationLevel": self.level,
            },
            **self.more,
        }


class FrejaServer:
    """What it answers; `orders` are moved on by the test, as by a person with the app."""

    def __init__(self, key: RSAKey, header: Mapping[str, object] | None = None) -> None:
        self.key = key
        self.header = {"alg": "RS256", "x5t": "wLC5Wn1PIBKGPR9QPzJ1hb0JV44", **(header or {})}
        self.orders: list[Placed] = []
        self.known = True
        self._numbers = itertools.count(1)

    @property
    def last(self) -> Placed:
        return self.orders[-1]

    def sign(self, said: Mapping[str, object], key: RSAKey | None = None) -> str:
        return jws.serialize_compact(dict(self.header), json.dumps(said), key or self.key, registry=REGISTRY)

    def __call__(self, asked: Asked) -> Status:
        if asked.headers.get("content-type") != "application/x-www-form-urlencoded":
            return Status(415, {"code": 1010, "message": "canary"})
        ((name, text),) = asked.form.items()
        body = json.loads(base64.b64decode(text, validate=True))
        match asked.path, name:
            case "/authentication/1.0/initAuthentication", "initAuthRequest":
                return self._begin(body)
            case "/authentication/1.0/getOneResult", "getOneAuthResultRequest":
                return self._result(str(body["authRef"]))
            case "/authentication/1.0/cancel", "cancelAuthRequest":
                return self._cancel(str(body["authRef"]))
            case _:
                return Status(404, "")

    def _begin(self, body: dict[str, object]) -> Status:
        attributes = body.get("attributesToReturn")
        if set(body) - _FIELDS or body.get("minRegistrationLevel") not in _LEVELS or not isinstance(attributes, list):
            return _refused(1010)
        person: str | None = None
        if body["userInfoType"] == "SSN":
            who = json.loads(base64.b64decode(str(body["userInfo"]), validate=True))
            person = str(who["ssn"])
            if who["country"] != "SE" or len(person) != 12 or not person.isdecimal():
                return _refused(1002, person)
            if not self.known:
                return _refused(1012, person)
        elif (body["userInfoType"], body["userInfo"]) != ("INFERRED", "N/A"):
            return _refused(1001)
        for other in self.orders:
            if person is not None and other.person == person and other.status in ("STARTED", "DELIVERED_TO_MOBILE"):
                other.status = "REJECTED"
                return _refused(2000, person)
        placed = Placed(f"canary/{next(self._numbers)}==", body, person)
        self.orders.append(placed)
        return Status(200, {"authRef": placed.ref})

    def _result(self, ref: str) -> Status:
        for placed in self.orders:
            if placed.ref == ref:
                said: dict[str, object] = {"authRef": ref, "status": placed.status}
                if placed.status == "APPROVED":
                    said["details"] = self.sign(placed.signed())
                    said["requestedAttributes"] = placed.signed()["requestedAttributes"]
                return Status(200, said)
        return _refused(1100)

    def _cancel(self, ref: str) -> Status:
        for placed in self.orders:
            if placed.ref == ref and placed.status in ("STARTED", "DELIVERED_TO_MOBILE"):
                placed.status = "RP_CANCELED"
                return Status(200, {})
        return _refused(1100)


def _refused(code: int, said: str = "") -> Status:
    return Status(422, {"code": code, "message": f"canary {said}"})
