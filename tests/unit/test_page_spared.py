"""A flood of refused requests is counted, and does not fill the disk."""

from __future__ import annotations

import pytest
import structlog

from ivr.metrics.served import HeardServed, ServedMeters
from ivr.page.routes import FIRST, NAMES
from ivr.page.spared import Spared
from ivr.web.problems import STATUSES


def line(status: int, event: str = "page.request") -> dict[str, object]:
    return {
        "event": event,
        "route": FIRST,
        "method": "GET",
        "status": status,
        "seconds": 0.001,
        "reason": None,
        "left_out": 0,
    }


def test_of_refused_requests_one_is_written_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("ivr.web.visitors.monotonic", lambda: now)
    meters = ServedMeters("page", NAMES, STATUSES)
    spared = Spared(HeardServed(meters))

    def written(status: int) -> dict[str, object] | None:
        try:
            return dict(spared(None, "info", line(status)))
        except structlog.DropEvent:
            return None

    assert [written(200) == line(200) for _ in range(3)] == [True] * 3
    for status in (404, 421, 429):
        assert written(status) == line(status)
        assert [written(status) for _ in range(100)] == [None] * 100
        assert meters.answers.labels(FIRST, "GET", str(status))._value.get() == 101
    now += 10.0
    assert written(404) == {**line(404), "left_out": 100}
    assert dict(spared(None, "error", line(404, "page.unavailable")))["event"] == "page.unavailable", "of others, each"
