"""The transport: events on one websocket, requests on it or by pooled HTTP, each under a time limit."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Protocol, Self

import aiohttp
import orjson
from structlog.typing import FilteringBoundLogger

from ivr.asterisk.events import TYPES, Echo, Event, Replaced
from ivr.asterisk.vigil import Vigil
from ivr.asterisk.websocket import HEARTBEAT, LONGEST, Json, Method, Websocket, answer
from ivr.call.ports import Timed
from ivr.config import Settings, secret_of, tls
from ivr.errors import AriError, ConfigError, WorkerReplaced
from ivr.secret import Secret

# Waits before connecting again, in seconds; the last one is repeated.
_WAITS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
# How long a request waits for a link that was lost: less than the watchdog grants a call on top of what is said to it.
_PATIENCE = 10.0
# How often it is asked again whether the application may be registered.
_DOUBT = 0.5
# http.conf's sessionlimit is 100 by default; the rest is for whoever else uses ARI.
_CONNECTIONS = 64
# Bytes of an answer. That of a channel has one or two thousand, and `GET /channels` has them all.
_MOST = 1 << 26
# http.conf's session_keep_alive is 15 s by default: a POST on a connection that Asterisk is closing would be lost.
_IDLE = 10.0


class Listener(Protocol):
    """Who is told. None of these may wait: the reader must not."""

    def connected(self) -> None: ...

    def disconnected(self) -> None: ...

    def event(self, event: Event) -> None: ...


async def always() -> bool | None:
    """Where there are no other workers."""
    return True


class Ari:
    """One application on one Asterisk. `open`, then `listen` until cancelled, then `close`."""

    def __init__(
        self,
        *,
        url: str,
        username: str,
        password: Secret,
        app: str,
        seconds: float,
        log: FilteringBoundLogger,
        timed: Timed = nullcontext,
        trusted: ssl.SSLContext | None = None,
        connections: int = _CONNECTIONS,
    ) -> None:
        """`seconds`: how long any request may take. `trusted`: whose certificates are good, for https. `connections`: how many at most."""
        self.app = app
        self._url = url.rstrip("/")
        self._username = username
        self._password = password
        self._seconds = seconds
        self._log = log
        self._timed = timed
        self._trusted = trusted
        self._connections = connections
        self._socket: Websocket | None = None
        self._back = asyncio.Event()
        # when it last said anything, on the websockets before this one
        self._heard = 0.0
        self._vigil = Vigil(self, seconds=seconds, log=log)
        self._dropping: asyncio.Future[None] | None = None
        self._http: aiohttp.ClientSession | None = None

    @classmethod
    def of(
        cls,
        settings: Settings,
        place: str,
        *,
        app: str | None = None,
        connections: int | None = None,
        log: FilteringBoundLogger,
        timed: Timed = nullcontext,
    ) -> Self:
        """That of the settings' table, such as `[asterisk]`, or another application there. `connections`: as above. Raises `ConfigError` where password or CA are not there."""
        asterisk = settings.asterisks[place]
        password = secret_of(settings, f"{place} password", asterisk.password_file, asterisk.password_env)
        if password is None:
            raise ConfigError(
                f"{settings.file}: {place} password_file",
                "is missing",
                "Name the file that holds the ARI user's password",
            )
        return cls(
            url=asterisk.url,
            username=asterisk.username,
            password=password,
            app=app or asterisk.app,
            seconds=asterisk.request_seconds,
            log=log,
            timed=timed,
            trusted=tls.context(settings, place, asterisk.ca_file) if asterisk.url.startswith("https:") else None,
            # workers that serve together share what Asterisk allows
            connections=connections or max(_CONNECTIONS // settings.worker.at_once, 8),
        )

    @property
    def connected(self) -> bool:
        """Whether the websocket is open."""
        return self._socket is not None

    @property
    def waiting(self) -> int:
        """How many requests on the websocket have no answer yet."""
        return 0 if self._socket is None else self._socket.waiting

    async def open(self) -> None:
        """Make the pool; connects to nothing yet."""
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=_IDLE, ssl=self._trusted or True),
            headers={"Authorization": _basic(self._username, self._password)},
            json_serialize=lambda body: orjson.dumps(body).decode(),
            auto_decompress=False,
        )

    async def close(self) -> None:
        """Close the websocket and the pool."""
        if self._socket is not None:
            await self._socket.end()
        if self._http is not None:
            await self._http.close()

    def reconnect(self) -> None:
        """Drop the websocket; `listen` makes a new one."""
        if self._socket is not None:
            self._back.clear()
            self._dropping = asyncio.ensure_future(self._socket.end())

    def doubt(self) -> None:
        """What should have been told was not: a websocket on which nothing is told any more is found out sooner, and dropped."""
        self._vigil.doubt()

    async def listen(self, listener: Listener, ours: Callable[[], Awaitable[bool | None]] = always) -> None:
        """Tell the listener what happens, for ever; connects again with growing waits.

        `ours`: whether the application may be registered; asked before each connection, for that takes it from whoever
        has it. None: nobody knows; then only where Asterisk does not know the application either. Raises `WorkerReplaced`
        when it may not be, or when another connection takes the application over.
        """
        failures = 0
        doubted = False
        while True:
            allowed = await ours()
            if allowed is False:
                raise WorkerReplaced(f"another worker took over the application {self.app}")
            try:
                if allowed is None and await self._known() is not None:
                    if not doubted:
                        self._log.warning("ari.withheld", app=self.app)
                    doubted = True
                    await asyncio.sleep(_DOUBT)
                    continue
                await self._connect()
            except (aiohttp.ClientError, OSError, TimeoutError, AriError) as error:
                self._log.warning("ari.unreachable", error=tls.fault(error) or type(error).__name__)
            else:
                doubted = False
                if await self._stay(listener):
                    failures = 0
                    continue
            await asyncio.sleep(_WAITS[min(failures, len(_WAITS) - 1)])
            failures += 1

    async def inhabited(self) -> bool:
        """Whether channels are in the application, or were; also where nobody is connected to it. No where Asterisk does not say."""
        try:
            return bool(await self._known())
        except AriError:
            return False

    async def request(
        self, method: Method, path: str, body: Json | None = None, *, quick: bool = False, channel: str = ""
    ) -> object:
        """The decoded answer; raises `AriError` with the operation and the status, never a value.

        `quick` is for requests that Asterisk answers at once whatever the channel does: they may go over the
        websocket, where one that blocks would hold up all others. `channel` is for the error's text.
        """
        operation = f"{method} /{path.split('?', 1)[0]}" + (f" ({channel})" if channel else "")
        with self._timed():
            return await self._requested(method, path, body, operation, quick=quick)

    async def _requested(self, method: Method, path: str, body: Json | None, operation: str, *, quick: bool) -> object:
        asked = monotonic()
        try:
            return await self._asked(method, path, body, operation, quick=quick)
        except AriError as error:
            if error.status or not quick or self._last_heard() > asked:
                raise
        # Nothing at all has come since. To give the call up on a dead link would help nobody, for that could not be said
        # either; what is quick can be done twice.
        if not await self._answers():
            self.reconnect()
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self._back.wait()
            except TimeoutError:
                raise AriError(operation, 0) from None
        return await self._asked(method, path, body, operation, quick=False)

    async def _answers(self) -> bool:
        """Whether Asterisk can be reached at all: it may be this one request that it does not answer."""
        try:
            await self._asked("GET", "asterisk/ping", None, "GET /asterisk/ping", quick=False)
        except AriError as error:
            return error.status > 0
        return True

    async def _asked(self, method: Method, path: str, body: Json | None, operation: str, *, quick: bool) -> object:
        why = None
        try:
            async with asyncio.timeout(self._seconds):
                if quick and self._socket is not None:
                    try:
                        return await self._socket.ask(method, path, body, operation)
                    except ConnectionError:
                        # it may or may not have been done; what is sent here can be done twice
                        pass
                return await self._over_http(method, path, body, operation)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            why = tls.fault(error)
        # not within `except`: what went wrong would be this error's context, and it holds the address and the login
        raise AriError(operation, 0, why)

    async def clock(self) -> float:
        """Asterisk's clock, in whole seconds since 1970 (the date of an HTTP answer). Raises `AriError`."""
        assert self._http is not None
        # HEAD would do, but Asterisk does not know it
        request = self._http.get(f"{self._url}/asterisk/info?only=status", allow_redirects=False)
        try:
            async with asyncio.timeout(self._seconds), request as response:
                return parsedate_to_datetime(response.headers["Date"]).timestamp()
        except (aiohttp.ClientError, OSError, TimeoutError, KeyError, ValueError):
            pass
        # not within `except`, as above
        raise AriError("GET /asterisk/info", 0)

    # ------------------------------------------------------------ inside

    async def _known(self) -> list[object] | None:
        """The application's channels; None where Asterisk knows no such application: nobody is connected to it.

        One that nobody is connected to is known as long as there are channels in it. Raises `AriError`.
        """
        # all of them: Asterisk writes a warning when it is asked for one that is not there
        applications = await self.request("GET", "applications")
        if not isinstance(applications, list):
            raise AriError("GET /applications", 200)
        for one in applications:
            match one:
                case {"name": self.app, "channel_ids": list(channels)}:
                    return channels
                case _:
                    pass
        return None

    async def _connect(self) -> None:
        assert self._http is not None
        async with asyncio.timeout(self._seconds):
            events = f"{self._url}/events?app={self.app}"
            socket = await self._http.ws_connect(events, heartbeat=HEARTBEAT, max_msg_size=LONGEST, autoping=True)
        self._socket = Websocket(socket, self._log)
        allowed = [{"type": name} for name in TYPES]
        try:
            await self.request("PUT", f"applications/{self.app}/eventFilter", {"allowed": allowed})
        except AriError:
            await self._lost().end()
            raise

    async def _stay(self, listener: Listener) -> bool:
        """Read until the connection ends; whether it has lasted."""
        assert self._socket is not None

        def tell(event: Event) -> None:
            match event:
                case Replaced():
                    raise WorkerReplaced(f"another worker took over the application {self.app}")
                case Echo(name):
                    self._vigil.echo(name)
                case _:
                    listener.event(event)

        since = monotonic()
        self._log.info("ari.connected", app=self.app)
        listener.connected()
        self._back.set()
        watching = asyncio.create_task(self._vigil.watch(self.reconnect))
        try:
            await self._socket.read(tell)
        finally:
            watching.cancel()
            socket = self._lost()
            listener.disconnected()
            await socket.end()
        self._log.warning("ari.disconnected", app=self.app)
        return monotonic() - since > _WAITS[-1]

    def _lost(self) -> Websocket:
        """There is none any more; the one that there was."""
        assert self._socket is not None
        socket, self._socket = self._socket, None
        self._heard = socket.heard
        self._back.clear()
        return socket

    def _last_heard(self) -> float:
        return self._heard if self._socket is None else max(self._heard, self._socket.heard)

    async def _over_http(self, method: Method, path: str, body: Json | None, operation: str) -> object:
        assert self._http is not None
        # Asterisk redirects nobody, and what stands in a body is for Asterisk alone
        request = self._http.request(method, f"{self._url}/{path}", json=body, allow_redirects=False)
        async with request as response:
            said = bytearray()
            # no more of it is kept than an answer has, however much comes within the time
            while chunk := await response.content.readany():
                said += chunk
                if len(said) > _MOST:
                    raise AriError(operation, response.status)
            return answer(operation, response.status, bytes(said))


def _basic(username: str, password: Secret) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password.reveal()}".encode()).decode()
