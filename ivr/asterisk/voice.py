"""What a caller hears: prompts one after another, and music."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ari import Ari
from ivr.asterisk.inbox import Inbox, resolve
from ivr.asterisk.leg import GONE
from ivr.asterisk.playback import Names, Playback
from ivr.asterisk.websocket import Json
from ivr.errors import AriError, HungUp, Unavailable
from ivr.prompts import Prompt

# Seconds within which Asterisk tells of a playback that it was told to stop; it does so within milliseconds.
_AT_ONCE = 1.0


class Voice:
    """That of one channel; the end of what was said goes into the call's inbox. The methods that do not wait are for the reader of events."""

    def __init__(
        self, ari: Ari, channel: str, inbox: Inbox, *, taken: int, seconds: float, log: FilteringBoundLogger
    ) -> None:
        """`taken`: as in `Progress`; `seconds`: how long any request may take."""
        self._ari = ari
        self._channel = channel
        self._inbox = inbox
        self._taken = taken
        self._seconds = seconds
        self._log = log
        self._names = Names(channel, taken)
        self._playback: Playback | None = None
        self._failed: str | None = None
        # what the worker before had begun to play, if this is not the first one, nobody has told us
        self._music = taken > 0
        self._gaps = 0

    @property
    def silent(self) -> bool:
        """Whether nothing is played: then what would wait for its end is answered at once."""
        return self._playback is None and not self._music

    @property
    def playing(self) -> str | None:
        """The name of what is being said."""
        return None if self._playback is None else self._playback.id

    # ------------------------------------------------------------ for the reader of events

    def ended(self, playback: str, media: str, *, failed: bool) -> None:
        """A playback is over; one that was hushed says nothing to the heart."""
        playing = self._playback
        if playing is None or playing.id != playback:
            return
        if failed and playing.wanted:
            self._failed = media
        self._over(playing)

    def offline(self) -> None:
        """Events may be lost from now on."""
        self._gaps += 1

    def online(self) -> None:
        """Events come again."""
        if self._playback is not None and not self._playback.wanted:
            self._over(self._playback)

    # ------------------------------------------------------------ to the caller

    async def say(self, prompts: Sequence[Prompt], language: str) -> None:
        """Begin to play. Raises `Unavailable` where what was said before was not heard, `HungUp`."""
        self._inbox.drop_played()
        if self._failed is not None:
            # a hang-up makes playbacks fail too; a call that goes on has not been heard
            self._log.error(
                "prompt.failed", media=self._failed, cure="render scripts/prompts into Asterisk's sounds folder"
            )
            self._failed = None
            raise Unavailable(f"channel {self._channel} was played nothing")
        self._playback = playback = Playback(self._names.next())
        body = {"media": [f"sound:tillit/{prompt.value}" for prompt in prompts], "lang": language}
        gaps = self._gaps
        await self._tell("POST", f"play/{playback.id}", body, quick=True)
        playback.twice = self._gaps != gaps

    async def hush(self) -> None:
        """Stop it and wait for its end."""
        playback = self._playback
        if playback is None:
            # it may have ended before anyone has asked
            self._inbox.drop_played()
            return
        playback.wanted = False
        operation = "DELETE /playbacks"
        try:
            await self._ari.request("DELETE", f"playbacks/{playback.id}", quick=True, channel=self._channel)
            await self._stopped(playback)
            if playback.twice:
                # Asterisk plays it once more, under the same id
                await self._ari.request("DELETE", f"playbacks/{playback.id}", channel=self._channel)
        except AriError as error:
            if error.status != 404:
                raise
            self._over(playback)  # it had ended by itself
        except TimeoutError:
            raise AriError(f"{operation} ({self._channel})", 0) from None
        finally:
            self._inbox.drop_played()

    async def music(self, *, on: bool) -> None:
        """Begin it, or end it."""
        if on != self._music:
            self._music = on
            await self._tell("POST" if on else "DELETE", "moh")

    async def silence(self) -> None:
        """Stop what the worker before was playing: until it is over, Asterisk would do nothing else that is asked."""
        if not self._taken:
            return
        for name in self._names.before():
            try:
                await self._ari.request("DELETE", f"playbacks/{name}", quick=True, channel=self._channel)
            except AriError as error:
                if error.status != 404:
                    raise
        await self.music(on=False)

    # ------------------------------------------------------------ inside

    async def _stopped(self, playback: Playback) -> None:
        """Wait until it is told that this is over. Raises `TimeoutError`."""
        over = asyncio.shield(playback.over)
        await asyncio.wait((over,), timeout=min(_AT_ONCE, self._seconds))
        if not over.done():
            # It may be that nothing is told any more: then there is a new websocket within this time, or never.
            self._ari.doubt()
            async with asyncio.timeout(2 * self._seconds):
                await over

    async def _tell(
        self, method: Literal["POST", "DELETE"], what: str, body: Json | None = None, *, quick: bool = False
    ) -> None:
        try:
            await self._ari.request(
                method, f"channels/{self._channel}/{what}", body, quick=quick, channel=self._channel
            )
        except AriError as error:
            if error.status not in GONE:
                raise
            raise HungUp(self._channel) from None

    def _over(self, playback: Playback) -> None:
        if self._playback is playback:
            self._playback = None
        resolve(playback.over)
        if playback.wanted:
            self._inbox.played()
