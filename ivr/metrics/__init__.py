"""What a worker shows of itself to monitoring: numbers for Prometheus, whether it turns, whether it is ready.

It stands outside of calls: `Meters` hears the log's lines, and the ports are wrapped where the worker is put together.
"""

from ivr.metrics.heard import Heard
from ivr.metrics.meters import Meters
from ivr.metrics.ports import TimedCustomers, TimedPins, TimedTexts, TimedTrail
from ivr.metrics.ready import Health, Readiness
from ivr.metrics.server import serving

__all__ = [
    "Health",
    "Heard",
    "Meters",
    "Readiness",
    "TimedCustomers",
    "TimedPins",
    "TimedTexts",
    "TimedTrail",
    "serving",
]
