"""Codes told by a call, for telephones that no text reaches: nothing is said before whoever answers has pressed the keys named."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine, Sequence

from ivr.asterisk.leg import GONE, finished
from ivr.asterisk.outpost import Ear, Outpost, mint
from ivr.call.ports import Heard
from ivr.config.voice import Voice
from ivr.errors import AriError, Unavailable
from ivr.prompts import Prompt, digits
from ivr.secret import Personal, Secret

_NO = Secret("*")

# Drawn for each call, and no two the same: a greeting may have been made to press one, or all, and a mailbox would keep the code.
_KEYS = 2

# How often they are asked for: the sentence takes up to ten seconds, and a person needs some to find the keys.
_ASKED = 3
_PATIENCE = 6.0
# Asterisk itself hangs up so long behind the last ring, where nobody is there any more to do it.
_LONGEST = 90


class Announcer:
    """Implements `call.ports.Voice`, by whichever Asterisk is there."""

    def __init__(self, outposts: Sequence[Outpost], line: Voice, *, patience: float = _PATIENCE) -> None:
        """`line`: how such calls go out; `patience`: seconds that keys are waited for behind each time that they are named."""
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
        if (answer := await self._pressed(outpost, ear, channel)) is not Heard.SAID:
            return answer
        said = digits(code.reveal())
        whole = await self._play(outpost, ear, channel, (Prompt.YOUR_CODE, *said, Prompt.ONCE_MORE, *said))
        return Heard.SAID if whole else Heard.HUNG_UP

    async def _pressed(self, outpost: Outpost, ear: Ear, channel: str) -> Heard:
        """`SAID` where the keys were pressed, and the code may be; asks for some a few times."""
        drawn = "".join(secrets.SystemRandom().sample("0123456789", _KEYS * _ASKED))
        for at in range(0, len(drawn), _KEYS):
            keys = drawn[at : at + _KEYS]
            asking = self._play(outpost, ear, channel, (Prompt.PRESS_FOR_CODE,))
            if (answer := await _meanwhile(asking, _denied(ear), 0.0)) is not None:
                return answer
            # from here on: some press the first while the second is said
            naming = self._play(outpost, ear, channel, digits(keys))
            if (answer := await _meanwhile(naming, _right(ear, keys), self._patience)) is not None:
                return answer
        return Heard.NO_KEY

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


async def _meanwhile(
    playing: Coroutine[object, object, bool], listening: Coroutine[object, object, Heard], seconds: float
) -> Heard | None:
    """What was answered while this was played, or so long behind it; None where nothing was."""
    played, answered = asyncio.ensure_future(playing), asyncio.ensure_future(listening)
    try:
        await asyncio.wait((played, answered), return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            if not played.result():
                return Heard.HUNG_UP
            await asyncio.wait((answered,), timeout=seconds)
        return answered.result() if answered.done() else None
    finally:
        for one in (played, answered):
            one.cancel()
        await asyncio.gather(played, answered, return_exceptions=True)


async def _denied(ear: Ear) -> Heard:
    """Wait for the key that says no, or the end; what else is pressed was pressed before it was asked for."""
    while (key := await ear.key()) is not None:
        if key == _NO:
            return Heard.DENIED
    return Heard.HUNG_UP


async def _right(ear: Ear, keys: str) -> Heard:
    """Wait for these keys, and for no other one."""
    for wanted in keys:
        key = await ear.key()
        if key is None:
            return Heard.HUNG_UP
        if key != Secret(wanted):
            return Heard.DENIED if key == _NO else Heard.NO_KEY
    return Heard.SAID
