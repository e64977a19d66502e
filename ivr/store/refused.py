"""Why Redis cannot be used: which field of the settings to look at, and what to do there."""

from __future__ import annotations

from dataclasses import dataclass

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import AuthenticationError, NoPermissionError

from ivr.config import Settings, tls
from ivr.config.clear import ACCEPTED
from ivr.config.stores import BY_TLS
from ivr.errors import ConfigError, Unreachable
from ivr.store.link import reason
from ivr.store.pool import InClear

# Why a Redis takes no writes for a time: it reads its file, is full, or cannot write its file. A replica does not
# become a primary by waiting.
_PASSING = ("BUSY", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM")


@dataclass(frozen=True, slots=True)
class User:
    """One at Redis: where the settings name it and its password, and what it must be allowed, as ACL SETUSER takes it."""

    name: str
    password: str
    rights: str


def worker(prefix: str) -> User:
    """Whom workers, desk and proxy come as."""
    rights = f"~{prefix}:* &{prefix}:* +@read +@write +@scripting +@connection +time +publish +subscribe"
    return User("[redis] username", "[redis] password_file", rights)


def explained(settings: Settings, error: Exception, user: User | None = None) -> ConfigError:
    """Which field to look at, and what to do there. `user`: one of its own; else that of [redis]."""
    user = user or worker(settings.redis.prefix)
    # Of a command inside of a script, Redis 7 says it without the code.
    if isinstance(error, NoPermissionError) or "user executing the script" in str(error):
        return ConfigError(
            f"{settings.file}: {user.name}",
            f"this user may not do what is needed ({reason(error)})",
            f"Grant it, with ACL SETUSER: {user.rights}",
        )
    if isinstance(error, AuthenticationError):
        return ConfigError(
            f"{settings.file}: {user.password}",
            "Redis refuses the password, or wants one",
            "Write the password of redis.conf (requirepass), or of the user, into that file",
        )
    if isinstance(error, MasterNotFoundError):
        return Unreachable(
            f"{settings.file}: [redis] sentinels",
            f"none of them answers and knows a primary called {settings.redis.sentinel_name}",
            "Start Redis and the sentinels, or correct the addresses, sentinel_name or sentinel_password_file",
        )
    if isinstance(error, InClear):
        return ConfigError(f"{settings.file}: [redis] sentinels", str(error), f"{BY_TLS}; or {ACCEPTED}")
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
    if (why := tls.fault(error)) is not None:
        return Unreachable(f"{settings.file}: [redis] ca_file", f"{settings.redis.url}: {why}", tls.CURE)
    return Unreachable(
        f"{settings.file}: [redis] url",
        f"no Redis answers at {settings.redis.url}",
        "Start Redis (systemctl start redis-server), or correct the address",
    )
