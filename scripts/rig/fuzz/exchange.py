"""As much of Asterisk as a worker needs to go on, in memory: channels, playbacks, bridges, and the events they cause.

What it answers and tells can be spoiled on the way: see `wire.py`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from ivr.prompts import Prompt

PROMPT = 2.0
"""Seconds that what is played lasts."""

Json = dict[str, Any]
Answer = tuple[int, object]


@dataclass
class Channel:
    """One, inside of the application or behind it in the dialplan."""

    id: str
    args: tuple[str, ...]
    number: str = "+46701740601"
    inside: bool = True
    variables: Json = field(default_factory=dict)

    def told(self) -> Json:
        """As Asterisk describes it."""
        app = "Stasis" if self.inside else "Queue"
        return {
            "id": self.id, "state": "Up", "language": "en", "caller": {"number": self.number, "name": ""},
            "dialplan": {"app_name": app, "app_data": ",".join(("tillit", *self.args))},
        }  # fmt: skip


class Exchange:
    """Answers requests and tells of events. `tell` takes each event on its way to the websocket."""

    def __init__(self, tell: Callable[[Json], None], announced: Callable[[str, Json], None]) -> None:
        """`announced` hears of variables that are set on a channel."""
        self.channels: dict[str, Channel] = {}
        self.bridges: dict[str, Json] = {}
        self.playing: dict[str, str] = {}
        self._tell = tell
        self._announced = announced
        self._timers: set[asyncio.TimerHandle] = set()

    def enter(self, channel: Channel, **more: object) -> None:
        """It enters the application."""
        self.channels[channel.id] = channel
        self._tell({"type": "StasisStart", "args": list(channel.args), "channel": channel.told(), **more})

    def leave(self, id: str) -> None:
        """It goes on in the dialplan."""
        channel = self.channels.get(id)
        if channel is not None and channel.inside:
            channel.inside = False
            self._tell({"type": "StasisEnd", "channel": channel.told()})

    def destroy(self, id: str, cause: int = 16) -> None:
        """It is gone."""
        channel = self.channels.pop(id, None)
        if channel is None:
            return
        for playback in [name for name, on in self.playing.items() if on == id]:
            self.stop(playback, "failed")
        for bridge in self.bridges.values():
            bridge["channels"] = [member for member in bridge["channels"] if member != id]
        if channel.inside:
            self._tell({"type": "StasisEnd", "channel": channel.told()})
        self._tell({"type": "ChannelDestroyed", "channel": channel.told(), "cause": cause})

    def stop(self, playback: str, state: str = "done") -> None:
        """What is played is over."""
        channel = self.playing.pop(playback, None)
        if channel is not None:
            told = {"id": playback, "target_uri": f"channel:{channel}", "state": state, "media_uri": "sound:x"}
            self._tell({"type": "PlaybackFinished", "playback": told})

    def close(self) -> None:
        """Nothing happens by itself any more."""
        for timer in self._timers:
            timer.cancel()

    def answer(self, method: str, path: str, body: Json) -> Answer:
        """Status and body."""
        path, _, query = path.partition("?")
        match method, *path.split("/"):
            case "GET", "channels":
                return 200, [channel.told() for channel in self.channels.values()]
            case "GET", "bridges":
                return 200, list(self.bridges.values())
            case "GET", "asterisk", "info":
                system = {"version": "22.10.1", "entity_id": "pbx"}
                return 200, {"system": system, "config": {"default_language": "en"}}
            case "GET", "sounds":
                names = [f"tillit/{prompt.value}" for prompt in Prompt]
                return 200, [{"id": name, "formats": [{"language": "en", "format": "wav"}]} for name in names]
            case _, "applications" | "events", *_:
                return 200, {"name": "tillit"}
            case "DELETE", "playbacks", name:
                known = name in self.playing
                self.stop(name)
                return (204, None) if known else (404, None)
            case "POST", "channels":
                # nobody has picked it up yet: it enters when somebody does
                self.channels[body["channelId"]] = Channel(body["channelId"], ("agent",), inside=False)
                return 200, {}
            case "POST", "bridges", name:
                self.bridges[name] = {"id": name, "name": body.get("name"), "channels": []}
                return 200, {}
            case "POST", "bridges", name, "addChannel":
                self.bridges[name]["channels"] += body["channel"]
                return 204, None
            case "DELETE", "bridges", name:
                return (404, None) if self.bridges.pop(name, None) is None else (204, None)
            case _, "channels", id, *what if id in self.channels:
                return self._of_channel(method, self.channels[id], "/".join(what), query, body)
        return 404, None

    def _of_channel(self, method: str, channel: Channel, what: str, query: str, body: Json) -> Answer:
        if not channel.inside and (method, what) not in (("GET", ""), ("DELETE", "")):
            return 409, None
        match method, what.partition("/")[0]:
            case "GET", "":
                return 200, channel.told()
            case "DELETE", "":
                self._later(0.05, lambda: self.destroy(channel.id))
            case "POST", "play":
                name = what.partition("/")[2]
                self.playing[name] = channel.id
                self._later(PROMPT, lambda: self.stop(name))
                return 201, {"id": name}
            case "POST", "continue":
                self._later(0.01, lambda: self.leave(channel.id))
            case "POST", "variables":
                self._announced(channel.id, body["variables"])
                channel.variables |= body["variables"]
            case "GET", "variables":
                wanted = query.removeprefix("variables=").replace("%2C", ",").split(",")
                return 200, {"variables": {name: channel.variables.get(name) for name in wanted}}
            case "GET", "variable":
                return 404, None
            case _:
                pass
        return 204, None

    def _later(self, seconds: float, happens: Callable[[], None]) -> None:
        self._timers.add(asyncio.get_running_loop().call_later(seconds, happens))


# ---------------------------------------------------------------- what `Ari` takes for aiohttp


class Socket:
    """A websocket's near end."""

    def __init__(self, asked: Callable[[Json], None]) -> None:
        self.closed = False
        self._asked = asked
        self._frames: deque[str] = deque()
        self._news = asyncio.Event()

    def feed(self, frame: str) -> None:
        """A frame comes in."""
        self._frames.append(frame)
        self._news.set()

    async def send_str(self, data: str) -> None:
        if self.closed:
            raise ConnectionResetError
        self._asked(orjson.loads(data))

    async def close(self) -> None:
        self.closed = True
        self._news.set()

    def __aiter__(self) -> Socket:
        return self

    async def __anext__(self) -> aiohttp.WSMessage:
        while not self._frames:
            if self.closed:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, self._frames.popleft(), None)


class Replied:
    """An answer by HTTP; `None` never comes."""

    def __init__(self, answer: tuple[int, bytes] | None) -> None:
        self.status, self._body = answer or (0, b"")
        self._comes = answer is not None

    async def __aenter__(self) -> Replied:
        if not self._comes:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(0.001)
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    @property
    def content(self) -> Replied:
        """What the body is read from."""
        return self

    async def readany(self) -> bytes:
        body, self._body = self._body, b""
        return body
