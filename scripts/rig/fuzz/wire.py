"""The wire between `exchange.py` and the worker of `ari.py`: what is said is cut, changed, lost, repeated or held back on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import orjson

from rig.fuzz.exchange import Exchange, Json, Replied, Socket
from rig.fuzz.source import Source

URL = "http://127.0.0.1/ari"


@dataclass
class Spoiled:
    """What becomes of what Asterisk says: of the next so many events and answers."""

    lost: int = 0
    twice: int = 0
    held: int = 0
    answers: int = 0


class Wire:
    """What `Ari` takes for aiohttp's session, with an exchange at its other end.

    `frames` counts what came in by a websocket, `seen` has the events of the exchange in their order. A request with one
    of `secrets` in it is a fault.
    """

    def __init__(
        self, source: Source, announced: Callable[[str, Json], None], secrets: Iterable[str], faults: list[str]
    ) -> None:
        """`announced` hears of variables that are set on a channel."""
        self.spoiled = Spoiled()
        self.frames = 0
        self.seen: list[Json] = []
        self._source = source
        self._secrets = tuple(secrets)
        self._faults = faults
        self._sockets: list[Socket] = []
        self._held: list[Json] = []
        self.exchange = Exchange(self.tell, announced)

    # ------------------------------------------------------------ towards the worker

    def tell(self, event: Json) -> None:
        """An event, on its way to the websocket."""
        self.seen.append(event)
        spoiled = self.spoiled
        if spoiled.lost:
            spoiled.lost -= 1
        elif spoiled.held:
            spoiled.held -= 1
            self._held.append(event)
        else:
            self.feed_json(event)
            if spoiled.twice:
                spoiled.twice -= 1
                self.feed_json(event)

    def release(self) -> None:
        """What was held back comes, the last first."""
        held, self._held = self._held, []
        for event in reversed(held):
            self.feed_json(event)

    def feed_json(self, event: Json) -> None:
        """A frame; now and then it is cut."""
        try:
            frame = orjson.dumps(event).decode()
        except TypeError:
            # JSON can have greater numbers than this library writes; they are among the odd frames
            return
        if self._source.once_in(40):
            frame = frame[: self._source.below(len(frame) + 1)]
        self.feed(frame)

    def feed(self, frame: str) -> None:
        """A frame, as it is."""
        self.frames += 1
        if self._sockets and not self._sockets[-1].closed:
            self._sockets[-1].feed(frame)

    async def break_off(self) -> None:
        """The connection is gone."""
        if self._sockets:
            await self._sockets[-1].close()

    def changed(self, event: Json) -> Json:
        """A copy in which one thing is another one, or missing."""
        whole: Json = orjson.loads(orjson.dumps(event))
        place = whole
        for _ in range(3):
            inner = [value for value in place.values() if isinstance(value, dict)]
            if not inner or self._source.once_in(2):
                break
            place = self._source.pick(inner)
        name = self._source.pick(sorted(place)) if place else ""
        if self._source.once_in(3):
            place.pop(name, None)
        else:
            place[name] = self._source.value()
        return whole

    # ------------------------------------------------------------ towards the exchange: what `Ari` asks aiohttp for

    async def ws_connect(self, url: str, **_: object) -> Socket:
        socket = Socket(self._asked)
        self._sockets.append(socket)
        return socket

    def request(self, method: str, url: str, *, json: Json | None, **_: object) -> Replied:
        return Replied(self._replied(method, url.removeprefix(f"{URL}/"), json or {}))

    def _asked(self, frame: Json) -> None:
        body = orjson.loads(frame["message_body"]) if "message_body" in frame else {}
        replied = self._replied(frame["method"], frame["uri"], body)
        if replied is not None:
            answer: Json = {"type": "RESTResponse", "request_id": frame["request_id"], "status_code": replied[0]}
            self.feed(orjson.dumps({**answer, "message_body": replied[1].decode()}).decode())

    def _replied(self, method: str, path: str, body: Json) -> tuple[int, bytes] | None:
        """What Asterisk answers; None: nothing, ever."""
        if any(secret in repr(body) or secret in path for secret in self._secrets):
            self._faults.append("a secret in a request")
        status, said = self.exchange.answer(method, path, body)
        if self.spoiled.answers:
            self.spoiled.answers -= 1
            match self._source.below(5):
                case 0:
                    return None
                case 1:
                    return status, self._source.pick(
                        (b"{", b"[{}]", b"[1]", b'[{"id":1,"channels":[{}]}]', b"null", b"[" * 3000)
                    )
                case 2:
                    return status, orjson.dumps(said if self._source.once_in(2) else self._source.text(9))
                case _:
                    return self._source.pick((500, 404, 409, 412, 422, 503, 302)), b"{}"
        return status, b"" if said is None else orjson.dumps(said)
