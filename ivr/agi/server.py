"""The FastAGI server: who may connect, how many, for how long; whatever comes, calls in progress do not notice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address
from time import monotonic

from structlog.typing import FilteringBoundLogger

from ivr.agi import scripts
from ivr.agi.wire import LINE_BYTES, Request, Wire
from ivr.config import Settings
from ivr.config.listening import is_served, split
from ivr.errors import AgiError, AgiRefused, ConfigError, HungUp

# A call holds its connection for some milliseconds: at 100 calls a second, one or two are open.
_CONNECTIONS = 64
# Asterisk sends its header at once, and answers at once.
_HEADER_SECONDS = 5.0
# Redis has a limit of its own within this (at most 30 s, 2 by default).
_SECONDS = 45.0
# A flood must not fill the disk: of what is refused for one reason, a line in so many seconds.
_SPARING_SECONDS = 10.0

Address = IPv4Address | IPv6Address


@asynccontextmanager
async def serving(settings: Settings, *, mark: scripts.MarkOf, log: FilteringBoundLogger) -> AsyncIterator[None]:
    """Serve while this context lasts, where the settings say `[agi] listen`; raises `ConfigError` where that cannot be."""
    own = settings.agi
    if own.listen is None:
        yield
        return
    known_policy(settings)
    server = AgiServer(own.allow, policy=own.policy or "", mark=mark, log=log)
    with own.bound(settings.file, "[agi]"):
        await server.open(*split(own.listen))
    log.info("agi.listening", address=own.listen)
    try:
        yield
    finally:
        await server.close()


def known_policy(settings: Settings) -> None:
    """Raises `ConfigError` where `[agi] policy` is none of the settings' policies."""
    if settings.agi.policy is not None and settings.agi.policy not in settings.policies:
        raise ConfigError(
            f"{settings.file}: [agi] policy",
            "there is no such policy",
            f"Write one of: {', '.join(sorted(settings.policies))}",
        )


class AgiServer:
    """`open`, then it serves until `close`."""

    def __init__(
        self,
        allow: Collection[Address],
        *,
        policy: str,
        mark: scripts.MarkOf,
        log: FilteringBoundLogger,
        connections: int = _CONNECTIONS,
        header_seconds: float = _HEADER_SECONDS,
        seconds: float = _SECONDS,
    ) -> None:
        """`allow`: peers beside this machine itself; `policy`: where AGI() names none; the others are limits."""
        self._allow = frozenset(allow)
        self._policy = policy
        self._mark = mark
        self._log = log
        self._connections = connections
        self._header_seconds = header_seconds
        self._seconds = seconds
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._refusals: dict[str, tuple[float, int]] = {}

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def open(self, host: str, port: int) -> None:
        """Begin to listen; raises `OSError` where that cannot be."""
        self._server = await asyncio.start_server(self._connected, host, port, limit=LINE_BYTES)

    async def close(self) -> None:
        """Listen no longer, and end what is open: to Asterisk that is the end of AGI()."""
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    # ------------------------------------------------------------ inside

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        host = peer[0] if peer else ""
        if not is_served(host, self._allow):
            self._refuse(host, "address")
        elif len(self._open) >= self._connections:
            self._refuse(host, "full")
        else:
            task = asyncio.ensure_future(self._serve(reader, writer, host))
            self._open.add(task)
            task.add_done_callback(self._served)
            return
        writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await self._answer(Wire(reader, writer), host)
        except AgiRefused as error:
            self._refuse(host, str(error))
        except TimeoutError:
            self._refuse(host, "slow")
        finally:
            # Asterisk has answered the last command, so nothing waits to be sent; and nobody else is waited for
            writer.transport.abort()

    async def _answer(self, wire: Wire, host: str) -> None:
        try:
            async with asyncio.timeout(self._header_seconds):
                request = await wire.request()
        except HungUp:
            # it says so of a call, and none was named yet
            raise AgiRefused("cut_off") from None
        log = self._log.bind(call=request.channel)
        try:
            await wire.prove(request.channel)
            await self._run(wire, request, host, log)
        except HungUp:
            log.info("agi.hung_up")
        except AgiError as error:
            log.error("agi.failed", error=str(error), cure="see Asterisk's log")

    async def _run(self, wire: Wire, request: Request, host: str, log: FilteringBoundLogger) -> None:
        match request.script:
            case "verify":
                await scripts.verify(wire, request, self._policy, log)
            case "mark":
                await scripts.mark(wire, request, self._mark, log)
            case _:
                name = "".join(letter for letter in request.script[:40] if letter.isalnum() or letter in "._-/")
                log.warning("agi.unknown", script=name, peer=host, cure=f"write one of: {', '.join(scripts.SCRIPTS)}")
                await wire.tell(f"there is no AGI script '{name}'. Write agi://HOST/verify,POLICY or agi://HOST/mark")

    def _served(self, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # the text of an error that nobody expected may hold anything
            self._log.error("agi.failed", error=type(error).__name__, cure="please report this line")

    def _refuse(self, host: str, why: str) -> None:
        """Say it the first time, and then every ten seconds how often."""
        now = monotonic()
        since, times = self._refusals.get(why, (-_SPARING_SECONDS, 0))
        if now - since < _SPARING_SECONDS:
            self._refusals[why] = (since, times + 1)
            return
        self._refusals[why] = (now, 0)
        self._log.warning("agi.refused", peer=host, why=why, times=times + 1)
