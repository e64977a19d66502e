"""What happens in a run of `ari.py`: callers come, key and go, agents answer, frames are odd, connections break."""

from __future__ import annotations

import asyncio

from rig.fuzz.exchange import Channel
from rig.fuzz.source import Source
from rig.fuzz.wire import Spoiled, Wire
from rig.fuzz.worker import ANNA, PHONE, PIN
from tests.unit.fakes import FakeTexts

CALLERS = ("1700000000.1", "1700000000.2", "1700000000.3")
_TYPES = (
    "StasisStart", "CallBroadcast", "ChannelUserevent", "StasisEnd", "ChannelDtmfReceived", "PlaybackFinished", "ChannelDestroyed", "ApplicationReplaced", "RESTResponse",
    "ChannelVarset", "", "stasisstart",
)  # fmt: skip
_ODD = (
    "{",
    "[]",
    "null",
    "",
    '{"type":"StasisStart"',
    "[" * 3000,
    # as deep as it is read, which is deeper than Python writes it
    '{"type":"StasisStart","args":['
    + "[" * 1000
    + "]" * 1000
    + '],"channel":{"id":"1.1","caller":{"number":""},"language":"en"}}',
    '"' + "x" * 100_000 + '"',
    '{"type":"\\ud800"}',
    "NaN",
    "1" * 5000,
    "{}{}",
)
_NUMBERS = (
    PHONE,
    "",
    "anonymous",
    "+",
    "²²²²²²",
    "+46" + "7" * 300,
    "sip:x@y",
    "0701740601",
    "tel:+1;ext=2",
    "+٤٦٧٠١٧٤٠٦٠١",
    "\0",
    "//",
    "+++",
)
_STATUSES = (500, 404, 409, 412, 422, 503, 401, 302, 200, 0, -1, True, 10**30)


class Acts:
    """Of one run: the engine's bytes say which."""

    def __init__(self, source: Source, wire: Wire, texts: FakeTexts) -> None:
        self._source = source
        self._wire = wire
        self._exchange = wire.exchange
        self._texts = texts

    async def any(self) -> None:
        """One of them."""
        source, exchange, wire = self._source, self._exchange, self._wire
        channel = source.pick(CALLERS)
        match source.below(24):
            case 0 | 1:
                self._enter()
            case 2 | 3 | 4:
                await asyncio.sleep(source.pick((2.2, 4.5, 0.1, 11.0, 61.0)))
            case 5 | 6:
                await self.keys(channel, f"{PIN}#")
            case 7:
                if self._texts.sent:
                    await self.keys(channel, self._texts.code())
            case 8:
                await self.keys(channel, source.pick((f"{ANNA}#", "**", "*", "#", "9999#", "ABCD")))
            case 9:
                await self.keys(channel, source.pick("0123456789*#A") * source.below(300))
            case 10:
                exchange.destroy(channel, source.pick((16, 17, 0, 127)))
            case 11:
                exchange.leave(channel)
            case 12:
                self.agent()
            case 13:
                # a transfer: another channel takes the place of one
                of = source.pick((channel, *exchange.channels))
                if of in exchange.channels:
                    new = Channel(f"{channel}-x", ())
                    exchange.enter(new, replace_channel=exchange.channels[of].told())
            case 14:
                wire.feed(source.pick(_ODD) if source.once_in(2) else source.text(60))
            case 15 | 16:
                if wire.seen:
                    wire.feed_json(wire.changed(source.pick(wire.seen[-16:])))
            case 17:
                wire.feed_json(
                    {"type": source.pick(_TYPES), **{source.text(6): source.value() for _ in range(source.below(4))}}
                )
            case 18:
                if wire.seen:
                    wire.feed_json(source.pick(wire.seen[-16:]))
            case 19:
                await wire.break_off()
            case 20:
                wire.spoiled = Spoiled(source.below(4), source.below(4), source.below(4), 0)
            case 21:
                wire.spoiled = Spoiled(answers=source.below(6))
            case 22:
                number = str(source.below(60))
                wire.feed_json({
                    "type": "RESTResponse", "request_id": number, "status_code": source.pick(_STATUSES), "message_body": source.value(),
                })  # fmt: skip
            case _:
                wire.release()

    def agent(self) -> None:
        """Something becomes of an agent's phone."""
        legs = [channel for channel in self._exchange.channels.values() if channel.id.startswith("tillit-agent-")]
        if not legs:
            return
        leg = self._source.pick(legs)
        if leg.inside or self._source.once_in(3):
            self._exchange.destroy(leg.id, self._source.pick((16, 17, 19, 21)))
        else:
            leg.inside = True
            self._exchange.enter(leg)

    async def keys(self, channel: str, keys: str) -> None:
        """A caller keys."""
        known = self._exchange.channels.get(channel)
        for key in keys:
            if known is not None:
                self._wire.tell(
                    {"type": "ChannelDtmfReceived", "channel": known.told(), "digit": key, "duration_ms": 90}
                )
        await asyncio.sleep(0.3)

    def _enter(self) -> None:
        source = self._source
        args = source.pick((
            ("inbound", "main"), ("inbound", "pin"), ("inbound", "bridge"), ("inbound", "main", "again"), ("inbound", "nothing\n"),
            ("inbound",), ("agent",), (), ("inbound", ""), ("x",),
        ))  # fmt: skip
        self._exchange.enter(Channel(source.pick(CALLERS), args, source.pick(_NUMBERS)))
