"""Behind a proof the person shows on the same page who they are, and nobody is parted: the call is marked while the two go on talking."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import aiohttp
import pytest
from playwright.async_api import Browser, Page, expect
from rig.bankid import BankIdServer
from rig.stage import ANNA, Stage
from rig.worker import Worker

from tests.contract.eid_kit import ANOTHER, WHO, Ends
from tests.contract.texts_kit import tables
from tests.contract.texts_server import PASSWORD, TextsServer
from tests.e2e import test_prove
from tests.e2e.test_prove import Floor, bankid, browser, ends, floor, gateway, link_in, telephone

__all__ = ["bankid", "browser", "ends", "floor", "gateway"]

STAGE = test_prove.STAGE
SETTINGS = {**test_prove.SETTINGS, "policies.app": {"steps": ["totp"], "level": 1}}
# Anna's, of Skatteverket's numbers for tests
PERSON, OTHERS = ANOTHER, WHO


@pytest.fixture
def worker(
    stage: Stage, gateway: TextsServer, ends: Ends, bankid: TextsServer, request: pytest.FixtureRequest
) -> Iterator[Worker]:
    eid = {
        "url": f"{bankid.url}/rp/v6.0", "certificate_file": str(ends.client.chain), "key_file": str(ends.client.key),
        "ca_file": str(ends.theirs.file), "allow_private": ["127.0.0.1"],
    }  # fmt: skip
    ours = {"prove": {"back": ["strict", "app"]}, "policies.strict": {"steps": ["bankid"], "level": 3}}
    stage.write_config({"texts": {"gateway": "46elks"}, "eid.bankid": eid, **ours, **tables("46elks", gateway.url)})
    (stage.folder / "password").touch(0o600)
    (stage.folder / "password").write_text(PASSWORD)
    with stage.worker(request.node.name) as running:
        yield running


async def confirmed(floor: Floor, page: Page) -> str:
    """The person has keyed the digits of the call; the link."""
    place = floor.caller.mark()
    link = link_in(await floor.press())
    await page.goto(link)
    await page.locator('form[action$="/open"] button').click()
    await floor.stage("Opened")
    await page.fill("#digits", await floor.hears(floor.caller, place))
    await page.locator('form[action$="/confirm"] button').click()
    await floor.stage("Confirmed: the person knows that it is us")
    return link


async def bridged(floor: Floor) -> set[str]:
    """The bridges that the customer's telephone is in: the same as long as nobody parts the two."""
    pbx = floor.scene.stage.pbx

    def found() -> set[str]:
        callers = {one["id"] for one in pbx.ari("GET", "channels") if one["name"].startswith(f"PJSIP/{floor.at}-")}
        return {one["id"] for one in pbx.ari("GET", "bridges") if callers & set(one["channels"])}

    return await asyncio.to_thread(found)


async def opens(floor: Floor, level: int) -> None:
    """The record opens, and the trail, the PBX and the channel say why."""
    seen = floor.seen
    await expect(seen.locator(".call h2")).to_have_text(f"Verified at level {level}")
    await floor.stage("Confirmed. Identified on the page")
    await seen.get_by_role("button", name="Open the record").click()
    if level == 3:
        await expect(seen.locator('[data-field="phones"] dd')).to_contain_text(ANNA.phones[-2:])
    told = await floor.scene.ami.user_event("CallerAuthenticated", timeout=10)
    assert told["CALLER_AUTH_LEVEL"] == str(level)
    row = floor.scene.audit("verify")[-1]
    detail = json.loads(row["detail"])
    assert (row["outcome"], detail["round"], detail["level"]) == ("verified", "on_page", str(level))


@pytest.mark.parametrize("floor", ["", "inbound"], indirect=True)
async def test_an_authenticator_apps_code_marks_the_call_and_nobody_is_parted(floor: Floor, browser: Browser) -> None:
    app = await asyncio.to_thread(floor.scene.stage.enrol, ANNA.number)
    async with telephone(browser) as page:
        await confirmed(floor, page)
        before = await bridged(floor)
        assert before
        await page.locator('button[value="totp/"]').click()
        await floor.stage("Confirmed. Identifying on the page…")
        await page.fill("#code", "000000")
        await page.locator('form[action$="/code"] button').click()
        await expect(page.locator(".fault")).to_be_visible()
        await expect(floor.seen.get_by_role("button", name="Open the record")).to_be_hidden()
        await page.fill("#code", await app.code())
        await page.locator('form[action$="/code"] button').click()
        await expect(page.locator("h1")).to_contain_text("Agda")
    await opens(floor, 1)
    assert await bridged(floor) == before
    assert len(floor.scene.marks()) == 1
    await floor.caller.hang_up()
    await floor.scene.until(lambda: not floor.scene.marks(), "the mark to go with the call")


async def test_bankid_on_this_device_opens_the_record_at_level_3(
    floor: Floor, browser: Browser, bankid: TextsServer
) -> None:
    floor.scene.stage.command("customer", "identity", "add", ANNA.number, given=f"{PERSON}\n")
    assert isinstance(bankid.api, BankIdServer)
    async with telephone(browser) as page:
        link = await confirmed(floor, page)
        before = await bridged(floor)
        await page.locator('button[value="bankid/here"]').click()
        await expect(page.locator('a[href^="https://app.bankid.com/"]')).to_be_visible()
        await floor.stage("Confirmed. Identifying on the page…")
        order = bankid.api.orders[-1]
        assert order.body["requirement"]["personalNumber"] == PERSON
        order.user, order.status = PERSON, "complete"
        await page.goto(str(order.body["returnUrl"]))
        await page.locator("main form button").click()
        await expect(page.locator("h1")).to_contain_text("Agda")
    await opens(floor, 3)
    assert await bridged(floor) == before
    async with telephone(browser) as other:
        await other.goto(link)
        await other.locator('form[action$="/deny"] button').click()
        await floor.scene.until(lambda: not floor.scene.marks(), "the mark to go with the denial")
    await expect(floor.seen.get_by_role("button", name="Open the record")).to_be_hidden()
    await floor.scene.until(lambda: bool(floor.scene.audit("mark.void")), "the trail to be told")
    assert floor.scene.audit("mark.void")[-1]["outcome"] == "abandoned"


async def test_whoever_has_the_link_alone_or_is_somebody_else_is_not_marked(
    floor: Floor, browser: Browser, bankid: TextsServer
) -> None:
    """The link is sent on; another person identifies by the picture; and then somebody says not to be talking with us."""
    floor.scene.stage.command("customer", "identity", "add", ANNA.number, given=f"{PERSON}\n")
    app = await asyncio.to_thread(floor.scene.stage.enrol, ANNA.number)
    assert isinstance(bankid.api, BankIdServer)
    rows = len(floor.scene.audit("verify"))
    async with telephone(browser) as page, telephone(browser) as other:
        link = await confirmed(floor, page)
        await other.goto(f"{link}/me")
        await expect(other.locator("h1")).to_contain_text("A call was confirmed")
        await expect(other.locator("button")).to_have_count(1)
        async with aiohttp.ClientSession(headers={"Cookie": f"__Host-back={'A' * 22}"}) as guessing:
            for ask in (guessing.get(f"{link}/me"), guessing.post(f"{link}/me", data={"by": "totp/"})):
                async with ask as answer:
                    assert 'value="totp/"' not in await answer.text() and not answer.history

        await page.locator('button[value="bankid/other"]').click()
        await expect(page.locator("svg")).to_be_visible()
        order = bankid.api.orders[-1]
        order.user, order.status = OTHERS, "complete"
        await expect(page.locator("h1")).to_have_text("That did not work")
        await floor.stage("Confirmed. Not identified on the page")
        assert floor.scene.audit("eid")[-1]["outcome"] == "wrong_person"
        assert not floor.scene.marks()

        await page.locator('button[value="totp/"]').click()
        await floor.stage("Confirmed. Identifying on the page…")
        await other.goto(link)
        await other.locator('form[action$="/deny"] button').click()
        await page.fill("#code", await app.code())
        await page.locator('form[action$="/code"] button').click()
        await expect(page.locator("body")).not_to_contain_text("Agda sees")
    assert not floor.scene.marks()
    assert [row["outcome"] for row in floor.scene.audit("verify")[rows:]] == ["refused"]
