"""Two people show each other who they are by Freja: the page, the desk's side, and Freja by its published form."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.freja_server import FrejaServer
from tests.contract.live_server import Server
from tests.contract.persons_kit import ASKER, KARIN, KARL, OTHER, People, code_of, link_of, people
from tests.contract.test_page_store import contents

pytestmark = pytest.mark.servers

EIDS = 'eids = ["freja", "bankid"]'


@pytest.fixture
async def there(server: Server, tmp_path: Path) -> AsyncIterator[People]:
    async with people(server, tmp_path, eids=EIDS) as made:
        yield made


def api(there: People) -> FrejaServer:
    assert there.freja is not None
    return there.freja


def approve(there: People, who: str, **other: object) -> None:
    """Somebody does so in the app."""
    placed = api(there).last
    placed.user, placed.status = who, "APPROVED"
    for name, value in other.items():
        setattr(placed, name, value)


async def test_from_the_question_to_the_answer(there: People) -> None:
    karl = await there.browser()
    offered = (await karl.ask("/person")).said
    assert "With Freja on another device" in offered
    assert "Freja on this device" not in offered
    picture = await karl.begin(start="freja.other")
    assert "<svg" in picture.text
    assert "It changes each second" not in picture.said
    assert picture.headers["Refresh"] == "5"
    body = api(there).last.body
    # whoever it will be: nobody is named
    assert (body["userInfoType"], body["userInfo"], body["minRegistrationLevel"]) == ("INFERRED", "N/A", "EXTENDED")
    approve(there, KARL)
    await karl.until("Is it your number?")
    await karl.send("/person/code", code=code_of((await there.text(1))["message"]))
    asks = (await there.text(2))["message"]
    assert asks.startswith(f"Acme: Karl Canaryson, identified by Freja, with the number {ASKER}, ")
    karin, link = await there.browser(), link_of(asks)
    await karin.send(f"{link}/answer", start="freja.other")
    approve(there, KARIN, more={"requestedAttributes": {
        "ssn": {"country": "SE", "ssn": KARIN}, "basicUserInfo": {"name": "Karin", "surname": "Svar"}, "registrationLevel": "PLUS",
    }})  # fmt: skip
    await karin.until("Karl Canaryson")
    found = await karl.until("Karin Svar")
    for said in ("Freja", OTHER):
        assert said in found.said
    assert {entry.detail["eid"] for entry in there.trail.entries} == {"freja"}


async def test_on_the_same_device_it_is_not_offered(there: People) -> None:
    """Its app opens behind it what stands in the link, which whoever has begun can read, and send on."""
    karl = await there.browser()
    answer = await karl.ask("/person/begin", {"own": ASKER, "other": OTHER, "start": "freja.here"})
    assert answer.status == 400
    assert api(there).orders == []


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"level": "BASIC"}, "That identity cannot be used for this"),
        ({"more": {"authRef": "another"}}, "You have not been identified"),
        ({"more": {"timestamp": 1_000_000_000_000}}, "You have not been identified"),
        ({"status": "CANCELED"}, "You have said no"),
        ({"status": "EXPIRED"}, "It took too long"),
        ({"status": "REJECTED"}, "Somebody else has begun to identify as you"),
    ],
)
async def test_what_identifies_nobody(there: People, other: dict[str, object], said: str) -> None:
    karl = await there.browser()
    await karl.begin(start="freja.other")
    approve(there, KARL, **other)
    await karl.until(said)
    assert there.gateway.asked == []


async def test_what_freja_has_not_signed_identifies_nobody(there: People) -> None:
    karl = await there.browser()
    await karl.begin(start="freja.other")
    api(there).key = type(api(there).key).generate_key(2048)
    approve(there, KARL)
    await karl.until("You have not been identified")
    assert "not signed by the certificate" in str(there.log.of("person.unasked"))


async def test_who_does_not_wait_any_more_has_it_taken_back(there: People) -> None:
    _, link = await there.asked()
    karin, second = await there.browser(), await there.browser()
    await karin.send(f"{link}/answer", start="freja.other")
    old = api(there).last
    await second.send(f"{link}/answer", start="freja.other")
    async with asyncio.timeout(10):
        while old.status == "STARTED":
            await asyncio.sleep(0.02)
    assert old.status == "RP_CANCELED"


async def test_nothing_is_kept_in_clear(there: People, server: Server) -> None:
    karl = await there.browser()
    await karl.begin(start="freja.other")
    reference = api(there).last.ref
    approve(there, KARL)
    await karl.until("Is it your number?")
    told = repr((there.log.lines, there.page_log.lines, contents(server)))
    for text in (reference, KARL, "Canaryson", ASKER):
        assert text not in told, text
