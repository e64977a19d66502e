"""A Redis of one test, on a Unix socket, and a way to let its time pass."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from ivr.call.mark import Mark
from ivr.call.ports import Attempt, CodeRules
from ivr.call.progress import Progress
from ivr.config import Settings, load
from ivr.store.live import RedisLive

LIMITS = """
[limits]
customer_in_a_row = 3
customer_lock_minutes = 15
customer_most = 10
number_in_a_row = 5
number_lock_minutes = 30
call = 20
all = 1000
all_window_minutes = 10
"""
RULES = CodeRules(life=300, tries=3, resend=60, sends=3, sends_per_hour=6)


class Server:
    """redis-server without a port; nothing is written to disk unless a test asks for it."""

    def __init__(self, *options: str) -> None:
        # Unix sockets have short names, which pytest's folders would use up.
        self.folder = Path(tempfile.mkdtemp(prefix="live-"))
        self.socket = self.folder / "redis.sock"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.client: Any = redis.Redis(unix_socket_path=str(self.socket), protocol=2, decode_responses=True)

    def start(self) -> None:
        command = [
            "redis-server",
            "--port",
            "0",
            "--unixsocket",
            str(self.socket),
            "--dir",
            str(self.folder),
            "--save",
            "",
        ]
        self._process = subprocess.Popen([*command, *self._options], stdout=subprocess.DEVNULL)
        limit = time.monotonic() + 10
        while not self._answers():
            assert self._process.poll() is None, "redis-server has ended"
            assert time.monotonic() < limit, "redis-server does not answer"
            time.sleep(0.005)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
        self.client.close()

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def pause(self, *, on: bool) -> None:
        assert self._process is not None
        self._process.send_signal(19 if on else 18)  # SIGSTOP, SIGCONT

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def settings(
        self, text: str = LIMITS, *, url: str | None = None, redis_lines: str = "request_seconds = 5.0"
    ) -> Settings:
        """Settings for this server; `text` holds further tables, `redis_lines` further lines of [redis]."""
        return settings_in(self.folder, f'url = "{url or f"unix://{self.socket}"}"\n{redis_lines}', text)

    def pass_time(self, seconds: float) -> None:
        """As if so many seconds had passed: every expiry and every stored time moves towards the past."""
        shift = round(seconds * 1000)
        for key in self.client.scan_iter():
            left = self.client.pttl(key)
            assert left > 0, f"{key} does not expire"
            if left <= shift:
                self.client.delete(key)
                continue
            if self.client.type(key) == "hash" and (until := self.client.hget(key, "until")):
                self.client.hset(key, "until", int(until) - shift)
            if ":budget:" in key:
                parts = {name: n for name, n in self.client.hgetall(key).items() if name.isdecimal()}
                if parts:
                    self.client.hdel(key, *parts)
                    self.client.hset(key, mapping={int(begins) - shift: n for begins, n in parts.items()})
            if self.client.type(key) == "list":
                times = [int(at) - shift for at in self.client.lrange(key, 0, -1)]
                self.client.delete(key)
                self.client.rpush(key, *times)
            self.client.pexpire(key, left - shift)

    def _answers(self) -> bool:
        try:
            return self.client.ping() is True
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False


def settings_in(folder: Path, redis_lines: str, text: str) -> Settings:
    """The least that there must be, with these lines of [redis], and further tables."""
    file = folder / "tillit.toml"
    file.write_text(
        f'[company]\nname = "Acme"\ncountry = "SE"\n[policies.usual]\nsteps = ["pin"]\nlevel = 1\n'
        f"[redis]\n{redis_lines}\n{text}"
    )
    return load(file)


def round_of(node: str = "node", channel: str = "1712.5", *, app: str = "tillit") -> Progress:
    """A call that comes in."""
    return Progress.begin(app=app, node=node, channel=channel, policy="usual", again=False)


async def placed(live: RedisLive, mark: Mark, attempt: Attempt | None = None) -> Progress:
    """Place this mark as the session of its call does; the call's progress."""
    progress = round_of(mark.node, mark.channel)
    await live.begin(progress)
    call = f"{mark.node}:{mark.channel}"
    await live.place_mark(mark, replace(attempt or Attempt("nobody", None, call), call=call), progress)
    return progress


async def forgive(live: RedisLive, attempt: Attempt) -> None:
    """The customer is verified, and the call ends."""
    mark = Mark("node", "forgiven", "ref-1", 1, ("pin",), "usual", int(time.time()) + 60, "nonce")
    await live.drop_mark(await placed(live, mark, attempt), over=True)
