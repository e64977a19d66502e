"""Whether Redis keeps what it is told, and who may change it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from redis.exceptions import RedisError

from ivr.config import Settings, loopback
from ivr.doctor import sentinels
from ivr.doctor.finding import NOT_LOOKED_AT, Finding, Grade, Kind, ok
from ivr.errors import ConfigError, StoreError
from ivr.store.link import Link
from ivr.store.live import RedisLive

AWAY = Kind(
    "redis-away", Grade.FAULT,
    "Redis cannot be used",
    "What cannot be counted is not evaluated: nobody is verified.",
)  # fmt: skip
OPEN = Kind(
    "redis-open", Grade.WARNING,
    "Redis lets everybody in without a password",
    "Every user of the machine can set counts of failures back, and place marks.",
)  # fmt: skip
IN_CLEAR = Kind(
    "redis-in-clear", Grade.FAULT,
    "Redis is spoken to over a network without TLS",
    "Its password, and which customer is on which call, go over that network in clear, and can be changed there.",
)  # fmt: skip
NO_FILE = Kind(
    "redis-no-file", Grade.FAULT,
    "Redis does not write what changes into a file (appendonly is off)",
    "A restart of Redis would forget all failures, and so give new tries to whoever is guessing.",
)  # fmt: skip
NO_FLUSH = Kind(
    "redis-no-flush", Grade.FAULT,
    "Redis leaves it to the system when its file goes to the disk (appendfsync no)",
    "When the machine loses its power, half a minute of failures is forgotten.",
)  # fmt: skip
EVICTS = Kind(
    "redis-evicts", Grade.FAULT,
    "Redis may forget keys when its memory is full",
    "To forget a count of failures is to give new tries, and a caller who fills the memory could choose when.",
)  # fmt: skip
DEFAULT_USER = Kind(
    "redis-default-user", Grade.FAULT,
    "Redis's default user has not all rights",
    "In its name Redis 7.0 reads its own file back. Without rights it refuses what it reads: a restart forgets all failures.",
)  # fmt: skip
REPLICAS = Kind(
    "redis-replicas", Grade.FAULT,
    "Redis has fewer replicas than the settings demand",
    "What so many do not have does not hold: nobody is verified.",
)  # fmt: skip
KINDS = (AWAY, OPEN, IN_CLEAR, NO_FILE, NO_FLUSH, EVICTS, DEFAULT_USER, REPLICAS, *sentinels.KINDS)

_SUBJECT = "redis"
_KEEP = "# and write the same in its redis.conf, as in config/redis.conf"


async def check(settings: Settings) -> list[Finding]:
    """Everything that is wrong with Redis, and with the sentinels that guard it."""
    of_sentinels: list[Finding] = []
    try:
        if settings.redis.sentinels:
            primary, of_sentinels = await sentinels.look(settings)
            settings = _leading_to(settings, primary)
        live = await RedisLive.open(settings)
    except ConfigError as error:
        return [*of_sentinels, AWAY.told(_SUBJECT, error)]
    await live.close()
    link = Link.of(settings)
    try:
        found = [*_clear(settings), *await _open(settings), *await _kept(link, settings)]
    finally:
        await link.close()
    return [*of_sentinels, *found]


def _leading_to(settings: Settings, primary: str | None) -> Settings:
    """With the address that the sentinels have told; of the settings' own the machine does not count."""
    url = urlsplit(settings.redis.url)
    if primary is None or url.scheme == "unix":
        return settings
    led = settings.redis.model_copy(update={"url": url._replace(netloc=primary).geturl()})
    return settings.model_copy(update={"redis": led})


def _here(settings: Settings) -> bool:
    """Whether it is on this machine."""
    url = urlsplit(settings.redis.url)
    return url.scheme == "unix" or loopback(url.hostname or "localhost")


def _clear(settings: Settings) -> Iterator[Finding]:
    if settings.redis.url.startswith("redis:") and not _here(settings):
        yield IN_CLEAR.found(
            _SUBJECT, f"it is at {settings.redis.url}, which is redis:// and not this machine",
            "# give Redis TLS (tls-port, tls-cert-file, tls-key-file) and the url rediss://",
        )  # fmt: skip
    if not settings.redis.url.startswith("rediss:"):
        for place in settings.redis.sentinels:
            if not loopback(place.rpartition(":")[0]):
                yield IN_CLEAR.found(
                    _SUBJECT, f"[redis] sentinels has {place}, which is not this machine, and url is not rediss://",
                    "# give the sentinels TLS (tls-port, tls-cert-file, tls-key-file), Redis as well, and the url rediss://",
                )  # fmt: skip


async def _open(settings: Settings) -> list[Finding]:
    nobody = settings.redis.model_copy(update={"username": None, "password_file": None, "password_env": None})
    link = Link.of(settings.model_copy(update={"redis": nobody}))
    try:
        await link.ask("PING")
    except (StoreError, RedisError):
        return []
    finally:
        await link.close()
    if settings.redis.username not in (None, "default"):
        # we have a user of our own: nobody needs the default one
        cure: tuple[str, ...] = (f"{_cli(settings)} ACL SETUSER default off resetpass", _KEEP)
    else:
        cure = ("# give it a user for Tillit, as in config/redis.conf, and [redis] username and password_file",)
    return [OPEN.found(_SUBJECT, "it lets in who has no password", *cure)]


async def _kept(link: Link, settings: Settings) -> list[Finding]:
    cli = _cli(settings)
    told = await _asked(link, "INFO")
    if told is None:
        return [
            NOT_LOOKED_AT.found(
                _SUBJECT, "our user may not ask it (INFO): what it keeps and forgets was not looked at",
                f"{cli} ACL SETUSER tillit +info",
                "# and the same in its redis.conf: config/redis.conf has the line",
            )
        ]  # fmt: skip
    info = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
    if not _here(settings):
        info.pop("config_file", None)  # a file of that name may be here as well, and be another's
    policy = info.get("maxmemory_policy", "").strip()
    found = []
    # they are told of one by one, by number
    replicas = sum(bool(re.fullmatch(r"slave\d+", name)) and "state=online" in info[name] for name in info)
    if replicas < settings.redis.replicas:
        found.append(
            REPLICAS.found(
                _SUBJECT, f"{replicas} replicas are connected, and [redis] replicas demands {settings.redis.replicas}",
                f"{cli} INFO replication", "# start the others, and see in their logs why they are not connected; or demand fewer",
            )
        )  # fmt: skip
    if info.get("aof_enabled") != "1":
        found.append(NO_FILE.found(_SUBJECT, "appendonly is no", f"{cli} CONFIG SET appendonly yes", _KEEP))
    # without a limit there is nothing to make room for
    if policy != "noeviction" and info.get("maxmemory", "").strip() != "0":
        found.append(
            EVICTS.found(
                _SUBJECT, f"maxmemory-policy is {policy}", f"{cli} CONFIG SET maxmemory-policy noeviction", _KEEP
            )
        )
    flush, default = await _flush(link, info), await _default_user(link, info)
    if flush == "no":
        found.append(NO_FLUSH.found(_SUBJECT, "appendfsync is no", f"{cli} CONFIG SET appendfsync everysec", _KEEP))
    if default:
        found.append(
            DEFAULT_USER.found(
                _SUBJECT, "the user default lacks rights",
                f"{cli} ACL SETUSER default '~*' '&*' +@all", "# and the same in redis.conf: user default off resetpass ~* &* +@all",
            )
        )  # fmt: skip
    if flush is None or default is None:
        found.append(
            NOT_LOOKED_AT.found(
                _SUBJECT, "our user may ask neither for its settings nor for its users, and its redis.conf cannot be read",
                f"{cli} CONFIG GET appendfsync", "# expect everysec or always",
                f"{cli} ACL GETUSER default", "# expect ~* and +@all",
            )
        )  # fmt: skip
    version = info.get("redis_version", "")
    return found or [ok(_SUBJECT, f"Redis {version} keeps what it is told, and forgets nothing")]


async def _flush(link: Link, info: dict[str, str]) -> str | None:
    """The setting appendfsync; None where it cannot be seen."""
    if (told := await _asked(link, "CONFIG", "GET", "appendfsync")) is not None:
        return told.split()[-1]
    if (text := _file(info)) is None:
        return None
    lines = re.findall(r"(?m)^\s*appendfsync\s+(\w+)", text)
    return lines[-1] if lines else "everysec"


async def _default_user(link: Link, info: dict[str, str]) -> bool | None:
    """Whether the default user lacks rights; None where it cannot be seen."""
    if (told := await _asked(link, "ACL", "GETUSER", "default")) is not None:
        return not ({"+@all", "allcommands"} & set(told.split()))
    if (text := _file(info)) is None:
        return None
    lines = re.findall(r"(?m)^\s*user\s+default\s+(.*)$", text)
    # without such a line it has all rights
    return bool(lines) and not ({"+@all", "allcommands"} & set(lines[-1].split()))


def _file(info: dict[str, str]) -> str | None:
    """Its configuration, where it runs on this machine and we may read that."""
    try:
        return Path(info["config_file"]).read_text(encoding="utf-8")
    except (KeyError, OSError, UnicodeDecodeError):
        return None


async def _asked(link: Link, *command: str) -> str | None:
    """What it answers, as words; None where we may not ask."""
    try:
        return _words(await link.ask(*command))
    except StoreError:
        return None


def _words(answer: object) -> str:
    match answer:
        case bytes():
            return answer.decode(errors="replace")
        case list():
            return " ".join(map(_words, answer))
        case _:
            return str(answer)


def _cli(settings: Settings) -> str:
    """How its administrator asks this Redis."""
    url = urlsplit(settings.redis.url)
    if url.scheme == "unix":
        return f"redis-cli -s {url.path}"
    return f"redis-cli -h {url.hostname} -p {url.port or 6379}" + (" --tls" if url.scheme == "rediss" else "")
