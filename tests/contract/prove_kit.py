"""Proving on a real Redis, a real database and a gateway's local server: desk, person and page; who is on the line says the test."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from ivr import sms
from ivr.asterisk.speaking import Spoken
from ivr.call.ports import Delivery, Party, Report, Talk
from ivr.call.proof import Keyed, Proof, Way
from ivr.config import Settings, load
from ivr.errors import Unavailable
from ivr.lock import Denied
from ivr.lock.course import Course
from ivr.lock.proofwords import Asked, Proving
from ivr.lock.prove import Prove
from ivr.prompts import Prompt
from ivr.proving import beside
from ivr.push.app import AppServer
from ivr.push.web import WebPush
from ivr.secret import Personal, Secret
from ivr.sms import Reporting
from ivr.sms.dispatch import Dispatch
from ivr.staff import Person
from ivr.store.budgets import Budgets
from ivr.store.deliveries import RedisDeliveries
from ivr.store.news import Heard, News
from ivr.store.opened import PageStore
from ivr.store.pagekey import PageKey
from ivr.store.published import RedisPublished
from tests.contract.ari_log import Log, wait_for
from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA, NODE, Desk, desk_of
from tests.contract.texts_kit import tables
from tests.contract.texts_server import PASSWORD, TextsServer, elks, twilio
from tests.unit.database_kit import asked, settings_in

CALLER = "+46701112233"
"""The number on the line, as `Desk.joined` has it."""
CALL = "c.1"


class Speech:
    """`lock.proofports.Speech`, as the test says."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.to: list[tuple[str, str, str, bool, str | None]] = []
        self.answer = Spoken.SAID
        self.down = False
        self.hold: asyncio.Event | None = None
        self.hushed: list[tuple[str, str]] = []

    async def speak(
        self, node: str, channel: str, prompts: Sequence[Prompt], *, language: str, both: bool = True,
        agent: str | None = None,
    ) -> Spoken:  # fmt: skip
        if self.down:
            raise Unavailable("Asterisk's REST interface (ARI) does not answer the desk")
        said = "".join(one.value.removeprefix("digit-") for one in prompts if one.value.startswith("digit-"))
        assert said[:6] == said[6:], "twice the same"
        self.said.append(said[:6])
        self.to.append((node, channel, language, both, agent))
        if self.hold is not None:
            await self.hold.wait()
        return self.answer

    def hush(self, node: str, channel: str) -> None:
        self.hushed.append((node, channel))


class Hearing:
    """`lock.proofports.Hearing`: the person keys what the test says."""

    def __init__(self) -> None:
        self.to: list[tuple[str, str, int]] = []
        self.listening = 0
        self._keyed: asyncio.Queue[str | Unavailable] = asyncio.Queue()

    def key(self, digits: str | Unavailable) -> None:
        """The person keys this; or that the connection is lost."""
        self._keyed.put_nowait(digits)

    async def entries(self, node: str, channel: str, count: int) -> AsyncGenerator[Secret]:
        self.to.append((node, channel, count))
        self.listening += 1
        try:
            while True:
                entry = await self._keyed.get()
                if isinstance(entry, Unavailable):
                    raise entry
                yield Secret(entry)
        finally:
            self.listening -= 1


@dataclass
class Proved:
    """A desk that proves, a gateway, and the public page's hands at Redis."""

    desk: Desk
    prove: Prove
    course: Course
    speech: Speech
    hearing: Hearing
    gateway: TextsServer
    deliveries: RedisDeliveries
    page: PageStore
    published: RedisPublished
    changed: list[str] = field(default_factory=list)
    other: TextsServer | None = None
    """The second gateway, where there is one."""
    running: asyncio.Task[None] | None = None
    """The course's look for proofs that have ended."""

    async def died(self) -> None:
        """This desk does nothing more of its own; what others keep in Redis stays."""
        assert self.running is not None
        await _ended(self.running)
        await self.course.close()

    async def press(
        self, person: Person = ANNA, *, way: Way = Way.TEXT, about: str = "invoice", customer: str | None = None, call: str = CALL,
        keyed: Keyed = Keyed.PAGE,
    ) -> Proof | Denied:  # fmt: skip
        asked = Asked(way, about, None if customer is None else Secret(customer), keyed)
        return await self.prove.begin(person, self.desk.id(call), asked)

    async def begun(self, *phones: str, **how: Any) -> tuple[Proof, Secret]:
        """One for a customer who calls from a number on record, and the end of the link that came by text."""
        await self.desk.customer("10001", "Xenia Ask", *(phones or (CALLER,)))
        self.desk.joined(ANNA, CALL)
        count = len(self.gateway.asked)
        proof = await self.press(**how)
        assert isinstance(proof, Proof), proof
        return proof, await self.link(count + 1)

    async def text(self, count: int = 1) -> dict[str, str]:
        """The so-many-th message, as the gateway was given it."""
        return (await self.gateway.until_asked(count)).form

    async def link(self, count: int = 1) -> Secret:
        found = re.search(r"/p/([A-Za-z0-9_-]{22})$", (await self.text(count))["message"])
        assert found is not None
        return Secret(found[1])

    async def shown(self, person: Person = ANNA) -> Proving | None:
        """What the person's page has of the one call."""
        (current,) = await self.desk.lock.current(person)
        return current.proof

    async def stage(self, stage: str, person: Person = ANNA) -> Proving:
        """Wait until the page says this."""
        found: list[Proving] = []

        async def there() -> bool:
            shown = await self.shown(person)
            found[:] = [] if shown is None else [shown]
            return shown is not None and shown.stage == stage

        await until(there)
        return found[0]

    async def report(self, delivery: Delivery, count: int = 1) -> None:
        """The gateway tells what has become of the so-many-th text."""
        await self.deliveries.tell(Report("46elks", f"s{count:031x}", delivery))

    async def rows(self) -> list[tuple[str, str, str, str, dict[str, str]]]:
        """Actor, outcome, call, subject and detail of each row of proofs."""
        found = await asked(
            self.desk.database,
            "SELECT actor, outcome, call, subject, detail FROM audit WHERE action = 'proof' ORDER BY at, seq",
        )
        return [(*row[:4], orjson.loads(row[4])) for row in found]

    async def outcomes(self) -> list[str]:
        return [row[1] for row in await self.rows()]

    def with_caller(self, number: str | None, *, outbound: bool = False) -> None:
        """Who talks with Anna calls from this number, or was called at it."""
        own = Party("own-p-anna", "PJSIP/anna", None, False, 1.0, first=outbound)
        number_of = None if number is None else Personal(number)
        other = Party(CALL, "PJSIP/trunk", number_of, False, 1.0, first=not outbound)
        self.desk.talks.talks["PJSIP/anna"] = (Talk(NODE, own, (other,)),)


async def until(condition: Callable[[], Any], limit: float = 10.0) -> None:
    """Wait for what has to be awaited."""
    async with asyncio.timeout(limit):
        while not await condition():
            await asyncio.sleep(0.01)


def settings_of(
    folder: Path, server: Server, gateway: TextsServer, more: str = "", other: TextsServer | None = None
) -> Settings:
    """Those of a desk that sends by this gateway, and by the `other` where it must."""
    base = settings_in(folder)
    password = folder / "password"
    password.touch(0o600)
    password.write_text(PASSWORD)
    second = ['fallback = "twilio"', *lines_of(other, "twilio")] if other else []
    lines = [
        "[redis]", f'url = "unix://{server.socket}"', f'prefix = "t{secrets.token_hex(4)}"', "request_seconds = 5.0",
        "[page]", 'url = "https://id.example.com"', "[texts]", 'gateway = "46elks"', *second, *lines_of(gateway), more,
    ]  # fmt: skip
    base.file.write_text("\n".join((base.file.read_text(), *lines)))
    return load(base.file)


def lines_of(gateway: TextsServer, name: str = "46elks") -> list[str]:
    return [
        line
        for table, fields in tables(name, gateway.url).items()
        for line in (f"[{table}]", *(f"{name} = {orjson.dumps(value).decode()}" for name, value in fields.items()))
    ]


@asynccontextmanager
async def proving_in(
    folder: Path, server: Server, more: str = "", *, gone: float = 0.05, second: float = 60.0, fallback: bool = False,
    push: Callable[[Settings], WebPush] | None = None, key: PageKey | None = None,
) -> AsyncIterator[Proved]:  # fmt: skip
    """`more`: lines of the settings; `gone`: seconds after which a call that has ended counts as ended.

    `fallback`: there is a second gateway, which sends what the first has not delivered in `second` seconds; `push`: a way to
    push services of its own; `key`: the page key, else a new one.
    """
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(TextsServer(numbered()))
        other = await stack.enter_async_context(TextsServer(twilio)) if fallback else None
        settings = settings_of(folder, server, gateway, more, other)
        key = key or PageKey(secrets.token_bytes(32))
        desk = await stack.enter_async_context(desk_of(settings, server, page=key))
        assert desk.prover is not None
        log: Any = desk.log
        deliveries = await stack.enter_async_context(RedisDeliveries(settings, desk.link, log))
        reporting = Reporting(settings.page.url, Secret("f" * 64))
        gateways = sms.in_turn(settings, log, reporting=reporting)
        stack.push_async_callback(gateways.close)
        speech, hearing, changed = Speech(), Hearing(), list[str]()
        course = desk.prover.course(
            speech, hearing, lambda endpoints: changed.extend(sorted(endpoints)), look=0.05, gone=gone, again=0.0
        )
        ways = beside(settings, log)
        if push is not None:
            ways = replace(ways, push=push(settings))
        for app in (ways.app, *ways.partners.values()):
            if isinstance(app, AppServer):
                stack.push_async_callback(app.close)
        budgets = Budgets(desk.link, settings.redis.prefix, settings.limits)
        dispatch = Dispatch(
            sms.texts(settings, log, gateways), deliveries, budgets, sms.names(settings), second, log
        )  # fmt: skip
        published = RedisPublished(desk.link, settings.redis.prefix, settings.limits, log)
        prove = desk.prover.prove(course, dispatch, ways, published)
        stack.push_async_callback(course.close)
        running = asyncio.create_task(course.run())
        stack.push_async_callback(_ended, running)

        def heard(news: Heard) -> None:
            if news.proof:
                course.told(news.proof)

        came = asyncio.Event()
        await stack.enter_async_context(News(settings, told=heard, came=came.set, log=Log().logger))
        await came.wait()
        page = PageStore(desk.link, settings.redis.prefix, key)
        yield Proved(
            desk, prove, course, speech, hearing, gateway, deliveries, page, published, changed, other, running,
        )  # fmt: skip


def numbered() -> Callable[..., Any]:
    """46elks, with ids that a test can tell."""
    count = 0

    def api(asked: Any) -> Any:
        nonlocal count
        count += 1
        answer = elks(asked)
        if isinstance(answer.body, dict) and "id" in answer.body:
            answer.body["id"] = f"s{count:031x}"
        return answer

    return api


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


__all__ = ["ANNA", "CALL", "CALLER", "Proved", "proving_in", "until", "wait_for"]
