"""What the public page may reach of a proof at Redis: where it lies, and how what is shown is read."""

from __future__ import annotations

import orjson

from ivr.call.proof import Shown
from ivr.secret import Secret
from ivr.store.pagekey import PageKey


def page_key(prefix: str, id: str) -> str:
    """The page's part of a proof."""
    return f"{prefix}:page:proof:{id}"


def ended_key(prefix: str) -> str:
    """Proofs whose end the page has told."""
    return f"{prefix}:page:ended"


def news_key(prefix: str) -> str:
    """The channel on which desks hear which proof has gone on."""
    return f"{prefix}:page:news"


def named(prefix: str, key: PageKey, kind: str, text: Secret) -> str:
    """Where a link or a code leads."""
    return f"{prefix}:page:{kind}:{key.mac(kind, text)}"


def read_shown(key: PageKey, sealed: str | bytes, id: str) -> Shown:
    """What was sealed of it; raises `StoreError`, `ValueError`, `TypeError`."""
    found = orjson.loads(key.unseal("shown", sealed, id).reveal())
    return Shown(**{**found, "back": tuple(found.get("back", ()))})
