"""Whoever has asked for a proof, and the person on the line: whether the two are joined alone."""

from __future__ import annotations

from ivr.call.ports import Party
from ivr.call.proof import Proof
from ivr.lock.proofports import Floor
from ivr.store.sealing import endpoint_key


def agent_of(proof: Proof, floor: Floor) -> Party | None:
    """The phone of whoever has asked for it; None where the two are not joined alone. Raises `Unavailable` where nobody knows."""
    talk = floor.told_of(proof.node, proof.channel)
    if talk is None or len(talk.others) != 1:
        return None
    (other,) = talk.others
    return other if endpoint_key(other.endpoint) == endpoint_key(proof.endpoint) else None
