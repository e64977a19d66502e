"""The audit trail: who did what, when, and how it ended; it only grows, and shows whether it was changed."""

from ivr.audit.chain import append_within
from ivr.audit.check import Check, Fault, Report
from ivr.audit.signing import Seal, Verifier
from ivr.audit.trail import Trail
from ivr.audit.verify import verify

__all__ = ["Check", "Fault", "Report", "Seal", "Trail", "Verifier", "append_within", "verify"]
