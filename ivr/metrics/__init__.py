"""What a worker, the desk and the proxy show of themselves to monitoring: numbers for Prometheus, whether they turn, whether they are ready.

It stands outside of calls and requests: the log's lines are heard, and the ports are wrapped where a process is put together.
"""

from ivr.metrics.answers import alive_answer, ready_answer
from ivr.metrics.heard import Heard
from ivr.metrics.meters import Meters
from ivr.metrics.ports import TimedCustomers, TimedIdentities, TimedPins, TimedTexts, TimedTotps, TimedTrail
from ivr.metrics.ready import Health, Readiness
from ivr.metrics.served import METHODS, DeskMeters, HeardServed, ServedMeters
from ivr.metrics.server import serving

__all__ = [
    "METHODS",
    "DeskMeters",
    "Health",
    "Heard",
    "HeardServed",
    "Meters",
    "Readiness",
    "ServedMeters",
    "TimedCustomers",
    "TimedIdentities",
    "TimedPins",
    "TimedTexts",
    "TimedTotps",
    "TimedTrail",
    "alive_answer",
    "ready_answer",
    "serving",
]
