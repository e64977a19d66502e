"""config/redis.conf, as an administrator fills it in."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from rig.ports import HOST
from rig.redis_server import Redis
from rig.state import CHECKOUT


def sampled(server: Redis, password: str | None, file: Path = CHECKOUT / "config" / "redis.conf") -> str:
    """For this server's port and folder; None: the worker's user has no password yet. `file`: another one than that of now."""
    text = file.read_text()
    changes = [
        ("bind 127.0.0.1 -::1\n", f"bind {HOST}\n"),
        ("port 6379\n", f"port {server.port}\n"),
        ("dir /var/lib/redis\n", f"dir {server.folder}\n"),
    ]
    if password is not None:
        changes.append(("user tillit on resetpass ", f"user tillit on #{sha256(password.encode()).hexdigest()} "))
    for before, after in changes:
        assert text.count(before) == 1
        text = text.replace(before, after)
    return text
