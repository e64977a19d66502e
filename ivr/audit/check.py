"""Whether rows are as they were written: fed one after the other, from the database or from an export.

Nothing here reads anything: rows, heads and public keys come from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from ivr.audit.anchors import Anchor
from ivr.audit.chain import COLUMNS, START, End, hash_of
from ivr.audit.heads import Head
from ivr.audit.signing import Verifier, row_said

# A signature takes longer to look at than a hundred rows. One covers all before it, so only every so many are looked at;
# where one is bad, those between say from which row on.
_STRIDE = 256

_UNSIGNED = "not signed by the audit key: it and what follows was put in, or written anew"


@dataclass(frozen=True, slots=True)
class Fault:
    """The first bad row of a chain, and what is wrong with it."""

    chain: str
    seq: int
    problem: str


@dataclass(frozen=True, slots=True)
class Report:
    """The number of each chain's last good row, its hash at the end, when its head was signed, and its first bad row, if any.

    `begins`: the number of the last row that was deleted for its age, where rows were.
    """

    rows: Mapping[str, int]
    heads: Mapping[str, str]
    signed: Mapping[str, str]
    faults: tuple[Fault, ...]
    begins: Mapping[str, int] = field(default_factory=dict)

    @property
    def fault(self) -> Fault | None:
        """The first bad row of the first chain that has one."""
        return self.faults[0] if self.faults else None


@dataclass(slots=True)
class _Chain:
    """What is known of a chain that is being read."""

    end: End = field(default_factory=End)
    rows: int = 0
    proved: int = 0
    signed: list[End] = field(default_factory=list)
    fault: Fault | None = None


class Check:
    """Feed `anchors` and `heads` first, then every `row` by chain and number; `report` at the end."""

    def __init__(self, keys: Verifier) -> None:
        self._keys = keys
        self._chains: dict[str, _Chain] = {}
        self._wanted: dict[str, dict[int, tuple[str, str]]] = {}
        self._signed: dict[str, str] = {}
        self._forged: dict[str, Fault] = {}
        self._begins: dict[str, int] = {}

    def anchors(self, anchors: Iterable[Anchor]) -> None:
        """Behind which rows chains begin."""
        for anchor in anchors:
            if not self._keys.good(anchor.signature, *anchor.said):
                problem = (
                    "its anchor, which says that older rows were deleted for their age, is not signed by the audit key"
                )
                # of the rows behind it nothing can be said
                self._chains[anchor.chain] = _Chain(fault=Fault(anchor.chain, anchor.seq, problem))
                continue
            end = End(anchor.seq, anchor.hash, anchor.row_signature)
            self._chains[anchor.chain] = _Chain(end, rows=anchor.seq, proved=anchor.seq)
            self._begins[anchor.chain] = anchor.seq

    def heads(self, heads: Iterable[Head], *, kept: bool = False) -> None:
        """How far chains had come at least. `kept`: from elsewhere, whatever the database says today."""
        for head in heads:
            if not self._keys.good(head.signature, *head.said):
                what = "a head that was kept" if kept else "its head"
                why = "not signed by the audit key" if self._keys.knows(head.signature) else "signed by an unknown key"
                self._forged.setdefault(head.chain, Fault(head.chain, head.seq, f"{what} is {why}"))
                continue
            if not kept:
                self._signed[head.chain] = head.at
            told = f"the head signed at {head.at}"
            self.want(head.chain, head.seq, head.hash, told)
            for other, (seq, digest) in head.others.items():
                self.want(other, seq, digest, f"the head of chain {head.chain} signed at {head.at}")

    def late_heads(self, heads: Iterable[Head]) -> None:
        """Those that are there at the end: of chains that were begun meanwhile, whose rows may be younger than what was read."""
        for head in heads:
            if head.chain not in self._forged and self._keys.good(head.signature, *head.said):
                self._signed[head.chain] = head.at

    def row(self, row: Mapping[str, Any]) -> None:
        """The next one. Behind the first bad one of a chain, the rest of it is not looked at."""
        name = str(row["chain"])
        chain = self._chains.setdefault(name, _Chain())
        if chain.fault is not None:
            return
        problem = self._problem(chain, row)
        if problem is not None:
            # what was rewritten before it is told of before it
            chain.fault = self._prove(name, chain) or Fault(name, *problem)
            return
        chain.end = End(row["seq"], row["hash"], row["signature"])
        chain.rows = row["seq"]
        if row["signature"] is not None:
            chain.signed.append(chain.end)
            if len(chain.signed) >= _STRIDE:
                chain.fault = self._prove(name, chain)

    def report(self) -> Report:
        """What came of it, and what should have been there and was not."""
        for name, chain in self._chains.items():
            if chain.fault is None:
                chain.fault = self._prove(name, chain) or self._cut(name, chain) or self._tail(name, chain)
        for name in self._wanted:
            if name not in self._chains:
                self._chains[name] = chain = _Chain()
                chain.fault = self._cut(name, chain)
        for name, fault in self._forged.items():
            chain = self._chains.setdefault(name, _Chain())
            chain.fault = chain.fault or fault
        for name in self._chains.keys() - self._signed.keys():
            chain = self._chains[name]
            if chain.fault is None and chain.rows:
                chain.fault = Fault(name, chain.end.seq, "the chain has no signed head: it was removed")
        chains = dict(sorted(self._chains.items()))
        return Report(
            {name: chain.rows for name, chain in chains.items()},
            {name: chain.end.hash for name, chain in chains.items() if chain.rows},
            self._signed,
            tuple(chain.fault for chain in chains.values() if chain.fault is not None),
            self._begins,
        )

    def want(self, chain: str, seq: int, hash: str, told: str) -> None:
        """That a chain had this row, as `told` tells of."""
        self._wanted.setdefault(chain, {})
        if seq:
            self._wanted[chain].setdefault(seq, (hash, told))

    def _problem(self, chain: _Chain, row: Mapping[str, Any]) -> tuple[int, str] | None:
        seq, due = row["seq"], chain.rows + 1
        if seq != due:
            if not isinstance(seq, int) or seq < due:
                return due, "a row was inserted before it that has no place in the chain"
            return due, f"missing: the next row there is has number {seq}"
        if not isinstance(row["signature"], str | None):
            return due, "changed: its signature is none"
        try:
            unchanged = hash_of({column: row[column] for column in (*COLUMNS, "once")}) == row["hash"]
        except orjson.JSONEncodeError:
            unchanged = False
        if not unchanged:
            return due, "changed: its hash is not that of what stands in it"
        if row["previous"] != (chain.end.link if chain.rows else START):
            if chain.rows and self._keys.good(row["signature"], *row_said(row["chain"], due, row["hash"])):
                return (
                    chain.rows,
                    "changed: the row behind it, which is signed, follows another one, or another signature",
                )
            return due, "does not follow the row before it: one of the two was inserted, or replaced hash and all"
        wanted = self._wanted.get(row["chain"], {}).get(due)
        if wanted is not None and wanted[0] != row["hash"]:
            return due, f"written anew, hash and all: it is not the row that {wanted[1]} tells of"
        return None

    def _good(self, name: str, end: End) -> bool:
        return end.signature is None or self._keys.good(end.signature, *row_said(name, end.seq, end.hash))

    def _prove(self, name: str, chain: _Chain) -> Fault | None:
        """Whether the signatures since the last look are good; the row behind the last good one where they are not."""
        held, chain.signed = chain.signed, []
        if not held or self._good(name, held[-1]):
            chain.proved = held[-1].seq if held else chain.proved
            return None
        for one in held:
            if not self._good(name, one):
                if not self._keys.knows(one.signature):
                    key = str(one.signature).partition(":")[0]
                    return Fault(name, one.seq, f"signed by key {key:.8}, which is not known here")
                break
            chain.proved = one.seq
        return Fault(name, chain.proved + 1, _UNSIGNED)

    def _cut(self, name: str, chain: _Chain) -> Fault | None:
        told = self._wanted.get(name, {}).get(chain.end.seq)
        if told is not None and told[0] != chain.end.hash:
            # told of by what came behind the rows
            return Fault(name, chain.end.seq, f"written anew, hash and all: it is not the row that {told[1]} tells of")
        beyond = {seq: told for seq, (_, told) in self._wanted.get(name, {}).items() if seq > chain.end.seq}
        if not beyond:
            return None
        last = max(beyond)
        what = "cut at the end" if chain.rows else "the whole chain is gone"
        return Fault(name, chain.end.seq + 1, f"missing: {what}; {beyond[last]} tells of row {last}")

    def _tail(self, name: str, chain: _Chain) -> Fault | None:
        if chain.end.signature is not None or not chain.rows:
            return None
        return Fault(name, chain.proved + 1, _UNSIGNED + ", or rows behind it were cut off")
