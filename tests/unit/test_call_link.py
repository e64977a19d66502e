"""The step `sms_link`: what passes, what fails, what is counted, and what tells an unknown customer from a known one."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any

import pytest

from ivr.call.mark import METHODS, STATUS
from ivr.call.outcome import Budget
from ivr.call.policy import policies
from ivr.call.ports import Asking, Closed, Unasked
from ivr.call.session import Session
from ivr.errors import AriError, ConfigError, StoreError, TextError, Unavailable
from ivr.prompts import Prompt, languages, text
from ivr.secret import Secret
from tests.unit.fakes import ANNA, ANNA_PHONE, UNKNOWN, Answers, FakeLine, Keys, World, settings
from tests.unit.test_prompts_catalogue import DIRECTION, septets

LIFE = 180
_END = re.compile(r"https://id\.acme\.test/c/([A-Za-z0-9_-]{22})(?![A-Za-z0-9_-])")


def spoken(line: FakeLine) -> str:
    """The digits of the call: all that are said are the same."""
    said = "".join(prompt.value[-1] if prompt.value.startswith("digit-") else " " for prompt in line.said)
    return next(digits for digits in said.split() if len(digits) == 6)


def ends(world: World) -> list[str]:
    """The ends of the links in all texts."""
    return [found for _, words in world.texts.sent for found in _END.findall(words)]


def wrong(line: FakeLine) -> str:
    return f"{(int(spoken(line)) + 1) % 1_000_000:06}"


class Person:
    """The customer, who does something on the page so many seconds after the text has come."""

    def __init__(self, world: World, line: FakeLine) -> None:
        self.world = world
        self.line = line
        self.taken: list[bool] = []

    def keys(self, *codes: str, after: float = 40.0, apart: float = 40.0, link: int = -1) -> None:
        """`right`, `wrong`, or what is keyed."""
        for nth, code in enumerate(codes):
            self._later(after + nth * apart, lambda code=code: self._key(code, link))  # type: ignore[misc]  # bound now

    def denies(self, after: float = 40.0) -> None:
        self._later(after, lambda: self.taken.append(self.world.proofs.deny(ends(self.world)[-1])))

    def _key(self, code: str, link: int) -> None:
        digits = {"right": spoken(self.line), "wrong": wrong(self.line)}.get(code, code)
        self.taken.append(self.world.proofs.key(ends(self.world)[link], digits))

    def _later(self, seconds: float, what: Any) -> None:
        nth = len(self.world.texts.sent) + 1
        self.world.plot.on("texts.send", what, nth=nth, delay=seconds, behind=True)


def call(world: World, *codes: str, answers: Answers | None = None, **how: Any) -> FakeLine:
    """A call of Anna's, in which these are keyed on the page."""
    line = world.line("link", answers=answers, stays=1.0)
    Person(world, line).keys(*codes, **how)
    world.run(line)
    return line


def steps(world: World) -> str:
    detail = world.trail.rows[-1].detail
    assert detail is not None
    return detail["steps"]


def failures(world: World) -> int:
    return max(world.live.failures.values(), default=0)


def test_the_digits_of_this_call_keyed_on_the_page() -> None:
    world = World()
    line = call(world, "right")
    assert line.variables[METHODS] == "sms_link"
    assert line.said[:4] == [Prompt.WELCOME, Prompt.TEXT_COMING, Prompt.OPEN_LINK, Prompt.PROVE_DIGITS]
    assert re.fullmatch(r"[0-9]{6}", spoken(line))
    assert failures(world) == 0
    [(to, words)] = world.texts.sent
    assert to == ANNA_PHONE and words.startswith("Acme: ") and spoken(line) not in words
    assert not world.proofs.asked, "the link leads nowhere behind it"
    assert not line.playing_music


def test_what_the_page_may_show() -> None:
    world = World()
    world.change_anna(language="sv")
    line = world.line("link", stays=1.0)
    shown: list[Asking] = []
    world.plot.on("texts.send", lambda: shown.extend(one.asking for one in world.proofs.asked.values()))
    world.run(line)
    assert shown == [Asking("Acme", "+46…01", "sv")]


def test_wrong_digits_are_told_and_the_same_ones_are_said_again() -> None:
    world = World()
    line = call(world, "wrong", "right")
    assert line.variables[STATUS] == "verified"
    again = next(said for said in line.heard if said[0] is Prompt.WRONG)
    assert again[1] is Prompt.PROVE_DIGITS


@pytest.mark.parametrize("tries", [1, 2, 3])
def test_so_many_wrong_ones_and_no_more(tries: int) -> None:
    world = World(steps={"sms_link": {"tries": tries, "life_minutes": 10}})
    line = call(world, *["wrong"] * tries, "right")
    assert steps(world) == "sms_link:wrong"
    assert line.variables[STATUS] == "refused"
    assert failures(world) == tries


def test_the_digits_are_those_of_this_call_alone() -> None:
    """Of another call of the same customer, and of another customer's, they are wrong."""
    worlds = [World() for _ in range(2)]
    first = call(worlds[0], "right")
    second = call(worlds[1], spoken(first))
    assert spoken(first) != spoken(second)
    assert second.variables[STATUS] != "verified"


def test_who_has_broken_into_the_page_has_no_link_that_was_not_opened_there() -> None:
    """The digits are heard in the call: without the link that went to the customer's telephone they count for nothing."""
    world = World()
    line = world.line("link", stays=1.0)

    def forge() -> None:
        [asked] = world.proofs.asked
        world.proofs.invent(asked, "A" * 22, spoken(line))

    world.plot.on("texts.send", forge, delay=40.0, behind=True)
    world.run(line)
    assert steps(world) == "sms_link:expired"
    assert failures(world) == 1


def test_nobody_answers_and_the_time_ends_it() -> None:
    world = World()
    line = world.call("link", stays=1.0)
    assert steps(world) == "sms_link:no_entry"
    assert line.variables[STATUS] == "timeout"
    assert world.now - 1000 > LIFE
    assert line.said.count(Prompt.PROVE_DIGITS) > 3, "who opens a text has no ear for it meanwhile"
    assert failures(world) == 0
    assert world.proofs.withdrawn


def test_a_key_has_them_said_again() -> None:
    world = World()
    line = world.call("link", answers={Prompt.DIGIT_0: []}, stays=1.0)
    times = line.said.count(Prompt.PROVE_DIGITS)
    world = World()
    keyed = world.line("link", answers={Prompt.PROVE_DIGITS: [Keys("5", after=3.0)] * 3}, stays=1.0)
    world.run(keyed)
    assert keyed.said.count(Prompt.PROVE_DIGITS) > times
    assert all(voice == "en" for voice in keyed.voices)


def test_two_stars_send_another_link_in_the_place_of_the_first() -> None:
    world = World()
    line = world.line("link", answers={Prompt.PROVE_DIGITS: ["", "", "", Keys("**")]}, stays=1.0)
    person = Person(world, line)
    # the first link is keyed behind at the end, the second one a little later
    person.keys("right", after=130.0, link=0)
    person.keys("right", after=150.0, link=-1)
    world.run(line)
    assert Prompt.NEW_TEXT_SENT in line.said
    first, second = ends(world)
    assert first != second
    assert person.taken == [False, True]
    assert line.variables[STATUS] == "verified"


def test_another_text_has_to_wait() -> None:
    world = World()
    line = world.call("link", answers={Prompt.PROVE_DIGITS: [Keys("**", after=1.0)]}, stays=1.0)
    assert Prompt.NEXT_TEXT in line.said
    assert len(world.texts.sent) == 1


def test_one_star_alone_sends_nothing() -> None:
    world = World(steps={"sms_link": {"life_minutes": 2}})
    world.call("link", answers={Prompt.PROVE_DIGITS: ["", "", "", Keys("*"), Keys("7*")]}, stays=1.0)
    assert len(world.texts.sent) == 1


def test_a_caller_who_has_just_rung_before_holds_until_a_text_may_go() -> None:
    world = World()
    call(world, "right")
    line = call(world, "right", after=70.0)
    assert line.said[0] is Prompt.TEXT_SOON
    assert line.variables[STATUS] == "verified"


def test_no_more_texts_for_now() -> None:
    world = World(steps={"sms_link": {"sends_per_hour": 1}})
    call(world, "right")
    world.call("link", stays=1.0)
    assert steps(world) == "sms_link:too_many_texts"


def test_who_says_not_to_be_calling_ends_it() -> None:
    world = World()
    line = world.line("link", stays=1.0)
    Person(world, line).denies()
    world.run(line)
    assert steps(world) == "sms_link:denied"
    assert line.variables[STATUS] == "refused"
    assert world.logged("step.denied", log_level="warning")
    assert line.events == [("CallerDeclinesCall", {"Subject": "ref-anna"})]
    assert world.logged("eid.declined_call") == []
    assert not world.proofs.asked


def test_a_denial_bars_further_links_for_a_while() -> None:
    """Whoever goes on calling in the customer's name has no more of them sent; a code can be had, for it can be denied to nobody."""
    world = World()
    line = world.line("link", stays=1.0)
    Person(world, line).denies()
    world.run(line)
    [until] = world.live.bars.values()
    world.now = until - 5
    again = world.call("link", stays=1.0)
    assert steps(world) == "sms_link:too_many_texts" and again.variables[STATUS] == "refused"
    assert len(world.texts.sent) == 1
    world.now = until + 1
    assert call(world, "right").variables[STATUS] == "verified"


def test_a_denial_that_cannot_be_kept_is_one_all_the_same() -> None:
    world = World()
    world.plot.fail("live.bar", StoreError("Redis: gone"))
    line = world.line("link", stays=1.0)
    Person(world, line).denies()
    world.run(line)
    assert steps(world) == "sms_link:denied"


def test_a_denial_that_cannot_be_told_is_one_all_the_same() -> None:
    world = World()
    world.plot.fail("line.event", AriError("POST events", 500))
    line = world.line("link", stays=1.0)
    Person(world, line).denies()
    world.run(line)
    assert steps(world) == "sms_link:denied"
    assert len(world.logged("step.untold", log_level="error")) == 1
    assert list(world.live.bars) == [world.anna_key]


def test_a_text_that_cannot_be_sent_ends_it() -> None:
    world = World()
    world.plot.fail("texts.send", TextError("no gateway took the message"))
    assert world.call("link", stays=1.0).variables[STATUS] == "unavailable"


def test_a_page_that_cannot_be_asked_ends_it() -> None:
    for name in ("proofs.ask", "proofs.heard"):
        world = World()
        world.plot.fail(name, StoreError("Redis: gone"))
        line = world.call("link", stays=1.0)
        assert line.variables[STATUS] == "unavailable"
        assert not line.playing_music


def test_a_link_that_cannot_be_withdrawn_changes_nothing() -> None:
    world = World()
    world.plot.fail("proofs.withdraw", StoreError("Redis: gone"))
    assert call(world, "right").variables[STATUS] == "verified"


def test_a_hang_up_takes_the_link_away() -> None:
    world = World()
    line = world.line("link")
    world.plot.on("texts.send", line.caller_hangs_up, delay=5.0, behind=True)
    world.run(line)
    assert world.outcomes == ["abandoned"]
    assert world.proofs.withdrawn and not world.proofs.asked


def test_lost_keys_and_events_do_not_end_it() -> None:
    world = World()
    line = call(
        world, "right", answers={Prompt.PROVE_DIGITS: [Keys("~", ahead=True), Keys("~", after=2.0)]}, after=90.0
    )
    assert line.variables[STATUS] == "verified"


def test_where_a_budget_is_closed_no_link_is_made() -> None:
    world = World()
    world.live.closed = Closed(Budget.PREFIX, first=True)
    world.call("link", stays=1.0)
    assert world.texts.sent == [] and "proofs.ask" not in world.plot.names


def test_who_is_locked_meanwhile_hears_it() -> None:
    world = World(limits={"customer_in_a_row": 3}, steps={"sms_link": {"tries": 5, "life_minutes": 10}})
    call(world, "wrong", "wrong", "wrong", "right")
    assert world.outcomes[-1] == "locked"


def test_another_worker_says_the_same_digits_and_the_link_stays() -> None:
    world = World()
    line = world.line("link", stays=1.0)
    Person(world, line).keys("right", after=70.0)

    async def whole() -> None:
        first = asyncio.create_task(Session(world.house(), line, world.logger).run())
        # the digits were said, and music plays
        world.plot.on("line.music", first.cancel, delay=2.0)
        await asyncio.wait([first])
        said.append(spoken(line))
        await asyncio.sleep(2.5)
        line.passed_on()
        await Session(world.house(), line, world.logger, world.live.take_up(line)).run()

    said: list[str] = []
    world.play(whole)
    assert line.variables[STATUS] == "verified"
    assert said == [spoken(line)]
    assert line.heard.count((Prompt.LOST_KEYS, Prompt.OPEN_LINK, Prompt.PROVE_DIGITS)) == 1
    assert len(world.texts.sent) == 1


def test_whose_tries_another_worker_has_seen_used_up_has_no_more() -> None:
    world = World()
    line = world.line("link", stays=1.0)

    async def whole() -> None:
        first = asyncio.create_task(Session(world.house(), line, world.logger).run())
        world.plot.on("line.music", first.cancel, delay=2.0)
        await asyncio.wait([first])
        line.passed_on()
        taken = replace(world.live.take_up(line), tried=3)
        await Session(world.house(), line, world.logger, taken).run()

    world.play(whole)
    assert (line.variables[STATUS], steps(world)) == ("refused", "sms_link:wrong")


def test_a_challenge_that_is_gone_is_answered_by_nobody() -> None:
    world = World()
    world.plot.on("live.try_challenge", world.live.lose_challenges)
    line = call(world, "right")
    assert (line.variables[STATUS], steps(world)) == ("refused", "sms_link:expired")


@pytest.mark.parametrize("number", [ANNA, UNKNOWN])
def test_who_opens_nothing_and_who_is_not_known_hear_and_wait_the_same(number: str) -> None:
    noticed = []
    for who in (ANNA, number):
        world = World()
        line = world.call("link", number=None, answers={Prompt.ASK_CUSTOMER_NUMBER: [f"{who}#"]})
        said = [[prompt for prompt in breath if not prompt.value.startswith("digit-")] for breath in line.heard]
        noticed.append(
            (
                said,
                [len(breath) for breath in line.heard],
                line.variables,
                line.watchdogs,
                round(world.now, 6),
                world.outcomes,
            )
        )
        assert who == ANNA or (world.texts.sent == [] and "proofs.ask" not in world.plot.names)
    assert noticed[0] == noticed[1]


def test_an_unknown_customer_is_never_verified_even_when_everything_matches() -> None:
    world = World()
    world.codes.gullible = True
    line = world.line("link", number=None, answers={Prompt.ASK_CUSTOMER_NUMBER: [f"{UNKNOWN}#"]})

    def forge() -> None:
        [record] = world.live.records.values()
        world.proofs.invent(record.challenge, "link", "000000")

    world.plot.on("texts.pretend", forge, delay=20.0)
    world.run(line)
    assert steps(world) == "sms_link:passed", "what was invented has to be tried"
    assert line.variables[STATUS] == "refused"
    assert world.live.marks == {}


def test_a_policy_with_it_needs_the_page() -> None:
    with pytest.raises(ConfigError, match="sms_link needs the public page, and there is none"):
        policies(settings(page={}, policies={"link": {"steps": ["sms_link"], "level": 1}}))


def test_a_link_and_a_code_are_one_factor() -> None:
    with pytest.raises(ConfigError, match="is 2, but its steps reach 1"):
        policies(settings(policies={"twice": {"steps": ["sms_link", "sms_code"], "level": 2}}))


async def test_where_no_policy_asks_there_is_nobody_to_ask() -> None:
    nobody = Unasked()
    with pytest.raises(Unavailable):
        await nobody.ask("id", Secret("link"), Asking("Acme", "", "en"), seconds=1, answers=1)
    assert await nobody.heard("id") is None
    await nobody.withdraw("id")


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("name", ["sms_link", "sms_link_outbound"])
def test_the_text_with_a_link_is_one_message(language: str, name: str) -> None:
    message = text(name, language, company="Example Telecom", link=f"https://id.example.com/c/{'x' * 22}")
    assert septets(message) <= 160, (len(message), message)
    assert message.startswith("Example Telecom: ")
    assert (DIRECTION[language][1] in message) is (name == "sms_link_outbound")


def test_whom_we_have_called_reads_so() -> None:
    """Who reads that they call us would deny it."""
    world = World()
    line = world.line("link", called=True, stays=1.0)
    shown: list[bool] = []
    world.plot.on("texts.send", lambda: shown.extend(one.asking.called for one in world.proofs.asked.values()))
    Person(world, line).keys("right")
    world.run(line)
    assert line.variables[STATUS] == "verified"
    assert shown == [True]
    world.call("sms", called=True, stays=1.0)
    assert len(world.texts.sent) == 2
    for _, words in world.texts.sent:
        assert words.startswith("Acme: We called you")
