"""The commands about customers, typed as an administrator types them."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from ivr.config import Settings
from tests.unit.cli_kit import Cli, trail
from tests.unit.database_kit import directly, rows

ROOT = Path(__file__).parents[2]


# ---------------------------------------------------------------- add, show


def test_show_masks_and_writes_a_row(cli: Cli, made: Settings) -> None:
    ended = cli("customer", "show", "10001")
    (ref,) = rows(made, "SELECT ref FROM customers")[0]
    assert ended.out.splitlines() == [
        f"reference  {ref}", "number     1…", "name       A…", "phones     +46…67, +46…78", "mail       none",
        "PIN        set", "browsers   none", "app        none", "language   en", "policy     support", "locked     no",
        "tenant     main",
    ]  # fmt: skip
    assert [action for _, action, _ in trail(made)] == ["init", "customer.add", "customer.show"]
    # nothing of the customer is in any row
    assert not [row for row in rows(made, "SELECT * FROM audit") if "nna" in str(row) or "10001" in str(row)]


def test_show_reveals_and_writes_a_row(cli: Cli, made: Settings) -> None:
    ended = cli("customer", "show", "10001", "--reveal")
    lines = dict(line.split(maxsplit=1) for line in ended.out.splitlines())
    assert (lines["number"], lines["name"], lines["phones"]) == ("10001", "Anna Åkesson", "+46701234567, +46812345678")
    assert trail(made)[-1] == ("cli", "customer.reveal", "done")
    assert rows(made, "SELECT subject FROM audit ORDER BY seq DESC LIMIT 1") == [(lines["reference"],)]


def test_no_row_no_act(cli: Cli, made: Settings) -> None:
    """Where the trail cannot be written, nothing is shown, changed or removed."""
    with directly(made) as connection:
        connection.execute("CREATE TRIGGER broken BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END")
    before = rows(made, "SELECT * FROM customers")
    for command in (
        ("show", "10001", "--reveal"), ("lock", "10001"), ("remove", "10001", "--yes"),
        ("set-pin", "10001", "--pin-stdin"), ("add", "10002", "--name", "B", "--pin-stdin"),
    ):  # fmt: skip
        ended = cli("customer", *command, stdin="9753\n")
        assert (ended.code, ended.out) == (1, "")
        assert ended.err == "database: SQLITE_CONSTRAINT_TRIGGER\n"
    assert rows(made, "SELECT * FROM customers") == before


def test_a_customer_with_the_least(cli: Cli, made: Settings) -> None:
    assert cli("customer", "add", "10002", "--name", "Bo", "--no-pin").code == 0
    lines = dict(line.split(maxsplit=1) for line in cli("customer", "show", "10002").out.splitlines())
    assert (lines["phones"], lines["PIN"], lines["language"]) == ("none", "none", "the channel's, or the company's")
    assert lines["policy"] == "the one that the dialplan names"


def test_the_name_is_asked_for(cli: Cli, made: Settings) -> None:
    assert cli("customer", "add", "10002", "--no-pin", stdin="Bo\n").code == 0
    assert "Bo" in cli("customer", "show", "10002", "--reveal").out


@pytest.mark.parametrize(
    ("arguments", "pin", "said"),
    [
        (["123"], "", "number: is not 4 to 12 digits. See [customer_number] in the settings"),
        (["1" * 13], "", "number: is not 4 to 12 digits"),
        (["12a4"], "", "number: is not 4 to 12 digits"),
        (["١٢٣٤"], "", "number: is not 4 to 12 digits"),
        (["20000", "--phone", "canary"], "", "phones: the first is no telephone number. Write it as +46"),
        (["20000", "--phone", "0701234567", "--phone", "+46701234567"], "", "phones: the second is there twice"),
        (["20000", *(f"--phone=08123456{end}" for end in range(10, 21))], "", "phones: there are more than 10"),
        (["20000", "--language", "xx"], "", "language: there are no prompts in it. Write one of: de, en, pl, sv"),
        (["20000", "--policy", "canary"], "", "policy: is not in the settings. Write one of: support; or leave it out"),
        (["10001"], "9753", "number: another customer of main has it. Nothing was done"),
        (["20000"], "", "pin: is not 4 to 8 digits. See [steps.pin] in the settings"),
        (["20000"], "123", "pin: is not 4 to 8 digits"),
        (["20000"], "975319753", "pin: is not 4 to 8 digits"),
        (["20000"], "97 53", "pin: is not 4 to 8 digits"),
        (["20000"], "٩٧٥٣", "pin: is not 4 to 8 digits"),
        (["20000"], "9999", "pin: is one digit over and over, or digits in a row. Choose another"),
        (["20000"], "23456", "pin: is one digit over and over, or digits in a row"),
        (["20000"], "87654", "pin: is one digit over and over, or digits in a row"),
        (["20000"], "7890", "pin: is one digit over and over, or digits in a row"),
        (["20000"], "2109", "pin: is one digit over and over, or digits in a row"),
        (["209753"], "9753", "pin: is part of the customer number. Choose another"),
        (["20000", "--phone", "0709753123"], "9753", "pin: is part of a telephone number. Choose another"),
        (["20000", "--phone", "0709753123"], "4670", "pin: is part of a telephone number. Choose another"),
        (["20000", "--phone", "0709753123"], "0709", "pin: is part of a telephone number. Choose another"),
    ],
)  # fmt: skip
def test_what_is_refused_is_named_and_not_shown(
    cli: Cli, made: Settings, arguments: list[str], pin: str, said: str
) -> None:
    before = trail(made)
    ended = cli("customer", "add", *arguments, "--name", "Canary", "--pin-stdin", stdin=f"{pin}\n")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(said)
    assert ended.err.count("\n") == 1
    assert "canary" not in ended.err.lower()
    assert not pin or pin not in ended.err
    assert rows(made, "SELECT count(*) FROM customers") == [(1,)]
    # that a number is a customer's is something to know
    assert trail(made) == before + [("cli", "customer.add", "taken")] * ("another customer" in said)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("  ", "name: is empty"),
        ("B" * 101, "name: has more than 100 characters"),
        ("B\x1b[31m", "name: has a character that cannot be shown"),
        ("B\nC", "name: has a character that cannot be shown"),
        ("B\u202eC", "name: has a character that cannot be shown"),
    ],
)
def test_names_that_are_refused(cli: Cli, made: Settings, name: str, said: str) -> None:
    ended = cli("customer", "add", "20000", "--name", name, "--no-pin")
    assert ended.code == 2
    assert ended.err.startswith(said)


def test_a_name_is_stored_in_one_form(cli: Cli, made: Settings) -> None:
    cli("customer", "add", "10002", "--name", " A\u030asa ", "--no-pin")
    assert "name       Åsa\n" in cli("customer", "show", "10002", "--reveal").out


def test_without_a_terminal_the_pin_is_not_guessed_at(cli: Cli, made: Settings) -> None:
    ended = cli("customer", "add", "20000", "--name", "B", stdin="9753\n9753\n")
    assert ended.code == 2
    assert ended.err.startswith("pin: there is no terminal to ask at. Give it with --pin-stdin")


def test_a_pin_is_no_option(cli: Cli, made: Settings) -> None:
    assert cli("customer", "add", "20000", "--name", "B", "--pin", "9753").code == 2
    assert cli("customer", "set-pin", "10001", "9753").code == 2


@pytest.mark.parametrize(("first", "again", "code"), [("9753", "9753", 0), ("9753", "9754", 2)])
def test_the_pin_is_asked_for_twice_without_echo(made: Settings, first: str, again: str, code: int) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, str(ROOT / "ari_app.py"), "customer", "set-pin", "10001"],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=made.file.parent, start_new_session=True,
    ) as command:  # fmt: skip
        os.close(theirs)
        said = b""
        for prompt, answer in ((b"PIN: ", first), (b"The same again: ", again)):
            while not said.endswith(prompt):
                said += os.read(ours, 1)
            os.write(ours, f"{answer}\n".encode())
        try:
            while more := os.read(ours, 1024):
                said += more
        except OSError:  # the other end is closed
            pass
    os.close(ours)
    assert command.returncode == code
    assert b"975" not in said
    assert (b"Set the PIN of customer" if code == 0 else b"pin: the two are not the same. Nothing was done") in said


# ---------------------------------------------------------------- import


def test_import_says_what_was_added_and_to_delete_the_file(cli: Cli, made: Settings) -> None:
    header = "number,name,phones,pin,language,policy\n"
    Path("good.csv").write_text(f"{header}20000,Bo,,2580,,\n")
    ended = cli("customer", "import", "good.csv")
    assert (ended.code, ended.out) == (0, "Added 1 customer, 1 with a PIN\n")
    assert ended.err == "good.csv still holds the PINs in clear: delete it.\n"
    Path("more.csv").write_text(f"{header}20001,Bo,,,,\n20002,Bo,,,,\n")
    ended = cli("customer", "import", "more.csv")
    assert (ended.code, ended.out, ended.err) == (0, "Added 2 customers, 0 with a PIN\n", "")


def test_an_administrator_hears_of_customers_who_get_no_texts(cli: Cli, made: Settings) -> None:
    ended = cli("customer", "add", "10002", "--name", "Bo", "--phone", "+4520123456", "--no-pin")
    assert (ended.code, ended.err) == (
        0,
        "No text goes to the first telephone number: it is a number of DK, and texts go to SE ([texts] countries)\n",
    )
    # the second number gets no texts anyway
    file = made.file.parent / "more.csv"
    header = "number,name,phones,pin,language,policy\n"
    file.write_text(f"{header}10003,C,+46701234568;+4520123456,,,\n10004,D,0900-123 456,,,\n10005,E,,,,\n")
    ended = cli("customer", "import", "more.csv")
    assert (ended.code, ended.out) == (0, "Added 3 customers, 0 with a PIN\n")
    assert ended.err.splitlines() == [
        "more.csv: line 3: no text goes to the first telephone number: "
        "it is of a kind that no text goes to (premium rate)"
    ]


def test_many_who_get_no_texts_are_counted(cli: Cli, made: Settings) -> None:
    file = made.file.parent / "more.csv"
    rows = [f"{20000 + n},X,+45201234{n:02},,,\n" for n in range(25)]
    file.write_text("number,name,phones,pin,language,policy\n" + "".join(rows))
    told = cli("customer", "import", "more.csv").err.splitlines()
    assert len(told) == 21
    assert told[-1] == "more.csv: and 5 more to whom no text goes"


def test_import_of_a_wrong_file_ends_with_2(cli: Cli, made: Settings) -> None:
    Path("bad.csv").write_text("number,name,phones,pin,language,policy\n10001,Canary,,9753,,\n")
    ended = cli("customer", "import", "bad.csv")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "bad.csv: line 2: number: another customer of main has it. Leave the row out\n"
        "Nothing was imported: 1 of the rows is wrong\n"
    )


# ---------------------------------------------------------------- set-pin, lock, remove


def test_set_pin(cli: Cli, made: Settings) -> None:
    before = rows(made, "SELECT pin FROM customers")
    ended = cli("customer", "set-pin", "10001", "--pin-stdin", stdin="9753\r\n")
    assert (ended.code, ended.err) == (0, "")
    assert rows(made, "SELECT pin FROM customers") != before
    assert trail(made)[-1] == ("cli", "customer.set_pin", "done")


@pytest.mark.parametrize("pin", ["0812", "1234", "4567"])
def test_set_pin_knows_the_customers_numbers(cli: Cli, made: Settings, pin: str) -> None:
    ended = cli("customer", "set-pin", "10001", "--pin-stdin", stdin=pin)
    assert ended.code == 2
    assert ended.err.startswith("pin: is")


def test_lock(cli: Cli, made: Settings) -> None:
    """Unlocking needs Redis: `tests/contract/test_cli_unlock.py`."""
    assert cli("customer", "lock", "10001").code == 0
    assert trail(made)[-1] == ("cli", "customer.lock", "done")
    assert "locked     yes" in cli("customer", "show", "10001").out


def test_remove(cli: Cli, made: Settings) -> None:
    assert cli("customer", "remove", "10001", stdin="n\n").code == 1
    assert cli("customer", "remove", "10001", stdin="").code == 1
    assert rows(made, "SELECT count(*) FROM customers") == [(1,)]
    ended = cli("customer", "remove", "10001", stdin="y\n")
    assert ended.code == 0
    assert "Anna" not in ended.out + ended.err
    assert rows(made, "SELECT count(*) FROM customers") == rows(made, "SELECT count(*) FROM phones") == [(0,)]
    assert trail(made)[-1] == ("cli", "customer.remove", "done")


def test_the_rows_of_a_customer_name_the_tenant(cli: Cli, made: Settings) -> None:
    for command in (
        ["show", "10001", "--reveal"], ["lock", "10001"], ["export", "10001"],
        ["show", "77", "--tenant", "north"], ["remove", "10001", "--yes"],
    ):  # fmt: skip
        cli("customer", *command)
    found = rows(made, "SELECT action, outcome, detail FROM audit WHERE action LIKE 'customer.%' ORDER BY seq")
    assert [(action, outcome, orjson.loads(detail)["tenant"]) for action, outcome, detail in found][1:] == [
        ("customer.reveal", "done", "main"), ("customer.lock", "done", "main"), ("customer.export", "done", "main"),
        ("customer.show", "unknown", "north"), ("customer.remove", "done", "main"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "command", [["show"], ["show", "--reveal"], ["lock"], ["remove", "--yes"], ["set-pin", "--pin-stdin"]]
)
def test_a_customer_who_is_not_there(cli: Cli, made: Settings, command: list[str]) -> None:
    before = trail(made)
    ended = cli("customer", *command, "99999", stdin="9753\n")
    assert (ended.code, ended.out, ended.err) == (2, "", "number: no customer has it. Nothing was done\n")
    assert [outcome for *_, outcome in trail(made)[len(before) :]] == ["unknown"]


def test_a_changed_customer_is_told_without_a_traceback(cli: Cli, made: Settings) -> None:
    with directly(made) as connection:
        connection.execute("UPDATE customers SET name = x'00'")
    ended = cli("customer", "show", "10001")
    assert ended.code == 1
    assert ended.err.endswith(": the encrypted name was changed\n")
    assert ended.err.count("\n") == 1


def test_another_sim(cli: Cli, made: Settings) -> None:
    """The mail address that is on record and the other number are owed a notice, once."""
    assert cli("customer", "mail", "set", "10001", "anna@example.com").code == 0
    ended = cli("customer", "replace-sim", "10001", "070-123 45 67")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("No code and no proof goes to this number of customer ")
    assert rows(made, "SELECT count(*) FROM customer_notices") == [(2,)]
    assert "cooling    no code goes to the first one before" in cli("customer", "show", "10001").out
    ((detail,),) = rows(made, "SELECT detail FROM audit WHERE action = 'customer.replace_sim'")
    assert detail == '{"phone":"+46…67","tenant":"main"}'
    again = cli("customer", "replace-sim", "10001", "+46701234567")
    assert (again.code, "It was said a moment ago: nobody is told again" in again.out) == (0, True)
    assert rows(made, "SELECT count(*) FROM customer_notices") == [(2,)]
    assert cli("audit", "verify").code == 0


def test_another_sim_of_nobody_else_to_be_told(cli: Cli, made: Settings) -> None:
    assert cli("customer", "add", "10002", "--name", "Bo", "--phone", "0701740602", "--no-pin").code == 0
    ended = cli("customer", "replace-sim", "10002", "0701740602")
    assert ended.code == 0
    assert ended.err == "The customer has no other number and no mail address on record: nobody is told of it\n"
    assert rows(made, "SELECT count(*) FROM customer_notices") == [(0,)]


def test_another_sim_of_a_number_that_is_not_on_record(cli: Cli, made: Settings) -> None:
    ended = cli("customer", "replace-sim", "10001", "0709999999")
    assert (ended.code, ended.err) == (2, "phone: the customer has none like it. Nothing was done\n")
    assert trail(made)[-1] == ("cli", "customer.replace_sim", "none")
    assert rows(made, "SELECT DISTINCT since FROM phones") == [(0,)]
