"""A real message centre: node-smpp, with rules that are told while it runs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rig.state import CHECKOUT, STATE

NODE = STATE / "venv" / "lib"
SCRIPT = CHECKOUT / "tests" / "node" / "smpp.js"
PASSWORD = "canary-8"


def node() -> Path:
    """Playwright's own."""
    (found,) = NODE.glob("python3.*/site-packages/playwright/driver/node")
    return found


class Centre:
    """On a port of the loopback, from `async with` on; the port stays its own over a restart."""

    def __init__(self) -> None:
        self.port = 0
        self.events: list[dict[str, Any]] = []
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    @property
    def url(self) -> str:
        return f"smpp://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            node(), SCRIPT, str(self.port),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            env={"NODE_PATH": str(STATE / "node" / "node_modules")},
        )  # fmt: skip
        begun = len(self.of("listening"))
        self._reading = asyncio.create_task(self._read())
        await self.until("listening", begun + 1)
        self.port = self.of("listening")[-1]["port"]

    async def stop(self) -> None:
        assert self._process is not None
        assert self._reading is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await asyncio.wait([self._reading])

    async def tell(self, **rules: Any) -> None:
        """New rules, and what is to be done now (`act`)."""
        assert self._process is not None
        assert self._process.stdin is not None
        told = len(self.of("told"))
        self._process.stdin.write(json.dumps(rules).encode() + b"\n")
        await self.until("told", told + 1)

    def of(self, event: str) -> list[dict[str, Any]]:
        """What happened of this kind."""
        return [one for one in self.events if one["event"] == event]

    async def until(self, event: str, count: int = 1, limit: float = 15.0) -> dict[str, Any]:
        """Wait for the so-many-th of this kind."""
        async with asyncio.timeout(limit):
            while len(self.of(event)) < count:
                self._news.clear()
                await self._news.wait()
        return self.of(event)[count - 1]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.events.append(json.loads(line))
            self._news.set()
