"""`customer import`: every fault of every row is named, and a file is taken whole or not at all."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ivr.cli.importing import Imported, import_file
from ivr.cli.initialise import _initialise
from ivr.cli.office import Act, opened
from ivr.cli.table import COLUMNS, lines
from ivr.config import Settings, load
from ivr.errors import InputError, StoreError
from ivr.secret import Secret
from ivr.store.customers import Customers
from tests.unit.cli_kit import trail
from tests.unit.database_kit import directly, rows, settings_in

HEADER = ",".join(COLUMNS)

MANY = 20 * (os.cpu_count() or 1)
"""PINs that keep every processor busy for half a second: each takes one of them 25 ms, at the least cost."""


@pytest.fixture(scope="session")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new system, made once."""
    folder = tmp_path_factory.mktemp("pattern")
    asyncio.run(_initialise(settings_in(folder)))
    return folder


@pytest.fixture
def system(pattern: Path, tmp_path: Path) -> Settings:
    """A copy of it, for one test."""
    shutil.copytree(pattern, tmp_path, dirs_exist_ok=True)
    return load(tmp_path / "tillit.toml")


def run(system: Settings, content: str | bytes, *, name: str = "customers.csv") -> Imported:
    file = system.file.parent / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())

    async def importing() -> Imported:
        async with opened(system) as office:
            return await import_file(office, file)

    return asyncio.run(importing())


def refused(system: Settings, content: str | bytes) -> list[str]:
    """What is said of each line, without the file's name; nothing is in the database then, but that a number was asked for."""
    before = trail(system)
    with pytest.raises(InputError) as caught:
        run(system, content)
    taken = "another customer of main has it. Leave the row out" in str(caught.value)
    assert trail(system) == before + [("cli", "customer.import", "taken")] * taken
    return [line.removeprefix(f"{system.file.parent}/customers.csv: ") for line in str(caught.value).splitlines()]


def test_a_file_is_imported(system: Settings) -> None:
    added = run(
        system,
        f'{HEADER}\n10001,Anna Åkesson,070-123 45 67;+46812345678,2580,en,support\n\n"10002","Bo, the other",,,,\n',
    )
    assert added == Imported(customers=2, pins=1)

    async def found() -> None:
        async with opened(system) as office:
            customers = await Customers.open(office.database, office.vault)
            anna, bo = [await customers.by_number(Secret(number)) for number in ("10001", "10002")]
            assert anna.name is not None and anna.name.reveal() == "Anna Åkesson"
            assert anna.mobile is not None and anna.mobile.reveal() == "+46701234567"
            assert (anna.language, anna.policy) == ("en", "support")
            assert await office.vault.pins.matches(Secret("2580"), anna.pin)
            assert bo.name is not None and bo.name.reveal() == "Bo, the other"
            assert (bo.mobile, bo.pin, bo.language, bo.policy) == (None, None, None, None)

    asyncio.run(found())
    assert rows(system, "SELECT action FROM audit ORDER BY seq") == [
        ("init",),
        ("customer.import",),
        ("customer.import",),
    ]
    assert set(rows(system, "SELECT subject FROM audit WHERE seq > 1")) == set(
        rows(system, "SELECT ref FROM customers")
    )


@pytest.mark.parametrize(
    "content",
    [
        f"\ufeff{HEADER}\n10001,Anna,,,,\n",
        f"{HEADER}\r\n10001,Anna,,,,\r\n",
        f"{HEADER}\n10001,Anna,,,,",
        "Policy, LANGUAGE ,pin,phones,name,number\n,,,,Anna,10001\n",
        f'{HEADER}\n 10001 , Anna ," ; ",,,\n,,,,,\n',
    ],
)
def test_ways_of_writing_the_same(system: Settings, content: str) -> None:
    assert run(system, content) == Imported(1, 0)


def test_every_fault_of_every_row_is_named(system: Settings) -> None:
    run(system, f"{HEADER}\n10001,Anna,,,,\n")
    assert refused(
        system,
        f"{HEADER}\n"
        "10001,Anna,,,,\n"  # 2
        "20000,Good,,,,\n"  # 3
        "canary,,canary,1111,xx,canary\n"  # 4
        '30000,"two\nlines",,,,\n'  # 5, 6
        "20000,Again,,,,\n"  # 7
        "40000,short\n"  # 8
        "50000,Pin,0709753123,9753,,\n"  # 9
        "20000,Third,,,,\n",  # 10
    ) == [
        "line 2: number: another customer of main has it. Leave the row out",
        "line 4: number: is not 4 to 12 digits. See [customer_number] in the settings",
        "line 4: name: is empty. Write the name that agents shall see",
        "line 4: phones: the first is no telephone number. Write it as +46701234567, or as it is dialled in SE",
        "line 4: language: there are no prompts in it. Write one of: de, en, pl, sv; or leave it out",
        "line 4: policy: is not in the settings. Write one of: support; or leave it out",
        "line 4: pin: is one digit over and over, or digits in a row. Choose another",
        "line 5: name: has a character that cannot be shown. Write it in letters, digits and punctuation",
        "line 7: number: stands in line 3 as well. Leave one of the two out",
        "line 8: has 2 columns, the first line has 6. Put a value that holds a comma into double quotes",
        "line 9: pin: is part of a telephone number. Choose another",
        "line 10: number: stands in line 3 as well. Leave one of the two out",
        "Nothing was imported: 7 of the rows are wrong",
    ]
    assert rows(system, "SELECT count(*) FROM customers") == [(1,)]


CURE = "Save it as CSV in UTF-8, with commas between the columns"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xef\xbb\xbf", f"line 1: is empty. It is: {HEADER}"),
        (f"\n{HEADER}\n".encode(), f"line 1: is empty. It is: {HEADER}"),
        (b"", f"is empty. Its first line is: {HEADER}"),
        (f"{HEADER}\n".encode(), "has no customers: nothing stands below its first line"),
        (f"{HEADER}\n\n\n".encode(), "has no customers: nothing stands below its first line"),
        (b"number,name,phones,pin,language\n", f"line 1: lacks the column policy. It is: {HEADER}"),
        (b"10001,Canary,,,,\n", f"line 1: lacks the column number. It is: {HEADER}"),
        (HEADER.replace(",", ";").encode(), f"line 1: lacks the column number. It is: {HEADER}"),
        (f"{HEADER},canary\n".encode(), f"line 1: column 7 is unknown. It is: {HEADER}"),
        (f"{HEADER},pin\n".encode(), f"line 1: column 7 is there twice. It is: {HEADER}"),
        (f"{HEADER}\n10001,Anna,,,,\n".encode("utf-16"), f"is UTF-16. {CURE}"),
        (f"{HEADER}\n10001,Anna,,,,\n10002,Åsa,,,,\n".encode("latin-1"), f"line 3: is not UTF-8. {CURE}"),
        (f"{HEADER}\n10001,Can\0ary,,,,\n".encode(), f"line 2: has a NUL byte, so this is no text. {CURE}"),
        (f"{HEADER}\n10001,{'x' * 70000},,,,\n".encode(), f"line 2: is longer than 65536 bytes. {CURE}"),
        (f'{HEADER}\n10001,"Canary,,,,\n'.encode(), f"line 2: its quotes or line ends are not those of CSV. {CURE}"),
        (f'{HEADER}\n10001,"Can"ary,,,,\n'.encode(), f"line 2: its quotes or line ends are not those of CSV. {CURE}"),
        (f"{HEADER}\r10001,Canary,,,,\r".encode(), f"line 1: its quotes or line ends are not those of CSV. {CURE}"),
    ],
)
def test_what_is_no_such_table(system: Settings, content: bytes, said: str) -> None:
    assert refused(system, content) == [said]


def test_a_file_that_is_not_there(system: Settings) -> None:
    async def importing(file: Path) -> None:
        async with opened(system) as office:
            await import_file(office, file)

    for file, problem in ((Path("nowhere.csv"), "No such file or directory"), (system.file.parent, "Is a directory")):
        with pytest.raises(InputError, match=rf"cannot be read \({problem}\)\. Nothing was imported"):
            asyncio.run(importing(file))


@contextmanager
def hashing(system: Settings, content: str) -> Iterator[Future[Imported]]:
    """What the import comes to. Within this block it has begun to hash, and has half a second's work to do or more.

    Its threads tell: they are made with the first PIN.
    """
    many = "".join(f"{n},Many,,9753,,\n" for n in range(30000, 30000 + MANY))
    before = set(threading.enumerate())
    with ThreadPoolExecutor(1) as threads:
        importing = threads.submit(run, system, content + many)
        while not any(thread.name.startswith("pin") for thread in set(threading.enumerate()) - before):
            assert not importing.done(), importing.exception()
            time.sleep(0.001)
        yield importing


def test_a_number_taken_while_pins_are_hashed_imports_nothing(system: Settings) -> None:
    with hashing(system, f"{HEADER}\n10001,Anna,,,,\n10002,Bo,,,,\n") as importing:
        run(system, f"{HEADER}\n10002,Other,,,,\n", name="other.csv")
        with pytest.raises(InputError, match=r"was given to another customer just now\. Nothing was imported"):
            importing.result()
    assert rows(system, "SELECT count(*) FROM customers") == [(1,)]
    assert rows(system, "SELECT count(*) FROM audit WHERE action = 'customer.import'") == [(1,)]


def test_a_database_that_fails_in_the_middle_keeps_nothing(system: Settings) -> None:
    with directly(system) as connection:
        connection.execute(
            "CREATE TRIGGER broken BEFORE INSERT ON phones WHEN NEW.position = 1 BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    many = "".join(f"{10000 + number},Anna,+467012{10000 + number},,,\n" for number in range(600))
    with pytest.raises(StoreError):
        run(system, f"{HEADER}\n{many}20000,Last,+46812345678;+46812345679,,,\n")
    assert rows(system, "SELECT count(*) FROM customers") == [(0,)]
    assert rows(system, "SELECT count(*) FROM audit WHERE action = 'customer.import'") == [(0,)]


def test_no_transaction_is_open_while_pins_are_hashed(system: Settings) -> None:
    """A worker writes its audit trail meanwhile; it would wait for the whole import."""
    with hashing(system, f"{HEADER}\n10001,Anna,,2580,,\n") as importing:
        with directly(system) as connection:
            connection.execute("PRAGMA busy_timeout = 0")
            for _ in range(100):
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
        assert not importing.done()
        assert importing.result() == Imported(1 + MANY, 1 + MANY)


def test_rows_keep_their_pins(system: Settings) -> None:
    """They are hashed at the same time, and must not be mixed up."""
    pins = {str(20000 + number): f"{(number * 7919 + 1357) % 10000:04}" for number in range(16)}
    straight = {number for number, pin in pins.items() if pin in number or pin in ("1234", "4321")}
    pins = {number: pin for number, pin in pins.items() if number not in straight}
    run(system, f"{HEADER}\n" + "".join(f"{number},{number},,{pin},,\n" for number, pin in pins.items()))

    async def check() -> None:
        async with opened(system) as office:
            customers = Customers(office.database, office.vault)
            subjects = [await customers.by_number(Secret(number)) for number in pins]
            assert [subject.name and subject.name.reveal() for subject in subjects] == list(pins)
            matches = office.vault.pins.matches
            assert all(
                await asyncio.gather(
                    *(matches(Secret(pin), subject.pin) for pin, subject in zip(pins.values(), subjects, strict=True))
                )
            )

    asyncio.run(check())


def test_an_act_without_an_audit_row_cannot_be_finished(system: Settings) -> None:
    async def act_in_secret() -> None:
        async with opened(system) as office, office.act() as act:
            assert isinstance(act, Act)

    with pytest.raises(RuntimeError, match="without an audit row"):
        asyncio.run(act_in_secret())


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    content=st.one_of(
        st.binary(max_size=300),
        st.text(max_size=300).map(str.encode),
        st.lists(st.lists(st.text('a1,;"\n\r\0é', max_size=6), max_size=8), max_size=5).map(
            lambda table: f"{HEADER}\n".encode() + "\n".join(",".join(row) for row in table).encode()
        ),
    )
)
def test_any_rubbish_is_read_or_refused_and_never_shown(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "rubbish.csv"
    file.write_bytes(content)
    read: list[int] = []
    said = ""
    try:
        for line in lines(file, progress=read.append):
            assert (line.problem is None) == (set(line.values) == set(COLUMNS))
            assert repr(line) == f"<Line {line.line}>"
        assert sum(read[-1:]) == len(content)
    except InputError as error:
        said = str(error)
    assert said == "" or said.startswith(f"{file}: ")
    assert "\n" not in said
    assert read == sorted(read)
