"""One receiver and what is on its way there: when each message is tried, and when the receiver counts as away."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic, time

from structlog.typing import FilteringBoundLogger

from ivr.errors import StoreError
from ivr.hooks.messages import Message
from ivr.hooks.outbox import Outbox
from ivr.hooks.receiver import Receiver, Refusal

# Seconds between looks at what is due.
LOOK_SECONDS = 1.0
# Seconds that what is being told may take when the process is stopped.
_ENDING_SECONDS = 2.0
# Messages that it is sent at once.
_AT_ONCE = 8
# Seconds before the second try, the third and so on, give or take a fifth: as Standard Webhooks has it, then every few hours.
_WAITS = (5, 30, 120, 600, 1800, 3600, 2 * 3600, 4 * 3600, 6 * 3600)
# Of so many different messages it has taken none: it is away.
_AWAY = 8
# Seconds between tries of one that is away, give or take a fifth.
_AWAY_WAITS = (5, 10, 20, 40, 80, 160, 300)
# Seconds between looks at what is too old to be told.
_OLD_SECONDS = 60.0

_RANDOM = random.SystemRandom()


class Line:
    """`run` until it is cancelled; `stir` where there may be more to tell."""

    def __init__(
        self, name: str, receiver: Receiver, outbox: Outbox, log: FilteringBoundLogger, wall: Callable[[], float] = time
    ) -> None:  # fmt: skip
        self.receiver = receiver
        self._name = name
        self._outbox = outbox
        self._log = log
        self._wall = wall
        self._news = asyncio.Event()
        self._under_way: dict[int, asyncio.Task[None]] = {}
        # whose end what was found does not know yet
        self._ended = set[int]()
        # what it has not taken since it took something last
        self._refused = set[int]()
        self._probes = 0
        self._rests_until = float("-inf")
        self._looked_for_old = float("-inf")

    def stir(self) -> None:
        """Look again."""
        self._news.set()

    async def run(self, turn: asyncio.Event, until: Callable[[], float]) -> None:
        """For ever, while it is this process's `turn`; nothing is begun after `until` (monotonic seconds)."""
        try:
            while True:
                await turn.wait()
                self._news.clear()
                self._ended.clear()
                try:
                    await self._look(until)
                except StoreError as error:
                    self._log.error("webhooks.unavailable", error=str(error))
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._news.wait()
        finally:
            # what is being told need not be told twice
            left = tuple(self._under_way.values())
            if left:
                await asyncio.wait(left, timeout=_ENDING_SECONDS)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _look(self, until: Callable[[], float]) -> None:
        await self._leave_old()
        for message in await self._next():
            # whoever hung may have lost its turn meanwhile
            if monotonic() > until():
                break
            place = message.place
            if len(self._under_way) < self._room and place not in self._under_way and place not in self._ended:
                task = asyncio.create_task(self._tell(message))
                self._under_way[place] = task
                task.add_done_callback(partial(self._over, place))

    @property
    def _away(self) -> bool:
        return len(self._refused) >= _AWAY

    @property
    def _room(self) -> int:
        return 1 if self._away else _AT_ONCE

    async def _next(self) -> tuple[Message, ...]:
        if not self._away:
            return tuple(await self._outbox.due(self._name, self._wall(), 2 * _AT_ONCE))
        if self._under_way or monotonic() < self._rests_until:
            return ()
        # any of them will do: whether it is there again is what is asked
        return tuple(await self._outbox.due(self._name, None, 1))

    async def _leave_old(self) -> None:
        """What nobody came to try is given up too, however long the receiver is away."""
        if monotonic() - self._looked_for_old < _OLD_SECONDS:
            return
        self._looked_for_old = monotonic()
        before = int(self._wall()) - self.receiver.rules.give_up_hours * 3600
        count = await self._outbox.give_up(self._name, before)
        if count:
            self._log.error("webhooks.given_up", receiver=self._name, count=count)

    async def _tell(self, message: Message) -> None:
        try:
            refusal = await self.receiver.tell(message.id, message.body, self._wall())
            await self._after(message, refusal)
        except StoreError as error:
            # it may be told twice, which its id shows
            self._log.error("webhooks.unavailable", error=str(error))
            await asyncio.sleep(LOOK_SECONDS)
        except Exception as error:  # noqa: BLE001 (a fault of ours: other messages go on)
            self._log.error("task.failed", code=f"webhooks/{self._name}", error=type(error).__name__)
            await asyncio.sleep(LOOK_SECONDS)

    async def _after(self, message: Message, refusal: Refusal | None) -> None:
        if refusal is None:
            await self._outbox.taken(message)
            self._log.info("webhook.told", receiver=self._name, id=message.id, tries=message.tries + 1)
            await self._is_there()
            return
        now = self._wall()
        wait = max(_WAITS[min(message.tries, len(_WAITS) - 1)] * _RANDOM.uniform(0.8, 1.2), refusal.wait)
        self._is_away(message, refusal)
        tries = message.tries + 1
        if refusal.final or now + wait > message.since + self.receiver.rules.give_up_hours * 3600:
            await self._outbox.not_taken(message, None)
            self._log.error("webhook.given_up", receiver=self._name, id=message.id, error=refusal.words, tries=tries)
            return
        await self._outbox.not_taken(message, now + wait)
        self._log.warning(
            "webhook.failed", receiver=self._name, id=message.id, error=refusal.words, tries=tries, seconds=round(wait)
        )

    async def _is_there(self) -> None:
        was_away, self._probes = self._away, 0
        self._refused.clear()
        if was_away:
            self._log.info("webhook.back", receiver=self._name)
            await self._outbox.hurry(self._name)

    def _is_away(self, message: Message, refusal: Refusal) -> None:
        was_away = self._away
        self._refused.add(message.place)
        if not self._away:
            return
        wait = _AWAY_WAITS[min(self._probes, len(_AWAY_WAITS) - 1)] * _RANDOM.uniform(0.8, 1.2)
        self._probes += 1
        self._rests_until = monotonic() + max(wait, refusal.wait)
        if not was_away:
            self._log.warning("webhook.away", receiver=self._name, error=refusal.words)

    def _over(self, place: int, _: asyncio.Task[None]) -> None:
        del self._under_way[place]
        self._ended.add(place)
        self._news.set()
