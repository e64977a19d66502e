"""Two people show each other who they are: the page and the desk's side on a real Redis, BankID and a gateway by their published forms."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from ivr.errors import StoreError
from ivr.page import routes
from ivr.secret import Secret
from ivr.store.introduction import Act, Shows, Stage, Wish
from ivr.store.introductions import Introductions
from ivr.store.opened import new_link
from tests.contract.ari_log import wait_for
from tests.contract.live_server import Server
from tests.contract.page_kit import page
from tests.contract.persons_kit import ASKER, KARIN, KARL, OTHER, People, code_of, link_of, people
from tests.contract.test_page import BOTS, without_paces
from tests.contract.test_page_store import contents

pytestmark = pytest.mark.servers


@pytest.fixture
async def there(server: Server, tmp_path: Path) -> AsyncIterator[People]:
    async with people(server, tmp_path) as made:
        yield made


async def test_from_the_question_to_the_answer(there: People) -> None:
    karl = await there.browser()
    app = await karl.begin("0701740605", "070-174 06 06")
    assert "Open BankID" in app.said
    assert 'href="https://app.bankid.com/?autostarttoken=auto%20canary%2F1&amp;redirect=null"' in app.text
    assert "+46…06" in there.bankid.last.visible, "whom it is shown to"
    keyed = await there.identified(karl, KARL)
    code = await there.text(1)
    assert (code["to"], len(there.gateway.asked)) == (ASKER, 1), "the own number first, and nobody else"
    assert "Is it your number?" in keyed.said or "Is it your number?" in (await karl.until("Is it your number?")).said
    waits = await karl.send("/person/code", code=code_of(code["message"]))
    assert f"It has gone to {OTHER}" in waits.said
    assert waits.headers["Refresh"] == "5"

    asks = await there.text(2)
    assert asks["to"] == OTHER
    assert asks["message"].startswith(f"Acme: Karl Canaryson, identified by BankID, with the number {ASKER}, ")
    link, karin = link_of(asks["message"]), await there.browser()
    first = await karin.ask(link)
    assert "Somebody shows you who they are" in first.said
    assert "Canaryson" not in first.text
    who = await karin.send(f"{link}/open")
    for said in ("Karl Canaryson", ASKER, "BankID", OTHER):
        assert said in who.said
    assert "Open BankID" in (await karin.send(f"{link}/answer", start="bankid.here")).said
    assert "Karl Canaryson" in there.bankid.last.visible
    await there.identified(karin, KARIN, name="Karin Svar")
    met = await karin.until("This is who it is")
    assert "Karl Canaryson" in met.said
    assert ASKER in met.said
    found = await karl.until("This is who it is")
    assert "Karin Svar" in found.said
    assert OTHER in found.said
    assert "It was answered" in (await karin.ask(link)).said
    assert [entry.action for entry in there.trail.entries] == ["person.identify", "person.ask", "person.answer"]
    assert len(there.gateway.asked) == 2


async def test_by_a_picture_that_changes(there: People) -> None:
    karl = await there.browser()
    first = await karl.begin(start="bankid.other")
    assert first.headers["Refresh"] == "1"
    assert "<svg" in first.text
    assert "app.bankid.com" not in first.text
    assert "returnUrl" not in there.bankid.last.body
    async with asyncio.timeout(10):
        while (await karl.ask("/person/now")).text == first.text:
            await asyncio.sleep(0.05)
    there.identify(KARL)
    assert (await karl.until("Is it your number?")).status == 200


# ---------------------------------------------------------------- attacks


async def test_previews_change_nothing(there: People, server: Server) -> None:
    """Whatever opens the link before the person does, by whatever method, is shown no name."""
    _, link = await there.asked()
    before = without_paces(server)
    bot = await there.browser()
    for agent in BOTS:
        for path in (link, f"{link}?x=1", f"{link}/open", f"{link}/answer", f"{link}/deny", "/person", "/person/now"):
            for method in ("GET", "HEAD", "OPTIONS", "PUT"):
                answer = await bot.ask(path, method=method, User_Agent=agent)
                assert answer.status in (200, 405), path
                assert "Canaryson" not in answer.text
                assert ASKER not in answer.text
    assert without_paces(server) == before


async def test_an_identification_counts_for_the_browser_that_began_it_alone(there: People) -> None:
    """Somebody begins, and has a victim identify: what the app brings back comes to the victim's browser, and goes no further."""
    thief, victim, another = await there.browser(), await there.browser(), await there.browser()
    await thief.begin()
    back = there.identify(KARL)
    await thief.until("opens a page on which you go on")
    await thief.ask("/person/back/" + "a" * 22, {})
    # whatever looks at addresses alone, and does not open them, ends nothing
    await victim.ask(back, method="HEAD")
    assert "opens a page on which you go on" in (await thief.ask("/person/now")).said
    for method in ("GET", "POST"):
        refused = await victim.ask(back, method=method)
        assert refused.status == 403
        assert "This was not begun here" in refused.said
        # who gets hold of it behind that has nothing
        assert "went on in another browser" in (await thief.send(back)).said
    # a session of one's own is none of that identification's
    await thief.begin()
    await another.begin(own="+46701740607")
    await another.send(there.identify(KARL, -2))
    assert "went on in another browser" in (await thief.until("went on in another browser")).said
    assert there.gateway.asked == []


@pytest.mark.parametrize("answers", [False, True])
async def test_who_begins_reads_nowhere_what_the_app_opens(there: People, answers: bool) -> None:
    """Who sends the link on, which opens the app, cannot say instead of the victim's browser that it was his."""
    asks, link = await there.asked() if answers else (await there.browser(), "")
    thief = await there.browser()
    app = await thief.send(f"{link}/answer", start="bankid.here") if answers else await thief.begin()
    nonce = there.identify(KARIN, name="Karin Svar").rpartition("/")[2]
    assert len(nonce) == 22
    waits = await thief.until("opens a page on which you go on")
    for seen in (app, waits, await thief.ask("/person/now")):
        assert nonce not in unquote(seen.said + seen.text) + repr(seen.headers)
    assert "Karin Svar" not in (await (asks if answers else thief).ask("/person/now")).text


async def test_the_other_may_begin_again_where_the_app_opened_another_browser(there: People) -> None:
    karl, link = await there.asked()
    karin, victim = await there.browser(), await there.browser()
    await karin.send(f"{link}/answer", start="bankid.here")
    await victim.ask(there.identify(KARIN, name="Karin Svar"))
    await karin.until("went on in another browser")
    assert "The text is on its way" in (await karl.ask("/person/now")).said
    await karin.send(f"{link}/answer", start="bankid.here")
    await there.identified(karin, KARIN, name="Karin Svar")
    await karl.until("Karin Svar")


async def test_the_other_is_not_asked_before_the_own_number_is_shown(there: People) -> None:
    karl = await there.browser()
    await karl.begin()
    await there.identified(karl, KARL)
    code = code_of((await there.text(1))["message"])
    wrong = f"{(int(code) + 1) % 10**6:06}"
    answer = await karl.send("/person/code", code=wrong)
    assert "That is not the code. You can try 2 more times." in answer.said
    assert answer.status == 422
    # a hundred at once are as many as are left
    await asyncio.gather(*(karl.ask("/person/code", {"code": f"{(int(code) + n) % 10**6:06}"}) for n in range(2, 60)))
    over = await karl.until("The code was wrong too many times")
    assert over.status == 200
    await karl.send("/person/code", code=code)
    assert "wrong too many times" in (await karl.ask("/person/now")).said
    assert len(there.gateway.asked) == 1


async def test_the_right_code_behind_the_third_try_is_not_looked_at(there: People) -> None:
    """Of many at once it comes where the third has been counted, and what follows of that not yet been written."""
    karl = await there.browser()
    await karl.begin()
    await there.identified(karl, KARL)
    code = code_of((await there.text(1))["message"])
    await karl.until("Is it your number?")
    kept = await there.introductions.read(there.log.of("person.moved")[-1]["introduction"])
    assert kept is not None and await there.introductions.write(replace(kept.now, tries=3), kept)
    await karl.send("/person/code", code=code)
    now = await there.introductions.read(kept.now.id)
    assert now is not None and (now.now.stage, now.now.tries) == (Stage.KEYING, 3)
    assert len(there.gateway.asked) == 1


async def test_of_two_desks_that_change_one_at_once_the_second_looks_again(there: People) -> None:
    """Else a try that the one has counted would be none, behind what the other writes."""
    await (await there.browser()).begin()
    kept = await there.introductions.read(there.log.of("person.moved")[-1]["introduction"])
    assert kept is not None
    assert await there.introductions.write(replace(kept.now, tries=1), kept) is True
    assert await there.introductions.write(replace(kept.now, tries=0), kept) is False
    assert await there.introductions.write(kept.now) is False
    now = await there.introductions.read(kept.now.id)
    assert now is not None and now.now.tries == 1


async def test_who_is_not_known_cannot_ask_again_for_a_day(there: People, server: Server) -> None:
    karl, link = await there.asked()
    karin = await there.browser()
    await karin.send(f"{link}/open")
    assert "cannot ask you again for a day" in (await karin.send(f"{link}/deny")).said
    assert f"Whoever has the number {OTHER} does not want to" in (await karl.until("does not want")).said
    assert "cannot ask you again" in (await karin.ask(link)).said
    assert (await karin.send(f"{link}/answer", start="bankid.here")).status == 200
    assert len(there.bankid.orders) == 1, "it is over for both"
    assert there.trail.entries[-1].action == "person.deny"
    again = await there.browser()
    await again.begin()
    await there.identified(again, KARL)
    await again.send("/person/code", code=code_of((await there.text(3))["message"]))
    assert "does not want to be asked by you" in (await again.until("does not want")).said
    assert len(there.gateway.asked) == 3
    server.pass_time(24 * 3600)
    await there.asked()
    assert (await there.text(5))["to"] == OTHER


async def test_one_person_asks_so_many_in_a_day_whatever_the_number(server: Server, tmp_path: Path) -> None:
    async with people(server, tmp_path, "asks_of_one_per_day = 2") as there:
        for count in range(2):
            await there.asked()
            assert len(there.gateway.asked) == 2 * count + 2
        karl = await there.browser()
        await karl.begin(own="+46701740607", other="+46701740608")
        await there.identified(karl, KARL)
        assert "That is too many in a day" in (await karl.until("too many")).said
        assert len(there.gateway.asked) == 4, "not even the code"


async def test_one_number_is_asked_so_often_in_a_day_whoever_asks(server: Server, tmp_path: Path) -> None:
    async with people(server, tmp_path, "asks_to_one_per_day = 1") as there:
        await there.asked()
        karin = await there.browser()
        await karin.begin(own="+46701740607")
        await there.identified(karin, KARIN)
        await karin.send("/person/code", code=code_of((await there.text(3))["message"]))
        assert "That is too many in a day" in (await karin.until("too many")).said
        assert len(there.gateway.asked) == 3


async def test_one_number_gets_so_many_codes_in_a_day_whoever_says_to_have_it(server: Server, tmp_path: Path) -> None:
    async with people(server, tmp_path, "asks_of_one_per_day = 1") as there:
        await there.asked()
        karin = await there.browser()
        await karin.begin(own=ASKER, other="+46701740608")
        await there.identified(karin, KARIN)
        assert "That is too many in a day" in (await karin.until("too many")).said
        assert len(there.gateway.asked) == 2


async def test_texts_of_all_have_an_end_that_is_not_that_of_calls(server: Server, tmp_path: Path) -> None:
    async with people(server, tmp_path, "texts_per_hour = 1") as there:
        karl = await there.browser()
        await karl.begin()
        await there.identified(karl, KARL)
        await karl.send("/person/code", code=code_of((await there.text(1))["message"]))
        assert "Too many have asked lately" in (await karl.until("Too many")).said
        assert there.log.of("person.texts_closed")
        assert len(there.gateway.asked) == 1
        assert not list(server.client.scan_iter("tillit:budget:*")), "callers have their own"


async def test_so_many_begin_in_an_hour(server: Server, tmp_path: Path) -> None:
    async with people(server, tmp_path, "begun_per_hour = 1") as there:
        said = [(await (await there.browser()).begin()).said for _ in range(6)]
        assert ["Too many have asked lately" in one for one in said] == [False] * 5 + [True]
        assert len(there.bankid.orders) == 5


@pytest.mark.parametrize(
    ("own", "other", "said"),
    [
        (ASKER, "+46900123456", "We cannot send texts to the other's number"),
        (ASKER, "+4915112345678", "We cannot send texts to the other's number"),
        ("+18765551234", OTHER, "We cannot send texts to your number"),
        (ASKER, "070-174 06 05", "The two numbers are the same"),
        (ASKER, "12", "Write both as telephone numbers"),
        ('"><script>', OTHER, "Write both as telephone numbers"),
    ],
)
async def test_no_text_goes_where_none_may_and_nobody_is_asked_for(
    there: People, own: str, other: str, said: str
) -> None:
    answer = await (await there.browser()).begin(own, other)
    assert said in answer.said
    assert "<script" not in answer.text
    assert there.bankid.orders == []
    assert there.gateway.asked == []


async def test_nobody_else_sees_it(there: People) -> None:
    karl, link = await there.asked()
    for cookie in (None, "a" * 22, "x", karl.cookie[:-1] + "_" if karl.cookie else ""):
        other = await there.browser()
        other.cookie = cookie
        assert "was not begun in this browser" in (await other.ask("/person/now")).said
        assert (await other.ask("/person/stop", {})).status == 303
    assert "The text is on its way" in (await karl.ask("/person/now")).said
    assert (await karl.ask(link[:-1] + ("A" if link[-1] != "A" else "B"))).status == 404
    flags = karl.lines["cookie"]
    for flag in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert flag in flags


async def test_whoever_is_asked_does_nothing_in_the_askers_name(there: People) -> None:
    """The two have a session each in the same introduction."""
    karl, link = await there.asked()
    karin = await there.browser()
    await karin.send(f"{link}/answer", start="here")
    await karin.send("/person/stop")
    assert "The text is on its way" in (await karl.ask("/person/now")).said
    await there.identified(karin, KARIN, name="Karin Svar")
    await karl.until("Karin Svar")


@pytest.mark.parametrize("end", ["met", "denied", "stopped"])
async def test_what_a_page_passes_on_behind_an_end_is_not_done(there: People, end: str) -> None:
    """Whoever has broken into the public page may pass on all that it can: nobody is asked or texted anew, nobody meets anybody."""
    karl, link = await there.asked()
    code, karin = code_of((await there.text(1))["message"]), await there.browser()
    match end:
        case "met":
            await karin.send(f"{link}/answer", start="here")
            await there.identified(karin, KARIN, name="Karin Svar")
            await karl.until("Karin Svar")
        case "denied":
            await karin.send(f"{link}/deny")
        case _:
            await karl.send("/person/stop")
    orders, rows = len(there.bankid.orders), list(there.trail.entries)
    letter, forged = there.store.letter(Secret(link[3:])), there.store.session(new_link())
    for session in (forged, there.store.session(Secret(str(karl.cookie)))):
        for act in (Act.ANSWER, Act.DENY, Act.KEY, Act.STOP, Act.BACK):
            wish = Wish(act, session, letter, "en", address="192.0.2.9", fields={"digits": Secret(code)})
            assert await there.store.want(wish)
            async with asyncio.timeout(10):
                while not await there.store.done(wish):
                    await asyncio.sleep(0.01)
    assert (len(there.bankid.orders), there.trail.entries, len(there.gateway.asked)) == (orders, rows, 2)
    shown = await there.store.look(forged)
    assert shown is not None and (shown.shows, shown.why) == (Shows.REFUSED, "over")
    if end == "met":
        assert "Karl Canaryson" in (await karin.ask("/person/now")).said
        assert "It was answered" in (await karin.ask(link)).said


async def test_pages_that_renew_themselves_keep_nobody_from_other_pages(server: Server, tmp_path: Path) -> None:
    async with people(server, tmp_path, per_minute=100) as there:
        karl, karin = await there.browser(), await there.browser()
        for one in (karl, karin):
            await one.begin()
        answers = await asyncio.gather(*(one.ask("/person/now") for one in (karl, karin) * 20))
        assert 429 in {one.status for one in answers}
        assert (await (await there.browser()).ask("/p/" + "a" * 22)).status == 404


async def test_less_may_be_sent_from_one_address_than_looked_at(server: Server, tmp_path: Path) -> None:
    async with people(server, tmp_path, per_address=100) as there:
        bot = await there.browser()
        assert [(await bot.ask("/person/stop", {})).status for _ in range(6)] == [303] * 5 + [429]
        assert (await bot.ask("/person")).status == 200


async def test_who_begins_from_one_address_has_an_end(server: Server, tmp_path: Path) -> None:
    """Each asks a provider for something; what else an address may ask is no limit here."""
    async with people(server, tmp_path, begun_of_one=10) as there:
        asked = [await (await there.browser()).begin() for _ in range(6)]
        assert [one.status for one in asked] == [200] * 5 + [429]
        assert len(there.bankid.orders) == 5
        assert (await (await there.browser()).ask("/person")).status == 200


async def test_one_wish_at_a_time_is_enough(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes of one, and where none comes for a while, the next one is taken."""
    taken: list[Wish | None] = []
    take = Introductions.take

    async def counted(store: Introductions) -> Wish | None:
        taken.append(await take(store))
        return taken[-1]

    monkeypatch.setattr("ivr.persons.service._AT_ONCE", 1)
    monkeypatch.setattr(Introductions, "take", counted)
    async with people(server, tmp_path) as there:
        await wait_for(lambda: None in taken, "a while in which nobody wants anything")
        await there.asked()


async def test_a_form_of_another_site_does_nothing(there: People) -> None:
    karl, link = await there.asked()
    for path in ("/person/begin", "/person/stop", "/person/code", f"{link}/deny", f"{link}/answer"):
        assert (await karl.ask(path, {"start": "bankid.here"}, Sec_Fetch_Site="cross-site")).status == 403
    assert "The text is on its way" in (await karl.ask("/person/now")).said
    assert len(there.bankid.orders) == 1


async def test_the_link_is_good_for_one_answer(there: People) -> None:
    karl, link = await there.asked()
    karin, second = await there.browser(), await there.browser()
    await karin.send(f"{link}/answer", start="bankid.here")
    old = len(there.bankid.orders) - 1
    await second.send(f"{link}/answer", start="bankid.here")
    # the later one counts: the earlier one is let go of at the provider
    async with asyncio.timeout(10):
        while there.bankid.orders[old].status == "pending":
            await asyncio.sleep(0.02)
    await there.identified(second, KARIN, name="Karin Svar")
    assert "Karin Svar" in (await karl.until("This is who it is")).said
    orders = len(there.bankid.orders)
    for act in ("open", "answer", "deny"):
        late = await karin.send(f"{link}/{act}", start="bankid.here")
        assert "It was answered" in late.said
        assert "Canaryson" not in late.text
    assert "Karin Svar" in (await karl.ask("/person/now")).said
    assert len(there.bankid.orders) == orders


async def test_who_says_no_in_the_app_may_think_again(there: People) -> None:
    karl, link = await there.asked()
    karin = await there.browser()
    for _ in range(5):
        await karin.send(f"{link}/answer", start="bankid.here")
        there.bankid.last.status, there.bankid.last.hint = "failed", "userCancel"
        assert "You have said no" in (await karin.until("said no")).said
    assert "Karl Canaryson" in (await karin.send(f"{link}/open")).said
    assert "It is over" in (await karin.send(f"{link}/answer", start="bankid.here")).said, "and not for ever"
    assert "The text is on its way" in (await karl.ask("/person/now")).said


async def test_the_asker_stops(there: People) -> None:
    karl, link = await there.asked()
    karin = await there.browser()
    await karin.send(f"{link}/answer", start="bankid.here")
    assert "You have stopped it" in (await karl.send("/person/stop")).said
    assert (await karin.send(f"{link}/open")).status == 404
    there.identify(KARIN)
    assert "It is over" in (await karin.until("It is over")).said
    assert "Canaryson" not in (await karl.ask("/person/now")).text


# ---------------------------------------------------------------- where something is away


async def test_without_the_trail_nobody_is_texted(there: People) -> None:
    karl = await there.browser()
    there.trail.fault = StoreError("database: away")
    await karl.begin()
    await there.identified(karl, KARL)
    await karl.until("It does not work just now")
    assert there.gateway.asked == []
    there.trail.fault = None
    karl, _ = await there.asked()
    assert there.trail.entries


async def test_without_the_provider_it_says_so(there: People) -> None:
    await there.provider.stop()
    answer = await (await there.browser()).begin()
    assert "You have not been identified" in answer.said
    assert there.log.of("person.unasked")


async def test_without_the_gateway_it_says_so(there: People) -> None:
    await there.gateway.stop()
    karl = await there.browser()
    await karl.begin()
    await there.identified(karl, KARL)
    assert "Try again later" in (await karl.until("The text could not be sent")).said


async def test_a_name_is_one_line_and_nothing_is_put_into_it(there: People) -> None:
    _, link = await there.asked(name='Karl <b>{link}\n"&amp;' + "a" * 90)
    message = (await there.text(2))["message"]
    assert message.startswith("Acme: Karl <b>{link} ")
    assert "\n" not in message
    who = await (await there.browser()).send(f"{link}/open")
    assert "<b>" not in who.text
    assert "a" * 61 not in message


@pytest.mark.parametrize("name", [" ", "\n\t", "\u200b"])
async def test_whoever_has_no_name_is_nobody(there: People, name: str) -> None:
    karl = await there.browser()
    await karl.begin()
    await karl.ask(there.identify(KARL, name=name), {})
    await karl.until("That identity cannot be used for this")
    assert there.gateway.asked == []


async def test_it_is_off_unless_it_is_switched_on(server: Server) -> None:
    async with page(server) as house:
        for path, methods in routes.METHODS.items():
            if path in routes.PERSONS:
                method = "POST" if "POST" in methods else "GET"
                answer = await house.ask(
                    path.replace("{link}", "a" * 22), method, form={} if method == "POST" else None
                )
                assert answer.status == 404


# ---------------------------------------------------------------- what is left of it


async def test_nothing_is_kept_in_clear_and_nothing_for_long(there: People, server: Server) -> None:
    karl, link = await there.asked()
    karin = await there.browser()
    await karin.send(f"{link}/answer", start="bankid.here")
    await there.identified(karin, KARIN, name="Karin Svar")
    await karl.until("Karin Svar")
    rows = repr([(entry.subject, entry.detail) for entry in there.trail.entries])
    told = repr((there.log.lines, there.page_log.lines, contents(server))) + rows
    codes = [code_of((await there.text(1))["message"])]
    for text in (
        ASKER, ASKER[3:], OTHER, OTHER[3:], KARL, KARIN, "Canaryson", "Svar", "canary", link[3:], str(karl.cookie),
        str(karin.cookie), *codes,
    ):  # fmt: skip
        assert text not in told, text
    server.pass_time(3600)
    assert "was not begun in this browser" in (await karl.ask("/person/now")).said
    assert (await karin.ask(link)).status == 404
    left = {key.split(":")[1:3][-1] for key in server.client.scan_iter("tillit:person:*")}
    assert left <= {"code", "ask", "budget"}, "counts by keyed hashes, of a day"
