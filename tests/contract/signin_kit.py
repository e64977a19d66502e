"""The whole desk but for the telephones: real sign-in, sessions, people and pages on a port; and a browser."""

from __future__ import annotations

import atexit
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, async_playwright
from rig.ports import Ports
from rig.state import RigError

from ivr.metrics import Readiness
from ivr.oidc import Provider
from ivr.store.identities import Identities
from ivr.store.pace import RedisPace
from ivr.web.certificate import tls_of
from ivr.web.live import Hub
from ivr.web.provided import Elsewhere
from ivr.web.server import DeskServer
from ivr.web.visit import House as WebHouse
from tests.contract.desk_kit import House, house_in, settings_of
from tests.contract.live_server import Server
from tests.contract.web_kit import Administered, Elements, Log, Programs, Reviewed, Second, Watched, World

CHROMIUM = shutil.which("chromium")


@dataclass
class Site:
    """A desk that is open, at `url`."""

    house: House
    url: str
    log: Log
    web: WebHouse


_blocks: list[Ports] = []


def free_port() -> int:
    """One that no other test has, here or beside: a port that was found free and let go may be anybody's a moment later."""
    if _blocks:
        with suppress(RigError):
            return _blocks[-1].take()
    _blocks.append(Ports())
    atexit.register(_blocks[-1].close)
    return _blocks[-1].take()


@asynccontextmanager
async def site(base: Any, redis: Server, more: str = "", *, port: int | None = None) -> AsyncIterator[Site]:
    """With these lines of settings behind `[desk]`."""
    port = port or free_port()
    url = f"http://localhost:{port}"
    text = f'\n[desk]\nlisten = "127.0.0.1:{port}"\nurl = "{url}"\n[desk.password]\nscrypt_p = 1\n{more}'
    async with house_in(settings_of(base, redis, text)) as house, opened(house, url, port) as made:
        yield made


@asynccontextmanager
async def opened(house: House, url: str, port: int) -> AsyncIterator[Site]:
    """Its pages, on this port."""
    provider, elsewhere = Provider.of(house.settings), None
    if provider is not None:
        identities = Identities(house.database, house.vault)
        elsewhere = Elsewhere(provider, identities, house.people, house.door, house.tickets)
    log = Log()
    hub = Hub(log)  # type: ignore[arg-type]
    world, link = World(house.sessions), house.live._link
    prefix, second, watched, reviewed = house.settings.redis.prefix, Second(world), Watched(world), Reviewed(world)
    web = WebHouse(
        house.settings, house.people, house.door, house.sessions, house.welcome, world, world, second, second, watched, reviewed, Administered(world),  # type: ignore[arg-type]
        RedisPace(link, prefix), hub, log, Programs.of(house.settings), world, world, Elements(link, prefix),  # type: ignore[arg-type]
        passkeys=house.passkeys, elsewhere=elsewhere,
    )  # fmt: skip
    server = DeskServer(web, Readiness({}, seconds=2, log=log, lasts=0))  # type: ignore[arg-type]
    await server.open("127.0.0.1", port, tls_of(house.settings))
    try:
        yield Site(house, url, log, web)
    finally:
        await server.close()
        if provider is not None:
            await provider.close()


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Debian's, without a window."""
    assert CHROMIUM is not None
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


async def page_of(context: BrowserContext, faults: list[str]) -> Page:
    """A page whose errors are kept: scripts that fail, and what the content security policy refuses."""
    page = await context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "console",
        lambda said: (
            faults.append(said.text) if said.type == "error" and "Failed to load resource" not in said.text else None
        ),
    )
    return page


async def with_device(page: Page, **how: Any) -> tuple[Any, str]:
    """A device that keeps passkeys, whose user touches it and is recognised; the way to it, and its name."""
    way = await page.context.new_cdp_session(page)
    await way.send("WebAuthn.enable", {"enableUI": False})
    options = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True, **how,
    }  # fmt: skip
    added = await way.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return way, added["authenticatorId"]


async def shot(page: Page, folder: Path | None, name: str) -> None:
    """A picture, where somebody wants some."""
    if folder is not None:
        await page.screenshot(path=folder / f"{name}.png", full_page=True)
