"""A caller and the agents who are called for the caller: from the first ring to the end of the conversation."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ari import Ari
from ivr.asterisk.leg import AriLeg, Legs, finished
from ivr.asterisk.parted import is_parted
from ivr.call.ports import Badge, Caller, Leg
from ivr.errors import AriError, HungUp

# What our bridges are called by, so that one that nobody knows any more can be found.
BRIDGE_PREFIX = "tillit-bridge-"

# Seconds within which Asterisk tells of a channel that has ended.
_TOLD = 1.0


class Meeting:
    """That of one caller."""

    def __init__(
        self, ari: Ari, caller: Caller, legs: Legs, *, gone: asyncio.Event, begun: Callable[[], Awaitable[None]],
        log: FilteringBoundLogger,
    ) -> None:  # fmt: skip
        """`gone`: the caller's channel has ended; `begun` is awaited when the two are bridged."""
        self._ari = ari
        self._caller = caller
        self._legs = legs
        self._gone = gone
        self._begun = begun
        self._log = log
        self._leg: AriLeg | None = None
        self._left_behind = False
        self.bridge: str | None = None
        """The one that was made, or is being made, for this call."""

    @property
    def began(self) -> bool:
        """Whether the caller and an agent were bridged."""
        return self._leg is not None

    @property
    def over(self) -> bool:
        """Whether they were, and the agent has left again."""
        return self._leg is not None and self._leg.ended.is_set()

    @property
    def goes_on(self) -> bool:
        """Whether the caller and an agent are bridged."""
        return self._leg is not None and not self._leg.ended.is_set()

    def leave(self) -> None:
        """The worker is going: a conversation stays as it is, for the next worker to take up."""
        if self._leg is not None and self.goes_on:
            self._left_behind = self._leg.left_behind = True

    def forget(self) -> None:
        """The call goes on although the agent has left."""
        self._leg = None

    async def ring(self, endpoint: str, *, badge: Badge, seconds: int) -> AriLeg:
        """Call an agent; returns when Asterisk has taken the request."""
        number = self._caller.number
        leg = AriLeg(self._ari, endpoint, self._caller.channel)
        # the phone is listened for before it is called, and a call that was begun is always heard out
        self._legs.add(leg)
        try:
            await finished(leg.originate(badge, number=number, seconds=seconds))
        except BaseException:
            # nobody else knows of it: it would ring on, and whoever picks up would hear silence
            await finished(self._drop(leg))
            raise
        return leg

    async def join(self, leg: Leg) -> bool:
        """Bridge the caller with an agent who has answered; as `call.ports.Line` has it."""
        assert isinstance(leg, AriLeg)
        self.bridge = bridge = BRIDGE_PREFIX + secrets.token_hex(8)
        try:
            await finished(self._ari.request("POST", f"bridges/{bridge}", {"type": "mixing", "name": self._ari.app}))
            members = [self._caller.channel, leg.channel]
            try:
                await self._ari.request("POST", f"bridges/{bridge}/addChannel", {"channel": members})
            except AriError:
                if await self._left(leg):
                    return False
                raise
            self._leg = leg
            await leg.tie(self._log)
            # not sooner: whose worker dies before this is taken back by the watchdog
            await self._begun()
            self._log.info("agent.joined", endpoint=leg.endpoint)
            await self._talk(leg)
            return True
        finally:
            if not self._left_behind:
                await finished(self._destroy(bridge))
                self.bridge = None

    # ------------------------------------------------------------ inside

    async def _talk(self, leg: AriLeg) -> None:
        """Until the agent has left. Raises `HungUp` where the two were parted: they are Asterisk's now, and come back by themselves."""
        try:
            await leg.ended.wait()
        except asyncio.CancelledError:
            if not self._left_behind:
                # of two who are parted, either may be told of first: who then is the agent's leg must not be ended
                await finished(self._until_told(leg))
            raise
        with suppress(AriError):
            # where it cannot be asked, neither can the caller be hung up
            if await is_parted(self._ari, self._caller.channel):
                self._log.info("agent.parted", endpoint=leg.endpoint)
                raise HungUp(self._caller.channel)

    async def _until_told(self, leg: AriLeg) -> None:
        """Wait until it is told of the caller's end, or of the agent's, but not for long."""
        ends = [asyncio.ensure_future(one.wait()) for one in (leg.ended, self._gone)]
        await asyncio.wait(ends, timeout=_TOLD, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()

    async def _left(self, leg: AriLeg) -> bool:
        """Whether the agent has left; raises `HungUp` where it was the caller.

        Asterisk refuses to bridge who is going sooner than it tells of the end, and the channel is still there.
        """
        for channel in (leg.channel, self._caller.channel):
            try:
                await self._ari.request("GET", f"channels/{channel}", channel=channel)
            except AriError as error:
                if error.status != 404:
                    continue
                if channel == self._caller.channel:
                    raise HungUp(channel) from None
                leg.destroyed(None)
                return True
        try:
            async with asyncio.timeout(_TOLD):
                await leg.ended.wait()
        except TimeoutError:
            return False
        return True

    async def _drop(self, leg: AriLeg) -> None:
        """End a leg that was given to nobody."""
        leg.destroyed(None)
        try:
            await self._ari.request("DELETE", f"channels/{leg.channel}", channel=leg.channel)
        except AriError as error:
            if error.status == 404:
                self._legs.pop(leg.channel)
            else:
                self._log.error("leg.left", channel=leg.channel, error=str(error))

    async def _destroy(self, bridge: str) -> None:
        try:
            await self._ari.request("DELETE", f"bridges/{bridge}")
        except AriError as error:
            if error.status != 404:
                self._log.error("bridge.left", bridge=bridge, error=str(error))
