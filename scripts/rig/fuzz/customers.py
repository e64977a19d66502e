"""`customers`: the CSV file that customers are imported from: read and checked row by row, before anything is written."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import ClassVar

from ivr.cli.fields import Fields
from ivr.cli.importing import _Check, _row, _told
from ivr.cli.table import COLUMNS, lines
from ivr.config import Settings
from ivr.errors import InputError
from rig.fuzz.case import Finding, memory, quiet
from rig.fuzz.source import Source

_PIN, _NAME = "58204719", "Canary Åkesson"
_VALUES = (
    "100200", _NAME, "+46701234567", "070-123 45 67;+46 8 123 456 78", _PIN, "sv", "main", "", "٣٤٥٦٧", "²²²²", '"a, b"', '"a\nb"', '"', '""', "a\rb",
    "1" * 400, "+" + "9" * 300, "tel:+46701234567;ext=1", "+1 (876) 555-0100 x12", "001", "+", "++46", "0046701234567", "1234", "1111",
    ";".join(f"+4670123{number:04}" for number in range(4000)), ";" * 40_000, "\ufeff", "A\u202eB", "x" * 65_536, "+800 1234 5678", "/46",
)  # fmt: skip


class Csv:
    """Implements `Target`."""

    name: ClassVar[str] = "customers"
    allowed: ClassVar[str] = (
        "`InputError` that names the file and the line, and faults of rows that do; never a name or a PIN; rows that count as good have good fields"
    )

    def __init__(self) -> None:
        self._settings = Settings.model_validate(
            {"company": {"name": "Acme", "country": "SE"}, "policies": {"main": {"steps": ["pin"], "level": 1}}}
        )
        self._fields = Fields(self._settings)
        self._folder = tempfile.TemporaryDirectory(dir=memory())
        self._file = Path(self._folder.name) / "customers.csv"

    def run(self, source: Source) -> int:
        self._file.write_bytes(self._text(source))
        faults = {}
        try:
            for line in lines(self._file, progress=lambda _: None):
                check = _Check()
                row, _ = _row(self._fields, line, check)
                if check.wrong:
                    faults[line.line] = check.wrong
                elif row is None:
                    raise Finding("a row that is neither good nor wrong")
                else:
                    self._good(row.customer.number.reveal(), [phone.reveal() for phone in row.customer.phones])
                    self._fields.no_text(row.customer.phones)
        except InputError as error:
            quiet(error, (_PIN, _NAME))
            if str(self._file) not in str(error):
                raise Finding("an error that does not name the file") from None
        quiet(_told(self._file, faults), (_PIN, _NAME))
        return 1

    @staticmethod
    def _good(number: str, phones: list[str]) -> None:
        if not number.isascii() or not number.isdecimal() or not 4 <= len(number) <= 12:
            raise Finding("a customer number that nobody can key")
        if not all(
            phone.startswith("+") and phone[1:].isascii() and phone[1:].isdecimal() and len(phone) < 20
            for phone in phones
        ):
            raise Finding("a telephone number that is none")

    def _text(self, source: Source) -> bytes:
        rows = [",".join(COLUMNS)] if not source.once_in(10) else [source.text(30)]
        for _ in range(source.below(5)):
            usual = ["100200", _NAME, "+46701234567", _PIN, "sv", "main"]
            for _ in range(source.below(4)):
                usual[source.below(6)] = source.pick(_VALUES) if not source.once_in(4) else source.text(30)
            if source.once_in(10):
                usual.append(source.text())
            rows.append(",".join(usual))
        data = source.pick(("\n", "\n", "\r\n", "\r")).join(rows).encode(errors="replace")
        if source.once_in(10):
            data = source.pick((b"\xff\xfe", b"\xef\xbb\xbf", b"\0")) + data
        if source.once_in(6):
            at = source.below(len(data) + 1)
            data = data[:at] + source.take(8) + data[at:]
        return data
