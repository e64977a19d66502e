"""`ari`: what comes from ARI while calls are run: frames of any kind and order, answers that are wrong, late or never there.

The real transport, decoder, lines, sessions and reconciliation (`worker.py`); Asterisk, the stores and the gateway are in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, cast

from ivr.asterisk import ari as transport
from ivr.asterisk import inbox
from ivr.asterisk.inspection import inspect
from ivr.call.mark import Mark
from ivr.call.policy import policies
from ivr.call.ports import Subject
from ivr.call.progress import Progress
from ivr.config import Settings
from ivr.errors import ConfigError, WorkerReplaced
from rig.fuzz.acts import CALLERS, Acts
from rig.fuzz.case import Timeless, quiet
from rig.fuzz.exchange import Channel
from rig.fuzz.source import Source
from rig.fuzz.wire import Spoiled
from rig.fuzz.worker import GONE, PASSWORD, PIN, Worker, anna

_POLICIES = {
    "main": {"steps": ["pin", "sms_code"], "level": 2},
    "pin": {"steps": ["pin"], "level": 1},
    "bridge": {"steps": ["pin"], "level": 1, "hand_over": "bridge", "agents": ["PJSIP/anna", "PJSIP/bo"]},
}


class Calls:
    """Implements `Target`. A case is a frame."""

    name: ClassVar[str] = "ari"
    allowed: ClassVar[str] = (
        "no task ends in an error; every call ends when its channel does; no line, leg, bridge or mark is left; no mark without its"
        " audit row, nor for who has not keyed PIN and code; neither in a request or in the log"
    )

    def __init__(self) -> None:
        self._timeless = Timeless()
        # so that their clock is the loop's
        inbox.monotonic = self._timeless.time  # type: ignore[attr-defined]
        transport.monotonic = self._timeless.time  # type: ignore[attr-defined]
        self._settings = Settings.model_validate({"company": {"name": "Acme", "country": "SE"}, "policies": _POLICIES})
        self._policies = policies(self._settings)
        self._anna = anna()

    def run(self, source: Source) -> int:
        run = _Run(source, self._settings, self._policies, self._anna, self._timeless)
        self._timeless.run(run.whole())
        return max(1, run.frames)


class _Run:
    """One worker's life with some calls."""

    def __init__(
        self, source: Source, settings: Settings, known: Mapping[str, Any], customer: Subject, timeless: Timeless
    ) -> None:
        self._source = source
        self._settings = settings
        self._worker = Worker(source, settings, known, customer, timeless.time)
        self._wire = self._worker.wire
        self._exchange = self._wire.exchange
        self._acts = Acts(source, self._wire, self._worker.texts)

    @property
    def frames(self) -> int:
        """So many were fed."""
        return self._wire.frames

    async def whole(self) -> None:
        """From the first connection to the worker's end."""
        worker, wire = self._worker, self._wire
        replaced = False
        self._former()
        if self._source.once_in(4):
            await self._look()
        listening = asyncio.ensure_future(worker.ari.listen(cast(Any, worker)))
        await asyncio.sleep(0.1)
        try:
            if not self._source.once_in(6):
                await self._usual(self._source.below(12))
            for _ in range(40):
                if not self._source.left or listening.done():
                    break
                await self._acts.any()
                await asyncio.sleep(0)
            # from here on all is as it should be: what was begun must come to its end
            wire.spoiled = Spoiled()
            await asyncio.sleep(6.0)
            for channel in list(self._exchange.channels):
                self._exchange.destroy(channel)
            await wire.break_off()
            await asyncio.sleep(40.0)
            if listening.done():
                try:
                    await listening
                except WorkerReplaced as error:
                    replaced = True
                    worker.telephony.evict(error)
            if not replaced:
                worker.settled()
            await worker.telephony.drained(5.0)
            worker.judged()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            self._exchange.close()
            await asyncio.sleep(1.0)

    def _former(self) -> None:
        """What another worker has left: a mark, a call that it had begun, a conversation."""
        source, live = self._source, self._worker.live
        if source.once_in(8):
            live.marks["pbx", GONE] = Mark("pbx", GONE, "ref", 1, ("pin",), "pin", 2**31, "nonce")
        if source.once_in(5):
            channel, policy = CALLERS[0], source.pick(("main", "pin", "nothing"))
            progress = Progress.begin(app="tillit", node="pbx", channel=channel, policy=policy, again=False)
            if source.once_in(2):
                progress = replace(
                    progress, subject=anna().key, hinted=True, steps=("pin:passed",), tried=source.below(4)
                )
                self._worker.keyed[channel] = list(PIN)
            if source.once_in(3):
                progress = replace(progress, status=source.pick(("refused", "locked", "unavailable")))
            live.records["pbx", channel] = progress
            if not source.once_in(3):
                self._exchange.channels[channel] = Channel(channel, ("inbound", source.pick((policy, "main"))))
        if source.once_in(5):
            members = [
                Channel("1699999999.2", ("inbound", "bridge")),
                Channel("tillit-agent-tillit-0123456789abcdef", ("agent",)),
            ]
            self._exchange.channels |= {member.id: member for member in members}
            bridge = {"id": "tillit-bridge-0", "name": "tillit", "channels": [member.id for member in members]}
            self._exchange.bridges["tillit-bridge-0"] = bridge

    async def _look(self) -> None:
        """As a worker does before it trusts this Asterisk with calls."""
        self._wire.spoiled = Spoiled(answers=self._source.below(3))
        try:
            await inspect(self._worker.ari, self._settings, "[asterisk]", self._worker.log)
        except ConfigError as error:
            quiet(error, (PASSWORD,))
        self._wire.spoiled = Spoiled()

    async def _usual(self, far: int) -> None:
        """A call as it should be, so far; now and then something comes between."""
        acts, texts = self._acts, self._worker.texts
        policy = self._source.pick(("main", "pin", "bridge"))
        channel = CALLERS[1]
        self._exchange.enter(Channel(channel, ("inbound", policy)))
        for step in range(far):
            if self._source.once_in(5):
                await acts.any()
            match step:
                case 1:
                    await acts.keys(channel, f"{PIN}#")
                case 4 if texts.sent:
                    await acts.keys(channel, texts.code())
                case 5 | 7:
                    acts.agent()
                case _:
                    await asyncio.sleep(2.3)
