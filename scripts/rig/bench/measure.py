"""What is measured of each contender: rising rates, waiting calls, and growth over many calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import redis

from rig.bench.contenders import WHOLE, Contender, Crowd, running
from rig.bench.load import Callers, Result, calls, sipp
from rig.bench.process import Size, size
from rig.ports import Ports
from rig.stage import Stage
from rig.state import RigError, wait_until

# Calls a second that are tried, of the small work and of the whole policy, whose callers, gateway and Redis have the same processors.
RATES, WHOLE_RATES = (40, 80, 100, 120, 140, 160), (30, 45, 60, 80)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Climb:
    """One contender at rising rates; `round_trips` to Redis a call, at the rates that were good."""

    contender: Contender
    results: list[Result]
    round_trips: float | None = None

    @property
    def highest(self) -> Result | None:
        """The highest rate that was good."""
        return next((result for result in reversed(self.results) if result.good), None)

    def at(self, rate: float) -> Result | None:
        """The lowest rate that is no lower than this one, of those that were good."""
        return next((result for result in self.results if result.good and result.rate >= rate), None)


@dataclass(frozen=True)
class Waiting:
    """What a call costs that waits for keys: KiB in Asterisk and in the worker, threads and descriptors in Asterisk."""

    calls: int
    asterisk_kib: float
    worker_kib: float
    threads: float
    descriptors: float


@dataclass(frozen=True)
class Growth:
    """The sizes of worker and Asterisk after each so many calls, and how many of them failed."""

    calls: int
    failed: int
    worker: list[Size]
    asterisk: list[Size]


class Bench:
    """Measures on one stage, whose customers are the crowd."""

    def __init__(self, stage: Stage, crowd: Crowd, ports: Ports, *, seconds: int, say: Say) -> None:
        """`seconds`: how long each rate is held."""
        self._stage = stage
        self._crowd = crowd
        self._ports = ports
        self._seconds = seconds
        self._say = say
        self._redis = redis.Redis.from_url(stage.redis.url)
        # as the documented settings have it; the rig's own are stricter
        self._redis.config_set("appendfsync", "everysec")

    def climb(self, contender: Contender, rates: Sequence[int] | None) -> Climb:
        """Rising rates, these or what fits this contender, until one is not good twice."""
        rates = rates or (WHOLE_RATES if contender.whole else RATES)
        climb: list[Result] = []
        scripts, handled = 0, 0
        with running(self._stage, contender) as pid:
            self._warm(contender, pid)
            for rate in rates:
                before = self._scripts()
                result = self._once(contender, rate, pid)
                if result.good:
                    scripts, handled = scripts + self._scripts() - before, handled + result.calls
                else:
                    # once may be somebody else's work on this machine
                    result = self._once(contender, rate, pid)
                climb.append(result)
                if not result.good:
                    break
        return Climb(contender, climb, scripts / handled if contender.whole and handled else None)

    def waiting(self, count: int, rate: int) -> Waiting:
        """Calls that wait at the keypad, all at once."""
        pbx = self._stage.pbx
        with running(self._stage, WHOLE) as pid:
            assert pid is not None
            self._warm(WHOLE, pid)
            self._say(f"{count} calls that wait …")
            before = size(pbx.child.pid), size(pid)
            whole = self._crowd.callers(WHOLE, count)
            callers = Callers(whole.extension, "waiting.xml", count, whole.numbers, whole.on_port)
            ramp = count / rate
            with sipp(pbx, callers, rate=rate, ports=self._ports, hold_seconds=int(ramp) + 10):
                wait_until(lambda: pbx.channels() == count, ramp + 30, f"{count} calls to wait")
                after = size(pbx.child.pid), size(pid)
                pbx.wait_idle(ramp + 60)
        return Waiting(
            count,
            (after[0].kib - before[0].kib) / count,
            (after[1].kib - before[1].kib) / count,
            (after[0].threads - before[0].threads) / count,
            (after[0].descriptors - before[0].descriptors) / count,
        )

    def growth(self, count: int, rate: int, *, parts: int = 4) -> Growth:
        """Many calls, in so many parts; the sizes are taken between them, when no call is there."""
        pbx = self._stage.pbx
        failed, worker, asterisk = 0, [], []
        with running(self._stage, WHOLE) as pid:
            assert pid is not None
            for part in range(parts):
                self._say(f"{count} calls at {rate}/s: part {part + 1} of {parts} …")
                callers = self._crowd.callers(WHOLE, count // parts)
                failed += calls(pbx, callers, rate=rate, application=pid, ports=self._ports).failed
                worker.append(size(pid))
                asterisk.append(size(pbx.child.pid))
        return Growth(count, failed, worker, asterisk)

    def _once(self, contender: Contender, rate: int, pid: int | None) -> Result:
        self._say(f"{contender.name}: {rate} calls/s …")
        callers = self._crowd.callers(contender, rate * self._seconds)
        return calls(self._stage.pbx, callers, rate=rate, application=pid, ports=self._ports)

    def _warm(self, contender: Contender, pid: int | None) -> None:
        """Pools are open, code is compiled, memory is taken."""
        result = calls(
            self._stage.pbx, self._crowd.callers(contender, 100), rate=50, application=pid, ports=self._ports
        )
        if result.failed:
            raise RigError(f"{contender.name}: {result.failed} of 100 calls failed (log: {self._stage.pbx.log_file})")

    def _scripts(self) -> int:
        """How many scripts Redis has run: every request of a call is one."""
        counts = self._redis.info("commandstats")
        return sum(int(counts.get(f"cmdstat_{command}", {"calls": 0})["calls"]) for command in ("evalsha", "eval"))
