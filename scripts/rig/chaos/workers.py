"""Two workers on one Redis: one serves and the other stands by, or they share the calls; who has ended is started anew."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

from rig.stage import Stage
from rig.state import RigError, wait_until
from rig.worker import Worker

_LIMIT = 40.0
# Who has both applications lets calls end before it gives one away, for a minute at most.
_SHARING_LIMIT = 90.0


class Pair:
    """A context manager. Each worker has a name, and so a chain of the audit trail, of its own."""

    def __init__(self, stage: Stage, port: int, env: Mapping[str, str], *, sharing: bool = False) -> None:
        """`port`: where both reach ARI; `env`: what they are started with besides; `sharing`: each takes calls."""
        self._env = env
        self._sharing = sharing
        self._stage = stage
        self._port = port
        self._serial = count(1)
        self._configs = []
        shared = {"at_once": 2} if sharing else {}
        for name in ("north", "south"):
            stage.write_config(
                {"worker": {"name": name, **shared}, "asterisk": {"url": f"http://127.0.0.1:{port}/ari"}}
            )
            config = stage.config.with_name(f"{name}.toml")
            config.write_text(stage.config.read_text())
            self._configs.append(config)
        self._workers = [self._made(place) for place in range(2)]
        self._former: list[Worker] = []

    def start(self) -> None:
        """Start both, and wait until they are as they should be."""
        self._workers[0].start()
        self._workers[1].launch()
        self.mend()

    def mend(self) -> None:
        """Start anew who has ended, and wait until both do what they are there for."""
        for place, worker in enumerate(self._workers):
            if not worker.child.alive:
                self._former.append(worker)
                self._workers[place] = anew = self._made(place)
                anew.launch()
        try:
            if self._sharing:
                wait_until(self._both_serve, _SHARING_LIMIT, "both workers to serve")
            else:
                wait_until(self._in_order, _LIMIT, "one worker to serve and the other to stand by")
        except TimeoutError as error:
            logs = ", ".join(str(worker.log_file) for worker in self._workers)
            raise RigError(f"{error} (logs: {logs})") from None

    @property
    def serving(self) -> Worker:
        """The one that has the calls; the first of two that have."""
        return next((worker for worker in self._workers if worker.serves), self._workers[0])

    def lines(self) -> list[dict[str, Any]]:
        """All that they have logged."""
        return [line for worker in (*self._former, *self._workers) for line in worker.log()]

    def __enter__(self) -> Pair:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            if worker.started and worker.child.alive:
                worker.child.resume()
                worker.stop()

    def _made(self, place: int) -> Worker:
        config = self._configs[place]
        return Worker(
            self._stage.pbx, config, name=f"{config.stem}{next(self._serial)}", env=self._env, port=self._port
        )

    def _both_serve(self) -> bool:
        return all(worker.child.alive and worker.serves for worker in self._workers)

    def _in_order(self) -> bool:
        serving = [worker for worker in self._workers if worker.serves]
        waiting = [
            worker
            for worker in self._workers
            if worker not in serving and any(line.get("event") == "worker.stands_by" for line in worker.log())
        ]
        return len(serving) == 1 and len(waiting) == 1 and all(worker.child.alive for worker in self._workers)
