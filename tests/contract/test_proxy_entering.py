"""How browsers come in at the proxy: how often, and several tabs of one at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path

import pytest

from ivr.proxy import fields
from ivr.secret import Secret
from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA, BO
from tests.contract.proxy_kit import DESK, NAME, PUBLIC, Answer, Door, proxied
from tests.unit.database_kit import settings_in

pytestmark = pytest.mark.servers

ENTER = "/.tillit/enter"


@pytest.fixture
async def door(tmp_path: Path, server: Server) -> AsyncIterator[Door]:
    """Nobody has signed in."""
    async with proxied(settings_in(tmp_path), server) as made:
        yield made


async def entered(door: Door, address: str) -> int:
    """The status of a try at the entrance from there."""
    code = f"?code=main.{'0' * 64}"
    return (await door.ask(ENTER + code, headers={"X-Forwarded-For": address})).status


async def test_the_entrance_is_paced_by_the_network_of_a_connection(tmp_path: Path, server: Server) -> None:
    settings = settings_in(tmp_path, "[desk.requests]\nstrangers_per_minute = 5\n")
    async with proxied(settings, server, allow_proxies=["127.0.0.1"]) as door:
        statuses = [await entered(door, f"2001:db8::{host:x}") for host in range(7)]
        assert statuses == [401] * 5 + [429] * 2
        assert await entered(door, "2001:db8:0:1::1") == 401
        assert await entered(door, "198.51.100.7") == 401
        assert door.desk.log.of("proxy.paced")


# ---------------------------------------------------------------- several tabs


@dataclass
class Browser:
    """One that has the desk's `session`. Its tabs have their cookies together, and follow one redirect at a time."""

    door: Door
    session: Secret
    cookies: dict[str, str] = field(default_factory=dict)

    async def opens(self, *paths: str) -> list[str]:
        """Each in a tab of its own, all at once; where the tabs are then."""
        return await self._all([(path, {"Sec-Fetch-Mode": "navigate"}) for path in paths])

    async def goes_on(self, *places: str) -> list[str]:
        """From the desk to the proxy's entrance, all at once; where the tabs are then."""
        return await self._all([(await self._by_the_desk(place), {}) for place in places])

    async def _by_the_desk(self, place: str) -> str:
        begun = place.removeprefix(f"{DESK}/crossing?begun=")
        code = await self.door.handovers.keep(self.session, NAME, begun)
        assert code is not None
        return f"{ENTER}?code={code.reveal()}"

    async def _all(self, asked: list[tuple[str, dict[str, str]]]) -> list[str]:
        answers = await asyncio.gather(*(self._ask(path, headers) for path, headers in asked))
        for answer in answers:
            self._keep(answer)
        assert [answer.status for answer in answers] == [303] * len(answers)
        return [answer.headers["Location"] for answer in answers]

    async def _ask(self, path: str, headers: dict[str, str]) -> Answer:
        sent = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return await self.door.ask(path, headers={"Cookie": sent, **headers})

    def _keep(self, answer: Answer) -> None:
        for line in answer.headers.getall("Set-Cookie", []):
            for name, given in SimpleCookie(line).items():
                if given["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = given.value

    async def is_in(self) -> str | None:
        """Who it is at the proxy, by its cookie there."""
        guest = await self.door.handovers.of(Secret(self.cookies.get(fields.COOKIE, "")), per_minute=600, used=False)
        return None if guest is None else guest.person


@pytest.fixture
async def browser(door: Door) -> Browser:
    return Browser(door, await door.session())


async def test_tabs_that_begin_at_once_all_come_in(browser: Browser) -> None:
    """The one whose bits the browser holds comes to where it wanted, the others to the front."""
    at_desk = await browser.opens("/one", "/two", "/three")
    assert len(set(at_desk)) == 3
    first, second, third = await browser.goes_on(*at_desk)
    assert third == f"{PUBLIC}/three"
    # what they have begun is what this browser has begun
    assert first == second == at_desk[2]
    assert await browser.goes_on(first, second) == [f"{PUBLIC}/"] * 2
    assert await browser.is_in() == ANNA.id


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
async def test_tabs_that_one_signs_in_by_one_after_the_other_all_come_in(browser: Browser, order: list[int]) -> None:
    at_desk = await browser.opens("/one", "/two", "/three")
    for tab in order:
        (place,) = await browser.goes_on(at_desk[tab])
        if place.startswith(DESK):
            (place,) = await browser.goes_on(place)
        assert place.startswith(f"{PUBLIC}/")
        assert await browser.is_in() == ANNA.id


async def test_a_tab_by_which_one_signs_in_anew_comes_in(door: Door, browser: Browser) -> None:
    """Who signs in at a browser ends the session that it had."""
    first, second = await browser.opens("/one", "/two")
    assert await browser.goes_on(second) == [f"{PUBLIC}/two"]
    await door.sessions.end(browser.session)
    browser.session = await door.session()
    (place,) = await browser.goes_on(first)
    assert place.startswith(DESK) and place not in (first, second)
    assert await browser.goes_on(place) == [f"{PUBLIC}/"]
    assert await browser.is_in() == ANNA.id


async def test_anothers_code_brings_nobody_into_anothers_session(door: Door, browser: Browser) -> None:
    rival = Browser(door, await door.session(BO))
    (lure,) = await rival.opens("/lure")
    # without a cookie of ours, with what it has begun itself, and signed in
    assert await entered_with(rival, lure, browser) == 401
    at_desk = await browser.opens("/one")
    assert await entered_with(rival, lure, browser) == at_desk[0]
    assert fields.COOKIE not in browser.cookies
    assert await browser.goes_on(*at_desk) == [f"{PUBLIC}/one"]
    assert await entered_with(rival, lure, browser) == f"{PUBLIC}/"
    assert await browser.is_in() == ANNA.id
    assert await rival.is_in() is None


async def entered_with(rival: Browser, lure: str, browser: Browser) -> int | str:
    """Where a browser comes to by an address that was made for another one's; or the status, where nowhere."""
    answer = await browser._ask(await rival._by_the_desk(lure), {})
    browser._keep(answer)
    return answer.headers["Location"] if answer.status == 303 else answer.status


async def test_a_browser_that_keeps_no_cookies_does_not_go_round(browser: Browser) -> None:
    (at_desk,) = await browser.opens("/one")
    browser.cookies.clear()
    assert (await browser._ask(await browser._by_the_desk(at_desk), {})).status == 401


async def test_whoever_comes_back_to_a_used_code_is_in(browser: Browser) -> None:
    (at_desk,) = await browser.opens("/one")
    enter = await browser._by_the_desk(at_desk)
    assert await browser._all([(enter, {})]) == [f"{PUBLIC}/one"]
    assert await browser._all([(enter, {})]) == [f"{PUBLIC}/"]
    await browser.door.sessions.end(browser.session)
    assert (await browser._ask(enter, {})).status == 401
