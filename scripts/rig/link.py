"""The pipe to a softphone's process: commands and their answers, and a callback for what happens."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rig.state import RigError

_REPLY_LIMIT = 5.0
_STOP_LIMIT = 8.0


class Link:
    """Starts `rig.softphone`, asks it, and ends it."""

    def __init__(
        self, name: str, stem: Path, happened: Callable[[dict[str, Any]], None], within: Sequence[str] = ()
    ) -> None:
        """`stem` begins the names of the phone's files; `happened` gets each event; `within` is what it is started by."""
        self._within = within
        self._name = name
        self._stem = stem
        self._happened = happened
        self._ids = itertools.count(1)
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def start(self, settings: dict[str, Any]) -> None:
        """Start the process; its first line of input is `settings`, for everyone can read a command line."""
        with Path(f"{self._stem}.err").open("wb") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *(*self._within, sys.executable),
                *("-m", "rig.softphone"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=dict(os.environ, PYTHONPATH=str(Path(__file__).parents[1])),
                limit=1 << 20,  # an INVITE's headers stand in one line
                start_new_session=True,
            )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(settings).encode() + b"\n")
        self._reader = asyncio.create_task(self._read(self._process))

    async def ask(self, do: str, *, limit: float = _REPLY_LIMIT, **fields: Any) -> dict[str, Any]:
        """Give a command and return its answer; RigError when it is refused, TimeoutError after `limit` seconds."""
        process = self._process
        if process is None or process.stdin is None:
            raise RigError(f"{self._name} is not started: use it in `async with`")
        key = next(self._ids)
        future = self._replies[key] = asyncio.get_running_loop().create_future()
        try:
            process.stdin.write(json.dumps({"id": key, "do": do, **fields}).encode() + b"\n")
            async with asyncio.timeout(limit):
                reply: dict[str, Any] = await future
        except TimeoutError:
            raise TimeoutError(
                f"{self._name} did not answer {do!r} within {limit:g} s (log: {self._stem}.log)"
            ) from None
        finally:
            del self._replies[key]
        if "error" in reply:
            raise RigError(f"{self._name}, {do!r}: {reply['error']} (log: {self._stem}.log)")
        return reply

    def signal(self, number: int) -> None:
        """Send this signal to the process."""
        if self._process is not None:
            self._process.send_signal(number)

    async def close(self) -> None:
        """End the process: the end of its input tells it to hang up and unregister first."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_LIMIT):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        if self._reader is not None:
            await self._reader

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            message = json.loads(line)
            if "reply" not in message:
                self._happened(message)
            elif (future := self._replies.get(message.pop("reply"))) and not future.done():
                future.set_result(message)
        for future in self._replies.values():
            if not future.done():
                future.set_exception(RigError(f"{self._name} ended: see {self._stem}.err"))
