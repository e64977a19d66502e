"""Every number that a worker exposes. A label is one of a few known words: never what a caller, or a peer, can choose."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ivr import __version__
from ivr.call.outcome import Budget, Scope, Status
from ivr.call.steps import all_steps
from ivr.config import Settings
from ivr.metrics.parts import FAULTS, Part
from ivr.metrics.troubles import TROUBLES

OTHER = "other"
"""What a label says where a value is none of those that are known."""

PHASES = ("answer", "find", *all_steps(), "mark", "hand_over", "dialplan", "send_on")
RESULTS = ("taken", "refused", "failed", "retried")
OUTCOMES = ("passed", "failed", "locked")
SHED = ("calls", "rate", "lag")

# A request to a store or an Asterisk next door takes a millisecond; the longest time limit is 30 s.
_REQUEST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# People take seconds to key, and a step has three tries and a wait for a text.
_PEOPLE = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0)
_GATEWAY = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0)
_LAG = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


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


class Meters:
    """One worker's numbers, in a registry of their own."""

    def __init__(self, settings: Settings) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left out its types
        self.registry = CollectorRegistry()
        self.nodes = tuple(node_of(place) for place in settings.asterisks)
        self.policies = frozenset(settings.policies)
        self.gateways = frozenset(name for name in (settings.texts.gateway, settings.texts.fallback) if name)
        self._calls: dict[InPhase, str] = {}
        self._waiting: list[Part] = []
        self._watched: list[Watched] = []
        self.ready: Mapping[str, bool] = {}

        self.started = self._counter(
            "tillit_calls_started", ("policy", "node"),
            help="Calls that came in, by the policy that the dialplan names.",
        )  # fmt: skip
        self.shed = self._counter(
            "tillit_calls_shed", ("why",), help="Calls that were sent on at once, since there were too many."
        )
        self.verdicts = self._counter(
            "tillit_verdicts", ("outcome", "policy", "node"),
            help="How verifications ended; abandoned: the caller hung up before.",
        )  # fmt: skip
        self.verification = self._histogram(
            "tillit_verification_seconds", ("outcome",), _PEOPLE,
            help="From the beginning of a call to its verdict.",
        )  # fmt: skip
        self.locks = self._counter(
            "tillit_locks", ("scope",), help="Callers who were told of a lock, by what is locked."
        )
        self.steps = self._histogram(
            "tillit_step_seconds", ("step", "outcome"), _PEOPLE, help="How long steps took, and how they ended."
        )
        self.wrong = self._counter("tillit_wrong_entries", ("step",), help="Wrong PINs and codes.")
        self.texts = self._counter("tillit_texts", ("gateway", "result"), help="What gateways did with texts.")
        self.withheld = self._counter(
            "tillit_texts_withheld", ("scope",), help="Texts that did not go, by the budget that was used up."
        )
        self.gateway = self._histogram(
            "tillit_gateway_seconds", ("gateway",), _GATEWAY, help="How long gateways took to take a text, or to fail."
        )
        self.troubles = self._counter(
            "tillit_troubles", ("event", "level"), help="Lines of the log whose level is warning or error."
        )
        self.requests = self._histogram(
            "tillit_request_seconds", ("part", "node"), _REQUEST,
            help="How long what the worker asks of a part took, waiting for its turn included.",
        )  # fmt: skip
        self.faults = self._counter(
            "tillit_request_failures", ("part", "node", "why"), help="What a part did not do, and why."
        )
        self.lag = self._histogram(
            "tillit_loop_lag_seconds", (), _LAG, help="How late the event loop is: everything waits for it."
        )
        info = Gauge("tillit_build_info", "Always 1.", ("version", "worker"), registry=self.registry)
        info.labels(__version__, settings.worker.name).set(1)
        # so that a counter's first step up can be seen: it begins with 0
        self._begin()
        self.registry.register(_AtScrape(self))
        ProcessCollector(registry=self.registry)

    def timed(self, part: str, node: str = "") -> Part:
        """What times the requests to this part; `node` is its place in the settings, where it is of one."""
        name = node_of(node)
        made = Part(
            part, name, self.requests.labels(part, name), {why: self.faults.labels(part, name, why) for why in FAULTS}
        )
        self._waiting.append(made)
        return made

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

    def _counter(self, name: str, labels: tuple[str, ...], *, help: str) -> Counter:
        return Counter(name, help, labels, registry=self.registry)

    def _histogram(self, name: str, labels: tuple[str, ...], buckets: tuple[float, ...], *, help: str) -> Histogram:
        return Histogram(name, help, labels, buckets=buckets, registry=self.registry)

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
        for event, level in TROUBLES.items():
            self.troubles.labels(event, level)

    def families(self) -> Iterable[Metric]:
        """What is looked up when it is asked for, and counted nowhere."""
        calls = _gauge("tillit_calls", ("phase", "node"), help="Calls that are being run.")
        now = dict.fromkeys(((phase, node) for phase in PHASES for node in self.nodes), 0)
        for call, node in self._calls.items():
            place = (one_of(call.phase, PHASES), node)
            now[place] = now.get(place, 0) + 1
        for place, count in now.items():
            calls.add_metric(place, count)
        yield calls
        waiting = _gauge(
            "tillit_requests_waiting", ("part", "node"), help="What was asked of a part and is not answered yet."
        )
        for part in self._waiting:
            waiting.add_metric((part.name, part.node), part.waiting)
        yield waiting
        connected = _gauge("tillit_node_connected", ("node",), help="Whether the events of this Asterisk come in.")
        managed = _gauge("tillit_manager_connected", ("node",), help="Whether its manager interface is logged in to.")
        waits = _gauge(
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
        ready = _gauge("tillit_ready", ("part",), help="What /readyz says of each part.")
        for name, good in self.ready.items():
            ready.add_metric((name,), good)
        yield ready


def _gauge(name: str, labels: tuple[str, ...], *, help: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help, labels=labels)


class _AtScrape(Collector):
    """The families of a worker, as the registry asks for them."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters

    def collect(self) -> Iterable[Metric]:
        return self._meters.families()


def node_of(place: str) -> str:
    """A node's place in the settings, as a label."""
    return place.strip("[]")


def one_of(value: object, known: Collection[str]) -> str:
    """The value, if it is a known one."""
    return value if isinstance(value, str) and value in known else OTHER
