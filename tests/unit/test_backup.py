"""Back-ups: what comes back is what there was, and nobody else can read it."""

from __future__ import annotations

import asyncio
import base64
import gzip
import os
import shutil
import stat
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyotp
import pyrage
import pytest
from rig.ports import HOST
from rig.postgresql import USER, PostgreSQL

from ivr.audit import Seal, Trail, verify
from ivr.backup.restore import data_keys_of, restore
from ivr.backup.sealed import Writer, writing
from ivr.call.ports import Entry
from ivr.call.ports.peers import Pin
from ivr.config import Settings, load
from ivr.database import Database, migrate
from ivr.errors import InputError
from ivr.secret import Personal, Secret
from ivr.store import eids, mails, pushes, tokenkeys, totps
from ivr.store.customers import Customers
from ivr.store.peers import StoredPeers
from ivr.store.register import Register
from ivr.vault import Vault
from tests.unit.cli_kit import Ended, trail, typed
from tests.unit.conftest import Either
from tests.unit.database_kit import asked, empty_database, on_postgresql, settings_in, tamper

ROOT = Path(__file__).parents[2]
SPOKEN = ("Anna Åkesson", "Bo Berg")
SAID = Secret("signature")
APP = Secret("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
MAIL = "anna@customer.example"
BROWSER = Secret('{"endpoint":"https://push.example/canary"}')


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
    settings = load(made.settings.file)
    vault = Vault.open(settings)
    async with await Database.open(settings) as database, database.write() as connection:
        anna = await Register(vault).find(connection, Secret("10001"))
        assert anna is not None
        await totps.enrol(connection, vault, anna.ref, APP, 7, 1_700_000_000)
        await mails.keep(connection, vault, anna.ref, Personal(MAIL), 1_700_000_001)
        await eids.enter(connection, vault, anna.ref, "SE", Secret("199001012385"), 1_700_000_000)
    async with await Database.open(settings) as database:
        subject = await Customers(database, vault).by_number(Secret("10001"))
        phone = vault.index.phone(anna.phones[0])
        assert await pushes.Pushes(database, vault, lambda: 1_700_000_002).keep(subject.ref, BROWSER, phone, "key", 0)
        await eids.Identities(database, vault, clock=lambda: 1_700_000_000.0).keep(subject, "bankid", SAID)
    vault.close()
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
    assert ended.out.startswith("Restored 2 customers, 0 people who sign in and ")
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
        apps = await asked(database, "SELECT customer, counter, since FROM customer_totps")
        assert apps == [(anna.ref, 7, 1_700_000_000)]
        app = totps.Totps(database, vault, clock=lambda: 2_000_000_000.0)
        assert await app.accepts(anna, Secret(pyotp.TOTP(APP.reveal()).at(2_000_000_000)))
        address = await mails.Mails(database, vault).of(anna.ref)
        assert address is not None
        assert address.reveal() == MAIL
        assert await asked(database, "SELECT customer, since FROM customer_mails") == [(anna.ref, 1_700_000_001)]
        [browser] = await pushes.Pushes(database, vault).of(anna.ref)
        assert (browser.said, browser.since) == (BROWSER, 1_700_000_002)
        assert await eids.Identities(database, vault).of(anna, "SE") == Secret("199001012385")
        async with database.read() as connection:
            [said] = await eids.evidence(connection, vault, anna.ref)
            [called] = await eids.names(connection, vault, anna.ref)
        assert (said.provider, said.at, said.said, called.since) == ("bankid", 1_700_000_000, SAID, 1_700_000_000)
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
    await house.backup("new")
    await house.well("keys", "retire", listed[0].split()[0])
    config = house.another()
    assert (await house.restore(old, config)).code == 0
    assert (await house.type("customer", "show", "10001", config=config)).code == 0


async def test_a_key_that_the_newest_back_up_needs_is_not_destroyed(house: House) -> None:
    """What is destroyed in the order of the page, nothing needs; whoever restores can go on with it."""
    file = await house.backup("one")
    old = (await house.well("keys", "list")).split()[0]
    await house.well("keys", "rotate")
    assert "the newest back-up: backup" in (await house.well("keys", "list")).splitlines()[0]
    ended = await house.type("keys", "retire", old)
    assert (ended.code, ended.err) == (
        2,
        f"{old}: the newest data-keys.age needs it, and no back-up could be read any more."
        " Type first: ari_app.py backup FILE; and bring the new data-keys.age to where you keep it\n",
    )
    config = house.another("early")
    assert (await house.restore(file, config)).code == 0
    # what is restored needs it as well, until it was rotated and backed up
    assert "data keys are wrapped" in (await house.type("keys", "retire", old, config=config)).err
    add = ("customer", "add", "10003", "--name", "Carl Ceder", "--no-pin")
    assert (await house.type(*add, config=config)).code == 0
    assert (await house.type("keys", "rotate", config=config)).code == 0
    assert "the newest data-keys.age needs it" in (await house.type("keys", "retire", old, config=config)).err

    file = await house.backup("two")
    assert "nobody needs it: keys retire" in (await house.well("keys", "list")).splitlines()[0]
    await house.well("keys", "retire", old)
    for name in ("one", "two"):
        config = house.another(f"late-{name}")
        assert (await house.restore(file.with_name(f"{name}.age"), config)).code == 0
        assert (await house.type("customer", "show", "10001", config=config)).code == 0


async def test_a_back_up_that_was_killed_as_it_replaced_the_data_keys_keeps_what_they_need(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is the new one by then, and the database does not know it yet."""
    await house.backup("one")
    await house.well("keys", "rotate")
    needed = (await house.well("keys", "list")).splitlines()[1].split()[0]
    place = Writer.place

    def killed(writer: Writer, *, replace: bool) -> None:
        place(writer, replace=replace)
        raise InputError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "place", killed)
        assert (await house.type("backup", str(house.folder / "copies" / "two.age"))).err == "killed\n"
    await house.well("keys", "rotate")
    assert "the newest data-keys.age needs it" in (await house.type("keys", "retire", needed)).err


async def test_back_ups_that_are_given_up_keep_no_key(house: House) -> None:
    """By an administrator who says so; and one of before it was noted what they need is taken for one that needs it."""
    await house.backup()
    old = (await house.well("keys", "list")).split()[0]
    await house.well("keys", "rotate")
    async with await Database.open(house.settings) as database, database.write() as connection:
        await connection.exec_driver_sql("DELETE FROM keys WHERE kind = 'backup'")
    assert "the newest data-keys.age needs it" in (await house.type("keys", "retire", old)).err
    await house.well("keys", "retire", old, "--lose-backups")
    told = await asked_once(house, "SELECT detail FROM audit WHERE action = 'keys.retire'")
    assert told == [(f'{{"backups":"lost","key":"{old}"}}',)]


async def test_of_two_at_once_the_younger_stays(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one is held before its data keys take their place; meanwhile somebody is removed and backed up without."""
    finish, second = Writer.finish, house.folder / "copies" / "second.age"
    meanwhile: list[Ended] = []

    def slow(writer: Writer) -> None:
        if not meanwhile:
            config = ("--config", str(house.settings.file))
            with ThreadPoolExecutor() as threads:
                meanwhile.append(threads.submit(typed, "customer", "remove", "10001", "--yes", *config).result())
                meanwhile.append(threads.submit(typed, "backup", str(second), *config).result())
        finish(writer)

    monkeypatch.setattr(Writer, "finish", slow)
    first = house.folder / "copies" / "first.age"
    first.parent.mkdir()
    ended = await house.type("backup", str(first))
    assert (ended.code, "another back-up was written at the same time" in ended.err) == (2, True)
    assert not first.exists()
    assert [(one.code, one.err) for one in meanwhile] == [(0, "")] * 2
    config = house.another()
    ended = await house.restore(second, config)
    assert ended.out.startswith("Restored 1 customers") and "left out" not in ended.out


async def test_no_file_but_that_of_data_keys_is_replaced(tmp_path: Path) -> None:
    house = await _on_sqlite(tmp_path)
    old = await house.backup("old")
    notes, badly, new = tmp_path / "notes.txt", tmp_path / "not-data-keys.age", tmp_path / "new.age"
    for file in (notes, badly):
        file.write_text("mine")
    for words, said in (
        (("--data-keys", str(notes)), "its name must end with data-keys.age"),
        (("--data-keys", str(old)), "its name must end with data-keys.age"),
        (("--data-keys", str(badly)), "is no file of data keys, and would be replaced"),
        (("--data-keys", str(tmp_path / "none" / "data-keys.age")), "cannot be written (No such file or directory)"),
    ):
        before = old.read_bytes()
        ended = await house.type("backup", str(new), *words)
        assert (ended.code, said in ended.err) == (2, True), ended
        assert (notes.read_text(), badly.read_text(), old.read_bytes()) == ("mine", "mine", before)
        assert not new.exists()
    ended = await house.type("backup", str(tmp_path / "my-data-keys.age"))
    assert (ended.code, "only the data keys' file is called so" in ended.err) == (2, True)
    before = len(trail(house.settings))
    await house.well("backup", str(new), "--data-keys", str(tmp_path / "other-data-keys.age"))
    # of those that failed the trail says that they were begun, and no more
    told = [action for _, action, _ in trail(house.settings) if action.startswith("backup")]
    assert told.count("backup.written") == 2 < told.count("backup") and len(trail(house.settings)) == before + 2


async def test_a_name_that_another_takes_meanwhile_is_left_to_it(tmp_path: Path) -> None:
    house = await _on_sqlite(tmp_path)
    file = tmp_path / "one.age"
    seal, recipients = Seal.open(house.settings), load(house.settings.file).backup.recipients

    def write() -> None:
        with writing(file, recipients, "data", at="", schema="", seal=seal) as writer:
            file.write_text("theirs")
            writer.finish()
            writer.place(replace=False)

    with pytest.raises(InputError, match="File exists"):
        write()
    assert file.read_text() == "theirs"
    assert not list(tmp_path.glob(".*"))


async def test_what_is_placed_outlives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is on the disk before it has its name, and its name before anybody is told."""
    house = await _on_sqlite(tmp_path)
    done: list[str] = []
    fsync, replace, link = os.fsync, os.replace, os.link

    def told(what: str, then: Callable[..., None]) -> Callable[..., None]:
        def do(*args: Any) -> None:
            folder = what == "fsync" and stat.S_ISDIR(os.fstat(args[0]).st_mode)
            done.append("folder" if folder else what)
            then(*args)

        return do

    for name, then in (("fsync", fsync), ("replace", replace), ("link", link)):
        monkeypatch.setattr(os, name, told(name, then))
    await house.backup()
    assert done == ["fsync", "replace", "folder", "fsync", "link", "folder"]


async def test_what_a_killed_one_has_left_is_cleared_away(tmp_path: Path) -> None:
    house = await _on_sqlite(tmp_path)
    folder = tmp_path / "copies"
    folder.mkdir()
    text = (
        "import sys; from pathlib import Path; from ivr.backup.beside import Beside\n"
        "with Beside(Path(sys.argv[1])) as made: print('made', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", text, str(folder / "killed.age")]
    killed = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        assert killed.stdout is not None and await killed.stdout.readline() == b"made\n"
        # while it lives, nobody takes it away
        await house.backup("one")
        assert len(list(folder.glob(".killed.age.*"))) == 1
    finally:
        killed.kill()
        await killed.wait()
    await house.backup("two")
    assert sorted(one.name for one in folder.iterdir()) == ["data-keys.age", "one.age", "two.age"]


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


HEAD = {"format": "tillit-backup-1", "at": "2026-01-01T00:00:00.000000Z", "schema": "0006"}


CRAFTED: tuple[bytes | list[dict[str, Any]], ...] = (
    b"",
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03rubbish",
    [],
    [{"format": "tillit-backup-1"}],
    [{**HEAD, "at": 5}],
    [HEAD],
    [HEAD, {"signature": 5}],
    [HEAD, {"signature": None, "lines": 1}],
    [HEAD, {"signature": "x", "lines": 1}],
    [HEAD, {"key": ["x", "y", "no base64!"]}],
    [HEAD, {"key": ["x", "y", "AAA"]}],
    [HEAD, {"needed": [1, 2]}],
    [HEAD, {"row": {}}],
    [HEAD, {"row": {"chain": "w", "seq": "1", "no such column": 1}}],
    [HEAD, {"customer": {}}],
    [HEAD, {"heads": [1], "anchors": [{}]}],
    [HEAD, {"x": "x" * (5 << 20)}],
)


@pytest.mark.parametrize("kind", ["keys", "data"])
async def test_what_somebody_has_made_who_has_the_public_key(tmp_path: Path, kind: str) -> None:
    """Nothing of it is used before it is known to be ours."""
    house = await _on_sqlite(tmp_path)
    file = await house.backup()
    bad = file if kind == "data" else file.with_name("data-keys.age")
    public = pyrage.x25519.Recipient.from_str(load(house.settings.file).backup.recipients[0])
    config = house.another()
    for lines in CRAFTED:
        text = lines
        if not isinstance(text, bytes):
            text = gzip.compress(b"".join(orjson.dumps({"kind": kind, **line}) + b"\n" for line in text))
        bad.write_bytes(pyrage.encrypt(text, [public]))
        ended = await house.restore(file, config)
        assert (ended.code, ended.out) == (2, ""), (lines, ended)
        assert ended.err.startswith(f"{bad}: ") and ended.err.endswith("Nothing was restored\n"), (lines, ended)
        assert not config.with_name("tillit.db").exists()


async def test_many_lines_of_somebody_elses_are_not_kept(tmp_path: Path) -> None:
    house = await _on_sqlite(tmp_path)
    file = tmp_path / "data-keys.age"
    public = pyrage.x25519.Recipient.from_str(load(house.settings.file).backup.recipients[0])
    lines = [orjson.dumps({**HEAD, "kind": "keys"}), *(b'{"key":["%016d","k",""]}' % n for n in range(50_000))]
    file.write_bytes(pyrage.encrypt(gzip.compress(b"\n".join(lines)), [public]))
    del lines
    identity = Secret(house.identity.read_text().splitlines()[-1])
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="is cut off"):
            data_keys_of(file, identity, Seal.open(house.settings))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # kept, they take 10 MB and more
    assert most < 3_000_000


async def test_a_pipe_in_its_place(tmp_path: Path) -> None:
    house = await _on_sqlite(tmp_path)
    file = await house.backup()
    file.unlink()
    os.mkfifo(file)
    ended = await house.restore(file, house.another())
    assert (ended.code, "cannot be read (it is no file). Nothing was restored" in ended.err) == (2, True)


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

    # lines behind its end, by whoever has the public key
    public = pyrage.x25519.Recipient.from_str(load(house.settings.file).backup.recipients[0])
    longer = tmp_path / "longer.age"
    for good in (new, keys):
        longer.write_bytes(pyrage.encrypt(gzip.compress(house.plain(good) + b'{"key":["x","y",""]}\n'), [public]))
        words = (str(longer),) if good == new else (str(new), "--data-keys", str(longer))
        more = ("--data-keys", str(keys)) if good == new else ()
        await refused("goes on behind its end", *words, *more, *identity)

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
    assert (
        ended.code,
        "the database holds customers, people, keys of other organisations, or an audit trail" in ended.err,
    ) == (2, True)


async def test_keys_that_sign_tokens_come_back_and_those_thrown_away_do_not(house: House) -> None:
    async def made(settings: Settings) -> list[str]:
        vault = Vault.open(settings)
        try:
            async with await Database.open(settings) as database, database.write() as connection:
                await tokenkeys.keep(connection, vault, time.time(), 30)
                stored = await connection.run_sync(tokenkeys.all_of)
                # each can be opened, or this raises
                return [key.open(vault).id for key in stored]
        finally:
            vault.close()

    before = await made(house.settings)
    file = await house.backup()
    config = house.another()
    ended = await house.restore(file, config)
    assert (ended.code, ended.err) == (0, "")
    assert await made(load(config)) == before
    # a newer file of data keys, from behind the day on which they were thrown away
    await house.well("keys", "tokens", "rotate", "--compromised")
    await house.backup("two")
    config = house.another("newer")
    ended = await house.restore(file, config)
    assert (ended.code, ended.err) == (0, "")
    assert not set(before) & set(await made(load(config)))


async def test_keys_of_other_organisations_are_not_written_over(house: House) -> None:
    file = await house.backup()
    identity = Secret(next(line for line in house.identity.read_text().split() if line.startswith("AGE-SECRET-KEY-")))
    data_keys = data_keys_of(file.with_name("data-keys.age"), identity, Seal.open(house.settings))
    empty = load(house.another())
    migrate.create_file(empty)
    async with await Database.open_any(empty) as database:
        async with database.write() as connection:
            await migrate.migrate(connection)
        await StoredPeers(database).first(Pin("a.example", "k" * 43, {"kty": "OKP"}, 1, 2, agreed=True))
        vault = Vault.open(house.settings)
        with pytest.raises(InputError, match="Name an empty one"):
            async with database.write() as connection:
                await restore(
                    connection, vault, Seal.open(house.settings), file, identity, data_keys,
                    told=lambda _: None,
                )  # fmt: skip
        vault.close()


async def test_keys_of_other_organisations_come_back(house: House) -> None:
    """Else whoever answers for their domains would be seen for the first time again, and believed."""
    pins = [Pin(f"{name}.example", "k" * 43, {"kty": "OKP"}, 1, 2, name == "b") for name in ("a", "b")]
    async with await Database.open(house.settings) as database:
        for pin in pins:
            await StoredPeers(database).first(pin)
    config = house.another()
    assert (await house.restore(await house.backup(), config)).code == 0
    async with await Database.open(load(config)) as database:
        assert list(await StoredPeers(database).all()) == pins
