"""Asks the caller to key something: plays, collects, asks again after a slip."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

from structlog.typing import FilteringBoundLogger

from ivr.call.digits import Asked, Collector, Ending, Entered, Form, Slip, Slipped
from ivr.call.ports import Clock, Key, Line, Played
from ivr.errors import HungUp, Interrupted, Unavailable
from ivr.prompts import Prompt
from ivr.secret import Secret

T = TypeVar("T")

# A prompt lasts 15 s at most; a test of the catalogue holds it to that.
_PROMPT_SECONDS = 15
# The watchdog is set anew when so much is left of it, so that it never takes a call from a worker that is alive.
_GRACE_SECONDS = 15
# It is not set anew for what follows upon so little.
_FRESH_SECONDS = 5
# How long it is waited before what Asterisk did not do is tried again.
_AGAIN_SECONDS = 1
_STAR = Secret("*")


@dataclass(frozen=True, slots=True)
class GaveUp:
    """Nothing whole was keyed, however often it was asked for."""


def _told_to_nobody(_: int, __: Form) -> None:
    """Nobody waits for the caller."""


class Keypad:
    """The keypad of one call, and its watchdog: what takes the call back where nobody sets it anew."""

    def __init__(
        self, line: Line, *, language: str, slips: int, watchdog: int, clock: Clock, log: FilteringBoundLogger,
        keyed: Callable[[int, Form], None] = _told_to_nobody,
    ) -> None:  # fmt: skip
        """`watchdog`: seconds that it waits, at least 30. `keyed` is told how many digits stand of an entry."""
        self._line = line
        self._slips = slips
        self._watchdog = watchdog
        self._guarded = float("-inf")
        self._clock = clock
        self._log = log
        self._keyed = keyed
        self._errors: set[Unavailable] = set()
        self._void: set[Unavailable] = set()
        self._after_full = False
        self._preface: tuple[Prompt, ...] = ()
        self.language = language

    def preface(self, *prompts: Prompt) -> None:
        """What to say before the next question, in one breath with it: a key skips both."""
        self._preface = prompts

    async def ask(
        self, what: str, prompts: Sequence[Prompt], form: Form, *, offer: Sequence[Prompt] = ()
    ) -> Entered | Asked | GaveUp:
        """Play the prompts and collect one entry; `what` is its name in the log.

        A slip is answered in words and asked again with the last prompt. Keys pressed ahead of the prompt count;
        those pressed ahead of an answer to a slip do not. After lost events it begins anew with an apology.
        `offer` is said behind the question, the first time.
        """
        question = prompts[-1]
        prompts, self._preface = (*self._preface, *prompts, *offer), ()
        slips = 0
        while True:
            try:
                ending = await self._once(what, prompts, form)
            except Interrupted:
                self._log.info("entry.interrupted", entry=what)
                await self._line.hush()
                await self.tell(Prompt.LOST_KEYS)
                # the rest of what was cut is no entry
                self._line.drop_keys()
                prompts = (question,)
                continue
            if not isinstance(ending, Slipped):
                return ending
            slips += 1
            if slips == self._slips:
                return GaveUp()
            self._line.drop_keys()
            prompts = (_ANSWERS[ending.slip], question)

    def interrupt(self, error: Unavailable) -> None:
        """Make what is asked now, or next, end with this error."""
        self._errors.add(error)
        self._line.interrupt(error)

    def go_on(self) -> None:
        """What was to be interrupted is over: such an error that is still to come counts for nothing."""
        self._void |= self._errors
        self._errors = set()

    async def tell(self, *prompts: Prompt) -> None:
        """Play to the end. Keys pressed meanwhile are kept for the next question."""
        keys: list[Key] = []
        for _ in range(2):
            try:
                for breath in self._breaths(prompts):
                    await self._say(breath)
                    while not isinstance(heard := await self._receive(None), Played):
                        if heard is not None:
                            keys.append(heard)
                break
            except Interrupted:
                # it may have been cut short, or its end may be among what was lost: it is said once more
                await self._line.hush()
        self._line.push_back(keys)

    async def pause(self, prompt: Prompt, seconds: int) -> None:
        """Tell the caller to hold, and play music for so long; keys pressed meanwhile are dropped."""
        await self.tell(prompt)
        until = self._clock() + seconds
        async with self._music():
            while self._clock() < until:
                with suppress(Interrupted):
                    await self._receive(until)
        self._line.drop_keys()

    async def hold(
        self,
        what: str,
        prompts: Sequence[Prompt],
        *,
        seconds: float,
        look: Callable[[], Awaitable[T | None]],
        every: float,
    ) -> T | Key | None:
        """Say this, and play music until `look`, which is asked `every` so many seconds, has something, or a key is pressed.

        Either stops what is said. None: nothing was there for so many seconds. `what` is its name in the log.
        """
        prompts, self._preface = (*self._preface, *prompts), ()
        if prompts:
            # what is said may be for this caller's ear alone
            self._log.info("entry.awaited", entry=what)
        for _ in range(2):
            try:
                for breath in self._breaths(prompts):
                    await self._say(breath)
                    while not isinstance(heard := await self._receive(self._clock() + every), Played):
                        if (found := heard or await look()) is not None:
                            await self._line.hush()
                            return found
                break
            except Interrupted:
                # it may have been cut short: it is said once more
                await self._line.hush()
        until = self._clock() + seconds
        async with self._music():
            while True:
                if (found := await look()) is not None:
                    return found
                if (now := self._clock()) >= until:
                    return None
                with suppress(Interrupted):
                    if isinstance(heard := await self._receive(min(until, now + every)), Key):
                        return heard

    @asynccontextmanager
    async def _music(self) -> AsyncIterator[None]:
        try:
            await self._line.music(on=True)
            yield
        except BaseException:
            # why it ends must not be hidden by music that cannot be stopped
            with suppress(HungUp, Unavailable):
                await self._line.music(on=False)
            raise
        await self._line.music(on=False)

    async def renew(self) -> None:
        """Set the watchdog anew."""
        now = self._clock()
        await self._line.allow(self._watchdog)
        self._guarded = now + self._watchdog

    async def watch(self) -> None:
        """Set the watchdog anew whenever it is time, until cancelled; what was asked of Asterisk then is over as well."""
        while True:
            await asyncio.sleep(max(0.0, self._due - self._clock()))
            renewing = asyncio.ensure_future(self.renew())
            try:
                await asyncio.shield(renewing)
            except asyncio.CancelledError:
                # it must not come behind what switches the watchdog off
                await asyncio.gather(renewing, return_exceptions=True)
                raise
            except Unavailable:
                await asyncio.sleep(_AGAIN_SECONDS)

    @property
    def _due(self) -> float:
        """When the watchdog is to be set anew."""
        return self._guarded - _GRACE_SECONDS

    def _breaths(self, prompts: Sequence[Prompt]) -> list[Sequence[Prompt]]:
        """As many at a time as the watchdog waits for: while something is played, Asterisk does not set it anew."""
        most = (self._watchdog - _GRACE_SECONDS) // _PROMPT_SECONDS
        return [prompts[at : at + most] for at in range(0, len(prompts), most)]

    async def _say(self, prompts: Sequence[Prompt]) -> None:
        least = max(_PROMPT_SECONDS * len(prompts) + _GRACE_SECONDS, self._watchdog - _FRESH_SECONDS)
        if self._guarded - self._clock() < least:
            await self.renew()
        await self._line.say(*prompts, language=self.language)

    async def _receive(self, until: float | None) -> Key | Played | None:
        """None when the time is over; without one, something is being played, and its end comes."""
        while True:
            try:
                heard = await self._line.receive(until if until is None else min(until, self._due))
            except Unavailable as error:
                if error not in self._void:
                    raise
                continue
            if heard is not None or until is None or self._clock() >= until:
                return heard
            await self.renew()

    async def _once(self, what: str, prompts: Sequence[Prompt], form: Form) -> Ending:
        collector = Collector(form, after_full=self._after_full)
        breath, *breaths = self._breaths(prompts)
        await self._say(breath)
        self._log.info("entry.asked", entry=what, prompts=list(prompts))
        self._keyed(0, form)
        ending: Ending | None = None
        while ending is None:
            match await self._receive(collector.deadline):
                case Key(digit, at):
                    before = collector.count
                    ending = collector.feed(digit, at)
                    # a key that does nothing (A to D, the tail of the entry before) does not stop the prompt either
                    if ending is not None or collector.deadline is not None:
                        breaths.clear()
                        await self._line.hush()
                    if collector.count != before:
                        self._log.debug("entry.key", entry=what, keys=collector.count)
                        self._keyed(collector.count, form)
                case Played() if breaths:
                    await self._say(breaths.pop(0))
                case Played():
                    collector.begin(self._clock())
                case None:
                    ending = collector.lapse(self._clock())
        self._after_full = isinstance(ending, Entered) and ending.full
        self._log.info("entry.ended", entry=what, keys=collector.count, ending=_name(ending))
        return ending


_ANSWERS = {Slip.NOTHING: Prompt.NOTHING_KEYED, Slip.SHORT: Prompt.TOO_SHORT}


def _name(ending: Ending) -> str:
    match ending:
        case Entered():
            return "entered"
        case Asked():
            return "asked"
        case Slipped(slip):
            return slip.value
