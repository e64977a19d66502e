"""The caller's end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ivr.call.mark import STATUS
from ivr.call.ports import (
    Badge,
    Caller,
    Key,
    Leg,
    Played,
)
from ivr.errors import AriError, HungUp, Interrupted
from ivr.prompts import Prompt
from ivr.secret import Personal, Secret
from tests.unit.fakes.agents import NOBODY, Agent, FakeLeg
from tests.unit.fakes.plot import LATENCY, Plot
from tests.unit.fakes.time import clock

ANSWER = 5.0
"""Seconds after which a request counts as failed."""

PROMPT = 2.0
"""Seconds that a prompt lasts."""


@dataclass(frozen=True)
class Keys:
    """What the caller does after a prompt: one key after another.

    A space waits for a second, `!` hangs up, `~` loses the events of a while. The first comes `after` seconds
    from the end of what is said, or, `ahead`, from its beginning.
    """

    acts: str | Callable[[], str]
    after: float = 1.0
    ahead: bool = False
    between: float = 0.2


Answers = Mapping[Prompt, Sequence[str | Callable[[], str] | Keys]]


class FakeLine:
    """The caller's end; implements `ports.Line`. It behaves as a channel of Asterisk does, hang-up included.

    `heard` are the prompts of each playback, in the order of the call; `voices` their languages; `delayed` those
    that had to wait for the end of others.
    """

    def __init__(
        self,
        plot: Plot,
        caller: Caller,
        *,
        answers: Answers | None = None,
        agents: Mapping[str, Agent] | None = None,
        stays: float = 300.0,
    ) -> None:
        """`stays`: seconds that the caller stays in the dialplan after the call was handed back."""
        self.heard: list[tuple[Prompt, ...]] = []
        self.voices: list[str] = []
        self.delayed: list[Prompt] = []
        self.keyed = 0
        self.variables: dict[str, str] = {}
        self.display: Personal | None = None
        self.events: list[tuple[str, dict[str, str]]] = []
        self.legs: list[FakeLeg] = []
        self.joined: list[str] = []
        self.bridged: str | None = None
        self.parted = False
        """Whether they leave each other because the caller is to be verified again."""
        self.watchdogs: list[int] = []
        self.taken_back = False
        self.handed_back = False
        self.reconnects = 0
        self.playing_music = False
        self.gone = asyncio.Event()
        self._plot = plot
        self._caller = caller
        self._answers = {prompt: list(given) for prompt, given in (answers or {}).items()}
        self._agents = agents or {}
        self._stays = stays
        self._watched = False
        self._inbox: deque[Key | Played] = deque()
        self._errors: deque[Exception] = deque()
        self._something = asyncio.Event()
        self._playback: asyncio.TimerHandle | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._tether: asyncio.Timeout | None = None
        self._why: Exception | None = None
        self._passed_on = 0

    # ------------------------------------------------------------ for the test

    @property
    def said(self) -> list[Prompt]:
        """All prompts, in their order."""
        return [prompt for prompts in self.heard for prompt in prompts]

    @property
    def unused(self) -> dict[Prompt, int]:
        """Answers that nobody asked for."""
        return {prompt: len(left) for prompt, left in self._answers.items() if left}

    def caller_hangs_up(self) -> None:
        """The channel is gone."""
        self._finish_playing()
        self.gone.set()
        self.evict(HungUp(self._caller.channel))

    def evict(self, why: Exception) -> None:
        """End what runs within `up`; the first reason counts."""
        if self._why is None:
            self._why = why
            if self._tether is not None:
                self._tether.reschedule(0)

    def passed_on(self) -> None:
        """The worker has died: what has come is lost, what plays plays on, until another one answers."""
        self._inbox.clear()
        self._errors.clear()
        self._passed_on += 1
        if self.handed_back:
            # it is found in the dialplan
            self.evict(HungUp(self._caller.channel))

    def press(self, key: str) -> None:
        """The caller presses a key, now."""
        if not self.gone.is_set():
            self.keyed += 1
            self._inbox.append(Key(Secret(key), clock()))
            self._something.set()

    # ------------------------------------------------------------ the port

    @property
    def caller(self) -> Caller:
        return self._caller

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        if self._why is not None:
            raise self._why
        self._guard(60)
        try:
            async with asyncio.timeout(None) as self._tether:
                yield
        except TimeoutError:
            if self._why is None:
                raise
            raise self._why from None
        finally:
            self._tether = None

    async def answer(self) -> None:
        async with self._plot.operation("line.answer"):
            self._still_here()
            if self._passed_on:
                self.playing_music = False
                if self._playback is not None:
                    self._playback.cancel()
                    self._playback = None

    async def say(self, *prompts: Prompt, language: str) -> None:
        async with self._plot.operation("line.say"):
            self._still_here()
            assert not self.playing_music, "a prompt over music"
            self._forget_played()
            self.heard.append(prompts)
            self.voices.append(language)
            seconds = PROMPT * len(prompts)
            if self._playback is not None:
                # Asterisk plays one after another; of the first, nobody waits for the end any more
                self._playback.cancel()
                self.delayed += prompts
                seconds += self._playback.when() - clock()
            self._playback = asyncio.get_running_loop().call_later(seconds, self._finish_playing)
            for prompt in prompts:
                if self._answers.get(prompt):
                    self._react(self._answers[prompt].pop(0), seconds)

    async def hush(self) -> None:
        if self._playback is None:
            return
        try:
            async with self._plot.operation("line.hush"):
                if self._playback is not None:
                    self._playback.cancel()
        finally:
            self._playback = None
            self._forget_played()

    async def receive(self, until: float | None) -> Key | Played | None:
        async with self._plot.operation("line.receive", seconds=0.0):
            while True:
                if self._errors:
                    raise self._errors.popleft()
                if self._inbox:
                    return self._inbox.popleft()
                left = None if until is None else until - clock()
                if left is not None and left <= 0:
                    return None
                self._something.clear()
                try:
                    await asyncio.wait_for(self._something.wait(), left)
                except TimeoutError:
                    continue

    def interrupt(self, error: Exception) -> None:
        self._errors.append(error)
        self._something.set()

    def reconnect(self) -> None:
        self.reconnects += 1

    def drop_keys(self) -> None:
        self._inbox = deque(item for item in self._inbox if not isinstance(item, Key))

    def push_back(self, keys: Sequence[Key]) -> None:
        self._inbox.extendleft(reversed(keys))

    async def allow(self, seconds: int) -> None:
        async with self._plot.operation("line.allow"):
            await self._silence("variable")
            self._still_here()
            self.watchdogs.append(seconds)
            self._guard(seconds)

    async def announce(self, variables: Mapping[str, str], display: Personal) -> None:
        async with self._plot.operation("line.announce"):
            await self._silence("variables")
            self._still_here()
            self.variables.update(variables)
            self.display = display

    async def verified(self) -> bool:
        async with self._plot.operation("line.verified"):
            return self.variables.get(STATUS) == "verified"

    async def music(self, *, on: bool) -> None:
        if on == self.playing_music:
            return
        self.playing_music = on
        async with self._plot.operation("line.music"):
            self._channel("moh")

    async def ring(self, endpoint: str, *, badge: Badge, seconds: int) -> Leg:
        leg: FakeLeg | None = None
        try:
            async with self._plot.operation("line.ring"):
                self._channel("channels")
                leg = FakeLeg(self._plot, endpoint, self._agents.get(endpoint, NOBODY), badge, seconds)
                self.legs.append(leg)
        except asyncio.CancelledError:
            if leg is not None:
                leg.end("hung_up")
            raise
        return leg

    async def join(self, leg: Leg) -> bool:
        assert isinstance(leg, FakeLeg)
        async with self._plot.operation("line.join"):
            self._channel("bridges")
            if leg.ended.is_set():
                return False
            assert leg.up, "an agent who has not answered was bridged"
            assert not self.playing_music and self._playback is None, (
                "Asterisk would wait for the end of what is played"
            )
            self.watchdogs.append(0)
            self._guard(0)
            self.bridged = leg.endpoint
            self.joined.append(leg.endpoint)
            asyncio.get_running_loop().call_later(leg.agent.talks, leg.end, "hung_up")
            try:
                await leg.ended.wait()
            finally:
                self.bridged = None
            if self.parted:
                raise HungUp(self._caller.channel)
            return True

    @property
    def talked(self) -> bool:
        return bool(self.joined)

    async def hand_back(self, *, watch: bool) -> None:
        self.handed_back, self._watched = True, watch
        async with self._plot.operation("line.hand_back"):
            self._still_here()
            self._guard(0)
            asyncio.get_running_loop().call_later(self._stays, self.caller_hangs_up)

    async def ended(self) -> None:
        async with self._plot.operation("line.ended", seconds=0.0):
            pass
        assert self._watched, "nobody would tell"
        await self.gone.wait()

    async def went_on(self) -> bool:
        async with self._plot.operation("line.went_on"):
            return self.taken_back and not self.gone.is_set()

    async def hang_up(self) -> None:
        async with self._plot.operation("line.hang_up"):
            # Asterisk's answer comes first, the channel's end a little later
            asyncio.get_running_loop().call_later(5 * LATENCY, self.caller_hangs_up)

    async def event(self, name: str, fields: Mapping[str, str]) -> None:
        async with self._plot.operation("line.event"):
            self._channel("events")
            self.events.append((name, dict(fields)))

    # ------------------------------------------------------------ inside

    def _still_here(self) -> None:
        if self.gone.is_set() or self.taken_back:
            raise HungUp(self._caller.channel)

    async def _silence(self, what: str) -> None:
        """Asterisk sets variables only when nothing is played, and is not waited for longer than this."""
        if self._playback is not None:
            left = self._playback.when() - clock()
            await asyncio.sleep(min(left, ANSWER))
            if left > ANSWER:
                raise AriError(f"POST {what} ({self._caller.channel})", 0)

    def _channel(self, what: str) -> None:
        """As the other requests answer once the channel is gone."""
        if self.gone.is_set():
            raise AriError(f"POST {what} ({self._caller.channel})", 404)

    def _guard(self, seconds: int) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._watchdog = asyncio.get_running_loop().call_later(seconds, self.take_back) if seconds else None

    def take_back(self) -> None:
        """The watchdog's time is up."""
        if not self.gone.is_set() and not self.handed_back:
            self.taken_back = True
            self.evict(HungUp(self._caller.channel))

    def _finish_playing(self) -> None:
        if self._playback is not None:
            self._playback.cancel()
            self._playback = None
            self._inbox.append(Played())
            self._something.set()

    def _forget_played(self) -> None:
        self._inbox = deque(item for item in self._inbox if isinstance(item, Key))

    def _react(self, given: str | Callable[[], str] | Keys, seconds: float) -> None:
        keys = given if isinstance(given, Keys) else Keys(given)
        loop = asyncio.get_running_loop()
        worker = self._passed_on

        def press(key: str) -> None:
            # who is asked anew keys anew
            if worker == self._passed_on:
                self.press(key)

        def begin() -> None:
            wait = 0.0
            for act in keys.acts if isinstance(keys.acts, str) else keys.acts():
                match act:
                    case " ":
                        wait += 1.0
                        continue
                    case "!":
                        loop.call_later(wait, self.caller_hangs_up)
                    case "~":
                        loop.call_later(wait, self.interrupt, Interrupted(self._caller.channel))
                    case _:
                        loop.call_later(wait, press, act)
                wait += keys.between

        loop.call_later(keys.after + (0.0 if keys.ahead else seconds), begin)
