"""PINs: right is right, everything else takes as long and is wrong."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from Crypto.Protocol.KDF import scrypt

from ivr.config import Pin
from ivr.errors import VaultError
from ivr.secret import Secret
from ivr.vault import Key, PinHasher, PinRecord
from ivr.vault import pin as module

HASH = Key("0123abcd", bytes(range(32)))
# Cheaper than any settings may be, for speed.
CHEAP = Pin.model_construct(scrypt_log2_n=4, scrypt_p=2)


@dataclass
class Spy:
    """Stands before scrypt, and notes what it is asked for."""

    calls: list[dict[str, Any]] = field(default_factory=list)
    threads: set[threading.Thread] = field(default_factory=set)
    gives: bytes | None = None

    @property
    def work(self) -> int:
        """What scrypt's cost is proportional to, over all calls."""
        return sum(call["N"] * call["r"] * call["p"] for call in self.calls)

    def __call__(self, password: bytes, salt: bytes, length: int, **cost: int) -> bytes:
        self.calls.append({"password": password, "salt": salt, **cost})
        self.threads.add(threading.current_thread())
        return self.gives if self.gives is not None else scrypt(password, salt, length, **cost)


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    spy = Spy()
    monkeypatch.setattr(module, "scrypt", spy)
    return spy


@pytest.fixture
def pins() -> Iterator[PinHasher]:
    pins = PinHasher(HASH, CHEAP)
    yield pins
    pins.close()


async def test_the_right_pin_and_only_that(pins: PinHasher) -> None:
    record = await pins.make(Secret("2580"))
    assert await pins.matches(Secret("2580"), record)
    for wrong in ("2581", "258", "25800", "02580", "", "٢٥٨٠"):
        assert not await pins.matches(Secret(wrong), record)


async def test_every_byte_of_the_hash_counts(pins: PinHasher) -> None:
    record = await pins.make(Secret("2580"))
    for place in range(32):
        changed = bytearray(record.hash)
        changed[place] ^= 1
        assert not await pins.matches(Secret("2580"), replace(record, hash=bytes(changed)))
    for hash_ in (b"", record.hash[:31], record.hash + b"\0"):
        assert not await pins.matches(Secret("2580"), replace(record, hash=hash_))


async def test_salts_are_random_and_parameters_are_those_of_the_settings(pins: PinHasher) -> None:
    one, other = [await pins.make(Secret("2580")) for _ in range(2)]
    assert (one.log2_n, one.r, one.p, len(one.salt), len(one.hash)) == (4, 8, 2, 16, 32)
    assert one.salt != other.salt
    assert one.hash != other.hash


async def test_an_older_record_is_checked_with_its_own_parameters(pins: PinHasher, spy: Spy) -> None:
    record = await pins.make(Secret("2580"))
    newer = PinHasher(HASH, Pin.model_construct(scrypt_log2_n=5, scrypt_p=3))
    assert await newer.matches(Secret("2580"), record)
    assert {"N": 16, "r": 8, "p": 2, "salt": record.salt}.items() <= spy.calls[1].items()
    newer.close()


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ((4, 2), (4, 2)),
        ((4, 2), (5, 2)),
        ((4, 2), (10, 2)),
        ((4, 5), (4, 16)),
        ((4, 5), (6, 3)),
        ((4, 1), (7, 5)),
        ((6, 1), (4, 5)),
    ],
)
async def test_an_older_record_takes_as_much_work_as_none(
    spy: Spy, then: tuple[int, int], now: tuple[int, int]
) -> None:
    older, newer = [PinHasher(HASH, Pin.model_construct(scrypt_log2_n=n, scrypt_p=p)) for n, p in (then, now)]
    record = await older.make(Secret("2580"))
    work = []
    for pin, against in (("2580", record), ("2581", record), ("2580", None)):
        spy.calls.clear()
        assert await newer.matches(Secret(pin), against) == (pin == "2580" and against is not None)
        work.append(spy.work)
    assert work == [(8 << now[0]) * now[1]] * 3
    older.close()
    newer.close()


async def test_most_of_the_work_that_an_older_record_lacks_is_done_at_todays_cost(pins: PinHasher, spy: Spy) -> None:
    record = await pins.make(Secret("2580"))
    newer = PinHasher(HASH, Pin.model_construct(scrypt_log2_n=6, scrypt_p=5))
    spy.calls.clear()
    await newer.matches(Secret("2580"), record)
    assert [(call["N"], call["p"]) for call in spy.calls] == [(16, 2), (64, 4), (32, 1)]
    newer.close()


async def test_a_record_that_costs_more_than_todays_is_given_no_work_on_top(pins: PinHasher, spy: Spy) -> None:
    costly = PinHasher(HASH, Pin.model_construct(scrypt_log2_n=6, scrypt_p=2))
    record = await costly.make(Secret("2580"))
    spy.calls.clear()
    assert await pins.matches(Secret("2580"), record)
    assert [(call["N"], call["p"]) for call in spy.calls] == [(64, 2)]
    costly.close()


async def test_no_record_takes_the_same_work_and_is_never_right(pins: PinHasher, spy: Spy) -> None:
    assert not await pins.matches(Secret("2580"), None)
    assert {"N": 16, "r": 8, "p": 2}.items() <= spy.calls[-1].items()
    assert len(spy.calls) == 1
    # even where the hash should come out as the decoy's
    spy.gives = pins._decoy.hash
    assert not await pins.matches(Secret("2580"), None)


async def test_scrypt_never_runs_on_the_event_loop(pins: PinHasher, spy: Spy) -> None:
    record = await pins.make(Secret("2580"))
    await asyncio.gather(*(pins.matches(Secret("2580"), record) for _ in range(8)))
    assert threading.current_thread() not in spy.threads


async def test_scrypt_is_given_no_pin_but_its_keyed_hash(pins: PinHasher, spy: Spy) -> None:
    await pins.make(Secret("2580"))
    assert spy.calls[0]["password"] == hmac.digest(HASH.derive("pin"), b"2580", hashlib.sha256)
    other = PinHasher(Key("0123abcd", bytes(32)), CHEAP)
    await other.make(Secret("2580"))
    assert spy.calls[0]["password"] != spy.calls[1]["password"]
    other.close()


async def test_an_older_programs_record_is_still_right(pins: PinHasher) -> None:
    """Should this fail, no customer's PIN is right any more."""
    record = PinRecord.from_bytes(
        bytes.fromhex(
            "010408026554ed4f378dfc8141c1cc95310deed23668783316f6246360e0accd785e47971c2a460614140002332b35d160351e85"
        )
    )
    assert await pins.matches(Secret("2580"), record)


async def test_a_record_is_stored_and_read(pins: PinHasher) -> None:
    record = await pins.make(Secret("2580"))
    assert PinRecord.from_bytes(record.to_bytes()) == record


@pytest.mark.parametrize("data", [b"", b"\x01" * 51, b"\x01" * 53])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(VaultError, match="wrong length"):
        PinRecord.from_bytes(data)


def test_a_record_of_a_newer_program_is_refused() -> None:
    with pytest.raises(VaultError, match="newer program"):
        PinRecord.from_bytes(b"\x02" * 52)


def test_a_record_does_not_show_salt_or_hash() -> None:
    assert repr(PinRecord(b"salt", b"hash", 14, 8, 5)) == "PinRecord(log2_n=14, r=8, p=5)"
