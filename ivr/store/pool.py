"""Where connections to Redis lead: to the address of the settings, or to whom the sentinels say is the primary."""

from __future__ import annotations

import ssl
import weakref
from typing import Any

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    MasterNotFoundError,
    Sentinel,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from ivr.config import Settings, secret_of, tls
from ivr.config.clear import loopback
from ivr.errors import ConfigError

# A request takes well under a millisecond, so few connections carry many calls; further requests wait
# their turn within their time limit.
_CONNECTIONS = 16
# A sentinel that does not answer must leave time to ask the next one.
_SHARE = 4


class InClear(RedisError):
    """The primary that the sentinels name is on another machine, and would be spoken to in clear."""


class _ByTls(SSLConnection):
    """Trusts those whom this context does: the library's own trusts the system's CAs besides."""

    def __init__(self, *, trusted: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = trusted


class _ManagedByTls(SentinelManagedSSLConnection):
    """The same, to the primary of whom the sentinels tell."""

    def __init__(self, *, trusted: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]  # the library left out its types
        self.ssl_context.context = trusted


class Pool(BlockingConnectionPool):
    """Connections to Redis. Those of sentinels are told here, each time they are made, where the primary is.

    What lies ready is lent and given back here without the library's locks and measurements, which take longer than the
    request; everything else is left to it.
    """

    is_master = True
    check_connection = False
    sentinels: Sentinel | None = None
    service = ""
    _primary: tuple[str, int] | None = None
    # whether a primary may be on another machine
    _anywhere = False
    # how many wait for a connection, or for one to be made
    _waiting = 0

    @classmethod
    def of(cls, settings: Settings) -> Pool:
        """Not connected yet; raises `ConfigError` for an address or password file that cannot be used."""
        redis = settings.redis
        password = secret_of(settings, "[redis] password", redis.password_file, redis.password_env)
        options = _options(settings, password.reveal() if password else None)
        trusted = tls.context(settings, "[redis]", redis.ca_file) if redis.url.startswith("rediss:") else None
        try:
            pool = (
                cls._guarded(settings, options, trusted) if redis.sentinels else cls._plain(redis.url, options, trusted)
            )
            # Options in the address are only looked at here.
            pool.make_connection()  # type: ignore[no-untyped-call]  # the library left out its types
        except (TypeError, ValueError, RedisError):
            raise ConfigError(
                f"{settings.file}: [redis] url",
                "it is no address of a Redis",
                f"{type(redis).model_fields['url'].description}",
            ) from None
        return pool

    @classmethod
    def _plain(cls, url: str, options: dict[str, Any], trusted: ssl.SSLContext | None) -> Pool:
        encrypted = {} if trusted is None else {"connection_class": _ByTls, "trusted": trusted}
        return cls(**{**options, **parse_url(url), **encrypted})

    @classmethod
    def _guarded(cls, settings: Settings, options: dict[str, Any], trusted: ssl.SSLContext | None) -> Pool:
        redis = settings.redis
        secret = secret_of(
            settings, "[redis] sentinel_password", redis.sentinel_password_file, redis.sentinel_password_env
        )
        seconds = redis.request_seconds / _SHARE
        address: dict[str, Any] = {**parse_url(redis.url)}
        for name in ("connection_class", "host", "port", "path"):
            address.pop(name, None)
        encrypted = (
            {"connection_class": SentinelManagedConnection}
            if trusted is None
            else {"connection_class": _ManagedByTls, "trusted": trusted}
        )
        pool = cls(**{**address, **options, **encrypted, "socket_connect_timeout": seconds})
        pool.connection_kwargs["connection_pool"] = weakref.proxy(pool)
        pool.service = redis.sentinel_name
        pool._anywhere = trusted is not None or redis.plain_text
        pool.sentinels = Sentinel(  # type: ignore[no-untyped-call]  # as below
            [_place(text) for text in redis.sentinels],
            sentinel_kwargs={
                "username": redis.sentinel_username,
                "password": secret.reveal() if secret else None,
                "socket_timeout": seconds,
                "socket_connect_timeout": seconds,
                "protocol": 2,
                "retry": Retry(NoBackoff(), 0),
            },
        )
        if trusted is not None:
            for sentinel in pool.sentinels.sentinels:
                sentinel.connection_pool.connection_class = _ByTls
                sentinel.connection_pool.connection_kwargs["trusted"] = trusted
        return pool

    async def lend(self) -> AbstractConnection:
        """One that is connected and has nothing left to be read; to be given back. Raises `RedisError`, `OSError`."""
        if self._available_connections and not self._waiting:
            connection: AbstractConnection = self._available_connections.pop()
            self._in_use_connections.add(connection)
            if await _ready(connection):
                return connection
            self._in_use_connections.remove(connection)
            self._available_connections.append(connection)
        self._waiting += 1
        try:
            lent: AbstractConnection = await self.get_connection()  # type: ignore[no-untyped-call]  # as below
            return lent
        finally:
            self._waiting -= 1

    async def give_back(self, connection: AbstractConnection) -> None:
        """What was lent, whatever became of it."""
        if self._waiting or connection.should_reconnect():  # type: ignore[no-untyped-call]  # the library left out its types
            await self.release(connection)
            return
        self._in_use_connections.remove(connection)
        self._available_connections.append(connection)

    async def get_master_address(self) -> tuple[str, int]:
        """For the library: where the primary is now.

        Raises `MasterNotFoundError` where no sentinel says, `InClear` where it must not be spoken to.
        """
        assert self.sentinels is not None
        try:
            found: tuple[str, int] = await self.sentinels.discover_master(self.service)
        except ResponseError:
            # no sentinel, or one that wants another password: what it says in its own words helps nobody
            raise MasterNotFoundError(self.service) from None
        if not (self._anywhere or loopback(found[0])):
            raise InClear(f"the primary that the sentinels name, {found[0]}, would be spoken to in clear")
        if found != self._primary:
            self._primary = found
            # Those that lie here lead to the one before, which is gone, or takes no writes any more. None is waited for: by TLS
            # a machine that hangs would let us wait, and in between they would be lent, and then closed under somebody.
            for connection in self._available_connections:
                await connection.disconnect(nowait=True)
        return found

    async def aclose(self) -> None:
        """Close every connection; nothing happens when they are closed."""
        await super().aclose()
        if self.sentinels is not None:
            await self.sentinels.aclose()


async def _ready(connection: AbstractConnection) -> bool:
    try:
        return connection.is_connected and not await connection.can_read()
    except RedisError:
        return False


def _place(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def _options(settings: Settings, password: str | None) -> dict[str, Any]:
    return {
        "username": settings.redis.username,
        "password": password,
        "client_name": settings.worker.name,
        "max_connections": _CONNECTIONS,
        # The limit of the whole request holds; limits of its parts would only add tasks.
        "timeout": None,
        "socket_timeout": None,
        "socket_connect_timeout": settings.redis.request_seconds,
        # With protocol 3 the library listens for maintenance notices, and for their sake hands out
        # pooled connections without looking whether they are still open.
        "protocol": 2,
        "driver_info": None,
        "retry": None,
    }
