"""Blocks of ports on 127.0.0.1 that no other rig on this machine uses at the same time."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

from rig.state import RigError

HOST = "127.0.0.1"
_BLOCK = 50
_LOWEST = 10_000
# Blocks of one instance with few calls.
_SMALL = 20


class Ports:
    """A block of free ports, held until `close`.

    Asterisk cannot be told to take any free port, and a port that was probed and let go may be lost
    to a neighbour. So the first port of each block is a lock: it stays bound here, the kernel frees it
    if this process dies, and every rig asks for the lock first.
    """

    def __init__(self, size: int = _BLOCK) -> None:
        count = -(-size // _BLOCK)
        for start in _starts(count, _ephemeral_start()):
            locks = _lock(start, count)
            if locks:
                self._locks = locks
                self._free = [port for port in range(start, start + count * _BLOCK) if port % _BLOCK]
                return
        raise RigError(f"no {size} free ports on {HOST} from {_LOWEST}: end what holds them (ss -ltnup)")

    def take(self) -> int:
        """Return a port of the block that is free for TCP and UDP."""
        while self._free:
            port = self._free.pop(0)
            if _is_free(port):
                return port
        raise RigError("this block of ports is used up: ask for a larger one")

    def rest(self) -> tuple[int, int]:
        """Take all ports that are left, as first (even) and last: a range for RTP."""
        first, last = self._free[0], self._free[-1]
        self._free = []
        return first + first % 2, last

    def close(self) -> None:
        """Let the block go."""
        for lock in self._locks:
            lock.close()
        self._locks = []


def _starts(count: int, end: int) -> list[int]:
    """Where so many blocks may begin, in the order of trying.

    The upper third is for large ones, from the top down: small ones in the middle of it would leave no room. Anywhere else
    by chance, so that what is late for an instance that has ended seldom reaches another one.
    """
    starts = list(range(_LOWEST, end - count * _BLOCK, _BLOCK))
    if count > _SMALL:
        return starts[::-1]
    lower = [start for start in starts if start < _LOWEST + (end - _LOWEST) * 2 // 3]
    upper = starts[len(lower) :]
    random.shuffle(lower)
    random.shuffle(upper)
    return lower + upper


def _lock(start: int, count: int) -> list[socket.socket]:
    with contextlib.ExitStack() as undo:
        locks = []
        for port in range(start, start + count * _BLOCK, _BLOCK):
            lock = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            try:
                lock.bind((HOST, port))
            except OSError:
                return []
            locks.append(lock)
        undo.pop_all()
        return locks


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                return False
    return True


def _ephemeral_start() -> int:
    # Above this the kernel gives ports to anyone who connects.
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        return 32_768
