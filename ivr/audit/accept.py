"""Going on with chains whose end nobody signed: those of before there were signatures, and those that were changed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.audit import heads
from ivr.audit.chain import Broken, End, Written, end_of, extend, put, stamp, utc_now, written
from ivr.audit.signing import Seal
from ivr.audit.table import AUDIT, HEADS
from ivr.call.ports import Entry
from ivr.errors import InputError


async def sign_all(connection: AsyncConnection, actor: str, seal: Seal) -> None:
    """Behind the last row of each chain one that is signed, and so covers all before it: once, where signing begins."""
    await connection.run_sync(_sign_all, actor, seal)


async def accept(connection: AsyncConnection, chain: str, actor: str, seal: Seal, *, told_in: str) -> None:
    """Behind what is the end of this chain a row that says who goes on with it and why it was needed.

    The same is told in the chain `told_in`. Raises `InputError` where the chain is not known, or nothing is wrong with
    its end. The transaction must hold the lock of `told_in`; workers of that chain should be stopped.
    """
    await connection.run_sync(_accept, chain, actor, seal, told_in)


def _accept(connection: Connection, chain: str, actor: str, seal: Seal, told_in: str) -> None:
    at = utc_now()
    if chain not in connection.execute(select(AUDIT.c.chain).union(select(HEADS.c.chain))).scalars().all():
        raise InputError(f"audit: there is no chain {chain}")
    try:
        extend(connection, chain, (), seal)
    except Broken as error:
        why = error.problem
    else:
        raise InputError(f"audit: chain {chain} ends as it was left: nothing has to be accepted")
    row = written(Entry(actor, "audit.accept", "done", detail={"chain": chain, "why": why}), at)
    if chain != told_in:
        _signed(connection, told_in, [row], seal, extend(connection, told_in, (), seal), at)
    _signed(connection, chain, [row], seal, end_of(connection, chain), at)
    # the others' heads tell of what is not there any more; a row of this chain says so now
    for head in heads.all_of(connection):
        if head.chain != chain and seal.verifier.good(head.signature, *head.said):
            heads.sign(connection, head.chain, head.seq, head.hash, stamp(at), seal)


def _sign_all(connection: Connection, actor: str, seal: Seal) -> None:
    at = utc_now()
    for chain in connection.execute(select(AUDIT.c.chain).distinct()).scalars().all():
        end = end_of(connection, chain)
        row = written(Entry(actor, "audit.sign", "done", detail={"rows": str(end.seq)}), at)
        _signed(connection, chain, [row], seal, end, at)


def _signed(connection: Connection, chain: str, rows: list[Written], seal: Seal, end: End, at: datetime) -> None:
    end = put(connection, chain, rows, seal, end)
    heads.sign(connection, chain, end.seq, end.hash, stamp(at), seal)
