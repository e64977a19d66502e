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
from rig.redis_server import answers

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

# Every expiry and every stored time, moved; in one go, for a test may let time pass a hundred times over hundreds of keys.
_PASS_TIME = """
local shift = tonumber(ARGV[1])

local function moved(time)
    return string.format('%.0f', tonumber(time) - shift)
end

for _, key in ipairs(redis.call('KEYS', '*')) do
    local left = redis.call('PTTL', key)
    -- 0: within this millisecond
    if left == -1 then
        return redis.error_reply(key .. ' does not expire')
    end
    if left <= shift then
        redis.call('DEL', key)
    else
        local kind = redis.call('TYPE', key).ok
        if kind == 'hash' then
            local ends = redis.call('HGET', key, 'until')
            if ends and ends ~= '' then
                redis.call('HSET', key, 'until', moved(ends))
            end
        end
        if string.find(key, ':budget:', 1, true) then
            local parts = redis.call('HGETALL', key)
            for at = 1, #parts, 2 do
                if string.match(parts[at], '^%d+$') then
                    redis.call('HDEL', key, parts[at])
                end
            end
            for at = 1, #parts, 2 do
                if string.match(parts[at], '^%d+$') then
                    redis.call('HSET', key, moved(parts[at]), parts[at + 1])
                end
            end
        end
        if kind == 'zset' and (string.find(key, ':reads:', 1, true) or string.find(key, ':opening:', 1, true) or string.find(key, ':proof:due', 1, true)) then
            for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
                redis.call('ZADD', key, moved(redis.call('ZSCORE', key, member)), member)
            end
        end
        if kind == 'list' then
            local times = redis.call('LRANGE', key, 0, -1)
            redis.call('DEL', key)
            for _, time in ipairs(times) do
                redis.call('RPUSH', key, moved(time))
            end
        end
        redis.call('PEXPIRE', key, left - shift)
    end
end
"""


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
        while not answers(unix_socket_path=str(self.socket)):
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
        self.client.eval(_PASS_TIME, 0, round(seconds * 1000))


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
