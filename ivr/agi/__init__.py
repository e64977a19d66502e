"""FastAGI: an entry for dialplans that speak AGI. It hands calls over and reports marks; it never takes digits."""

from ivr.agi.server import known_policy, serving

__all__ = ["known_policy", "serving"]
