"""Secrets that messages are signed with, as Standard Webhooks has them."""

from __future__ import annotations

import base64

from ivr.secret import Secret

PREFIX = "whsec_"
"""How a secret begins (Standard Webhooks)."""
LEAST = 24
"""Bytes of one (the same: 24 to 64)."""


def is_secret(secret: Secret) -> bool:
    """Whether the library reads it as it was meant: it skips what is no Base64."""
    return _is_secret(secret.reveal())


def _is_secret(text: str) -> bool:
    try:
        return len(base64.b64decode(text.removeprefix(PREFIX), validate=True)) >= LEAST and text.startswith(PREFIX)
    except ValueError:
        return False
