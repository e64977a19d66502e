"""The company proves who it is in its own app: real Redis, database, and an app's server that checks what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from ivr.call.proof import Proof, Stage, Way
from ivr.config import load
from ivr.errors import ConfigError
from ivr.lock import Reason
from ivr.secret import Secret
from ivr.store.opened import Confirmed
from tests.contract.hooks_kit import SECRET
from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA, denied
from tests.contract.prove_kit import CALL, Proved, proving_in, until
from tests.unit.database_kit import settings_in

pytestmark = pytest.mark.servers


@dataclass
class App:
    """Its server: takes what is signed, and says so."""

    url: str = ""
    status: int = 204
    told: list[dict[str, Any]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.told.append(Webhook(SECRET).verify(await request.text(), dict(request.headers)))
        return web.Response(status=self.status)


@pytest.fixture
async def app() -> AsyncIterator[App]:
    made = App()
    served = web.Application()
    served.router.add_post("/tillit", made.take)
    runner = web.AppRunner(served, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/tillit"
    yield made
    await runner.cleanup()


@asynccontextmanager
async def by_app(folder: Path, server: Server, app: App, more: str = "") -> AsyncIterator[Proved]:
    """A desk that knows this app, and a customer who is on the line from a number that is on no record."""
    (folder / "app.secret").touch(0o600)
    (folder / "app.secret").write_text(SECRET)
    text = (
        f'[prove]\nways = ["app", "text"]\napp = "ours"\n[apps.ours]\nurl = "{app.url}"\nsecret_file = "app.secret"\n'
    )
    async with proving_in(folder, server, text + more) as made:
        await made.desk.customer("10001", "Xenia Ask", "+46709998877")
        made.desk.joined(ANNA, CALL)
        yield made


async def test_from_the_press_to_the_digits(tmp_path: Path, server: Server, app: App) -> None:
    async with by_app(tmp_path, server, app) as here:
        proof = await here.press(way=Way.APP, customer="10001")
        assert isinstance(proof, Proof), proof
        await here.stage("sent")
        (said,) = app.told
        place, _, link = said["data"].pop("link").rpartition("/")
        assert place == "https://id.example.com/p"
        # its customer number and nothing else: neither who calls, nor why
        assert said["data"] == {"user": "10001", "company": "Example", "expires": proof.until}
        # to look at it changes nothing
        seen = await here.page.look(Secret(link))
        assert seen is not None and seen.stage is Stage.SENT
        await here.page.opened(Secret(link))
        await here.stage("opened")
        await until(lambda: asyncio.sleep(0, here.speech.said))
        assert await here.page.key(Secret(link), Secret(here.speech.said[0])) == Confirmed()
        await here.stage("confirmed")
        assert [(row[1], row[4]["way"]) for row in await here.rows()] == [("asked", "app"), ("confirmed", "app")]
        assert here.gateway.asked == [], "no text goes out"


@pytest.mark.parametrize(("status", "why"), [(404, "it knows no such user"), (500, "it did not take the message")])
async def test_an_app_that_does_not_take_it(tmp_path: Path, server: Server, app: App, status: int, why: str) -> None:
    async with by_app(tmp_path, server, app) as here:
        app.status = status
        assert isinstance(await here.press(way=Way.APP, customer="10001"), Proof)
        await here.stage("failed")
        row = (await here.rows())[-1]
        assert (row[1], row[4]["why"]) == ("failed", f"ours: {why} (status {status})")
        assert "10001" not in str(here.desk.log.lines)
        # and another way is open at once
        assert isinstance(await here.press(customer="10001"), Proof)


async def test_nobody_is_told_who_is_no_customer(tmp_path: Path, server: Server, app: App) -> None:
    """Nor what an agent types."""
    async with by_app(tmp_path, server, app) as here:
        assert await here.press(way=Way.APP, customer="10002") == denied(Reason.NO_WAY)
        assert await here.press(way=Way.APP) == denied(Reason.NO_WAY)
        assert app.told == []


async def test_it_is_no_text_and_yet_counted(tmp_path: Path, server: Server, app: App) -> None:
    """Budgets of texts are spent by none, and hold none up; to one customer go so many in all."""
    async with by_app(tmp_path, server, app, "[limits]\ntexts_per_hour = 1\n") as here:
        here.with_caller("+46709998877")
        for _ in range(here.desk.settings.prove.per_customer_hour):
            assert isinstance(await here.press(way=Way.APP), Proof)
            await here.stage("sent")
            assert await here.prove.cancel(ANNA, here.desk.id(CALL)) is True
        assert await here.press(way=Way.APP) == denied(Reason.TOO_MANY_PROOFS)
        assert not here.desk.log.of("texts.closed")
        await here.desk.customer("10003", "Yngve Ask", "+46709998866")
        assert isinstance(await here.press(customer="10003"), Proof)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('ways = ["app"]', 'ways has "app", and app is left out'),
        ('ways = ["app"]\napp = "ours"', "[prove] app names none of [apps]"),
        ('ways = ["app", "app"]\napp = "ours"', "ways names one twice"),
    ],
)
def test_settings_that_lead_nowhere(tmp_path: Path, text: str, told: str) -> None:
    file = settings_in(tmp_path).file
    file.write_text(f"{file.read_text()}\n[prove]\n{text}\n")
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert told in str(caught.value)
