"""What a person may ask for: all that is held, and that nothing of it can be read any more."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rig.state import CHECKOUT

from ivr.audit.signing import Seal
from ivr.call.ports import Entry
from ivr.cli.personal import names
from ivr.config import Settings
from ivr.database import Database
from ivr.errors import StoreError
from ivr.secret import Personal
from ivr.store.history import Contact, History
from ivr.store.link import Link
from ivr.store.register import Customer
from ivr.vault import Vault
from tests.contract.live_server import Server
from tests.unit.cli_kit import ANNA, Phone, shows, trail, typed
from tests.unit.database_kit import directly, rows, trail_of

pytestmark = pytest.mark.servers
ASKED = ("--by", "Data protection officer", "--reason", "asked for it by letter of 3 May")


@pytest.fixture
def made(installed: Settings) -> Settings:
    """With one customer, Anna."""
    ended = typed(*[word for word in ANNA if word not in ("--policy", "support")], stdin="2580\n")
    assert (ended.code, ended.err) == (0, "")
    return installed


def files(settings: Settings) -> bytes:
    folder = settings.file.parent
    return b"".join(file.read_bytes() for file in sorted(folder.glob("tillit.db*")))


def test_all_that_is_held(made: Settings) -> None:
    assert typed("customer", "lock", "10001").code == 0
    ended = typed("customer", "export", "10001")
    assert (ended.code, ended.err) == (0, "")
    held = json.loads(ended.out)
    assert {name: held[name] for name in ("number", "name", "phones", "language", "policy", "locked")} == {
        "number": "10001", "name": "Anna Åkesson", "phones": ["+46701234567", "+46812345678"], "language": "en",
        "policy": None, "locked": True,
    }  # fmt: skip
    assert [row["action"] for row in held["audit"]] == ["customer.add", "customer.lock", "customer.export"]
    assert held["audit"][0]["detail"] == {"pin": "set", "tenant": "main"}
    # what is not the person's own is not in it
    assert "hash" not in held and "2580" not in ended.out
    assert trail(made)[-1] == ("cli", "customer.export", "done")


def test_into_a_file_that_is_the_administrators_alone(made: Settings, tmp_path: Path) -> None:
    file = tmp_path / "anna.json"
    assert typed("customer", "export", "10001", "--out", str(file)).code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["name"] == "Anna Åkesson"
    count = len(trail(made))
    ended = typed("customer", "export", "10001", "--out", str(file))
    assert (ended.code, "is there already. Name a new file" in ended.err) == (2, True)
    assert len(trail(made)) == count


def test_erased_nothing_of_the_customer_is_in_the_files(made: Settings) -> None:
    assert typed("customer", "totp", "add", "10001", stdin=Phone(shows)).code == 0
    ((ref, wrapped, name, index),) = rows(made, "SELECT ref, wrapped, name, number_index FROM customers")
    ((app,),) = rows(made, "SELECT sealed FROM customer_totps")
    assert all(value in files(made) for value in (wrapped, name, index.encode(), app))
    ended = typed("customer", "erase", "10001", *ASKED, "--yes")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"Erased customer {ref}.")
    found = files(made)
    assert not any(value in found for value in (wrapped, name, index.encode(), app))
    # who did it, and why, stays; whom it was about, nobody can tell
    told = rows(made, "SELECT subject, detail FROM audit WHERE action = 'customer.erase'")
    assert told == [
        (ref, '{"by":"Data protection officer","reason":"asked for it by letter of 3 May","tenant":"main"}')
    ]
    assert f"{ref}" in typed("audit", "show", "--customer", ref).out
    assert typed("customer", "show", "10001").code == 2
    assert typed("audit", "verify").code == 0


def test_erased_the_calls_to_the_customer_are_forgotten(made: Settings, server: Server) -> None:
    """Of a number that was the customer's then, too."""
    ((ref,),) = rows(made, "SELECT ref FROM customers")

    async def note() -> None:
        link, vault = Link.of(made), Vault.open(made)
        history = History(link, made.redis.prefix, vault.codes, made.prove.history_days, "SE")
        try:
            for number, whose in (("+46701234567", ref), ("+46709999999", ref), ("+46701234567", "another")):
                await history.note(Personal(number), Contact(int(time.time()), "+46812345678", "", whose))
        finally:
            vault.close()
            await link.close()

    asyncio.run(note())
    assert ref in str(kept(server))
    assert typed("customer", "erase", "10001", *ASKED, "--yes").code == 0
    assert ref not in str(kept(server)) and "another" in str(kept(server))


def kept(server: Server) -> list[object]:
    """What Redis has of calls."""
    keys = server.client.keys("*:history:*")
    return [value for key in keys for value in (key, *server.client.zrange(key, 0, -1))]


def begun(*words: str) -> subprocess.Popen[bytes]:
    """A command that asks, up to its question."""
    command = [sys.executable, str(CHECKOUT / "ari_app.py"), *words]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = b""
    while b"?" not in said:
        some = os.read(process.stderr.fileno(), 500)
        assert some, said
        said += some
    return process


@pytest.mark.parametrize("words", [("erase", "10001", *ASKED), ("remove", "10001")], ids=["erase", "remove"])
def test_while_a_person_thinks_workers_write_their_rows(made: Settings, words: tuple[str, ...]) -> None:
    async def append() -> None:
        async with await Database.open(made) as database:
            trail = trail_of(database, "w", seal=Seal.open(made))
            await trail.append(Entry("caller", "verify", "verified", call="17"))

    process = begun("customer", *words)
    try:
        asyncio.run(append())
    finally:
        process.communicate(b"n\n")


def test_redis_that_goes_away_while_a_person_thinks(made: Settings, server: Server) -> None:
    """The customer is still there, and can be erased to the end when it is back."""
    ((wrapped,),) = rows(made, "SELECT wrapped FROM customers")
    process = begun("customer", "erase", "10001", *ASKED)
    server.client.close()
    server.kill()
    process.communicate(b"y\n")
    assert process.returncode == 1
    assert rows(made, "SELECT count(*) FROM customers") == [(1,)]
    assert trail(made)[-1] == ("cli", "customer.show", "done")
    server.start()
    # somebody else has it open, as a worker has: else the last one to close it would empty the log
    with directly(made) as other:
        other.execute("SELECT * FROM customers").fetchall()
        ended = typed("customer", "erase", "10001", *ASKED, "--yes")
        assert (ended.code, ended.err) == (0, "")
        assert wrapped not in files(made)


def test_who_is_shown_to_be_a_customer_stands_in_the_trail(made: Settings) -> None:
    ((ref,),) = rows(made, "SELECT ref FROM customers")
    count = len(trail(made))
    for words in (
        ("customer", "remove", "10001"), ("customer", "erase", "10001", *ASKED), ("customer", "unlock", "10001", "--confirm"),
        ("audit", "show", "--customer", "10001"),
    ):  # fmt: skip
        typed(*words, stdin="n\n")
        assert trail(made)[count:] == [("cli", "customer.show", "done")]
        assert rows(made, "SELECT subject FROM audit ORDER BY seq DESC LIMIT 1") == [(ref,)]
        count += 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("customer", "show", "99999"), "customer.show"),
        (("customer", "show", "99999", "--reveal"), "customer.reveal"),
        (("customer", "export", "99999"), "customer.export"),
        (("customer", "remove", "99999"), "customer.show"),
        (("customer", "remove", "99999", "--yes"), "customer.remove"),
        (("customer", "erase", "99999", *ASKED, "--yes"), "customer.erase"),
        (("customer", "lock", "99999"), "customer.lock"),
        (("customer", "set-pin", "99999", "--pin-stdin"), "customer.show"),
        (("audit", "show", "--customer", "99999"), "customer.show"),
    ],
)
def test_that_nobody_has_a_number_is_told_of_too(made: Settings, words: tuple[str, ...], told: str) -> None:
    count = len(trail(made))
    ended = typed(*words)
    assert (ended.code, ended.out, ended.err) == (2, "", "number: no customer has it. Nothing was done\n")
    assert trail(made)[count:] == [("cli", told, "unknown")]
    assert "99999" not in str(rows(made, "SELECT * FROM audit"))


def test_a_number_that_is_taken(made: Settings) -> None:
    count = len(trail(made))
    ended = typed("customer", "add", "10001", "--name", "Bo", "--no-pin")
    assert (ended.code, ended.err) == (2, "number: another customer of main has it. Nothing was done\n")
    assert trail(made)[count:] == [("cli", "customer.add", "taken")]


def test_somebody_who_reads_keeps_the_log_and_that_is_told(made: Settings) -> None:
    with directly(made) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM customers").fetchall()
        ended = typed("customer", "erase", "10001", *ASKED, "--yes")
        assert ended.code == 0
        assert "files still have it, for somebody is reading" in ended.err
        again = typed("customer", "scrub")
        assert (again.code, again.out) == (1, "")
        assert again.err.endswith("Then type: ari_app.py customer scrub\n")
    for ended in typed("customer", "scrub"), typed("customer", "scrub", "--rewrite"):
        assert (ended.code, ended.out) == (0, "The database has cleaned its files of what was deleted\n")


def test_a_database_that_goes_away_when_the_customer_is_gone(made: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(database: Database, *tables: str, small: float) -> None:
        raise StoreError("database: 57P01")

    with monkeypatch.context() as patch:
        patch.setattr(Database, "scrub", away)
        ended = typed("customer", "erase", "10001", *ASKED, "--yes")
        assert (ended.code, ended.out.startswith("Erased customer ")) == (0, True)
        assert "may still have it (database: 57P01). Then type: ari_app.py customer scrub" in ended.err
        assert typed("customer", "scrub").code == 1
    assert typed("customer", "scrub").code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--by", "", "--reason", "asked"), "--by: is empty"),
        (("--by", "DPO", "--reason", " "), "--reason: is empty"),
        (("--by", "DPO", "--reason", "x" * 201), "--reason: is empty, longer than 200 characters"),
        (("--by", "D\x1bPO", "--reason", "asked"), "--by: is empty, longer"),
        (("--by", "DPO", "--reason", "Mrs ÅKESSON asked"), "--reason: has the customer's name or number"),
        (("--by", "DPO", "--reason", "asked from 070-123 45 67"), "--reason: has the customer's name or number"),
        (("--by", "DPO", "--reason", "no. 10001 asked"), "--reason: has the customer's name or number"),
        (("--by", "Anna Akesson", "--reason", "asked"), "--by: has the customer's name or number"),
        (("--by", "DPO", "--reason", "asked by A\u030akesson-Berg"), "--reason: has the customer's name or number"),
    ],
)
def test_what_the_trail_would_keep_is_looked_at(made: Settings, words: tuple[str, ...], said: str) -> None:
    ended = typed("customer", "erase", "10001", *words, "--yes")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(said)
    assert rows(made, "SELECT count(*) FROM customers") == [(1,)]
    ((kept,),) = rows(made, "SELECT detail FROM audit ORDER BY seq DESC LIMIT 1")
    assert "sson" not in kept.casefold()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Bo asked", True), ("bo-asked", True), ("LI", True), ("of O'Neil", True), ("boat, line, oreal", False),
        ("asked by letter of 3 May", False), ("070 12", False), ("ticket 123-4567", True), ("a x", False),
    ],
)  # fmt: skip
def test_short_names_are_looked_for_as_words(text: str, *, named: bool) -> None:
    name, phones = Personal("Bo Li O'Neil X"), (Personal("+46701234567"),)
    customer = Customer("ref", "key", Personal("10001"), name, phones, False, None, None, False)
    assert names(text, customer) is named


def test_nothing_is_erased_by_halves(made: Settings, server: Server) -> None:
    assert typed("customer", "erase", "10001", *ASKED, stdin="n\n").code == 1
    assert rows(made, "SELECT count(*) FROM customers") == [(1,)]
    server.stop()
    ended = typed("customer", "erase", "10001", *ASKED, "--yes")
    assert (ended.code, "no Redis answers" in ended.err) == (75, True)
    assert rows(made, "SELECT count(*) FROM customers") == [(1,)]
