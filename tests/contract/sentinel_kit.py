"""Settings for a Redis that sentinels guard."""

from __future__ import annotations

import rig.sentinel
from rig.ports import HOST

from ivr.config import Settings
from tests.contract.live_server import LIMITS, settings_in


class Guarded(rig.sentinel.Guarded):
    """With settings for it."""

    def settings(self, redis_lines: str = "", sentinels: list[int] | None = None) -> Settings:
        """Settings for it, and these lines of [redis]."""
        ports = self.sentinels if sentinels is None else sentinels
        places = ", ".join(f'"{HOST}:{port}"' for port in ports)
        (self.folder / "redis.password").write_text(self.password)
        (self.folder / "redis.password").chmod(0o600)
        lines = f'password_file = "redis.password"\nsentinels = [{places}]\n{redis_lines}'
        return settings_in(self.folder, lines, LIMITS.replace("all = 1000", "all = 1000000"))
