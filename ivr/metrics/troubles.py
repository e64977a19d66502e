"""The warnings and errors that alerts look for: these are counted from 0, so that the first one can be seen.

Prometheus sees no growth in a counter that begins with 1. Others are counted from their first time on.
"""

from __future__ import annotations

from collections.abc import Mapping

TROUBLES: Mapping[str, str] = {
    "ari.disconnected": "warning",
    "ari.forgotten": "warning",
    "audit.failed": "error",
    "bridge.left": "error",
    "call.stuck": "error",
    "calls.shed": "warning",
    "channel.stuck": "error",
    "channel.unknown": "warning",
    "gateway.failed": "error",
    "gateway.rests": "warning",
    "guessing.suspected": "warning",
    "leg.left": "error",
    "mark.not_dropped": "error",
    "metrics.refused": "warning",
    "policy.unknown": "error",
    "prompt.failed": "error",
    "task.failed": "error",
    "text.barred": "warning",
    "text.failed": "error",
    "texts.closed": "warning",
    "worker.relieved": "warning",
    "worker.replaced": "warning",
    "worker.took_over": "warning",
}
"""Each with its level."""
