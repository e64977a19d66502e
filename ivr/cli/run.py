"""`ari_app.py run`: a worker in the foreground."""

from __future__ import annotations

from ivr import app
from ivr.config import Settings


def run(settings: Settings) -> None:
    """Verify callers until stopped with SIGTERM or Ctrl-C. Raises `ConfigError` where it cannot start, `Unreachable` where it could later."""
    app.run(settings)
