"""Child processes that end with their parent, log to a file and stop within a limit."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from rig import warm
from rig.state import CHECKOUT, RigError, wait_until

_PAUSE_LIMIT = 10.0
# The kernel's "die with your parent" looks at the parent's *thread*: a child started from a worker
# thread would be killed as soon as that thread's pool closes. So one thread, alive until this
# process ends, starts them all.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rig-starter")


class Child:
    """One child process, known by its pid."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path = CHECKOUT,
    ) -> None:
        """`log` gets both output streams, appended; the process starts at once."""
        self.name = name
        self.log = log
        self._process: subprocess.Popen[bytes] | warm.Forked
        with log.open("ab") as output:
            if warm.fits(command, env):
                self._process = warm.start(command, output.fileno(), env=env, cwd=cwd)
            else:
                self._process = _started(command, output, env, cwd)
        self.pid = self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def require(self, condition: Callable[[], bool], limit: float, what: str) -> None:
        """Wait until `condition` holds; raise RigError with the log's end when the process ends or the time is up."""

        def met_or_dead() -> bool:
            return condition() or not self.alive

        try:
            wait_until(met_or_dead, limit, what)
        except TimeoutError as error:
            raise RigError(f"{self.name}: {error}; {self._log_end()}") from None
        if not self.alive:
            raise RigError(f"{self.name} ended with code {self._process.returncode} before {what}; {self._log_end()}")

    def exit_code(self, limit: float = 20.0) -> int:
        """Wait until the process has ended of itself, unasked, and return its exit code; RigError when it does not."""
        try:
            return self._process.wait(limit)
        except subprocess.TimeoutExpired:
            raise RigError(f"{self.name} had not ended after {limit:g} s; {self._log_end()}") from None

    def ask_to_end(self) -> None:
        """SIGTERM, without waiting for what comes of it."""
        self._signal(signal.SIGTERM)

    def stop(self, limit: float = 5.0) -> int:
        """Ask the process to end, kill it after `limit` seconds, and return its exit code."""
        self._signal(signal.SIGTERM)
        try:
            return self._process.wait(limit)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """Kill the process (SIGKILL) and return its exit code."""
        self._signal(signal.SIGKILL)
        return self._process.wait()

    def pause(self) -> None:
        """Stop the process in its tracks (SIGSTOP), as a hung machine would; returns when it stands still."""
        self._signal(signal.SIGSTOP)
        wait_until(lambda: not self.alive or self._stands_still(), _PAUSE_LIMIT, f"{self.name} to stand still")

    def resume(self) -> None:
        """Let a paused process go on."""
        self._signal(signal.SIGCONT)

    def _stands_still(self) -> bool:
        """Whether all its threads are stopped: the signal reaches a busy one a while after it was sent."""
        try:
            states = [
                task.read_text().rpartition(")")[2].split()[0] for task in Path(f"/proc/{self.pid}/task").glob("*/stat")
            ]
        except OSError:  # a thread has ended as we looked
            return False
        return set(states) <= {"T", "t", "Z"}

    def _signal(self, number: signal.Signals) -> None:
        if self.alive:
            self._process.send_signal(number)
            if number is signal.SIGTERM:  # a paused process would never see it
                self._process.send_signal(signal.SIGCONT)

    def _log_end(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-8:]
        return f"{self.log} ends with:\n  " + "\n  ".join(lines)


def _started(
    command: Sequence[str], output: BinaryIO, env: Mapping[str, str] | None, cwd: Path
) -> subprocess.Popen[bytes]:
    setpriv = shutil.which("setpriv")
    bound = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
    return _starter.submit(
        lambda: subprocess.Popen(
            [*bound, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
            start_new_session=True,  # Ctrl-C reaches the rig alone, which then stops its children in order
        )
    ).result()
