"""Commands, typed as an administrator types them, in this process."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import pyotp
import pytest

from ivr.cli import main
from ivr.config import Settings
from tests.unit.database_kit import rows

ANNA = (
    "customer", "add", "10001", "--name", "Anna Åkesson", "--phone", "070-123 45 67", "--phone", "+46812345678",
    "--policy", "support", "--language", "en", "--pin-stdin",
)  # fmt: skip
"""Adds a customer; her PIN is 2580."""

_URI = re.compile(r"^otpauth://totp/\S+$", re.MULTILINE)


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


Cli = Callable[..., Ended]


def typed(*arguments: str, stdin: str | bytes | io.BytesIO = "") -> Ended:
    """Type a command in the folder where the process is."""
    if not isinstance(stdin, io.BytesIO):
        stdin = io.BytesIO(stdin if isinstance(stdin, bytes) else stdin.encode())
    code: object = 0
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(io.StringIO()) as out,
        redirect_stderr(io.StringIO()) as err,
    ):
        # so that no line is folded where a test looks for it
        patch.setenv("COLUMNS", "300")
        patch.setattr(sys, "argv", ["ari_app.py", *arguments])
        patch.setattr(sys, "stdin", io.TextIOWrapper(stdin))
        try:
            main()
        except SystemExit as exit_:
            code = exit_.code or 0
    assert isinstance(code, int)
    return Ended(code, out.getvalue(), err.getvalue())


def make_system() -> None:
    """A new system with one customer, Anna, by the settings in this folder."""
    assert typed("init").code == 0
    ended = typed(*ANNA, stdin="2580\n")
    assert (ended.code, ended.err) == (0, "")


def trail(settings: Settings) -> list[tuple[str, str, str]]:
    """What was written in the audit trail."""
    return rows(settings, "SELECT chain, action, outcome FROM audit ORDER BY seq")


class Phone(io.BytesIO):
    """A customer with an app, who tells the administrator what it shows: reads the key from what the command has printed."""

    def __init__(self, *tells: Callable[[str], str]) -> None:
        super().__init__()
        self._tells = list(tells)
        self.uri = ""

    def readline(self, size: int | None = -1, /) -> bytes:
        assert isinstance(sys.stdout, io.StringIO)
        [self.uri] = _URI.findall(sys.stdout.getvalue())
        if not self._tells:
            return b""
        return f"{self._tells.pop(0)(self.uri)}\n".encode()


def shows(uri: str) -> str:
    """What the app shows now."""
    app = pyotp.parse_uri(uri)
    assert isinstance(app, pyotp.TOTP)
    return app.now()
