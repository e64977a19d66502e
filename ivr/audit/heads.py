"""Heads: what a chain's writer last signed of its end, at what time, and how far it saw the other chains.

A chain that was cut does not reach its head. Who puts an old head back with it is shown by the heads of the others,
which saw more; and who puts all of them back is shown by their age, for a running worker signs anew all the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

import orjson
from sqlalchemy import Connection, RowMapping, insert, select, update

from ivr.audit.signing import Seal
from ivr.audit.table import HEADS

_FIELDS = ("chain", "seq", "hash", "at", "seen", "signature")


@dataclass(frozen=True, slots=True)
class Head:
    """A signed head. `seen` is JSON: of each other chain the number and the hash of the row it had come to."""

    chain: str
    seq: int
    hash: str
    at: str
    seen: str
    signature: str

    @classmethod
    def read(cls, row: Mapping[str, object] | RowMapping) -> Self:
        """As it is stored; raises `ValueError` where it is none."""
        match [row.get(field) for field in _FIELDS]:
            case [str(chain), int(seq), str(digest), str(at), str(seen), str(signature)]:
                return cls(chain, seq, digest, at, seen, signature)
            case _:
                pass
        raise ValueError("no head")

    @property
    def said(self) -> tuple[object, ...]:
        """What is signed."""
        return ("tillit-audit-head-1", self.chain, self.seq, self.hash, self.at, self.seen)

    @property
    def others(self) -> dict[str, tuple[int, str]]:
        """How far it saw the other chains: number and hash. Of one that is not signed, anything."""
        return {chain: (seq, digest) for chain, (seq, digest) in orjson.loads(self.seen).items()}

    def json(self) -> dict[str, object]:
        """As it is stored."""
        return {field: getattr(self, field) for field in _FIELDS}


def all_of(connection: Connection) -> list[Head]:
    """The head of every chain, by name; what is none is left out, as if it were not there."""
    heads: list[Head] = []
    for row in connection.execute(select(HEADS).order_by(HEADS.c.chain)).mappings():
        with suppress(ValueError):
            heads.append(Head.read(row))
    return heads


def signed_last(connection: Connection, before: str, seal: Seal) -> datetime | None:
    """When a head was signed last, of those that are good and not of a time still to come (as stored)."""
    times = [
        head.at for head in all_of(connection) if head.at <= before and seal.verifier.good(head.signature, *head.said)
    ]
    return datetime.fromisoformat(max(times)) if times else None


def tell_others(connection: Connection, chain: str, before: str, seal: Seal) -> None:
    """Let the heads that were signed before this time, whose writers may sign no more, see how far this chain has come.

    Else nothing would miss a chain that was taken away with its head, where it is younger than all others. Their own end
    and time stay; one that its writer signs at the same moment is left as that writer signs it.
    """
    there = {head.chain: head for head in all_of(connection)}
    own = there.pop(chain)
    for head in there.values():
        # a time as it is stored can be compared as text
        if head.at >= before or not seal.verifier.good(head.signature, *head.said):
            continue
        seen = {**head.others, chain: (own.seq, own.hash)}
        if seen == head.others:
            continue
        told = replace(head, seen=orjson.dumps(seen).decode())
        values = {"seen": told.seen, "signature": seal.sign(*told.said)}
        connection.execute(
            update(HEADS).where(HEADS.c.chain == head.chain, HEADS.c.signature == head.signature).values(values)
        )


def sign(connection: Connection, chain: str, seq: int, hash: str, at: str, seal: Seal) -> None:
    """Sign how far a chain has come. The transaction must hold the chain's lock."""
    others = connection.execute(
        select(HEADS.c.chain, HEADS.c.seq, HEADS.c.hash).where(HEADS.c.chain != chain).order_by(HEADS.c.chain)
    )
    seen = orjson.dumps({other: [number, end] for other, number, end in others}).decode()
    head = Head(chain, seq, hash, at, seen, "")
    values = {**head.json(), "signature": seal.sign(*head.said)}
    if connection.execute(update(HEADS).where(HEADS.c.chain == chain).values(values)).rowcount == 0:
        connection.execute(insert(HEADS).values(values))
