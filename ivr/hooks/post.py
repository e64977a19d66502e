"""Sends what the outbox holds: to each receiver by itself, of each call one after another, until it is taken."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from time import monotonic, time
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from ivr.call.mark import Mark
from ivr.config import Settings, Webhook, secrets_of
from ivr.errors import StoreError
from ivr.hooks.outbox import Message, Outbox, Watched
from ivr.hooks.receiver import Receiver, Refusal
from ivr.lock.words import Channel
from ivr.secret import Secret
from ivr.store.turn import Turn

# Seconds between looks into the trail, and at the marks that were told of.
_LOOK_SECONDS = 1.0
# Seconds that another process waits for one that is gone.
TURN_SECONDS = 15.0
# Seconds within which a mark is placed behind its row, or there is none.
_PLACED_SECONDS = 10
# Seconds that what is being told may take when the process is stopped.
_ENDING_SECONDS = 2.0
# Messages that one receiver is sent at once.
_AT_ONCE = 8
# Seconds before the second try, the third and so on, give or take a fifth: as Standard Webhooks has it, then every few hours.
_WAITS = (5, 30, 120, 600, 1800, 3600, 2 * 3600, 4 * 3600, 6 * 3600)
# What was given up is kept for so long.
_KEPT_SECONDS = 30 * 24 * 3600

_RANDOM = random.SystemRandom()


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
        self, receivers: Mapping[str, Receiver], outbox: Outbox, marks: Marks, turn: Turn, log: FilteringBoundLogger,
        *, wall: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        self._receivers = receivers
        self._outbox = outbox
        self._marks = marks
        self._turn = turn
        self._log = log
        self._wall = wall
        self._mine = asyncio.Event()
        self._until = 0.0
        self._asking: asyncio.Task[bool] | None = None
        self._news = {name: asyncio.Event() for name in receivers}

    async def run(self) -> None:
        """For ever. A part that is down is told of, and tried again."""
        tasks = [asyncio.create_task(self._read(), name="webhooks/read")]
        tasks += [asyncio.create_task(self._serve(name), name=f"webhooks/{name}") for name in self._receivers]
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
            for receiver in self._receivers.values():
                await receiver.close()
            if self._asking is not None:
                await asyncio.gather(self._asking, return_exceptions=True)
            with suppress(StoreError):
                await self._turn.give_back()

    # ------------------------------------------------------------ what is to be told

    async def _read(self) -> None:
        told = ""
        while True:
            try:
                asked = monotonic()
                # not cut short: it would be carried out behind what gives the turn back
                self._asking = asyncio.create_task(self._turn.mine())
                if await asyncio.shield(self._asking):
                    self._until = asked + TURN_SECONDS / 2
                    self._mine.set()
                    await self._look()
                else:
                    self._mine.clear()
                told = ""
            except StoreError as error:
                # whose turn it is cannot be known
                self._mine.clear()
                if str(error) != told:
                    told = str(error)
                    self._log.error("webhooks.unavailable", error=told)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _look(self) -> None:
        now = self._wall()
        longest = max(receiver.rules.give_up_hours for receiver in self._receivers.values())
        while await self._outbox.read(int(now) - longest * 3600):
            self._stir()
        await self._look_at_marks(int(now))
        if forgotten := await self._outbox.forget(int(now) - _KEPT_SECONDS):
            self._log.info("webhooks.forgotten", count=forgotten)

    async def _look_at_marks(self, now: int) -> None:
        seen, gone = dict[Channel, int](), list[tuple[Watched, str]]()
        for one in await self._outbox.watched():
            mark = await self._marks.mark(*one.call)
            if mark is not None and mark.subject == one.subject:
                if mark.expires != one.until:
                    seen[one.call] = mark.expires
            elif one.until or now - one.since >= _PLACED_SECONDS:
                gone.append((one, one.reason or ("expired" if 0 < one.until <= now else "over")))
        await self._outbox.seen(seen)
        await self._outbox.gone(gone, now)
        if gone:
            self._stir()

    def _stir(self) -> None:
        for news in self._news.values():
            news.set()

    # ------------------------------------------------------------ telling

    async def _serve(self, name: str) -> None:
        receiver, news = self._receivers[name], self._news[name]
        under_way: dict[int, asyncio.Task[None]] = {}
        # whose end what was found does not know yet
        ended = set[int]()
        try:
            while True:
                await self._mine.wait()
                news.clear()
                ended.clear()
                try:
                    found = await self._outbox.due(name, self._wall(), 2 * _AT_ONCE)
                except StoreError:
                    found = []
                for message in found:
                    # whoever hung may have lost its turn meanwhile
                    if monotonic() > self._until:
                        break
                    if len(under_way) < _AT_ONCE and message.place not in under_way and message.place not in ended:
                        task = asyncio.create_task(self._tell(name, receiver, message))
                        under_way[message.place] = task
                        task.add_done_callback(partial(_over, under_way, ended, message.place, news))
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await news.wait()
        finally:
            # what is being told need not be told twice
            left = tuple(under_way.values())
            if left:
                await asyncio.wait(left, timeout=_ENDING_SECONDS)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _tell(self, name: str, receiver: Receiver, message: Message) -> None:
        try:
            refusal = await receiver.tell(message.id, message.body, self._wall())
            await self._after(name, receiver, message, refusal)
        except StoreError as error:
            # it may be told twice, which its id shows
            self._log.error("webhooks.unavailable", error=str(error))
            await asyncio.sleep(_LOOK_SECONDS)
        except Exception as error:  # noqa: BLE001 (a fault of ours: other messages go on)
            self._log.error("task.failed", code=f"webhooks/{name}", error=type(error).__name__)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _after(self, name: str, receiver: Receiver, message: Message, refusal: Refusal | None) -> None:
        if refusal is None:
            await self._outbox.taken(message)
            self._log.info("webhook.told", receiver=name, id=message.id, tries=message.tries + 1)
            return
        now = self._wall()
        wait = _WAITS[min(message.tries, len(_WAITS) - 1)] * _RANDOM.uniform(0.8, 1.2)
        again = now + max(wait, refusal.wait)
        if refusal.final or again > message.since + receiver.rules.give_up_hours * 3600:
            await self._outbox.not_taken(message, None)
            self._log.error(
                "webhook.given_up", receiver=name, id=message.id, error=refusal.words, tries=message.tries + 1
            )
            return
        await self._outbox.not_taken(message, again)
        self._log.warning(
            "webhook.failed", receiver=name, id=message.id, error=refusal.words, tries=message.tries + 1,
            seconds=round(again - now),
        )  # fmt: skip


def _over(
    under_way: dict[int, asyncio.Task[None]], ended: set[int], place: int, news: asyncio.Event, _: asyncio.Task[None]
) -> None:
    del under_way[place]
    ended.add(place)
    news.set()
