"""The APIs of text message gateways in their published forms, for `rig.outside.TextsServer`."""

from __future__ import annotations

import json
import re
import secrets
import uuid
from functools import cache
from time import time

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from rig.elks import PASSWORD, USERNAME, elks
from rig.outside import Api, Asked, Drip, Never, Raw, Rule, Status, TextsServer

__all__ = [
    "ACCOUNT", "APPLICATION", "KEY", "PASSWORD", "USERNAME", "Api", "Asked", "Drip", "Never", "Raw", "Rule", "Status", "TextsServer", "anything",
    "application_key", "elks", "twilio", "twilio_error", "vonage", "vonage_error",
]  # fmt: skip

APPLICATION = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"
ACCOUNT, KEY = "AC" + "0" * 31 + "1", "SK" + "0" * 31 + "2"


def twilio(asked: Asked) -> Status:
    """https://www.twilio.com/docs/messaging/api/message-resource, and its errors."""
    if asked.login not in (f"{ACCOUNT}:{PASSWORD}", f"{KEY}:{PASSWORD}"):
        return twilio_error(401, 20003, "Authenticate")
    if (asked.method, asked.path) != ("POST", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"):
        return twilio_error(404, 20404, "The requested resource was not found")
    fields = asked.form
    if not fields.get("To"):
        return twilio_error(400, 21604, "A 'To' phone number is required.")
    if not fields.get("From") and not fields.get("MessagingServiceSid"):
        return twilio_error(400, 21603, "A 'From' phone number is required.")
    if not fields.get("Body"):
        return twilio_error(400, 21602, "Message body is required.")
    sid = "SM" + secrets.token_hex(16)
    return Status(
        201,
        {
            "sid": sid, "account_sid": ACCOUNT, "to": fields["To"], "from": fields.get("From"),
            "messaging_service_sid": fields.get("MessagingServiceSid"), "body": fields["Body"],
            "status": "queued" if "From" in fields else "accepted", "direction": "outbound-api",
            "num_segments": "1", "num_media": "0", "error_code": None, "error_message": None, "price": None,
            "price_unit": "USD", "api_version": "2010-04-01", "date_sent": None,
            "date_created": "Thu, 01 Jan 2026 13:37:42 +0000", "date_updated": "Thu, 01 Jan 2026 13:37:42 +0000",
            "uri": f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}.json",
        },
    )  # fmt: skip


def twilio_error(status: int, code: int, message: str) -> Status:
    """As https://www.twilio.com/docs/usage/twilios-response describes errors."""
    more = f"https://www.twilio.com/docs/errors/{code}"
    return Status(status, {"code": code, "message": message, "more_info": more, "status": status})


def vonage(asked: Asked) -> Status:
    """https://developer.vonage.com/en/api/messages, and its errors: `type`, `title`, `detail`, `instance`."""
    try:
        kind, _, token = asked.headers.get("authorization", "").partition(" ")
        claims = jwt.decode(token, application_key(), algorithms=["RS256"]).claims
    except (JoseError, ValueError):
        return vonage_error(401, "Unauthorized", "You did not provide correct credentials.")
    fresh = abs(time() - claims["iat"]) < 60 and claims["exp"] <= claims["iat"] + 86400 and len(claims["jti"]) >= 16
    if kind != "Bearer" or claims["application_id"] != APPLICATION or not fresh:
        return vonage_error(401, "Unauthorized", "You did not provide correct credentials.")
    if (asked.method, asked.path) != ("POST", "/v1/messages"):
        return vonage_error(404, "Not Found", "The requested resource was not found")
    if asked.headers["content-type"] != "application/json":
        return vonage_error(415, "Unsupported Media Type", "JSON")
    said = json.loads(asked.body)
    wrong = [
        {"name": name, "reason": "is not valid"}
        for name, form in (("to", r"[1-9][0-9]{6,14}"), ("from", r"[A-Za-z0-9 ]{1,15}"), ("text", r"(?s).{1,1000}"))
        if not re.fullmatch(form, said.get(name, ""))
    ]
    if wrong or (said["channel"], said["message_type"]) != ("sms", "text"):
        return vonage_error(422, "Your request parameters did not validate.", "", invalid_parameters=wrong)
    return Status(202, {"message_uuid": str(uuid.uuid4())})


def vonage_error(status: int, title: str, detail: str, **more: object) -> Status:
    """As RFC 7807 has them."""
    kind = f"https://developer.vonage.com/api-errors#{title.lower().replace(' ', '-')}"
    return Status(status, {"type": kind, "title": title, "detail": detail, "instance": uuid.uuid4().hex, **more})


@cache
def application_key() -> RSAKey:
    """What Vonage gives to an application; a server knows its public half."""
    return RSAKey.generate_key(2048)


def anything(asked: Asked) -> Status:
    """Takes whatever comes."""
    return Status(200, {"result": "ok"})
