"""A worker's side of a PBX, the scripted one or a real one: the same tests see no difference."""

from __future__ import annotations

import asyncio
import wave
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiohttp
from rig.asterisk import Pbx
from rig.phone import Phone

from ivr.asterisk.ari import Ari
from ivr.asterisk.line import AriLine
from ivr.asterisk.reconcile import Records
from ivr.asterisk.telephony import Telephony
from ivr.call.mark import HEADER
from ivr.call.ports import Key, Played
from ivr.call.progress import Progress
from ivr.prompts import Prompt
from ivr.secret import Secret
from tests.contract.ari_log import Log, wait_for
from tests.contract.ari_pbx import Channel, FakeAgent, Model
from tests.contract.ari_server import PASSWORD, USER, digits

NUMBER = "+46701740601"
# Plays for longer than a test; the others are over at once; the last has no file.
LONG, SHORT, MISSING = Prompt.WELCOME, Prompt.ASK_PIN, Prompt.NO_AGENT
DIALPLAN = """
[callers]
exten => 1,1,Stasis(tillit,inbound,main)
 same => n,Wait(120)
[agents]
exten => _X.,1,Congestion()
"""


def prompts(folder: Path) -> Path:
    """Sounds for a real PBX."""
    for prompt in Prompt:
        if prompt is MISSING:
            continue
        with wave.open(str(folder / f"{prompt.value}.wav"), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(8000)
            sound.writeframes(b"\x10\x10\x20\xf0" * (4000 * 60 if prompt is LONG else 800))
    return folder


class Cable:
    """Stands between the worker and ARI: websockets can be cut, and kept from coming back. HTTP goes on.

    `deaf`: what Asterisk sends on a websocket is lost, and neither side knows.
    """

    def __init__(self, port: int) -> None:
        self.port = 0
        self.closed = False
        self.deaf = False
        self._far = port
        self._open: set[asyncio.StreamWriter] = set()
        self._events: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def cut(self) -> None:
        """End every websocket without a word."""
        for writer in self._events:
            writer.transport.abort()

    async def __aenter__(self) -> Cable:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._open:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ends = {writer}
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._far)
            ends.add(far_writer)
            self._open |= ends
            ways = [
                asyncio.ensure_future(self._there(reader, far_writer, ends)),
                asyncio.ensure_future(self._back(far_reader, writer)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass
        finally:
            for end in ends:
                end.transport.abort()
            self._open -= ends
            self._events -= ends
            self._tasks.discard(task)

    async def _there(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ends: set[asyncio.StreamWriter]
    ) -> None:
        while data := await reader.read(65_536):
            # a connection that has carried requests may become a websocket
            if data.startswith(b"GET ") and b"/events?" in data.partition(b"\r\n")[0]:
                if self.closed:
                    return
                self._events |= ends
            writer.write(data)
            await writer.drain()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if not (self.deaf and writer in self._events):
                writer.write(data)
                await writer.drain()


class Caller(Protocol):
    """Who calls."""

    async def press(self, keys: str) -> None: ...

    async def hang_up(self) -> None: ...


class Agent(Protocol):
    """An agent's phone."""

    async def incoming(self) -> Invite: ...

    async def answer(self) -> None: ...

    async def busy(self) -> None: ...

    async def hang_up(self) -> None: ...

    async def ended(self) -> None: ...


@dataclass
class Invite:
    """What an agent's phone is shown."""

    header: str | None
    name: str
    number: str
    headers: list[tuple[str, str]]


@dataclass
class Call:
    """A call as the worker has it, and who called."""

    line: AriLine
    caller: Caller
    done: asyncio.Event

    @property
    def channel(self) -> str:
        return self.line.caller.channel

    @property
    def items(self) -> list[Key | Played]:
        """What has come and was not received yet."""
        return list(self.line._inbox._items)

    @property
    def errors(self) -> list[Exception]:
        """What `receive` will raise."""
        return list(self.line._inbox._errors)

    @property
    def waiting(self) -> bool:
        """Whether `receive` waits."""
        return self.line._inbox._waiter is not None

    @property
    def playback(self) -> str:
        """The playback that was begun last, and is not over."""
        assert self.line._voice.playing is not None
        return self.line._voice.playing


class World(ABC):
    """One worker on one PBX."""

    real = False
    model: Model

    def __init__(self, cable: Cable, http: aiohttp.ClientSession, stack: AsyncExitStack, password: str) -> None:
        self.cable = cable
        self.log = Log()
        self._http = http
        self._stack = stack
        self._url = f"http://127.0.0.1:{cable.port}/ari"
        self._password = password
        self._callers: dict[str, asyncio.Event] = {}
        self._came: asyncio.Queue[AriLine] = asyncio.Queue()
        self.failure: Exception | None = None
        self.disowned: list[str] = []
        self.marks: set[str] = set()
        self.marks_fail: Exception | None = None
        self.records: dict[str, Progress | None] = {}
        self.records_fail: Exception | None = None
        self.take_up_fails: Exception | None = None
        self.taken: dict[str, tuple[AriLine, Progress]] = {}
        self.gone_at: dict[str, bool] = {}
        self.rounds = 0
        self.admits = True
        self.ari, self.telephony, self.listening = self._worker()

    async def start(self) -> None:
        """Listen."""
        await self.ari.open()
        self.listening = asyncio.create_task(self.ari.listen(self.telephony))
        await self.reconciled()

    async def replaced(self) -> None:
        """The worker dies; another registers its application's name and knows nothing of its calls."""
        await self.die()
        self.ari, self.telephony, _ = self._worker()
        self.log.lines.clear()
        await self.start()

    async def die(self) -> None:
        """As a crash ends a worker: nothing is said to Asterisk."""
        assert self.listening is not None
        for task in (self.listening, *self.telephony._tasks):
            task.cancel()
        await asyncio.gather(self.listening, return_exceptions=True)
        await self.ari.close()

    async def reconciled(self, times: int = 1) -> None:
        """Wait until the worker has compared what it knows with what Asterisk holds."""
        try:
            await wait_for(lambda: len(self.log.of("reconciled")) >= times, "the worker to reconcile")
        except TimeoutError as error:
            raise TimeoutError(f"{error}; log: {self.log.lines[-12:]}") from None

    async def dropped(self) -> None:
        """Cut the websocket; returns when the worker knows."""
        self.cable.closed = True
        before = len(self.log.of("ari.disconnected"))
        self.cable.cut()
        await wait_for(lambda: len(self.log.of("ari.disconnected")) > before, "the worker to notice")

    async def mended(self) -> None:
        """Let it connect again; returns when it has compared what it knows."""
        before = len(self.log.of("reconciled"))
        self.cable.closed = False
        await self.reconciled(before + 1)

    async def rest(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """A request past the worker: status and answer."""
        async with self._http.request(method, f"{self._url}/{path}", json=body) as response:
            text = await response.text()
            return response.status, await response.json() if text else None

    async def variable(self, channel: str, name: str) -> str | None:
        """A channel variable as it stands."""
        status, answer = await self.rest("GET", f"channels/{channel}/variable?variable={name}")
        return str(answer["value"]) if status == 200 else None

    async def in_dialplan(self, channel: str, limit: float = 10.0) -> None:
        """Wait until the channel goes on in the dialplan."""
        async with asyncio.timeout(limit):
            while (await self.rest("GET", f"channels/{channel}"))[1]["dialplan"]["app_name"] != "Wait":
                await asyncio.sleep(0.01)

    async def inside(self, channel: str) -> None:
        """Wait until the channel is in the application."""
        async with asyncio.timeout(10):
            while (
                channel not in (await self.rest("GET", "applications/tillit"))[1]["channel_ids"]
                or (await self.rest("GET", f"channels/{channel}"))[1]["dialplan"]["app_name"] != "Stasis"
            ):
                await asyncio.sleep(0.01)

    async def until(self, condition: Callable[[], bool], what: str, limit: float = 10.0) -> None:
        """Wait for a condition."""
        try:
            async with asyncio.timeout(limit):
                while not condition():
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise TimeoutError(f"waited {limit:g} s in vain for {what}: {self.log.lines[-10:]}") from None

    async def forgotten(self, call: Call) -> None:
        """The session ends without waiting for the call's end."""
        call.done.set()
        await self.until(lambda: call.channel not in self.telephony._lines, "the call to be forgotten")

    async def gone(self, path: str) -> None:
        """Wait until there is no such channel, bridge or playback."""
        async with asyncio.timeout(10):
            while (await self.rest("GET", path))[0] != 404:
                await asyncio.sleep(0.01)

    async def no_bridge(self) -> None:
        """Wait until no bridge is listed; Asterisk lists one for a moment after it has been destroyed."""
        async with asyncio.timeout(10):
            while (await self.rest("GET", "bridges"))[1]:
                await asyncio.sleep(0.01)

    async def empty(self) -> None:
        """Wait until no channel and no bridge is left."""
        left: list[Any] = []
        try:
            async with asyncio.timeout(10):
                while left := [*(await self.rest("GET", "channels"))[1], *(await self.rest("GET", "bridges"))[1]]:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise TimeoutError(f"left behind: {left}; log: {self.log.lines[-8:]}") from None

    async def call(self) -> Call:
        """A call comes in, and the worker has it."""
        caller = await self._calling()
        async with asyncio.timeout(10):
            line = await self._came.get()
        await line.answer()
        await self._answered(caller)
        return Call(line, caller, self._callers[line.caller.channel])

    @abstractmethod
    async def agent(self, name: str = "agent1") -> Agent:
        """A phone that is registered."""

    async def close(self) -> None:
        """End the worker."""
        await self.die()

    # ------------------------------------------------------------ inside

    @abstractmethod
    async def _calling(self) -> Caller: ...

    @abstractmethod
    async def _answered(self, caller: Caller) -> None: ...

    def _worker(self) -> tuple[Ari, Telephony, asyncio.Task[None] | None]:
        ari = Ari(
            url=self._url,
            username=USER,
            password=Secret(self._password),
            app="tillit",
            seconds=5.0,
            log=self.log.logger,
        )
        return (
            ari,
            Telephony(
                ari,
                node="node",
                seconds=5.0,
                country="SE",
                answer=self._answer,
                marked=self._marked,
                disown=self._disown,
                records=Records(self._recorded, self._take_up, self._settled),
                admits=lambda: self.admits,
                log=self.log.logger,
            ),
            None,
        )

    async def _marked(self) -> frozenset[str]:
        self.rounds += 1
        if self.marks_fail is not None:
            raise self.marks_fail
        return frozenset(self.marks)

    async def _disown(self, channel: str) -> bool:
        self.disowned.append(channel)
        if channel not in self.marks:
            return False
        self.marks.discard(channel)
        return True

    async def _settled(self) -> None:
        return

    async def _recorded(self) -> frozenset[str]:
        if self.records_fail is not None:
            raise self.records_fail
        return frozenset(self.records)

    async def _take_up(self, channel: str, gone: bool) -> Progress | None:
        self.gone_at[channel] = gone
        if self.take_up_fails is not None:
            raise self.take_up_fails
        return self.records.pop(channel, None)

    async def _answer(self, line: AriLine, taken: Progress | None) -> None:
        if taken is not None:
            self.taken[line.caller.channel] = (line, taken)
        done = self._callers[line.caller.channel] = asyncio.Event()
        if self.failure is not None:
            raise self.failure
        self._came.put_nowait(line)
        await done.wait()


# ---------------------------------------------------------------- scripted


class _ScriptedCaller:
    def __init__(self, model: Model, channel: Channel) -> None:
        self._model = model
        self._channel = channel

    async def press(self, keys: str) -> None:
        for event in digits(self._channel.id, keys):
            await self._model.server.emit(event)

    async def hang_up(self) -> None:
        await self._channel.hang_up()


class _ScriptedAgent:
    def __init__(self, fake: FakeAgent) -> None:
        self._fake = fake

    async def incoming(self) -> Invite:
        async with asyncio.timeout(10):
            _, fields = await self._fake.calls.get()
        name, _, number = fields["callerId"].rpartition(" <")
        header = fields["variables"].get(f"PJSIP_HEADER(add,{HEADER})")
        return Invite(header, name, number.rstrip(">"), [])

    async def answer(self) -> None:
        channel = self._fake.channel
        assert channel is not None and self._fake.timer is not None
        self._fake.timer.cancel()
        channel.state = "Up"
        await channel.enter(self._fake.args)

    async def busy(self) -> None:
        assert self._fake.channel is not None
        await self._fake.channel.hang_up(17)

    async def hang_up(self) -> None:
        assert self._fake.channel is not None
        await self._fake.channel.hang_up(16)

    async def ended(self) -> None:
        async with asyncio.timeout(10):
            await self._fake.ended.wait()


class ScriptedWorld(World):
    """On the scripted server."""

    async def agent(self, name: str = "agent1") -> Agent:
        fake = self.model.agents[name] = FakeAgent(name)
        return _ScriptedAgent(fake)

    async def close(self) -> None:
        await super().close()
        await self.model.close()

    async def _calling(self) -> Caller:
        return _ScriptedCaller(self.model, await self.model.incoming(NUMBER, ["inbound", "main"]))

    async def _answered(self, caller: Caller) -> None:
        return


# ---------------------------------------------------------------- real


class _RealCaller:
    def __init__(self, phone: Phone) -> None:
        self._phone = phone

    async def press(self, keys: str) -> None:
        await self._phone.send_digits(keys)

    async def hang_up(self) -> None:
        await self._phone.hang_up()

    async def answered(self) -> None:
        await self._phone.until("confirmed")


class _RealAgent:
    def __init__(self, phone: Phone) -> None:
        self._phone = phone

    async def incoming(self) -> Invite:
        event = await self._phone.incoming()
        return Invite(event.header(HEADER), event["name"], event["number"], [tuple(pair) for pair in event["headers"]])

    async def answer(self) -> None:
        await self._phone.answer()

    async def busy(self) -> None:
        await self._phone.busy()

    async def hang_up(self) -> None:
        await self._phone.hang_up()

    async def ended(self) -> None:
        await self._phone.until("disconnected")


class RealWorld(World):
    """On a real Asterisk, with real phones."""

    real = True
    pbx: Pbx

    async def agent(self, name: str = "agent1") -> Agent:
        return _RealAgent(await self._stack.enter_async_context(Phone(self.pbx.line(name))))

    async def close(self) -> None:
        await super().close()
        for channel in (await self.rest("GET", "channels"))[1]:
            await self.rest("DELETE", f"channels/{channel['id']}")
        for bridge in (await self.rest("GET", "bridges"))[1]:
            await self.rest("DELETE", f"bridges/{bridge['id']}")
        await self.empty()

    async def _calling(self) -> Caller:
        phone = await self._stack.enter_async_context(Phone(self.pbx.line("caller")))
        await phone.call("1", number=NUMBER)
        return _RealCaller(phone)

    async def _answered(self, caller: Caller) -> None:
        assert isinstance(caller, _RealCaller)
        await caller.answered()


@asynccontextmanager
async def scripted() -> AsyncIterator[World]:
    """A world on the scripted server."""
    async with AsyncExitStack() as stack:
        model = Model()
        server = await stack.enter_async_context(model.server)
        cable = await stack.enter_async_context(Cable(server.port))
        world = ScriptedWorld(cable, await _client(stack, PASSWORD), stack, PASSWORD)
        world.model = model
        async with _running(world):
            yield world


@asynccontextmanager
async def live(pbx: Pbx) -> AsyncIterator[World]:
    """A world on a real Asterisk."""
    async with AsyncExitStack() as stack:
        cable = await stack.enter_async_context(Cable(pbx.http_port))
        world = RealWorld(cable, await _client(stack, pbx.ari_password), stack, pbx.ari_password)
        world.pbx = pbx
        async with _running(world):
            yield world


async def _client(stack: AsyncExitStack, password: str) -> aiohttp.ClientSession:
    login = aiohttp.encode_basic_auth(USER, password)
    return await stack.enter_async_context(aiohttp.ClientSession(headers={"Authorization": login}))


@asynccontextmanager
async def _running(world: World) -> AsyncIterator[None]:
    await world.start()
    try:
        yield
    finally:
        await world.close()


__all__ = ["LONG", "MISSING", "NUMBER", "SHORT", "Agent", "Call", "Invite", "World", "live", "prompts", "scripted"]
