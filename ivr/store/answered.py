"""What comes of digits that were keyed, on the page or on the phone, as the scripts answer it."""

from __future__ import annotations

from dataclasses import dataclass

from ivr.call.proof import Stage
from ivr.errors import StoreError
from ivr.store.link import Script


@dataclass(frozen=True, slots=True)
class Confirmed:
    """They were the digits of this call."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """They were not; so many tries are left."""

    left: int


@dataclass(frozen=True, slots=True)
class Over:
    """Nothing could be keyed: it was not opened yet, or has come to this end."""

    stage: Stage


def keyed(script: Script, answer: list[object]) -> Confirmed | Wrong | Over | None:
    """What came of digits, as the script answers it."""
    match answer:
        case [b"confirmed"]:
            return Confirmed()
        case [b"wrong", int(left)]:
            return Wrong(max(left, 0))
        case [b"over", bytes(stage)]:
            return Over(stage_of(stage))
        case [b"none"]:
            return None
        case _:
            raise strange(script)


def stage_of(text: bytes) -> Stage:
    """Raises `StoreError` for what is none."""
    try:
        return Stage(text.decode())
    except ValueError:
        raise StoreError("Redis: what stands for a proof is none") from None


def strange(script: Script) -> StoreError:
    """It answered what nobody expects."""
    return StoreError(f"Redis gave an unknown answer to {script.name}")
