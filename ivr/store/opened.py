"""What the public page does with proofs, as its own user at Redis, who reaches nothing else."""

from __future__ import annotations

import asyncio
import re
import secrets
from contextlib import nullcontext
from dataclasses import dataclass

from redis.exceptions import RedisError

from ivr.call.ports import Timed
from ivr.call.proof import Keyed, Shown, Stage
from ivr.config import Settings, secret_of
from ivr.errors import StoreError
from ivr.secret import Secret
from ivr.store.answered import Confirmed, Over, Wrong, keyed, stage_of, strange
from ivr.store.link import Link, Script, root
from ivr.store.pagekey import PageKey
from ivr.store.pageparts import ended_key, named, news_key, page_key, read_shown
from ivr.store.refused import User, explained

_LOOK = Script("clock", "proof", "by_link", "visited", "look_page")
_OPEN = Script("clock", "proof", "by_link", "visited", "open_page")
_KEY = Script("clock", "proof", "by_link", "visited", "key_page")
_SPEND = Script("clock", "proof", "by_link", "visited", "spend_page")
_MINE = Script("clock", "proof", "by_link", "visited", "mine_page")
_DENY = Script("clock", "proof", "by_link", "visited", "deny_page")
_EXCHANGE = Script("proof", "exchange_code")
_PROBE = Script("clock", "probe")

# As secrets.token_urlsafe writes so many bytes.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")
_TOKEN_BYTES = 16
# A person may key a code again, on another telephone; whoever does so for ever is no person.
_EXCHANGES = 5


def new_link() -> Secret:
    """What a new link ends with: 128 random bits, in 22 letters."""
    return Secret(secrets.token_urlsafe(_TOKEN_BYTES))


@dataclass(frozen=True, slots=True)
class Seen:
    """What the page knows of a proof. `left`: how often digits may be keyed yet; `digits`: what it shows, where the person keys them on the phone."""

    id: str
    stage: Stage
    keyed: Keyed
    until: int
    left: int
    shown: Shown
    digits: Secret | None = None


def browser_of(key: PageKey, token: Secret, proof: str) -> str:
    """What a browser is called that was given this token behind that proof."""
    return key.mac("back", token, proof)


def rights(prefix: str) -> str:
    """All that the page's user may, as ACL SETUSER takes it; config/redis.conf has the same."""
    return (
        f"~{prefix}:page:* &{prefix}:page:news -@all +ping +select +wait +client|setname +eval +evalsha +time +get +set +del "
        "+pexpire +pttl +hget +hmget +hset +hdel +hincrby +sadd +llen +rpush +publish"
    )


async def link_of_page(settings: Settings, timed: Timed = nullcontext) -> Link:
    """The page's way to Redis, tried. Raises `ConfigError` where it cannot be used, `Unreachable` where it could later."""
    link = Link.of(_settings_of_page(settings), timed)
    try:
        async with asyncio.timeout(settings.redis.request_seconds):
            await link.exchange("PING")
            await link.exchange("EVAL", _PROBE.text, 1, f"{settings.redis.prefix}:page:probe")
    except BaseException as error:
        await link.close()
        if isinstance(error, (RedisError, OSError)):
            user = User("[page] redis_username", "[page] redis_password_file", rights(settings.redis.prefix))
            raise explained(settings, root(error), user) from None
        raise
    return link


def _settings_of_page(settings: Settings) -> Settings:
    """Those with which the page goes to Redis: as its own user. Raises `ConfigError` where that user's password is not there."""
    page = settings.page
    # asked for here, where what is wrong with it has its right name
    secret_of(settings, "[page] redis_password", page.redis_password_file, page.redis_password_env)
    own = {
        "username": page.redis_username,
        "password_file": page.redis_password_file,
        "password_env": page.redis_password_env,
    }
    return settings.model_copy(update={"redis": settings.redis.model_copy(update=own)})


class PageStore:
    """Found by the end of the link alone. Every method is one round trip unless it says so, and raises `StoreError`."""

    def __init__(self, link: Link, prefix: str, key: PageKey) -> None:
        self._link = link
        self._prefix = prefix
        self._key = key

    async def ping(self) -> None:
        """Returns when Redis takes what is written."""
        await self._link.run(_PROBE, [f"{self._prefix}:page:probe"])

    async def look(self, link: Secret) -> Seen | None:
        """What it leads to; None for one that nobody has, or that was good long ago. Changes nothing."""
        return await self._seen(_LOOK, link)

    async def opened(self, link: Secret) -> Seen | None:
        """The person asks who it is."""
        return await self._seen(_OPEN, link)

    async def key(
        self, link: Secret, digits: Secret, once: Secret | None = None, browser: Secret | None = None
    ) -> Confirmed | Wrong | Over | None:
        """Count, compare and consume in one step; None as there. Two round trips: the digits are hashed for one proof alone.

        `once`: a token for who keys the right ones, to be spent one time; `browser`: one by which that browser is known then (`mine`).
        """
        seen = await self.look(link)
        if seen is None:
            return None
        mac = self._key.mac("digits", digits, seen.id)
        token = "" if once is None else self._key.mac("once", once, seen.id)
        known = "" if browser is None else browser_of(self._key, browser, seen.id)
        return keyed(_KEY, await self._visit(_KEY, link, seen.id, mac, token, known))

    async def mine(self, link: Secret, seen: Seen, browser: Secret) -> str:
        """What the browser is called that has keyed the digits of this proof, where it is this one; else empty. Changes nothing."""
        name = browser_of(self._key, browser, seen.id)
        match await self._visit(_MINE, link, seen.id, name):
            case [b"mine"]:
                return name
            case [b"none"]:
                return ""
            case _:
                raise strange(_MINE)

    async def spend(self, link: Secret, once: Secret) -> bool:
        """Whether it is the token that was given with the answer to the right digits, and was not spent yet. Two round trips."""
        seen = await self.look(link)
        if seen is None or _TOKEN.fullmatch(once.reveal()) is None:
            return False
        match await self._visit(_SPEND, link, seen.id, self._key.mac("once", once, seen.id)):
            case [b"spent"]:
                return True
            case [b"none"]:
                return False
            case _:
                raise strange(_SPEND)

    async def deny(self, link: Secret) -> bool | None:
        """The person says not to be talking with us; None as there.

        False where it has come to an end already: the desk hears of it all the same, once.
        """
        match await self._visit(_DENY, link):
            case [b"denied"]:
                return True
            case [b"over", bytes()]:
                return False
            case [b"none"]:
                return None
            case _:
                raise strange(_DENY)

    async def exchange(self, code: Secret) -> Secret | None:
        """The end of a link that leads to the same as this short code; None for one that nobody has, or that was keyed too often."""
        link = new_link()
        keys = [named(self._prefix, self._key, "code", code), named(self._prefix, self._key, "link", link)]
        match await self._link.run(_EXCHANGE, keys, page_key(self._prefix, ""), _EXCHANGES):
            case [b"exchanged"]:
                return link
            case [b"none"]:
                return None
            case _:
                raise strange(_EXCHANGE)

    # ------------------------------------------------------------ inside

    async def _visit(self, script: Script, link: Secret, *more: str) -> list[object]:
        if _TOKEN.fullmatch(link.reveal()) is None:
            return [b"none"]
        keys = [named(self._prefix, self._key, "link", link), ended_key(self._prefix)]
        return await self._link.run(script, keys, page_key(self._prefix, ""), news_key(self._prefix), *more)

    async def _seen(self, script: Script, link: Secret) -> Seen | None:
        match await self._visit(script, link):
            case [b"seen", bytes(id), bytes(stage), bytes(until), bytes(keyed), bytes(shown), int(left), bytes(digits)]:
                name = id.decode()
                try:
                    return Seen(
                        name, stage_of(stage), Keyed(keyed.decode()), int(until) // 1000, left, read_shown(self._key, shown, name),
                        self._key.unseal("digits", digits, name) if digits and stage == b"opened" else None,
                    )  # fmt: skip
                except (ValueError, TypeError):
                    raise StoreError("Redis: what stands for a proof is none") from None
            case [b"none"]:
                return None
            case _:
                raise strange(script)
