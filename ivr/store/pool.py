"""Where connections to Redis lead: to the address of the settings, or to whom the sentinels say is the primary."""

from __future__ import annotations

import weakref
from typing import Any

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import Connection, SSLConnection, parse_url
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
from ivr.errors import ConfigError

# A request takes well under a millisecond, so few connections carry many calls; further requests wait
# their turn within their time limit.
_CONNECTIONS = 16
# A sentinel that does not answer must leave time to ask the next one.
_SHARE = 4


class Pool(BlockingConnectionPool):
    """Connections to Redis. Those of sentinels are told here, each time they are made, where the primary is."""

    is_master = True
    check_connection = False
    sentinels: Sentinel | None = None
    service = ""
    _primary: tuple[str, int] | None = None

    @classmethod
    def of(cls, settings: Settings) -> Pool:
        """Not connected yet; raises `ConfigError` for an address or password file that cannot be used."""
        redis = settings.redis
        password = secret_of(settings, "[redis] password", redis.password_file, redis.password_env)
        options = _options(settings, password.reveal() if password else None)
        encrypted = _encrypted(settings)
        try:
            pool = (
                cls._guarded(settings, options, encrypted)
                if redis.sentinels
                else cls.from_url(redis.url, **options, **encrypted)
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
    def _guarded(cls, settings: Settings, options: dict[str, Any], encrypted: dict[str, Any]) -> Pool:
        redis = settings.redis
        secret = secret_of(
            settings, "[redis] sentinel_password", redis.sentinel_password_file, redis.sentinel_password_env
        )
        seconds = redis.request_seconds / _SHARE
        address: dict[str, Any] = {**parse_url(redis.url)}
        secure = issubclass(address.pop("connection_class", Connection), SSLConnection)
        for name in ("host", "port", "path"):
            address.pop(name, None)
        pool = cls(
            connection_class=SentinelManagedSSLConnection if secure else SentinelManagedConnection,
            **{**address, **options, **encrypted, "socket_connect_timeout": seconds},
        )
        pool.connection_kwargs["connection_pool"] = weakref.proxy(pool)
        pool.service = redis.sentinel_name
        pool.sentinels = Sentinel(  # type: ignore[no-untyped-call]  # as below
            [_place(text) for text in redis.sentinels],
            sentinel_kwargs={
                "username": redis.sentinel_username,
                "password": secret.reveal() if secret else None,
                "socket_timeout": seconds,
                "socket_connect_timeout": seconds,
                "protocol": 2,
                "ssl": secure,
                "retry": Retry(NoBackoff(), 0),
                **encrypted,
            },
        )
        return pool

    async def get_master_address(self) -> tuple[str, int]:
        """For the library: where the primary is now. Raises `MasterNotFoundError` where no sentinel says."""
        assert self.sentinels is not None
        try:
            found: tuple[str, int] = await self.sentinels.discover_master(self.service)
        except ResponseError:
            # no sentinel, or one that wants another password: what it says in its own words helps nobody
            raise MasterNotFoundError(self.service) from None
        if found != self._primary:
            self._primary = found
            # those that lie here lead to the one before, which is gone, or takes no writes any more
            await self.disconnect(inuse_connections=False)
        return found

    async def aclose(self) -> None:
        """Close every connection; nothing happens when they are closed."""
        await super().aclose()
        if self.sentinels is not None:
            await self.sentinels.aclose()


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


def _encrypted(settings: Settings) -> dict[str, Any]:
    """What TLS needs, of Redis and of the sentinels; nothing without."""
    redis = settings.redis
    if not redis.url.startswith("rediss:"):
        return {}
    options: dict[str, Any] = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    if redis.ca_file is not None:
        # it is read here for its faults alone: the library reads the file again
        tls.context(settings, "[redis]", redis.ca_file)
        options["ssl_ca_certs"] = str(settings.path(redis.ca_file))
    return options
