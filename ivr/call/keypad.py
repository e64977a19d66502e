"""Asks the caller to key something: plays, collects, asks again after a slip."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from ivr.call.digits import Asked, Collector, Ending, Entered, Form, Slip, Slipped
from ivr.call.ports import Clock, Key, Line, Played
from ivr.errors import HungUp, Interrupted, Unavailable
from ivr.prompts import Prompt

# A prompt lasts 15 s at most; a test of the catalogue holds it to that.
_PROMPT_SECONDS = 15
# On top, so that the watchdog never takes a call from a worker that is alive.
GRACE_SECONDS = 15


@dataclass(frozen=True, slots=True)
class GaveUp:
    """Nothing whole was keyed, however often it was asked for."""


class Keypad:
    """The keypad of one call."""

    def __init__(self, line: Line, *, language: str, slips: int, clock: Clock, log: FilteringBoundLogger) -> None:
        self._line = line
        self._slips = slips
        self._clock = clock
        self._log = log
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

    async def tell(self, *prompts: Prompt, patience: int = 0) -> None:
        """Play to the end. Keys pressed meanwhile are kept for the next question.

        `patience`: seconds of waiting that may follow, before the watchdog takes the call.
        """
        keys: list[Key] = []
        for _ in range(2):
            await self._line.allow(_PROMPT_SECONDS * len(prompts) + patience + GRACE_SECONDS)
            try:
                await self._line.say(*prompts, language=self.language)
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
        await self._line.allow(seconds + GRACE_SECONDS)
        until = self._clock() + seconds
        try:
            await self._line.music(on=True)
            while self._clock() < until:
                try:
                    await self._receive(until)
                except Interrupted:
                    continue
        except BaseException:
            # why the pause ends must not be hidden by music that cannot be stopped
            with suppress(HungUp, Unavailable):
                await self._line.music(on=False)
            raise
        await self._line.music(on=False)
        self._line.drop_keys()

    async def _receive(self, until: float | None) -> Key | Played | None:
        while True:
            try:
                return await self._line.receive(until)
            except Unavailable as error:
                if error not in self._void:
                    raise

    async def _guard(self, seconds: float) -> float:
        """Let the watchdog wait for so long from now, and some grace; until when that is, without the grace."""
        await self._line.allow(int(seconds) + GRACE_SECONDS)
        return self._clock() + seconds

    async def _once(self, what: str, prompts: Sequence[Prompt], form: Form) -> Ending:
        collector = Collector(form, after_full=self._after_full)
        guarded = await self._guard(_PROMPT_SECONDS * len(prompts) + form.first)
        await self._line.say(*prompts, language=self.language)
        self._log.info("entry.asked", entry=what, prompts=list(prompts))
        ending: Ending | None = None
        while ending is None:
            match await self._receive(collector.deadline):
                case Key(digit, at):
                    before = collector.count
                    ending = collector.feed(digit, at)
                    # a key that does nothing (A to D, the tail of the entry before) does not stop the prompt either
                    if ending is not None or collector.deadline is not None:
                        await self._line.hush()
                    if collector.count != before:
                        self._log.debug("entry.key", entry=what, keys=collector.count)
                    if ending is None and collector.deadline is not None and collector.deadline > guarded:
                        guarded = await self._guard(max(form.first, form.most * form.between))
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
