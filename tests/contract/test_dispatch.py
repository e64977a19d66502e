"""A text that does not arrive goes out by the next gateway: real gateways' local servers, their reports, a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ivr.call.outcome import Budget
from ivr.call.ports import Aloud, Delivery, Handed, Heard, Report
from ivr.config import Limits
from ivr.errors import StoreError, Unavailable
from ivr.numbers import Range
from ivr.secret import Personal, Secret
from ivr.sms import in_turn, names, texts
from ivr.sms.dispatch import Dispatch
from ivr.store.budgets import Budgets
from ivr.store.deliveries import RedisDeliveries
from ivr.store.link import Link
from tests.contract.ari_log import Log, wait_for
from tests.contract.live_server import Server
from tests.contract.reports_kit import REPORTING, TOKEN
from tests.contract.texts_kit import TEXT, TO, no_canary, settings_in, shown, tables
from tests.contract.texts_server import Asked, Status, TextsServer, elks, twilio

pytestmark = pytest.mark.servers

SWEDEN = Range("SE", "+467017")
DELIVERED, LOST = Delivery.DELIVERED, Delivery.UNDELIVERED
CODE = Aloud(Secret("135790"), "sv")
# as long as any test lasts, and as short as any time is
LATE, AT_ONCE = 60.0, 0.01


class Calls:
    """Implements `ports.Voice`; how a call ends is `heard`, or what is raised, once `hold` is set."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []
        self.heard: Heard | Unavailable = Heard.SAID
        self.hold = asyncio.Event()
        self.hold.set()
        self.hung_up = 0

    async def tell(self, to: Personal, code: Secret, language: str) -> Heard:
        self.told.append((to.reveal(), code.reveal(), language))
        try:
            await self.hold.wait()
        except asyncio.CancelledError:
            self.hung_up += 1
            raise
        if isinstance(self.heard, Unavailable):
            raise self.heard
        return self.heard


@dataclass
class World:
    """46elks first, then Twilio; their ids are counted."""

    first: TextsServer
    second: TextsServer
    dispatch: Dispatch
    deliveries: RedisDeliveries
    budgets: Budgets
    log: Log
    voice: Calls

    async def begin(self, text: Secret = TEXT, aloud: Aloud | None = None) -> asyncio.Task[Report | None]:
        """A text that is followed."""
        handed = await self.dispatch.send(TO, text)
        return asyncio.create_task(self.dispatch.follow(handed, TO, text, aloud))

    async def told(self, gateway: str, delivery: Delivery, count: int = 1) -> None:
        """The gateway reports of its so-many-th text."""
        await self.deliveries.tell(Report(gateway, id_of(gateway, count), delivery))


def id_of(gateway: str, count: int) -> str:
    return f"s{count:031x}" if gateway == "46elks" else f"SM{count:032x}"


class Counted:
    """A gateway whose ids a test can tell."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0

    def __call__(self, asked: Asked) -> Status:
        answer = (elks if self._name == "46elks" else twilio)(asked)
        if isinstance(answer.body, dict):
            self._count += 1
            field = "id" if self._name == "46elks" else "sid"
            answer.body[field] = id_of(self._name, self._count)
        return answer


@asynccontextmanager
async def world_in(
    folder: Path, server: Server, *, second: float = LATE, reported: bool = True, more: str = "", voice: float = LATE,
    alone: bool = False,
) -> AsyncIterator[World]:  # fmt: skip
    """`second`, `voice`: seconds after which the second gateway sends it, and it is told; `reported`: whether gateways are asked for reports.

    `alone`: there is no second gateway.
    """
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(TextsServer(Counted("46elks")))
        other = await stack.enter_async_context(TextsServer(Counted("twilio")))
        token = folder / "auth.token"
        token.touch(0o600)
        token.write_text(TOKEN)
        own = tables("twilio", other.url)
        own["texts.twilio"]["auth_token_file"] = "auth.token"
        settings = settings_in(
            folder,
            texts={"gateway": "46elks", "seconds": 5.0, **({} if alone else {"fallback": "twilio"})},
            **tables("46elks", first.url),
            **own,
        )
        redis, log = server.settings(more), Log()
        link = Link.of(redis)
        stack.push_async_callback(link.close)
        deliveries = await stack.enter_async_context(RedisDeliveries(redis, link, log.logger))
        gateways = in_turn(settings, log.logger, reporting=REPORTING if reported else None)
        stack.push_async_callback(gateways.close)
        budgets = Budgets(link, redis.redis.prefix, redis.limits)
        calls = Calls()
        dispatch = Dispatch(
            texts(settings, log.logger, gateways), deliveries, budgets, names(settings), second, log.logger,
            voice=calls, voice_seconds=voice,
        )  # fmt: skip
        yield World(first, other, dispatch, deliveries, budgets, log, calls)


@pytest.fixture
async def world(tmp_path: Path, server: Server) -> AsyncIterator[World]:
    async with world_in(tmp_path, server) as made:
        yield made


async def ended(task: asyncio.Task[Report | None]) -> Report | None:
    async with asyncio.timeout(10):
        return await task


async def test_what_has_arrived_is_sent_by_nobody_else(world: World) -> None:
    task = await world.begin()
    await world.told("46elks", Delivery.SENT)
    await world.told("46elks", DELIVERED)
    assert await ended(task) == Report("46elks", id_of("46elks", 1), DELIVERED)
    assert (len(world.first.asked), world.second.connections) == (1, 0)


async def test_what_is_lost_goes_out_by_the_next_gateway_at_once(world: World) -> None:
    task = await world.begin()
    await world.told("46elks", LOST)
    asked = await world.second.until_asked(1)
    assert asked.form["Body"] == TEXT.reveal() and asked.form["To"] == TO.reveal()
    await world.told("twilio", DELIVERED)
    assert await ended(task) == Report("twilio", id_of("twilio", 1), DELIVERED)
    assert world.log.of("text.again") == [{"event": "text.again", "gateway": "46elks", "why": "undelivered"}]
    assert len(world.first.asked) == 1
    no_canary(shown(None, world.log))


async def test_what_nobody_reports_in_time_goes_out_by_the_next_gateway(tmp_path: Path, server: Server) -> None:
    async with world_in(tmp_path, server, second=AT_ONCE) as world:
        task = await world.begin()
        # on its way is not there
        await world.told("46elks", Delivery.SENT)
        await world.second.until_asked(1)
        assert [line["why"] for line in world.log.of("text.again")] == ["late"]
        # the first one's may come yet, and then nobody waits for the other's
        await world.told("46elks", DELIVERED)
        assert await ended(task) == Report("46elks", id_of("46elks", 1), DELIVERED)
        assert (len(world.first.asked), len(world.second.asked)) == (1, 1)


async def test_it_is_lost_where_each_gateway_says_so(world: World) -> None:
    task = await world.begin()
    await world.told("46elks", LOST)
    await world.second.until_asked(1)
    await world.told("twilio", Delivery.FAILED)
    assert await ended(task) == Report("twilio", id_of("twilio", 1), Delivery.FAILED)
    assert (len(world.first.asked), len(world.second.asked)) == (1, 1), "and then nobody sends it once more"


async def test_a_second_gateway_that_is_down(world: World) -> None:
    world.second.always(Status(500, ""))
    task = await world.begin()
    await world.told("46elks", LOST)
    assert await ended(task) == Report("46elks", id_of("46elks", 1), LOST)
    assert world.log.of("gateway.failed")


async def test_where_the_second_has_sent_it_the_first_is_the_next(world: World) -> None:
    world.first.next(Status(403, "Not enough credits"))
    task = await world.begin()
    assert (len(world.first.asked), len(world.second.asked)) == (1, 1)
    await world.told("twilio", LOST)
    await world.first.until_asked(2)
    await world.told("46elks", DELIVERED)
    report = await ended(task)
    assert report is not None and report.gateway == "46elks"


async def test_a_gateway_that_never_reports_is_believed(tmp_path: Path, server: Server) -> None:
    """Else each text would go out twice, and be paid for twice."""
    async with world_in(tmp_path, server, second=AT_ONCE, reported=False) as world:
        task = await world.begin()
        assert await ended(task) is None
        assert world.second.connections == 0


async def test_whoever_stops_following_sends_nothing_more(world: World) -> None:
    task = await world.begin()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await world.told("46elks", LOST)
    assert world.second.connections == 0
    assert not world.deliveries._waiting


async def test_a_redis_that_is_away_is_said(world: World, server: Server) -> None:
    handed = await world.dispatch.send(TO, TEXT)
    server.client.acl_setuser("default", enabled=True, commands=["-evalsha", "-eval"])
    with pytest.raises(StoreError):
        await ended(asyncio.create_task(world.dispatch.follow(handed, TO, TEXT)))
    assert world.second.connections == 0


async def test_a_redis_that_cannot_count_it_sends_none(world: World, server: Server) -> None:
    task = await world.begin()
    await wait_for(lambda: bool(server.client.keys("*:delivery:*")))
    server.client.set("tillit:budget:all", "what is no budget", px=60_000)
    await world.told("46elks", LOST)
    assert await ended(task) == Report("46elks", id_of("46elks", 1), LOST)
    assert world.log.of("text.not_again") and world.second.connections == 0


# ---------------------------------------------------------------- by a call


async def test_what_no_gateway_delivers_is_told_by_a_call(world: World) -> None:
    task = await world.begin(aloud=CODE)
    await world.told("46elks", LOST)
    await world.second.until_asked(1)
    assert world.voice.told == []
    await world.told("twilio", Delivery.FAILED)
    assert await ended(task) == Report("voice", "", DELIVERED, "said")
    assert world.voice.told == [(TO.reveal(), "135790", "sv")]
    assert [(line["gateway"], line["why"]) for line in world.log.of("text.again")] == [
        ("46elks", "undelivered"), ("voice", "failed"),
    ]  # fmt: skip
    no_canary(shown(None, world.log))


async def test_what_nobody_reports_in_time_is_told_by_a_call(tmp_path: Path, server: Server) -> None:
    async with world_in(tmp_path, server, voice=AT_ONCE, alone=True) as world:
        assert await ended(await world.begin(aloud=CODE)) == Report("voice", "", DELIVERED, "said")
        assert (len(world.first.asked), world.second.connections) == (1, 0)


async def test_the_second_gateway_comes_before_the_call_however_late_it_is(tmp_path: Path, server: Server) -> None:
    async with world_in(tmp_path, server, second=AT_ONCE) as world:
        task = await world.begin(aloud=CODE)
        await world.second.until_asked(1)
        await world.told("twilio", DELIVERED)
        await ended(task)
        assert world.voice.told == []


async def test_a_second_gateway_that_is_down_has_it_told_at_once(world: World) -> None:
    world.second.always(Status(500, ""))
    task = await world.begin(aloud=CODE)
    await world.told("46elks", LOST)
    assert await ended(task) == Report("voice", "", DELIVERED, "said")


async def test_a_link_is_never_told(tmp_path: Path, server: Server) -> None:
    async with world_in(tmp_path, server, voice=AT_ONCE, alone=True) as world:
        task = await world.begin()
        await world.told("46elks", LOST)
        assert await ended(task) == Report("46elks", id_of("46elks", 1), LOST)
        assert world.voice.told == []


@pytest.mark.parametrize("heard", [Heard.NO_KEY, Heard.DENIED, Heard.NOT_ANSWERED, Heard.HUNG_UP])
async def test_what_nobody_has_heard_is_lost_and_nobody_calls_again(world: World, heard: Heard) -> None:
    world.voice.heard = heard
    task = await world.begin(aloud=CODE)
    await world.told("46elks", LOST)
    await world.second.until_asked(1)
    await world.told("twilio", LOST)
    assert await ended(task) == Report("voice", "", LOST, heard.value)
    assert len(world.voice.told) == 1


async def test_a_call_that_cannot_be_made(world: World) -> None:
    world.voice.heard = Unavailable("the trunk is away")
    assert await world.dispatch.call(TO, CODE) == Report("voice", "", Delivery.FAILED)
    assert [line["error"] for line in world.log.of("voice.failed")] == ["the trunk is away"]


async def test_a_text_that_arrives_meanwhile_cuts_nobody_off(tmp_path: Path, server: Server) -> None:
    async with world_in(tmp_path, server, voice=AT_ONCE, alone=True) as world:
        world.voice.hold.clear()
        world.voice.heard = Heard.HUNG_UP
        task = await world.begin(aloud=CODE)
        await wait_for(lambda: bool(world.voice.told))
        await world.told("46elks", DELIVERED)
        world.voice.hold.set()
        assert await ended(task) == Report("46elks", id_of("46elks", 1), DELIVERED)
        assert world.voice.hung_up == 0


async def test_whoever_stops_following_hangs_up(tmp_path: Path, server: Server) -> None:
    async with world_in(tmp_path, server, voice=AT_ONCE, alone=True) as world:
        world.voice.hold.clear()
        task = await world.begin(aloud=CODE)
        await wait_for(lambda: bool(world.voice.told))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert world.voice.hung_up == 1


async def test_pumping_by_calls(tmp_path: Path, server: Server) -> None:
    """A call to a dear number is paid for too: it counts as a text does."""
    limits = "[limits]\ntexts_prefix_per_hour = 2\n"
    async with world_in(tmp_path, server, more=limits, alone=True) as world:
        world.voice.heard = Heard.NOT_ANSWERED
        for count in (1, 2):
            assert await world.budgets.spend(SWEDEN, 1) is (None if count < 2 else Budget.PREFIX)
            task = await world.begin(Secret("135790"), CODE)
            await world.told("46elks", LOST, count)
            await ended(task)
        assert len(world.voice.told) == 1


@pytest.mark.parametrize(
    ("number", "called"),
    [("+46850829000", True), ("+46701740605", False), ("+4533123456", False), ("+12025550123", False)],
    ids=["landline", "mobile", "a country that texts do not go to", "nobody knows"],
)
async def test_which_numbers_are_called_at_once(world: World, number: str, called: bool) -> None:
    assert world.dispatch.calls(Personal(number)) is called


# ---------------------------------------------------------------- what it costs


async def test_pumping_by_texts_that_never_arrive(tmp_path: Path, server: Server) -> None:
    """Whoever is paid for texts, and lets none be delivered, gets no more of them for it than the budget has."""
    limits = "[limits]\ntexts_prefix_per_hour = 3\n"
    async with world_in(tmp_path, server, more=limits) as world:
        for count in (1, 2, 3):
            # as the one who sent the first has counted it
            assert await world.budgets.spend(SWEDEN, 1) is (None if count < 3 else Budget.PREFIX)
            task = await world.begin(Secret("135790"))
            await world.told("46elks", LOST, count)
            if count == 1:
                await world.second.until_asked(1)
                await world.told("twilio", LOST)
            assert (await ended(task)) is not None
        assert len(world.second.asked) == 1
        assert [line["scope"] for line in world.log.of("text.withheld")] == ["prefix", "prefix"]


async def test_a_long_text_costs_as_many_messages_as_it_is(world: World, server: Server) -> None:
    task = await world.begin(Secret("a" * 161))
    await world.told("46elks", LOST)
    await world.second.until_asked(1)
    await world.told("twilio", DELIVERED)
    await ended(task)
    for key in ("all", "country:SE", "prefix:+467017"):
        assert [int(count) for field, count in server.client.hgetall(f"tillit:budget:{key}").items()] == [2]


@pytest.mark.parametrize("scope", list(Budget))
async def test_each_budget_closes_and_counts_no_more(world: World, server: Server, scope: Budget) -> None:
    most = {
        Budget.ALL: "texts_per_hour",
        Budget.COUNTRY: "texts_country_per_hour",
        Budget.PREFIX: "texts_prefix_per_hour",
    }
    link = Link.of(server.settings())
    budgets = Budgets(link, "tillit", Limits.model_validate({most[scope]: 2}))
    assert [await budgets.spend(SWEDEN, 1) for _ in range(4)] == [None, None, scope, scope]
    assert await Budgets(link, "tillit", Limits()).spend(SWEDEN, 1) is None
    counts = {key: server.client.hvals(key) for key in server.client.keys("tillit:budget:*")}
    assert {int(sum(map(int, found))) for found in counts.values()} == {3}
    assert not any(server.client.hexists(key, "until") for key in counts), "the next who asks is told, and tells"
    await link.close()


async def test_nobody_follows_what_went_nowhere(world: World) -> None:
    assert await world.dispatch.follow(Handed(""), TO, TEXT) is None
