"""What many workers share: counts, codes, marks and the calls' records."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ivr.call.mark import Mark
from ivr.call.outcome import Budget, Locked, Scope
from ivr.call.ports import (
    Attempt,
    Challenge,
    Closed,
    CodeRules,
    Granted,
    Opened,
    Right,
    Spent,
    TooMany,
    TooSoon,
    Wrong,
)
from ivr.call.progress import Progress
from ivr.config import Settings
from ivr.errors import StoreError, TakenUp
from ivr.numbers import Range
from ivr.secret import Secret
from tests.unit.fakes.line import FakeLine
from tests.unit.fakes.plot import Plot
from tests.unit.fakes.time import clock


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
        self.bars: dict[str, float] = {}
        self.parts: list[int] = []

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

    async def elsewhere(self, progress: Progress) -> bool:
        async with self._plot.operation("live.elsewhere"):
            record = self.records.get(_key(progress))
            return record is not None and record.round == progress.round and record.holder != progress.holder

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
        self, challenge: Challenge, rules: CodeRules, progress: Progress, range: Range | None = None, parts: int = 1
    ) -> Opened | TooSoon | TooMany | Closed:
        async with self._plot.operation("live.open_challenge"):
            self._check(progress)
            sent = self._challenges.get(challenge.id, _Sent(challenge, 0.0, 0, 0))
            times = self._texts.setdefault(challenge.subject, [])
            foreign = (sent.challenge.subject, sent.challenge.call) != (challenge.subject, challenge.call)
            if rules.bar and self.bars.get(challenge.subject, 0.0) > clock():
                return TooMany()
            if foreign or sent.tries >= rules.tries or sent.sends >= rules.sends:
                return TooMany()
            if sum(time > clock() - 3600 for time in times) >= rules.sends_per_hour:
                return TooMany()
            if times and times[-1] + rules.resend > clock():
                return TooSoon(math.ceil(times[-1] + rules.resend - clock()))
            if self.closed is not None and self.closed.scope is Budget.ALL:
                return self.closed
            times.append(clock())
            self.parts.append(parts)
            self._challenges[challenge.id] = _Sent(challenge, clock() + rules.life, sent.tries, sent.sends + 1)
            self._note(progress)
            return Opened(None if range is None else self.closed)

    async def bar(self, subject: str, seconds: int) -> None:
        async with self._plot.operation("live.bar"):
            self.bars[subject] = clock() + seconds

    async def barred(self, subject: str) -> bool:
        async with self._plot.operation("live.barred"):
            return self.bars.get(subject, 0.0) > clock()

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

    def lose_challenges(self) -> None:
        """As where Redis has come back empty."""
        self._challenges.clear()

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
