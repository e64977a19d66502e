"""What every process exposes of itself, whatever it does. A label is one of a few known words: never what a caller, or a peer, can choose."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ivr import __version__
from ivr.metrics.parts import FAULTS, Part
from ivr.metrics.troubles import TROUBLES

OTHER = "other"
"""What a label says where a value is none of those that are known."""

# A request to a store or an Asterisk next door takes a millisecond; the longest time limit is 30 s.
REQUEST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LAG = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class Looked(Protocol):
    """What is looked up elsewhere before it is shown."""

    async def look(self) -> None:
        """Raises nothing: what is not known is not shown."""
        ...


class Own:
    """One process's numbers, in a registry of their own."""

    def __init__(self, name: str) -> None:
        """`name`: what the process is called in its own log and trail."""
        self.name = name
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left out its types
        self.registry = CollectorRegistry()
        self.ready: Mapping[str, bool] = {}
        self.looked: tuple[Looked, ...] = ()
        self._waiting: list[Part] = []
        self.troubles = self.counter(
            "tillit_troubles", ("event", "level"), help="Lines of the log whose level is warning or error."
        )
        self.requests = self.histogram(
            "tillit_request_seconds", ("part", "node"), REQUEST,
            help="How long what the process asks of a part took, waiting for its turn included.",
        )  # fmt: skip
        self.faults = self.counter(
            "tillit_request_failures", ("part", "node", "why"), help="What a part did not do, and why."
        )
        self.lag = self.histogram(
            "tillit_loop_lag_seconds", (), _LAG, help="How late the event loop is: everything waits for it."
        )
        info = Gauge("tillit_build_info", "Always 1.", ("version", "worker"), registry=self.registry)
        info.labels(__version__, name).set(1)
        # so that a counter's first step up can be seen: it begins with 0
        for event, level in TROUBLES.items():
            self.troubles.labels(event, level)
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

    def counter(self, name: str, labels: tuple[str, ...], *, help: str) -> Counter:
        """One that stands in the registry."""
        return Counter(name, help, labels, registry=self.registry)

    def histogram(self, name: str, labels: tuple[str, ...], buckets: tuple[float, ...], *, help: str) -> Histogram:
        """The same."""
        return Histogram(name, help, labels, buckets=buckets, registry=self.registry)

    def families(self) -> Iterable[Metric]:
        """What is looked up when it is asked for, and counted nowhere."""
        waiting = gauge(
            "tillit_requests_waiting", ("part", "node"), help="What was asked of a part and is not answered yet."
        )
        for part in self._waiting:
            waiting.add_metric((part.name, part.node), part.waiting)
        yield waiting
        ready = gauge("tillit_ready", ("part",), help="What /readyz says of each part.")
        for name, good in self.ready.items():
            ready.add_metric((name,), good)
        yield ready


def gauge(name: str, labels: tuple[str, ...], *, help: str) -> GaugeMetricFamily:
    """For what `families` gives."""
    return GaugeMetricFamily(name, help, labels=labels)


class _AtScrape(Collector):
    """The families of a process, as the registry asks for them."""

    def __init__(self, own: Own) -> None:
        self._own = own

    def collect(self) -> Iterable[Metric]:
        return self._own.families()


def node_of(place: str) -> str:
    """A node's place in the settings, as a label."""
    return place.strip("[]")


def one_of(value: object, known: Collection[str]) -> str:
    """The value, if it is a known one."""
    return value if isinstance(value, str) and value in known else OTHER
