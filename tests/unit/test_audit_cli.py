"""`audit …`, typed as an auditor types it."""

from __future__ import annotations

import json
import re
import shutil
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from ivr.cli import who
from ivr.config import Settings
from tests.unit.cli_kit import Cli, trail
from tests.unit.database_kit import directly, rows, settings_in, without_protection

GOOD = "The trail is as it was written."


def change(settings: Settings, *statements: str) -> None:
    with directly(settings) as connection:
        without_protection(connection)
        for statement in statements:
            connection.execute(statement)


def test_audit_verify(cli: Cli, made: Settings) -> None:
    ended = cli("audit", "verify")
    ((head,),) = rows(made, "SELECT hash FROM audit WHERE seq = 2")
    assert ended.code == 0
    assert re.fullmatch(f"cli: 2 rows, head {head}, signed [0-9]+ s ago\n{GOOD}\n", ended.out)


def test_looking_and_verifying_with_a_public_key_needs_no_keys(cli: Cli, made: Settings) -> None:
    public = cli("audit", "key").out.strip()
    shutil.rmtree(made.path(Path("keys")))
    assert cli("audit", "verify", "--key", public).code == 0
    for command in (("audit", "show"), ("audit", "heads")):
        assert cli(*command).code == 0
    ended = cli("audit", "verify")
    assert (ended.code, "audit.key is missing" in ended.err) == (2, True)
    assert "is no public key" in cli("audit", "verify", "--key", "tillit").err


def test_audit_verify_names_the_first_bad_row(cli: Cli, made: Settings) -> None:
    with directly(made) as connection:
        without_protection(connection)
        connection.execute("UPDATE audit SET actor = 'nobody' WHERE seq = 2")
    ended = cli("audit", "verify")
    assert ended.code == 1
    assert ended.err == "audit: chain cli, row 2: changed: its hash is not that of what stands in it\n"
    assert "as it was written" not in ended.out


def test_audit_show(cli: Cli, made: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(who, "person", lambda: who.Person("[red]anna\x1b", "root", ""))
    cli("customer", "lock", "10001")
    header, *lines = cli("audit", "show").out.splitlines()
    assert header.split() == ["at", "chain", "seq", "actor", "action", "outcome", "call", "subject", "detail"]
    assert [line.split()[4] for line in lines] == ["init", "customer.add", "customer.lock"]
    assert "cli:[red]anna�/" in lines[2]
    assert len(cli("audit", "show", "--last", "1").out.splitlines()) == 2
    assert len(cli("audit", "show", "--call", "17").out.splitlines()) == 1


def test_audit_show_as_json(cli: Cli, made: Settings) -> None:
    ((ref,),) = rows(made, "SELECT ref FROM customers")
    (line,) = cli("audit", "show", "--json", "--customer", ref).out.splitlines()
    row = json.loads(line)
    detail = '{"pin":"set","tenant":"main"}'
    assert (row["seq"], row["action"], row["subject"], row["detail"]) == (2, "customer.add", ref, detail)
    assert len(row["hash"]) == 64


def test_rows_cut_off_are_named(cli: Cli, made: Settings) -> None:
    change(made, "DELETE FROM audit WHERE seq = 2")
    ended = cli("audit", "verify")
    assert ended.code == 1
    assert ended.err.startswith("audit: chain cli, row 2: missing: cut at the end; the head signed at 2")
    assert ended.err.endswith(" tells of row 2\n")


def test_a_former_state_is_found_by_heads_kept_elsewhere(cli: Cli, made: Settings, tmp_path: Path) -> None:
    before = (tmp_path / "tillit.db").read_bytes()
    assert cli("customer", "lock", "10001").code == 0
    (tmp_path / "kept.jsonl").write_text(cli("audit", "heads").out)
    assert cli("audit", "export", "--out", "export.jsonl").code == 0
    for file in tmp_path.glob("tillit.db*"):
        file.unlink()
    (tmp_path / "tillit.db").write_bytes(before)
    # nothing in it shows that it is of yesterday, but for its age
    assert cli("audit", "verify").code == 0
    for kept, last in (("kept.jsonl", 3), ("export.jsonl", 4)):
        ended = cli("audit", "verify", "--heads", kept)
        assert ended.code == 1
        assert ended.err.startswith("audit: chain cli, row 3: missing: cut at the end")
        assert f"tells of row {last}" in ended.err
    assert "tillit.toml: line 1: is no line of an export" in cli("audit", "verify", "--heads", "tillit.toml").err
    for text in ('{"heads":[5]}', '{"heads":5}', "{}"):
        (tmp_path / "none.jsonl").write_text(text)
        ended = cli("audit", "verify", "--heads", "none.jsonl")
        assert (ended.code, "none.jsonl: holds no heads: give a file that" in ended.err) == (2, True), text


class Later(datetime):
    """The clock, two hours later."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Later:
        return super().now(tz) + timedelta(hours=2)


def test_heads_that_are_too_old(cli: Cli, made: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("audit", "verify", "--signed-within", "3600").code == 0
    monkeypatch.setattr("ivr.cli.audit.datetime", Later)
    ended = cli("audit", "verify", "--signed-within", "3600")
    assert (ended.code, ended.err.startswith("audit: no head was signed in the last 3600 s")) == (1, True)


def test_a_trail_that_is_gone_altogether_is_no_good_one(cli: Cli, made: Settings) -> None:
    change(made, "DELETE FROM audit", "DELETE FROM audit_heads")
    ended = cli("audit", "verify")
    assert (ended.code, ended.err) == (1, "audit: there is no row at all, and no head: the whole trail is gone\n")


def test_a_chain_that_was_cut_is_not_gone_on_with_until_it_is_accepted(cli: Cli, made: Settings) -> None:
    change(made, "DELETE FROM audit WHERE seq = 2")
    ended = cli("customer", "lock", "10001")
    assert (ended.code, "audit accept cli" in ended.err) == (2, True)
    assert cli("audit", "accept", "cli").out == "Chain cli goes on\n"
    assert cli("customer", "lock", "10001").code == 0
    assert [action for _, action, _ in trail(made)] == ["init", "audit.accept", "customer.lock"]
    assert cli("audit", "verify").code == 0
    assert cli("audit", "accept", "cli").err == "audit: chain cli ends as it was left: nothing has to be accepted\n"
    assert cli("audit", "accept", "x").err == "audit: there is no chain x\n"


def test_a_lost_audit_key_is_not_replaced_in_silence(cli: Cli, made: Settings, tmp_path: Path) -> None:
    public = cli("audit", "key").out.strip()
    made.path(Path("keys/audit.key")).unlink()
    ended = cli("init")
    assert (ended.code, "the audit trail is signed with it" in ended.err) == (2, True)
    settings_in(tmp_path, f'[keys]\naudit_former = ["{public}"]\n')
    assert cli("init").code == 0
    assert cli("customer", "lock", "10001").code == 0
    assert cli("audit", "verify").code == 0
    settings_in(tmp_path, '[keys]\naudit_former = ["x"]\n')
    assert "[keys] audit_former: is no public key" in cli("audit", "verify").err


@pytest.mark.parametrize(
    ("options", "found"),
    [
        # that the number was looked up is told of, and shown at once
        (("--customer", "10001"), ["customer.add", "customer.show"]),
        (("--customer", "of-nobody"), []),
        (("--actor", "cli:"), ["init", "customer.add"]),
        (("--agent", "PJSIP/anna"), []),
        (("--call", "17"), []),
        (("--since", "1h"), ["init", "customer.add"]),
        (("--since", "2999-01-01"), []),
        (("--until", "2020-01-01T10:00"), []),
        (("--since", "2020-01-01", "--until", "2999-01-01T00:00:00+02:00"), ["init", "customer.add"]),
    ],
)
def test_audit_show_filters(cli: Cli, made: Settings, options: tuple[str, ...], found: list[str]) -> None:
    ended = cli("audit", "show", "--json", *options)
    assert ended.code == 0
    assert [json.loads(line)["action"] for line in ended.out.splitlines()] == found


@pytest.mark.parametrize("text", ["yesterday", "5", "999999d"])
def test_what_is_no_time(cli: Cli, made: Settings, text: str) -> None:
    ended = cli("audit", "show", "--since", text)
    assert (ended.code, ended.err.startswith("--since: is no time: write 2026-11-22")) == (2, True)


# ---------------------------------------------------------------- exports


@pytest.fixture
def exported(cli: Cli, made: Settings, tmp_path: Path) -> list[str]:
    """The lines of an export: the first, three rows, the last."""
    assert cli("audit", "export", "--out", "export.jsonl").code == 0
    file = tmp_path / "export.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    return file.read_text().splitlines()


def checked(cli: Cli, tmp_path: Path, lines: list[str], *more: str) -> tuple[int, str]:
    (tmp_path / "other.jsonl").write_text("".join(f"{line}\n" for line in lines))
    ended = cli("audit", "verify", "--export", "other.jsonl", *more)
    assert (GOOD in ended.out) == (ended.code == 0)
    return ended.code, ended.err


def test_an_export_is_verified_without_database_settings_or_keys(
    cli: Cli, exported: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = cli("audit", "key").out.strip()
    assert len(exported) == 5
    assert [json.loads(line)["row"]["action"] for line in exported[1:-1]] == ["init", "customer.add", "audit.export"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert checked(cli, elsewhere, exported, "--key", public) == (0, "")
    ended = cli("audit", "verify", "--export", "other.jsonl")
    assert (ended.code, public in ended.out) == (0, True)


def test_each_fault_of_an_export_is_named(cli: Cli, exported: list[str], tmp_path: Path) -> None:
    public = cli("audit", "key").out.strip()
    first, *between, last = exported
    chain = "audit: chain cli, row"

    def changed(line: str, field: str) -> str:
        value = json.loads(line)
        value["row"][field] = 9 if field == "seq" else "x"
        return json.dumps(value)

    for field in json.loads(between[1])["row"]:
        code, said = checked(cli, tmp_path, [first, between[0], changed(between[1], field), between[2], last])
        assert code == 1, field
        assert field == "chain" or f"{chain} 2" in said, (field, said)
    assert f"{chain} 2: missing" in checked(cli, tmp_path, [first, between[0], between[2], last])[1]
    assert f"{chain} 3: missing: cut at the end" in checked(cli, tmp_path, [first, *between[:2], last])[1]
    assert f"{chain} 1: missing: the whole chain is gone" in checked(cli, tmp_path, [first, last])[1]
    assert f"{chain} 2:" in checked(cli, tmp_path, [first, between[0], between[0], *between[1:], last])[1]
    assert f"{chain} 1:" in checked(cli, tmp_path, [first, between[1], between[0], between[2], last])[1]
    for lines, said in (
        ([first, *between], "line 4: the export is cut off behind it"),
        ([first], "line 1: the export is cut off behind it"),
        ([first, *between, last, last], "stands behind the end"),
        ([], "line 1: is no export"),
        (between, "line 1: is no export"),
        (["rubbish"], "line 1: is no line of an export"),
        ([first, *between, last.replace('"rows":3', '"rows":4')], "is not signed"),
        ([json.dumps({**json.loads(first), "heads": [{}]}), *between, last], "or was changed"),
    ):
        code, error = checked(cli, tmp_path, lines)
        assert (code, said in error) == (2, True), (said, error)
    # all of it made anew with a key of the attacker's: only the key tells
    other = tmp_path / "attacker"
    other.mkdir()
    settings_in(other)
    assert cli("--config", "attacker/tillit.toml", "init").code == 0
    assert cli("--config", "attacker/tillit.toml", "audit", "export", "--out", "attacker.jsonl").code == 0
    forged = (tmp_path / "attacker.jsonl").read_text().splitlines()
    assert checked(cli, tmp_path, forged)[0] == 0
    assert checked(cli, tmp_path, forged, "--key", public)[0] != 0


def test_an_export_does_not_take_a_file_that_is_there(cli: Cli, exported: list[str]) -> None:
    ended = cli("audit", "export", "--out", "export.jsonl")
    assert (ended.code, "export.jsonl: cannot be written (File exists)" in ended.err) == (2, True)
