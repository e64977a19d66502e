"""A command at a terminal of its own, and somebody who answers what it asks."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Sequence

# A terminal belongs to a session when a process of it takes it; then `getpass` finds it.
_TAKE = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"


def at_terminal(command: Sequence[str], answers: dict[str, str], limit: float) -> tuple[str, int]:
    """Run it; what it showed, and its exit code. Each of `answers` is typed once, when its question stands there.

    Raises TimeoutError with all that was shown where it has not ended after `limit` seconds: it may wait for an answer.
    """
    ours, theirs = pty.openpty()
    quiet = termios.tcgetattr(theirs)
    quiet[3] &= ~termios.ECHO
    termios.tcsetattr(theirs, termios.TCSANOW, quiet)
    process = subprocess.Popen(
        [sys.executable, "-c", _TAKE, *command], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    try:
        shown = _attend(ours, answers, time.monotonic() + limit)
        return shown, process.wait(10)
    except (TimeoutError, subprocess.TimeoutExpired):
        process.kill()
        process.wait(10)
        raise
    finally:
        os.close(ours)


def _attend(terminal: int, answers: dict[str, str], end: float) -> str:
    shown, seen = "", 0
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            piece = os.read(terminal, 65_536)
        except OSError:  # the other side has closed it
            return shown
        shown += piece.decode(errors="replace").replace("\r\n", "\n")
        for question in [question for question in answers if question in shown[seen:]]:
            seen = len(shown)
            os.write(terminal, answers.pop(question).encode() + b"\n")
    raise TimeoutError(f"waited in vain for its end:\n{shown[-3000:]}")
