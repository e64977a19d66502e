"""A softphone for tests and the demo: asyncio's side of `rig.softphone`.

async with Phone(pbx.line("agent1")) as agent, Phone(pbx.line("caller")) as caller:
    await caller.call("100", number="+46701234567")
    offer = await agent.incoming()
    await agent.answer()
    await caller.until("confirmed")
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rig import audio, sip
from rig.link import Link
from rig.state import RigError

Method = Literal["rfc4733", "info", "inband"]

# A phone's first command waits for its process to start, and a busy machine delays all; it is reached only by what fails.
_LIMIT = 15.0
_RENEGOTIATE_LIMIT = 2.0
_POLL = 0.05


@dataclass(frozen=True)
class Line:
    """What a phone needs to be one endpoint of a PBX; `Pbx.line` makes it."""

    user: str
    password: str
    server_port: int
    registers: bool
    folder: Path
    # A command that the phone is started by, such as one that brings it into another network.
    within: tuple[str, ...] = ()


@dataclass(eq=False)
class Event:
    """What a phone reported: registered, incoming, ringing, media, confirmed, connected_line, digit, digits_sent,
    heard_digit, transfer or disconnected. `at` is `time.monotonic()` of the phone, the same clock as ours."""

    kind: str
    at: float
    call: int | None
    data: dict[str, Any]
    used: bool = field(default=False, repr=False)

    def __getitem__(self, name: str) -> Any:
        return self.data[name]

    def header(self, name: str) -> str | None:
        """The first header of that name in the message behind this event; None without."""
        return sip.first(self.data["headers"], name)

    def headers(self, name: str) -> list[str]:
        """All headers of that name."""
        return [value for header, value in self.data["headers"] if header.lower() == name.lower()]


class Phone:
    """One softphone. Its commands act on the call that came or was made last, or on the given one.

    Each event is given out once: a second `until("confirmed")` waits for a second one.
    """

    _serial = itertools.count(1)

    def __init__(self, line: Line, *, recorded: bool = True) -> None:
        """`recorded`: whether what is heard is kept; a call that stays for hours would fill the disk."""
        self.line = line
        self._recorded = recorded
        self.events: list[Event] = []
        self.current: int | None = None
        self._news = asyncio.Event()
        self._stem = line.folder / f"{line.user}-{os.getpid()}-{next(Phone._serial)}"
        self._link = Link(f"phone {line.user}", self._stem, self._happened, line.within)

    async def start(self) -> None:
        """Start the phone; an agent's phone is registered when this returns."""
        settings = {
            "user": self.line.user, "password": self.line.password, "server_port": self.line.server_port,
            "log": f"{self._stem}.log", "recordings": str(self._stem) if self._recorded else "",
        }  # fmt: skip
        await self._link.start(settings)
        if self.line.registers:
            await self._link.ask("register", limit=_LIMIT)
            event = await self._wait(lambda event: event.kind.endswith("registered"), "its registration", _LIMIT)
            if event.kind != "registered":
                raise RigError(f"{self.line.user} could not register: {event['code']} {event['reason']}")

    async def close(self) -> None:
        """Hang up, unregister and end the process."""
        await self._link.close()

    async def call(
        self,
        extension: str,
        *,
        number: str | None = None,
        name: str = "",
        anonymous: bool = False,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ) -> int:
        """Call an extension and return the call; `number` and `name` are what the caller presents."""
        identity = None
        if anonymous:
            identity = '"Anonymous" <sip:anonymous@anonymous.invalid>'
        elif number is not None or name:
            quoted = name.replace("\\", "\\\\").replace('"', '\\"')
            identity = f'"{quoted}" <sip:{number or self.line.user}@127.0.0.1:{self.line.server_port}>'
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        if anonymous:
            pairs.append(("Privacy", "id"))
        reply = await self._link.ask("call", limit=_LIMIT, to=extension, headers=pairs, **{"from": identity})
        self.current = int(reply["call"])
        return self.current

    async def incoming(self, timeout: float = _LIMIT) -> Event:
        """Wait for a call to this phone: `event["name"]`, `event["number"]`, `event.header("X-…")`."""
        event = await self._wait(lambda event: event.kind == "incoming", "an incoming call", timeout)
        self.current = event.call
        return event

    async def ring(self, call: int | None = None) -> None:
        """Say 180 and keep ringing. A phone that says nothing at all is one that ignores the call."""
        await self._link.ask("answer", call=self._pick(call), code=180)

    async def answer(self, call: int | None = None) -> None:
        """Pick up, and wait until both sides know."""
        chosen = self._pick(call)
        await self._link.ask("answer", call=chosen, code=200)
        await self.until("confirmed", call=chosen)

    async def busy(self, call: int | None = None) -> None:
        """Refuse with 486."""
        await self._link.ask("answer", call=self._pick(call), code=486)

    async def decline(self, call: int | None = None) -> None:
        """Refuse with 603."""
        await self._link.ask("answer", call=self._pick(call), code=603)

    async def hang_up(self, call: int | None = None) -> None:
        """End the call, and wait until it has ended, by whichever side was first."""
        chosen = self._pick(call)
        try:
            await self._link.ask("hang_up", call=chosen)
        except RigError:
            if not any(event.kind == "disconnected" and event.call == chosen for event in self.events):
                raise
            return
        await self.until("disconnected", call=chosen)

    async def hold(self, call: int | None = None) -> None:
        """Put the other side on hold."""
        await self._renegotiate("hold", self._pick(call))

    async def resume(self, call: int | None = None, headers: Mapping[str, str] | None = None) -> None:
        """Take the other side back from hold, or only send a re-INVITE, with these headers besides its own."""
        await self._renegotiate("resume", self._pick(call), headers=list((headers or {}).items()))

    async def transfer(self, to: str = "", *, to_call: int | None = None, call: int | None = None) -> None:
        """Send the other side on to extension `to`, or connect it to the other side of `to_call`."""
        await self._link.ask("transfer", call=self._pick(call), to=to, to_call=to_call)

    async def send_digits(
        self, digits: str, method: Method = "rfc4733", *, on: int = 100, off: int = 100, call: int | None = None
    ) -> Event:
        """Key digits, each `on` ms long with `off` ms between; return when the last has ended (`.at`).

        By `info` a digit goes out at once and `on` is only stated. Digits 50 ms apart or less are emulated by
        Asterisk, and ARI then reports them twice.
        """
        chosen = self._pick(call)
        await self._link.ask("digits", call=chosen, digits=digits, method=method, on=on, off=off)
        return await self.until("digits_sent", len(digits) * (on + off) / 1000 + 5, call=chosen)

    async def play_tone(self, hertz: int, call: int | None = None) -> None:
        """Play a steady tone to the other side until `silence`."""
        await self._link.ask("tone", call=self._pick(call), hertz=hertz)

    async def play(self, file: Path, call: int | None = None, *, loop: bool = False) -> None:
        """Play a WAV file (16 bit mono) to the other side, once or over and over."""
        await self._link.ask("play", call=self._pick(call), file=str(file), loop=loop)

    async def silence(self, call: int | None = None) -> None:
        """Stop playing."""
        await self._link.ask("silence", call=self._pick(call))

    def freeze(self) -> None:
        """Send nothing at all from now on, and take nothing, until `thaw`."""
        self._link.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        self._link.signal(signal.SIGCONT)

    def recording(self, call: int | None = None) -> Path:
        """The WAV file of what was heard on a call; there is none before its `media` event."""
        return Path(f"{self._stem}-{self._pick(call)}.wav")

    def mark(self, call: int | None = None) -> int:
        """The place in the recording that was reached, to give to `hears` and `heard` as `since`."""
        return len(audio.samples(self.recording(call)))

    def heard(
        self, tone: float | None = None, *, since: int = 0, call: int | None = None, seconds: float = 0.2
    ) -> bool:
        """Whether there was sound (or this tone, in Hz) for that long."""
        samples = audio.samples(self.recording(call))[since:]
        return audio.has_sound(samples, seconds) if tone is None else audio.has_tone(samples, tone, seconds)

    async def hears(
        self,
        tone: float | None = None,
        timeout: float = _LIMIT,
        *,
        since: int = 0,
        call: int | None = None,
        seconds: float = 0.2,
    ) -> None:
        """Wait until there is sound (or this tone, in Hz) for that long."""
        end = time.monotonic() + timeout
        while not self.heard(tone, since=since, call=call, seconds=seconds):
            if time.monotonic() > end:
                loudness = [round(level) for level in audio.levels(audio.samples(self.recording(call)))[-20:]]
                raise TimeoutError(
                    f"{self._in_vain(f'a tone of {tone} Hz' if tone else 'any sound', timeout)}; "
                    f"loudness of its last 2 s: {loudness}"
                )
            await asyncio.sleep(_POLL)

    async def until(self, kind: str, timeout: float = _LIMIT, *, call: int | None = None, **fields: object) -> Event:
        """Wait for an event of this kind on the call, with these fields (`code=486`)."""
        chosen = self._pick(call)

        def fits(event: Event) -> bool:
            wanted = event.kind == kind and event.call in (None, chosen)
            return wanted and all(event.data.get(name) == value for name, value in fields.items())

        return await self._wait(fits, f"{kind!r} {fields or ''} on call {chosen}", timeout)

    async def __aenter__(self) -> Phone:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _pick(self, call: int | None) -> int:
        chosen = self.current if call is None else call
        if chosen is None:
            raise RigError(f"phone {self.line.user} has no call yet: call() or await incoming() first")
        return chosen

    async def _renegotiate(self, do: str, call: int, **how: Any) -> None:
        # pjsip refuses while another re-INVITE is under way, as when the PBX changes the display name.
        end = time.monotonic() + _RENEGOTIATE_LIMIT
        while True:
            try:
                await self._link.ask(do, call=call, **how)
                return
            except RigError:
                if time.monotonic() > end:
                    raise
            await asyncio.sleep(_POLL)

    def _happened(self, message: dict[str, Any]) -> None:
        self.events.append(Event(message.pop("event"), message.pop("at"), message.pop("call"), message))
        self._news.set()

    async def _wait(self, fits: Callable[[Event], bool], what: str, limit: float) -> Event:
        try:
            async with asyncio.timeout(limit):
                while True:
                    self._news.clear()
                    for event in self.events:
                        if not event.used and fits(event):
                            event.used = True
                            return event
                    await self._news.wait()
        except TimeoutError:
            raise TimeoutError(self._in_vain(what, limit)) from None

    def _in_vain(self, what: str, limit: float) -> str:
        seen = ", ".join(
            f"{event.kind}({event.call}) {event.data.get('code', '')}".strip() for event in self.events[-6:]
        )
        return (
            f"phone {self.line.user} waited {limit:g} s in vain for {what}; "
            f"last seen: {seen or 'nothing'} (log: {self._stem}.log)"
        )
