"""Every number that a worker exposes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from prometheus_client.metrics_core import Metric

from ivr.call.outcome import Budget, Scope, Status
from ivr.call.steps import all_steps
from ivr.config import Settings
from ivr.metrics.own import Own, gauge, node_of, one_of

PHASES = ("answer", "find", *all_steps(), "mark", "hand_over", "dialplan", "send_on")
RESULTS = ("taken", "refused", "failed", "retried")
OUTCOMES = ("passed", "failed", "locked")
SHED = ("calls", "rate", "lag")

# People take seconds to key, and a step has three tries and a wait for a text.
_PEOPLE = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0)
_GATEWAY = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0)


class InPhase(Protocol):
    """A call that is being run."""

    @property
    def phase(self) -> str: ...


class Watched(Protocol):
    """A node."""

    place: str

    @property
    def connected(self) -> bool: ...

    @property
    def managed(self) -> bool | None: ...

    @property
    def stands_by(self) -> bool: ...


class Meters(Own):
    """One worker's numbers."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.worker.name)
        self.nodes = tuple(node_of(place) for place in settings.asterisks)
        self.policies = frozenset(settings.policies)
        self.gateways = frozenset(name for name in (settings.texts.gateway, settings.texts.fallback) if name)
        self._calls: dict[InPhase, str] = {}
        self._watched: list[Watched] = []

        self.started = self.counter(
            "tillit_calls_started", ("policy", "node"),
            help="Calls that came in, by the policy that the dialplan names.",
        )  # fmt: skip
        self.shed = self.counter(
            "tillit_calls_shed", ("why",), help="Calls that were sent on at once, since there were too many."
        )
        self.verdicts = self.counter(
            "tillit_verdicts", ("outcome", "policy", "node"),
            help="How verifications ended; abandoned: the caller hung up before.",
        )  # fmt: skip
        self.verification = self.histogram(
            "tillit_verification_seconds", ("outcome",), _PEOPLE,
            help="From the beginning of a call to its verdict.",
        )  # fmt: skip
        self.locks = self.counter(
            "tillit_locks", ("scope",), help="Callers who were told of a lock, by what is locked."
        )
        self.steps = self.histogram(
            "tillit_step_seconds", ("step", "outcome"), _PEOPLE, help="How long steps took, and how they ended."
        )
        self.wrong = self.counter("tillit_wrong_entries", ("step",), help="Wrong PINs and codes.")
        self.texts = self.counter("tillit_texts", ("gateway", "result"), help="What gateways did with texts.")
        self.withheld = self.counter(
            "tillit_texts_withheld", ("scope",), help="Texts that did not go, by the budget that was used up."
        )
        self.gateway = self.histogram(
            "tillit_gateway_seconds", ("gateway",), _GATEWAY, help="How long gateways took to take a text, or to fail."
        )
        # so that a counter's first step up can be seen: it begins with 0
        self._begin()

    def shed_call(self, why: str) -> None:
        """Count a call that was not taken."""
        self.shed.labels(one_of(why, SHED)).inc()

    @contextmanager
    def running(self, call: InPhase, place: str) -> Iterator[None]:
        """Count this call among those that are being run."""
        self._calls[call] = node_of(place)
        try:
            yield
        finally:
            del self._calls[call]

    def watch(self, node: Watched) -> None:
        """Show whether this node is connected."""
        self._watched.append(node)

    # ------------------------------------------------------------ inside

    def _begin(self) -> None:
        for node in self.nodes:
            for policy in self.policies:
                self.started.labels(policy, node)
                for status in Status:
                    self.verdicts.labels(status.value, policy, node)
        for why in SHED:
            self.shed.labels(why)
        for status in Status:
            self.verification.labels(status.value)
        for scope in Scope:
            self.locks.labels(scope.value)
        for budget in Budget:
            self.withheld.labels(budget.value)
        for step in all_steps():
            self.wrong.labels(step)
            for outcome in OUTCOMES:
                self.steps.labels(step, outcome)
        for gateway in self.gateways:
            self.gateway.labels(gateway)
            for result in RESULTS:
                self.texts.labels(gateway, result)

    def families(self) -> Iterable[Metric]:
        """What is looked up when it is asked for, and counted nowhere."""
        calls = gauge("tillit_calls", ("phase", "node"), help="Calls that are being run.")
        now = dict.fromkeys(((phase, node) for phase in PHASES for node in self.nodes), 0)
        for call, node in self._calls.items():
            place = (one_of(call.phase, PHASES), node)
            now[place] = now.get(place, 0) + 1
        for place, count in now.items():
            calls.add_metric(place, count)
        yield calls
        connected = gauge("tillit_node_connected", ("node",), help="Whether the events of this Asterisk come in.")
        managed = gauge("tillit_manager_connected", ("node",), help="Whether its manager interface is logged in to.")
        waits = gauge(
            "tillit_node_stands_by", ("node",), help="Whether another worker serves this Asterisk, and this one waits."
        )
        for watched in self._watched:
            waits.add_metric((node_of(watched.place),), watched.stands_by)
            connected.add_metric((node_of(watched.place),), watched.connected)
            if watched.managed is not None:
                managed.add_metric((node_of(watched.place),), watched.managed)
        yield connected
        yield managed
        yield waits
        yield from super().families()
