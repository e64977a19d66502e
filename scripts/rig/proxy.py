"""A wire that can be cut: a TCP proxy on 127.0.0.1, between a worker and what it talks to."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType

from rig.ports import HOST

_CHUNK = 65536


class Wire:
    """Passes connections on to `port`; runs in a thread of its own, so that a test that waits does not stop it."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = True
        self._swallows = False
        self._trap: tuple[bytes, Callable[[], None]] | None = None
        self.port = 0

    def trap(self, text: bytes, spring: Callable[[], None]) -> None:
        """The first chunk with this text that goes to `port` is not let through: `spring` is called instead, once."""
        self._trap = (text, spring)

    def cut(self) -> None:
        """End every connection, and let no new one through until `mend`."""
        self._run(self._cut())

    def drop(self) -> None:
        """End every connection once; new ones are let through."""
        self._run(self._drop())

    def swallow(self) -> None:
        """Keep every connection open and let nothing through, new ones too, until `mend`: nobody is told that it is so."""
        self._swallows = True

    def mend(self) -> None:
        """Let connections through again. Those of which something was swallowed end."""
        self._open = True
        if self._swallows:
            self._swallows = False
            self.drop()

    def __enter__(self) -> Wire:
        self._thread.start()
        self._run(self._serve())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: object) -> None:
        assert asyncio.iscoroutine(work)
        done: Future[None] = asyncio.run_coroutine_threadsafe(work, self._loop)
        done.result(timeout=10)

    async def _serve(self) -> None:
        self._server = await asyncio.start_server(self._accept, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            if not self._open:
                return
            other, onward = await asyncio.open_connection(HOST, self._target)
            self._writers.add(onward)
            try:
                await asyncio.gather(_pump(reader, onward, self._held), _pump(other, writer, self._lost))
            finally:
                self._writers.discard(onward)
                onward.close()
        except OSError:
            pass  # an end of the wire is gone, and so is this connection
        finally:
            self._writers.discard(writer)
            writer.close()
            self._tasks.discard(task)

    def _lost(self, _: bytes) -> bool:
        return self._swallows

    def _held(self, data: bytes) -> bool:
        if self._swallows:
            return True
        if self._trap is None or self._trap[0] not in data:
            return False
        spring, self._trap = self._trap[1], None
        spring()
        return True

    async def _cut(self) -> None:
        self._open = False
        await self._drop()

    async def _drop(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._drop()
        if self._tasks:
            await asyncio.wait(set(self._tasks))


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, held: Callable[[bytes], bool] = lambda _: False
) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            if held(data):
                continue
            writer.write(data)
            await writer.drain()
    if not writer.transport.is_closing():
        writer.close()
