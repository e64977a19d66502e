"""Codes told by a call, for telephones that no text reaches: nothing is said before whoever answers has pressed a key."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence

from ivr.asterisk.leg import GONE, finished
from ivr.asterisk.outpost import Ear, Outpost, mint
from ivr.call.ports import Heard
from ivr.config.voice import Voice
from ivr.errors import AriError, Unavailable
from ivr.prompts import Prompt, digits
from ivr.secret import Personal, Secret

KEY = Secret("1")
"""What the first sentence asks for. Answering machines press nothing, whatever they say."""

# How often it is asked for: the sentence takes about six seconds, and a person needs some to find the key.
_ASKED = 3
_PATIENCE = 4.0
# Asterisk itself hangs up so long behind the last ring, where nobody is there any more to do it.
_LONGEST = 90


class Announcer:
    """Implements `call.ports.Voice`, by whichever Asterisk is there."""

    def __init__(self, outposts: Sequence[Outpost], line: Voice, *, patience: float = _PATIENCE) -> None:
        """`line`: how such calls go out; `patience`: seconds that a key is waited for behind each time that it is asked for."""
        self._outposts = outposts
        self._line = line
        self._patience = patience

    async def tell(self, to: Personal, code: Secret, language: str) -> Heard:
        """As `Voice` says. Cancelled, it is hung up."""
        outpost = next((one for one in self._outposts if one.is_connected), None)
        if outpost is None:
            raise Unavailable("no Asterisk is there that would call")
        channel = mint("call")
        with outpost.ear(channel) as ear:
            try:
                return await self._told(outpost, ear, channel, to, code, language)
            except AriError as error:
                if error.status not in GONE:
                    raise
                return Heard.HUNG_UP
            finally:
                await finished(outpost.hang_up(channel))

    # ------------------------------------------------------------ inside

    async def _told(
        self, outpost: Outpost, ear: Ear, channel: str, to: Personal, code: Secret, language: str
    ) -> Heard:  # fmt: skip
        asked = {
            "endpoint": (self._line.dial or "").replace("{number}", to.reveal()[self._line.format == "digits" :]),
            "app": outpost.app, "appArgs": "call", "channelId": channel, "callerId": f"<{self._line.number}>",
            "timeout": self._line.ring_seconds,
            "variables": {
                "TIMEOUT(absolute)": str(self._line.ring_seconds + _LONGEST), "CHANNEL(language)": language,
            },
        }  # fmt: skip
        try:
            await finished(outpost.request("POST", "channels", asked, channel=channel))
        except AriError as error:
            if error.status != 500:
                raise
            # so Asterisk says of a trunk that is not there
            raise Unavailable("the trunk of [texts.voice] dial takes no calls") from None
        if not await ear.start():
            return Heard.NOT_ANSWERED
        if not await self._pressed(outpost, ear, channel):
            return Heard.HUNG_UP if ear.ended else Heard.NO_KEY
        said = digits(code.reveal())
        whole = await self._play(outpost, ear, channel, (Prompt.YOUR_CODE, *said, Prompt.ONCE_MORE, *said))
        return Heard.SAID if whole else Heard.HUNG_UP

    async def _pressed(self, outpost: Outpost, ear: Ear, channel: str) -> bool:
        """Whether the key was pressed; asks for it a few times."""
        pressing = asyncio.ensure_future(_right(ear))
        try:
            for _ in range(_ASKED):
                asking = asyncio.ensure_future(self._play(outpost, ear, channel, (Prompt.PRESS_FOR_CODE,)))
                await asyncio.wait((pressing, asking), return_when=asyncio.FIRST_COMPLETED)
                if pressing.done():
                    asking.cancel()
                    await asyncio.gather(asking, return_exceptions=True)
                    return pressing.result()
                if not asking.result():
                    return False
                await asyncio.wait((pressing,), timeout=self._patience)
                if pressing.done():
                    return pressing.result()
            return False
        finally:
            pressing.cancel()
            await asyncio.gather(pressing, return_exceptions=True)

    async def _play(self, outpost: Outpost, ear: Ear, channel: str, prompts: Sequence[Prompt]) -> bool:
        """Until its end; False where it was not heard to it. Cancelled, it is stopped."""
        playback = secrets.token_hex(16)
        media = [f"sound:tillit/{prompt.value}" for prompt in prompts]
        await outpost.request("POST", f"channels/{channel}/play/{playback}", {"media": media}, channel=channel)
        try:
            return await ear.played(playback)
        except asyncio.CancelledError:
            await finished(outpost.request("DELETE", f"playbacks/{playback}", channel=channel))
            raise


async def _right(ear: Ear) -> bool:
    """Wait for the key; False where it has ended instead."""
    while (key := await ear.key()) is not None:
        if key == KEY:
            return True
    return False
