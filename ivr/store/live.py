"""What many workers share, in Redis: counts of failures, codes that wait for their answer, marks.

Every method is one round trip: one Lua script, which Redis runs alone, with Redis's own clock. Every key
begins with the settings' prefix and expires; customers and numbers stand in keys as blind indexes, codes
as keyed hashes.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Self

import orjson
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from structlog.typing import FilteringBoundLogger

from ivr.call.mark import Mark
from ivr.call.outcome import Locked, Scope
from ivr.call.ports import (
    Attempt,
    Challenge,
    CodeRules,
    Granted,
    Opened,
    Right,
    Spent,
    TooMany,
    TooSoon,
    Wrong,
)
from ivr.config import Limits, Settings
from ivr.errors import ConfigError, StoreError, Unreachable
from ivr.store import lease
from ivr.store.link import Link, Script, reason, root

_STANDING = Script("clock", "scopes", "standing")
_ATTEMPT = Script("clock", "scopes", "attempt")
_GIVE_BACK = Script("clock", "scopes", "give_back")
_FORGIVE = Script("clock", "scopes", "forgive")
_OPEN_CHALLENGE = Script("clock", "open_challenge")
_TRY_CHALLENGE = Script("clock", "scopes", "try_challenge")
_PLACE_MARK = Script("clock", "place_mark")
_DROP_MARK = Script("drop_mark")
_MARKED = Script("clock", "marked")
_PROBE = Script("clock", "probe")

_SCRIPTS = (
    _STANDING,
    _ATTEMPT,
    _GIVE_BACK,
    _FORGIVE,
    _OPEN_CHALLENGE,
    _TRY_CHALLENGE,
    _PLACE_MARK,
    _DROP_MARK,
    _MARKED,
    lease.TAKE,
    lease.GIVE,
)

# Why a Redis takes no writes for a time: it reads its file, is full, or cannot write its file. A replica does not
# become a primary by waiting.
_PASSING = ("BUSY", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM")

_MINUTE = 60_000
_SECOND = 1_000


class RedisLive:
    """`ports.Live` on Redis 6 or later. Safe for many tasks at once, and for many workers on one Redis.

    Any method raises `StoreError` when Redis is away, refuses, or does not answer in `redis.request_seconds`;
    what it was asked for was then done once, or not at all.
    """

    def __init__(self, link: Link, prefix: str, limits: Limits) -> None:
        self._link = link
        self._prefix = prefix
        # As scopes.lua reads them: counts, and milliseconds.
        self._limits = (
            limits.customer_in_a_row, limits.customer_lock_minutes * _MINUTE, limits.customer_most,
            limits.number_in_a_row, limits.number_lock_minutes * _MINUTE,
            limits.call, limits.all, limits.all_window_minutes * _MINUTE,
        )  # fmt: skip

    @classmethod
    async def open(cls, settings: Settings) -> Self:
        """Connect, load the scripts and try to write; raises `ConfigError` where that cannot be done, `Unreachable` where it could later."""
        link = Link.of(settings)
        live = cls(link, settings.redis.prefix, settings.limits)
        try:
            async with asyncio.timeout(settings.redis.request_seconds):
                await link.exchange("PING")
                for script in _SCRIPTS:
                    await link.exchange("SCRIPT", "LOAD", script.text)
                await link.exchange("EVAL", _PROBE.text, 1, live._key("probe", settings.worker.name))
        except BaseException as error:
            await link.close()
            if isinstance(error, (RedisError, OSError)):
                raise _explained(settings, root(error)) from None
            raise
        return live

    async def close(self) -> None:
        """Give the connections back; nothing happens when that was done."""
        await self._link.close()

    def lease(self, node: str, app: str, *, seconds: float, log: FilteringBoundLogger) -> lease.Lease:
        """The lease of an application of this Asterisk, not taken yet."""
        return lease.Lease(self._link, self._prefix, node=node, app=app, seconds=seconds, log=log)

    @property
    def round_trips(self) -> int:
        """How many commands were sent to Redis since `open` began."""
        return self._link.round_trips

    # ------------------------------------------------------------ failures

    async def standing(self, attempt: Attempt) -> Locked | None:
        """Whether a try would be refused now; counts nothing."""
        match await self._scoped(_STANDING, attempt):
            case Locked() as lock:
                return lock
            case [b"granted"]:
                return None
            case _:
                raise _strange(_STANDING)

    async def attempt(self, attempt: Attempt) -> Granted | Locked:
        """Count a try in every scope, unless one of them is locked."""
        match await self._scoped(_ATTEMPT, attempt):
            case Locked() as lock:
                return lock
            case [b"granted"]:
                return Granted()
            case _:
                raise _strange(_ATTEMPT)

    async def give_back(self, attempt: Attempt) -> None:
        """Take one try out of every count again, and lift a lock that it had set."""
        await self._scoped(_GIVE_BACK, attempt)

    async def forgive(self, attempt: Attempt) -> None:
        """Forget the customer's failures, and those that they had added to the calling number's."""
        await self._scoped(_FORGIVE, attempt)

    async def unlock(self, subject: str) -> bool:
        """Forget the failures of a customer (`Subject.key`); whether there were any. For `customer unlock`."""
        return await self._link.ask("DEL", self._key("fail:customer", subject)) == 1

    # ------------------------------------------------------------ codes

    async def open_challenge(self, challenge: Challenge, rules: CodeRules) -> Opened | TooSoon | TooMany:
        """Store a code's MAC and count its text, or say why no text may go.

        Texts in an hour are those of a sliding hour, over all calls. A challenge whose tries are used up, or
        that was opened for another subject or channel, is `TooMany`.
        """
        answer = await self._link.run(
            _OPEN_CHALLENGE,
            [self._key("challenge", challenge.id), self._key("texts", challenge.subject)],
            challenge.subject, challenge.call, challenge.mac,
            rules.life * _SECOND, rules.tries, rules.resend * _SECOND, rules.sends, rules.sends_per_hour,
        )  # fmt: skip
        match answer:
            case [b"opened"]:
                return Opened()
            case [b"soon", int(seconds)]:
                return TooSoon(seconds)
            case [b"many"]:
                return TooMany()
            case _:
                raise _strange(_OPEN_CHALLENGE)

    async def try_challenge(
        self, challenge: Challenge, attempt: Attempt, rules: CodeRules
    ) -> Right | Wrong | Spent | Locked:
        """Count, compare and consume. `Spent` is not counted: nothing was there to be guessed."""
        answer = await self._scoped(
            _TRY_CHALLENGE, attempt,
            challenge.subject, challenge.call, challenge.mac, rules.tries,
            key=self._key("challenge", challenge.id),
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
                raise _strange(_TRY_CHALLENGE)

    # ------------------------------------------------------------ marks

    async def place_mark(self, mark: Mark) -> None:
        """Store the mark until it expires by Redis's clock, and read it back."""
        written = orjson.dumps(asdict(mark))
        keys = self._mark_keys(mark.node, mark.channel)
        answer = await self._link.run(_PLACE_MARK, keys, written, mark.expires, mark.channel)
        if answer == [b"expired"]:
            raise StoreError("Redis: the mark has expired already; compare the clocks of the two machines")
        if answer != [b"placed", written]:
            raise StoreError("Redis: the mark is not there after it was placed")

    async def mark(self, node: str, channel: str) -> Mark | None:
        """The mark of this channel; None where there is none, or no longer."""
        written = await self._link.ask("GET", self._mark_keys(node, channel)[0])
        if not isinstance(written, bytes):
            return None
        try:
            fields = orjson.loads(written)
            mark = Mark(**{**fields, "methods": tuple(fields["methods"])})
        except (ValueError, TypeError, KeyError):
            raise StoreError("Redis: what stands for the mark is none") from None
        # A node's name may hold a colon, and so two channels of two nodes share a key.
        return mark if (mark.node, mark.channel) == (node, channel) else None

    async def drop_mark(self, node: str, channel: str) -> bool:
        """Remove the mark; whether there was one."""
        match await self._link.run(_DROP_MARK, self._mark_keys(node, channel), channel):
            case [b"dropped", int(count)]:
                return count > 0
            case _:
                raise _strange(_DROP_MARK)

    async def marked(self, node: str) -> frozenset[str]:
        """The channels of this node that have a mark."""
        match await self._link.run(_MARKED, [self._key("marks", node)]):
            case [b"marked", list(channels)]:
                return frozenset(channel.decode() for channel in channels if isinstance(channel, bytes))
            case _:
                raise _strange(_MARKED)

    # ------------------------------------------------------------

    async def _scoped(
        self, script: Script, attempt: Attempt, *arguments: str | int, key: str | None = None
    ) -> Locked | list[object]:
        """Run a script that begins with scopes.lua; `key` is one more key of its own."""
        keys = [
            self._key("fail", "all"),
            self._key("fail:customer", attempt.subject),
            self._key("fail:call", attempt.call),
            self._key("fail:number", attempt.number or ""),
        ]
        answer = await self._link.run(
            script, keys if key is None else [*keys, key],
            *self._limits, attempt.call, attempt.subject, int(attempt.number is not None), *arguments,
        )  # fmt: skip
        match answer:
            case [b"locked", bytes(scope), int(seconds)]:
                return Locked(Scope(scope.decode()), seconds if seconds >= 0 else None)
            case _:
                return answer

    def _mark_keys(self, node: str, channel: str) -> list[str]:
        """Those of the mark, and of the node's list of marks."""
        return [self._key("mark", f"{node}:{channel}"), self._key("marks", node)]

    def _key(self, kind: str, name: str) -> str:
        return f"{self._prefix}:{kind}:{name}"


def _strange(script: Script) -> StoreError:
    return StoreError(f"Redis gave an unknown answer to {script.name}")


def _explained(settings: Settings, error: Exception) -> ConfigError:
    """Which field of [redis] to look at, and what to do there."""
    # Of a command inside of a script, Redis 7 says it without the code.
    if isinstance(error, NoPermissionError) or "user executing the script" in str(error):
        return ConfigError(
            f"{settings.file}: [redis] username",
            f"this user may not do what is needed ({reason(error)})",
            f"Grant it, with ACL SETUSER: ~{settings.redis.prefix}:* +@read +@write +@scripting +@connection +time",
        )
    if isinstance(error, AuthenticationError):
        return ConfigError(
            f"{settings.file}: [redis] password_file",
            "Redis refuses the password, or wants one",
            "Write the password of redis.conf (requirepass), or of the user, into that file",
        )
    code = reason(error)
    if code == "READONLY":
        return ConfigError(
            f"{settings.file}: [redis] url", "this Redis takes no writes (READONLY)", "Name the primary, not a replica"
        )
    if code.isupper():
        kind = Unreachable if code in _PASSING else ConfigError
        return kind(
            f"{settings.file}: [redis] url",
            f"this Redis takes no writes now ({code})",
            "See Redis's own log, and start again",
        )
    return Unreachable(
        f"{settings.file}: [redis] url",
        f"no Redis answers at {settings.redis.url}",
        "Start Redis (systemctl start redis-server), or correct the address",
    )
