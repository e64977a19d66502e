"""What two workers tell of one call's round is in the trail once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ivr.audit import Trail, verify
from ivr.call.ports import Entry
from ivr.config import Settings
from ivr.database import Database
from tests.unit.database_kit import database_of, rows, settings_in

VERIFIED = Entry("caller", "verify", "verified", call="17", detail={"round": "one"})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path, "")


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    async with await database_of(settings) as database:
        yield database


def told(settings: Settings) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in rows(settings, "SELECT chain, outcome FROM audit ORDER BY at, chain, seq")]


def of(outcome: str, **fields: str) -> Entry:
    return replace(VERIFIED, outcome=outcome, **fields)


async def test_a_row_that_another_worker_has_written_is_not_written_again(
    settings: Settings, database: Database
) -> None:
    async with Trail(database, "first") as first, Trail(database, "second") as second:
        await first.append(VERIFIED)
        await asyncio.gather(*(second.append(VERIFIED) for _ in range(2)), second.append(of("verified", call="18")))
        await second.append(of("abandoned"))
        assert told(settings) == [("first", "verified"), ("second", "verified")]
        # what is decided otherwise is news
        await second.append(of("locked"))
    assert told(settings)[2:] == [("second", "locked")]
    await verify(database)


async def test_other_rounds_and_other_rows_are_all_written(settings: Settings, database: Database) -> None:
    async with Trail(database, "first") as trail:
        for entry in (
            of("abandoned"),
            replace(VERIFIED, detail={"round": "two"}),
            replace(VERIFIED, detail={}),
            replace(VERIFIED, detail=None),
            VERIFIED,
        ):
            await trail.append(entry)
    assert len(told(settings)) == 5
