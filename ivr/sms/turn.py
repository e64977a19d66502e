"""Gateways in turn: the second where the first fails, and first itself while the other is down."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from structlog.typing import FilteringBoundLogger

from ivr.call.ports import Handed
from ivr.errors import NumberRefused, TextError
from ivr.secret import Personal, Secret
from ivr.sms.gateway import Gateway

# Failures in a row after which a gateway is asked last: one may be chance, and each costs a caller half of the time.
_FAILURES = 3
# Seconds until it is asked first again. One more failure then is enough to send it back.
_REST = 60.0


class Result(StrEnum):
    """What became of a text at one gateway."""

    TAKEN = "taken"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Tried:
    """A gateway that was asked, what became of it, why, and after how many seconds; `handed`: what it has taken."""

    gateway: str
    result: Result
    why: str
    seconds: float
    handed: Handed | None = None


@dataclass(slots=True)
class _Standing:
    """How a gateway did of late."""

    failures: int = 0
    rests_until: float = -math.inf


class InTurn:
    """Several gateways as one.

    A time-out says nothing about what became of a text: it may have gone out, and the next gateway sends it again. The
    two have the same code, and twice is better than never.
    """

    def __init__(self, gateways: Mapping[str, Gateway], seconds: float, log: FilteringBoundLogger) -> None:
        """`gateways` in the order in which they are to be asked; `seconds` for all of them together."""
        self._gateways = gateways
        self._seconds = seconds
        self._log = log
        self._standings = {name: _Standing() for name in gateways}

    async def send(self, to: Personal, text: Secret, *, but: Collection[str] = ()) -> Handed:
        """Returns when one that is not of `but` has taken it. Raises `NumberRefused` where one that works will not, else `TextError`."""
        tried = await self.ask(to, text, but=but)
        if not tried:
            raise TextError("there is no other gateway")
        if (handed := tried[-1].handed) is not None:
            return handed
        # with a gateway that refuses this number alone the texts to other numbers go out, whatever the other one does
        kind = NumberRefused if any(one.result is Result.REFUSED for one in tried) else TextError
        raise kind("; ".join(f"{one.gateway}: {one.why}" for one in tried))

    async def ask(self, to: Personal, text: Secret, *, but: Collection[str] = ()) -> list[Tried]:
        """One after another until one has taken it, the last of them then; each has its share of what time is left."""
        end = _now() + self._seconds
        tried: list[Tried] = []
        names = [name for name in self._order() if name not in but]
        for place, name in enumerate(names):
            tried.append(await self._one(name, (end - _now()) / (len(names) - place), to, text))
            if tried[-1].result is Result.TAKEN:
                break
        return tried

    async def close(self) -> None:
        """End what is open."""
        for gateway in self._gateways.values():
            await gateway.close()

    # ------------------------------------------------------------ inside

    def _order(self) -> list[str]:
        """Those that rest come last, and not never: there may be no other."""
        return sorted(self._gateways, key=lambda name: self._standings[name].rests_until > _now())

    async def _one(self, name: str, seconds: float, to: Personal, text: Secret) -> Tried:
        began = _now()
        result, why, handed = await self._result(name, seconds, to, text)
        tried = Tried(name, result, why, round(_now() - began, 2), handed)
        self._note(name, tried)
        match result:
            case Result.TAKEN:
                self._log.info("gateway.took", gateway=name, seconds=tried.seconds)
            case Result.REFUSED:
                self._log.warning("gateway.refused", gateway=name, number=to.masked, why=why)
            case Result.FAILED:
                self._log.error("gateway.failed", gateway=name, error=why, seconds=tried.seconds)
        return tried

    async def _result(self, name: str, seconds: float, to: Personal, text: Secret) -> tuple[Result, str, Handed | None]:
        try:
            async with asyncio.timeout(seconds):
                return Result.TAKEN, "", await self._gateways[name].send(to, text)
        except NumberRefused as error:
            return Result.REFUSED, str(error), None
        except TextError as error:
            return Result.FAILED, str(error), None
        except TimeoutError:
            return Result.FAILED, "no answer in time", None
        except Exception as error:  # noqa: BLE001 (a fault of ours in one gateway is no reason not to ask the other)
            # its name alone: what it says may be the number
            return Result.FAILED, f"a fault of the program: {type(error).__name__}", None

    def _note(self, name: str, tried: Tried) -> None:
        standing = self._standings[name]
        if tried.result is not Result.FAILED:
            if standing.failures >= _FAILURES:
                self._log.info("gateway.back", gateway=name)
            self._standings[name] = _Standing()
            return
        standing.failures += 1
        if standing.failures >= _FAILURES and len(self._gateways) > 1:
            standing.rests_until = _now() + _REST
            self._log.warning("gateway.rests", gateway=name, failures=standing.failures, seconds=_REST)


def _now() -> float:
    return asyncio.get_running_loop().time()
