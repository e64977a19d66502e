"""What desk and worker have of a proof at Redis, where the public page cannot look: where it lies, and how it is written."""

from __future__ import annotations

from dataclasses import asdict

import orjson

from ivr.call.proof import Proof, Stage
from ivr.errors import StoreError


def desks_key(prefix: str, id: str) -> str:
    """The desk's part of it."""
    return f"{prefix}:proof:one:{id}"


def call_key(prefix: str, node: str, channel: str) -> str:
    """Which proof is the latest of a call."""
    return f"{prefix}:proof:call:{node}:{channel}"


def due_key(prefix: str) -> str:
    """When proofs end."""
    return f"{prefix}:proof:due"


def lent_key(prefix: str) -> str:
    """Ends that are given to a desk to tell of, by when another one gets them."""
    return f"{prefix}:proof:due:lent"


def stage_in(text: bytes) -> Stage:
    """Only whoever has broken into the page writes one that there is not: it proves nothing."""
    try:
        return Stage(text.decode())
    except ValueError:
        return Stage.EXPIRED


def written(proof: Proof, sealed: str) -> bytes:
    """It, with what is shown `sealed`; how far it has come stands beside it."""
    found = asdict(proof)
    del found["stage"]
    return orjson.dumps({**found, "shown": sealed})


def unreadable() -> StoreError:
    """What stands there is none."""
    return StoreError("Redis: what stands for a proof is none")
