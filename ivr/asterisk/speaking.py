"""Sentences spoken into a conversation that goes on under them: to a person and the agent, and to nobody who comes later."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.leg import GONE, finished
from ivr.asterisk.outpost import Outpost, mint
from ivr.asterisk.talks import Talks
from ivr.call.ports import Talk
from ivr.errors import AriError, StoreError, Unavailable
from ivr.prompts import Prompt

# A whisper is mixed into what goes to a phone: where nothing goes there, nothing is heard. A phone sends a packet every 20 or
# 30 ms; one that has been told a moment ago to send by way of Asterisk begins as soon as it has answered, which on a busy
# machine takes most of a second. Looks, and seconds.
_LOOKS = 9
_LOOK_SECONDS = 0.15
START_SECONDS = 3.0
"""How long Asterisk may take until it has made the channel that speaks: 11 ms at worst, of 300."""

# No sentence is as long; in seconds.
_LONGEST = 60.0
# A hang-up ends what is played, and is told of within 20 ms behind that.
_HANG_UP_SECONDS = 0.5


class Spoken(StrEnum):
    """What became of it."""

    SAID = "said"
    SILENT = "silent"
    """Nobody sends any sound to the person, as where the agent's phone is muted: Asterisk would have been heard by nobody."""
    HELD = "held"
    """The person has put the agent on hold, and hears neither."""
    CUT = "cut"
    """Whom the person talks with has changed, as by a hang-up, or is not the agent alone; the rest was not said."""
    GONE = "gone"
    """The person talks with nobody, or is not there any more."""


class Ours(Protocol):
    """By which a channel that speaks for us is told from one that listens. Both raise `Unavailable`."""

    async def add(self, node: str, channel: str) -> None: ...

    async def drop(self, node: str, channel: str) -> None: ...


class _Speech:
    """One that is going on, among the channels that may hear it."""

    def __init__(self, whom: frozenset[str]) -> None:
        self.whom = whom
        self.cut = asyncio.Event()
        self.over = asyncio.Event()


class Speaker:
    """Implements `ivr.lock.ports.Speech`."""

    def __init__(self, outposts: Mapping[str, Outpost], talks: Talks, ours: Ours, log: FilteringBoundLogger) -> None:
        """`outposts`: by what marks name the nodes."""
        self._outposts = outposts
        self._talks = talks
        self._ours = ours
        self._log = log
        self._speeches: dict[tuple[str, str], _Speech] = {}
        talks.on_change(self._changed)

    async def speak(
        self,
        node: str,
        channel: str,
        prompts: Sequence[Prompt],
        *,
        language: str,
        both: bool = True,
        agent: str | None = None,
    ) -> Spoken:
        """Say these to the person on this channel, and with `both` to whom they talk with; return when it is over.

        `agent`: the only channel that may be joined with the person's; left out, whoever is joined now. What is being said to the
        person already is cut. Raises `Unavailable`; then it may have been said in part.
        """
        outpost = self._outposts.get(node)
        if outpost is None:
            raise Unavailable("a channel is of a node that the settings do not have")
        outpost.demand_connected()
        while (before := self._speeches.get((node, channel))) is not None:
            before.cut.set()
            await before.over.wait()
        talk = self._talks.told_of(node, channel)
        if talk is None:
            return Spoken.GONE
        if agent is not None and [other.channel for other in talk.others] != [agent]:
            return Spoken.CUT
        if talk.own.held:
            return Spoken.HELD
        speech = self._speeches[node, channel] = _Speech(_whom(talk))
        try:
            return await self._spoken(outpost, channel, speech, prompts, language, "both" if both else "out")
        finally:
            del self._speeches[node, channel]
            speech.over.set()

    def hush(self, node: str, channel: str) -> None:
        """Cut what is being said to the person on this channel, if anything is."""
        if (speech := self._speeches.get((node, channel))) is not None:
            speech.cut.set()

    # ------------------------------------------------------------ inside

    def _changed(self, _endpoints: frozenset[str]) -> None:
        for (node, channel), speech in self._speeches.items():
            try:
                talk = self._talks.told_of(node, channel)
            except Unavailable:
                talk = None
            if talk is None or talk.own.held or _whom(talk) != speech.whom:
                speech.cut.set()

    async def _spoken(
        self, outpost: Outpost, channel: str, speech: _Speech, prompts: Sequence[Prompt], language: str, whisper: str
    ) -> Spoken:
        snoop = mint("speech")
        await self._ours.add(outpost.node, snoop)
        saying = asyncio.ensure_future(self._said(outpost, channel, snoop, prompts, language, whisper))
        cutting = asyncio.ensure_future(speech.cut.wait())
        try:
            await asyncio.wait((saying, cutting), timeout=_LONGEST, return_when=asyncio.FIRST_COMPLETED)
            if speech.cut.is_set():
                return Spoken.CUT
            if not saying.done():
                raise Unavailable("a sentence has not come to its end")
            return saying.result()
        finally:
            saying.cancel()
            cutting.cancel()
            # where the channel is being made it is first waited for; nothing is said on it by then
            await asyncio.gather(saying, cutting, return_exceptions=True)
            await finished(outpost.hang_up(snoop))
            with suppress(StoreError):
                # it has an end of its own there
                await self._ours.drop(outpost.node, snoop)

    async def _said(
        self, outpost: Outpost, channel: str, snoop: str, prompts: Sequence[Prompt], language: str, whisper: str
    ) -> Spoken:
        with outpost.ear(snoop) as ear:
            # spy: we speak, and hear nothing of what is said
            how = {"spy": "none", "whisper": whisper, "app": outpost.app, "snoopId": snoop}
            media = [f"sound:tillit/{prompt.value}" for prompt in prompts]
            try:
                await finished(outpost.request("POST", f"channels/{channel}/snoop", how, channel=channel))
                async with asyncio.timeout(START_SECONDS):
                    if not await ear.start():
                        return Spoken.GONE
                if not await self._reaches(outpost, channel):
                    return Spoken.SILENT
                said = {"media": media, "lang": language}
                await outpost.request("POST", f"channels/{snoop}/play/{snoop}", said, channel=channel)
                if await ear.played(snoop):
                    return Spoken.SAID
                with suppress(TimeoutError):
                    async with asyncio.timeout(_HANG_UP_SECONDS):
                        await ear.end()
                        return Spoken.GONE
            except AriError as error:
                if error.status not in GONE:
                    raise
                return Spoken.GONE
            except TimeoutError:
                raise Unavailable("Asterisk has made no channel to speak on") from None
        # not which: they may be digits
        cure = "render scripts/prompts into Asterisk's sounds folder"
        self._log.error("speech.failed", language=language, cure=cure)
        raise Unavailable("a sentence was not played to its end")

    async def _reaches(self, outpost: Outpost, channel: str) -> bool:
        """Whether anything goes to the phone; what Asterisk does not tell counts as so."""
        before = await self._sent(outpost, channel)
        for _ in range(_LOOKS):
            await asyncio.sleep(_LOOK_SECONDS)
            now = await self._sent(outpost, channel)
            if before is None or now is None or now > before:
                return True
        return False

    async def _sent(self, outpost: Outpost, channel: str) -> int | None:
        """How many packets went to the phone by way of Asterisk."""
        try:
            told = await outpost.request("GET", f"channels/{channel}/rtp_statistics", channel=channel)
        except AriError as error:
            if not error.status:
                raise
            # it is no channel of RTP, or is gone: then nothing can be played to it either
            return None
        match told:
            case {"txcount": int(count)}:
                return count
            case _:
                return None


def _whom(talk: Talk) -> frozenset[str]:
    return frozenset(party.channel for party in (talk.own, *talk.others))
