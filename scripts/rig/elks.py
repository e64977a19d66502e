"""The gateway 46elks, as it is published: what it answers, and what it reports."""

from __future__ import annotations

import re
import secrets
from urllib.parse import urlencode

from rig.outside import Asked, Status

USERNAME, PASSWORD = "u0123456789abcdef", "canary-password"


def elks(asked: Asked) -> Status:
    """https://46elks.com/docs/send-sms; errors are 401, 403 or 404 with a sentence as plain text."""
    if asked.login != f"{USERNAME}:{PASSWORD}":
        return Status(401, "API access requires Basic HTTP authentication. Read documentation or examples.")
    if (asked.method, asked.path) != ("POST", "/a1/sms"):
        return Status(404, "Not found")
    if not asked.headers["content-type"].startswith("application/x-www-form-urlencoded"):
        return Status(403, "Missing key from")
    fields = asked.form
    for key in ("from", "to", "message"):
        if not fields.get(key):
            return Status(403, f"Missing key {key}")
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", fields["to"]):
        return Status(403, "Invalid to number")
    return Status(
        200,
        {
            "status": "created", "direction": "outgoing", "from": fields["from"], "to": fields["to"], "parts": 1,
            "created": "2026-01-01T13:37:42.314100", "cost": 5000, "message": fields["message"],
            "id": "s" + secrets.token_hex(16),
        },
    )  # fmt: skip


def elks_report(id: str, status: str) -> str:
    """https://46elks.com/docs/sms-delivery-reports."""
    fields = {"id": id, "status": status}
    if status == "delivered":
        fields["delivered"] = "2026-01-01T13:37:44.314100"
    return urlencode(fields)
