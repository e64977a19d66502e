"""Whether the sentinels that guard Redis answer and agree, and would move it for a good reason alone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from redis.exceptions import AuthenticationError, RedisError, ResponseError

from ivr.config import Settings
from ivr.doctor.finding import Finding, Grade, Kind, ok
from ivr.store.link import reason
from ivr.store.pool import Pool

AWAY = Kind(
    "sentinel-away", Grade.WARNING,
    "A sentinel does not answer, or does not know this Redis",
    "The others do its work, until so many are missing that nobody moves Redis when its primary dies: then nobody is verified.",
)  # fmt: skip
DISAGREE = Kind(
    "sentinels-disagree", Grade.FAULT,
    "The sentinels do not agree on which Redis is the primary",
    "A worker goes where the first one that answers sends it: what is counted in one Redis is not known in the other.",
)  # fmt: skip
QUORUM = Kind(
    "sentinel-quorum", Grade.WARNING,
    "One sentinel alone can declare the primary dead (its quorum is 1)",
    "One that is cut off for a moment has a primary replaced that lives, and each time counts may be forgotten.",
)  # fmt: skip
KINDS = (AWAY, DISAGREE, QUORUM)

_SUBJECT = "redis"
_ENOUGH = 2


@dataclass(frozen=True, slots=True)
class Told:
    """What the sentinel at this place says: where the primary is, and how many sentinels must agree that it is dead."""

    place: str
    primary: str
    quorum: int

    @property
    def cli(self) -> str:
        """How its administrator asks it."""
        return f"redis-cli {address(self.place)}"


def address(place: str) -> str:
    """`HOST:PORT` as redis-cli takes it."""
    host, _, port = place.rpartition(":")
    return f"-h {host.strip('[]')} -p {port}"


async def look(settings: Settings) -> tuple[str | None, list[Finding]]:
    """Where the primary is (`HOST:PORT`), None where they do not say or do not agree; and what there is to say of them.

    Raises `ConfigError` where they cannot be asked by these settings.
    """
    name, places = settings.redis.sentinel_name, settings.redis.sentinels
    pool = Pool.of(settings)
    assert pool.sentinels is not None
    seconds = settings.redis.request_seconds
    try:
        answers = await asyncio.gather(
            *(
                _ask(client, place, name, seconds)
                for client, place in zip(pool.sentinels.sentinels, places, strict=True)
            )
        )
    finally:
        await pool.aclose()
    told = [answer for answer in answers if isinstance(answer, Told)]
    found = [
        AWAY.found(
            _SUBJECT, f"{place}: {answer}",
            f"redis-cli {address(place)} SENTINEL MASTER {name}",
            "# start it there (systemctl start redis-sentinel), or correct [redis] sentinels, sentinel_name or",
            "# sentinel_password_file",
        )
        for place, answer in zip(places, answers, strict=True)
        if isinstance(answer, str)
    ]  # fmt: skip
    primaries = sorted({one.primary for one in told})
    if len(primaries) > 1:
        says = "; ".join(f"{one.place} says {one.primary}" for one in told)
        found.append(
            DISAGREE.found(
                _SUBJECT, says,
                "# while the primary is being moved this passes by itself: look again in a minute",
                *(f"redis-cli {address(primary)} ROLE" for primary in primaries),
                f"# on a sentinel that names the wrong one: SENTINEL REMOVE {name}, then SENTINEL MONITOR {name} as the others have it",
            )
        )  # fmt: skip
    if alone := [one for one in told if one.quorum < _ENOUGH]:
        few = ("# have three sentinels, each on a machine of its own; then",) if len(places) <= _ENOUGH else ()
        found.append(
            QUORUM.found(
                _SUBJECT, f"the quorum is 1 at {', '.join(one.place for one in alone)}",
                *few, *(f"{one.cli} SENTINEL SET {name} quorum {_ENOUGH}" for one in alone),
            )
        )  # fmt: skip
    primary = primaries[0] if len(primaries) == 1 else None
    if not found:
        found.append(ok(_SUBJECT, f"{len(told)} sentinels agree that {name} is at {primary}"))
    return primary, found


async def _ask(client: Any, place: str, name: str, seconds: float) -> Told | str:
    """What it says, or what is wrong with it."""
    try:
        async with asyncio.timeout(seconds):
            state = await client.sentinel_master(name)
    except AuthenticationError:
        return "refuses our password, or wants one"
    except ResponseError as error:
        # NOPERM, say; ERR is what it says of a name, or a Redis of such a question
        return f"knows no primary called {name}" + ("" if (code := reason(error)) == "ERR" else f" ({code})")
    except (RedisError, OSError, TimeoutError):
        return "does not answer"
    host = f"[{state['ip']}]" if ":" in state["ip"] else state["ip"]
    return Told(place, f"{host}:{state['port']}", int(state["quorum"]))
