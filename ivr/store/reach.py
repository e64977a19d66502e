"""Opening Redis, and telling one that is not there (yet) from one that does not do with these settings."""

from __future__ import annotations

from redis.exceptions import AuthenticationError, ResponseError
from redis.exceptions import ConnectionError as LinkError

from ivr.config import Settings
from ivr.errors import ConfigError, Unreachable
from ivr.store.link import reason, root
from ivr.store.live import RedisLive


async def open_live(settings: Settings) -> RedisLive:
    """As `RedisLive.open`; raises `Unreachable` where nothing answers, or a Redis that takes no writes at the moment."""
    try:
        return await RedisLive.open(settings)
    except ConfigError as error:
        # `from None` keeps what happened from being shown, not from being looked at
        if isinstance(error.__context__, Exception) and _may_pass(root(error.__context__)):
            raise Unreachable(error.place, error.problem, error.cure) from None
        raise


def _may_pass(error: Exception) -> bool:
    if isinstance(error, AuthenticationError):
        return False
    # It is being loaded, full, or cannot write its file. A replica is none that becomes a primary by waiting.
    if isinstance(error, ResponseError):
        return reason(error) in ("BUSY", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM")
    return isinstance(error, (LinkError, OSError))
