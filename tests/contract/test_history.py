"""Was it us who called? Asked on the page by anybody, answered by text to the number itself. Real Redis, database, page and gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import time
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from rig.elks import elks_report

from ivr.call.ports import Entry
from ivr.errors import StoreError, TextError
from ivr.page.words import languages, words
from ivr.proving import proving
from ivr.secret import Personal, Secret
from ivr.store import pagekey
from ivr.store.history import Contact, History
from ivr.store.pagekey import PageKey
from ivr.store.posted import CHECK, PostBox, Posted
from ivr.texting import reporting_of, texting
from tests.browser_kit import PHONE, browser, window
from tests.contract.ari_log import Log, wait_for
from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA
from tests.contract.page_kit import House, page
from tests.contract.prove_kit import CALLER, Proved, proving_in
from tests.contract.texts_server import Never
from tests.unit.database_kit import asked

__all__ = ["browser"]
pytestmark = pytest.mark.servers

OURS = Personal("+46812345678")
NUMBER = Personal(CALLER)
AT = 1_790_000_000
ZONE = ZoneInfo("Europe/Stockholm")
LINES = """
[prove]
departments = { "" = "Customer service" }
"""


@dataclass
class Asking:
    """A desk that has called somebody, and what takes the page's questions there."""

    proved: Proved
    history: History
    checking: Any

    async def ask(self, number: str = CALLER, calling: str = OURS.reveal(), at: int = AT, language: str = "en") -> None:
        said = f'{{"number":"{number}","calling":"{calling}","at":{at},"language":"{language}"}}'
        await self.checking.take(Posted(CHECK, Secret(""), Secret(""), {}, Secret(said), 0.0))

    async def texts(self) -> list[tuple[str, str]]:
        return [(one.form["to"], one.form["message"]) for one in self.proved.gateway.asked]

    async def called(self, at: int = AT, shown: str = OURS.reveal(), department: str = "Customer service") -> None:
        await self.history.note(NUMBER, Contact(at, shown, department, "ref-1"))


@pytest.fixture
async def here(tmp_path: Path, server: Server) -> AsyncIterator[Asking]:
    async with AsyncExitStack() as stack:
        proved = await stack.enter_async_context(proving_in(tmp_path, server))
        desk = proved.desk
        assert desk.prover is not None
        log: Any = desk.log
        sending = await stack.enter_async_context(texting(desk.settings, desk.vault, desk.link, log))
        yield Asking(proved, desk.prover.history, desk.prover.checking(sending.dispatch, sending.budgets))


async def test_whoever_was_called_is_told_so_by_text(here: Asking) -> None:
    await here.called()
    await here.ask(number="070-111 22 33", at=AT + 1800)
    (told,) = await here.texts()
    at = datetime.fromtimestamp(AT).astimezone()
    assert told == (CALLER, f"Example: Yes, we called this number on {at:%Y-%m-%d} at {at:%H:%M}: Customer service.")
    rows = await asked(here.proved.desk.database, "SELECT actor, outcome, subject FROM audit WHERE action = 'history'")
    assert rows == [("page", "sent", "ref-1")]
    assert CALLER not in str(here.proved.desk.log.lines)


@pytest.mark.parametrize(
    "other",
    [
        {"number": "+46701112234"}, {"calling": "+46812345679"}, {"at": AT + 3601}, {"at": AT - 3601}, {"number": "x"},
        {"at": -1}, {"language": "xx"}, {"at": 2**60},
    ],
    ids=["another number", "another caller", "later", "earlier", "no number", "no time", "no language", "too late"],
)  # fmt: skip
async def test_what_we_know_nothing_of_costs_no_text(here: Asking, other: dict[str, Any]) -> None:
    """Pumping: whoever asks about numbers that we have not called has nothing sent."""
    await here.called()
    await here.ask(**other)
    assert await here.texts() == []


async def test_a_number_is_told_once_an_hour_whoever_asks(here: Asking, server: Server) -> None:
    """Bombing: somebody else may ask about a number that we have called."""
    await here.called()
    await asyncio.gather(*(here.ask() for _ in range(10)))
    assert len(await here.texts()) == 1
    # longer than who asks first has to answer
    server.pass_time(3500)
    await here.ask()
    assert len(await here.texts()) == 1
    server.pass_time(101)
    await here.ask()
    assert len(await here.texts()) == 2


async def test_it_is_forgotten_when_its_days_are_over(here: Asking, server: Server) -> None:
    await here.called()
    server.pass_time(14 * 24 * 3600)
    await here.ask()
    assert await here.texts() == []


async def test_who_is_erased_is_forgotten_and_nobody_else(here: Asking, server: Server) -> None:
    for hours in (0, 30):
        await here.called(AT + hours * 3600)
    other = Contact(AT + 60, OURS.reveal(), "Sales", "ref-2")
    await here.history.note(NUMBER, other)
    await here.history.forget("ref-1")
    assert await here.history.about(NUMBER, OURS, AT) == [other]
    assert await here.history.about(NUMBER, OURS, AT + 30 * 3600) == []
    left = [value for key in server.client.keys("*history*") for value in (key, *server.client.zrange(key, 0, -1))]
    assert "ref-1" not in str(left) and "ref-2" in str(left)


async def test_what_is_kept_to_find_them_by_ends_with_them(here: Asking, server: Server) -> None:
    days = here.proved.desk.settings.prove.history_days
    for day in range(3 * days):
        await here.called(AT + day * 86400)
    (of,) = server.client.keys("*:history:of:*")
    assert server.client.zcard(of) <= days + 1
    assert 0 < server.client.ttl(of) <= days * 86400


async def test_nothing_goes_without_its_row(here: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(entry: Entry) -> str:
        raise StoreError("audit: the database is full")

    await here.called()
    monkeypatch.setattr(here.proved.desk.trail, "append", full)
    await here.ask()
    assert await here.texts() == []
    assert here.proved.desk.log.of("history.unanswered")
    monkeypatch.undo()
    await here.ask()
    assert len(await here.texts()) == 1, "it was not answered before"


async def test_a_gateway_that_is_away_uses_no_answer_up(here: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any) -> Any:
        raise TextError("46elks: away")

    await here.called()
    monkeypatch.setattr(here.checking._dispatch, "send", away)
    await here.ask()
    monkeypatch.undo()
    await here.ask()
    assert len(await here.texts()) == 1
    await here.ask()
    assert len(await here.texts()) == 1


async def test_a_gateway_that_takes_its_time_over_an_answer_keeps_no_report_waiting(here: Asking) -> None:
    """Reports of texts come by the same way, and the desk shows what they say."""
    desk, gateway = here.proved.desk, here.proved.gateway
    await here.called()
    gateway.always(Never())
    log, talks = Log(), SimpleNamespace(on_change=lambda _: None)
    desk.settings.path(desk.settings.page.key_file).parent.mkdir(exist_ok=True)
    file = desk.settings.path(desk.settings.page.key_file)
    file.touch(0o600)
    file.write_bytes(pagekey.line())
    assert desk.prover is not None
    running = proving(
        desk.settings,
        desk.prover,
        outposts={},
        talks=talks,
        link=desk.link,
        vault=desk.vault,
        changed=lambda _: None,
        log=log.logger,  # type: ignore[arg-type]
    )
    async with running:
        box = PostBox(desk.link, desk.settings.redis.prefix, PageKey.open(desk.settings))
        said = f'{{"number":"{CALLER}","calling":"{OURS.reveal()}","at":{AT},"language":"en"}}'
        assert await box.put(Posted(CHECK, Secret(""), Secret(""), {}, Secret(said), time()))
        await gateway.until_asked(1)
        secret = reporting_of(desk.settings, desk.vault, here.proved.deliveries).secret("46elks")
        report = Posted("46elks", secret, Secret(""), {}, Secret(elks_report("s1", "delivered")), time())
        assert await box.put(report)
        await wait_for(lambda: bool(log.of("report.came")))
        assert log.of("history.unanswered") == log.of("history.answered") == [], "the answer has not gone yet"


async def test_texts_of_all_are_bounded(tmp_path: Path, server: Server) -> None:
    async with (
        proving_in(tmp_path, server, "[limits]\ntexts_prefix_per_hour = 1\n") as proved,
        AsyncExitStack() as stack,
    ):
        desk = proved.desk
        assert desk.prover is not None
        log: Any = desk.log
        sending = await stack.enter_async_context(texting(desk.settings, desk.vault, desk.link, log))
        here = Asking(proved, desk.prover.history, desk.prover.checking(sending.dispatch, sending.budgets))
        other = "+46701112299"
        await here.called()
        await here.history.note(Personal(other), Contact(AT, OURS.reveal(), "", "ref-2"))
        await here.ask()
        await here.ask(number=other)
        assert [to for to, _ in await here.texts()] == [CALLER]
        assert desk.log.of("history.withheld")
        # and is not taken for answered
        assert await here.history.first(Personal(other))


async def test_a_number_as_a_trunk_writes_it_is_the_same(here: Asking) -> None:
    await here.history.note(Personal("0701112233"), Contact(AT, OURS.reveal(), "", "ref-1"))
    await here.ask()
    assert [to for to, _ in await here.texts()] == [CALLER]


async def test_of_a_number_that_is_called_for_ever_the_latest_are_kept(here: Asking) -> None:
    for count in range(25):
        await here.called(at=AT + count)
    assert [one.at - AT for one in await here.history.about(NUMBER, OURS, AT)] == list(range(5, 25))


async def test_a_copy_of_redis_tells_no_number(here: Asking, server: Server) -> None:
    await here.called()
    keys = server.client.keys(f"{here.proved.desk.settings.redis.prefix}:history:*")
    assert keys
    for key in keys:
        assert "70111" not in str((key, server.client.zrange(key, 0, -1)))


async def test_a_proof_in_a_call_of_ours_makes_no_fraudster_ours(here: Asking) -> None:
    proved = here.proved
    await proved.desk.customer("10001", "Xenia Ask", CALLER)
    proved.with_caller(CALLER, outbound=True)
    proof = await proved.press(ANNA)
    since = proof.shown.since  # type: ignore[union-attr]
    await proved.text()
    proved.gateway.asked.clear()
    # which number was shown there is not known: one from abroad in the same hour is not ours for that
    for calling in ("+2348031234567", "+46855555555", OURS.reveal()):
        await here.ask(at=since + 3000, calling=calling)
    assert await here.texts() == []


async def test_a_call_whose_shown_number_is_not_known_is_no_answer_for_any(here: Asking) -> None:
    await here.called(shown="")
    await here.ask(calling="+2348031234567")
    assert await here.texts() == []


async def test_whoever_has_called_us_is_no_call_of_ours(here: Asking) -> None:
    proved = here.proved
    await proved.desk.customer("10001", "Xenia Ask", CALLER)
    proved.with_caller(CALLER)
    proof = await proved.press(ANNA)
    since = proof.shown.since  # type: ignore[union-attr]
    await proved.text()
    proved.gateway.asked.clear()
    await here.ask(at=since)
    assert await here.texts() == []


# ---------------------------------------------------------------- the page

FORM = {"number": "070-111 22 33", "calling": "08-12 34 56 78", "day": "2026-09-21", "time": "16:13"}


@pytest.fixture
async def house(server: Server) -> AsyncIterator[House]:
    async with page(server, 'timezone = "Europe/Stockholm"\nper_address_minute = 10000\n') as made:
        yield made


async def test_the_page_passes_on_what_is_asked_and_says_the_same_to_all(house: House) -> None:
    box = PostBox(house.both.links[0], house.both.prefix, house.both.key)
    answers = set()
    for number in ("070-111 22 33", "070-999 88 77"):
        answer = await house.ask("/check", "POST", form={**FORM, "number": number})
        assert answer.status == 200
        answers.add(answer.text)
        posted = await box.take()
        assert posted is not None and posted.way == CHECK
        at = int(datetime(2026, 9, 21, 16, 13, tzinfo=ZONE).timestamp())
        assert f'"at":{at}' in posted.body.reveal() and number[1:3] in posted.body.reveal()
    assert len(answers) == 1
    # that nothing is known is not that it was not us
    assert "it was not us" not in answers.copy().pop()
    assert "70111" not in str(house.log.lines)


@pytest.mark.parametrize(
    "wrong",
    [{"number": "x"}, {"calling": ""}, {"day": "2026-13-01"}, {"time": "25:00"}, {"day": "9999-12-31", "time": "x"}],
)
async def test_what_cannot_be_read_is_not_asked(house: House, wrong: dict[str, str]) -> None:
    answer = await house.ask("/check", "POST", form={**FORM, **wrong})
    assert answer.status == 422 and words("en")("check.wrong") in answer.text
    assert await PostBox(house.both.links[0], house.both.prefix, house.both.key, seconds=0.2).take() is None


async def test_an_address_asks_so_often_in_an_hour(house: House) -> None:
    statuses = [(await house.ask("/check", "POST", form=FORM)).status for _ in range(7)]
    assert statuses == [200] * 5 + [429] * 2


async def test_nobody_posts_it_past_the_page(house: House) -> None:
    """What comes in from the internet has a `way` of its address, and none has this one."""
    for path in ("/in/check/x", "/in//check/x", "/in/%2Fcheck/x"):
        await house.ask(path, "POST", form={})
    box = PostBox(house.both.links[0], house.both.prefix, house.both.key, seconds=0.2)
    while (posted := await box.take()) is not None:
        assert posted.way != CHECK


@pytest.mark.parametrize("language", languages())
async def test_one_screen_in_each_language(house: House, browser: Any, language: str) -> None:
    text = words(language)
    async with window(browser, language=language, size=PHONE) as seen:
        await seen.page.goto(f"{house.url}/check")
        assert len((await house.ask("/check", Accept_Language=language)).text.encode()) < 30_000
        assert await seen.seen_by_all() == []
        assert not await seen.cramped()
        assert await seen.page.evaluate("document.documentElement.scrollHeight") <= PHONE["height"]
        for field, value in FORM.items():
            await seen.page.locator(f"#{field}").fill(value)
        await seen.page.get_by_role("button", name=text("check.ask"), exact=True).click()
        await seen.page.get_by_role("heading", name=text("checked.title")).wait_for()
        assert await seen.seen_by_all() == []
        assert not await seen.cramped()
