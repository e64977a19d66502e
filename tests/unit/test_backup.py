"""Back-ups: what comes back is what there was, and nobody else can read it."""

from __future__ import annotations

import asyncio
import base64
import gzip
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyrage
import pytest
from rig.ports import HOST
from rig.postgresql import USER, PostgreSQL

from ivr.audit import Seal, Trail, verify
from ivr.call.ports import Entry
from ivr.config import Settings, load
from ivr.database import Database
from ivr.secret import Personal, Secret
from ivr.store.customers import Customers
from ivr.vault import Vault
from tests.unit.cli_kit import Ended, typed
from tests.unit.conftest import Either
from tests.unit.database_kit import asked, empty_database, on_postgresql, settings_in, tamper

SPOKEN = ("Anna Åkesson", "Bo Berg")


@dataclass
class House:
    """A system with customers, and what its back-ups are read with."""

    settings: Settings
    folder: Path

    @property
    def identity(self) -> Path:
        return self.folder / "safe" / "identity"

    async def type(self, *words: str, stdin: str = "", config: Path | None = None) -> Ended:
        config = config or self.settings.file
        return await asyncio.to_thread(typed, *words, "--config", str(config), stdin=stdin)

    async def well(self, *words: str, stdin: str = "") -> str:
        ended = await self.type(*words, stdin=stdin)
        assert (ended.code, ended.err) == (0, ""), ended
        return ended.out

    async def backup(self, name: str = "one") -> Path:
        file = self.folder / "copies" / f"{name}.age"
        file.parent.mkdir(exist_ok=True)
        await self.well("backup", str(file))
        return file

    def another(self, name: str = "new", more: str = "") -> Path:
        """A new machine: settings, and the keys from the safe place. Its database is SQLite."""
        folder = self.folder / name
        folder.mkdir()
        settings_in(folder, more)
        shutil.copytree(self.settings.path(Path("keys")), folder / "keys")
        return folder / "tillit.toml"

    async def restore(self, file: Path, config: Path, *words: str) -> Ended:
        return await self.type("restore", str(file), "--identity", str(self.identity), *words, config=config)

    def plain(self, file: Path) -> bytes:
        """What whoever has the identity can read."""
        identity = pyrage.x25519.Identity.from_str(self.identity.read_text().splitlines()[-1])
        return gzip.decompress(pyrage.decrypt(file.read_bytes(), [identity]))


@pytest.fixture
async def house(either: Either, tmp_path: Path) -> House:
    made = House(either(), tmp_path)
    if on_postgresql(made.settings):
        await empty_database(made.settings)
    made.identity.parent.mkdir()
    told = await made.well("keys", "backup", str(made.identity))
    assert made.identity.stat().st_mode & 0o777 == 0o600
    with made.settings.file.open("a") as stream:
        stream.write(told.partition(":\n\n")[2])
    await made.well("init")
    anna = ("10001", "--name", SPOKEN[0], "--phone", "0701234567", "--phone", "+46812345678", "--language", "en")
    await made.well("customer", "add", *anna, "--pin-stdin", stdin="2580\n")
    await made.well("customer", "add", "10002", "--name", SPOKEN[1], "--no-pin")
    await made.well("customer", "lock", "10002")
    return made


async def test_what_comes_back_is_what_there_was(house: House) -> None:
    """Written while a worker writes; on the new machine a customer verifies, and the worker's chain goes on."""
    settings = load(house.settings.file)
    seal = Seal.open(settings)
    written = 0

    async def work(trail: Trail) -> None:
        nonlocal written
        while True:
            await trail.append(Entry("caller", "verify", "verified", call=str(written)))
            written += 1

    async with await Database.open(settings) as database, Trail(database, "w", seal) as trail:
        working = asyncio.create_task(work(trail))
        async with asyncio.timeout(30):
            while written < 20:
                await asyncio.sleep(0)
        file = await house.backup()
        before = written
        async with asyncio.timeout(30):
            while written < before + 20:
                await asyncio.sleep(0)
        working.cancel()
        await asyncio.wait([working])
    assert [one.stat().st_mode & 0o777 for one in file.parent.iterdir()] == [0o600, 0o600]
    assert sorted(one.name for one in file.parent.iterdir()) == ["data-keys.age", "one.age"]
    config = house.another()
    ended = await house.restore(file, config)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("Restored 2 customers and ")
    assert (await house.type("audit", "verify", config=config)).code == 0
    other = load(config)
    vault = Vault.open(other)
    async with await Database.open(other) as database:
        customers = await Customers.open(database, vault)
        anna, bo = [await customers.by_number(Secret(number)) for number in ("10001", "10002")]
        assert anna.name is not None and bo.name is not None and anna.pin is not None and anna.mobile is not None
        assert (anna.name.reveal(), bo.name.reveal()) == SPOKEN
        assert (anna.language, anna.mobile.reveal(), anna.locked, bo.locked) == ("en", "+46701234567", False, True)
        assert await vault.pins.matches(Secret("2580"), anna.pin)
        assert not await vault.pins.matches(Secret("2581"), anna.pin)
        found = await customers.by_phone(Personal("+46812345678"))
        assert found is not None and found.ref == anna.ref
        rows = await asked(database, "SELECT call FROM audit WHERE chain = 'w' ORDER BY seq")
        assert rows == [(str(number),) for number in range(len(rows))]
        assert 20 <= len(rows) <= before + 1
        last = await asked(database, "SELECT action FROM audit WHERE chain = 'cli' ORDER BY seq")
        assert [row[0] for row in last][-2:] == ["backup", "restore"]
        async with Trail(database, "w", seal) as trail:
            await trail.append(Entry("caller", "verify", "verified"))
        assert (await verify(database, seal.verifier)).faults == ()
    vault.close()


async def test_nobody_else_can_read_it_and_indexes_and_data_keys_are_apart(house: House) -> None:
    file = await house.backup()
    keys = file.with_name("data-keys.age")
    async with await Database.open(house.settings) as database:
        stored = await asked(database, "SELECT ref, number_index, wrapped FROM customers ORDER BY ref")
    data, apart = house.plain(file), house.plain(keys)
    for ref, index, wrapped in stored:
        text = base64.b64encode(wrapped)
        assert ref.encode() in data and index.encode() not in data and text not in data
        assert text in apart and index.encode() not in apart
    for one in (file, keys):
        for canary in (*(ref for ref, _, _ in stored), "customer.add", "Anna"):
            assert canary.encode() not in one.read_bytes()


async def test_who_was_erased_is_in_no_back_up_to_be_read(house: House) -> None:
    """Not even in the old one: with the data keys of today there is nothing that opens it."""
    old = await house.backup("old")
    kept = shutil.copy(old.with_name("data-keys.age"), house.folder / "kept.age")
    ((ref,),) = await asked_once(house, "SELECT ref FROM customers WHERE locked = (1 = 0)")
    await house.well("customer", "remove", "10001", "--yes")
    await house.backup("new")
    config = house.another()
    ended = await house.restore(old, config)
    assert (ended.code, ended.err) == (0, "")
    assert "Restored 1 customers" in ended.out and "1 customers were removed or erased since" in ended.out
    assert (await house.type("customer", "show", "10001", config=config)).code == 2
    assert (await house.type("customer", "show", "10002", config=config)).code == 0
    told = (await house.type("audit", "show", "--customer", ref, config=config)).out
    assert "customer.erase" in told and "restore" in told
    # what the page says of older copies of that file is so: this is why none may be kept
    again = house.another("again")
    assert (await house.restore(old, again, "--data-keys", str(kept))).code == 0
    assert (await house.type("customer", "show", "10001", config=again)).code == 0


async def asked_once(house: House, query: str) -> list[tuple[str]]:
    async with await Database.open(house.settings) as database:
        return await asked(database, query)


async def test_an_old_back_up_needs_the_newest_keys_alone(house: House) -> None:
    old = await house.backup("old")
    await house.well("keys", "rotate")
    listed = (await house.well("keys", "list")).splitlines()
    await house.well("keys", "retire", listed[0].split()[0])
    await house.backup("new")
    config = house.another()
    assert (await house.restore(old, config)).code == 0
    assert (await house.type("customer", "show", "10001", config=config)).code == 0


@pytest.mark.servers
async def test_from_sqlite_to_postgresql(tmp_path: Path, postgresql: PostgreSQL) -> None:
    house = await _on_sqlite(tmp_path)
    file = await house.backup()
    config = house.another(
        "new", f'[database]\nurl = "postgresql://{HOST}:{postgresql.port}/moved"\nusername = "{USER}"\n'
    )
    with config.open("a") as stream:
        stream.write('password_file = "password"\n')
    config.with_name("password").touch(mode=0o600)
    config.with_name("password").write_text(postgresql.password)
    await empty_database(load(config))
    ended = await house.restore(file, config)
    assert (ended.code, ended.err) == (0, "")
    assert (await house.type("audit", "verify", config=config)).code == 0
    shown = await house.type("customer", "show", "10001", "--reveal", config=config)
    assert SPOKEN[0] in shown.out


async def test_a_trail_that_was_changed_is_restored_and_told_of(house: House) -> None:
    async with await Database.open(house.settings) as database:
        await tamper(database, "UPDATE audit SET actor = 'x' WHERE seq = 1")
    file = await house.backup()
    config = house.another()
    ended = await house.restore(file, config)
    assert ended.code == 1
    assert "audit: chain cli, row 1: changed" in ended.err and "All was restored" in ended.err
    assert (await house.type("customer", "show", "10001", config=config)).code == 0


def flipped(file: Path, at: float) -> None:
    data = bytearray(file.read_bytes())
    data[int(len(data) * at)] ^= 1
    file.write_bytes(bytes(data))


def cut(file: Path, at: float) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * at)])


@pytest.mark.parametrize("at", [0.05, 0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize("change", [flipped, cut])
@pytest.mark.parametrize("name", ["one.age", "data-keys.age"])
async def test_a_file_that_was_changed_brings_nothing_back(
    tmp_path: Path, change: Callable[[Path, float], None], name: str, at: float
) -> None:
    made = await _on_sqlite(tmp_path)
    file = await made.backup()
    change(file.with_name(name), at)
    config = made.another()
    ended = await made.restore(file, config)
    assert ended.code == 2, ended
    assert f"{file.with_name(name)}: " in ended.err and "Nothing was restored" in ended.err
    assert not config.with_name("tillit.db").exists()


async def _on_sqlite(folder: Path) -> House:
    made = House(settings_in(folder), folder)
    made.identity.parent.mkdir()
    told = await made.well("keys", "backup", str(made.identity))
    with made.settings.file.open("a") as stream:
        stream.write(told.partition(":\n\n")[2])
    await made.well("init")
    await made.well("customer", "add", "10001", "--name", SPOKEN[0], "--no-pin")
    return made


async def test_what_does_not_fit_is_refused_and_named(tmp_path: Path) -> None:
    house = await _on_sqlite(tmp_path)
    old = await house.backup("old")
    old_keys = shutil.copy(old.with_name("data-keys.age"), tmp_path / "old-keys.age")
    new = await house.backup("new")
    keys = new.with_name("data-keys.age")

    # a file that is there, nobody named, a key that is none
    assert "is there already. Name a new file" in (await house.type("backup", str(new))).err
    assert "cannot be written (File exists)" in (await house.type("keys", "backup", str(house.identity))).err
    nobody = house.another("nobody")
    await house.type("init", config=nobody)
    ended = await house.type("backup", str(tmp_path / "x.age"), config=nobody)
    assert (ended.code, "[backup] recipients: names nobody who may read back-ups. Type: " in ended.err) == (2, True)
    assert not (tmp_path / "x.age").exists() and not (tmp_path / "data-keys.age").exists()

    config = house.another()

    async def refused(said: str, *words: str) -> None:
        ended = await house.type("restore", *words, config=config)
        assert (ended.code, ended.out) == (2, ""), ended
        assert said in ended.err, ended.err
        assert not config.with_name("tillit.db").exists()

    identity = ("--identity", str(house.identity))
    other = tmp_path / "other"
    await house.well("keys", "backup", str(other))
    await refused("cannot be read with this key", str(new), "--identity", str(other))
    await refused("--identity: holds no key of `keys backup`", str(new), "--identity", str(config))
    await refused("is no such file of `backup`", str(keys), *identity)
    await refused("is newer than the data keys", str(new), *identity, "--data-keys", str(old_keys))
    await refused("cannot be read (No such file or directory)", str(tmp_path / "none.age"), *identity)

    # another installation's back-up, and keys that are not those of then
    for name in ("master", "hash", "audit"):
        file = config.with_name("keys") / f"{name}.key"
        text = file.read_text()
        file.write_text(text.replace(text.split(":")[2][:6], "AAAAAA"))
        said = (
            "is not signed by this installation's audit key"
            if name == "audit"
            else f"[keys] {name}_file: the database was made"
        )
        await refused(said, str(new), *identity)
        file.write_text(text)

    assert (await house.restore(new, config)).code == 0
    ended = await house.restore(new, config)
    assert (ended.code, "the database holds customers, or an audit trail" in ended.err) == (2, True)
