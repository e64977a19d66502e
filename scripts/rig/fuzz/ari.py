"""`ari`: what comes from ARI while calls are run: frames of any kind and order, answers that are wrong, late or never there.

The real transport, decoder, lines, sessions and reconciliation; Asterisk, the stores and the gateway are in memory.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import orjson

from ivr.asterisk import ari as transport
from ivr.asterisk import inbox
from ivr.asterisk.ari import Ari
from ivr.asterisk.events import Digit, Event
from ivr.asterisk.inspection import inspect
from ivr.asterisk.line import AriLine
from ivr.asterisk.reconcile import Records
from ivr.asterisk.telephony import Telephony
from ivr.call.languages import Languages
from ivr.call.mark import STATUS, Mark
from ivr.call.policy import policies
from ivr.call.ports import Attempt, Subject
from ivr.call.progress import Progress
from ivr.call.session import Session
from ivr.call.steps import Tools
from ivr.call.verification import House
from ivr.config import Settings
from ivr.errors import ConfigError, StoreError, WorkerReplaced
from ivr.secret import Personal, Secret
from rig.fuzz.case import Finding, Timeless, logger, quiet
from rig.fuzz.exchange import Channel, Exchange, Json, Replied, Socket
from rig.fuzz.source import Source
from tests.unit.fakes import FakeCodes, FakeCustomers, FakeLive, FakePins, FakeTexts, FakeTrail, Plot, index

_ANNA, _PIN, _PHONE, _PASSWORD = "100200", "58204719", "+46701740601", "canary-7c1f52d0"
_CALLERS = ("1700000000.1", "1700000000.2", "1700000000.3")
# whose mark another worker has left behind
_GONE = "1699999999.1"
_POLICIES = {
    "main": {"steps": ["pin", "sms_code"], "level": 2},
    "pin": {"steps": ["pin"], "level": 1},
    "bridge": {"steps": ["pin"], "level": 1, "hand_over": "bridge", "agents": ["PJSIP/anna", "PJSIP/bo"]},
}
_TYPES = (
    "StasisStart", "CallBroadcast", "StasisEnd", "ChannelDtmfReceived", "PlaybackFinished", "ChannelDestroyed", "ApplicationReplaced", "RESTResponse",
    "ChannelVarset", "", "stasisstart",
)  # fmt: skip
_ODD = (
    "{",
    "[]",
    "null",
    "",
    '{"type":"StasisStart"',
    "[" * 3000,
    '"' + "x" * 100_000 + '"',
    '{"type":"\\ud800"}',
    "NaN",
    "1" * 5000,
    "{}{}",
)
_NUMBERS = (
    _PHONE,
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


class _Live(FakeLive):
    """A mark is placed only behind its audit row, and for who has keyed what is needed."""

    def __init__(
        self, plot: Plot, settings: Settings, trail: FakeTrail, keyed: dict[str, list[str]], texts: FakeTexts
    ) -> None:
        super().__init__(plot, settings)
        self._trail = trail
        self._keyed = keyed
        self._sent = texts

    async def place_mark(self, mark: Mark, attempt: Attempt, progress: Progress) -> None:
        if not any(row.call == mark.channel and row.outcome == "verified" for row in self._trail.rows):
            raise Finding("a mark without its audit row")
        keyed = iter(self._keyed.get(mark.channel, ()))
        if not all(digit in keyed for digit in _PIN):
            raise Finding("a mark for who has not keyed the PIN")
        if mark.level == 2 and not any(
            all(digit in codes for digit in self._sent.code(nth))
            for nth in range(len(self._sent.sent))
            for codes in [iter(self._keyed[mark.channel])]
        ):
            raise Finding("a mark for who has not keyed a code")
        await super().place_mark(mark, attempt, progress)


@dataclass
class _Spoiled:
    """What becomes of what Asterisk says: of the next so many events and answers."""

    lost: int = 0
    twice: int = 0
    held: int = 0
    answers: int = 0


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
        self._anna = Subject(
            key=index(_ANNA),
            known=True,
            ref="ref-anna",
            name=Personal("Anna A"),
            mobile=Personal(_PHONE),
            pin=FakePins.record(_PIN),
        )

    def run(self, source: Source) -> int:
        run = _Run(source, self._settings, self._policies, self._anna, self._timeless)
        self._timeless.run(run.whole())
        return max(1, run.frames)


class _Run:
    """One worker's life with some calls."""

    def __init__(
        self, source: Source, settings: Settings, known: Mapping[str, Any], anna: Subject, timeless: Timeless
    ) -> None:
        self.frames = 0
        self._source = source
        self._clock = timeless.time
        self._keyed: dict[str, list[str]] = {}
        self._spoiled = _Spoiled()
        self._sockets: list[Socket] = []
        self._seen: list[Json] = []
        self._held: list[Json] = []
        self._faults: list[str] = []
        self._letters = ""
        self._running: Counter[str] = Counter()
        plot = Plot()
        self._texts = FakeTexts(plot)
        self._trail = FakeTrail(plot)
        self._live = _Live(plot, settings, self._trail, self._keyed, self._texts)
        customers = FakeCustomers(plot)
        customers.add(_ANNA, anna, _PHONE)
        log = logger((_PIN, _PASSWORD, _PHONE), self._heard)
        self._log = log.bind()
        tools = Tools(settings, self._live, FakePins(plot), FakeCodes(), self._texts, self._trail, self._clock)
        languages = Languages(frozenset({"en", "sv"}), "en", "en")
        self._house = House(
            settings, known, customers, self._live, self._trail, tools, lambda: 1.7e9 + self._clock(), languages
        )
        self._exchange = Exchange(self._tell, self._announced)
        self._ari = Ari(
            url="http://127.0.0.1/ari",
            username="tillit",
            password=Secret(_PASSWORD),
            app="tillit",
            seconds=5.0,
            log=self._log,
        )
        self._ari._http = cast(Any, self)
        self._telephony = Telephony(
            self._ari,
            node="pbx",
            seconds=5.0,
            country="SE",
            answer=self._answer,
            marked=self._marked,
            disown=self._disown,
            records=Records(self._recorded, self._take_up, self._nothing_owed),
            log=self._log.bind(),
        )
        self._bad: BaseException | None = None

    # ------------------------------------------------------------ the run

    async def whole(self) -> None:
        """From the first connection to the worker's end."""
        replaced = False
        self._former()
        if self._source.once_in(4):
            await self._look()
        listening = asyncio.ensure_future(self._ari.listen(cast(Any, self)))
        await asyncio.sleep(0.1)
        try:
            if not self._source.once_in(6):
                await self._usual(self._source.below(12))
            for _ in range(40):
                if not self._source.left or listening.done():
                    break
                await self._act()
                await asyncio.sleep(0)
            # from here on all is as it should be: what was begun must come to its end
            self._spoiled = _Spoiled()
            await asyncio.sleep(6.0)
            for channel in list(self._exchange.channels):
                self._exchange.destroy(channel)
            if self._sockets:
                await self._sockets[-1].close()
            await asyncio.sleep(40.0)
            if listening.done():
                try:
                    await listening
                except WorkerReplaced as error:
                    replaced = True
                    self._telephony.evict(error)
            if not replaced:
                self._settled()
            await self._telephony.drained(5.0)
            if self._bad is not None:
                raise self._bad
            if self._faults:
                raise Finding(self._faults[0])
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            self._exchange.close()
            await asyncio.sleep(1.0)

    def _settled(self) -> None:
        left = {
            "call": self._telephony.calls,
            "line": len(self._telephony._lines),
            "leg": len(self._telephony._legs.all()),
            "bridge": len(self._exchange.bridges),
            "mark": len(self._live.marks),
            "request": len(self._ari._waiting),
        }
        for what, count in left.items():
            if count:
                raise Finding(f"a {what} is left over")

    async def _answer(self, line: AriLine, taken: Progress | None) -> None:
        self._running[line.caller.channel] += 1
        try:
            await Session(self._house, line, self._log.bind(call=line.caller.channel), taken).run()
        except Exception as error:
            self._bad = self._bad or error
            raise
        finally:
            self._running[line.caller.channel] -= 1

    def _heard(self, line: Mapping[str, Any]) -> None:
        """A PIN is not logged digit for digit either; and whose mark is swept was forgotten by the session."""
        self._letters += "".join(value for value in line.values() if isinstance(value, str) and len(value) == 1)
        if _PIN in self._letters:
            self._faults.append("the PIN in the log, digit for digit")
        if line["event"] == "mark.swept" and line["channel"] not in (_GONE, *self._running.elements()):
            self._faults.append("a mark that its session did not drop")

    async def _marked(self) -> set[str]:
        return {channel for _, channel in self._live.marks}

    async def _disown(self, channel: str) -> bool:
        return self._live.marks.pop(("pbx", channel), None) is not None

    async def _nothing_owed(self) -> None:
        return

    async def _recorded(self) -> set[str]:
        if self._source.once_in(20):
            raise StoreError("Redis: no answer in time")
        return {channel for _, channel in self._live.records}

    async def _take_up(self, channel: str, gone: bool) -> Progress | None:
        was = self._live.records.get(("pbx", channel))
        if was is None:
            return None
        if not gone:
            self._live.marks.pop(("pbx", channel), None)
        self._live.records["pbx", channel] = taken = replace(was, holder=f"{was.holder}+", taken=was.taken + 1)
        return taken

    # ------------------------------------------------------------ what there is before

    def _former(self) -> None:
        """What another worker has left: a mark, a call that it had begun, a conversation."""
        source = self._source
        if source.once_in(8):
            self._live.marks["pbx", _GONE] = Mark("pbx", _GONE, "ref", 1, ("pin",), "pin", 2**31, "nonce")
        if source.once_in(5):
            channel, policy = _CALLERS[0], source.pick(("main", "pin", "nothing"))
            progress = Progress.begin(app="tillit", node="pbx", channel=channel, policy=policy, again=False)
            if source.once_in(2):
                progress = replace(
                    progress, subject=index(_ANNA), hinted=True, steps=("pin:passed",), tried=source.below(4)
                )
                self._keyed[channel] = list(_PIN)
            if source.once_in(3):
                progress = replace(progress, status=source.pick(("refused", "locked", "unavailable")))
            self._live.records["pbx", channel] = progress
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
        self._spoiled = _Spoiled(answers=self._source.below(3))
        try:
            await inspect(self._ari, self._house.settings, "[asterisk]", self._log)
        except ConfigError as error:
            quiet(error, (_PASSWORD,))
        self._spoiled = _Spoiled()

    async def _usual(self, far: int) -> None:
        """A call as it should be, so far; now and then something comes between."""
        policy = self._source.pick(("main", "pin", "bridge"))
        channel = _CALLERS[1]
        self._exchange.enter(Channel(channel, ("inbound", policy)))
        for step in range(far):
            if self._source.once_in(5):
                await self._act()
            match step:
                case 1:
                    await self._keys(channel, f"{_PIN}#")
                case 4 if self._texts.sent:
                    await self._keys(channel, self._texts.code())
                case 5 | 7:
                    self._agent()
                case _:
                    await asyncio.sleep(2.3)

    # ------------------------------------------------------------ acts

    async def _act(self) -> None:
        source, exchange = self._source, self._exchange
        channel = source.pick(_CALLERS)
        match source.below(24):
            case 0 | 1:
                self._enter()
            case 2 | 3 | 4:
                await asyncio.sleep(source.pick((2.2, 4.5, 0.1, 11.0, 61.0)))
            case 5 | 6:
                await self._keys(channel, f"{_PIN}#")
            case 7:
                if self._texts.sent:
                    await self._keys(channel, self._texts.code())
            case 8:
                await self._keys(channel, source.pick((f"{_ANNA}#", "**", "*", "#", "9999#", "ABCD")))
            case 9:
                await self._keys(channel, source.pick("0123456789*#A") * source.below(300))
            case 10:
                exchange.destroy(channel, source.pick((16, 17, 0, 127)))
            case 11:
                exchange.leave(channel)
            case 12:
                self._agent()
            case 13:
                # a transfer: another channel takes the place of one
                of = source.pick((channel, *exchange.channels))
                if of in exchange.channels:
                    new = Channel(f"{channel}-x", ())
                    exchange.enter(new, replace_channel=exchange.channels[of].told())
            case 14:
                self._feed(source.pick(_ODD) if source.once_in(2) else source.text(60))
            case 15 | 16:
                if self._seen:
                    self._feed_json(self._changed(source.pick(self._seen[-16:])))
            case 17:
                self._feed_json(
                    {"type": source.pick(_TYPES), **{source.text(6): source.value() for _ in range(source.below(4))}}
                )
            case 18:
                if self._seen:
                    self._feed_json(source.pick(self._seen[-16:]))
            case 19:
                if self._sockets:
                    await self._sockets[-1].close()
            case 20:
                self._spoiled = _Spoiled(source.below(4), source.below(4), source.below(4), 0)
            case 21:
                self._spoiled = _Spoiled(answers=source.below(6))
            case 22:
                number = str(source.below(60))
                self._feed_json({
                    "type": "RESTResponse", "request_id": number, "status_code": source.pick(_STATUSES), "message_body": source.value(),
                })  # fmt: skip
            case _:
                held, self._held = self._held, []
                for event in reversed(held):
                    self._feed_json(event)

    def _enter(self) -> None:
        source = self._source
        args = source.pick((
            ("inbound", "main"), ("inbound", "pin"), ("inbound", "bridge"), ("inbound", "main", "again"), ("inbound", "nothing\n"),
            ("inbound",), ("agent",), (), ("inbound", ""), ("x",),
        ))  # fmt: skip
        self._exchange.enter(Channel(source.pick(_CALLERS), args, source.pick(_NUMBERS)))

    def _agent(self) -> None:
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

    async def _keys(self, channel: str, keys: str) -> None:
        known = self._exchange.channels.get(channel)
        for key in keys:
            if known is not None:
                self._tell({"type": "ChannelDtmfReceived", "channel": known.told(), "digit": key, "duration_ms": 90})
        await asyncio.sleep(0.3)

    def _changed(self, event: Json) -> Json:
        """A copy in which one thing is another one, or missing."""
        whole: Json = orjson.loads(orjson.dumps(event))
        place = whole
        for _ in range(3):
            inner = [value for value in place.values() if isinstance(value, dict)]
            if not inner or self._source.once_in(2):
                break
            place = self._source.pick(inner)
        name = self._source.pick(sorted(place)) if place else ""
        if self._source.once_in(3):
            place.pop(name, None)
        else:
            place[name] = self._source.value()
        return whole

    # ------------------------------------------------------------ what Asterisk says

    def _tell(self, event: Json) -> None:
        self._seen.append(event)
        spoiled = self._spoiled
        if spoiled.lost:
            spoiled.lost -= 1
        elif spoiled.held:
            spoiled.held -= 1
            self._held.append(event)
        else:
            self._feed_json(event)
            if spoiled.twice:
                spoiled.twice -= 1
                self._feed_json(event)

    def _feed_json(self, event: Json) -> None:
        try:
            frame = orjson.dumps(event).decode()
        except TypeError:
            # JSON can have greater numbers than this library writes; they are among the odd frames
            return
        if self._source.once_in(40):
            frame = frame[: self._source.below(len(frame) + 1)]
        self._feed(frame)

    def _feed(self, frame: str) -> None:
        self.frames += 1
        if self._sockets and not self._sockets[-1].closed:
            self._sockets[-1].feed(frame)

    def _announced(self, channel: str, variables: Json) -> None:
        if variables.get(STATUS) == "verified" and ("pbx", channel) not in self._live.marks:
            self._faults.append("announced without a mark")

    def _replied(self, method: str, path: str, body: Json) -> tuple[int, bytes] | None:
        """What Asterisk answers; None: nothing, ever."""
        if _PIN in repr(body) or _PIN in path or _PASSWORD in repr(body):
            self._faults.append("a secret in a request")
        status, said = self._exchange.answer(method, path, body)
        if self._spoiled.answers:
            self._spoiled.answers -= 1
            match self._source.below(5):
                case 0:
                    return None
                case 1:
                    return status, self._source.pick(
                        (b"{", b"[{}]", b"[1]", b'[{"id":1,"channels":[{}]}]', b"null", b"[" * 3000)
                    )
                case 2:
                    return status, orjson.dumps(said if self._source.once_in(2) else self._source.text(9))
                case _:
                    return self._source.pick((500, 404, 409, 412, 422, 503, 302)), b"{}"
        return status, b"" if said is None else orjson.dumps(said)

    # ------------------------------------------------------------ what `Ari` takes for aiohttp's session, and its listener

    async def ws_connect(self, url: str, **_: object) -> Socket:
        socket = Socket(self._asked)
        self._sockets.append(socket)
        return socket

    def request(self, method: str, url: str, *, json: Json | None, **_: object) -> Replied:
        return Replied(self._replied(method, url.removeprefix("http://127.0.0.1/ari/"), json or {}))

    def _asked(self, frame: Json) -> None:
        body = orjson.loads(frame["message_body"]) if "message_body" in frame else {}
        replied = self._replied(frame["method"], frame["uri"], body)
        if replied is not None:
            answer: Json = {"type": "RESTResponse", "request_id": frame["request_id"], "status_code": replied[0]}
            self._feed(orjson.dumps({**answer, "message_body": replied[1].decode()}).decode())

    def connected(self) -> None:
        self._telephony.connected()

    def disconnected(self) -> None:
        self._telephony.disconnected()

    def event(self, event: Event) -> None:
        match event:
            case Digit(channel, key):
                self._keyed.setdefault(channel, []).append(key.reveal())
            case _:
                pass
        self._telephony.event(event)
