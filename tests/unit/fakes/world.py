"""All that a worker has, and its calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import structlog
from structlog.testing import LogCapture
from structlog.typing import FilteringBoundLogger

from ivr.call.arrears import Arrears
from ivr.call.keypad import Keypad
from ivr.call.languages import Languages
from ivr.call.policy import policies
from ivr.call.ports import Caller, Subject, Waiting
from ivr.call.progress import Progress
from ivr.call.session import Session
from ivr.call.steps import Tools
from ivr.call.verification import House
from ivr.config import Settings
from ivr.secret import Personal
from ivr.staff import TENANT
from tests.unit.fakes.agents import Agent
from tests.unit.fakes.customers import FakeCustomers, FakePins, FakeTotps, index
from tests.unit.fakes.dispatch import FakeDispatch
from tests.unit.fakes.eids import FakeEid, FakeIdentities, FakeTurns
from tests.unit.fakes.line import Answers, FakeLine
from tests.unit.fakes.live import FakeCodes, FakeLive
from tests.unit.fakes.plot import Plot
from tests.unit.fakes.proofs import FakeProofs
from tests.unit.fakes.texts import FakeTexts
from tests.unit.fakes.time import VirtualLoop, clock
from tests.unit.fakes.trail import FakeTrail

EPOCH = 1_700_000_000.0

ANNA = "100200"
ANNA_PIN = "4711"
ANNA_PHONE = "+46701740601"
UNKNOWN = "999888"

_POLICIES: dict[str, dict[str, Any]] = {
    "main": {"steps": ["pin", "sms_code"], "level": 2},
    "pin": {"steps": ["pin"], "level": 1},
    "sms": {"steps": ["sms_code"], "level": 1},
    "totp": {"steps": ["totp"], "level": 1},
    "link": {"steps": ["sms_link"], "level": 1},
    "bridge": {
        "steps": ["pin"], "level": 1, "hand_over": "bridge", "agents": ["PJSIP/anna", "PJSIP/bo", "PJSIP/cleo"],
    },
}  # fmt: skip


def settings(**tables: Mapping[str, Any]) -> Settings:
    """The usual settings, with these tables' fields changed; `policies` are added to the usual ones."""
    return Settings.model_validate(
        {
            "company": {"name": "Acme", "country": "SE"},
            "page": {"url": "https://id.acme.test"},
            **tables,
            "policies": {**_POLICIES, **tables.get("policies", {})},
        }
    )


class FakeDesks:
    """`ports.Desks`: keeps what is told."""

    def __init__(self) -> None:
        self.told: list[Waiting] = []
        self.marks: list[tuple[str, str]] = []

    def tell(self, waiting: Waiting) -> None:
        self.told.append(waiting)

    def changed(self, node: str, channel: str) -> None:
        self.marks.append((node, channel))


class FakeReached:
    """`ports.Reached`: customers by the channel of theirs that was called."""

    def __init__(self) -> None:
        self.by_channel: dict[str, Subject] = {}

    async def by_call(self, node: str, channel: str, tenant: str) -> Subject | None:
        found = self.by_channel.get(channel)
        return found if found is not None and found.key.startswith(f"{tenant}:") else None


class World:
    """All that a worker has, and its calls. `anna` is a customer with PIN and mobile; time goes on between calls."""

    def __init__(self, **tables: Mapping[str, Any]) -> None:
        self.settings = settings(**tables)
        self._capture = LogCapture()
        self.plot = Plot()
        self.customers = FakeCustomers(self.plot)
        self.live = FakeLive(self.plot, self.settings)
        self.pins = FakePins(self.plot)
        self.totps = FakeTotps(self.plot)
        self.eids = {name: FakeEid(self.plot, name) for name in ("bankid", "freja", "example")}
        self.identities = FakeIdentities(self.plot)
        self.turns = FakeTurns(self.plot)
        self.codes = FakeCodes()
        self.texts = FakeTexts(self.plot)
        self.dispatch: FakeDispatch | None = None
        self.proofs = FakeProofs(self.plot)
        self.trail = FakeTrail(self.plot)
        self.arrears = Arrears(self.trail, self.live, clock=clock, log=self.logger)
        self.now = 1000.0
        self._calls = 0
        self.desks = FakeDesks()
        self.reached = FakeReached()
        self.anna = Subject(
            key=self.anna_key,
            known=True,
            ref="ref-anna",
            name=Personal("Anna Maria Andersson"),
            mobile=Personal(ANNA_PHONE),
            pin=FakePins.record(ANNA_PIN),
        )
        self.change_anna()

    def change_anna(self, **fields: Any) -> None:
        """Other fields of Anna's record."""
        self.anna = replace(self.anna, **fields)
        self.customers.add(ANNA, self.anna, ANNA_PHONE)

    @property
    def anna_key(self) -> str:
        """What her failures are counted by."""
        return f"{TENANT}:{index(ANNA)}"

    def line(
        self,
        policy: str = "main",
        *,
        number: str | None = ANNA_PHONE,
        language: str = "en",
        answers: Answers | None = None,
        agents: Mapping[str, Agent] | None = None,
        stays: float = 300.0,
        channel: str | None = None,
        again: bool = False,
        agent: str = "",
        called: bool = False,
        attestation: str = "",
    ) -> FakeLine:
        """A call that comes in."""
        self._calls += 1
        caller = Caller(
            channel=channel or f"channel-{self._calls}",
            node="node",
            number=None if number is None else Personal(number),
            language=language,
            policy=policy,
            again=again,
            agent=agent,
            called=called,
            attestation=attestation,
        )
        return FakeLine(self.plot, caller, answers=answers, agents=agents, stays=stays)

    def call(self, policy: str = "main", **how: Any) -> FakeLine:
        """Run a call to its end; what `line` takes, and the line that it was."""
        line = self.line(policy, **how)
        self.run(line)
        return line

    def run(self, line: FakeLine, taken: Progress | None = None) -> None:
        """Run this call to its end. Nothing may be left running behind it. `taken`: another worker had begun it."""
        self.play(lambda: Session(self.house(), line, self.logger, taken).run())

    def play(self, work: Callable[[], Any]) -> Any:
        """Run something else in this world's time; its result."""
        with asyncio.Runner(loop_factory=lambda: VirtualLoop(self.now)) as runner:

            async def whole() -> Any:
                try:
                    return await work()
                finally:
                    # what was handed to the database or the telephone network ends by itself
                    await asyncio.sleep(1.0)
                    left = asyncio.all_tasks() - {asyncio.current_task()}
                    assert not left, f"left running: {left}"
                    self.now = clock()

            return runner.run(whole())

    def house(self) -> House:
        return House(
            settings=self.settings,
            policies=policies(self.settings),
            customers=self.customers,
            live=self.live,
            trail=self.trail,
            arrears=self.arrears,
            tools=self.tools(),
            wall=lambda: EPOCH + clock(),
            languages=Languages(frozenset({"en", "sv"}), "en", self.settings.company.language or "en"),
            desks=self.desks,
            reached=self.reached,
        )

    def tools(self) -> Tools:
        return Tools(
            self.settings, self.live, self.pins, self.totps, self.codes, self.texts, self.proofs, self.trail, clock,
            self.eids, self.identities, self.turns, self.dispatch,
        )  # fmt: skip

    def keypad(self, line: FakeLine, *, slips: int = 3, watchdog: int = 60) -> Keypad:
        """A keypad on this line, for tests of it alone."""
        return Keypad(line, language="en", slips=slips, watchdog=watchdog, clock=clock, log=self.logger)

    @property
    def logger(self) -> FilteringBoundLogger:
        """Keeps every line, those for debugging included."""
        return cast(
            FilteringBoundLogger,
            structlog.wrap_logger(
                structlog.PrintLogger(),
                processors=[self._capture],
                wrapper_class=structlog.make_filtering_bound_logger(0),
                cache_logger_on_first_use=False,
            ),
        )

    @property
    def log(self) -> list[dict[str, Any]]:
        """What was logged."""
        return [dict(line) for line in self._capture.entries]

    def logged(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """The lines of this event, with these fields."""
        return [
            line for line in self.log if line["event"] == event and all(line.get(k) == v for k, v in fields.items())
        ]

    @property
    def outcomes(self) -> list[str]:
        """How the calls ended, as the audit trail has it."""
        return [row.outcome for row in self.trail.rows]
