"""Calls that a real Asterisk offers to all workers (`StasisBroadcast`), and what the dialplan does where none takes them."""

from __future__ import annotations

import asyncio
import time
import wave
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from rig.ami import Ami
from rig.asterisk import Pbx

from ivr.asterisk.ari import Ari
from ivr.asterisk.events import TYPES
from ivr.asterisk.line import AriLine
from ivr.asterisk.reconcile import Records
from ivr.asterisk.telephony import Telephony
from ivr.call.progress import Progress
from ivr.secret import Secret
from tests.contract.ari_log import Log, wait_for

pytestmark = pytest.mark.servers

TILLIT = Path(__file__).resolve().parents[2] / "dialplan" / "tillit.conf"
DIALPLAN = """
[callers]
exten => 100,1,Gosub(tillit-verify,s,1(main))
 same => n,UserEvent(Reached,Status: ${CALLER_AUTH_STATUS})
 same => n,Hangup()
[far]
exten => s,1,Answer()
 same => n,Wait(60)
"""
# Milliseconds for which workers are waited for.
OFFERED = 500
# Seconds that the sentence takes which callers then hear: longer than the watchdog over an offer.
SENTENCE = 2.5
_serial = count(1)


@pytest.fixture(scope="module")
def pbx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pbx]:
    sounds = tmp_path_factory.mktemp("prompts")
    with wave.open(str(sounds / "unavailable.wav"), "wb") as sentence:
        sentence.setnchannels(1)
        sentence.setsampwidth(2)
        sentence.setframerate(8000)
        sentence.writeframes(b"\x10\x10" * int(8000 * SENTENCE))
    with Pbx(dialplan=(TILLIT, DIALPLAN), prompts={"en": sounds}, name="offers") as pbx:
        yield pbx


class Worker:
    """One of several: it takes calls, and does nothing with them."""

    def __init__(self, pbx: Pbx, app: str) -> None:
        self.log = Log()
        self.eager = True
        self.taken: list[AriLine] = []
        self.ari = Ari(
            url=pbx.ari_url, username="tillit", password=Secret(pbx.ari_password), app=app, seconds=5.0, log=self.log.logger
        )  # fmt: skip
        self.telephony = Telephony(
            self.ari,
            node="node",
            seconds=5.0,
            country="SE",
            answer=self._answer,
            marked=_none,
            disown=_nothing,
            records=Records(_none, _unknown, _settled),
            eager=lambda: self.eager,
            log=self.log.logger,
        )

    @property
    def calls(self) -> list[str]:
        """The channels that it has taken."""
        return [line.caller.channel for line in self.taken]

    async def _answer(self, line: AriLine, taken: Progress | None) -> None:
        assert line.caller.policy == "main"
        self.taken.append(line)
        await line.ended()


async def _none() -> frozenset[str]:
    return frozenset()


async def _nothing(channel: str) -> bool:
    return False


async def _unknown(channel: str, gone: bool) -> Progress | None:
    return None


async def _settled() -> None:
    return


class Site:
    """A PBX whose dialplan offers calls, and the workers there."""

    def __init__(self, pbx: Pbx, ami: Ami, http: aiohttp.ClientSession) -> None:
        self.pbx = pbx
        self.http = http
        self._ami = ami

    @asynccontextmanager
    async def worker(self, app: str) -> AsyncIterator[Worker]:
        """One that is connected."""
        made = Worker(self.pbx, app)
        await made.ari.open()
        listening = asyncio.create_task(made.ari.listen(made.telephony))
        await wait_for(lambda: made.log.of("reconciled"), f"{app} to be connected")
        try:
            yield made
        finally:
            await self.end()
            listening.cancel()
            await made.telephony.drained(0)
            await asyncio.gather(listening, return_exceptions=True)
            await made.ari.close()
            assert not made.log.of("offer.failed") and not made.log.of("task.failed"), made.log.lines

    async def call(self) -> str:
        """A call comes in; its channel."""
        number = next(_serial)
        body = {
            "endpoint": "Local/100@callers/n",
            "context": "far",
            "extension": "s",
            "channelId": f"far-{number}",
            "otherChannelId": f"near-{number}",
        }
        async with self.http.post(f"{self.pbx.ari_url}/channels", json=body) as answer:
            assert answer.status == 200, await answer.text()
        return f"near-{number}"

    async def reached(self, channel: str, status: str) -> None:
        """Wait until the call has come back from `tillit-verify`."""
        await self._ami.user_event("Reached", Uniqueid=channel, Status=status)

    async def claim(self, channel: str, app: str) -> int:
        """What Asterisk answers to this."""
        body = {"channelId": channel, "application": app}
        async with self.http.post(f"{self.pbx.ari_url}/events/claim", json=body) as answer:
            return answer.status

    async def doing(self, channel: str) -> dict[str, Any]:
        """What the dialplan is at with this call."""
        async with self.http.get(f"{self.pbx.ari_url}/channels/{channel}") as answer:
            told: dict[str, Any] = (await answer.json())["dialplan"]
            return told

    async def end(self) -> None:
        """Hang up whatever there is."""
        async with self.http.get(f"{self.pbx.ari_url}/channels") as answer:
            for channel in await answer.json():
                await self.http.delete(f"{self.pbx.ari_url}/channels/{channel['id']}")
        await asyncio.to_thread(self.pbx.wait_idle)


@pytest.fixture
async def site(pbx: Pbx) -> AsyncIterator[Site]:
    pbx.cli(f"dialplan set global TILLIT_BROADCAST {OFFERED}")
    login = aiohttp.encode_basic_auth("tillit", pbx.ari_password)
    async with aiohttp.ClientSession(headers={"Authorization": login}) as http, Ami(pbx) as ami:
        made = Site(pbx, ami, http)
        yield made
        await made.end()


async def test_each_call_goes_to_one_of_the_workers_and_stands_there_as_any_other(site: Site) -> None:
    async with site.worker("tillit") as one, site.worker("tillit-2") as two:
        calls = [await site.call() for _ in range(30)]
        await wait_for(lambda: len(one.calls) + len(two.calls) == len(calls), "all calls to be taken")
        assert Counter(one.calls + two.calls) == Counter(calls)
        assert one.calls and two.calls
        for worker in (one, two):
            told = await site.doing(worker.calls[0])
            assert (told["app_name"], told["app_data"]) == ("Stasis", f"{worker.ari.app},inbound,main,,,,")
        # too late
        assert await site.claim(calls[0], "tillit") == 404


async def test_nobody_there_is_a_sentence_within_the_time_that_was_set(site: Site) -> None:
    begun, said = time.monotonic(), len(site.pbx.said())
    await site.reached(await site.call(), "unavailable")
    assert time.monotonic() - begun < OFFERED / 1000 + SENTENCE + 1
    # whole, and once
    assert site.pbx.said(said).count("Playing 'tillit/unavailable") == 1


async def test_who_would_not_serve_a_call_well_lets_the_others_go_first(site: Site) -> None:
    async with site.worker("tillit") as one, site.worker("tillit-2") as two:
        one.eager = False
        first = [await site.call() for _ in range(5)]
        await wait_for(lambda: set(two.calls) == set(first), "the other one to take them")
        two.telephony.close()
        last = await site.call()
        await wait_for(lambda: one.calls == [last], "it to take what nobody else wants")


async def test_a_call_that_was_claimed_by_a_worker_that_is_gone_is_offered_anew(site: Site) -> None:
    """It has lost its connection since, or was never there."""
    async with site.worker("tillit") as living:
        living.eager = False
        channel = await site.call()
        async with asyncio.timeout(5):
            while await site.claim(channel, "tillit-9") != 204:
                await asyncio.sleep(0.005)
        living.eager = True
        await wait_for(lambda: living.calls == [channel], "the living one to take it")


async def test_a_call_that_hangs_between_its_claim_and_the_application_is_offered_anew(site: Site) -> None:
    """The worker that claimed it stands still from that moment, with its connection open."""
    async with (
        site.http.ws_connect(f"{site.pbx.ari_url}/events?app=tillit-9") as hangs,
        site.worker("tillit") as living,
    ):
        living.eager = False
        channel = await site.call()
        while (await hangs.receive_json())["type"] != "CallBroadcast":
            pass
        assert await site.claim(channel, "tillit-9") == 204
        begun = time.monotonic()
        living.eager = True
        await wait_for(lambda: living.calls == [channel], "the living one to take it")
        # as long as it was offered, and two seconds; the clock of the first part began before
        assert time.monotonic() - begun < OFFERED / 1000 + 3
        assert (await site.doing(channel))["app_data"] == "tillit,inbound,main,,,,"


async def test_a_call_that_nobody_lives_to_serve_is_not_offered_for_ever(site: Site) -> None:
    async with site.worker("tillit") as one:
        one.telephony.evict(ConnectionError())
        begun = time.monotonic()
        channel = await site.call()
        await site.reached(channel, "unavailable")
        assert time.monotonic() - begun < OFFERED / 1000 + SENTENCE + 1 and not one.calls


async def test_a_worker_hears_of_offers_only_where_its_filter_says_so(site: Site) -> None:
    """What it sees when it does: who calls, and nothing of the policy."""
    assert "CallBroadcast" in TYPES
    async with site.http.ws_connect(f"{site.pbx.ari_url}/events?app=tillit-9") as deaf:
        allowed = {"allowed": [{"type": name} for name in TYPES if name != "CallBroadcast"]}
        await site.http.put(f"{site.pbx.ari_url}/applications/tillit-9/eventFilter", json=allowed)
        await site.reached(await site.call(), "unavailable")
        with pytest.raises(TimeoutError):
            await deaf.receive_json(timeout=0.1)


async def test_without_the_dialplans_setting_or_asterisks_application_calls_go_to_the_first_worker(site: Site) -> None:
    async with site.worker("tillit") as one, site.worker("tillit-2") as two:
        await asyncio.to_thread(site.pbx.cli, "module unload app_stasis_broadcast.so")
        try:
            calls = [await site.call() for _ in range(3)]
            await wait_for(lambda: set(one.calls) == set(calls), "the first one to take them")
        finally:
            await asyncio.to_thread(site.pbx.cli, "module load app_stasis_broadcast.so")
        await asyncio.to_thread(site.pbx.cli, 'dialplan set global TILLIT_BROADCAST ""')
        calls += [await site.call() for _ in range(3)]
        await wait_for(lambda: set(one.calls) == set(calls), "the first one to take these as well")
        assert not two.calls
