"""From the desk to the proxy: a code for one host and one browser, for who has calls and has signed in."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web

from ivr.secret import Secret
from ivr.store.handovers import Handovers
from ivr.store.link import Link
from tests.contract.live_server import Server
from tests.contract.signin_kit import CHROMIUM, chromium, free_port, page_of
from tests.contract.web_kit import CODE, PASSWORD, Desk, desk

pytestmark = pytest.mark.servers

PROXY = '[proxy]\nurl = "https://crm.example.com"\n'
BEGUN = hashlib.sha256(b"bits").hexdigest()


async def test_who_has_signed_in_goes_on_with_a_code(server: Server) -> None:
    async with desk(server, PROXY) as made:
        answer = await made.get(f"/crossing?begun={BEGUN}")
        assert (answer.status, answer.headers["Location"]) == (303, f"/sign-in?for=crossing-{BEGUN}")
        for query in ("", "?begun=", "?begun=x", f"?begun={BEGUN}0", "?begun=//evil.net"):
            assert (await made.get(f"/crossing{query}")).headers["Location"] == "/sign-in"
        await made.sign_in()
        for query in ("", "?begun=", "?begun=x", f"?begun={BEGUN}0", f"?begin={BEGUN}"):
            assert (await made.get(f"/crossing{query}")).status == 404
        answer = await made.get(f"/crossing?begun={BEGUN}")
        place, _, code = answer.headers["Location"].partition("?code=")
        assert (answer.status, place) == (303, "https://crm.example.com/.tillit/enter")
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        link = Link.of(made.settings)
        handovers = Handovers(link, made.settings.redis.prefix, made.settings.desk)
        token = await handovers.take(Secret(code), "crm.example.com", Secret("bits"))
        assert isinstance(token, Secret)
        guest = await handovers.of(token, per_minute=600, used=True)
        assert guest is not None
        assert guest.person == "p-anna"
        await link.close()
        assert code not in str(made.log.lines)


async def test_who_has_no_calls_does_not(server: Server) -> None:
    async with desk(server, PROXY) as made:
        await made.sign_in("rut")
        assert (await made.get(f"/crossing?begun={BEGUN}")).status == 403


async def test_without_a_proxy_there_is_no_such_way(server: Server) -> None:
    async with desk(server) as made:
        await made.sign_in()
        assert (await made.get(f"/crossing?begun={BEGUN}")).status == 404
    async with desk(server) as made:
        assert (await made.get(f"/crossing?begun={BEGUN}")).headers["Location"] == "/sign-in"


async def signs_in_for(made: Desk, goal: str) -> aiohttp.ClientResponse:
    """By the form that one is sent to on the way to that."""
    form = await (await made.get(f"/sign-in?for={quote(goal)}")).text()
    (csrf,) = set(re.findall(r'name="csrf" value="([^"]+)"', form))
    kept = re.search(r'name="for" value="([^"]*)"', form)
    assert (kept[1] if kept else "") in (goal, "")
    # whatever the page has made of it: who sends the form may have written it
    given = {"csrf": csrf, "login": "anna", "password": PASSWORD, "code": CODE, "for": goal}
    return await made.send("POST", "/sign-in", data=given)


async def test_who_signs_in_first_comes_back_here(server: Server) -> None:
    async with desk(server, PROXY) as made:
        answer = await signs_in_for(made, f"crossing-{BEGUN}")
        # not as a redirect of the form: the page's policy would not let it go on to the proxy
        assert answer.status == 200
        (place, link) = re.findall(r'url=([^"]+)"|href="(/crossing[^"]+)"', await answer.text())
        assert place[0] == link[1] == f"/crossing?begun={BEGUN}"
        back = await made.get(place[0])
        assert back.headers["Location"].startswith("https://crm.example.com/.tillit/enter?code=")


@pytest.mark.parametrize(
    "goal",
    [
        "crossing-", "crossing-//evil.net", f"crossing-{BEGUN}//evil.net", f"crossing-{BEGUN}\n", f"crossing-{BEGUN.upper()}",
        f"crossing-{BEGUN}&url=https://evil.net", f"/crossing?begun={BEGUN}", f"//evil.net/crossing-{BEGUN}",
    ],
)  # fmt: skip
async def test_it_leads_nowhere_else(server: Server, goal: str) -> None:
    async with desk(server, PROXY) as made:
        answer = await signs_in_for(made, goal)
        assert (answer.status, answer.headers["Location"]) == (303, "/")


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
async def test_a_browser_comes_to_the_page_that_it_has_asked_the_proxy_for(server: Server) -> None:
    """Through the desk's form and its content security policy, to another host; what it asked for, the proxy's cookie there knows."""
    port = free_port()
    came: list[str] = []

    async def proxy(request: web.BaseRequest) -> web.Response:
        came.append(request.path_qs)
        return web.Response(text="<title>CRM</title>", content_type="text/html")

    runner = web.ServerRunner(web.Server(proxy))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    faults: list[str] = []
    try:
        async with desk(server, f'[proxy]\nurl = "http://127.0.0.1:{port}"\n') as made, chromium() as browser:
            page = await page_of(await browser.new_context(locale="en"), faults)
            await page.goto(made.url(f"/crossing?begun={BEGUN}"))
            await page.locator("#login").fill("anna")
            await page.locator("#password").fill(PASSWORD)
            await page.locator("#code").fill(CODE)
            await page.locator("#code").press("Enter")
            await page.wait_for_url(f"http://127.0.0.1:{port}/.tillit/enter?code=*")
    finally:
        await runner.cleanup()
    assert came[0].startswith("/.tillit/enter?code=")
    assert faults == []


async def test_a_session_that_ends_meanwhile_goes_nowhere(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*_: object) -> None:
        return None

    monkeypatch.setattr(Handovers, "keep", gone)
    async with desk(server, PROXY) as made:
        await made.sign_in()
        assert (await made.get(f"/crossing?begun={BEGUN}")).headers["Location"] == f"/sign-in?for=crossing-{BEGUN}"
