"""The worker of `ari.py`: the real transport, decoder, lines, sessions and reconciliation, with stores and gateway in memory.

It looks for what no input may bring about: marks for nobody, secrets in the log, sessions that fail.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from ivr.asterisk.ari import Ari
from ivr.asterisk.events import Digit, Event
from ivr.asterisk.line import AriLine
from ivr.asterisk.reconcile import Records
from ivr.asterisk.telephony import Telephony
from ivr.call.arrears import Arrears
from ivr.call.languages import Languages
from ivr.call.mark import STATUS, Mark
from ivr.call.ports import Attempt, Subject
from ivr.call.progress import Progress
from ivr.call.session import Session
from ivr.call.steps import Tools
from ivr.call.verification import House
from ivr.config import Settings
from ivr.errors import StoreError
from ivr.secret import Personal, Secret
from ivr.staff import TENANT
from rig.fuzz.case import Finding, logger
from rig.fuzz.exchange import Json
from rig.fuzz.source import Source
from rig.fuzz.wire import URL, Wire
from tests.unit.fakes import (
    FakeCodes,
    FakeCustomers,
    FakeIdentities,
    FakeLive,
    FakePins,
    FakeProofs,
    FakeTexts,
    FakeTotps,
    FakeTrail,
    FakeTurns,
    Plot,
    index,
)

ANNA, PIN, PHONE, PASSWORD = "100200", "58204719", "+46701740601", "canary-7c1f52d0"
GONE = "1699999999.1"
"""Whose mark another worker has left behind."""


def anna() -> Subject:
    """The one customer there is."""
    return Subject(
        key=f"{TENANT}:{index(ANNA)}",
        known=True,
        ref="ref-anna",
        name=Personal("Anna A"),
        mobile=Personal(PHONE),
        pin=FakePins.record(PIN),
    )


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
        if not all(digit in keyed for digit in PIN):
            raise Finding("a mark for who has not keyed the PIN")
        if mark.level == 2 and not any(
            all(digit in codes for digit in self._sent.code(nth))
            for nth in range(len(self._sent.sent))
            for codes in [iter(self._keyed[mark.channel])]
        ):
            raise Finding("a mark for who has not keyed a code")
        await super().place_mark(mark, attempt, progress)


class Worker:
    """One, and the wire that it is on."""

    def __init__(
        self,
        source: Source,
        settings: Settings,
        known: Mapping[str, Any],
        customer: Subject,
        clock: Callable[[], float],
    ) -> None:
        self._source = source
        # what no input may bring about, where it cannot be raised: those who see it are called by what is tested
        self._faults: list[str] = []
        self._letters = ""
        self._running: Counter[str] = Counter()
        self._bad: BaseException | None = None
        self.keyed: dict[str, list[str]] = {}
        plot = Plot()
        self.texts = FakeTexts(plot)
        trail = FakeTrail(plot)
        self.live = _Live(plot, settings, trail, self.keyed, self.texts)
        customers = FakeCustomers(plot)
        customers.add(ANNA, customer, PHONE)
        self.log = logger((PIN, PASSWORD, PHONE), self._heard).bind()
        tools = Tools(
            settings,
            self.live,
            FakePins(plot),
            FakeTotps(plot),
            FakeCodes(),
            self.texts,
            FakeProofs(plot),
            trail,
            clock,
            {},
            FakeIdentities(plot),
            FakeTurns(plot),
        )
        languages = Languages(frozenset({"en", "sv"}), "en", "en")
        arrears = Arrears(trail, self.live, clock=clock, log=self.log)
        self._house = House(
            settings, known, customers, self.live, trail, arrears, tools, lambda: 1.7e9 + clock(), languages
        )
        self.ari = Ari(
            url=URL,
            username="tillit",
            password=Secret(PASSWORD),
            app="tillit",
            seconds=5.0,
            log=self.log,
        )
        self.wire = Wire(source, self._announced, (PIN, PASSWORD), self._faults)
        self.ari._http = cast(Any, self.wire)
        self.telephony = Telephony(
            self.ari,
            node="pbx",
            seconds=5.0,
            country="SE",
            answer=self._answer,
            marked=self._marked,
            disown=self._disown,
            records=Records(self._recorded, self._take_up, self._nothing_owed),
            log=self.log.bind(),
        )

    def settled(self) -> None:
        """Raise where a call's end has left something over."""
        left = {
            "call": self.telephony.calls,
            "line": len(self.telephony._lines),
            "leg": len(self.telephony._legs.all()),
            "bridge": len(self.wire.exchange.bridges),
            "mark": len(self.live.marks),
            "request": self.ari.waiting,
        }
        for what, count in left.items():
            if count:
                raise Finding(f"a {what} is left over")

    def judged(self) -> None:
        """Raise what a session has failed with, or the first fault."""
        if self._bad is not None:
            raise self._bad
        if self._faults:
            raise Finding(self._faults[0])

    # ------------------------------------------------------------ what its parts are given

    async def _answer(self, line: AriLine, taken: Progress | None) -> None:
        self._running[line.caller.channel] += 1
        try:
            await Session(self._house, line, self.log.bind(call=line.caller.channel), taken).run()
        except Exception as error:
            self._bad = self._bad or error
            raise
        finally:
            self._running[line.caller.channel] -= 1

    def _heard(self, line: Mapping[str, Any]) -> None:
        """A PIN is not logged digit for digit either; and whose mark is swept was forgotten by the session."""
        self._letters += "".join(value for value in line.values() if isinstance(value, str) and len(value) == 1)
        if PIN in self._letters:
            self._faults.append("the PIN in the log, digit for digit")
        if line["event"] == "mark.swept" and line["channel"] not in (GONE, *self._running.elements()):
            self._faults.append("a mark that its session did not drop")

    def _announced(self, channel: str, variables: Json) -> None:
        if variables.get(STATUS) == "verified" and ("pbx", channel) not in self.live.marks:
            self._faults.append("announced without a mark")

    async def _marked(self) -> set[str]:
        return {channel for _, channel in self.live.marks}

    async def _disown(self, channel: str) -> bool:
        return self.live.marks.pop(("pbx", channel), None) is not None

    async def _nothing_owed(self) -> None:
        return

    async def _recorded(self) -> set[str]:
        if self._source.once_in(20):
            raise StoreError("Redis: no answer in time")
        return {channel for _, channel in self.live.records}

    async def _take_up(self, channel: str, gone: bool) -> Progress | None:
        was = self.live.records.get(("pbx", channel))
        if was is None:
            return None
        if not gone:
            self.live.marks.pop(("pbx", channel), None)
        self.live.records["pbx", channel] = taken = replace(was, holder=f"{was.holder}+", taken=was.taken + 1)
        return taken

    # ------------------------------------------------------------ what listens to `Ari`

    def connected(self) -> None:
        self.telephony.connected()

    def disconnected(self) -> None:
        self.telephony.disconnected()

    def event(self, event: Event) -> None:
        match event:
            case Digit(channel, key):
                self.keyed.setdefault(channel, []).append(key.reveal())
            case _:
                pass
        self.telephony.event(event)
