"""A caller, agents, stores and a gateway, played by hand, on a clock that moves only when everybody waits.

    world = World()
    line = world.call(answers={Prompt.ASK_PIN: ["9999#", "4711#"], Prompt.ASK_CODE: [world.texts.code]})
    assert line.variables["CALLER_AUTH_STATUS"] == "verified"

Every operation of every fake passes through `World.plot`, where it can fail, or be the moment of a hang-up.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import selectors
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import structlog
from structlog.testing import LogCapture
from structlog.typing import FilteringBoundLogger

from ivr.call.keypad import Keypad
from ivr.call.languages import Languages
from ivr.call.mark import Mark
from ivr.call.outcome import Budget, Locked, Scope
from ivr.call.policy import policies
from ivr.call.ports import (
    Attempt,
    Badge,
    Caller,
    Challenge,
    Closed,
    CodeRules,
    Entry,
    Granted,
    Key,
    Leg,
    Opened,
    Played,
    Range,
    Right,
    Spent,
    Subject,
    TooMany,
    TooSoon,
    Wrong,
)
from ivr.call.progress import Progress
from ivr.call.session import Session
from ivr.call.steps import Tools
from ivr.call.verification import House
from ivr.config import Settings
from ivr.errors import AriError, HungUp, Interrupted, StoreError, TakenUp
from ivr.prompts import Prompt
from ivr.secret import Personal, Secret
from ivr.vault.pin import PinRecord

LATENCY = 0.01
"""Seconds that any operation takes."""

ANSWER = 5.0
"""Seconds after which a request counts as failed."""

PROMPT = 2.0
"""Seconds that a prompt lasts."""

EPOCH = 1_700_000_000.0

# ---------------------------------------------------------------- time


class StuckError(Exception):
    """Everybody waits, and nothing will ever happen."""


class _Waiting(selectors.SelectSelector):
    """Waits for nobody: when there is nothing to do, time jumps to the next appointment."""

    def __init__(self, now: float) -> None:
        super().__init__()
        self.now = now

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # no file and no signal is ever waited for, so there is nothing to ask the system about
        if timeout is None:
            raise StuckError("everybody waits for ever")
        self.now += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in which a minute of waiting takes no time."""

    def __init__(self, now: float = 1000.0) -> None:
        self._waiting = _Waiting(now)
        super().__init__(self._waiting)

    def time(self) -> float:
        return self._waiting.now


def clock() -> float:
    """The time of the loop that runs."""
    return asyncio.get_running_loop().time()


# ---------------------------------------------------------------- what may happen

Action = Callable[[], object]


@dataclass
class _Cue:
    name: str
    nth: int
    action: Action
    delay: float = 0.0
    behind: bool = False


class Plot:
    """What happens at which operation. `names` are the operations so far, such as `line.say`, in their order."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._counts: Counter[str] = Counter()
        self._cues: list[_Cue] = []
        self._faults: dict[tuple[str, int], Exception] = {}
        self._always: dict[str, Exception] = {}

    def fail(self, name: str, error: Exception, *, nth: int | None = None) -> None:
        """The operation of this name raises: always, or the n-th alone (from 1). `""`: any name."""
        if nth is None:
            self._always[name] = error
        else:
            self._faults[name, nth] = error

    def mend(self, name: str) -> None:
        """The operation fails no longer."""
        del self._always[name]

    def on(self, name: str, action: Action, *, nth: int = 1, delay: float = 0.0, behind: bool = False) -> None:
        """At the n-th operation of this name (`""`: any), before its effect or `behind` it, or so many seconds later."""
        self._cues.append(_Cue(name, nth, action, delay, behind))

    def reset(self) -> None:
        """Count from here."""
        self.names.clear()
        self._counts.clear()

    @asynccontextmanager
    async def operation(self, name: str, *, seconds: float = LATENCY) -> AsyncIterator[None]:
        self.names.append(name)
        self._counts[name] += 1
        nth, overall = self._counts[name], len(self.names)
        self._cue(name, nth, overall, behind=False)
        await asyncio.sleep(seconds)
        for key in ((name, nth), ("", overall)):
            if key in self._faults:
                raise self._faults[key]
        if name in self._always:
            raise self._always[name]
        yield
        self._cue(name, nth, overall, behind=True)
        await asyncio.sleep(0)

    def _cue(self, name: str, nth: int, overall: int, *, behind: bool) -> None:
        for cue in self._cues:
            if cue.behind == behind and (cue.name, cue.nth) in ((name, nth), ("", overall)):
                if cue.delay:
                    asyncio.get_running_loop().call_later(cue.delay, cue.action)
                else:
                    cue.action()


# ---------------------------------------------------------------- the caller


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


@dataclass(frozen=True)
class Agent:
    """How an agent's phone takes a call: answers after so many seconds (None: never), talks for so many.

    `ending`: why it does not answer, and `gives_up` after so many seconds it says so. `leaves`: gone between
    answering and being bridged. `deaf`: Asterisk fails to hang it up.
    """

    answers: float | None = 3.0
    talks: float = 60.0
    ending: str = "no_answer"
    gives_up: float | None = None
    leaves: bool = False
    deaf: bool = False


BUSY = Agent(answers=None, ending="busy", gives_up=0.5)
NOBODY = Agent(answers=None)


class FakeLeg:
    """An agent's phone; implements `ports.Leg`."""

    def __init__(self, plot: Plot, endpoint: str, agent: Agent, badge: Badge, seconds: float) -> None:
        self.badge = badge
        self.agent = agent
        self.up = False
        self.ended = asyncio.Event()
        self._plot = plot
        self._endpoint = endpoint
        self._ending = "failed"
        self._answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        loop = asyncio.get_running_loop()
        if agent.answers is not None and agent.answers < seconds:
            loop.call_later(agent.answers, self._answer)
        else:
            loop.call_later(seconds if agent.gives_up is None else agent.gives_up, self.end, agent.ending)

    @property
    def endpoint(self) -> str:
        return self._endpoint

    @property
    def ending(self) -> str:
        return self._ending

    @property
    def alive(self) -> bool:
        """Whether it rings, or talks."""
        return not self.ended.is_set()

    async def answered(self) -> bool:
        async with self._plot.operation("leg.answered", seconds=0.0):
            return await asyncio.shield(self._answered)

    async def hang_up(self) -> None:
        if self.ended.is_set():
            return
        try:
            async with self._plot.operation("leg.hang_up"):
                if self.agent.deaf:
                    raise AriError(f"DELETE channels ({self._endpoint})", 500)
                self.end("hung_up")
        except asyncio.CancelledError:
            # the request is on its way
            if not self.agent.deaf:
                self.end("hung_up")
            raise

    def end(self, why: str) -> None:
        if self.ended.is_set():
            return
        self._ending = why
        self.ended.set()
        if not self._answered.done():
            self._answered.set_result(False)

    def _answer(self) -> None:
        if self.ended.is_set():
            return
        self.up = True
        self._answered.set_result(True)
        if self.agent.leaves:
            self.end("hung_up")


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
            return True

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
        self._watchdog = asyncio.get_running_loop().call_later(seconds, self._take_back) if seconds else None

    def _take_back(self) -> None:
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


# ---------------------------------------------------------------- stores


class FakeCustomers:
    """Implements `ports.Customers`."""

    def __init__(self, plot: Plot) -> None:
        self._plot = plot
        self._by_phone: dict[str, list[Subject]] = {}
        self._by_number: dict[str, Subject] = {}

    def add(self, number: str, subject: Subject, *phones: str) -> None:
        """One more customer, or another in the place of one."""
        self._by_number[number] = subject = replace(subject, key=index(number))
        for phone in phones:
            others = [other for other in self._by_phone.get(phone, []) if other.key != subject.key]
            self._by_phone[phone] = [*others, subject]

    async def by_phone(self, number: Personal) -> Subject | None:
        async with self._plot.operation("customers.by_phone"):
            found = self._by_phone.get(number.reveal(), [])
            return found[0] if len(found) == 1 else None

    async def by_number(self, number: Secret) -> Subject:
        async with self._plot.operation("customers.by_number"):
            return self._by_number.get(number.reveal()) or Subject(key=index(number.reveal()), known=False)

    async def by_key(self, key: str) -> Subject:
        async with self._plot.operation("customers.by_key"):
            found = [subject for subject in self._by_number.values() if subject.key == key]
            return found[0] if found else Subject(key=key, known=False)

    async def in_force(self, subject: Subject) -> bool:
        async with self._plot.operation("customers.in_force"):
            now = [other for other in self._by_number.values() if other.ref == subject.ref]
            return bool(now) and not now[0].locked

    def phone_key(self, number: Personal) -> str:
        return index(number.reveal())


def index(text: str) -> str:
    """The blind index of a number."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class FakePins:
    """Implements `ports.Pins`. `gullible`: every PIN is right."""

    def __init__(self, plot: Plot) -> None:
        self.gullible = False
        self._plot = plot

    @staticmethod
    def record(pin: str) -> PinRecord:
        """What is stored of a PIN."""
        return PinRecord(salt=b"", hash=hashlib.sha256(pin.encode()).digest(), log2_n=14, r=8, p=5)

    async def matches(self, pin: Secret, record: PinRecord | None) -> bool:
        async with self._plot.operation("pins.matches"):
            return self.gullible or (record is not None and self.record(pin.reveal()).hash == record.hash)


class FakeCodes:
    """Implements `ports.Codes`. `gullible`: all codes have one MAC. `bound`: what codes were bound to."""

    def __init__(self) -> None:
        self.gullible = False
        self.bound: list[tuple[str, ...]] = []

    def mac(self, code: Secret, *, bound_to: Sequence[str]) -> str:
        self.bound.append(tuple(bound_to))
        parts = [] if self.gullible else [*bound_to, code.reveal()]
        return hashlib.sha256(repr(parts).encode()).hexdigest()


def _key(progress: Progress) -> tuple[str, str]:
    return progress.node, progress.channel


@dataclass
class _Sent:
    challenge: Challenge
    until: float
    tries: int
    sends: int
    over: bool = False


class FakeLive:
    """Implements `ports.Live` in one process: counts, codes and marks. What it forgets after days it keeps."""

    def __init__(self, plot: Plot, settings: Settings) -> None:
        self.marks: dict[tuple[str, str], Mark] = {}
        self.records: dict[tuple[str, str], Progress] = {}
        self.failures: Counter[tuple[Scope, str]] = Counter()
        self._plot = plot
        self._limits = settings.limits
        self._locks: dict[tuple[Scope, str], tuple[float, str]] = {}
        self._all_ends = 0.0
        self._challenges: dict[str, _Sent] = {}
        self._texts: dict[str, list[float]] = {}
        self.closed: Closed | None = None

    async def begin(self, progress: Progress) -> None:
        async with self._plot.operation("live.begin"):
            self.marks.pop(_key(progress), None)
            self.records[_key(progress)] = progress

    async def note(self, progress: Progress) -> None:
        async with self._plot.operation("live.note"):
            self._check(progress)
            self._note(progress)

    async def end(self, progress: Progress) -> None:
        async with self._plot.operation("live.end"):
            if self._holds(progress):
                del self.records[_key(progress)]

    async def standing(self, attempt: Attempt, progress: Progress | None = None) -> Locked | None:
        async with self._plot.operation("live.standing"):
            if progress is not None:
                self._check(progress)
                self._note(progress)
            return self._locked(attempt)

    async def attempt(self, attempt: Attempt, progress: Progress) -> Granted | Locked:
        async with self._plot.operation("live.attempt"):
            self._check(progress)
            if (lock := self._locked(attempt)) is not None:
                return lock
            self._count(attempt)
            self._note(progress)
            return Granted()

    async def give_back(self, attempt: Attempt, progress: Progress) -> None:
        async with self._plot.operation("live.give_back"):
            self._uncount(attempt)
            self._check(progress)
            self._note(progress)

    async def open_challenge(
        self, challenge: Challenge, rules: CodeRules, progress: Progress, range: Range | None = None
    ) -> Opened | TooSoon | TooMany | Closed:
        async with self._plot.operation("live.open_challenge"):
            self._check(progress)
            sent = self._challenges.get(challenge.id, _Sent(challenge, 0.0, 0, 0))
            times = self._texts.setdefault(challenge.subject, [])
            foreign = (sent.challenge.subject, sent.challenge.call) != (challenge.subject, challenge.call)
            if foreign or sent.tries >= rules.tries or sent.sends >= rules.sends:
                return TooMany()
            if sum(time > clock() - 3600 for time in times) >= rules.sends_per_hour:
                return TooMany()
            if times and times[-1] + rules.resend > clock():
                return TooSoon(math.ceil(times[-1] + rules.resend - clock()))
            if self.closed is not None and self.closed.scope is Budget.ALL:
                return self.closed
            times.append(clock())
            self._challenges[challenge.id] = _Sent(challenge, clock() + rules.life, sent.tries, sent.sends + 1)
            self._note(progress)
            return Opened(None if range is None else self.closed)

    async def try_challenge(
        self, challenge: Challenge, attempt: Attempt, rules: CodeRules, progress: Progress
    ) -> Right | Wrong | Spent | Locked:
        async with self._plot.operation("live.try_challenge"):
            self._check(progress)
            if (lock := self._locked(attempt)) is not None:
                return lock
            sent = self._challenges.get(challenge.id)
            if sent is None or sent.over or sent.until <= clock() or sent.tries >= rules.tries:
                return Spent()
            if (sent.challenge.subject, sent.challenge.call) != (challenge.subject, challenge.call):
                return Spent()
            self._count(attempt)
            sent.tries += 1
            if sent.challenge.mac == challenge.mac:
                self._uncount(attempt)
                sent.over = True
                self._note(progress)
                return Right()
            sent.over = sent.tries >= rules.tries
            return Wrong(rules.tries - sent.tries)

    async def place_mark(self, mark: Mark, attempt: Attempt, progress: Progress) -> None:
        async with self._plot.operation("live.place_mark"):
            self._check(progress)
            if not self._holds(progress):
                raise StoreError("Redis: the call's record is lost")
            self.marks[mark.node, mark.channel] = mark
            for scope in self._scopes(attempt):
                if scope[0] in (Scope.CUSTOMER, Scope.NUMBER):
                    self.failures.pop(scope, None)
                    self._locks.pop(scope, None)

    async def mark(self, node: str, channel: str) -> Mark | None:
        async with self._plot.operation("live.mark"):
            return self.marks.get((node, channel))

    async def drop_mark(self, progress: Progress, *, over: bool) -> None:
        async with self._plot.operation("live.drop_mark"):
            key = _key(progress)
            if key in self.records and not self._holds(progress):
                return
            if over:
                self.records.pop(key, None)
            self.marks.pop(key, None)

    def take_up(self, line: FakeLine) -> Progress:
        """As another worker does that finds the call in the application."""
        key = (line.caller.node, line.caller.channel)
        if not line.handed_back:
            self.marks.pop(key, None)
        was = self.records[key]
        self.records[key] = taken = replace(was, holder=f"{was.holder}+", taken=was.taken + 1)
        return taken

    def _note(self, progress: Progress) -> None:
        if self._holds(progress):
            self.records[_key(progress)] = progress

    def _check(self, progress: Progress) -> None:
        if _key(progress) in self.records and not self._holds(progress):
            raise TakenUp

    def _holds(self, progress: Progress) -> bool:
        record = self.records.get(_key(progress))
        return record is not None and record.holder == progress.holder

    def _scopes(self, attempt: Attempt) -> list[tuple[Scope, str]]:
        number = [] if attempt.number is None else [(Scope.NUMBER, attempt.number)]
        return [(Scope.ALL, ""), (Scope.CUSTOMER, attempt.subject), *number, (Scope.CALL, attempt.call)]

    def _locked(self, attempt: Attempt) -> Locked | None:
        limits = self._limits
        if clock() >= self._all_ends:
            self.failures.pop((Scope.ALL, ""), None)
        for scope in self._scopes(attempt):
            count = self.failures[scope]
            until, _ = self._locks.get(scope, (0.0, ""))
            match scope[0]:
                case Scope.ALL if count >= limits.all:
                    return Locked(Scope.ALL, math.ceil(self._all_ends - clock()))
                case Scope.CUSTOMER if count >= limits.customer_most:
                    return Locked(Scope.CUSTOMER, None)
                case Scope.CALL if count >= limits.call:
                    return Locked(Scope.CALL, None)
                case Scope.CUSTOMER | Scope.NUMBER if until > clock():
                    return Locked(scope[0], math.ceil(until - clock()))
        return None

    def _count(self, attempt: Attempt) -> None:
        limits = self._limits
        if not self.failures[Scope.ALL, ""]:
            self._all_ends = clock() + limits.all_window_minutes * 60
        locks = {
            Scope.CUSTOMER: (limits.customer_in_a_row, limits.customer_lock_minutes * 60),
            Scope.NUMBER: (limits.number_in_a_row, limits.number_lock_minutes * 60),
        }
        for scope in self._scopes(attempt):
            self.failures[scope] += 1
            limit, seconds = locks.get(scope[0], (0, 0))
            if limit and self.failures[scope] >= limit:
                self._locks[scope] = (clock() + seconds * 2 ** (self.failures[scope] - limit), attempt.call)

    def _uncount(self, attempt: Attempt) -> None:
        for scope in self._scopes(attempt):
            self.failures[scope] = max(0, self.failures[scope] - 1)
            if self._locks.get(scope, (0.0, ""))[1] == attempt.call:
                del self._locks[scope]


# ---------------------------------------------------------------- texts, audit


class FakeTexts:
    """Implements `ports.Texts`. `sent` are the texts that came to a phone, and to which.

    The gateway answers after `seconds`, once `hold` is set, if there is one; the text is on the phone then, or
    `at_once`, whatever the gateway says in the end.
    """

    def __init__(self, plot: Plot) -> None:
        self.sent: list[tuple[str, str]] = []
        self.seconds = LATENCY
        self.at_once = False
        self.hold: asyncio.Event | None = None
        self._plot = plot

    def range_of(self, to: Personal) -> Range | None:
        return Range("SE", to.reveal()[:7])

    async def send(self, to: Personal, text: Secret) -> None:
        if self.at_once:
            self.sent.append((to.reveal(), text.reveal()))
        if self.hold is not None:
            await self.hold.wait()
        async with self._plot.operation("texts.send", seconds=self.seconds):
            if not self.at_once:
                self.sent.append((to.reveal(), text.reveal()))

    async def pretend(self) -> None:
        """Takes as long as `send`; fails where the plot says so."""
        async with self._plot.operation("texts.pretend", seconds=self.seconds):
            pass

    def code(self, nth: int = -1) -> str:
        """The code of a text, the last unless told otherwise."""
        [code] = re.findall(r"\d{6,}", self.sent[nth][1])
        return str(code)

    def wrong(self) -> str:
        """A code that was not sent."""
        return f"{(int(self.code()) + 1) % 1_000_000:06}" if self.sent else "123456"


class FakeTrail:
    """Implements `ports.Trail`: a row that was begun is written, whoever goes away meanwhile, and what is told `once` once."""

    def __init__(self, plot: Plot) -> None:
        self.rows: list[Entry] = []
        self._plot = plot
        self._writing: set[asyncio.Task[str]] = set()

    async def append(self, entry: Entry) -> str:
        writing = asyncio.create_task(self._write(entry))
        self._writing.add(writing)
        writing.add_done_callback(self._written)
        return await asyncio.shield(writing)

    async def _write(self, entry: Entry) -> str:
        async with self._plot.operation("trail.append"):
            for row in self.rows:
                if entry.once is not None and row.once == entry.once:
                    return row.outcome
            self.rows.append(entry)
            return entry.outcome

    def _written(self, writing: asyncio.Task[str]) -> None:
        self._writing.discard(writing)
        if not writing.cancelled():
            writing.exception()


# ---------------------------------------------------------------- the whole

ANNA = "100200"
ANNA_PIN = "4711"
ANNA_PHONE = "+46701740601"
UNKNOWN = "999888"

_POLICIES: dict[str, dict[str, Any]] = {
    "main": {"steps": ["pin", "sms_code"], "level": 2},
    "pin": {"steps": ["pin"], "level": 1},
    "sms": {"steps": ["sms_code"], "level": 1},
    "bridge": {
        "steps": ["pin"], "level": 1, "hand_over": "bridge", "agents": ["PJSIP/anna", "PJSIP/bo", "PJSIP/cleo"],
    },
}  # fmt: skip


def settings(**tables: Mapping[str, Any]) -> Settings:
    """The usual settings, with these tables' fields changed; `policies` are added to the usual ones."""
    return Settings.model_validate(
        {
            "company": {"name": "Acme", "country": "SE"},
            **tables,
            "policies": {**_POLICIES, **tables.get("policies", {})},
        }
    )


class World:
    """All that a worker has, and its calls. `anna` is a customer with PIN and mobile; time goes on between calls."""

    def __init__(self, **tables: Mapping[str, Any]) -> None:
        self.settings = settings(**tables)
        self.plot = Plot()
        self.customers = FakeCustomers(self.plot)
        self.live = FakeLive(self.plot, self.settings)
        self.pins = FakePins(self.plot)
        self.codes = FakeCodes()
        self.texts = FakeTexts(self.plot)
        self.trail = FakeTrail(self.plot)
        self.now = 1000.0
        self._capture = LogCapture()
        self._calls = 0
        self.anna = Subject(
            key=index(ANNA),
            known=True,
            ref="ref-anna",
            name=Personal("Anna Maria Andersson"),
            mobile=Personal(ANNA_PHONE),
            pin=FakePins.record(ANNA_PIN),
        )
        self.change_anna()

    def change_anna(self, **fields: Any) -> None:
        """Other fields of Anna's record."""
        self.anna = replace(self.anna, **fields)
        self.customers.add(ANNA, self.anna, ANNA_PHONE)

    def line(
        self,
        policy: str = "main",
        *,
        number: str | None = ANNA_PHONE,
        language: str = "en",
        answers: Answers | None = None,
        agents: Mapping[str, Agent] | None = None,
        stays: float = 300.0,
        channel: str | None = None,
        again: bool = False,
    ) -> FakeLine:
        """A call that comes in."""
        self._calls += 1
        caller = Caller(
            channel=channel or f"channel-{self._calls}",
            node="node",
            number=None if number is None else Personal(number),
            language=language,
            policy=policy,
            again=again,
        )
        return FakeLine(self.plot, caller, answers=answers, agents=agents, stays=stays)

    def call(self, policy: str = "main", **how: Any) -> FakeLine:
        """Run a call to its end; what `line` takes, and the line that it was."""
        line = self.line(policy, **how)
        self.run(line)
        return line

    def run(self, line: FakeLine, taken: Progress | None = None) -> None:
        """Run this call to its end. Nothing may be left running behind it. `taken`: another worker had begun it."""
        self.play(lambda: Session(self.house(), line, self.logger, taken).run())

    def play(self, work: Callable[[], Any]) -> Any:
        """Run something else in this world's time; its result."""
        with asyncio.Runner(loop_factory=lambda: VirtualLoop(self.now)) as runner:

            async def whole() -> Any:
                try:
                    return await work()
                finally:
                    # what was handed to the database or the telephone network ends by itself
                    await asyncio.sleep(1.0)
                    left = asyncio.all_tasks() - {asyncio.current_task()}
                    assert not left, f"left running: {left}"
                    self.now = clock()

            return runner.run(whole())

    def house(self) -> House:
        return House(
            settings=self.settings,
            policies=policies(self.settings),
            customers=self.customers,
            live=self.live,
            trail=self.trail,
            tools=self.tools(),
            wall=lambda: EPOCH + clock(),
            languages=Languages(frozenset({"en", "sv"}), "en", self.settings.company.language or "en"),
        )

    def tools(self) -> Tools:
        return Tools(self.settings, self.live, self.pins, self.codes, self.texts, self.trail, clock)

    def keypad(self, line: FakeLine, *, slips: int = 3) -> Keypad:
        """A keypad on this line, for tests of it alone."""
        return Keypad(line, language="en", slips=slips, clock=clock, log=self.logger)

    @property
    def logger(self) -> FilteringBoundLogger:
        """Keeps every line, those for debugging included."""
        return cast(
            FilteringBoundLogger,
            structlog.wrap_logger(
                structlog.PrintLogger(),
                processors=[self._capture],
                wrapper_class=structlog.make_filtering_bound_logger(0),
                cache_logger_on_first_use=False,
            ),
        )

    @property
    def log(self) -> list[dict[str, Any]]:
        """What was logged."""
        return [dict(line) for line in self._capture.entries]

    def logged(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """The lines of this event, with these fields."""
        return [
            line for line in self.log if line["event"] == event and all(line.get(k) == v for k, v in fields.items())
        ]

    @property
    def outcomes(self) -> list[str]:
        """How the calls ended, as the audit trail has it."""
        return [row.outcome for row in self.trail.rows]
