"""Counts what the log says. Every transition of a call is a line there, so the heart need not tell of it twice."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

from ivr.call.outcome import Budget, Scope, Status
from ivr.call.steps import all_steps
from ivr.metrics.meters import OUTCOMES, Meters
from ivr.metrics.own import node_of, one_of

Line = MutableMapping[str, Any]

_STATUSES = frozenset(status.value for status in Status)
_SCOPES = frozenset(scope.value for scope in Scope)
_BUDGETS = frozenset(budget.value for budget in Budget)


class Heard:
    """A processor of structlog: it looks at a line, and passes it on as it is.

    Whatever stands in a line, it raises nothing, for that would end a call; and a value that is not known is `other`.
    """

    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        self._first = meters.nodes[0]
        self._steps = frozenset(all_steps())
        self._heard: dict[str, Callable[[Line], None]] = {
            "call.started": self._started,
            "call.verified": self._verified,
            "call.refused": self._refused,
            "call.hung_up": self._hung_up,
            "step.wrong": self._wrong,
            "step.ended": self._ended,
            "text.withheld": self._withheld,
            "gateway.took": self._took,
            "gateway.failed": self._failed,
            "gateway.refused": lambda line: self._text(line, "refused"),
            "gateway.retried": lambda line: self._text(line, "retried"),
        }

    def __call__(self, _: object, level: str, line: Line) -> Line:
        event = line["event"]
        if (heard := self._heard.get(event)) is not None:
            heard(line)
        if level in ("warning", "error"):
            # an event's name is a word of the program: a test holds that
            self._meters.troubles.labels(event, level).inc()
        return line

    # ------------------------------------------------------------ calls

    def _started(self, line: Line) -> None:
        self._meters.started.labels(self._policy(line), self._node(line)).inc()

    def _verified(self, line: Line) -> None:
        self._verdict(line, Status.VERIFIED.value)

    def _refused(self, line: Line) -> None:
        self._verdict(line, one_of(line.get("status"), _STATUSES))
        if line.get("lock") is not None:
            self._meters.locks.labels(one_of(line.get("lock"), _SCOPES)).inc()

    def _hung_up(self, line: Line) -> None:
        # who hangs up later has had a verdict
        if line.get("status") == Status.ABANDONED.value:
            self._verdict(line, Status.ABANDONED.value)

    def _verdict(self, line: Line, outcome: str) -> None:
        self._meters.verdicts.labels(outcome, self._policy(line), self._node(line)).inc()
        if (seconds := _seconds(line)) is not None:
            self._meters.verification.labels(outcome).observe(seconds)

    # ------------------------------------------------------------ steps

    def _wrong(self, line: Line) -> None:
        self._meters.wrong.labels(one_of(line.get("step"), self._steps)).inc()

    def _ended(self, line: Line) -> None:
        if (seconds := _seconds(line)) is not None:
            step, outcome = one_of(line.get("step"), self._steps), one_of(line.get("outcome"), OUTCOMES)
            self._meters.steps.labels(step, outcome).observe(seconds)

    # ------------------------------------------------------------ gateways

    def _took(self, line: Line) -> None:
        self._text(line, "taken")
        self._gateway_seconds(line)

    def _failed(self, line: Line) -> None:
        self._text(line, "failed")
        self._gateway_seconds(line)

    def _text(self, line: Line, result: str) -> None:
        self._meters.texts.labels(one_of(line.get("gateway"), self._meters.gateways), result).inc()

    def _gateway_seconds(self, line: Line) -> None:
        if (seconds := _seconds(line)) is not None:
            self._meters.gateway.labels(one_of(line.get("gateway"), self._meters.gateways)).observe(seconds)

    def _withheld(self, line: Line) -> None:
        self._meters.withheld.labels(one_of(line.get("scope"), _BUDGETS)).inc()

    # ------------------------------------------------------------ labels

    def _policy(self, line: Line) -> str:
        # the dialplan may name any
        return one_of(line.get("policy"), self._meters.policies)

    def _node(self, line: Line) -> str:
        place = line.get("place")
        return self._first if place is None else one_of(node_of(str(place)), self._meters.nodes)


def _seconds(line: Line) -> float | None:
    seconds = line.get("seconds")
    return float(seconds) if isinstance(seconds, (int, float)) else None
