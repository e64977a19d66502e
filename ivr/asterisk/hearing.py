"""Keys that a person presses in a conversation that goes on, heard for as long as somebody waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress

from ivr.asterisk.leg import GONE, finished
from ivr.asterisk.outpost import Ear, Outpost, mint
from ivr.asterisk.speaking import START_SECONDS, Ours
from ivr.call.digits import Collector, Entered, Form
from ivr.errors import AriError, StoreError, Unavailable
from ivr.secret import Secret

# Whoever reads digits from a page and keys them looks up in between; in seconds.
_BETWEEN = 8.0


class Hearer:
    """Implements `ivr.lock.proofports.Hearing`. The other one in the conversation hears the tones as well."""

    def __init__(self, outposts: Mapping[str, Outpost], ours: Ours, *, between: float = _BETWEEN) -> None:
        """`outposts`: by what marks name the nodes; `between`: seconds without a key after which an entry begins anew."""
        self._outposts = outposts
        self._ours = ours
        self._between = between

    async def entries(self, node: str, channel: str, count: int) -> AsyncGenerator[Secret]:
        """Each entry of so many digits that is keyed on this channel from now on, until it is gone. Keys that others press are none.

        Whoever waits for no more closes it. Raises `Unavailable`; what is keyed from then on is lost.
        """
        outpost = self._outposts.get(node)
        if outpost is None:
            raise Unavailable("a channel is of a node that the settings do not have")
        outpost.demand_connected()
        # Where sound goes past Asterisk, keys do as well. A channel that could speak has it come by.
        snoop = mint("speech")
        await self._ours.add(outpost.node, snoop)
        try:
            with outpost.ear(snoop) as beside, outpost.ear(channel) as ear:
                if not await self._listens(outpost, channel, snoop, beside):
                    return
                while (entry := await self._entry(ear, count)) is not None:
                    yield entry
        finally:
            # keys that are pressed for something else are not for us
            await finished(outpost.unsubscribe(channel))
            await finished(outpost.hang_up(snoop))
            with suppress(StoreError):
                # it has an end of its own there
                await self._ours.drop(outpost.node, snoop)

    async def _listens(self, outpost: Outpost, channel: str, snoop: str, beside: Ear) -> bool:
        """Whether it is there to be listened to."""
        how = {"spy": "none", "whisper": "out", "app": outpost.app, "snoopId": snoop}
        try:
            await finished(outpost.request("POST", f"channels/{channel}/snoop", how, channel=channel))
            async with asyncio.timeout(START_SECONDS):
                if not await beside.start():
                    return False
            await finished(outpost.subscribe(channel))
        except AriError as error:
            if error.status not in (*GONE, 422):
                raise
            return False
        except TimeoutError:
            raise Unavailable("Asterisk has made no channel to listen by") from None
        return True

    async def _entry(self, ear: Ear, count: int) -> Secret | None:
        """None where the channel has ended."""
        clock = asyncio.get_running_loop().time
        collector = Collector(Form(count, count, self._between, self._between))
        while True:
            try:
                async with asyncio.timeout_at(collector.deadline):
                    key = await ear.key()
            except TimeoutError:
                collector = Collector(Form(count, count, self._between, self._between))
                continue
            if key is None:
                return None
            match collector.feed(key, clock()):
                case Entered(digits):
                    return digits
                case None:
                    pass
                case _:
                    # a slip is no guess
                    collector = Collector(Form(count, count, self._between, self._between))
