"""The demo's call from the desk: the company shows who it is, on a page and in the call, and the customer identifies back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp

from rig import audio
from rig.around import PERSON, Around
from rig.calls import Result
from rig.clerk import Clerk, at_work
from rig.ear import understood
from rig.keep import CILLA, signed_up
from rig.people import ANNA
from rig.phone import Phone
from rig.stage import Stage
from rig.state import RigError
from rig.tables import Tables
from rig.timeline import Timeline
from rig.visitor import Visitor

OURS = "+46812345678"
# agent3 stands for the trunk: what is called by it is the customer's telephone
CALLS: Tables = {"calls": {"dial": "PJSIP/{number}@agent3", "number": OURS}}
_GATEWAY: Tables = {"texts": {"gateway": "46elks"}}
_PREVIEWS = ("WhatsApp/2.23", "facebookexternalhit/1.1", "Mozilla/5.0 (Safe Links)")
_LIMIT = 20.0
_LINK = re.compile(r"https?://\S+/p/[A-Za-z0-9_-]{22}")


@dataclass
class Place:
    """The desk and the public page, both up, and an agent who works at the one."""

    stage: Stage
    around: Around
    agent: Visitor

    async def play(self, timeline: Timeline, result: Result) -> None:
        """The whole call. What does not hold is a fault of the result."""
        async with (
            Phone(self.stage.pbx.line("agent1")) as agent,
            Phone(self.stage.pbx.line("agent3")) as customer,
            at_work(self.agent, lambda title: timeline.say("desk", f"shows: {title}")) as clerk,
        ):
            await self._called(timeline, result, clerk, agent, customer)
            await self._proved(timeline, result, clerk, customer)
            await self._identified(timeline, result, clerk, customer)
            await customer.hang_up()
            await agent.until("disconnected")

    async def _called(self, timeline: Timeline, result: Result, clerk: Clerk, agent: Phone, customer: Phone) -> None:
        timeline.say("agent", f"writes customer number {ANNA.number} at the desk, and presses Call")
        await clerk.press("POST", "dials", {"customer": ANNA.number})
        invite = await agent.incoming()
        result.expect("the agent's phone is told no number of the customer's", ANNA.phones[-8:] not in str(invite.data))
        await clerk.sees("Your phone rings")
        await agent.answer()
        timeline.say("agent", "picks up")
        invite = await customer.incoming()
        timeline.say("customer", f"phone rings: {invite['number']}", invite.at)
        result.expect("the customer's phone shows the company's number", invite["number"] == OURS)
        await customer.answer()
        await clerk.sees("Not verified")
        result.expect("the desk is told no number of the customer's", ANNA.phones[-8:] not in str(clerk.call))
        timeline.say("agent", "talks with the customer, whose number no phone and no page shows")
        for phone in (agent, customer):
            await phone.until("media")

    async def _proved(self, timeline: Timeline, result: Result, clerk: Clerk, customer: Phone) -> None:
        since = customer.mark()
        timeline.say("agent", "presses Prove it is us")
        begun = await clerk.press("POST", f"calls/{clerk.call['id']}/proof", {"way": "text", "about": "case"})
        text = await self.around.text()
        found = _LINK.search(text["message"])
        if found is None:
            raise RigError("the text has no link")
        timeline.say("text", text["message"].replace(found[0].rpartition("/")[2], "••••••"))
        result.expect("the text goes to the number on record", text["to"] == ANNA.phones)
        await clerk.sees("Sent")
        timeline.say("agent", f"says two words: {begun['phrase']}")
        result.expect("the public page takes the gateway's report", await self.around.deliver(text) in (200, 204))
        await clerk.sees("Delivered")
        first = CILLA.name.split()[0]
        async with aiohttp.ClientSession() as person:
            seen = [await _page(person, "GET", found[0], bot) for bot in _PREVIEWS]
            timeline.say("previews", "look at the link: no name stands there, and nothing changes")
            result.expect("a preview sees no name", not any(first in page or begun["phrase"] in page for page in seen))
            asks = all(f'{found[0].partition("/p/")[2]}/open"' in page for page in seen)
            result.expect("a preview changes nothing", asks and clerk.call["proof"]["stage"] == "delivered")
            result.expect("nothing is said for a preview", not customer.heard(since=since))
            page = await _page(person, "POST", f"{found[0]}/open")
            timeline.say("customer", f"opens the page, and reads there: {first}; {begun['phrase']}")
            result.expect("the page shows who speaks, and the two words", first in page and begun["phrase"] in page)
            await clerk.sees("Opened")
            digits = await _heard(customer, since)
            timeline.say("customer", "hears ••••••, and keys it on the page")
            page = await _page(person, "POST", f"{found[0]}/confirm", digits=digits)
        await clerk.sees("Confirmed: the person knows that it is us")
        result.expect("the page says that it is us", "You are talking with us" in page)

    async def _identified(self, timeline: Timeline, result: Result, clerk: Clerk, customer: Phone) -> None:
        status, _ = await clerk.record(clerk.call["dialled"])
        result.expect("what the customer knows opens no record", status == 403)
        timeline.say("agent", "presses Verify now, by BankID: who has answered is not known yet")
        await clerk.press("POST", f"calls/{clerk.call['id']}/verification", {"policy": "strict"})
        await timeline.until("entry.asked", entry="bankid")
        await customer.send_digits("1")
        await timeline.until("eid.asked")
        order = self.around.bankid.last
        result.expect("BankID is asked for the customer on record", order.person == PERSON)
        result.expect("BankID is told that we have called", order.body["callInitiator"] == "RP")
        timeline.say("app", order.visible)
        result.expect("the app says who asks, and who called", order.visible.startswith("Example Telecom called you."))
        timeline.say("customer", "identifies there")
        order.status, order.user = "complete", PERSON
        await clerk.sees("Verified at level 3")
        status, record = await clerk.record(clerk.call["ref"])
        timeline.say("agent", f"opens the record of {record.get('fields', {}).get('name')}")
        result.expect(
            "the record opens", (status, record.get("level")) == (200, 3) and record["fields"]["name"] == ANNA.name
        )


@asynccontextmanager
async def placed(stage: Stage, around: Around) -> AsyncIterator[Place]:
    """Desk and page, up until the block is left; their texts go out by the gateway. Who is called has an electronic identity on record."""
    stage.write_config({**around.tables, **CALLS, **_GATEWAY})
    async with AsyncExitStack() as stack:
        stack.callback(stage.write_config, around.tables)
        desk, page = stage.desk(), stage.page()
        for process in (desk, page):
            await asyncio.to_thread(process.start)
            stack.callback(process.stop)
        agent, _ = await asyncio.gather(
            signed_up(stage, desk.url, CILLA),
            asyncio.to_thread(stage.command, "customer", "identity", "add", ANNA.number, given=f"{PERSON}\n"),
        )
        yield Place(stage, around, agent)


async def _page(person: aiohttp.ClientSession, method: str, url: str, agent: str = "", **form: str) -> str:
    async with person.request(method, url, data=form or None, headers={"User-Agent": agent or "Mozilla/5.0"}) as answer:
        return await answer.text()


async def _heard(customer: Phone, since: int) -> str:
    """The six digits, from what the customer's phone has recorded."""
    found = ""
    async with asyncio.timeout(_LIMIT):
        while len(found) < 6:
            await asyncio.sleep(0.1)
            found = understood(audio.samples(customer.recording())[since:])
    return found[:6]
