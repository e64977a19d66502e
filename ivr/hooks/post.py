"""Reads the trail and looks at marks, in its turn, and has each receiver told of what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic, time
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from ivr.call.mark import Mark
from ivr.config import Settings, Webhook, secrets_of
from ivr.errors import StoreError
from ivr.hooks import cursor
from ivr.hooks.line import Line
from ivr.hooks.outbox import Outbox, Watched
from ivr.hooks.receiver import Receiver
from ivr.lock.words import Channel
from ivr.secret import Secret
from ivr.store.turn import Turn
from ivr.vault import Index

# Seconds between looks into the trail, and at the marks that were told of.
_LOOK_SECONDS = 1.0
# Seconds that another process waits for one that is gone.
TURN_SECONDS = 15.0
# Seconds within which a mark is placed behind its row, or there is none.
_PLACED_SECONDS = 10
# Marks that are asked for at once.
_AT_ONCE = 100
# What was given up is kept for so long.
_KEPT_SECONDS = 30 * 24 * 3600


class Marks(Protocol):
    async def mark(self, node: str, channel: str) -> Mark | None:
        """The mark of this channel; None where there is none, or no longer."""
        ...


def secrets_of_hook(settings: Settings, name: str, hook: Webhook) -> tuple[Secret, ...]:
    """One or two; raises `ConfigError` where there is none, or it is too short."""
    return secrets_of(settings, f"[webhooks.{name}] secret", hook.secret_file, hook.secret_env, least=32)


class Post:
    """`run` until it is cancelled. Nothing that is said to it is lost when it is killed: who takes its turn goes on."""

    def __init__(
        self, receivers: Mapping[str, Receiver], outbox: Outbox, marks: Marks, turn: Turn, index: Index,
        log: FilteringBoundLogger,
        *, wall: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        self._lines = [Line(name, receiver, outbox, log, wall) for name, receiver in receivers.items()]
        self._outbox = outbox
        self._marks = marks
        self._turn = turn
        self._index = index
        self._log = log
        self._wall = wall
        self._mine = asyncio.Event()
        self._until = 0.0
        self._asking: asyncio.Task[bool] | None = None

    async def run(self) -> None:
        """For ever. A part that is down is told of, and tried again."""
        tasks = [asyncio.create_task(self._read(), name="webhooks/read")]
        tasks += [asyncio.create_task(line.run(self._mine, lambda: self._until)) for line in self._lines]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            # none of them ends by itself
            for task in done:
                task.result()
        finally:
            # once each: a second time would cut short what is being told, and whoever has the turn next would tell it again
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for line in self._lines:
                await line.receiver.close()
            if self._asking is not None:
                await asyncio.gather(self._asking, return_exceptions=True)
            with suppress(StoreError):
                await self._turn.give_back()

    # ------------------------------------------------------------ what is to be told

    async def _read(self) -> None:
        told = ""
        while True:
            more = False
            try:
                asked = monotonic()
                # not cut short: it would be carried out behind what gives the turn back
                self._asking = asyncio.create_task(self._turn.mine())
                if await asyncio.shield(self._asking):
                    self._until = asked + TURN_SECONDS / 2
                    self._mine.set()
                    more = await self._look()
                else:
                    self._mine.clear()
                told = ""
            except StoreError as error:
                # whose turn it is cannot be known
                self._mine.clear()
                if str(error) != told:
                    told = str(error)
                    self._log.error("webhooks.unavailable", error=told)
            except Exception as error:  # noqa: BLE001 (a fault of ours: it is seen, and what is to be told waits)
                if type(error).__name__ != told:
                    told = type(error).__name__
                    self._log.error("task.failed", code="webhooks/read", error=told)
            if not more:
                await asyncio.sleep(_LOOK_SECONDS)

    async def _look(self) -> bool:
        """Whether there may be more in the trail: then the turn is asked for anew before it is read on."""
        now = self._wall()
        longest = max(line.receiver.rules.give_up_hours for line in self._lines)
        count = await self._outbox.read(int(now) - longest * 3600, self._index)
        if count:
            self._stir()
        if count >= cursor.AT_ONCE:
            return True
        await self._look_at_marks(int(now))
        if forgotten := await self._outbox.forget(int(now) - _KEPT_SECONDS):
            self._log.info("webhooks.forgotten", count=forgotten)
        return False

    async def _look_at_marks(self, now: int) -> None:
        seen, gone = dict[Channel, int](), list[tuple[Watched, str]]()
        watched = await self._outbox.watched()
        for one, mark in zip(watched, await self._marks_of(watched), strict=True):
            if mark is not None and mark.subject == one.subject:
                if mark.expires != one.until:
                    seen[one.call] = mark.expires
            elif one.until or now - one.since >= _PLACED_SECONDS:
                gone.append((one, one.reason or ("expired" if 0 < one.until <= now else "over")))
        await self._outbox.seen(seen)
        await self._outbox.gone(gone, now, self._index)
        if gone:
            self._stir()

    async def _marks_of(self, watched: Sequence[Watched]) -> list[Mark | None]:
        found: list[Mark | None] = []
        for start in range(0, len(watched), _AT_ONCE):
            piece = watched[start : start + _AT_ONCE]
            found += await asyncio.gather(*(self._marks.mark(*one.call) for one in piece))
        return found

    def _stir(self) -> None:
        for line in self._lines:
            line.stir()
