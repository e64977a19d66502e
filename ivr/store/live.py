"""What many workers share, in Redis: counts of failures, codes that wait for their answer, marks, how far calls are.

Every method is one round trip: one Lua script, which Redis runs alone, with Redis's own clock. Every key
begins with the settings' prefix and expires; customers and numbers stand in keys as blind indexes, a customer's
behind the tenant; codes as keyed hashes. Calling numbers, texts and failures over all, and calls are of no tenant: who
rings is not known when they are counted.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import asdict
from typing import Self

import orjson
from redis.exceptions import RedisError
from structlog.typing import FilteringBoundLogger

from ivr.call.mark import Mark
from ivr.call.outcome import Budget, Locked
from ivr.call.ports import (
    Attempt,
    Challenge,
    Closed,
    CodeRules,
    Opened,
    Right,
    Spent,
    Timed,
    TooMany,
    TooSoon,
    Wrong,
)
from ivr.call.progress import Progress
from ivr.config import Desk, Limits, Settings
from ivr.errors import StoreError, TakenUp
from ivr.numbers import Range
from ivr.store import calls, failures, lease, unlocking
from ivr.store.answered import strange
from ivr.store.budgets import Budgets
from ivr.store.eids import Turns
from ivr.store.failures import Failures
from ivr.store.link import Link, Script, root
from ivr.store.news import news_of_call, topic
from ivr.store.refused import explained
from ivr.store.sealing import of_customer_key
from ivr.store.sessions import Sessions
from ivr.store.throttle import Throttle
from ivr.store.turn import Turn
from ivr.vault import Index

_OPEN_CHALLENGE = Script("clock", "record", "budget", "open_challenge")
_TRY_CHALLENGE = Script("clock", "record", "scopes", "try_challenge")
_PLACE_MARK = Script("clock", "record", "scopes", "forgive", "place_mark")
_PLACE_BESIDE = Script("clock", "record", "scopes", "forgive", "place_beside")
_PROBE = Script("clock", "probe")

_SCRIPTS = (
    *failures.SCRIPTS,
    _OPEN_CHALLENGE,
    _TRY_CHALLENGE,
    _PLACE_MARK,
    _PLACE_BESIDE,
    *calls.SCRIPTS,
    lease.TAKE,
    lease.GIVE,
    unlocking.FORGET,
    unlocking.UNLOCK,
)

_SECOND = 1_000


class RedisLive(Failures):
    """`ports.Live` on Redis 6 or later. Safe for many tasks at once, and for many workers on one Redis.

    Those that are given a progress raise `TakenUp` where the call is another session's by now, and then change nothing.
    Any method raises `StoreError` when Redis is away, refuses, or does not answer in `redis.request_seconds`;
    what it was asked for was then done once, or not at all.
    """

    def __init__(self, link: Link, prefix: str, limits: Limits, log: FilteringBoundLogger | None = None) -> None:
        super().__init__(link, prefix, limits, log)
        self._budgets = limits.texts_per_hour, limits.texts_country_per_hour, limits.texts_prefix_per_hour

    @classmethod
    async def open(
        cls, settings: Settings, timed: Timed = nullcontext, log: FilteringBoundLogger | None = None
    ) -> Self:
        """Connect, load the scripts and try to write; raises `ConfigError` where that cannot be done, `Unreachable` where it could later."""
        link = Link.of(settings, timed)
        live = cls(link, settings.redis.prefix, settings.limits, log)
        try:
            async with asyncio.timeout(settings.redis.request_seconds):
                await link.exchange("PING")
                for script in _SCRIPTS:
                    await link.exchange("SCRIPT", "LOAD", script.text)
                await link.exchange("EVAL", _PROBE.text, 1, live._key("probe", settings.worker.name))
        except BaseException as error:
            await link.close()
            if isinstance(error, (RedisError, OSError)):
                raise explained(settings, root(error)) from None
            raise
        return live

    async def close(self) -> None:
        """Give the connections back; nothing happens when that was done."""
        await self._link.close()

    async def ping(self) -> None:
        """Returns when Redis, and as many replicas as are needed, take what is written. Raises `StoreError`."""
        # one that is full, or waits for a replica, answers a PING all the same
        await self._link.run(_PROBE, [self._key("probe", "ready")])

    def lease(
        self, node: str, app: str, *, seconds: float, needed: bool = True, log: FilteringBoundLogger
    ) -> lease.Lease:
        """The lease of an application of this Asterisk, not taken yet; `needed` as there."""
        return lease.Lease(self._link, self._prefix, node=node, app=app, seconds=seconds, needed=needed, log=log)

    def turn(self, what: str, *, seconds: float) -> Turn:
        """What one process does at a time."""
        return Turn(self._link, self._prefix, what, seconds=seconds)

    def notice_budgets(self, limits: Limits) -> Budgets:
        """What notices may cost."""
        return Budgets.of_notices(self._link, self._prefix, limits)

    def turns(self, index: Index) -> Turns:
        """Who is being asked for at a provider of electronic identities."""
        return Turns(self._link, self._prefix, index)

    def sessions(self, desk: Desk) -> Sessions:
        """Who is signed in at the desk."""
        return Sessions(self._link, self._prefix, desk)

    def throttle(self, desk: Desk, index: Index) -> Throttle:
        """How often one may try to sign in there."""
        return Throttle(self._link, self._prefix, desk.sign_in, index)

    @property
    def round_trips(self) -> int:
        """How many commands were sent to Redis since `open` began."""
        return self._link.round_trips

    # ------------------------------------------------------------ codes

    async def open_challenge(
        self, challenge: Challenge, rules: CodeRules, progress: Progress | None = None, range: Range | None = None,
        parts: int = 1,
    ) -> Opened | TooSoon | TooMany | Closed:  # fmt: skip
        """Store a code's MAC and count its text, or say why no text may go.

        Texts in an hour are those of a sliding hour, over all calls. A challenge whose tries are used up, or
        that was opened for another subject or channel, is `TooMany`. Without a `range` no text is counted in the budgets; with one,
        so many `parts` are.
        """
        country, prefix = (range.country, range.prefix) if range else ("", "")
        answer = await self._link.run(
            _OPEN_CHALLENGE,
            [
                self._challenge_key(challenge), self._key("texts", challenge.subject), self._key("call", challenge.call),
                self._key("budget", "all"), self._key("budget:country", country), self._key("budget:prefix", prefix),
                self._key("barred", challenge.subject),
            ],
            challenge.subject, challenge.call, challenge.mac,
            rules.life * _SECOND, rules.tries, rules.resend * _SECOND, rules.sends, rules.sends_per_hour,
            progress.holder if progress else "", calls.said(progress), *self._budgets, int(range is not None),
            int(rules.bar > 0), parts,
        )  # fmt: skip
        match answer:
            case [b"opened"]:
                return Opened()
            case [b"opened", bytes(scope), int(first)]:
                return Opened(Closed(Budget(scope.decode()), first == 1))
            case [b"closed", bytes(scope), int(first)]:
                return Closed(Budget(scope.decode()), first == 1)
            case [b"soon", int(seconds)]:
                return TooSoon(seconds)
            case [b"many"]:
                return TooMany()
            case [b"taken"]:
                raise TakenUp
            case _:
                raise strange(_OPEN_CHALLENGE)

    async def bar(self, subject: str, seconds: int) -> None:
        """As `call.ports.Live` has it; once more begins anew."""
        await self._link.ask("SET", self._key("barred", subject), "1", "PX", seconds * _SECOND)

    async def barred(self, subject: str) -> bool:
        """As `call.ports.Live` has it."""
        return await self._link.ask("GET", self._key("barred", subject)) is not None

    async def try_challenge(
        self, challenge: Challenge, attempt: Attempt, rules: CodeRules, progress: Progress | None = None
    ) -> Right | Wrong | Spent | Locked:
        """Count, compare and consume. `Spent` is not counted: nothing was there to be guessed."""
        answer = await self._scoped(
            _TRY_CHALLENGE, attempt, progress,
            challenge.subject, challenge.call, challenge.mac, rules.tries,
            keys=[self._challenge_key(challenge)],
        )  # fmt: skip
        match answer:
            case Locked() as lock:
                return lock
            case [b"right"]:
                return Right()
            case [b"wrong", int(left)]:
                return Wrong(left)
            case [b"spent"]:
                return Spent()
            case _:
                raise strange(_TRY_CHALLENGE)

    def _challenge_key(self, challenge: Challenge) -> str:
        tenant, _ = of_customer_key(challenge.subject)
        return self._key("challenge", f"{tenant}:{challenge.id}")

    # ------------------------------------------------------------ marks

    async def place_mark(self, mark: Mark, attempt: Attempt, progress: Progress) -> None:
        """Store the mark until it expires by Redis's clock, and read it back; forget the customer's failures.

        Of failures from the calling number, those go that were this customer's.
        """
        written = orjson.dumps(asdict(mark))
        answer = await self._scoped(
            _PLACE_MARK, attempt, progress, written, mark.expires, mark.channel,
            keys=self._mark_keys(mark.node, mark.channel),
        )  # fmt: skip
        if answer == [b"expired"]:
            raise StoreError("Redis: the mark has expired already; compare the clocks of the two machines")
        if answer == [b"unknown"]:
            raise StoreError("Redis: the call's record is lost")
        if answer != [b"placed", written]:
            raise StoreError("Redis: the mark is not there after it was placed")

    async def place_beside(self, mark: Mark, attempt: Attempt) -> bool:
        """As `call.beside.Counted` has it: of a caller whom no session runs, or who talks already."""
        written = orjson.dumps(asdict(mark))
        answer = await self._scoped(
            _PLACE_BESIDE, attempt, None, written, mark.expires, mark.channel, mark.level, mark.subject, topic(self._prefix),
            news_of_call(mark.node, mark.channel), keys=self._mark_keys(mark.node, mark.channel),
        )  # fmt: skip
        match answer:
            case [b"stands"] | [b"under_way"]:
                return False
            case [b"expired"]:
                raise StoreError("Redis: the mark has expired already; compare the clocks of the two machines")
            case [b"placed", bytes(found)] if found == written:
                return True
            case _:
                raise StoreError("Redis: the mark is not there after it was placed")
