"""`customer import`: a whole file checked, then hashed and encrypted, then written in one transaction."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from rich.progress import Progress, TaskID

from ivr.cli.bars import bars
from ivr.cli.fields import FieldError, Fields
from ivr.cli.office import Office, Refused
from ivr.cli.table import Line, lines
from ivr.errors import InputError
from ivr.secret import Personal, Secret
from ivr.staff import TENANT
from ivr.store.register import NewCustomer, Sealed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """A row that was found good, its PIN not hashed yet."""

    line: int
    customer: NewCustomer
    pin: Secret | None


@dataclass(frozen=True, slots=True)
class Imported:
    """How many customers were added, how many of them with a PIN, and by their lines why which of them get no texts."""

    customers: int
    pins: int
    no_text: Mapping[int, str] = field(default_factory=dict)


async def import_file(office: Office, file: Path, tenant: str = TENANT) -> Imported:
    """Add every customer of the file to this tenant's; raises `InputError` that names every fault, and adds none."""
    with bars() as progress:
        rows = await _checked(office, file, tenant, progress, progress.add_task("Checking", total=_size(file)))
        rows = [replace(row, customer=replace(row.customer, tenant=tenant)) for row in rows]
        sealed = await _sealed(office, rows, progress, progress.add_task("Hashing PINs", total=len(rows)))
        progress.add_task("Writing", total=None)
        async with office.act() as act:
            await act.tell("customer.import", [one.ref for one in sealed], tenant=tenant)
            if not await office.register.add(act.connection, sealed):
                raise InputError(
                    f"{file}: one of the numbers was given to another customer just now. Nothing was imported"
                )
    fields = Fields(office.settings)
    no_text = {row.line: why for row in rows if (why := fields.no_text(row.customer.phones)) is not None}
    return Imported(len(rows), sum(row.pin is not None for row in rows), no_text)


def _size(file: Path) -> int | None:
    """Bytes, where that can be told; why it cannot be read is found out when it is."""
    try:
        return file.stat().st_size
    except OSError:
        return None


async def _checked(office: Office, file: Path, tenant: str, progress: Progress, task: TaskID) -> list[Row]:
    """Every row, all of them good; raises `InputError` with every fault of every row."""
    fields = Fields(office.settings)
    index = office.vault.index.customer_number
    rows: list[Row] = []
    faults: dict[int, list[str]] = {}
    # The line where each number stands first, by its index: the number itself is no key of a dictionary.
    first: dict[str, int] = {}

    for line in lines(file, progress=lambda read: progress.update(task, completed=read)):
        check = _Check()
        row, number = _row(fields, line, check)
        if number is not None:
            before = first.setdefault(index(number), line.line)
            if before != line.line:
                check.wrong.append(f"number: stands in line {before} as well. Leave one of the two out")
        if check.wrong:
            faults[line.line] = check.wrong
        elif row is not None:
            rows.append(row)

    async with office.database.read() as connection:
        taken = await office.register.taken(connection, list(first), tenant)
    for index_ in taken:
        faults.setdefault(first[index_], []).append(f"number: another customer of {tenant} has it. Leave the row out")
    if taken:
        refused = Refused(_told(file, faults), "customer.import", "taken", tenant=tenant)
        await office.note(refused)
        raise refused
    if faults:
        raise InputError(_told(file, faults))
    if not rows:
        raise InputError(f"{file}: has no customers: nothing stands below its first line")
    return rows


class _Check:
    """Collects what is wrong with a row, field by field."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def field(self, check: Callable[[], T]) -> T | None:
        """What the check gives; None where it finds fault."""
        try:
            return check()
        except FieldError as error:
            self.wrong.append(str(error))
            return None


def _row(fields: Fields, line: Line, check: _Check) -> tuple[Row | None, Personal | None]:
    """The row where nothing is wrong with it, and its number where that is good."""
    if line.problem is not None:
        check.wrong.append(f"{line.problem}. Put a value that holds a comma into double quotes")
        return None, None
    values = {column: value.strip() for column, value in line.values.items()}
    number = check.field(lambda: fields.number(values["number"]))
    name = check.field(lambda: fields.name(values["name"]))
    phones = check.field(lambda: fields.phones(text for text in values["phones"].split(";") if text.strip()))
    language = check.field(lambda: fields.language(values["language"]))
    policy = check.field(lambda: fields.policy(values["policy"]))
    pin = Secret(values["pin"]) if values["pin"] else None
    if pin is not None:
        check.field(lambda: fields.pin(pin, number=number, phones=phones or ()))
    if number is None or name is None or phones is None:
        return None, number
    return Row(line.line, NewCustomer(number, name, phones, None, language, policy), pin), number


def _told(file: Path, faults: Mapping[int, Sequence[str]]) -> str:
    """Every fault on a line of its own, in the order of the file."""
    told = [f"{file}: line {line}: {fault}" for line in sorted(faults) for fault in faults[line]]
    return "\n".join(
        [*told, f"Nothing was imported: {len(faults)} of the rows {'is' if len(faults) == 1 else 'are'} wrong"]
    )


async def _sealed(office: Office, rows: Sequence[Row], progress: Progress, task: TaskID) -> list[Sealed]:
    """Hashed and encrypted, in the order of the rows. A tenth of a second or so each, on every processor at once."""
    sealed: list[Sealed | None] = [None] * len(rows)

    async def work(left: Iterator[tuple[int, Row]]) -> None:
        for place, row in left:
            pin = None if row.pin is None else await office.vault.pins.make(row.pin)
            sealed[place] = office.register.seal(replace(row.customer, pin=pin))
            progress.advance(task)

    # Workers that share one iterator: as many rows are under way as there are processors, however long the file.
    left = iter(enumerate(rows))
    async with asyncio.TaskGroup() as group:
        for _ in range(os.cpu_count() or 1):
            group.create_task(work(left))
    return [one for one in sealed if one is not None]
