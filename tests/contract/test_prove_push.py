"""The company proves who it is in a browser: real Redis, database and a push service that decrypts by an implementation of its own."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest

from ivr.call.ports import Entry
from ivr.call.proof import Proof, Stage, Way
from ivr.config import load
from ivr.errors import ConfigError, StoreError
from ivr.lock import Reason
from ivr.lock.enrolling import WAY, Enrolling
from ivr.push.web import WebPush
from ivr.secret import Personal, Secret
from ivr.store import sims
from ivr.store.opened import Confirmed, new_link
from ivr.store.posted import Posted
from ivr.store.pushes import MOST, Pushes
from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA, denied
from tests.contract.peers_kit import Internet
from tests.contract.prove_kit import CALL, CALLER, Proved, proving_in, until
from tests.contract.test_push import HOST, Browser, browser, internet, lines_of, made, service, subscription
from tests.unit.database_kit import asked, settings_in

__all__ = ["internet", "service"]


@dataclass
class House:
    """A desk that proves by push, and a customer's browser."""

    here: Proved
    push: WebPush
    there: Browser
    ref: str

    @property
    def pushes(self) -> Pushes:
        return Pushes(self.here.desk.database, self.here.desk.vault)

    async def proved(self, way: Way = Way.TEXT) -> Secret:
        """One that the person has confirmed; the end of its link."""
        proof = await self.here.press(way=way)
        assert isinstance(proof, Proof), proof
        await self.here.stage("sent")
        if way is Way.TEXT:
            link = Secret(self.here.gateway.asked[-1].form["message"].rpartition("/")[2])
        elif way is Way.CODE:
            found = re.search(r"\b\d{8}\b", self.here.gateway.asked[-1].form["message"])
            assert found is not None
            exchanged = await self.here.page.exchange(Secret(found[0]))
            assert exchanged is not None
            link = exchanged
        else:
            link = Secret(json.loads((await self.there.received())[-1])["link"])
        await self.confirm(link)
        return link

    async def confirm(self, link: Secret, said: int | None = None) -> None:
        """`said`: how often digits had been said before it was opened, where it is open."""
        said = len(self.here.speech.said) if said is None else said
        await self.here.page.opened(link)
        await until(lambda: asyncio.sleep(0, len(self.here.speech.said) > said))
        assert await self.here.page.key(link, Secret(self.here.speech.said[-1])) == Confirmed()
        await self.here.stage("confirmed")

    async def post(self, link: Secret, said: Secret, trail: Any = None) -> None:
        """What the page passes on."""
        prover = self.here.desk.prover
        assert prover is not None
        taker = Enrolling(prover.pages, self.push, self.pushes, trail or prover.trail, self.here.desk.log)  # type: ignore[arg-type]
        await taker.take(Posted(WAY, link, Secret("/p/x/push"), {}, said, time.time()))

    async def rows(self) -> list[Any]:
        return await asked(self.here.desk.database, "SELECT customer, since FROM customer_pushes")

    async def told(self) -> list[Any]:
        return await asked(
            self.here.desk.database, "SELECT actor, outcome, subject FROM audit WHERE action = 'push.add'"
        )


@dataclass
class Between:
    """The trail, with something that happens just before a row."""

    house: House
    what: Callable[[], Awaitable[None]]

    async def append(self, entry: Entry) -> str:
        await self.what()
        assert self.house.here.desk.prover is not None
        return await self.house.here.desk.prover.trail.append(entry)


@pytest.fixture
async def house(tmp_path: Path, server: Server, internet: Internet, service: str) -> AsyncIterator[House]:
    async with opened(tmp_path, server, internet, service) as made_here:
        yield made_here


@asynccontextmanager
async def opened(folder: Path, server: Server, internet: Internet, service: str) -> AsyncIterator[House]:
    pushing: list[WebPush] = []

    def push_of(settings: Any) -> WebPush:
        pushing.append(made(settings, internet))
        return pushing[0]

    lines = f'[prove]\nways = ["push", "text", "code"]\n{lines_of(folder)}'
    async with browser(internet, service) as there, proving_in(folder, server, lines, push=push_of) as here:
        ref = await here.desk.customer("10001", "Xenia Ask", CALLER)
        here.desk.joined(ANNA, CALL)
        yield House(here, pushing[0], there, ref)


@pytest.mark.servers
async def test_from_the_text_to_the_browser(house: House) -> None:
    link = await house.proved()
    seen = await house.here.page.look(link)
    # the page is told under which key it may ask the browser
    assert seen is not None and seen.shown.push == house.push.public
    await house.post(link, await house.there.subscribe(house.push.public))
    assert await house.told() == [("page", "kept", house.ref)]
    assert [row[0] for row in await house.rows()] == [house.ref]
    # from now on without a text
    texts = len(house.here.gateway.asked)
    assert isinstance(await house.here.press(way=Way.PUSH), Proof)
    await house.here.stage("sent")
    (message,) = await house.there.received()
    said = json.loads(message)
    assert (said["title"], said["language"]) == ("Example", "sv")
    assert said["body"] == "Example: Du ringde oss och talar med Anna om en faktura. Stämmer det?"
    pushed = Secret(said["link"])
    seen = await house.here.page.look(pushed)
    assert seen is not None and seen.stage is Stage.SENT and seen.shown.push == "", "nobody is asked again"
    await house.confirm(pushed)
    assert len(house.here.gateway.asked) == texts
    assert 0 < int(house.there.sent[0]["TTL"]) <= 300


@pytest.mark.servers
async def test_nothing_that_the_page_says_is_believed(house: House) -> None:
    """What it passes on counts for the customer whose proof that link has confirmed, by text, and for nobody else."""
    said = await house.there.subscribe(house.push.public)
    proof = await house.here.press()
    assert isinstance(proof, Proof)
    await house.here.stage("sent")
    link = Secret(house.here.gateway.asked[-1].form["message"].rpartition("/")[2])
    await house.post(link, said)
    await house.here.page.opened(link)
    await house.post(link, said)
    await house.post(new_link(), said)
    await house.post(Secret(""), said)
    await house.confirm(link, 0)
    elsewhere = {**subscription(), "endpoint": "https://evil.example/x"}
    for text in (orjson.dumps(elsewhere).decode(), "", "[]", "x" * 8000):
        await house.post(link, Secret(text))
    assert await house.rows() == []
    assert await house.told() == []
    assert [line["why"] for line in house.here.desk.log.of("push.refused")] == ["proof"] * 4 + ["subscription"] * 4


@pytest.mark.servers
async def test_a_proof_in_the_browser_adds_no_other_browser(house: House) -> None:
    """It came to no telephone number: whoever looks at a browser that is left open gives itself nothing for the next time."""
    await house.post(await house.proved(), await house.there.subscribe(house.push.public))
    link = await house.proved(Way.PUSH)
    await house.post(link, Secret(orjson.dumps(subscription()).decode()))
    assert len(await house.rows()) == 1


@pytest.mark.servers
async def test_a_browser_that_has_ended_it_is_forgotten(house: House) -> None:
    await house.post(await house.proved(), await house.there.subscribe(house.push.public))
    await house.there.end()
    assert isinstance(await house.here.press(way=Way.PUSH), Proof)
    await house.here.stage("failed")
    assert await house.rows() == []
    assert (await house.here.rows())[-1][4]["why"] == "push: no browser is left"
    assert await house.here.press(way=Way.PUSH) == denied(Reason.NO_WAY)
    assert house.there.hash not in str(house.here.desk.log.lines)


@pytest.mark.servers
async def test_one_of_several_browsers_is_enough(house: House) -> None:
    """Another one whose push service is away does not hold it up."""
    link = await house.proved()
    await house.post(link, await house.there.subscribe(house.push.public))
    dead = {**subscription(), "endpoint": f"https://{HOST}/nowhere"}
    await house.post(link, Secret(orjson.dumps(dead).decode()))
    assert len(await house.rows()) == 2
    assert isinstance(await house.here.press(way=Way.PUSH), Proof)
    await house.here.stage("sent")
    assert len(await house.there.received()) == 1


@pytest.mark.servers
async def test_who_has_no_browser_is_as_who_is_no_customer(house: House) -> None:
    assert await house.here.press(way=Way.PUSH) == denied(Reason.NO_WAY)
    assert await house.here.press(way=Way.PUSH, customer="10009") == denied(Reason.NO_WAY)
    assert house.there.sent == []


@pytest.mark.servers
async def test_a_number_that_was_changed_later_makes_it_void(house: House) -> None:
    """Whoever had the telephone then may be somebody else than who has the number now."""
    await house.post(await house.proved(), await house.there.subscribe(house.push.public))
    async with house.here.desk.database.write() as connection:
        await connection.exec_driver_sql(f"UPDATE phones SET since = {int(time.time()) + 1}")
    assert await house.here.press(way=Way.PUSH) == denied(Reason.NO_WAY)


@pytest.mark.servers
@pytest.mark.parametrize("left", [("+46701112299",), ("+46701112299", "+46701112288")], ids=["removed", "changed"])
async def test_with_a_number_its_browsers_go(house: House, left: tuple[str, ...]) -> None:
    """Also where the numbers that are left are older than the browser: the one that is gone may have been a thief's."""
    await phones(house, CALLER, "+46701112299")
    await house.post(await house.proved(), await house.there.subscribe(house.push.public))
    await phones(house, "+46701112299", CALLER)
    assert len(await house.rows()) == 1, "another order changes nothing"
    await phones(house, *left)
    assert await house.rows() == []
    assert await house.here.press(way=Way.PUSH, customer="10001") == denied(Reason.NO_WAY)
    assert house.there.sent == []


async def phones(house: House, *numbers: str) -> None:
    """As the desk changes them; all since long ago."""
    desk = house.here.desk
    async with desk.database.write() as connection:
        customer = await desk.register.by_ref(connection, house.ref, change=True)
        assert customer is not None
        await desk.register.set_phones(connection, customer, tuple(map(Personal, numbers)), 1000)


@pytest.mark.servers
async def test_so_many_browsers_and_no_more(house: House) -> None:
    """The oldest goes; one that comes again takes its own place."""
    said = [
        Secret(orjson.dumps({**subscription(), "endpoint": f"https://{HOST}/{n}"}).decode()) for n in range(MOST + 2)
    ]
    seconds = count(1_800_000_000)
    pushes = Pushes(house.here.desk.database, house.here.desk.vault, lambda: next(seconds))
    phone = house.here.desk.vault.index.phone(Personal(CALLER))
    for one in (*said, said[-1]):
        assert await pushes.keep(house.ref, one, phone, "key", 0)
    kept = [json.loads(one.said.reveal())["endpoint"].rpartition("/")[2] for one in await pushes.of(house.ref)]
    assert sorted(kept) == [str(n) for n in range(2, MOST + 2)]
    assert {one.under for one in await pushes.of(house.ref)} == {"key"}
    assert not await pushes.keep("nobody", said[0], phone, "key", 0)
    assert not await pushes.keep(
        house.ref, said[0], house.here.desk.vault.index.phone(Personal("+46701112299")), "key", 0
    )


@pytest.mark.servers
async def test_who_is_no_customer_any_more_has_no_row(house: House) -> None:
    link = await house.proved()
    async with house.here.desk.database.write() as connection:
        await connection.exec_driver_sql("DELETE FROM customers")
    await house.post(link, await house.there.subscribe(house.push.public))
    assert await house.told() == []
    assert [line["why"] for line in house.here.desk.log.of("push.refused")] == ["number"]


@pytest.mark.servers
@pytest.mark.parametrize("left", [("+46701112299",), ("+46701112299", "+46701112288")], ids=["removed", "changed"])
@pytest.mark.parametrize("way", [Way.TEXT, Way.CODE])
async def test_a_token_is_worth_nothing_behind_a_change_of_the_number(
    house: House, left: tuple[str, ...], way: Way
) -> None:
    """For a quarter of an hour the page of a confirmed proof is there: whoever has stolen the telephone has kept it open."""
    await phones(house, CALLER, "+46701112299")
    link = await house.proved(way)
    await phones(house, *left)
    await house.post(link, await house.there.subscribe(house.push.public))
    assert await house.rows() == [] and await house.told() == []
    assert [line["why"] for line in house.here.desk.log.of("push.refused")] == ["number"]
    # one that comes back is new
    await phones(house, CALLER)
    await house.post(link, await house.there.subscribe(house.push.public))
    assert await house.rows() == []


@pytest.mark.servers
async def test_a_token_is_worth_nothing_behind_another_sim(house: House) -> None:
    """The number is on record as before, and somebody else may have it."""
    link = await house.proved()
    await sim(house)
    await house.post(link, await house.there.subscribe(house.push.public))
    assert await house.rows() == [] and await house.told() == []
    assert [line["why"] for line in house.here.desk.log.of("push.refused")] == ["number"]


@pytest.mark.servers
async def test_a_sim_that_is_replaced_as_a_browser_comes_in(house: House) -> None:
    """Behind the look at the record, and before the browser is kept."""
    link = await house.proved()
    await house.post(link, await house.there.subscribe(house.push.public), Between(house, lambda: sim(house)))
    assert len(await house.told()) == 1 and await house.rows() == []
    assert [line["why"] for line in house.here.desk.log.of("push.refused")] == ["number"]


async def sim(house: House) -> None:
    """As the desk is told of another one."""
    desk = house.here.desk
    async with desk.database.write() as connection:
        customer = await desk.register.by_ref(connection, house.ref, change=True)
        assert customer is not None
        await sims.replaced(connection, desk.vault, customer, Personal(CALLER), time.time())


@pytest.mark.servers
async def test_behind_a_denial_no_browser_is_the_customers(house: House) -> None:
    """Whoever has keyed the digits may be somebody else than the person, who then denies."""
    link = await house.proved()
    assert await house.here.page.deny(link) is False
    await house.post(link, await house.there.subscribe(house.push.public))
    assert await house.rows() == [] and await house.told() == []
    assert [line["why"] for line in house.here.desk.log.of("push.refused")] == ["denied"]
    # whoever has broken into the page takes its own word back: the desk has heard it
    await until(lambda: asyncio.sleep(0, bool(house.here.desk.log.of("proof.denied"))))
    desk = house.here.desk
    for key in await keys(house, "page:proof:*"):
        await desk.link.ask("HDEL", key, "late")
    await house.post(link, await house.there.subscribe(house.push.public))
    assert await house.rows() == []


@pytest.mark.servers
async def test_a_denial_takes_away_the_browsers_of_that_call(house: House) -> None:
    """Those from before stay."""
    desk = house.here.desk
    link = await house.proved()
    phone = desk.vault.index.phone(Personal(CALLER))
    older = Pushes(desk.database, desk.vault, lambda: 0)
    elsewhere = Secret(orjson.dumps({**subscription(), "endpoint": f"https://{HOST}/older"}).decode())
    assert await older.keep(house.ref, elsewhere, phone, house.push.public, 0)
    await house.post(link, await house.there.subscribe(house.push.public))
    assert len(await house.rows()) == 2
    assert await house.here.page.deny(link) is False
    await until(lambda: asyncio.sleep(0, bool(desk.log.of("push.undone"))))
    assert await house.rows() == [(house.ref, 0)]
    (line,) = desk.log.of("push.undone")
    assert line["browsers"] == 1


@pytest.mark.servers
async def test_a_denial_as_a_browser_comes_in(house: House) -> None:
    """The desk has settled it before there was a row to take away."""
    link = await house.proved()

    async def denied_now() -> None:
        assert await house.here.page.deny(link) is False
        await until(lambda: asyncio.sleep(0, bool(house.here.desk.log.of("proof.denied"))))

    await house.post(link, await house.there.subscribe(house.push.public), Between(house, denied_now))
    assert len(await house.told()) == 1 and await house.rows() == []
    assert [line["why"] for line in house.here.desk.log.of("push.refused")] == ["denied"]


@pytest.mark.servers
async def test_browsers_are_taken_away_when_the_database_is_back(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    link = await house.proved()
    await house.post(link, await house.there.subscribe(house.push.public))
    assert house.here.desk.prover is not None
    settling = house.here.desk.prover.settling
    proof = await house.here.desk.prover.pages.by_link(link)
    assert proof is not None

    async def away(self: Pushes, ref: str, since: int) -> int:
        raise StoreError("database: away")

    with monkeypatch.context() as broken:
        broken.setattr(Pushes, "undo", away)
        assert await house.here.page.deny(link) is False
        await until(lambda: asyncio.sleep(0, bool(house.here.desk.log.of("push.failed"))))
        assert len(await house.rows()) == 1
        assert len(await keys(house, "proof:due:lent")) == 1, "it is given to a desk again"
    await settling.settle(replace(proof, stage=Stage.DENIED))
    assert await house.rows() == []
    assert await keys(house, "proof:due:lent") == []


async def keys(house: House, like: str) -> list[object]:
    desk = house.here.desk
    found = await desk.link.ask("KEYS", f"{desk.settings.redis.prefix}:{like}")
    assert isinstance(found, list)
    return found


@pytest.mark.servers
async def test_a_number_that_is_changed_as_a_browser_comes_in(house: House) -> None:
    """Behind the look at the record, and before the browser is kept."""
    link = await house.proved()
    between = Between(house, lambda: phones(house, "+46701112299"))
    await house.post(link, await house.there.subscribe(house.push.public), between)
    assert await house.rows() == []
    assert [line["why"] for line in house.here.desk.log.of("push.refused")] == ["number"]


@pytest.mark.servers
async def test_a_slow_push_service_holds_up_no_other_browser(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are told at once; the proof has gone out as soon as one has it."""
    link = await house.proved()
    for n in range(3):
        slow = {**subscription(), "endpoint": f"https://{HOST}/slow/{n}"}
        await house.post(link, Secret(orjson.dumps(slow).decode()))
    await house.post(link, await house.there.subscribe(house.push.public))
    hang, waiting = asyncio.Event(), list[str]()
    tell = house.push.tell

    async def told(said: Secret, message: Secret, *, seconds: int) -> None:
        if "/slow/" in said.reveal():
            waiting.append("slow")
            await hang.wait()
        await tell(said, message, seconds=seconds)

    monkeypatch.setattr(house.push, "tell", told)
    assert isinstance(await house.here.press(way=Way.PUSH), Proof)
    await house.here.stage("sent")
    await until(lambda: asyncio.sleep(0, len(waiting) == 3))
    assert len(await house.there.received()) == 1
    hang.set()


@pytest.mark.servers
async def test_browsers_of_another_key_are_none(house: House) -> None:
    """A push service takes nothing of ours for them: the agent is told at once, and the page offers it anew."""
    desk = house.here.desk
    phone = desk.vault.index.phone(Personal(CALLER))
    assert await house.pushes.keep(house.ref, await house.there.subscribe(house.push.public), phone, "former", 0)
    assert await house.here.press(way=Way.PUSH) == denied(Reason.NO_WAY)
    assert house.there.sent == []
    await house.post(await house.proved(), await house.there.subscribe(house.push.public))
    assert {one.under for one in await house.pushes.of(house.ref)} == {"former", house.push.public}
    assert isinstance(await house.here.press(way=Way.PUSH), Proof)
    await house.here.stage("sent")
    assert len(house.there.sent) == 1


@pytest.mark.servers
async def test_nothing_is_kept_without_its_row(house: House) -> None:
    class Down:
        async def append(self, _: Entry) -> str:
            raise StoreError("database: away")

    await house.post(await house.proved(), await house.there.subscribe(house.push.public), Down())
    assert await house.rows() == []
    assert house.here.desk.log.of("push.failed")


def test_without_a_key_it_cannot_be_chosen(tmp_path: Path) -> None:
    file = settings_in(tmp_path).file
    file.write_text(f'{file.read_text()}\n[prove]\nways = ["push"]\n')
    with pytest.raises(ConfigError, match=r'ways has "push", and \[push\] vapid_key_file is left out'):
        load(file)
