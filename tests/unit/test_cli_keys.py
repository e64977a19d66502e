"""Master keys that take the place of others, while customers are read and written."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import select, update

from ivr.audit import Seal, Trail, verify
from ivr.call.ports import Entry
from ivr.config import Settings
from ivr.database import Database
from ivr.errors import ConfigError, VaultError
from ivr.secret import Personal, Secret
from ivr.store import keycheck
from ivr.store.customers import Customers
from ivr.store.register import NewCustomer, Register
from ivr.store.rewrap import rewrap
from ivr.store.tables import CUSTOMERS
from ivr.vault import Envelopes, Vault, keyfile
from ivr.vault.keys import load_masters
from tests.unit.cli_kit import Ended, typed
from tests.unit.conftest import Either
from tests.unit.database_kit import RECORD, asked, empty_database, held, on_postgresql, tamper

ROOT = Path(__file__).parents[2]


@dataclass
class House:
    settings: Settings
    database: Database

    @property
    def file(self) -> Path:
        return self.settings.path(Path("keys/master.key"))

    @property
    def masters(self) -> list[str]:
        return [key.id for key in load_masters(self.settings)]

    async def type(self, *words: str) -> Ended:
        return await asyncio.to_thread(typed, *words, "--config", str(self.settings.file))

    def begin(self, *words: str) -> subprocess.Popen[bytes]:
        """The same as a process of its own, which can be killed."""
        command = [sys.executable, str(ROOT / "ari_app.py"), *words, "--config", str(self.settings.file)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    async def add(self, count: int, *, vault: Vault | None = None, first: int = 10001) -> None:
        opened = vault or Vault.open(self.settings)
        register = Register(opened)
        sealed = [
            register.seal(NewCustomer(Secret(str(first + n)), Personal(f"Nr {first + n}"), (), RECORD))
            for n in range(count)
        ]
        async with self.database.write() as connection:
            assert await register.add(connection, sealed)
        if vault is None:
            opened.close()

    async def used(self) -> dict[str, int]:
        return dict(await asked(self.database, "SELECT key_id, count(*) FROM customers GROUP BY key_id"))


@pytest.fixture
async def house(either: Either) -> AsyncIterator[House]:
    settings = either()
    if on_postgresql(settings):
        await empty_database(settings)
    ended = await asyncio.to_thread(typed, "init", "--config", str(settings.file))
    assert ended.code == 0, ended.err
    async with await Database.open(settings) as database:
        yield House(settings, database)


async def test_a_new_key_wraps_all_and_the_old_one_can_go(house: House) -> None:
    await house.add(3)
    before = house.masters
    ended = await house.type("keys", "rotate")
    assert (ended.code, ended.err) == (0, "")
    old, new = house.masters
    assert [old] == before
    assert ended.out.startswith(f"Wrapped 3 data keys with the master key {new}\n")
    assert await house.used() == {new: 3}
    listed = (await house.type("keys", "list")).out.splitlines()
    assert [line.split()[:2] for line in listed[:2]] == [[old, "master"], [new, "master"]]
    assert "nobody needs it: keys retire" in listed[0] and "the newest, wraps; 3 data keys" in listed[1]
    assert [line.split()[1] for line in listed[2:4]] == ["hash", "audit"]
    ended = await house.type("keys", "retire", old)
    assert (ended.code, ended.err) == (0, "")
    assert house.masters == [new]
    assert house.file.stat().st_mode & 0o777 == 0o600
    assert "Nr 10002" in (await house.type("customer", "show", "10002", "--reveal")).out
    assert (await house.type("init")).out.startswith("Nothing to do")
    actions = [row[0] for row in await asked(house.database, "SELECT action FROM audit ORDER BY seq")]
    assert actions == ["init", "keys.rotate", "keys.rotated", "keys.retire", "customer.reveal"]
    # nothing that was printed or written in the trail is a key
    told = str(await asked(house.database, "SELECT detail FROM audit")) + str(listed)
    assert house.file.read_text().rpartition(":")[2].strip() not in told


async def test_a_key_that_is_needed_is_not_destroyed(house: House) -> None:
    await house.add(2)
    (old,) = house.masters
    assert (await house.type("keys", "add")).code == 0
    added = house.masters[1]
    await house.add(1, first=20001)  # with the newest
    for key_id, said in (
        (old, f"{old}: 2 data keys are wrapped with it. Type first: ari_app.py keys rotate\n"),
        (added, f"{added}: is the newest master key. Type first: ari_app.py keys rotate\n"),
        ("ffffffff", "ffffffff: is no master key here. Type: ari_app.py keys list\n"),
    ):
        ended = await house.type("keys", "retire", key_id)
        assert (ended.code, ended.out, ended.err) == (2, "", said)
    assert house.masters == [old, added]
    # the one that was added is used, and none is made
    ended = await house.type("keys", "rotate")
    assert (ended.code, house.masters) == (0, [old, added])
    assert await house.used() == {added: 3}


async def test_a_key_that_is_made_while_another_is_retired_is_not_lost(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever changes the file holds it from the first look on; the other waits, and here gives up at once."""
    await house.add(2)
    (old,) = house.masters
    assert (await house.type("keys", "rotate")).code == 0
    write, meanwhile = keyfile._write, list[Ended]()
    monkeypatch.setattr(keyfile, "_PATIENCE", 0.0)

    def slow(*args: Any, **more: Any) -> None:
        if not meanwhile:
            with ThreadPoolExecutor() as threads:
                rotating = threads.submit(typed, "keys", "rotate", "--config", str(house.settings.file))
                meanwhile.append(rotating.result())
        write(*args, **more)

    monkeypatch.setattr(keyfile, "_write", slow)
    assert (await house.type("keys", "retire", old)).code == 0
    (refused,) = meanwhile
    assert (refused.code, "another command is changing" in refused.err) == (2, True)
    assert (await house.type("keys", "rotate")).code == 0
    assert len(house.masters) == 2 and await house.used() == {house.masters[1]: 2}
    assert (await house.type("customer", "show", "10001")).code == 0


async def test_who_waits_for_the_file_goes_on_when_it_is_free(house: House) -> None:
    with keyfile.held(house.settings):
        adding = house.begin("keys", "add")
    assert await asyncio.to_thread(adding.wait, 30) == 0
    assert len(house.masters) == 2


async def test_a_file_that_took_its_place_is_held(house: House) -> None:
    """Who waited for the file holds the one that has its name now, and not the one that was replaced meanwhile."""
    opened, released = threading.Event(), threading.Event()
    lock = fcntl.flock

    def waiting(file: int, how: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            opened.set()
            assert released.wait(30)
        lock(file, how)

    def hold() -> bool:
        with keyfile.held(house.settings):
            with house.file.open() as stream, pytest.raises(BlockingIOError):
                lock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor() as threads:
        patch.setattr(fcntl, "flock", waiting)
        with keyfile.held(house.settings):
            other = threads.submit(hold)
            assert opened.wait(30)
            keyfile.add_master(house.settings)
        released.set()
        assert other.result(30)


async def test_a_key_that_was_retired_meanwhile_wraps_nothing(house: House) -> None:
    """`keys rotate` knows its key, and another command puts one behind it and destroys it."""
    await house.add(1)
    (old,) = house.masters
    assert (await house.type("keys", "add")).code == 0
    vault = Vault.open(house.settings)
    assert (await house.type("keys", "add")).code == 0
    gone = house.masters[1]
    assert (await house.type("keys", "retire", gone)).code == 0
    with pytest.raises(ConfigError, match=f"the database does not know the master key {gone}"):
        await rewrap(house.database, vault.envelopes, lambda _: None)
    assert await house.used() == {old: 1}
    vault.close()


async def test_a_key_that_somebody_is_about_to_use_is_not_destroyed(house: House) -> None:
    """Who retires it waits for the end of a transaction that has found it good, and looks behind that."""
    await house.add(1)
    assert (await house.type("keys", "add")).code == 0
    assert (await house.type("keys", "add")).code == 0
    key = house.masters[1]
    async with house.database.write() as connection:
        await keycheck.need(connection, (key,))
        retiring = asyncio.create_task(house.type("keys", "retire", key))
        while on_postgresql(house.settings) and not retiring.done():
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            if await asked(house.database, waiting) != [(0,)]:
                break
        await connection.exec_driver_sql(f"UPDATE customers SET key_id = '{key}'")
    assert (await retiring).err.startswith(f"{key}: 1 data keys are wrapped with it")
    assert key in house.masters
    assert await house.used() == {key: 1}


async def test_what_another_has_wrapped_meanwhile_stays(house: House) -> None:
    """Two who rotate at once: the one that comes later finds the row changed, and leaves it."""
    await house.add(2)
    assert (await house.type("keys", "add")).code == 0
    vault = Vault.open(house.settings)
    ((ref,),) = await asked(house.database, "SELECT min(ref) FROM customers")
    theirs: dict[str, bytes] = {}

    async def other() -> None:
        async with await Database.open(house.settings) as database, database.write() as connection:
            row = (await connection.execute(select(CUSTOMERS).where(CUSTOMERS.c.ref == ref))).one()
            theirs[ref] = vault.envelopes.rewrapped(ref, row.key_id, row.wrapped)
            values = {"key_id": vault.envelopes.key_id, "wrapped": theirs[ref]}
            await connection.execute(update(CUSTOMERS).where(CUSTOMERS.c.ref == ref).values(values))

    class Slow:
        """Between reading and writing, the other comes."""

        key_id = vault.envelopes.key_id

        def rewrapped(self, of: str, key_id: str, wrapped: bytes) -> bytes:
            if not theirs:
                with ThreadPoolExecutor() as threads:
                    threads.submit(asyncio.run, other()).result()
            return vault.envelopes.rewrapped(of, key_id, wrapped)

    await rewrap(house.database, cast(Envelopes, Slow()), lambda _: None)
    async with house.database.read() as connection:
        stored = (await connection.execute(select(CUSTOMERS.c.wrapped).where(CUSTOMERS.c.ref == ref))).scalar_one()
    assert stored == theirs[ref]
    assert await house.used() == {vault.envelopes.key_id: 2}
    vault.close()


async def test_killed_in_the_middle_it_goes_on_and_nobody_notices(house: House) -> None:
    """A worker reads customers and writes its trail all the time; the command is killed, and typed again."""
    count = 2000
    await house.add(count)
    vault = Vault.open(house.settings)
    customers = await Customers.open(house.database, vault)
    seal = Seal.open(house.settings)
    (old,) = house.masters
    stop = asyncio.Event()
    served = 0

    async def work(trail: Trail) -> None:
        nonlocal served
        while not stop.is_set():
            number = str(10001 + served * 977 % count)
            subject = await customers.by_number(Secret(number))
            assert subject.known and subject.name is not None and subject.name.reveal() == f"Nr {number}"
            await trail.append(Entry("caller", "verify", "verified", call=str(served)))
            served += 1

    async with Trail(house.database, "w", seal) as trail:
        working = asyncio.create_task(work(trail))
        rotating = house.begin("keys", "rotate")
        try:
            async with asyncio.timeout(60):
                while len(await house.used()) < 2:
                    assert rotating.poll() is None
                # it waits for its turn while this is held, and so cannot end before it is killed
                async with held(house.settings):
                    rotating.send_signal(signal.SIGKILL)
                    await asyncio.to_thread(rotating.wait)
        finally:
            rotating.kill()
        left = (await house.used())[old]
        assert 0 < left < count
        assert len(house.masters) == 2
        before = served
        ended = await house.type("keys", "rotate")
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.startswith(f"Wrapped {left} data keys")
        async with asyncio.timeout(30):
            while served < before + 5 and not working.done():
                await asyncio.sleep(0)
        stop.set()
        await working
    assert await house.used() == {house.masters[1]: count}
    assert len(house.masters) == 2
    report = await verify(house.database, seal.verifier)
    assert (report.faults, report.rows["w"]) == ((), served)
    vault.close()


async def test_a_worker_reads_a_key_that_was_added_and_goes_on_without_one_that_went(house: House) -> None:
    await house.add(1)
    vault = Vault.open(house.settings)
    customers = await Customers.open(house.database, vault)
    (old,) = house.masters
    assert (await house.type("keys", "rotate")).code == 0
    assert (await house.type("keys", "retire", old)).code == 0
    for _ in range(3):
        assert (await customers.by_number(Secret("10001"))).known
        assert not (await customers.by_number(Secret("99999"))).known
    vault.close()


async def test_what_was_sealed_with_a_key_that_went_meanwhile_is_not_written(house: House) -> None:
    """`customer add` waits for the PIN, say, while the keys are rotated and the old one is retired."""
    vault = Vault.open(house.settings)
    (old,) = house.masters
    await house.add(1)
    assert (await house.type("keys", "rotate")).code == 0
    assert (await house.type("keys", "retire", old)).code == 0
    with pytest.raises(ConfigError, match=f"the database does not know the master key {old}"):
        await house.add(1, vault=vault, first=20001)
    assert await asked(house.database, "SELECT count(*) FROM customers") == [(1,)]
    vault.close()


async def test_a_database_that_was_rotated_needs_the_new_key(house: House) -> None:
    await house.add(1)
    former = house.file.read_text()
    assert (await house.type("keys", "rotate")).code == 0
    old, new = house.masters
    house.file.write_text(former)
    ended = await house.type("customer", "show", "10001")
    assert ended.code == 2
    assert f"[keys] master_file: the database was made with key {new}, this is {old}. Bring back" in ended.err


async def test_a_data_key_that_was_changed_is_named_and_the_others_are_wrapped(house: House) -> None:
    await house.add(3)
    zero = r"'\x00'" if on_postgresql(house.settings) else "x'00'"
    await tamper(house.database, f"UPDATE customers SET wrapped = {zero} WHERE ref = (SELECT min(ref) FROM customers)")
    ((ref,),) = await asked(house.database, "SELECT min(ref) FROM customers")
    ended = await house.type("keys", "rotate")
    assert ended.code == 1
    assert ended.err == f"keys: the data keys of 1 customers or people cannot be read, and stay as they are: {ref}\n"
    old, new = house.masters
    assert await house.used() == {old: 1, new: 2}
    assert (await house.type("keys", "retire", old)).code == 2


async def test_keys_of_the_environment_are_changed_by_whoever_sets_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = house.file.read_text()
    house.settings.file.write_text(house.settings.file.read_text() + '[keys]\nmaster_env = "TILLIT_M"\n')
    monkeypatch.setenv("TILLIT_M", text)
    await house.add(1)
    ended = await house.type("keys", "rotate")
    assert ended.code == 2
    assert "the master key stands in the variable TILLIT_M, which only you can change" in ended.err
    another = text.replace(text.split(":")[1], "0a1b2c3d").replace(text.rpartition(":")[2][:6], "AAAAAA")
    monkeypatch.setenv("TILLIT_M", text + another)
    assert (await house.type("keys", "rotate")).code == 0
    assert await house.used() == {"0a1b2c3d": 1}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
async def test_the_file_stays_its_owners_when_root_types_it(house: House) -> None:
    os.chown(house.file, 0, 12345)
    assert (await house.type("keys", "add")).code == 0
    assert (house.file.stat().st_uid, house.file.stat().st_gid) == (0, 12345)
    assert house.file.stat().st_mode & 0o777 == 0o600


async def test_an_unknown_key_is_not_looked_for_at_each_call(house: House) -> None:
    looks = 0

    def again() -> tuple[()]:
        nonlocal looks
        looks += 1
        return ()

    vault = Vault(Vault.open(house.settings).keys, house.settings, again=again)
    for _ in range(50):
        with pytest.raises(VaultError, match="another master key"):
            vault.envelopes.open("anna", "ffffffff", b"")
    assert looks == 1
    vault.close()
