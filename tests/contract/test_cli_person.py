"""What a person may ask for: all that is held, and that nothing of it can be read any more."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from ivr.config import Settings
from tests.contract.live_server import Server
from tests.unit.cli_kit import ANNA, trail, typed
from tests.unit.database_kit import directly, rows

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
    assert held["audit"][0]["detail"] == {"pin": "set"}
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
    assert typed("customer", "export", "99999").err == "number: no customer has it. Nothing was done\n"


def test_erased_nothing_of_the_customer_is_in_the_files(made: Settings) -> None:
    ((ref, wrapped, name, index),) = rows(made, "SELECT ref, wrapped, name, number_index FROM customers")
    assert all(value in files(made) for value in (wrapped, name, index.encode()))
    ended = typed("customer", "erase", "10001", *ASKED, "--yes")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"Erased customer {ref}.")
    found = files(made)
    assert not any(value in found for value in (wrapped, name, index.encode()))
    # who did it, and why, stays; whom it was about, nobody can tell
    told = rows(made, "SELECT subject, detail FROM audit WHERE action = 'customer.erase'")
    assert told == [(ref, '{"by":"Data protection officer","reason":"asked for it by letter of 3 May"}')]
    assert f"{ref}" in typed("audit", "show", "--customer", ref).out
    assert typed("customer", "show", "10001").code == 2
    assert typed("audit", "verify").code == 0


def test_somebody_who_reads_keeps_the_log_and_that_is_told(made: Settings) -> None:
    with directly(made) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM customers").fetchall()
        ended = typed("customer", "erase", "10001", *ASKED, "--yes")
        assert ended.code == 0
        assert "somebody is reading: it goes with the next checkpoint" in ended.err


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
    ],
)
def test_what_the_trail_would_keep_is_looked_at(made: Settings, words: tuple[str, ...], said: str) -> None:
    ended = typed("customer", "erase", "10001", *words, "--yes")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(said)
    assert rows(made, "SELECT count(*) FROM customers") == [(1,)]


def test_nothing_is_erased_by_halves(made: Settings, server: Server) -> None:
    assert typed("customer", "erase", "10001", *ASKED, stdin="n\n").code == 1
    assert rows(made, "SELECT count(*) FROM customers") == [(1,)]
    server.stop()
    ended = typed("customer", "erase", "10001", *ASKED, "--yes")
    assert (ended.code, "no Redis answers" in ended.err) == (75, True)
    assert rows(made, "SELECT count(*) FROM customers") == [(1,)]
