"""The page on which callers key what they hear: what it shows, what it passes on, and what it never says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from html import unescape

import pytest

from ivr.call.ports import Answer, Asking, NotMe
from ivr.page.words import words
from ivr.secret import Secret
from ivr.store.callers import CallerLinks
from ivr.store.link import Link
from ivr.store.opened import new_link
from tests.contract.live_server import Server
from tests.contract.page_kit import Answer as Answered
from tests.contract.page_kit import House, page
from tests.contract.test_page import BOTS
from tests.contract.test_page_store import contents

pytestmark = pytest.mark.servers


@dataclass
class Called:
    house: House
    worker: CallerLinks

    async def ask(
        self, number: str = "+46…01", language: str = "en", *, answers: int = 3, called: bool = False
    ) -> Secret:
        link = new_link()
        await self.worker.ask("one", link, Asking("Acme", number, language, called), seconds=180, answers=answers)
        return link

    async def look(self, link: Secret, **headers: str) -> Answered:
        return await self.house.ask(f"/c/{link.reveal()}", **headers)

    async def key(self, link: Secret, digits: str) -> Answered:
        return await self.house.ask(f"/c/{link.reveal()}/confirm", "POST", form={"digits": digits})

    async def deny(self, link: Secret) -> Answered:
        return await self.house.ask(f"/c/{link.reveal()}/deny", "POST", form={})


@pytest.fixture
async def called(server: Server) -> AsyncIterator[Called]:
    async with page(server, 'timezone = "Europe/Stockholm"\nper_address_minute = 10000\n') as house:
        link = Link.of(server.settings())
        yield Called(house, CallerLinks(link, house.both.prefix, house.both.key, clock=lambda: 1_790_000_000.0))
        await link.close()


async def test_what_is_keyed_is_passed_on_and_the_page_says_nothing_of_right_and_wrong(called: Called) -> None:
    link = await called.ask()
    first = await called.look(link)
    assert first.status == 200
    assert "Somebody calls us as you, since 16:13, from +46…01" in unescape(first.text)
    answers = [await called.key(link, digits) for digits in ("481 650", "000000")]
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].text == answers[1].text and "It was passed on" in answers[0].text
    for digits in ("481650", "000000"):
        heard = await called.worker.heard("one")
        assert isinstance(heard, Answer) and (heard.link, heard.digits) == (link, Secret(digits))


async def test_a_withheld_number_and_each_language(called: Called) -> None:
    for language, said in (
        ("en", "with the number hidden"), ("sv", "med dolt nummer"), ("de", "mit unterdrückter Nummer"), ("pl", "z numeru zastrzeżonego"),
    ):  # fmt: skip
        answer = await called.look(await called.ask("", language), Accept_Language="fi")
        assert said in unescape(answer.text) and f'<html lang="{language}">' in answer.text
        assert len(answer.text.encode()) < 30_000


async def test_whom_we_have_called_reads_so(called: Called) -> None:
    for language in ("en", "sv", "de", "pl"):
        text = unescape((await called.look(await called.ask("", language, called=True))).text)
        said = words(language)
        assert said("called.call", time="16:13") in text
        assert all(said(f"called.{name}") in text for name in ("title", "digits", "check", "deny"))
        assert not any(said(f"caller.{name}") in text for name in ("title", "digits", "check", "deny"))
    link = await called.ask(called=True)
    passed = unescape((await called.key(link, "481650")).text)
    assert "It was passed on" in passed and "I am not in that call" in passed


async def test_a_preview_changes_nothing(called: Called, server: Server) -> None:
    link = await called.ask()
    before = _callers(server)
    for bot in BOTS:
        for method in ("GET", "HEAD"):
            for more in ("", "/confirm", "/deny", "/open"):
                await called.house.ask(f"/c/{link.reveal()}{more}", method, User_Agent=bot)
    assert _callers(server) == before
    assert await called.worker.heard("one") is None


@pytest.mark.parametrize("text", ["", "48165", "4816500", "abcdef", "４８１６５０"])
async def test_what_is_no_guess_is_not_passed_on(called: Called, text: str) -> None:
    link = await called.ask()
    assert (await called.key(link, text)).status == 422
    assert await called.worker.heard("one") is None


async def test_who_is_not_calling_says_so_and_nothing_is_keyed_behind_it(called: Called) -> None:
    link = await called.ask()
    told = await called.deny(link)
    assert "We do not let whoever is in that call in" in told.text
    assert await called.worker.heard("one") == NotMe()
    assert "Nothing more can be keyed here" in (await called.key(link, "481650")).text
    assert "We do not let whoever is in that call in" in (await called.deny(link)).text
    assert await called.worker.heard("one") is None


async def test_so_many_answers_and_no_more(called: Called) -> None:
    link = await called.ask(answers=2)
    for _ in range(2):
        assert "It was passed on" in (await called.key(link, "481650")).text
    assert "Nothing more can be keyed here" in (await called.key(link, "481650")).text
    assert "Nothing more can be keyed here" in (await called.look(link)).text


async def test_a_link_that_nobody_has_and_one_that_was_withdrawn(called: Called) -> None:
    link = await called.ask()
    await called.worker.withdraw("one")
    for one in (link, new_link(), Secret("x")):
        for answer in (await called.look(one), await called.key(one, "481650"), await called.deny(one)):
            assert answer.status == 404
            assert "Somebody calls us" not in answer.text


async def test_neither_link_nor_digits_stand_in_the_log(called: Called) -> None:
    link = await called.ask()
    await called.look(link)
    await called.key(link, "481650")
    await called.deny(link)
    log = repr(called.house.log.lines)
    assert "/c/{link}/confirm" in log
    assert link.reveal() not in log and "481650" not in log


def _callers(server: Server) -> dict[str, object]:
    """What stands in Redis of callers; how often somebody has asked changes."""
    return {key: held for key, held in contents(server).items() if ":page:caller" in key}
