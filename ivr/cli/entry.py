"""A PIN, or a code, as an administrator gives it: never on the command line, where every user of the machine could read it."""

from __future__ import annotations

import getpass
import sys

from ivr.errors import InputError
from ivr.secret import Secret

# More than any PIN, so that a file given by mistake is not read whole.
_MOST = 64


def ask() -> Secret:
    """Ask twice at the terminal, without echo. Raises `InputError` where there is none, or the two differ."""
    if not sys.stdin.isatty():
        raise InputError(
            "pin: there is no terminal to ask at. Give it with --pin-stdin, on the first line of the standard input"
        )
    first = Secret(getpass.getpass("PIN: ", stream=sys.stderr))
    if first != Secret(getpass.getpass("The same again: ", stream=sys.stderr)):
        raise InputError("pin: the two are not the same. Nothing was done")
    return first


def read() -> Secret:
    """The first line of the standard input."""
    # Characters that are no text become ones that are no digits, and are refused as such.
    return Secret(sys.stdin.buffer.readline(_MOST).decode("ascii", errors="replace").rstrip("\r\n"))


def code() -> Secret:
    """Ask once for the digits that an app shows; the next line of the standard input where there is no terminal."""
    if not sys.stdin.isatty():
        return read()
    return Secret(getpass.getpass("Code that the app shows: ", stream=sys.stderr))
