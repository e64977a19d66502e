"""One request to Redis: one round trip, within a time limit, sent once at most."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from hashlib import sha1
from importlib import resources

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AuthenticationError, NoScriptError, RedisError, ResponseError
from redis.exceptions import ConnectionError as LinkError

from ivr.call.ports import Timed
from ivr.config import Settings, tls
from ivr.errors import StoreError
from ivr.store.pool import InClear, Pool

# While the sentinels choose another primary, what was not sent is tried again so often.
_AGAIN_SECONDS = 0.1
# What these write may be lost with a primary that dies: who holds a lease renews it.
_FLEETING = frozenset(
    {
        "lease",
        "give_lease",
        "standing",
        "marked",
        "recorded",
        "session_of",
        "tell_desk",
        "glance",
        "holds",
        "many_waits",
        "keep_report",
        "reported",
    }
)


class Script:
    """A Lua script, put together from files of `ivr/store/lua`."""

    __slots__ = ("name", "sha", "text")

    def __init__(self, *files: str) -> None:
        folder = resources.files("ivr.store").joinpath("lua")
        self.name = files[-1]
        self.text = "\n".join(folder.joinpath(f"{file}.lua").read_text(encoding="utf-8") for file in files).encode()
        # Redis names scripts so; nothing rests on its strength.
        self.sha = sha1(self.text, usedforsecurity=False).hexdigest()


class Link:
    """A pool of connections that come back by themselves after Redis was away.

    A request is repeated only where it surely never reached Redis: a script that counts must not run twice.
    Every failure is a `StoreError` without values.
    """

    def __init__(
        self, pool: Pool, seconds: float, timed: Timed = nullcontext, *, guarded: bool = False, replicas: int = 0
    ) -> None:
        """`guarded`: another primary may come within `seconds`; `replicas`: how many must have what a script wrote."""
        self._pool = pool
        self._guarded = guarded
        self._replicas = replicas
        self._timed = timed
        self._seconds = seconds
        self.round_trips = 0

    @classmethod
    def of(cls, settings: Settings, timed: Timed = nullcontext) -> Link:
        """Not connected yet; raises `ConfigError` for an address or password file that cannot be used."""
        return cls(
            Pool.of(settings),
            settings.redis.request_seconds,
            timed,
            guarded=bool(settings.redis.sentinels),
            replicas=settings.redis.replicas,
        )

    async def close(self) -> None:
        """Close every connection; nothing happens when they are closed."""
        await self._pool.aclose()

    async def run(self, script: Script, keys: list[str], *arguments: str | int | bytes) -> list[object]:
        """The script's answer, a list whose first item says what it is.

        Raises `StoreError`; then the script has run once, or not at all.
        """
        rest = (len(keys), *keys, *arguments)
        replicas = 0 if script.name in _FLEETING else self._replicas
        try:
            answer = await self.ask("EVALSHA", script.sha, *rest, replicas=replicas)
        except NoScriptError:
            # Redis was restarted, or its scripts flushed. Nothing has run; EVAL also keeps it for the next time.
            answer = await self.ask("EVAL", script.text, *rest, replicas=replicas)
        if not isinstance(answer, list):
            raise StoreError(f"Redis gave no answer to {script.name}")
        return answer

    async def ask(self, *command: str | int | bytes, replicas: int = 0) -> object:
        """One command's answer, when so many replicas have what it wrote; raises `StoreError`, and `NoScriptError` as it is."""
        with self._timed():
            return await self._asked(command, replicas)

    async def _asked(self, command: tuple[str | int | bytes, ...], replicas: int) -> object:
        try:
            async with asyncio.timeout(self._seconds):
                try:
                    return await self.exchange(*command, replicas=replicas)
                except NotSent:
                    # The connection had died in the pool; the next one is new, or known to live.
                    while True:
                        try:
                            return await self.exchange(*command, replicas=replicas)
                        except NotSent:
                            if not self._guarded:
                                raise
                            # who was the primary is gone, and there will be another one soon
                            await asyncio.sleep(_AGAIN_SECONDS)
        except NoScriptError:
            raise
        except TimeoutError:
            raise StoreError("Redis did not answer in time") from None
        except (RedisError, OSError) as error:
            raise StoreError(f"Redis: {reason(error)}") from None

    async def exchange(self, *command: str | int | bytes, replicas: int = 0) -> object:
        """One command's answer, as the library gives it, without a time limit."""
        try:
            connection = await self._pool.lend()
        except (LinkError, OSError) as error:
            if self._guarded and not isinstance(error, AuthenticationError):
                raise NotSent from error
            raise
        try:
            answer = await self._sent(connection, command, replicas)
        except NoScriptError:
            raise
        except BaseException:
            # An answer may still be under way, or this Redis has become a replica: begin with a new connection.
            await connection.disconnect(nowait=True)
            raise
        finally:
            await self._pool.give_back(connection)
        return answer

    async def _sent(
        self, connection: AbstractConnection, command: tuple[str | int | bytes, ...], replicas: int
    ) -> object:
        try:
            await connection.send_command(*command, check_health=False)
        except LinkError:
            # The library raises this before a whole command has gone out, and Redis runs only whole ones.
            raise NotSent from None
        self.round_trips += 1
        if not replicas:
            return await connection.read_response()
        # behind it, without waiting for its answer first: one round trip still
        await connection.send_command("WAIT", replicas, round(self._seconds * 1000), check_health=False)
        try:
            answer = await connection.read_response()
        except ResponseError:
            await connection.read_response()
            raise
        have = await connection.read_response()
        if not isinstance(have, int) or have < replicas:
            raise StoreError(f"Redis: {have} of {replicas} replicas have what was written")
        return answer


class NotSent(LinkError):
    """The command did not reach Redis."""


def root(error: Exception) -> Exception:
    """What Redis itself answered, where the library wrapped it as a failure to connect."""
    cause = error.__cause__
    return root(cause) if isinstance(cause, RedisError) else error


def reason(error: Exception) -> str:
    """What went wrong, in a word: the code of Redis's answer (`OOM`, `READONLY`, …) or the kind of error."""
    if why := tls.fault(error):
        return why
    error = root(error)
    if isinstance(error, InClear):
        return str(error)
    if code := getattr(error, "status_code", None):
        return str(code)
    first = str(error).split(" ", 1)[0]
    # Redis begins its refusals with a word in capitals; what follows may hold keys and values.
    if first.isascii() and first.isalpha() and first.isupper():
        return first
    return type(error).__name__
