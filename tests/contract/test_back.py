"""Whoever was shown who we are shows who they are on the same page: page and desk on a real Redis and a real database, providers by their published forms."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ivr.page.words import words
from tests.contract.back_kit import CALL, NODE, OTHERS, PERSON, Backed, backing_in
from tests.contract.live_server import Server
from tests.contract.persons_kit import Answer, Browser

pytestmark = pytest.mark.servers


@pytest.fixture
async def there(server: Server, tmp_path: Path) -> AsyncIterator[Backed]:
    async with backing_in(tmp_path, server) as made:
        yield made


async def begins(browser: Browser, path: str, by: str) -> Answer:
    return await browser.send(f"{path}/me", by=by)


async def test_bankids_picture_by_the_right_person_marks_the_call(there: Backed) -> None:
    _, karin, path = await there.confirmed()
    picture = await begins(karin, path, "bankid/other")
    assert "<svg" in picture.text and "app.bankid.com" not in picture.text
    order = there.bankid.last
    assert order.body["requirement"]["personalNumber"] == PERSON  # type: ignore[index]
    assert "returnUrl" not in order.body and "Acme" not in order.visible and "Anna" in order.visible
    order.user, order.status = PERSON, "complete"
    assert "Anna sees that it is you" in (await karin.until("sees that it is you", f"{path}/me")).said
    mark = await there.mark()
    assert mark is not None and (mark.subject, mark.level, mark.methods) == (there.ref, 3, ("bankid",))
    assert await there.rows("verify") == ["verified"]
    assert await there.rows("eid") == ["asked", "identified"]
    done = [one[:3] for one in there.here.desk.switch.done]
    assert done == [("show", NODE, CALL), ("event", NODE, "CallerAuthenticated")]


@pytest.mark.parametrize("who", [PERSON, OTHERS], ids=["right", "wrong"])
async def test_freja(there: Backed, who: str) -> None:
    _, karin, path = await there.confirmed()
    assert "Freja asks you there who you are" in (await begins(karin, path, "freja/")).said
    assert there.freja.last.person == PERSON
    there.freja.last.user, there.freja.last.status = who, "APPROVED"
    await karin.until("sees that it is you" if who == PERSON else "You were not identified", f"{path}/me")
    assert ((await there.mark()) is not None) is (who == PERSON)
    assert await there.rows("verify") == (["verified"] if who == PERSON else ["refused"])
    assert (await there.rows("eid"))[-1] == ("identified" if who == PERSON else "wrong_person")


async def test_what_the_app_opens_in_another_browser_ends_it(there: Backed) -> None:
    """The person's browser is had to begin by nobody else: who taps a link that was sent on goes no further."""
    proof, thief, path = await there.confirmed()
    await begins(thief, path, "bankid/here")
    order = there.bankid.last
    back = str(order.body["returnUrl"]).removeprefix(there.url)
    assert re.fullmatch(rf"{path}/me/app/[\w-]{{22}}", back)
    order.user, order.status = PERSON, "complete"
    await thief.until("opens a page on which you go on", f"{path}/me")
    victim = await there.browser()
    await victim.ask(back, method="HEAD")
    known = await there.back(proof)
    assert known is not None and known.stage == "identifying", "what looks at addresses alone ends nothing"
    refused = await victim.ask(back)
    assert refused.status == 403 and "This was not begun here" in refused.said
    assert "The app has opened another browser" in (await thief.until("another browser", f"{path}/me")).said
    await thief.send(back)
    assert await there.mark() is None
    assert await there.rows("verify") == []


async def test_the_apps_way_back_to_the_browser_that_has_begun(there: Backed) -> None:
    _, karin, path = await there.confirmed()
    await begins(karin, path, "bankid/here")
    order = there.bankid.last
    back = str(order.body["returnUrl"]).removeprefix(there.url)
    assert "Go on" in (await karin.ask(back)).said
    await karin.send(back)
    assert await there.mark() is None, "nobody has identified yet"
    order.user, order.status = PERSON, "complete"
    await karin.until("sees that it is you", f"{path}/me")
    assert await there.mark() is not None


async def test_of_two_browsers_one_has_keyed_the_digits(there: Backed) -> None:
    _, karin, path = await there.confirmed()
    other = await there.browser()
    digits = there.here.speech.said[-1]
    assert "A call was confirmed" in (await other.send(f"{path}/confirm", digits=digits)).said
    assert other.cookie is None
    for cookie in (None, "A" * 22):
        other.cookie = cookie
        for answer in (await other.ask(f"{path}/me"), await begins(other, path, "bankid/other")):
            assert "BankID" not in answer.said
    assert there.bankid.orders == []
    assert "BankID" in (await karin.ask(f"{path}/me")).said


async def test_who_declines_the_call_in_the_app_is_an_alarm(there: Backed) -> None:
    _, karin, path = await there.confirmed()
    await begins(karin, path, "bankid/other")
    there.bankid.last.status, there.bankid.last.hint = "failed", "userDeclinedCall"
    await karin.until("You were not identified", f"{path}/me")
    assert ("event", NODE, "CallerDeclinesCall", CALL, there.ref) in there.here.desk.switch.done
    assert there.log.of("eid.declined_call")
    assert await there.rows("eid") == ["asked", "declined_call"]
    # nobody is verified as that customer for a while
    code = await begins(karin, path, "totp/")
    assert "You were not identified" in code.said
    assert await there.mark() is None


async def test_without_the_provider_it_says_so_and_one_may_try_again(there: Backed) -> None:
    _, karin, path = await there.confirmed()
    await there.provider.stop()
    said = await begins(karin, path, "bankid/other")
    assert "It does not work just now" in said.said and 'value="bankid/other"' in said.text
    assert await there.rows("eid") == [], "nobody was asked"
    await begins(karin, path, "totp/")
    assert "sees that it is you" in (await karin.send(f"{path}/me/code", code=there.code())).said


async def test_a_step_that_is_not_offered_is_refused(server: Server, tmp_path: Path) -> None:
    async with backing_in(tmp_path, server, ("app",)) as there:
        proof, karin, path = await there.confirmed()
        offered = (await karin.ask(f"{path}/me")).text
        assert 'value="totp/"' in offered and "bankid" not in offered and "freja" not in offered
        for by in ("bankid/other", "freja/", "pin/", ""):
            assert (await karin.ask(f"{path}/me", {"by": by})).status == 400
        for step in ("bankid", "freja", "pin"):
            await there.forged(karin, path, proof, step)
            assert await there.back(proof) is None
        assert there.bankid.orders == [] and there.freja.orders == []


async def test_codes_run_out(there: Backed) -> None:
    _, karin, path = await there.confirmed()
    assert "The 6 digits that it shows now" in (await begins(karin, path, "totp/")).said
    text, tries = words("en"), there.here.desk.settings.steps.totp.tries
    for left in range(tries - 1, 0, -1):
        said = (await karin.send(f"{path}/me/code", code="000000")).said
        assert "That code is not right" in said
        assert (text("fault.left_one") if left == 1 else text("fault.left_many", left=left)) in said
    over = await karin.send(f"{path}/me/code", code="000000")
    assert "The code was wrong too many times" in over.said and 'name="by"' not in over.text
    await karin.send(f"{path}/me/code", code=there.code())
    assert await there.mark() is None
    assert await there.rows("verify") == ["refused"] * tries


async def test_it_is_begun_so_often(there: Backed) -> None:
    _, karin, path = await there.confirmed()
    for _ in range(5):
        assert "The 6 digits that it shows now" in (await begins(karin, path, "totp/")).said
    assert "It was begun too many times" in (await begins(karin, path, "totp/")).said


async def test_whoever_taps_twice_has_begun_once(there: Backed) -> None:
    """The later one counts: the order before it is let go of at the provider, and nobody is told of somebody else."""
    proof, karin, path = await there.confirmed()
    await asyncio.gather(*(karin.ask(f"{path}/me", {"by": "bankid/other"}) for _ in range(2)))
    assert "<svg" in (await karin.until("scan this", f"{path}/me")).text
    known = await there.back(proof)
    assert known is not None and known.began == 2
    assert [order.status for order in there.bankid.orders].count("pending") == 1
    for order in there.bankid.orders:
        if order.status == "pending":
            order.user, order.status = PERSON, "complete"
    await karin.until("sees that it is you", f"{path}/me")
    assert await there.rows("verify") == ["verified"]
    assert "in_progress" not in await there.rows("eid")
