"""As much of a PBX behind `AriServer` as the worker sees of one: channels that do one thing after another.

Each oddity here was seen on a real Asterisk, against which the same tests run.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any
from urllib.parse import unquote

from tests.contract.ari_server import Answer, AriServer, Asked, digit

# What is said to a request about a channel that is not there, or not in the application.
_GONE: Answer = (404, {"message": "Channel not found"})
_OUTSIDE: Answer = (409, {"message": "Channel not in Stasis application"})
_MISSING: Answer = (404, {"message": "Not found"})
_DONE: Answer = (204, None)
_SHORT = 0.02


class Channel:
    """One channel; its commands are done one after another, and a playback is one of them."""

    def __init__(self, pbx: Model, name: str, number: str) -> None:
        self.pbx = pbx
        self.id = name
        self.number = number
        self.inside = False
        self.state = "Ring"
        self.application = "Stasis"
        self.app_data = ""
        self.variables: dict[str, str] = {"TIMEOUT(absolute)": "0"}
        self.subscribed = False
        self.agent: FakeAgent | None = None
        self.ended = asyncio.Event()
        self._queue: deque[Callable[[], Awaitable[None]]] = deque()
        self._news = asyncio.Event()
        self._runner = asyncio.ensure_future(self._run())

    def snapshot(self) -> dict[str, Any]:
        """As ARI describes a channel."""
        return {
            "id": self.id, "name": self.id, "state": self.state, "language": "en",
            "caller": {"name": "", "number": self.number}, "connected": {"name": "", "number": ""},
            "dialplan": {"context": "callers", "exten": "1", "priority": 1, "app_name": self.application, "app_data": self.app_data},
        }  # fmt: skip

    async def do(self, command: Callable[[], Awaitable[None]]) -> Answer:
        """Wait until all before it is done, then do it."""
        done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        async def work() -> None:
            await command()
            if not done.done():
                done.set_result(_DONE)

        self.later(work)
        gone = asyncio.ensure_future(self.ended.wait())
        either: list[asyncio.Future[Any]] = [done, gone]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        return done.result() if done.done() else _GONE

    def later(self, command: Callable[[], Awaitable[None]]) -> None:
        """Do it when all before it is done."""
        self._queue.append(command)
        self._news.set()

    async def hang_up(self, cause: int = 16) -> None:
        """It is gone, and so is all that it was doing."""
        if self.ended.is_set():
            return
        self._runner.cancel()
        self.ended.set()
        del self.pbx.channels[self.id]
        for bridge in self.pbx.bridges.values():
            if self.id in bridge:
                bridge.remove(self.id)
        for playback in [playback for playback in self.pbx.playbacks if playback.channel is self]:
            await playback.end("failed")
        was_inside, self.inside = self.inside, False
        if was_inside:
            await self.pbx.tell("StasisEnd", channel=self.snapshot())
        if self.subscribed:
            # behind StasisEnd the cause is no longer told
            await self.pbx.tell(
                "ChannelDestroyed", cause=0 if was_inside else cause, cause_txt="", channel=self.snapshot()
            )
        if self.agent is not None:
            self.agent.hung_up()

    async def enter(self, args: list[str]) -> None:
        """Into the application; where no worker is connected, out again at once."""
        if not self.pbx.server.sockets:
            if self.agent is not None:
                await self.hang_up()
            self.application = "Wait"
            return
        self.inside, self.application = True, "Stasis"
        self.app_data = ",".join([self.pbx.server.sockets[-1].app, *args])
        await self.pbx.tell("StasisStart", args=args, channel=self.snapshot())

    async def leave(self) -> None:
        """On in the dialplan."""
        if self.inside:
            self.inside, self.application, self.app_data = False, "Wait", "60"
            await self.pbx.tell("StasisEnd", channel=self.snapshot())

    async def _run(self) -> None:
        while True:
            while not self._queue:
                self._news.clear()
                await self._news.wait()
            await self._queue.popleft()()


class Playback:
    """One playback: short, long (it plays until it is stopped), or of a file that is not there."""

    def __init__(self, channel: Channel, name: str, media: list[str]) -> None:
        self.channel = channel
        self.id = name
        self.media = media
        self.state = "queued"
        self.stopped = asyncio.Event()

    async def play(self) -> None:
        """Play it to its end."""
        if self.stopped.is_set():
            await self.end("done")
            return
        self.state = "playing"
        missing = any("no-agent" in media for media in self.media)
        if not missing:
            limit = None if any("welcome" in media for media in self.media) else _SHORT
            try:
                async with asyncio.timeout(limit):
                    await self.stopped.wait()
            except TimeoutError:
                pass
        await self.end("failed" if missing else "done")

    async def end(self, state: str) -> None:
        """It is over."""
        if self in self.channel.pbx.playbacks:
            self.channel.pbx.playbacks.remove(self)
            self.state = state
            await self.channel.pbx.tell(
                "PlaybackFinished",
                playback={
                    "id": self.id, "media_uri": self.media[-1], "target_uri": f"channel:{self.channel.id}",
                    "language": "en", "state": state,
                },
            )  # fmt: skip


class FakeAgent:
    """An agent's phone that is registered."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls: asyncio.Queue[tuple[Channel, dict[str, Any]]] = asyncio.Queue()
        self.channel: Channel | None = None
        self.args: list[str] = []
        self.ended = asyncio.Event()
        self.timer: asyncio.TimerHandle | None = None

    def hung_up(self) -> None:
        """The PBX has ended the call."""
        self.ended.set()
        if self.timer is not None:
            self.timer.cancel()


class Model:
    """The PBX itself."""

    def __init__(self) -> None:
        self.server = AriServer(self.handle)
        self.channels: dict[str, Channel] = {}
        self.bridges: dict[str, list[str]] = {}
        self.names: dict[str, str] = {}
        self.playbacks: list[Playback] = []
        self.agents: dict[str, FakeAgent] = {}
        self.user_events: list[dict[str, Any]] = []
        self._numbers = count(1)
        self._tasks: set[asyncio.Task[object]] = set()

    async def tell(self, kind: str, **fields: Any) -> None:
        """An event to whoever listens now; to nobody else, ever."""
        await self.server.emit(
            {**digit("", "1"), **dict.fromkeys(("channel", "digit", "duration_ms")), "type": kind, **fields}
        )

    async def incoming(self, number: str, args: list[str]) -> Channel:
        """A call that the dialplan hands to the application."""
        name = f"17{next(self._numbers):08}.{next(self._numbers)}"
        channel = self.channels[name] = Channel(self, name, number)
        await channel.enter(args)
        return channel

    def spawn(self, work: Any) -> None:
        """Do it meanwhile."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End every call."""
        for channel in list(self.channels.values()):
            await channel.hang_up()
        for task in list(self._tasks):
            task.cancel()

    # ------------------------------------------------------------ requests

    async def handle(self, asked: Asked) -> Answer:
        """What Asterisk does and answers."""
        parts = [unquote(part) for part in asked.path.split("/")]
        match asked.method, parts:
            case "GET", ["applications", name]:
                ids = [channel.id for channel in self.channels.values() if channel.inside or channel.subscribed]
                return 200, {"name": name, "channel_ids": ids, "bridge_ids": [], "endpoint_ids": [], "device_names": []}
            case "POST", ["applications", _, "subscription"]:
                found = self.channels.get(asked.fields["eventSource"].removeprefix("channel:"))
                if found is None:
                    return 422, {"message": "Event source does not exist"}
                found.subscribed = True
                return 200, {}
            case "GET", ["channels"]:
                return 200, [channel.snapshot() for channel in self.channels.values()]
            case "POST", ["channels"]:
                return await self._originate(asked.fields)
            case "GET", ["bridges"]:
                return 200, [self._bridge(bridge) for bridge in self.bridges]
            case "GET", ["bridges", bridge] if bridge in self.bridges:
                return 200, self._bridge(bridge)
            case "POST", ["bridges", bridge]:
                self.bridges.setdefault(bridge, [])
                self.names[bridge] = asked.fields.get("name", "")
                return 200, self._bridge(bridge)
            case "DELETE", ["bridges", bridge] if bridge in self.bridges:
                del self.bridges[bridge]
                return _DONE
            case "POST", ["bridges", bridge, "addChannel"]:
                return await self._add(bridge, asked.fields["channel"])
            case "DELETE", ["playbacks", name]:
                for playback in self.playbacks:
                    if playback.id == name:
                        playback.stopped.set()
                        return _DONE
                return _MISSING
            case "GET", ["playbacks", name] if any(playback.id == name for playback in self.playbacks):
                return 200, {"id": name}
            case "POST", ["events", "user", name]:
                source = asked.fields.get("source")
                if source is not None and source.removeprefix("channel:") not in self.channels:
                    return 422, {"message": "Event source was not found"}
                if source is not None:
                    self.user_events.append({"name": name, **asked.fields["variables"]})
                return _DONE
            case method, ["channels", name, *what]:
                channel = self.channels.get(name)
                return _GONE if channel is None else await self._on_channel(channel, method, what, asked.fields)
            case _:
                return _MISSING

    async def _on_channel(self, channel: Channel, method: str, what: list[str], fields: dict[str, Any]) -> Answer:
        match method, what:
            case "GET", []:
                return 200, channel.snapshot()
            case "DELETE", []:
                await channel.hang_up()
                return _DONE
            case "GET", ["variable"]:
                value = channel.variables.get(fields["variable"])
                return _MISSING if value is None else (200, {"value": value})
            case "GET", ["variables"]:
                names = fields["variables"].split(",")
                if any(name not in channel.variables for name in names):
                    return _MISSING
                return 200, {"variables": {name: channel.variables[name] for name in names}}
            case _ if not channel.inside:
                return _OUTSIDE
            case "POST", ["answer"]:

                async def up() -> None:
                    channel.state = "Up"

                return await channel.do(up)
            case "POST", ["variable" | "variables" as one]:
                new = {fields["variable"]: fields["value"]} if one == "variable" else fields["variables"]

                async def put() -> None:
                    channel.variables.update(new)

                return await channel.do(put)
            case "POST", ["play", name]:
                playback = Playback(channel, name, fields["media"])
                self.playbacks.append(playback)
                channel.later(playback.play)
                return 201, {"id": name}
            case "POST", ["continue"]:
                channel.later(channel.leave)
                return _DONE
            case "POST" | "DELETE", ["moh"]:
                return _DONE
            case _:
                return _MISSING

    def _bridge(self, name: str) -> dict[str, Any]:
        return {"id": name, "name": self.names[name], "channels": list(self.bridges[name])}

    async def _add(self, bridge: str, names: list[str]) -> Answer:
        if bridge not in self.bridges:
            return 404, {"message": "Bridge not found"}
        for name in names:
            if name not in self.channels:
                return 400, {"message": "Channel not found"}
            if not self.channels[name].inside:
                return 422, {"message": "Channel not in Stasis application"}
        for name in names:

            async def join(name: str = name) -> None:
                if bridge in self.bridges:
                    self.bridges[bridge].append(name)

            await self.channels[name].do(join)
        return _DONE

    async def _originate(self, fields: dict[str, Any]) -> Answer:
        agent = self.agents.get(fields["endpoint"].removeprefix("PJSIP/"))
        if agent is None:
            return 500, {"error": "Allocation failed"}
        channel = self.channels[fields["channelId"]] = Channel(self, fields["channelId"], "")
        channel.state, channel.subscribed, channel.agent = "Ringing", True, agent
        agent.channel, agent.args = channel, [fields["appArgs"]]
        agent.ended.clear()
        loop = asyncio.get_running_loop()
        agent.timer = loop.call_later(fields["timeout"], lambda: self.spawn(channel.hang_up(19)))
        agent.calls.put_nowait((channel, fields))
        return 200, channel.snapshot()
