"""Brings a verified caller together with an agent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from structlog.typing import FilteringBoundLogger

from ivr.call.keypad import Keypad
from ivr.call.policy import Policy
from ivr.call.ports import Badge, Leg, Line
from ivr.errors import CallError, HungUp, Unavailable
from ivr.prompts import Prompt


async def connect(line: Line, policy: Policy, badge: Badge, keypad: Keypad, log: FilteringBoundLogger) -> bool:
    """Call the policy's agents and bridge the first who answers; True after they have talked.

    False when nobody answered. Leaves no channel of an agent behind, whatever happens.
    """
    groups = [[agent] for agent in policy.agents] if policy.ring == "in_turn" else [list(policy.agents)]
    waiting = asyncio.create_task(_entertain(line, keypad, Prompt.VERIFIED))
    try:
        for group in groups:
            legs = await _ring(line, group, badge, policy.ring_seconds, log)
            try:
                winner = await _first(legs, log)
                if winner is None:
                    continue
                log.info("agent.answered", endpoint=winner.endpoint)
                await _hang_up((leg for leg in legs if leg is not winner), log)
                await _stop(waiting, log)
                await _quiet(line)
                if await line.join(winner):
                    log.info("agent.left", endpoint=winner.endpoint)
                    return True
                # it may be off already
                await keypad.renew()
                waiting = asyncio.create_task(_entertain(line, keypad))
            finally:
                await _hang_up(legs, log)
        return False
    finally:
        await _stop(waiting, log)
        await _quiet(line)


async def _ring(line: Line, endpoints: list[str], badge: Badge, seconds: int, log: FilteringBoundLogger) -> list[Leg]:
    """Call these phones. One that cannot be called is passed over."""
    legs: list[Leg] = []
    try:
        for endpoint in endpoints:
            try:
                legs.append(await line.ring(endpoint, badge=badge, seconds=seconds))
                log.info("agent.ringing", endpoint=endpoint)
            except Unavailable as error:
                log.error("agent.failed", endpoint=endpoint, error=str(error))
    except BaseException:
        await _hang_up(legs, log)
        raise
    return legs


async def _first(legs: list[Leg], log: FilteringBoundLogger) -> Leg | None:
    """The first that answers; None when none of them will."""
    pending = {asyncio.create_task(leg.answered()): leg for leg in legs}
    try:
        while pending:
            done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                leg = pending.pop(task)
                if task.result():
                    return leg
                log.info("agent.missed", endpoint=leg.endpoint, why=leg.ending)
        return None
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def _entertain(line: Line, keypad: Keypad, *prompts: Prompt) -> None:
    """Say this, then music until cancelled; the agents' phones ring meanwhile.

    A caller whose worker dies while they do is taken back by Asterisk; one whose worker lives is not.
    """
    with suppress(Unavailable):
        await keypad.tell(*prompts)
        await line.music(on=True)
    await keypad.watch()


async def _stop(task: asyncio.Task[None], log: FilteringBoundLogger) -> None:
    """End it. A caller who could not be entertained is connected all the same."""
    task.cancel()
    [error] = await asyncio.gather(task, return_exceptions=True)
    if isinstance(error, Exception) and not isinstance(error, CallError):
        # the text of an error that nobody expected may hold anything
        log.error("task.failed", error=type(error).__name__, code="handover")


async def _quiet(line: Line) -> None:
    """Nothing may play when variables are set or a bridge is joined: Asterisk would wait for it."""
    try:
        await line.hush()
        await line.music(on=False)
    except (HungUp, Unavailable):
        return


async def _hang_up(legs: Iterable[Leg], log: FilteringBoundLogger) -> None:
    """All at once: neither a failure nor a hang-up of the caller keeps one of them ringing."""
    for error in await asyncio.gather(*(leg.hang_up() for leg in legs), return_exceptions=True):
        if isinstance(error, Exception):
            # as above
            log.error("agent.stuck", error=str(error) if isinstance(error, CallError) else type(error).__name__)
