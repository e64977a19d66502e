"""One request to Redis: one round trip, within a time limit, sent once at most."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from hashlib import sha1
from importlib import resources

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as LinkError
from redis.exceptions import NoScriptError, RedisError

from ivr.call.ports import Timed
from ivr.config import Settings, secret_of, tls
from ivr.errors import ConfigError, StoreError

# A request takes well under a millisecond, so few connections carry many calls; further requests wait
# their turn within their time limit.
_CONNECTIONS = 16


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

    def __init__(self, pool: BlockingConnectionPool, seconds: float, timed: Timed = nullcontext) -> None:
        self._pool = pool
        self._timed = timed
        self._seconds = seconds
        self.round_trips = 0

    @classmethod
    def of(cls, settings: Settings, timed: Timed = nullcontext) -> Link:
        """Not connected yet; raises `ConfigError` for an address or password file that cannot be used."""
        redis = settings.redis
        password = secret_of(settings, "[redis] password", redis.password_file, redis.password_env)
        encrypted: dict[str, str | bool] = {}
        if redis.url.startswith("rediss:"):
            if redis.ca_file is not None:
                # it is read here for its faults alone: the library reads the file again
                tls.context(settings, "[redis]", redis.ca_file)
                encrypted["ssl_ca_certs"] = str(settings.path(redis.ca_file))
            encrypted |= {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
        try:
            pool = BlockingConnectionPool.from_url(
                redis.url,
                username=redis.username,
                password=password.reveal() if password else None,
                client_name=settings.worker.name,
                max_connections=_CONNECTIONS,
                # The limit of the whole request holds; limits of its parts would only add tasks.
                timeout=None,
                socket_timeout=None,
                socket_connect_timeout=redis.request_seconds,
                # With protocol 3 the library listens for maintenance notices, and for their sake hands out
                # pooled connections without looking whether they are still open.
                protocol=2,
                driver_info=None,
                retry=None,
                **encrypted,
            )
            # Options in the address are only looked at here.
            pool.make_connection()  # type: ignore[no-untyped-call]  # the library left out its types
        except (TypeError, ValueError, RedisError):
            raise ConfigError(
                f"{settings.file}: [redis] url",
                "it is no address of a Redis",
                f"{type(redis).model_fields['url'].description}",
            ) from None
        return cls(pool, redis.request_seconds, timed)

    async def close(self) -> None:
        """Close every connection; nothing happens when they are closed."""
        await self._pool.aclose()

    async def run(self, script: Script, keys: list[str], *arguments: str | int | bytes) -> list[object]:
        """The script's answer, a list whose first item says what it is.

        Raises `StoreError`; then the script has run once, or not at all.
        """
        rest = (len(keys), *keys, *arguments)
        try:
            answer = await self.ask("EVALSHA", script.sha, *rest)
        except NoScriptError:
            # Redis was restarted, or its scripts flushed. Nothing has run; EVAL also keeps it for the next time.
            answer = await self.ask("EVAL", script.text, *rest)
        if not isinstance(answer, list):
            raise StoreError(f"Redis gave no answer to {script.name}")
        return answer

    async def ask(self, *command: str | int | bytes) -> object:
        """One command's answer; raises `StoreError`, and `NoScriptError` as it is."""
        with self._timed():
            return await self._asked(*command)

    async def _asked(self, *command: str | int | bytes) -> object:
        try:
            async with asyncio.timeout(self._seconds):
                try:
                    return await self.exchange(*command)
                except NotSent:
                    # The connection had died in the pool; the next one is new, or known to live.
                    return await self.exchange(*command)
        except NoScriptError:
            raise
        except TimeoutError:
            raise StoreError("Redis did not answer in time") from None
        except (RedisError, OSError) as error:
            raise StoreError(f"Redis: {reason(error)}") from None

    async def exchange(self, *command: str | int | bytes) -> object:
        """One command's answer, as the library gives it, without a time limit."""
        connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]  # as above
        try:
            answer = await self._sent(connection, command)
        except NoScriptError:
            raise
        except BaseException:
            # An answer may still be under way, or this Redis has become a replica: begin with a new connection.
            await connection.disconnect(nowait=True)
            raise
        finally:
            await self._pool.release(connection)
        return answer

    async def _sent(self, connection: AbstractConnection, command: tuple[str | int | bytes, ...]) -> object:
        try:
            await connection.send_command(*command, check_health=False)
        except LinkError:
            # The library raises this before a whole command has gone out, and Redis runs only whole ones.
            raise NotSent from None
        self.round_trips += 1
        return await connection.read_response()


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
    if code := getattr(error, "status_code", None):
        return str(code)
    first = str(error).split(" ", 1)[0]
    # Redis begins its refusals with a word in capitals; what follows may hold keys and values.
    if first.isascii() and first.isalpha() and first.isupper():
        return first
    return type(error).__name__
