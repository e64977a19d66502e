"""The company proves who it is on a real call: a press at the desk, a text, a page on a telephone, and digits that a phone hears.

The calls are begun at the desk, by the customer's number; one customer calls. At the end of one the person identifies back.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest
from playwright.async_api import Browser, Page, expect
from rig import audio
from rig.bankid import BankIdServer
from rig.desk import Desk
from rig.ear import toned, understood
from rig.elks import elks_report
from rig.phone import Phone
from rig.ports import Ports
from rig.stage import ANNA, BO, PROMPTS, Stage
from rig.visitor import Visitor, handing
from rig.worker import Worker

from ivr.secret import Personal
from tests.browser_kit import PHONE, browser, window
from tests.contract.eid_kit import ANOTHER, Ends
from tests.contract.prove_kit import numbered
from tests.contract.texts_kit import tables
from tests.contract.texts_server import PASSWORD, TextsServer
from tests.e2e.scene import Scene

__all__ = ["browser"]

STAGE = {
    "dialplan": """
[callers]
exten => 300,1,Answer()
 same => n,Queue(support)
exten => 400,1,Gosub(tillit-verify,s,1(link))
 same => n,UserEvent(Reached,Path: ${CALLER_AUTH_STATUS},Methods: ${CALLER_AUTH_METHODS})
 same => n,Hangup()
[agents]
exten => _X.,1,Congestion()
""",
    "customers": (ANNA, BO),
    "desk": True,
    "page": True,
    "sounds": toned(PROMPTS, ("en",)),
}
OURS = "+46812345678"
SETTINGS = {
    # all of them come from one address
    "page": {"per_address_minute": 5000},
    "policies.link": {"steps": ["sms_link"], "level": 1},
    "calls": {"dial": "PJSIP/{number}@agent3", "number": OURS},
    "lock.fields": {"phones": 3},
}
# Anna's, of Skatteverket's numbers for tests
PERSON = ANOTHER
BOTS = (
    "WhatsApp/2.23",
    "facebookexternalhit/1.1",
    "Slackbot-LinkExpanding 1.0",
    "TelegramBot",
    "Mozilla/5.0 (Safe Links)",
)


@dataclass
class Floor:
    """An agent at the desk, a customer who calls, the gateway, and what is on the customer's telephone."""

    scene: Scene
    gateway: TextsServer
    seen: Page
    agent: Phone
    caller: Phone
    at: str
    """The endpoint of the customer's telephone."""

    async def press(self, way: str = "text") -> dict[str, str]:
        """Prove it is us; the message that went out."""
        count = len(self.gateway.asked)
        await self.seen.get_by_role("combobox", name="How", exact=True).select_option(way)
        await self.seen.get_by_role("button", name="Prove it is us").click()
        return (await self.gateway.until_asked(count + 1)).form

    async def stage(self, title: str) -> None:
        await expect(self.seen.locator('[data-part="proof-title"]')).to_have_text(title)

    async def phrase(self) -> str:
        return await self.seen.locator('[data-part="phrase"]').inner_text()

    async def listened_to(self) -> None:
        """Wait until the desk's application is told of the caller's keys."""
        pbx = self.scene.stage.pbx

        def there() -> bool:
            callers = {one["id"] for one in pbx.ari("GET", "channels") if one["name"].startswith(f"PJSIP/{self.at}-")}
            ours = [one for one in pbx.ari("GET", "applications") if one["name"].startswith("desk-")]
            return any(callers & set(one["channel_ids"]) for one in ours)

        await self.scene.until(there, "the desk to listen")

    async def hears(self, phone: Phone, since: int) -> str:
        """The digits that this phone heard, said twice."""
        found = ""
        async with asyncio.timeout(20):
            while len(found) < 12:
                await asyncio.sleep(0.1)
                found = understood(audio.samples(phone.recording())[since:])
        assert found[:6] == found[6:12], found
        return found[:6]


def link_in(text: dict[str, str], where: str = "p") -> str:
    found = re.search(rf"https?://\S+/{where}/[A-Za-z0-9_-]{{22}}(?=$|[. ])", text["message"])
    assert found is not None, text["message"]
    return found[0]


@pytest.fixture
async def gateway() -> AsyncIterator[TextsServer]:
    async with TextsServer(numbered()) as server:
        yield server


@pytest.fixture(scope="module")
def ends(stage: Stage) -> Ends:
    return Ends(stage.folder)


@pytest.fixture
async def bankid(ends: Ends) -> AsyncIterator[TextsServer]:
    async with TextsServer(BankIdServer(), ends.tls()) as server:
        yield server


@pytest.fixture
def worker(
    stage: Stage, gateway: TextsServer, ends: Ends, bankid: TextsServer, request: pytest.FixtureRequest
) -> Iterator[Worker]:
    eid = {
        "url": f"{bankid.url}/rp/v6.0",
        "certificate_file": str(ends.client.chain),
        "key_file": str(ends.client.key),
        "ca_file": str(ends.theirs.file),
        "allow_private": ["127.0.0.1"],
    }
    strict = {"eid.bankid": eid, "policies.strict": {"steps": ["bankid"], "level": 3}}
    stage.write_config({"texts": {"gateway": "46elks"}, **strict, **tables("46elks", gateway.url)})
    (stage.folder / "password").touch(0o600)
    (stage.folder / "password").write_text(PASSWORD)
    with stage.worker(request.node.name) as running:
        yield running


class Once(Visitor):
    """Signs in for all tests of the file: each code of the app works once, and the next one comes half a minute later."""

    _signed_in = ""

    async def sign_in(self) -> str:
        self._signed_in = self._signed_in or await super().sign_in()
        return self._signed_in


_ENROLLED: dict[str, Once] = {}


@pytest.fixture
async def floor(
    stage: Stage, scene: Scene, gateway: TextsServer, browser: Browser, request: pytest.FixtureRequest
) -> AsyncIterator[Floor]:
    """A call that the agent has begun at the desk; the param `inbound` asks for one by the customer."""
    async with AsyncExitStack() as stack:
        desk: Desk = stack.enter_context(stage.desk())
        stack.enter_context(stage.page())
        if str(stage.folder) not in _ENROLLED:
            link = stage.command(
                "agent", "add", "agda", "--name", "Agda Alm", "--role", "agent", "--endpoint", "PJSIP/agent1"
            ).splitlines()[-1]
            visitor = _ENROLLED[str(stage.folder)] = Once(desk.url, "agda")
            await visitor.enrol(link)
        visitor = _ENROLLED[str(stage.folder)]
        ports = Ports()
        stack.callback(ports.close)
        handed = await stack.enter_async_context(handing(ports.take()))
        seen = await stack.enter_async_context(window(browser))
        await seen.page.goto(handed.link(visitor))
        await seen.page.wait_for_url(f"{desk.url}/")
        at = "caller" if getattr(request, "param", "") == "inbound" else "agent3"
        agent, caller = await scene.phone("agent1"), await scene.phone(at)
        if at == "caller":
            await caller.call("300", number=ANNA.phones)
        else:
            await seen.page.get_by_label("Customer number or reference").fill(ANNA.number)
            await seen.page.get_by_role("button", name="Call", exact=True).click()
        await agent.incoming()
        await agent.answer()
        if at == "caller":
            await caller.until("confirmed")
        else:
            offer = await caller.incoming()
            assert offer["number"] == OURS
            await caller.answer()
        await expect(seen.page.get_by_role("button", name="Prove it is us")).to_be_visible()
        for phone in (agent, caller):
            await phone.until("media")
        yield Floor(scene, gateway, seen.page, agent, caller, at)
        await caller.hang_up()
        await expect(seen.page.locator("#none")).to_be_visible()


@asynccontextmanager
async def telephone(browser: Browser) -> AsyncIterator[Page]:
    """A browser of the size of a phone, in which no script runs."""
    context = await browser.new_context(java_script_enabled=False, viewport=PHONE, locale="sv-SE")
    try:
        yield await context.new_page()
    finally:
        await context.close()


async def preview(link: str) -> None:
    """What looks at links before people do: by each of these names, twice, and at all that the page leads to."""
    async with aiohttp.ClientSession() as bot:
        for name in BOTS * 2:
            for method in ("HEAD", "GET"):
                async with bot.request(method, link, headers={"User-Agent": name}) as answer:
                    text = await answer.text()
                    assert answer.status == 200 and "Agda" not in text
            for place in re.findall(r'(?:href|src|action)="(/[^"]*)"', text):
                async with bot.get(answer.url.join(type(answer.url)(place)), headers={"User-Agent": name}) as other:
                    assert other.status in (200, 303, 404, 405)


@pytest.mark.parametrize("floor", ["inbound"], indirect=True)
async def test_a_preview_comes_first_and_the_person_keys_what_the_phone_hears(floor: Floor, browser: Browser) -> None:
    places = floor.caller.mark(), floor.agent.mark()
    text = await floor.press()
    assert text["to"] == ANNA.phones
    assert "Agda" in text["message"]
    await floor.stage("Sent")
    link, phrase = link_in(text), await floor.phrase()
    await report(floor, text, "delivered")
    await floor.stage("Delivered")
    await preview(link)
    await floor.stage("Delivered")
    assert not floor.caller.heard(since=places[0])
    async with telephone(browser) as page:
        await page.goto(link)
        await page.locator('form[action$="/open"] button').click()
        await expect(page.locator("body")).to_contain_text(phrase)
        await expect(page.locator("body")).to_contain_text("Agda")
        await floor.stage("Opened")
        said = [
            await floor.hears(phone, place) for phone, place in zip((floor.caller, floor.agent), places, strict=True)
        ]
        assert said[0] == said[1]
        wrong = f"{(int(said[0]) + 1) % 1_000_000:06}"
        await page.fill("#digits", wrong)
        await page.locator('form[action$="/confirm"] button').click()
        await expect(page.locator(".fault")).to_be_visible()
        await page.fill("#digits", said[0])
        await page.locator('form[action$="/confirm"] button').click()
        await floor.stage("Confirmed: the person knows that it is us")
        # the same once more changes nothing; a denial now is heard all the same
        async with aiohttp.ClientSession() as again:
            for act in ("confirm", "deny"):
                async with again.post(f"{link}/{act}", data={"digits": said[0]}) as answer:
                    assert answer.status < 500
        await floor.stage("Confirmed: the person knows that it is us")

    def rows() -> list[tuple[str, str]]:
        return [(row["actor"].partition(":")[0], row["outcome"]) for row in floor.scene.audit("proof")]

    await floor.scene.until(lambda: rows()[-1] == ("page", "denied"), "the denial's row")
    assert rows() == [("desk", "asked"), ("page", "confirmed"), ("page", "denied")]
    await floor.scene.ami.user_event("CallerDeniesUs", timeout=10)


async def test_the_person_knows_that_it_is_us_identifies_back_and_the_record_opens(
    floor: Floor, browser: Browser, bankid: TextsServer
) -> None:
    floor.scene.stage.command("customer", "identity", "add", ANNA.number, given=f"{PERSON}\n")
    place = floor.caller.mark()
    text = await floor.press()
    assert text["to"] == ANNA.phones
    await floor.stage("Sent")
    link, phrase = link_in(text), await floor.phrase()
    await report(floor, text, "delivered")
    await floor.stage("Delivered")
    await preview(link)
    await floor.stage("Delivered")
    async with telephone(browser) as page:
        await page.goto(link)
        await page.locator('form[action$="/open"] button').click()
        await expect(page.locator("body")).to_contain_text(phrase)
        await floor.stage("Opened")
        await page.fill("#digits", await floor.hears(floor.caller, place))
        await page.locator('form[action$="/confirm"] button').click()
        await floor.stage("Confirmed: the person knows that it is us")
        await page.goto(link)
        await expect(page.locator("body")).not_to_contain_text("Agda")
    # that proves who calls, and nothing of who has answered
    seen = floor.seen
    await expect(seen.get_by_role("button", name="Open the record")).to_be_hidden()

    await seen.locator('form.verify select[name="policy"]').select_option("strict")
    await seen.get_by_role("button", name="Verify now").click()
    await floor.scene.asked("bankid")
    await floor.caller.send_digits("1")
    await floor.scene.logged("eid.asked")
    assert isinstance(bankid.api, BankIdServer)
    order = bankid.api.last
    assert (order.person, order.body["callInitiator"]) == (PERSON, "RP")
    order.status, order.user = "complete", PERSON
    await expect(seen.locator(".call h2")).to_have_text("Verified at level 3")
    await seen.get_by_role("button", name="Open the record").click()
    await expect(seen.locator('[data-field="phones"] dd')).to_contain_text(ANNA.phones[-2:])


async def test_i_am_not_talking_to_them(floor: Floor, browser: Browser) -> None:
    link = link_in(await floor.press())
    async with telephone(browser) as page:
        await page.goto(link)
        await page.locator('form[action$="/deny"] button').click()
    await floor.stage("The person says: I am not talking to you")
    told = await floor.scene.ami.user_event("CallerDeniesUs", timeout=10)
    assert told["Uniqueid"] and told["Person"]
    assert [row["outcome"] for row in floor.scene.audit("proof")][-2:] == ["asked", "denied"]
    await floor.seen.get_by_role("button", name="Prove it is us").click()
    await expect(floor.seen.locator('[data-part="fault"]')).to_contain_text("just said not to be talking with us")


async def test_without_a_link_and_wrong_digits_to_the_end(floor: Floor, browser: Browser) -> None:
    since = floor.caller.mark()
    text = await floor.press("code")
    assert "http" not in text["message"]
    code = re.search(r"\b\d{8}\b", text["message"])
    assert code is not None
    async with telephone(browser) as page:
        await page.goto(floor.scene.stage.page_url)
        await page.fill("#code", code[0])
        await page.locator("button").first.click()
        if await page.locator('form[action$="/open"] button').count():
            await page.locator('form[action$="/open"] button').click()
        await floor.stage("Opened")
        said = await floor.hears(floor.caller, since)
        for _ in range(3):
            await page.fill("#digits", "000000" if said != "000000" else "111111")
            await page.locator('form[action$="/confirm"] button').click()
    await floor.stage("Wrong digits, too often")
    await floor.scene.ami.user_event("CallerKeysWrongDigits", timeout=10)


async def test_the_person_keys_on_the_phone_what_the_page_shows(floor: Floor, browser: Browser) -> None:
    place = floor.caller.mark()
    await floor.seen.get_by_role("combobox", name="Digits", exact=True).select_option("phone")
    link = link_in(await floor.press())
    async with telephone(browser) as page:
        await page.goto(link)
        await page.locator('form[action$="/open"] button').click()
        digits = (await page.locator(".digits").inner_text()).strip()
        await floor.stage("Opened")
        await floor.listened_to()
        await floor.caller.send_digits(f"{(int(digits) + 1) % 1_000_000:06}")
        await floor.caller.hears(since=place)
        await floor.stage("Opened")
        await floor.caller.send_digits(digits)
        await floor.stage("Confirmed: the person knows that it is us")
        await page.locator('form[action$="/open"] button').click()
        # to whoever has the link now, which the person in the call need not be
        await expect(page.locator("body")).to_contain_text("A call was confirmed")
    assert understood(audio.samples(floor.caller.recording())[place:]) == "", "no digit is spoken"
    assert [row["outcome"] for row in floor.scene.audit("proof")][-2:] == ["asked", "confirmed"]


async def test_it_ends_with_the_call(floor: Floor) -> None:
    link = link_in(await floor.press())
    await floor.stage("Sent")
    await floor.agent.hang_up()
    await floor.caller.until("disconnected")
    await floor.scene.until(
        lambda: [row["outcome"] for row in floor.scene.audit("proof")][-1] == "expired", "the proof to end"
    )
    async with aiohttp.ClientSession() as late, late.post(f"{link}/open") as answer:
        assert "Agda" not in await answer.text()


async def test_a_caller_keys_on_the_page_what_the_own_call_says(
    scene: Scene, gateway: TextsServer, browser: Browser
) -> None:
    """`sms_link`: somebody else in Bo's name is denied by him, and gets no second link; Anna is verified."""
    with scene.stage.page():
        async with telephone(browser) as page:
            await scene.caller("400", who=BO)
            link = link_in((await gateway.until_asked(1)).form, "c")
            await page.goto(link)
            await expect(page.locator("body")).to_contain_text(Personal(BO.phones).masked)
            await page.locator('form[action$="/deny"] button').click()
            await scene.reached("refused")
            await scene.logged("step.denied")
            await scene.caller("400", who=BO)
            await scene.logged("call.handed_back", 2)
            assert len(gateway.asked) == 1
            assert [row["outcome"] for row in scene.audit()[-2:]] == ["refused", "refused"]

            caller = await scene.caller("400", who=ANNA)
            link = link_in((await gateway.until_asked(2)).form, "c")
            await preview(link)
            said = await spoken(caller, 6)
            assert said not in gateway.asked[-1].form["message"]
            await page.goto(link)
            await page.fill("#digits", f"{(int(said) + 1) % 1_000_000:06}")
            await page.locator('form[action$="/confirm"] button').click()
            assert await spoken(caller, 12) == said * 2, "the call says that they were wrong, and says them again"
            await page.fill("#digits", said)
            await page.locator('form[action$="/confirm"] button').click()
            await scene.reached("verified", Methods="sms_link")
            answer = await page.goto(link)
            assert answer is not None and answer.status == 404


async def spoken(phone: Phone, count: int) -> str:
    """So many digits that this phone has heard from the beginning on."""
    found = ""
    async with asyncio.timeout(20):
        while len(found) < count:
            await asyncio.sleep(0.1)
            found = understood(audio.samples(phone.recording()))
    return found[:count]


async def report(floor: Floor, text: dict[str, str], status: str) -> None:
    """The gateway tells the public page what has become of it, and soon it stands at the desk."""
    number, kind = (f"s{len(floor.gateway.asked):031x}", {"Content-Type": "application/x-www-form-urlencoded"})
    async with (
        aiohttp.ClientSession() as gateway,
        gateway.post(text["whendelivered"], data=elks_report(number, status), headers=kind) as answer,
    ):
        assert answer.status in (200, 204)
