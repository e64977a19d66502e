"""Agents' phones."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ivr.call.ports import (
    Badge,
)
from ivr.errors import AriError
from tests.unit.fakes.plot import Plot


@dataclass(frozen=True)
class Agent:
    """How an agent's phone takes a call: answers after so many seconds (None: never), talks for so many.

    `ending`: why it does not answer, and `gives_up` after so many seconds it says so. `leaves`: gone between
    answering and being bridged. `deaf`: Asterisk fails to hang it up.
    """

    answers: float | None = 3.0
    talks: float = 60.0
    ending: str = "no_answer"
    gives_up: float | None = None
    leaves: bool = False
    deaf: bool = False


BUSY = Agent(answers=None, ending="busy", gives_up=0.5)
NOBODY = Agent(answers=None)


class FakeLeg:
    """An agent's phone; implements `ports.Leg`."""

    def __init__(self, plot: Plot, endpoint: str, agent: Agent, badge: Badge, seconds: float) -> None:
        self.badge = badge
        self.agent = agent
        self.up = False
        self.ended = asyncio.Event()
        self._plot = plot
        self._endpoint = endpoint
        self._ending = "failed"
        self._answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        loop = asyncio.get_running_loop()
        if agent.answers is not None and agent.answers < seconds:
            loop.call_later(agent.answers, self._answer)
        else:
            loop.call_later(seconds if agent.gives_up is None else agent.gives_up, self.end, agent.ending)

    @property
    def endpoint(self) -> str:
        return self._endpoint

    @property
    def ending(self) -> str:
        return self._ending

    @property
    def alive(self) -> bool:
        """Whether it rings, or talks."""
        return not self.ended.is_set()

    async def answered(self) -> bool:
        async with self._plot.operation("leg.answered", seconds=0.0):
            return await asyncio.shield(self._answered)

    async def hang_up(self) -> None:
        if self.ended.is_set():
            return
        try:
            async with self._plot.operation("leg.hang_up"):
                if self.agent.deaf:
                    raise AriError(f"DELETE channels ({self._endpoint})", 500)
                self.end("hung_up")
        except asyncio.CancelledError:
            # the request is on its way
            if not self.agent.deaf:
                self.end("hung_up")
            raise

    def end(self, why: str) -> None:
        if self.ended.is_set():
            return
        self._ending = why
        self.ended.set()
        if not self._answered.done():
            self._answered.set_result(False)

    def _answer(self) -> None:
        if self.ended.is_set():
            return
        self.up = True
        self._answered.set_result(True)
        if self.agent.leaves:
            self.end("hung_up")
