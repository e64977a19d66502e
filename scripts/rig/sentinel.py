"""A Redis with two replicas, and three sentinels that choose another primary when it dies."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from rig.ports import HOST, Ports
from rig.process import Child
from rig.redis_server import Redis, answers
from rig.state import wait_until

NAME = "tillit"
# Three of them, of whom two must agree.
_SENTINELS, _QUORUM = 3, 2
_DOWN_MS = 500


class Guarded:
    """All six; a context manager. `nobody` is a port at which nothing listens."""

    def __init__(self, *, persist: bool = False) -> None:
        """`persist`: what was written is still there when one comes back that has ended."""
        self._persist = persist
        self.folder = Path(tempfile.mkdtemp(prefix="sentinel-"))
        self.password = secrets.token_urlsafe(12)
        self._ports = Ports()
        self._children: dict[int, Child] = {}
        self._clients: dict[int, Any] = {}
        self.ports = [self._ports.take() for _ in range(3)]
        self.nobody = self._ports.take()
        self.sentinels = [self._ports.take() for _ in range(_SENTINELS)]

    def __enter__(self) -> Self:
        try:
            for port in self.ports:
                self._serve(port)
            for port in self.ports[1:]:
                self.client(port).replicaof(HOST, self.ports[0])
            wait_until(lambda: self._connected(self.ports[0]) == 2, 20, "two replicas")
            for port in self.sentinels:
                self._guard(port)
            wait_until(self._agreed, 20, "the sentinels to know the replicas and one another")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        for child in self._children.values():
            child.kill()
        self._ports.close()
        shutil.rmtree(self.folder)

    @property
    def primary(self) -> int:
        """The port of the primary, by what one of the sentinels says: it may know of a new one later than the others."""
        return int(self._asked(self.sentinels[0]).sentinel_get_master_addr_by_name(NAME)[1])

    def client(self, port: int | None = None) -> Any:
        """One of the three, the primary unless told otherwise."""
        place = self.primary if port is None else port
        if place not in self._clients:
            self._clients[place] = redis.Redis(port=place, password=self.password, decode_responses=True)
        return self._clients[place]

    def child(self, port: int) -> Child:
        """The process at this port."""
        return self._children[port]

    @contextmanager
    def stray(self) -> Iterator[tuple[int, int]]:
        """Another Redis, and a sentinel of its own that calls it by the same name: the ports of both."""
        primary, sentinel = self._ports.take(), self._ports.take()
        self._serve(primary)
        self._guard(sentinel, primary)
        try:
            yield primary, sentinel
        finally:
            for port in (sentinel, primary):
                self._children[port].kill()

    def fail_over(self) -> None:
        """As an administrator would: in order, and nothing is lost."""
        before = self.primary
        self._asked(self.sentinels[0]).sentinel_failover(NAME)
        self.followed(before)

    def followed(self, before: int) -> None:
        """Wait until this one is the primary no more."""
        wait_until(lambda: self.primary != before, 20, "another primary")

    def settle(self) -> None:
        """Wait until the sentinels agree on a primary that has both replicas."""
        said = [self._asked(port).sentinel_get_master_addr_by_name for port in self.sentinels]

        def agreed() -> bool:
            try:
                return len({ask(NAME) for ask in said}) == 1 and self._connected(self.primary) == 2
            except redis.RedisError:
                return False

        wait_until(agreed, 30, "the sentinels to agree")

    def restore(self) -> None:
        """Start anew which of the three has ended; the sentinels make it a replica."""
        for port in self.ports:
            if not self._children[port].alive:
                self._serve(port)
        self.settle()

    def _serve(self, port: int) -> None:
        folder = self.folder / str(port)
        folder.mkdir(exist_ok=True)
        command = ["redis-server", "--bind", HOST, "--port", str(port), "--dir", str(folder), "--save", ""]
        command += ["--requirepass", self.password, "--masterauth", self.password, "--repl-diskless-sync-delay", "0"]
        command += ["--appendonly", "yes" if self._persist else "no"]
        self._run(port, command)

    def _guard(self, port: int, primary: int | None = None) -> None:
        file = self.folder / f"sentinel-{port}.conf"
        file.write_text(
            f"bind {HOST}\nport {port}\ndir {self.folder}\n"
            f"sentinel monitor {NAME} {HOST} {primary or self.ports[0]} {_QUORUM}\nsentinel auth-pass {NAME} {self.password}\n"
            f"sentinel down-after-milliseconds {NAME} {_DOWN_MS}\nsentinel failover-timeout {NAME} 1000\n"
        )
        self._run(port, ["redis-server", str(file), "--sentinel"])
        # They look at one another and at the replicas every two and every ten seconds; Redis before 7.0 cannot be told otherwise.
        with contextlib.suppress(redis.ResponseError):
            self._asked(port).execute_command("SENTINEL", "DEBUG", "INFO-PERIOD", "500", "PUBLISH-PERIOD", "200")

    def _run(self, port: int, command: list[str]) -> None:
        self._children[port] = child = Child(f"redis-{port}", command, self.folder / f"{port}.log")
        child.require(lambda: answers(port=port), 10, "Redis to answer")

    def _asked(self, port: int) -> Any:
        if port not in self._clients:
            self._clients[port] = redis.Redis(port=port, decode_responses=True)
        return self._clients[port]

    def _connected(self, port: int) -> int:
        return sum(
            isinstance(value, dict) and value.get("state") == "online"
            for value in self.client(port).info("replication").values()
        )

    def _agreed(self) -> bool:
        states = [self._asked(port).sentinel_master(NAME) for port in self.sentinels]
        return all(state["num-other-sentinels"] == _SENTINELS - 1 and state["num-slaves"] == 2 for state in states)


class Primary(Redis):
    """Whichever of the three is the primary: killed, another one takes its place; `start` brings it back as a replica."""

    def __init__(self) -> None:
        self.guarded = Guarded(persist=True)
        self.password = self.guarded.password
        self.folder = self.guarded.folder
        self.port = self.guarded.ports[0]

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{HOST}:{self.guarded.primary}/0"

    @property
    def child(self) -> Child:
        return self.guarded.child(self.guarded.primary)

    def start(self) -> None:
        self.guarded.restore()

    def stop(self) -> None:
        self.child.stop()

    def close(self) -> None:
        self.guarded.close()

    def __enter__(self) -> Self:
        self.guarded.__enter__()
        return self
