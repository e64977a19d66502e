"""`digits`: keys, stars, hashes, tones that are no keys, gaps and storms, before, during and after a question."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, ClassVar

from ivr.asterisk import inbox
from ivr.asterisk.inbox import Inbox
from ivr.call.digits import Asked, Entered, Form
from ivr.call.keypad import GaveUp, Keypad
from ivr.call.ports import Badge, Caller, Key, Leg, Played
from ivr.errors import Interrupted
from ivr.prompts import Prompt
from ivr.secret import Personal, Secret
from rig.fuzz.case import Finding, Timeless, logger
from rig.fuzz.source import Source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_KEYS = ("1", "2", "7", "0", "9", "*", "#", "A", "D", "", "12", "٣", "\0", "f")
_MOST_KEPT = 64


class _Channel:
    """A line whose prompts last two seconds; the keys lie in the real inbox. Implements `ports.Line` as far as a keypad needs it."""

    def __init__(self) -> None:
        self.inbox = Inbox()
        self.watchdog = 0.0
        self._playing: asyncio.TimerHandle | None = None

    @property
    def caller(self) -> Caller:
        return Caller("1.1", "pbx", None, "en", "main")

    @property
    def talked(self) -> bool:
        return False

    async def say(self, *prompts: Prompt, language: str) -> None:
        self.inbox.drop_played()
        await asyncio.sleep(0.01)
        self._stop()
        self._playing = asyncio.get_running_loop().call_later(2.0 * len(prompts), self.inbox.played)

    async def hush(self) -> None:
        self._stop()
        await asyncio.sleep(0.01)
        self.inbox.drop_played()

    async def receive(self, until: float | None) -> Key | Played | None:
        return await self.inbox.receive(until)

    def interrupt(self, error: Exception) -> None:
        self.inbox.interrupt(error)

    def drop_keys(self) -> None:
        self.inbox.drop_keys()

    def push_back(self, keys: Sequence[Key]) -> None:
        self.inbox.push_back(keys)

    async def allow(self, seconds: int) -> None:
        self.watchdog = asyncio.get_running_loop().time() + seconds

    def _stop(self) -> None:
        if self._playing is not None:
            self._playing.cancel()
            self._playing = None

    # what no keypad asks for

    def reconnect(self) -> None: ...

    async def answer(self) -> None: ...

    async def announce(self, variables: Mapping[str, str], display: Personal) -> None: ...

    async def verified(self) -> bool:
        return False

    async def music(self, *, on: bool) -> None: ...

    async def ring(self, endpoint: str, *, badge: Badge, seconds: int) -> Leg:
        raise AssertionError("a keypad calls no agent")

    async def join(self, leg: Leg) -> bool:
        raise AssertionError("a keypad calls no agent")

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        yield

    async def hand_back(self, *, watch: bool) -> None: ...

    async def ended(self) -> None: ...

    async def went_on(self) -> bool:
        return False

    async def hang_up(self) -> None: ...

    async def event(self, name: str, fields: Mapping[str, str]) -> None: ...


class Digits:
    """Implements `Target`."""

    name: ClassVar[str] = "digits"
    allowed: ClassVar[str] = (
        "an entry of digits within its lengths, `**` where it was offered, or giving up; before the watchdog, with at most 64 keys kept,"
        " and every digit of an entry was keyed"
    )

    def __init__(self) -> None:
        self._timeless = Timeless()
        inbox.monotonic = self._timeless.time  # type: ignore[attr-defined]  # so that its clock is the loop's

    def run(self, source: Source) -> int:
        self._timeless.run(self._case(source))
        return 1

    async def _case(self, source: Source) -> None:
        channel = _Channel()
        loop = asyncio.get_running_loop()
        keypad = Keypad(
            channel, language="en", slips=3, watchdog=30 + source.below(61), clock=loop.time, log=logger(())
        )
        least = 1 + source.below(8)
        form = Form(least, least + source.below(5), 5.0, 3.0, command=source.once_in(2))
        keyed: list[str] = []
        at = 0.0
        timers = []
        for _ in range(source.below(20)):
            key: str | None = source.pick(_KEYS)
            times = 1
            match source.below(32):
                case 0:
                    # more of one tone than anybody can key
                    times = source.below(400)
                case 1:
                    at += source.below(60)
                case 2:
                    key = None
                case _:
                    pass
            timers.append(loop.call_later(at, self._happen, channel, keyed, key, times))
            at += source.below(16) * 0.13
        before = source.below(3)
        if before == 1:
            await keypad.tell(Prompt.WELCOME)
        elif before == 2:
            await keypad.pause(Prompt.TEXT_SOON, source.below(90))
        for _ in range(1 + source.below(2)):
            entry = await keypad.ask("entry", (Prompt.ASK_PIN,), form)
            self._judge(entry, form, "".join(keyed))
            if loop.time() > channel.watchdog:
                raise Finding("the watchdog would have taken the call")
            if len(channel.inbox._items) > _MOST_KEPT:
                raise Finding("more keys are kept than anybody keys ahead")
        for timer in timers:
            timer.cancel()
        channel._stop()

    @staticmethod
    def _happen(channel: _Channel, keyed: list[str], key: str | None, times: int) -> None:
        if key is None:
            channel.interrupt(Interrupted("1.1"))
            return
        for _ in range(times):
            keyed.append(key)
            channel.inbox.key(Secret(key))

    @staticmethod
    def _judge(entry: Entered | Asked | GaveUp, form: Form, keyed: str) -> None:
        match entry:
            case Entered(digits, full):
                text = digits.reveal()
                if not form.least <= len(text) <= form.most or (full and len(text) != form.most):
                    raise Finding("an entry that is too short or too long")
                rest = iter(keyed)
                if not all(digit in rest for digit in text):
                    raise Finding("an entry that nobody has keyed")
            case Asked() if not form.command:
                raise Finding("two stars where nothing was offered")
            case _:
                pass
