"""Other organisations in either database: one key for each, each letter once, whoever asks at the same time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from ivr.call.ports.peers import Pin
from ivr.store.peers import StoredPeers
from tests.unit.conftest import Either
from tests.unit.database_kit import asked, database_of

PIN = Pin("hospital.example", "a" * 43, {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}, 100, 100)


async def test_one_key_for_each(either: Either) -> None:
    async with await database_of(either()) as database:
        stored = StoredPeers(database)
        assert await stored.of(PIN.domain) is None
        found = await asyncio.gather(*(stored.first(replace(PIN, key=f"{number:043}")) for number in range(10)))
        assert len({pin.key for pin in found}) == 1
        assert await stored.of(PIN.domain) == found[0]
        following = replace(PIN, key="b" * 43, since=200)
        assert not await stored.follow(following, "a" * 43)
        assert await stored.follow(following, found[0].key)
        assert await stored.all() == (following,)
        assert (await stored.domains(100), await stored.domains(101)) == ((), (PIN.domain,))


async def test_a_new_one_is_compared_with_so_many_and_no_more(either: Either, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where anybody may write to us, anybody can have domains seen: those that were compared, and those known longest, are among them."""
    monkeypatch.setattr("ivr.store.peers._MOST", 3)
    async with await database_of(either()) as database:
        stored = StoredPeers(database)
        for n in range(5):
            await stored.first(replace(PIN, domain=f"d{n}.example", first_seen=100 + n, agreed=n == 4))
        assert await stored.domains(200) == ("d4.example", "d0.example", "d1.example")


async def test_a_letter_is_taken_once_and_forgotten_when_it_is_over(either: Either) -> None:
    now = 1000.0
    async with await database_of(either()) as database:
        stored = StoredPeers(database, clock=lambda: now)
        found = await asyncio.gather(*(stored.take("hospital.example", "one", 1300) for _ in range(20)))
        assert found.count(True) == 1
        # another organisation may call its letters as it likes
        assert await stored.take("office.example", "one", 1300)
        now = 1360.0
        assert not await stored.take("hospital.example", "one", 1300)
        now = 1361.0
        assert await stored.take("hospital.example", "two", 1600)
        assert await asked(database, "SELECT domain, id FROM letters") == [("hospital.example", "two")]
