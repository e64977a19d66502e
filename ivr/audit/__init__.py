"""The audit trail: who did what, when, and how it ended; it only grows, and shows whether it was changed."""

from ivr.audit.chain import append_within
from ivr.audit.trail import Trail
from ivr.audit.verify import Fault, Report, verify

__all__ = ["Fault", "Report", "Trail", "append_within", "verify"]
