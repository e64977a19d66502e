"""Runs `ari_app.py` from an interpreter that has imported it already: to import it takes most of a start, and of the time of a test.

A keeper, one for each process that asks, forks itself for each command; what is forked has read nothing yet, and runs the very same file.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

from rig.state import CHECKOUT, RigError

PROGRAM = str(CHECKOUT / "ari_app.py")

_MOST = 1 << 20
_PR_SET_PDEATHSIG = 1
# An interpreter has read these before anybody can hand them to it.
_OF_THE_START = ("LD_", "PYTHON", "MALLOC_", "GLIBC_")

_wanted = False


def want(*, warm: bool) -> None:
    """Whether the commands of this process are run so from now on; else each starts its own interpreter."""
    global _wanted
    _wanted = warm


def fits(command: Sequence[str], env: Mapping[str, str] | None) -> bool:
    """Whether this command may be run so: the program itself, in an environment that differs in nothing an interpreter starts with."""
    if not _wanted or len(command) < 2 or command[1] != PROGRAM:
        return False
    given = os.environ if env is None else env
    own = {name: text for name, text in os.environ.items() if name.startswith(_OF_THE_START)}
    theirs = {name: text for name, text in given.items() if name.startswith(_OF_THE_START)}
    own.pop("PYTHONUNBUFFERED", None)
    theirs.pop("PYTHONUNBUFFERED", None)
    return own == theirs


class Request(TypedDict):
    """What a keeper is asked for; `session`: one of its own, so that Ctrl-C does not reach it."""

    argv: list[str]
    env: dict[str, str]
    cwd: str
    session: bool


class Forked:
    """A process of the keeper's; the part of `subprocess.Popen` that the rig needs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._over = threading.Event()

    def poll(self) -> int | None:
        """The exit code; None as long as it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The same, when it has ended. Raises `subprocess.TimeoutExpired`."""
        if not self._over.wait(timeout):
            raise subprocess.TimeoutExpired(PROGRAM, timeout or 0.0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Nothing happens where it has ended."""
        if self.returncode is None:
            # the keeper may have seen its end, and we shall
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def ended(self, status: int) -> None:
        """The keeper has seen its end; `status` as `os.waitpid` gives it."""
        self.returncode = os.waitstatus_to_exitcode(status)
        self._over.set()


class _Keeper:
    """The keeper, and what it has told of. Safe for threads."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # as in rig.process: it is to end with this process, not with a thread of it
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rig-warm")
        command = [sys.executable, "-m", "rig.warm", str(theirs.fileno())]
        path = os.pathsep.join((str(CHECKOUT / "scripts"), str(CHECKOUT)))
        own = self._starter.submit(
            subprocess.Popen, command, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, start_new_session=True,
            env=dict(os.environ, PYTHONPATH=path), preexec_fn=_die_with_parent,
        )  # fmt: skip
        self._process = own.result()
        theirs.close()
        self._socket = ours
        self._asking = threading.Lock()
        self._changed = threading.Condition()
        self._pids: list[int] = []
        self._running: dict[int, Forked] = {}
        self._early: dict[int, int] = {}
        self._dead = False
        threading.Thread(target=self._listen, name="rig-warm", daemon=True).start()

    def fork(self, request: Request, files: Sequence[int]) -> Forked:
        """Begin it; `files` are its standard input, output and error."""
        with self._asking:
            socket.send_fds(self._socket, [json.dumps(request).encode()], list(files))
            with self._changed:
                if not self._changed.wait_for(lambda: self._pids or self._dead, 30) or self._dead:
                    raise RigError("the keeper of warm interpreters is gone: see what it has printed")
                forked = Forked(self._pids.pop())
                if (status := self._early.pop(forked.pid, None)) is None:
                    self._running[forked.pid] = forked
                else:
                    forked.ended(status)
        return forked

    def _listen(self) -> None:
        while told := self._socket.recv(_MOST):
            pid, status = json.loads(told)
            with self._changed:
                if status is None:
                    self._pids.append(pid)
                    self._changed.notify_all()
                elif (forked := self._running.pop(pid, None)) is not None:
                    forked.ended(status)
                else:
                    # over before whoever began it has heard that it did
                    self._early[pid] = status
        with self._changed:
            self._dead = True
            for forked in self._running.values():
                forked.ended(signal.SIGKILL)
            self._changed.notify_all()


_keeper: _Keeper | None = None
_making = threading.Lock()


def start(command: Sequence[str], output: int, *, env: Mapping[str, str] | None, cwd: Path) -> Forked:
    """Run it in the background, with both output streams going to this descriptor."""
    with open(os.devnull, "rb") as nothing:
        return _ours().fork(_request(command, env, cwd, session=True), (nothing.fileno(), output, output))


def run(
    command: Sequence[str], *, env: Mapping[str, str], given: str, cwd: Path | None, limit: float
) -> subprocess.CompletedProcess[str]:
    """Run it with this on the standard input, to its end. Raises `subprocess.TimeoutExpired`."""
    texts: list[str] = ["", ""]

    def read(place: int, end: int) -> None:
        with open(end, errors="replace") as stream:
            texts[place] = stream.read()

    (stdin, writing), (out, stdout), (err, stderr) = os.pipe(), os.pipe(), os.pipe()
    ends = [stdin, stdout, stderr]
    try:
        forked = _ours().fork(_request(command, env, cwd or Path.cwd(), session=False), ends)
    finally:
        for end in ends:
            os.close(end)
    readers = [threading.Thread(target=read, args=pair) for pair in enumerate((out, err))]
    for reader in readers:
        reader.start()
    try:
        with open(writing, "w") as stream:
            stream.write(given)
    except BrokenPipeError:
        pass
    try:
        code = forked.wait(limit)
    except subprocess.TimeoutExpired:
        forked.send_signal(signal.SIGKILL)
        raise
    for reader in readers:
        reader.join()
    return subprocess.CompletedProcess(list(command), code, *texts)


def _ours() -> _Keeper:
    global _keeper
    with _making:
        if _keeper is None:
            _keeper = _Keeper()
        return _keeper


def _request(command: Sequence[str], env: Mapping[str, str] | None, cwd: Path, *, session: bool) -> Request:
    given = dict(os.environ if env is None else env)
    return Request(argv=list(command[1:]), env=given, cwd=str(cwd), session=session)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


# ---------------------------------------------------------------- the keeper


def _keep(number: int) -> None:
    """Fork for each request, and tell of each end; returns, in a child, when that has a command to run."""
    link = socket.socket(fileno=number)
    waking, woken = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(waking, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    selector = selectors.DefaultSelector()
    selector.register(link, selectors.EVENT_READ)
    selector.register(waking, selectors.EVENT_READ)
    while True:
        ready = [key.fileobj for key, _ in selector.select()]
        if waking in ready:
            os.read(waking, 4096)
            _reap(link)
        if link in ready:
            told, files, _, _ = socket.recv_fds(link, _MOST, 3)
            if not told:
                os._exit(0)
            request = json.loads(told)
            keeper = os.getpid()
            if (pid := os.fork()) == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                selector.close()
                for end in (waking, woken):
                    os.close(end)
                link.close()
                _become(request, files, keeper)
                return
            for file in files:
                os.close(file)
            link.send(json.dumps([pid, None]).encode())


def _reap(link: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        link.send(json.dumps([pid, status]).encode())


def _become(request: Request, files: Sequence[int], keeper: int) -> None:
    """A process as if it had been started so."""
    _die_with_parent()
    if os.getppid() != keeper:
        os._exit(1)
    for place, file in enumerate(files):
        os.dup2(file, place)
        os.close(file)
    if request["session"]:
        os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    if "PYTHONUNBUFFERED" in os.environ:
        sys.stdout, sys.stderr = _unbuffered(1), _unbuffered(2)
    sys.argv = request["argv"]
    # what `python FILE` has there
    sys.path[0] = str(CHECKOUT)


def _unbuffered(place: int) -> io.TextIOWrapper:
    raw = io.FileIO(place, "w", closefd=False)
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True)


def _warm_up() -> None:
    # so that those that are forked need not
    import ivr.app
    import ivr.cli
    import ivr.desk

    ivr.cli.command()


if __name__ == "__main__":
    _warm_up()
    _keep(int(sys.argv[1]))
    runpy.run_path(PROGRAM, run_name="__main__")
