"""Whether people reach the public page, with all that guards it, and whether its user at Redis can do no more than it must."""

from __future__ import annotations

import asyncio

import aiohttp
from redis.exceptions import NoPermissionError, RedisError

from ivr.config import Settings
from ivr.doctor.finding import Finding, Grade, Kind, ok
from ivr.errors import ConfigError, Unreachable
from ivr.store.link import Link
from ivr.store.opened import link_of_page
from ivr.store.pagekey import PageKey

AWAY = Kind(
    "page-away", Grade.WARNING,
    "The public page does not answer",
    "People cannot see who calls them: each proof expires.",
)  # fmt: skip
CHANGED = Kind(
    "page-changed", Grade.WARNING,
    "What stands before the public page changes its answers",
    "Links are kept or passed on on the way, or another site can put the page into its own.",
)  # fmt: skip
KEY = Kind(
    "page-key", Grade.WARNING,
    "The page's key cannot be used",
    "No proof can be made here, or none is found.",
)  # fmt: skip
USER = Kind(
    "page-user", Grade.WARNING,
    "The page's user at Redis cannot be used, or can do more than it must",
    "There is no page; or whoever breaks into it reads and writes marks and codes.",
)  # fmt: skip
KINDS = (AWAY, CHANGED, KEY, USER)

_SUBJECT = "page"
_SECONDS = 5.0

# Of all that the page sends, what a proxy before it is most likely to take away or to replace.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}


async def check(settings: Settings) -> list[Finding]:
    """As the settings have it; the page is asked as a browser asks for a link that nobody has."""
    page = settings.page
    if page.url is None:
        return [ok(_SUBJECT, "[page] url is not written")]
    found = []
    try:
        PageKey.open(settings)
    except ConfigError as error:
        found.append(KEY.told(_SUBJECT, error))
    found += await _reached(page.url)
    if page.redis_password_file is not None or page.redis_password_env is not None:
        found.append(await _user(settings))
    return found


async def _reached(url: str) -> list[Finding]:
    link = f"{url}/p/nobody"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS)) as session,
            session.get(link, allow_redirects=False) as answer,
        ):
            status, headers = answer.status, answer.headers
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return [
            AWAY.found(
                _SUBJECT, f"{url}: {type(error).__name__}", "systemctl status tillit-page", f"curl -sv {url}/healthz"
            )
        ]
    if status != 404:
        return [
            AWAY.found(_SUBJECT, f"{link} is answered {status}, and not by the page (404)", f"curl -sv {link}", "# and see what stands before it; it must leave Host as it is")
        ]  # fmt: skip
    changed = [name for name, begins in _HEADERS.items() if not headers.get(name, "").startswith(begins)]
    if changed:
        return [
            CHANGED.found(_SUBJECT, f"{link} comes without the page's own {', '.join(changed)}", f"curl -sI {link}", "# and let what stands before it pass on what the page sends")
        ]  # fmt: skip
    return [ok(_SUBJECT, f"{url} answers, with its headers")]


async def _user(settings: Settings) -> Finding:
    try:
        link = await link_of_page(settings)
    except Unreachable as error:
        return USER.told(_SUBJECT, error)
    except ConfigError as error:
        return USER.told(_SUBJECT, error)
    try:
        more = [command for command in ("marks", "list") if await _may(link, command, settings)]
    except (RedisError, OSError, TimeoutError) as error:
        return USER.found(_SUBJECT, f"Redis: {type(error).__name__}", "systemctl status redis-server")
    finally:
        await link.close()
    if more:
        return USER.found(
            _SUBJECT, f"{settings.page.redis_username} reaches more than the page's own keys",
            "# give it the rights of the line `user tillit-page` in config/redis.conf, and no others",
        )  # fmt: skip
    return ok(_SUBJECT, f"{settings.page.redis_username} reaches the page's own keys alone")


async def _may(link: Link, what: str, settings: Settings) -> bool:
    """Whether this is not refused. Nothing is changed by it: there is no such key."""
    prefix = settings.redis.prefix
    command = ("GET", f"{prefix}:mark:doctor:nobody") if what == "marks" else ("RANDOMKEY",)
    try:
        async with asyncio.timeout(settings.redis.request_seconds):
            await link.exchange(*command)
    except NoPermissionError:
        return False
    return True
