"""Proofs in a real Redis: what the desk keeps, and what the public page does with it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import structlog

from ivr.call.outcome import Budget
from ivr.call.ports import Closed, TooMany
from ivr.call.proof import Keyed, Stage, Way
from ivr.errors import InputError, StoreError
from ivr.numbers import Range
from ivr.secret import Secret
from ivr.store.answered import Confirmed, Over, Wrong
from ivr.store.news import Heard, News
from ivr.store.opened import new_link
from ivr.store.pages import Barred, Kept, Pages, Pending, ProofRules, Unreadable
from ivr.store.posted import PostBox, Posted
from tests.contract.live_server import Server
from tests.contract.page_kit import DIGITS, OTHER, SHOWN, Both, key_of, proof

pytestmark = pytest.mark.servers


@pytest.fixture
async def both(server: Server) -> AsyncIterator[Both]:
    made = Both(server)
    yield made
    await made.close()


async def test_one_proof_from_asked_to_confirmed(both: Both, server: Server) -> None:
    one, link = await both.begin()
    assert await both.pages.of(one.id) == one
    assert await both.pages.of_call("node", "1712.5") == one
    assert await both.pages.stage(one.id, Stage.SENT)
    assert await both.pages.stage(one.id, Stage.DELIVERED)
    seen = await both.store.look(link)
    assert seen is not None
    assert (seen.stage, seen.shown, seen.left, seen.until, seen.digits) == (Stage.DELIVERED, SHOWN, 3, one.until, None)
    opened = await both.store.opened(link)
    assert opened is not None
    assert opened.stage is Stage.OPENED
    assert await both.store.key(link, DIGITS) == Confirmed()
    assert await both.pages.of(one.id) == replace(one, stage=Stage.CONFIRMED)
    assert await both.pages.due() == [replace(one, stage=Stage.CONFIRMED)]
    assert await both.pages.due() == []
    server.client.sadd("tillit:page:ended", one.id)
    assert await both.pages.due() == [], "what the page tells twice"
    assert server.client.hmget(f"tillit:page:proof:{one.id}", "digits", "seen") == [None, None]
    server.pass_time(300 + 15 * 60)
    assert await both.store.look(link) is None
    assert await both.pages.of(one.id) is None


async def test_confirmed_once(both: Both) -> None:
    _, link = await both.begin()
    await both.store.opened(link)
    assert await both.store.key(link, DIGITS) == Confirmed()
    assert await both.store.key(link, DIGITS) == Over(Stage.CONFIRMED)
    assert await both.store.deny(link) is False


async def test_a_hundred_at_once_are_three(server: Server) -> None:
    key = key_of()
    many = [Both(server, key) for _ in range(4)]
    one, link = await many[0].begin()
    await many[0].store.opened(link)
    answers = await asyncio.gather(*(many[n % 4].store.key(link, Secret(f"{n:06}")) for n in range(100)))
    assert sorted(answer.left for answer in answers if isinstance(answer, Wrong)) == [0, 1, 2]
    assert sum(isinstance(answer, Over) for answer in answers) == 97
    assert await many[0].store.key(link, DIGITS) == Over(Stage.WRONG)
    assert await many[0].pages.due() == [replace(one, stage=Stage.WRONG)]
    await asyncio.gather(*(each.close() for each in many))


async def test_the_right_digits_a_hundred_times_at_once_are_right_once(server: Server) -> None:
    key = key_of()
    many = [Both(server, key) for _ in range(4)]
    _, link = await many[0].begin()
    await many[0].store.opened(link)
    answers = await asyncio.gather(*(many[n % 4].store.key(link, DIGITS) for n in range(100)))
    assert answers.count(Confirmed()) == 1
    assert answers.count(Over(Stage.CONFIRMED)) == 99
    await asyncio.gather(*(each.close() for each in many))


async def test_tries_are_the_proofs_whoever_keys_by_whatever_link(both: Both) -> None:
    one, link = await both.begin(code=Secret("12345678"))
    other = await both.store.exchange(Secret("12345678"))
    assert other is not None
    await both.store.opened(link)
    assert await both.store.key(link, OTHER) == Wrong(2)
    assert await both.store.key(other, OTHER) == Wrong(1)
    assert await both.store.key(link, OTHER) == Wrong(0)
    assert await both.store.key(other, DIGITS) == Over(Stage.WRONG)
    assert [each.id for each in await both.pages.due()] == [one.id]


async def test_digits_of_another_call(both: Both) -> None:
    _, link = await both.begin()
    await both.begin(proof(channel="1712.6", subject="main:bo"), digits=OTHER)
    await both.store.opened(link)
    assert await both.store.key(link, OTHER) == Wrong(2)


async def test_digits_count_only_when_it_was_opened(both: Both) -> None:
    _, link = await both.begin()
    assert await both.store.key(link, DIGITS) == Over(Stage.ASKED)
    await both.store.opened(link)
    assert await both.store.key(link, DIGITS) == Confirmed()


async def test_digits_that_are_keyed_on_the_phone(both: Both) -> None:
    one, link = await both.begin(proof(keyed=Keyed.PHONE))
    assert await both.pages.key(one.id, DIGITS) == Over(Stage.ASKED)
    await both.store.opened(link)
    assert await both.pages.key(one.id, OTHER) == Wrong(2)
    assert await both.pages.key(one.id, DIGITS) == Confirmed()
    assert await both.pages.key(one.id, DIGITS) == Over(Stage.CONFIRMED)
    assert await both.pages.key("nobody", DIGITS) is None
    assert [(each.id, each.stage) for each in await both.pages.due()] == [(one.id, Stage.CONFIRMED)]


async def test_a_hundred_that_are_keyed_on_the_phone_at_once_are_three(both: Both) -> None:
    one, link = await both.begin(proof(keyed=Keyed.PHONE))
    other, _ = await both.begin(proof(channel="1712.6", subject="main:bo", keyed=Keyed.PHONE), digits=OTHER)
    await both.store.opened(link)
    answers = await asyncio.gather(*(both.pages.key(one.id, OTHER) for _ in range(100)))
    assert sum(isinstance(answer, Wrong) for answer in answers) == 3
    assert await both.pages.key(one.id, DIGITS) == Over(Stage.WRONG)
    assert await both.pages.key(other.id, OTHER) == Over(Stage.ASKED)


async def test_looking_changes_nothing(both: Both, server: Server) -> None:
    one, link = await both.begin(code=Secret("12345678"))
    before = contents(server)
    for _ in range(3):
        await both.store.look(link)
    assert await both.store.look(new_link()) is None
    assert contents(server) == before
    assert (await both.pages.of(one.id)) == one


async def test_stages_only_go_forward(both: Both) -> None:
    one, link = await both.begin()
    assert await both.pages.stage(one.id, Stage.DELIVERED)
    assert not await both.pages.stage(one.id, Stage.SENT)
    assert not await both.pages.stage(one.id, Stage.DELIVERED)
    assert not await both.pages.stage(one.id, Stage.CONFIRMED), "nobody has opened it"
    assert not await both.pages.stage(one.id, Stage.WRONG)
    await both.store.opened(link)
    assert not await both.pages.stage(one.id, Stage.DELIVERED), "a report that is late"
    assert await both.pages.end(one.id, Stage.CONFIRMED)
    for then in Stage:
        assert not await both.pages.stage(one.id, then)
    seen = await both.store.opened(link)
    assert seen is not None
    assert seen.stage is Stage.CONFIRMED
    assert not await both.pages.stage("nobody", Stage.SENT)
    with pytest.raises(ValueError, match="no end"):
        await both.pages.end(one.id, Stage.SENT)


async def test_who_ends_it_tells_of_it_and_nobody_else(both: Both) -> None:
    one, _ = await both.begin()
    assert await both.pages.end(one.id, Stage.EXPIRED)
    assert not await both.pages.end(one.id, Stage.EXPIRED)
    assert await both.pages.due() == []


async def test_an_end_that_no_desk_lives_to_tell_is_given_to_another(server: Server) -> None:
    """Whoever takes one and dies before it has told of it loses no alarm."""
    key = key_of()
    first, second = Both(server, key), Both(server, key)
    one, link = await first.begin()
    other, _ = await first.begin(proof(channel="1712.6", subject="main:bo"))
    await first.store.deny(link)
    denied = replace(one, stage=Stage.DENIED)
    assert await first.pages.due() == [denied]
    assert await first.pages.end(other.id, Stage.EXPIRED)
    expired = replace(other, stage=Stage.EXPIRED)
    assert await second.pages.due() == []
    server.pass_time(31)
    assert await second.pages.due() == [denied, expired]
    await second.pages.settled(denied)
    server.pass_time(31)
    assert await first.pages.due() == [expired]
    await first.pages.settled(expired)
    server.pass_time(31)
    assert await first.pages.due() == []
    await asyncio.gather(first.close(), second.close())


async def test_one_that_cannot_be_read_keeps_no_other_from_its_end(both: Both, server: Server) -> None:
    one, link = await both.begin()
    other, another = await both.begin(proof(channel="1712.6", subject="main:bo"))
    await both.store.deny(link)
    await both.store.deny(another)
    server.client.hset(f"tillit:proof:one:{one.id}", "proof", "{}")
    assert set(await both.pages.due()) == {Unreadable(one.id), replace(other, stage=Stage.DENIED)}


async def test_a_stage_that_there_is_not_proves_nothing(both: Both, server: Server) -> None:
    """Whoever has broken into the page writes it: nobody's own page goes dark for it."""
    one, _ = await both.begin()
    server.client.hset(f"tillit:page:proof:{one.id}", "stage", "believed")
    assert await both.pages.of_call("node", one.channel) == replace(one, stage=Stage.EXPIRED)
    server.pass_time(301)
    assert await both.pages.due() == [replace(one, stage=Stage.EXPIRED)]


async def test_one_expires_and_is_taken_once(server: Server) -> None:
    key = key_of()
    many = [Both(server, key) for _ in range(4)]
    one, link = await many[0].begin()
    await many[0].store.opened(link)
    assert await many[0].pages.due() == []
    server.pass_time(301)
    seen = await many[0].store.look(link)
    assert seen is not None
    assert seen.stage is Stage.EXPIRED
    assert await many[0].store.key(link, DIGITS) == Over(Stage.EXPIRED)
    assert await many[0].store.deny(link) is False
    taken = await asyncio.gather(*(many[n % 4].pages.due() for n in range(20)))
    ends = [(found.id, found.stage) for each in taken for found in each]
    assert ends == [(one.id, Stage.EXPIRED), (one.id, Stage.DENIED)], "and that it was denied behind it"
    await asyncio.gather(*(each.close() for each in many))


async def test_an_end_that_the_page_never_tells_comes_with_the_time(both: Both, server: Server) -> None:
    """Whoever has broken into the page may keep it silent; the desk hears what became of it, only later."""
    one, link = await both.begin()
    await both.store.opened(link)
    await both.store.key(link, DIGITS)
    server.client.delete("tillit:page:ended")
    assert await both.pages.due() == []
    server.pass_time(301)
    assert await both.pages.due() == [replace(one, stage=Stage.CONFIRMED)]
    await both.pages.settled(replace(one, stage=Stage.CONFIRMED))
    other, _ = await both.begin()
    server.client.delete(f"tillit:page:proof:{other.id}")
    server.pass_time(301)
    assert [(each.id, each.stage) for each in await both.pages.due()] == [(other.id, Stage.EXPIRED)]
    assert one.id != other.id


async def test_what_the_page_leaves_of_another_type_keeps_no_other_from_its_end(both: Both, server: Server) -> None:
    one, _ = await both.begin()
    other, link = await both.begin(proof(channel="1712.6", subject="main:bo"))
    assert await both.store.deny(link) is True
    server.client.delete("tillit:page:ended", f"tillit:page:proof:{one.id}")
    server.client.set("tillit:page:ended", "x")
    server.client.set(f"tillit:page:proof:{one.id}", "x")
    assert await both.pages.due() == []
    server.client.sadd("tillit:page:ended", one.id, other.id)
    assert await both.pages.due() == [replace(other, stage=Stage.DENIED)]
    await both.pages.settled(replace(other, stage=Stage.DENIED))
    server.pass_time(301)
    assert [(each.id, each.stage) for each in await both.pages.due()] == [(one.id, Stage.EXPIRED)]


async def test_what_the_page_tells_falsely_is_not_taken(both: Both, server: Server) -> None:
    one, _ = await both.begin()
    server.client.sadd("tillit:page:ended", one.id, "nobody", "../other")
    assert await both.pages.due() == []
    assert await both.pages.of(one.id) == one


async def test_one_waits_on_a_call_and_with_a_customer(both: Both) -> None:
    one, link = await both.begin()
    on_call = proof(subject="main:bo")
    with_customer = proof(channel="1712.6")
    for other in (on_call, with_customer):
        assert await both.pages.open(other, digits=DIGITS, link=new_link()) == Pending(one.id)
        assert await both.pages.of(other.id) is None
    nobody = proof(channel="1712.7", subject="")
    assert await both.pages.open(nobody, digits=DIGITS) == Kept()
    assert await both.pages.open(proof(channel="1712.8", subject=""), digits=DIGITS) == Kept()
    await both.store.opened(link)
    await both.store.key(link, DIGITS)
    assert await both.pages.open(on_call, digits=DIGITS, link=new_link()) == Kept()


async def test_a_hundred_presses_at_once_are_one(both: Both, server: Server) -> None:
    kept = await asyncio.gather(*(both.pages.open(proof(), digits=DIGITS, link=new_link()) for _ in range(100)))
    assert kept.count(Kept()) == 1
    assert sum(isinstance(one, Pending) for one in kept) == 99
    assert len(server.client.keys("tillit:page:link:*")) == 1


@pytest.mark.parametrize("taken", [True, False])
async def test_a_denial_bars(both: Both, server: Server, taken: bool) -> None:
    _, link = await both.begin()
    assert await both.store.deny(link) is True
    assert await both.store.deny(link) is False
    if taken:
        assert [each.stage for each in await both.pages.due()] == [Stage.DENIED]
    again = proof(channel="1712.9")
    assert await both.pages.open(again, digits=DIGITS, link=new_link()) == Barred()
    assert await both.pages.open(proof(channel="1712.8", subject="main:bo"), digits=DIGITS, link=new_link()) == Kept()
    assert await both.pages.open(again, digits=DIGITS, link=new_link(), barred=False) == Kept()
    await both.pages.end(again.id, Stage.FAILED)
    if taken:
        assert await both.pages.open(proof(), digits=DIGITS, link=new_link()) == Barred()
        server.pass_time(600)
        assert await both.pages.open(proof(), digits=DIGITS, link=new_link()) == Kept()


@pytest.mark.parametrize("end", [Stage.CONFIRMED, Stage.WRONG, Stage.EXPIRED, Stage.FAILED])
@pytest.mark.parametrize("taken", [True, False])
async def test_a_denial_behind_another_end_is_heard_once(both: Both, server: Server, end: Stage, taken: bool) -> None:
    one, link = await both.begin()
    await both.store.opened(link)
    match end:
        case Stage.CONFIRMED:
            await both.store.key(link, DIGITS)
        case Stage.WRONG:
            for _ in range(3):
                await both.store.key(link, OTHER)
        case Stage.EXPIRED:
            server.pass_time(301)
        case _:
            await both.pages.end(one.id, end)
    first = [] if end is Stage.FAILED else [replace(one, stage=end)]
    if taken:
        assert await both.pages.due() == first
    assert await both.store.deny(link) is False
    assert await both.store.deny(link) is False
    late = [replace(one, stage=Stage.DENIED)]
    assert await both.pages.due() == (late if taken else [*first, *late])
    assert await both.pages.open(proof(channel="1712.9"), digits=DIGITS, link=new_link()) == Barred()
    # whoever has broken into the page says so for ever
    server.client.hset(f"tillit:page:proof:{one.id}", "late", "1")
    server.client.sadd("tillit:page:ended", one.id)
    assert await both.store.deny(link) is False
    assert await both.pages.due() == []
    assert await both.pages.of(one.id) == replace(one, stage=end)


async def test_behind_a_denial_a_token_cannot_be_spent(both: Both) -> None:
    """Whoever has keyed the digits holds it, and may be somebody else than the person who denies."""
    _, link = await both.begin()
    _, other = await both.begin(proof(channel="1712.6", subject="main:bo"))
    once = new_link()
    for each in (link, other):
        await both.store.opened(each)
        assert await both.store.key(each, DIGITS, once) == Confirmed()
    assert await both.store.deny(link) is False
    assert await both.store.spend(link, once) is False
    assert await both.store.spend(other, once) is True


async def test_a_denial_that_the_desk_has_heard_bars(both: Both) -> None:
    one, _ = await both.begin()
    assert await both.pages.end(one.id, Stage.DENIED)
    assert await both.pages.open(proof(), digits=DIGITS, link=new_link()) == Barred()
    # also behind one of somebody who may ask all the same
    again = proof(channel="1712.9")
    assert await both.pages.open(again, digits=DIGITS, link=new_link(), barred=False) == Kept()
    assert await both.pages.end(again.id, Stage.FAILED)
    assert await both.pages.open(proof(), digits=DIGITS, link=new_link()) == Barred()


async def test_one_customer_gets_so_many_in_an_hour(server: Server) -> None:
    both = Both(server, rules=ProofRules(per_customer_hour=2))
    for _ in range(2):
        one, _ = await both.begin()
        await both.pages.end(one.id, Stage.FAILED)
        server.pass_time(60)
    assert await both.pages.open(proof(), digits=DIGITS, link=new_link()) == TooMany()
    assert await both.pages.open(proof(subject="main:bo"), digits=DIGITS, link=new_link()) == Kept()
    server.pass_time(3600 - 120)
    assert await both.pages.open(proof(channel="1712.9"), digits=DIGITS, link=new_link()) == Kept()
    await both.close()


async def test_budgets_are_those_of_texts(server: Server) -> None:
    both = Both(server)
    settings = server.settings("[limits]\ntexts_prefix_per_hour = 1\ntexts_country_per_hour = 2\ntexts_per_hour = 3\n")
    pages = Pages(both.links[0], both.prefix, both.key, None, settings.limits)

    async def press(prefix: str, country: str = "SE") -> object:
        one = proof(channel=f"c-{time.monotonic_ns()}", subject=f"main:{time.monotonic_ns()}")
        return await pages.open(one, digits=DIGITS, link=new_link(), range=Range(country, prefix))

    assert await press("+4670") == Kept()
    assert await press("+4670") == Closed(Budget.PREFIX, first=True)
    assert await press("+4670") == Closed(Budget.PREFIX, first=False)
    assert await press("+4673") == Kept()
    assert await press("+4676") == Closed(Budget.COUNTRY, first=True)
    assert await press("+4790", "NO") == Kept()
    assert await press("+3581", "FI") == Closed(Budget.ALL, first=True)
    assert await pages.open(proof(subject=""), digits=DIGITS) == Kept(), "what sends no text costs none"
    await both.close()


async def test_of_all_desks_one_does_it(both: Both) -> None:
    asked = await asyncio.gather(*(both.pages.mine("id", Stage.OPENED) for _ in range(20)))
    assert asked.count(True) == 1
    assert await both.pages.mine("id", Stage.CONFIRMED)
    assert await both.pages.mine("other", Stage.OPENED)


async def test_a_short_code_leads_to_a_link_of_its_own(both: Both, server: Server) -> None:
    one, link = await both.begin(code=Secret("12345678"))
    assert await both.store.exchange(Secret("12345679")) is None
    found = [await both.store.exchange(Secret("12345678")) for _ in range(7)]
    assert [each is None for each in found] == [False] * 5 + [True] * 2, "whoever keys it for ever is no person"
    assert found[0] is not None
    seen = await both.store.look(found[0])
    assert seen is not None
    assert seen.id == one.id
    assert seen == await both.store.look(link)
    two, _ = await both.begin(proof(channel="1712.8", subject="main:bo"), code=Secret("87654321"))
    server.pass_time(300)
    assert await both.store.exchange(Secret("87654321")) is None
    assert two.id != one.id


async def test_a_code_leads_nowhere_behind_the_end(both: Both) -> None:
    one, _ = await both.begin(code=Secret("12345678"))
    await both.pages.end(one.id, Stage.EXPIRED)
    assert await both.store.exchange(Secret("12345678")) is None


async def test_a_code_of_another_is_not_given_away(both: Both) -> None:
    await both.begin(code=Secret("12345678"))
    other = proof(channel="1712.8", subject="main:bo")
    with pytest.raises(StoreError, match="another proof has this code"):
        await both.pages.open(other, digits=DIGITS, link=new_link(), code=Secret("12345678"))
    assert await both.pages.of(other.id) is None


@pytest.mark.parametrize(
    "text", ["", "x", "a" * 21, "a" * 23, "a" * 21 + "/", "../../../../etc/passwd", "\ud800" * 22, "å" * 22]
)
async def test_what_is_no_link_leads_nowhere(both: Both, text: str) -> None:
    for asked in (both.store.look, both.store.opened, both.store.deny):
        assert await asked(Secret(text)) is None
    assert await both.store.key(Secret(text), DIGITS) is None
    assert await both.store.exchange(Secret(text)) is None


async def test_the_page_shows_digits_to_be_keyed_on_the_phone(both: Both) -> None:
    one, link = await both.begin(proof(keyed=Keyed.PHONE, way=Way.PUSH))
    seen = await both.store.look(link)
    assert seen is not None
    assert seen.digits is None, "not before somebody has opened it"
    opened = await both.store.opened(link)
    assert opened is not None
    assert opened.digits == DIGITS
    assert await both.pages.end(one.id, Stage.CONFIRMED)
    after = await both.store.look(link)
    assert after is not None
    assert after.digits is None


async def test_a_proof_that_has_expired_already(both: Both) -> None:
    with pytest.raises(StoreError, match="compare the clocks"):
        await both.pages.open(proof(seconds=-1), digits=DIGITS, link=new_link())


async def test_a_copy_of_redis_guesses_no_digits(both: Both, server: Server) -> None:
    """Neither digits, link nor code stand in it, nor any hash that can be made without the key."""
    one, link = await both.begin(proof(keyed=Keyed.PHONE), code=Secret("12345678"))
    await both.store.opened(link)
    await both.store.key(link, OTHER)
    server.client.save()
    dump = (server.folder / "dump.rdb").read_bytes() + "".join(map(str, contents(server).items())).encode()
    assert one.id.encode() in dump
    for text in (DIGITS.reveal(), OTHER.reveal(), "12345678", link.reveal(), "green canoe", "Agda", "Your invoice"):
        assert text.encode() not in dump
        for guess in (text, f"{one.id}{text}", f"digits{one.id}{text}"):
            assert hashlib.sha256(guess.encode()).hexdigest().encode() not in dump
    # the same digits under another key are another hash
    assert both.key.mac("digits", DIGITS, one.id) != key_of().mac("digits", DIGITS, one.id)
    assert both.key.mac("digits", DIGITS, one.id) == server.client.hget(f"tillit:page:proof:{one.id}", "digits")


async def test_another_key_finds_nothing(both: Both, server: Server) -> None:
    _, link = await both.begin()
    other = Both(server)
    assert await other.store.look(link) is None
    await other.close()


async def test_every_key_expires(both: Both, server: Server) -> None:
    one, link = await both.begin(code=Secret("12345678"))
    await both.store.opened(link)
    await both.store.deny(link)
    await both.pages.mine(one.id, Stage.OPENED)
    assert await PostBox(both.links[1], both.prefix, both.key).put(POSTED)
    for key in server.client.scan_iter():
        assert 0 < server.client.ttl(key) <= 24 * 3600, key


async def test_desks_hear_of_each_stage(both: Both, server: Server) -> None:
    heard: list[Heard] = []
    came = asyncio.Event()
    async with News(server.settings(), told=heard.append, came=came.set, log=structlog.get_logger()):
        await came.wait()
        one, link = await both.begin()
        await both.pages.stage(one.id, Stage.SENT)
        await both.store.opened(link)
        await both.store.opened(link)
        await both.store.key(link, OTHER)
        await both.store.key(link, DIGITS)
        server.client.publish("tillit:page:news", '{"endpoint": "PJSIP/agda"}')
        server.client.publish("tillit:page:news", '{"proof": "last"}')
        async with asyncio.timeout(5):
            while Heard(proof="last") not in heard:
                await asyncio.sleep(0.005)
    assert heard == [Heard(proof=one.id)] * 3 + [Heard(proof="last")], "sent, opened, confirmed; and nothing but proofs"


# ---------------------------------------------------------------- what came in

POSTED = Posted(
    "elks", Secret("path-secret"), Secret("/in/elks/path-secret?x=1"), {"content-type": "application/x-www-form-urlencoded"},
    Secret("id=s1&to=%2B46701234567&status=delivered"), 1_790_000_000.5,
)  # fmt: skip


async def test_what_came_in_is_taken_once_and_in_order(both: Both, server: Server) -> None:
    page = PostBox(both.links[1], both.prefix, both.key)
    desk = PostBox(both.links[0], both.prefix, both.key)
    waits = asyncio.create_task(desk.take())
    assert await page.put(POSTED)
    assert await waits == POSTED
    await page.put(POSTED)
    await page.put(replace(POSTED, way="twilio"))
    raw = "".join(server.client.lrange("tillit:page:in", 0, -1))
    for text in ("path-secret", "46701234567", "delivered"):
        assert text not in raw
    taken = [await desk.take(), await desk.take()]
    assert [each.way for each in taken if each] == ["elks", "twilio"]


async def test_where_nobody_takes_it_no_more_is_kept(both: Both, server: Server) -> None:
    page = PostBox(both.links[1], both.prefix, both.key, most=3)
    assert [await page.put(POSTED) for _ in range(5)] == [True] * 3 + [False] * 2
    assert server.client.llen("tillit:page:in") == 3


async def test_all_that_waits_is_bounded_in_bytes(both: Both, server: Server) -> None:
    """Escaped, a byte becomes six: what is bounded is what Redis keeps."""
    page = PostBox(both.links[1], both.prefix, both.key)
    with pytest.raises(InputError, match="16384 bytes"):
        await page.put(replace(POSTED, body=Secret("\0" * 8192)))
    assert server.client.llen("tillit:page:in") == 0
    longest = replace(POSTED, body=Secret("x" * 8192))
    kept = [await page.put(longest) for _ in range(501)]
    assert kept == [True] * 500 + [False]
    assert sum(len(each) for each in server.client.lrange("tillit:page:in", 0, -1)) <= 8 * 1024 * 1024


async def test_nothing_came_in(both: Both) -> None:
    assert await PostBox(both.links[0], both.prefix, both.key, seconds=0.1).take() is None


async def test_what_another_put_there(both: Both, server: Server) -> None:
    desk = PostBox(both.links[0], both.prefix, both.key)
    server.client.rpush("tillit:page:in", "forged")
    with pytest.raises(StoreError, match="page key"):
        await desk.take()
    await PostBox(both.links[1], both.prefix, key_of()).put(POSTED)
    with pytest.raises(StoreError, match="page key"):
        await desk.take()


@pytest.mark.parametrize(
    "change",
    [
        {"way": []},
        {"secret": 5},
        {"path": None},
        {"body": {}},
        {"at": "y"},
        {"headers": []},
        {"headers": {"a": 1}},
        None,
    ],
)
async def test_what_is_sealed_and_no_post(both: Both, server: Server, change: dict[str, object] | None) -> None:
    good = {"way": "elks", "secret": "s", "path": "/", "headers": {"a": "b"}, "body": "", "at": 1.5}
    desk = PostBox(both.links[0], both.prefix, both.key)
    for text in (good, None if change is None else good | change):
        server.client.rpush("tillit:page:in", both.key.seal("posted", Secret(json.dumps(text))))
    assert await desk.take() is not None
    with pytest.raises(StoreError, match="came in is none"):
        await desk.take()


def contents(server: Server) -> dict[str, object]:
    """Every key with all that it holds."""
    found: dict[str, object] = {}
    for key in sorted(server.client.keys()):
        match server.client.type(key):
            case "hash":
                found[key] = server.client.hgetall(key)
            case "zset":
                found[key] = server.client.zrange(key, 0, -1, withscores=True)
            case "list":
                found[key] = server.client.lrange(key, 0, -1)
            case "set":
                found[key] = server.client.smembers(key)
            case _:
                found[key] = server.client.get(key)
    return found
