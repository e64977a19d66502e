"""What our domain publishes: written by desks, handed out by the public page, which has no key; and letters that come in there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from yarl import URL

from ivr.config import Settings
from ivr.lock.publishing import Publisher
from ivr.page import routes
from ivr.peers import keys, wellknown
from ivr.peers.keys import OwnKeys
from ivr.secret import Secret
from ivr.store.bulletin import Bulletin
from ivr.store.posted import PostBox
from tests.contract.ari_log import Log
from tests.contract.live_server import Server
from tests.contract.page_kit import House, page
from tests.contract.peers_kit import NOON, Clock
from tests.unit.database_kit import settings_in

pytestmark = pytest.mark.servers

PATH = "/.well-known/tillit.json"


@dataclass
class Here:
    """A public page, and our key on the way to the desks."""

    house: House
    settings: Settings
    clock: Clock

    def desk(self, log: Log | None = None) -> Publisher:
        """One that has just been started."""
        bulletin = Bulletin(self.house.both.links[0], self.house.both.prefix)
        own = OwnKeys.open(self.settings)
        return Publisher(self.settings, own, bulletin, (log or Log()).logger, wall=self.clock)

    async def published(self) -> wellknown.Published:
        """As another organisation reads it."""
        answer = await self.house.ask(PATH)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
        found = wellknown.read(answer.text.encode(), "hospital.example", self.clock())
        assert isinstance(found, wellknown.Published), found
        return found


@pytest.fixture
async def here(server: Server, tmp_path: Path) -> AsyncIterator[Here]:
    settings = settings_in(tmp_path, '[peers]\ndomain = "hospital.example"\nkey_file = "peers.key"\n')
    keys.create(settings)
    async with page(server) as house:
        yield Here(house, settings, Clock())


async def test_the_page_hands_out_what_a_desk_has_signed(here: Here) -> None:
    assert (await here.house.ask(PATH)).status == 404
    assert await here.desk().publish()
    assert (await here.published()).organisation == here.settings.company.name
    # it says itself whose it is: the page is reached by another name than its own
    other = await here.house.ask(PATH, Host="hospital.example")
    assert other.status == 200
    assert (await here.house.ask("/", Host="hospital.example")).status == 421
    assert (await here.house.ask(PATH, "HEAD")).status == 200
    assert (await here.house.ask(PATH, "POST", form={})).status == 405


async def test_it_is_signed_anew_as_long_as_a_desk_runs(here: Here) -> None:
    """A Redis that has lost it has it again; and it does not stay where no desk signs it any more."""
    await here.desk().publish()
    first = (await here.house.ask(PATH)).text
    here.clock.now += 300
    await here.desk().publish()
    assert (await here.house.ask(PATH)).text != first
    here.house.redis.pass_time(wellknown.LIFE + 1)
    assert (await here.house.ask(PATH)).status == 404
    running = asyncio.create_task(here.desk().run())
    try:
        async with asyncio.timeout(10):
            while (await here.house.ask(PATH)).status != 200:
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_desk_with_the_key_of_before_leaves_it_alone(here: Here) -> None:
    """Its file was copied to one desk, and not to the other yet: whoever asked now would be told of a change."""
    log = Log()
    old = here.desk(log)
    await old.publish()
    keys.turn(here.settings, NOON)
    new = here.desk()
    await new.publish()
    latest = (await here.published()).key
    assert await old.publish()
    assert (await here.published()).key == latest
    assert [line["key"] for line in log.of("peer.older_key")] == [old.key]
    # and the new one goes on
    here.clock.now += 300
    text = (await here.house.ask(PATH)).text
    await new.publish()
    assert (await here.house.ask(PATH)).text != text


async def test_of_two_that_write_at_once_the_second_looks_again(here: Here) -> None:
    link, prefix = here.house.both.links[0], here.house.both.prefix
    bulletin = Bulletin(link, prefix)
    assert await bulletin.write("one", None, seconds=60)
    assert not await bulletin.write("two", None, seconds=60)
    assert not await bulletin.write("two", b"another", seconds=60)
    assert await bulletin.write("two", b"one", seconds=60)
    assert await bulletin.read() == b"two"


@pytest.mark.parametrize("junk", [b"", b"{}", b'{"tillit": "a.b.c"}', b"\xff" * 1000])
async def test_what_somebody_else_has_written_there_does_not_stay(here: Here, junk: bytes) -> None:
    """Whoever breaks into the page may write there; nobody else's desk takes it, and ours does not stop at it."""
    await here.house.both.links[1].ask("SET", f"{here.house.both.prefix}:page:wellknown", junk)
    assert await here.desk().publish()
    await here.published()


async def test_two_organisations_of_one_key_file_are_two(here: Here) -> None:
    """The domain was changed in the settings: what the former one has published is none of it."""
    await here.desk().publish()
    other = here.settings.model_copy(
        update={"peers": here.settings.peers.model_copy(update={"domain": "ward.example"})}
    )
    keys.turn(here.settings, NOON)
    bulletin = Bulletin(here.house.both.links[0], here.house.both.prefix)
    assert await Publisher(other, OwnKeys.open(other), bulletin, Log().logger, wall=here.clock).publish()
    answer = await here.house.ask(PATH)
    assert isinstance(wellknown.read(answer.text.encode(), "ward.example", NOON), wellknown.Published)


async def test_a_letter_is_passed_on_unread(here: Here) -> None:
    house = here.house
    box = PostBox(house.both.links[0], house.both.prefix, house.both.key)
    for text in ("a.b.c", "no letter at all"):
        # a forged one is answered as a true one is
        sent = await house.browser.post(
            URL(f"{house.url}/in/peers"), data=text, headers={"Content-Type": "application/jwt", "Host": "hospital.example"}
        )  # fmt: skip
        assert (sent.status, await sent.read()) == (204, b"")
        posted = await box.take()
        assert posted is not None
        assert (posted.way, posted.body) == ("peers", Secret(text))
    assert (await house.ask("/in/peers")).status == 405
    async with house.browser.post(f"{house.url}/in/peers", data=b"x" * 8193) as answer:
        assert answer.status == 413
    assert not [line for line in house.log.lines if "no letter" in str(line)]


async def test_so_many_letters_of_one_address_and_no_more(server: Server) -> None:
    async with page(server, "reports_of_one_per_minute = 10\n") as house:
        statuses = [(await house.ask("/in/peers", "POST", form={})).status for _ in range(11)]
        assert (statuses[0], statuses[-1]) == (204, 429)


REPORTS = 'allow_proxies = ["127.0.0.1"]\nreports_per_minute = 600\nreports_of_one_per_minute = 200\n'


async def reported(house: House, *addresses: str) -> list[int]:
    """The status of one report from each of these."""
    statuses = []
    for address in addresses:
        statuses.append((await house.ask("/in/46elks/x", "POST", form={}, X_Forwarded_For=address)).status)
    return statuses


async def test_no_address_uses_up_what_gateways_report_by(server: Server) -> None:
    async with page(server, REPORTS) as house:
        assert set(await reported(house, *["203.0.113.5"] * 60)) == {204, 429}
        assert await reported(house, "203.0.113.6") == [204]
        # whoever has an IPv6 network whole comes from as many addresses as he likes
        assert set(await reported(house, *[f"2001:db8:7:{n:x}::1" for n in range(0, 0x5000, 0x100)])) == {204, 429}
        assert await reported(house, "203.0.113.7") == [204]


async def test_a_gateway_whose_addresses_are_known_reports_whatever_others_send(server: Server) -> None:
    async with page(server, f'{REPORTS}reports_from = ["192.0.2.0/24", "2001:db8:1::/48"]\n') as house:
        strangers = [f"203.0.113.{n}" for n in range(100)]
        assert set(await reported(house, *strangers)) == {204, 429}, "so many of all"
        assert set(await reported(house, *["192.0.2.7"] * 30, *["2001:db8:1::7"] * 20)) == {204}
        # those too are bounded
        assert set(await reported(house, *["192.0.2.8"] * 60)) == {204, 429}


def test_the_page_serves_it_where_others_ask() -> None:
    """The page must not know the code of letters and keys: both say the same place."""
    assert routes.DOCUMENT == wellknown.PATH
