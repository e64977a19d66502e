"""Every error, and the warnings that alerts look for: these are counted from 0, so that the first one can be seen.

Prometheus sees no growth in a counter that begins with 1. Others are counted from their first time on.
"""

from __future__ import annotations

from collections.abc import Mapping

TROUBLES: Mapping[str, str] = {
    "agent.failed": "error",
    "agent.not_tied": "error",
    "agent.stuck": "error",
    "agi.failed": "error",
    "ami.refused": "error",
    "ari.disconnected": "warning",
    "ari.forgotten": "warning",
    "ari.rubbish": "error",
    "audit.failed": "error",
    "audit.left": "error",
    "audit.owed": "error",
    "bridge.left": "error",
    "call.stuck": "error",
    "call.unavailable": "error",
    "calls.shed": "warning",
    "channel.stuck": "error",
    "channel.unknown": "warning",
    "conversation.left": "error",
    "gateway.failed": "error",
    "gateway.rests": "warning",
    "glass.asked": "warning",
    "glass.opened": "warning",
    "glass.read": "warning",
    "guessing.suspected": "warning",
    "leg.left": "error",
    "lock.failed": "error",
    "lock.unknown": "warning",
    "lock.untold": "error",
    "mark.not_dropped": "error",
    "metrics.failed": "error",
    "metrics.refused": "warning",
    "node.refused": "error",
    "offer.failed": "error",
    "oidc.failed": "error",
    "passkey.copied": "warning",
    "policy.unknown": "error",
    "prompt.failed": "error",
    "reads.stopped": "error",
    "reads.unusual": "warning",
    "reconcile.failed": "error",
    "records.failed": "error",
    "sweep.failed": "error",
    "task.failed": "error",
    "text.barred": "warning",
    "text.failed": "error",
    "texts.closed": "warning",
    "texts.not_told": "error",
    "web.failed": "error",
    "web.unavailable": "error",
    "worker.relieved": "warning",
    "worker.replaced": "warning",
    "worker.took_over": "warning",
}
"""Each with its level."""
