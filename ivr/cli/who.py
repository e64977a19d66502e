"""Who types a command: what the kernel knows of it. What stands in the environment, anybody can write there."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
"""Where Linux tells of processes, and who has logged in."""

# -1 in 32 bits: a service, or a container
_NO_LOGIN = "4294967295"
# Deeper than anybody types in.
_DEEP = 100
_ROOT = 0


@dataclass(frozen=True, slots=True)
class Person:
    """`name` types as `account`; `login` is the number of that person's login, empty where the system knows none."""

    name: str
    account: str
    login: str

    @property
    def actor(self) -> str:
        """As the audit trail has it."""
        return f"cli:{self.account}" if self.name == self.account else f"cli:{self.name}/{self.account}"


def actor() -> str:
    """Who types, as the audit trail has it: the user, and who became that user."""
    return person().actor


def person() -> Person:
    """Who types.

    A login keeps its number whoever one becomes (proc(5), loginuid). Where there is none, the processes that this one
    comes from tell who became this user, by `sudo` or `su`.
    """
    account, login = os.getuid(), _login()
    behind = _before(account) if login is None else login
    return Person(_name(account if behind is None else behind), _name(account), "" if login is None else str(login))


def _login() -> int | None:
    try:
        written = (PROC / "self" / "loginuid").read_text().strip()
    except OSError:
        return None
    return None if written == _NO_LOGIN or not written.isdecimal() else int(written)


def _before(account: int) -> int | None:
    """The first user, but for root, among the processes that this one comes from."""
    process = os.getpid()
    for _ in range(_DEEP):
        # the first process of all takes in those whose parents are gone: whose it is says nothing of them
        if process <= 1:
            return None
        try:
            status = (PROC / str(process) / "status").read_text()
        except OSError:
            return None
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        user = int(fields["Uid"].split()[0])
        if user not in (_ROOT, account):
            return user
        process = int(fields["PPid"])
    return None


def _name(user: int) -> str:
    """The user's name; the number where it has none, or one that cannot be shown."""
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
    return name if name.isprintable() and not set(name) & set("/: ") else str(user)
