"""What goes through the proxy and keeps a session alive: what a person does, and not what a page does by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ivr.secret import Secret
from tests.contract.live_server import Server
from tests.contract.proxy_kit import Door, proxied
from tests.unit.database_kit import settings_in

pytestmark = pytest.mark.servers

FREE, SHUT = "/assets/poll", "/api/customers/10001"
OPENED = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
LINKED = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site"}
PAGES_OWN = {"Sec-Fetch-Site": "same-origin"}
OF_AN_OLD_BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
async def door(tmp_path: Path, server: Server) -> AsyncIterator[Door]:
    """Somebody who has signed in, with nobody on the line."""
    async with proxied(settings_in(tmp_path), server) as made:
        await made.enter()
        yield made


async def signed_in_behind(door: Door, server: Server, path: str, method: str, headers: dict[str, str]) -> list[int]:
    """What is answered half a minute before the idle time is over, and again as long after."""
    statuses = []
    for _ in range(2):
        server.pass_time(door.settings.desk.idle_minutes * 60 - 30)
        statuses.append((await door.ask(path, method, headers=headers)).status)
    return statuses


@pytest.mark.parametrize("path", [FREE, SHUT])
@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"Sec-Fetch-Mode": "cors", **PAGES_OWN}),
        ("GET", {"Sec-Fetch-Mode": "no-cors", **PAGES_OWN}),
        ("GET", {"Sec-Fetch-Mode": "same-origin", **PAGES_OWN}),
        ("GET", {"Sec-Fetch-Mode": "cors", **PAGES_OWN, **OF_AN_OLD_BROWSER}),
        ("HEAD", {"Sec-Fetch-Mode": "cors", **PAGES_OWN}),
        ("GET", {"Sec-Fetch-Mode": "navigate", **PAGES_OWN, "Sec-Fetch-Dest": "iframe"}),
        (
            "GET",
            {
                "Sec-Fetch-Mode": "navigate",
                **PAGES_OWN,
                "Sec-Fetch-Dest": "document",
                "Sec-Purpose": "prefetch;prerender",
            },
        ),
        ("GET", {"Accept": "application/json"}),
        ("GET", {}),
    ],
)
async def test_what_a_page_asks_for_by_itself_keeps_nobody_signed_in(
    door: Door, server: Server, path: str, method: str, headers: dict[str, str]
) -> None:
    first, later = await signed_in_behind(door, server, path, method, headers)
    assert first == (200 if path is FREE else 403)
    # a page of its own is led to the desk, to sign in
    assert later == (303 if headers.get("Sec-Fetch-Mode") == "navigate" else 401)


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example.com"}, {"Sec-Fetch-Site": "same-site"}])
async def test_nor_does_what_another_sites_page_would_change(
    door: Door, server: Server, headers: dict[str, str]
) -> None:
    assert await signed_in_behind(door, server, "/login", "POST", headers) == [403, 401]


@pytest.mark.parametrize(
    ("path", "method", "headers"),
    [
        ("/", "GET", OPENED),
        ("/", "GET", LINKED),
        (SHUT, "GET", OPENED),
        ("/", "GET", OF_AN_OLD_BROWSER),
        ("/", "GET", {"Sec-Fetch-Mode": "navigate", **PAGES_OWN, "Sec-Fetch-Dest": "document"}),
        ("/", "GET", {"Sec-Fetch-Mode": "navigate", **PAGES_OWN, "Sec-Fetch-Dest": "iframe", "Sec-Fetch-User": "?1"}),
        ("/login", "POST", {"Sec-Fetch-Mode": "cors", **PAGES_OWN}),
        ("/login", "POST", {}),
        (SHUT, "PUT", {"Sec-Fetch-Mode": "cors", **PAGES_OWN}),
    ],
)
async def test_what_a_person_opens_or_changes_does(
    door: Door, server: Server, path: str, method: str, headers: dict[str, str]
) -> None:
    await signed_in_behind(door, server, path, method, headers)
    assert await door.handovers.lives(Secret(door.cookie))
