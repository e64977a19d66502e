"""What the desk and the proxy expose: who asks for what, what is refused and why, and whether they know who talks with whom."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping
from time import monotonic, time
from typing import Any, Protocol

from prometheus_client.metrics_core import Metric

from ivr.call.proof import Stage, Way
from ivr.errors import Unavailable
from ivr.metrics.own import Own, gauge, node_of, one_of

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Those that HTTP has for such as we are; any other one is `other`."""

RESULTS = ("told", "failed", "given_up")

PROOF_WAYS = frozenset(way.value for way in Way)
PROOF_STAGES = frozenset(stage.value for stage in Stage)

# An answer takes some milliseconds; the longest time limit is 15 s, and a CRM behind the proxy may be slow.
_ANSWER = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
# Seconds for which what the database has said of webhooks is good: it counts rows.
_LOOK_SECONDS = 10.0

Line = MutableMapping[str, Any]


class Node(Protocol):
    """A node's manager interface, and what is known by it."""

    @property
    def place(self) -> str: ...

    @property
    def connected(self) -> bool: ...

    @property
    def known(self) -> bool: ...


class Standing(Protocol):
    """How a webhook's receiver stands; `oldest` in seconds since the epoch."""

    @property
    def waiting(self) -> int: ...
    @property
    def oldest(self) -> int: ...
    @property
    def dead(self) -> int: ...


class Outbox(Protocol):
    """What there is to be told. Raises `Unavailable`."""

    async def standing(self) -> Mapping[str, Standing]: ...

    async def unread(self) -> int: ...


class ServedMeters(Own):
    """The proxy's numbers, and the desk's as far as they are the same."""

    def __init__(
        self, name: str, routes: Iterable[str], reasons: Collection[str], *, lasting: Collection[str] = ()
    ) -> None:
        """`routes`: patterns of addresses, by which requests are counted, and those of them behind which pages stay open.

        `reasons`: why a request may be refused.
        """
        super().__init__(name)
        self.routes = frozenset(routes)
        self.lasting = frozenset(lasting)
        self.reasons = frozenset(reasons)
        self._nodes: list[Node] = []
        self.answers = self.counter(
            "tillit_http_requests", ("route", "method", "status"),
            help="Requests that were answered, by the pattern of their address.",
        )  # fmt: skip
        self.answering = self.histogram(
            "tillit_http_seconds", ("route",), _ANSWER, help="How long it took to answer; of pages that stay open, nothing."
        )  # fmt: skip
        self.refusals = self.counter("tillit_refusals", ("reason",), help="Requests that were refused, by the reason.")
        for reason in self.reasons:
            self.refusals.labels(reason)

    def watch(self, node: Node) -> None:
        """Show whether it is known there who talks with whom."""
        self._nodes.append(node)

    def families(self) -> Iterable[Metric]:
        """Also of nodes."""
        managed = gauge("tillit_manager_connected", ("node",), help="Whether its manager interface is logged in to.")
        known = gauge("tillit_talks_known", ("node",), help="Whether it is known who talks with whom there.")
        for node in self._nodes:
            managed.add_metric((node_of(node.place),), node.connected)
            known.add_metric((node_of(node.place),), node.known)
        yield managed
        yield known
        yield from super().families()


class DeskMeters(ServedMeters):
    """The desk's numbers."""

    def __init__(
        self, name: str, routes: Iterable[str], reasons: Collection[str], receivers: Collection[str], *, lasting: Collection[str] = ()
    ) -> None:  # fmt: skip
        """`receivers`: of webhooks."""
        super().__init__(name, routes, reasons, lasting=lasting)
        self.receivers = frozenset(receivers)
        self.webhooks = self.counter(
            "tillit_webhooks", ("receiver", "result"), help="What became of telling webhooks' receivers."
        )
        for receiver in self.receivers:
            for result in RESULTS:
                self.webhooks.labels(receiver, result)
        self.proofs = self.counter(
            "tillit_proofs",
            ("way", "stage"),
            help="Proofs of who speaks that have come so far, by how they reach the person.",
        )
        for way in PROOF_WAYS:
            for stage in PROOF_STAGES:
                self.proofs.labels(way, stage)
        self._pages: Callable[[], Mapping[str, int]] = dict
        self._outbox: Mailbox | None = None

    def show(self, pages: Callable[[], Mapping[str, int]], outbox: Outbox | None) -> None:
        """`pages`: how many are open of each kind; `outbox`: None where nobody is told of anything."""
        self._pages = pages
        if outbox is not None:
            self._outbox = Mailbox(outbox)
            self.looked = (*self.looked, self._outbox)

    def families(self) -> Iterable[Metric]:
        """Also of pages and webhooks."""
        pages = gauge("tillit_pages", ("kind",), help="Pages that are open.")
        for kind, number in self._pages().items():
            pages.add_metric((kind,), number)
        yield pages
        if self._outbox is not None:
            yield from self._outbox.families()
        yield from super().families()


class Mailbox:
    """What waits for webhooks' receivers. It is looked up now and then, however often Prometheus asks."""

    def __init__(self, outbox: Outbox, *, lasts: float = _LOOK_SECONDS) -> None:
        """`lasts`: seconds for which an answer is good."""
        self._outbox = outbox
        self._lasts = lasts
        self._looked_at = float("-inf")
        self._standing: Mapping[str, Standing] = {}
        self._unread: int | None = None

    async def look(self) -> None:
        """See how it stands; a database that is away shows nothing."""
        if monotonic() - self._looked_at < self._lasts:
            return
        self._looked_at = monotonic()
        try:
            self._standing, self._unread = await self._outbox.standing(), await self._outbox.unread()
        except Unavailable:
            self._standing, self._unread = {}, None

    def families(self) -> Iterable[Metric]:
        """As it stood."""
        waiting = gauge("tillit_webhooks_waiting", ("receiver",), help="Messages that a receiver is still to be told.")
        oldest = gauge("tillit_webhooks_oldest_seconds", ("receiver",), help="Since when the oldest of them waits.")
        dead = gauge("tillit_webhooks_given_up", ("receiver",), help="Messages that were given up, and are kept.")
        for name, one in self._standing.items():
            waiting.add_metric((name,), one.waiting)
            oldest.add_metric((name,), max(0.0, time() - one.oldest) if one.waiting else 0.0)
            dead.add_metric((name,), one.dead)
        yield waiting
        yield oldest
        yield dead
        unread = gauge(
            "tillit_webhooks_unread_rows", (), help="Rows of the audit trail that no desk has read for them."
        )
        if self._unread is not None:
            unread.add_metric((), self._unread)
        yield unread


class HeardServed:
    """A processor of structlog, as `Heard` is one of a worker's lines."""

    def __init__(self, meters: ServedMeters) -> None:
        self._meters = meters
        self._heard: dict[str, Callable[[Line], None]] = {
            "web.request": lambda line: self._answered(line, "route"),
            "proxy.request": lambda line: self._answered(line, "pattern"),
            "page.request": lambda line: self._answered(line, "route"),
        }
        if isinstance(meters, DeskMeters):
            for result in RESULTS:
                self._heard[f"webhook.{result}"] = _counting(meters, result)
            self._heard["webhooks.given_up"] = _counting(meters, "given_up")
            for stage in PROOF_STAGES:
                self._heard[f"proof.{stage}"] = _proving(meters, stage)
            self._heard["proof.moved"] = _proving(meters)

    def __call__(self, _: object, level: str, line: Line) -> Line:
        event = line["event"]
        if (heard := self._heard.get(event)) is not None:
            heard(line)
        if level in ("warning", "error"):
            self._meters.troubles.labels(event, level).inc()
        return line

    def _answered(self, line: Line, route_in: str) -> None:
        meters = self._meters
        route, method = one_of(line.get(route_in), meters.routes), one_of(line.get("method"), METHODS)
        status, seconds, reason = line.get("status"), line.get("seconds"), line.get("reason")
        # a CRM may answer with any number
        known = isinstance(status, int) and 100 <= status <= 599
        meters.answers.labels(route, method, str(status) if known else "other").inc()
        if isinstance(seconds, (int, float)) and route not in meters.lasting:
            meters.answering.labels(route).observe(seconds)
        if reason is not None:
            meters.refusals.labels(one_of(reason, meters.reasons)).inc()


def _counting(meters: DeskMeters, result: str) -> Callable[[Line], None]:
    def count(line: Line) -> None:
        number = line.get("count", 1)
        times = number if isinstance(number, int) and number > 0 else 1
        meters.webhooks.labels(one_of(line.get("receiver"), meters.receivers), result).inc(times)

    return count


def _proving(meters: DeskMeters, stage: str = "") -> Callable[[Line], None]:
    def count(line: Line) -> None:
        meters.proofs.labels(
            one_of(line.get("way"), PROOF_WAYS), one_of(stage or line.get("stage"), PROOF_STAGES)
        ).inc()

    return count
