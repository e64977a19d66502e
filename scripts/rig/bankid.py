"""BankID's relying party API, version 6.0, as it is published: orders, one of a person at a time, collected once.

    async with TextsServer(BankIdServer(), ends.tls()) as server: ...

What it refuses the real one refuses too: fields that it does not know, lengths, formats, an order that is gone.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from dataclasses import dataclass, field

from rig.outside import Asked, Status

_ON_PHONE = {"personalNumber", "callInitiator"}
_ON_PAGE = {"endUserIp", "returnRisk", "returnUrl", "app", "web"}
_BOTH = {"requirement", "userVisibleData", "userNonVisibleData", "userVisibleDataFormat"}
_REQUIREMENTS = {"pinCode", "mrtd", "cardReader", "certificatePolicies", "risk", "personalNumber"}


@dataclass
class Placed:
    """An order, and what becomes of it."""

    ref: str
    body: dict[str, object]
    person: str | None
    status: str = "pending"
    hint: str | None = "outstandingTransaction"
    user: str = ""
    risk: str | None = None
    data: dict[str, object] = field(default_factory=dict)

    @property
    def visible(self) -> str:
        return base64.b64decode(str(self.body["userVisibleData"]), validate=True).decode()

    def says(self) -> dict[str, object]:
        if self.status != "complete":
            return {"orderRef": self.ref, "status": self.status, "hintCode": self.hint}
        data: dict[str, object] = {
            "user": {
                "personalNumber": self.user,
                "name": "Karl Canaryson",
                "givenName": "Karl",
                "surname": "Canaryson",
            },
            "device": {"ipAddress": "192.0.2.7", "uhi": "canary-uhi"},
            "bankIdIssueDate": "2024-02-01",
            "signature": base64.b64encode(b"<Signature>canary</Signature>").decode(),
            "ocspResponse": base64.b64encode(b"canary ocsp").decode(),
            **({"risk": self.risk} if self.risk else {}),
            **self.data,
        }
        return {"orderRef": self.ref, "status": "complete", "completionData": data}


class BankIdServer:
    """What it answers; `orders` are moved on by the test, as by a person with the app."""

    def __init__(self) -> None:
        self.orders: list[Placed] = []
        self._numbers = itertools.count(1)

    @property
    def last(self) -> Placed:
        return self.orders[-1]

    def __call__(self, asked: Asked) -> Status:
        if asked.method != "POST":
            return Status(405, {"errorCode": "methodNotAllowed", "details": ""})
        if asked.headers.get("content-type") != "application/json":
            return Status(415, {"errorCode": "unsupportedMediaType", "details": ""})
        body = json.loads(asked.body)
        match asked.path.removeprefix("/rp/v6.0/"):
            case "phone/auth":
                return self._begin(body, on_phone=True)
            case "auth":
                return self._begin(body, on_phone=False)
            case "collect":
                return self._collect(str(body.get("orderRef")))
            case "cancel":
                return self._cancel(str(body.get("orderRef")))
            case _:
                return Status(404, {"errorCode": "notFound", "details": asked.path})

    def _begin(self, body: dict[str, object], *, on_phone: bool) -> Status:
        wrong = _wrong(body, on_phone=on_phone)
        if wrong is not None:
            return _invalid(f"{wrong} {body.get('personalNumber')}")
        requirement = body.get("requirement")
        assert isinstance(requirement, dict)
        person = body.get("personalNumber", requirement.get("personalNumber"))
        for other in self.orders:
            if person is not None and other.person == person and other.status == "pending":
                other.status, other.hint = "failed", "cancelled"
                return Status(
                    400, {"errorCode": "alreadyInProgress", "details": f"Order already in progress for {person}"}
                )
        number = next(self._numbers)
        placed = Placed(f"order-canary-{number}", body, str(person) if person else None)
        self.orders.append(placed)
        if on_phone:
            return Status(200, {"orderRef": placed.ref})
        return Status(200, {
            "orderRef": placed.ref, "autoStartToken": f"auto canary/{number}",
            "qrStartToken": "67df3917-fa0d-44e5-b327-edcc928297f8", "qrStartSecret": "d28db9a7-4cde-429e-a983-359be676944c",
        })  # fmt: skip

    def _collect(self, ref: str) -> Status:
        for placed in self.orders:
            if placed.ref == ref and placed.status != "collected":
                said = placed.says()
                if placed.status != "pending":
                    placed.status = "collected"
                return Status(200, said)
        return _invalid("No such order")

    def _cancel(self, ref: str) -> Status:
        for placed in self.orders:
            if placed.ref == ref and placed.status == "pending":
                placed.status = "collected"
                return Status(200, {})
        return _invalid("No such order")


def _invalid(details: str) -> Status:
    return Status(400, {"errorCode": "invalidParameters", "details": details})


def _wrong(body: dict[str, object], *, on_phone: bool) -> str | None:
    requirement = body.get("requirement", {})
    assert isinstance(requirement, dict)
    if set(body) - _BOTH - (_ON_PHONE if on_phone else _ON_PAGE) or set(requirement) - _REQUIREMENTS:
        return "unknown parameter"
    if on_phone and (body.get("callInitiator") not in ("user", "RP") or "personalNumber" in requirement):
        return "callInitiator"
    if not on_phone and not re.fullmatch(r"[0-9a-f.:]+", str(body.get("endUserIp"))):
        return "endUserIp"
    person = body.get("personalNumber") if on_phone else requirement.get("personalNumber", "198001012392")
    if not re.fullmatch(r"[0-9]{12}", str(person)):
        return "personalNumber"
    if body.get("userVisibleDataFormat", "plaintext") not in ("plaintext", "simpleMarkdownV1"):
        return "userVisibleDataFormat"
    for name in ("userVisibleData", "userNonVisibleData"):
        text = str(body.get(name, "eA=="))
        if not 1 <= len(text) <= 1500:
            return name
        plain = base64.b64decode(text, validate=True).decode()
        if any(ord(letter) < 32 and letter not in "\r\n" for letter in plain):
            return name
    return None
