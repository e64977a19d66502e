"""Compares what Asterisk holds with what a worker knows: after events may have been lost, and after another worker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ari import Ari
from ivr.asterisk.conversation import Conversation
from ivr.asterisk.dismissal import Dismissal
from ivr.asterisk.events import text
from ivr.asterisk.leg import Legs, is_leg_of
from ivr.asterisk.line import AriLine
from ivr.asterisk.meeting import BRIDGE_PREFIX
from ivr.asterisk.sweep import Settle, is_verified
from ivr.call.outcome import Status
from ivr.call.ports import ATTESTATIONS, Caller
from ivr.call.progress import Progress
from ivr.errors import AriError, Unavailable
from ivr.numbers import calling
from ivr.secret import Personal

# How long after it is listed a new channel may take to be told of; on one machine it is about a millisecond.
_TELLING_SECONDS = 0.5
# How many channels are sent away at once: one that plays blocks its request, and calls need connections too.
_AT_ONCE = 16
# How many calls that are over are told of at once, should very many be left over: the trail has others waiting too.
_LEFT_AT_ONCE = 200

INBOUND, PUBLISHED = "inbound", "published"
"""What the dialplan gives to Stasis(): for callers who are to be verified, and for those who call the published number."""

Recorded = Callable[[], Awaitable[Collection[str]]]
"""The channels of this application whose progress is recorded."""
TakeUp = Callable[[str, bool], Awaitable[Progress | None]]
"""Makes such a call ours; the flag says that it has left the application."""
Resume = Callable[[Caller, Progress], AriLine]
"""Goes on with a call."""


@dataclass(frozen=True, slots=True)
class Records:
    """What the store knows of the application's calls."""

    all: Recorded
    take_up: TakeUp
    settle: Settle


class Reconciliation:
    """`lines` and `legs` are those of the worker, by channel; `left` the channels that have left since the connection began."""

    def __init__(
        self,
        ari: Ari,
        *,
        node: str,
        country: str,
        lines: dict[str, AriLine],
        legs: Legs,
        left: set[str],
        records: Records,
        resume: Resume,
        dismissal: Dismissal,
        log: FilteringBoundLogger,
    ) -> None:
        """`resume` puts the call among `lines`."""
        self.conversations: list[Conversation] = []
        self._ari = ari
        self._node = node
        self._country = country
        self._lines = lines
        self._legs = legs
        self._left = left
        self._records = records
        self._resume = resume
        self._dismissal = dismissal
        self._log = log

    async def run(self) -> None:
        """Tell each call what it has missed, go on with those of a worker that is gone, send away what nobody knows."""
        # What begins while Asterisk is being asked is no matter of what was lost before.
        lines = dict(self._lines)
        # One that has ended and is still among them was given up: nobody has answered what was asked of it.
        legs = {channel: leg for channel, leg in self._legs.all().items() if leg.called or leg.ended.is_set()}
        # before the channels: a call that has a record and is not listed then is over
        recorded = await self._recorded()
        try:
            channels = await self._list("channels")
            inside = self._inside(channels)
            states = {text(channel["id"]): text(channel.get("state")) for channel in channels}
            for channel, line in lines.items():
                if channel not in states:
                    line.destroyed()
                elif channel not in inside and not line.handed_back:
                    line.left()
                else:
                    line.online()
            for channel, leg in legs.items():
                if channel not in states:
                    leg.destroyed(None)
                    self._legs.pop(channel)
                elif states[channel] == "Up" and channel in inside:
                    leg.answer()
            await self._hang_up_ringing(set(states) - inside)
            bridges = await self._list("bridges")
            taken = await self._take_up(channels, recorded - self._bridged(bridges))
            unknown = await self._strangers(inside)
        except AriError as error:
            self._log.error("reconcile.failed", error=str(error))
            self._ari.reconnect()
            return
        turns = asyncio.Semaphore(_AT_ONCE)

        async def send_away(channel: str) -> None:
            self._log.warning("channel.unknown", channel=channel)
            async with turns:
                await self._dismissal.send_away(channel)

        await asyncio.gather(*(send_away(channel) for channel in sorted(unknown)))
        self._log.info("reconciled", calls=len(lines), taken=taken, unknown=len(unknown))

    async def end_left_over(self) -> None:
        """End in the audit trail what is recorded and goes on elsewhere, or is over: the store was away when it should have been taken up.

        Raises `Unavailable`.
        """
        # before the channels, as above
        recorded = set(await self._records.all())
        if not recorded - set(self._lines):
            return
        channels = await self._list("channels")
        there = {text(channel["id"]) for channel in channels}
        for channel in sorted(recorded - self._inside(channels))[:_LEFT_AT_ONCE]:
            if channel in self._lines:
                continue
            marked = channel in there and await is_verified(self._ari, channel)
            progress = await self._records.take_up(channel, True)
            if progress is not None:
                self._end(channel, progress, went_on=channel in there and not marked)

    def gone(self, channel: str) -> Conversation | None:
        """The conversation that this channel was in; it is over."""
        for conversation in self.conversations:
            if channel in conversation.channels:
                self.conversations.remove(conversation)
                return conversation
        return None

    # ------------------------------------------------------------ inside

    def _inside(self, channels: list[dict[str, object]]) -> set[str]:
        """Those in the application.

        What the application is subscribed to is more: calls in the dialplan, or in another application by now.
        """
        return {text(channel["id"]) for channel in channels if self._arguments(channel) is not None}

    def _arguments(self, channel: dict[str, object]) -> list[str] | None:
        """What Stasis() was given behind the application's name; None for a channel that is not in it."""
        match channel.get("dialplan"):
            case {"app_name": "Stasis", "app_data": str(data)} if data.split(",")[0] == self._ari.app:
                return data.split(",")[1:]
            case _:
                return None

    async def _list(self, what: str) -> list[dict[str, object]]:
        """All channels, or all bridges."""
        answer = await self._ari.request("GET", what)
        if not isinstance(answer, list) or not all(isinstance(one, dict) and text(one.get("id")) for one in answer):
            raise AriError(f"GET /{what}", 200)
        return answer

    async def _hang_up_ringing(self, outside: set[str]) -> None:
        """Phones that a worker which is gone has called and nobody has answered: the caller may be called for anew."""
        for channel in sorted(outside - set(self._legs.all())):
            if is_leg_of(self._ari.app, channel):
                self._log.warning("channel.unknown", channel=channel)
                await self._dismissal.hang_up(channel)

    async def _strangers(self, inside: set[str]) -> set[str]:
        """Channels in the application whose worker is gone; conversations among them are kept."""
        unknown = inside - set(self._lines) - set(self._legs.all())
        if unknown:
            # One that has just come is told of a moment later than it is listed: only who stays unknown is a stranger.
            await asyncio.sleep(_TELLING_SECONDS)
            again = self._inside(await self._list("channels"))
            unknown = (inside & again) - set(self._lines) - set(self._legs.all())
        return unknown - await self._adopt(await self._list("bridges"), unknown)

    def _bridged(self, bridges: list[dict[str, object]]) -> set[str]:
        """The channels in bridges of this application."""
        members = [bridge.get("channels") for bridge in bridges if self._is_ours(bridge)]
        return {text(channel) for some in members if isinstance(some, list) for channel in some}

    def _is_ours(self, bridge: dict[str, object]) -> bool:
        # other workers' bridges bear other applications' names
        return text(bridge["id"]).startswith(BRIDGE_PREFIX) and bridge.get("name") == self._ari.app

    async def _adopt(self, bridges: list[dict[str, object]], unknown: set[str]) -> set[str]:
        """Keep the conversations whose worker is gone; the channels in them."""
        kept: set[str] = set()
        known = {line.bridge for line in self._lines.values()}
        self.conversations.clear()
        for bridge in bridges:
            name, members = text(bridge["id"]), bridge.get("channels")
            if not self._is_ours(bridge) or name in known or not isinstance(members, list):
                continue
            present = {text(member) for member in members} - self._left
            if not present <= unknown:
                continue  # a bridge of a call that is ours
            conversation = Conversation(self._ari, name, present, self._log)
            if len(present) < 2:
                await conversation.end()
            else:
                self.conversations.append(conversation)
                self._log.info("conversation.adopted", bridge=name)
            kept |= present
        return kept

    # ------------------------------------------------------------ another worker's calls

    async def _recorded(self) -> set[str]:
        try:
            return set(await self._records.all())
        except Unavailable as error:
            # they go the unverified way, as calls do that were never recorded
            self._log.error("records.failed", error=str(error))
            return set()

    async def _take_up(self, channels: list[dict[str, object]], recorded: set[str]) -> int:
        """Go on with the calls that a worker which is gone has recorded; those that are over end in the audit trail."""
        found = {text(channel["id"]): channel for channel in channels}
        taken = 0
        for channel in sorted(recorded):
            if channel in self._lines:
                continue
            here = found.get(channel)
            arguments = None if here is None else self._arguments(here)
            went_on = here is not None and arguments is None and not await is_verified(self._ari, channel)
            try:
                progress = await self._records.take_up(channel, arguments is None)
            except Unavailable as error:
                self._log.error("records.failed", error=str(error))
                continue
            if progress is None:
                continue
            if here is None or arguments is None:
                # it hung up, or the watchdog took it
                self._end(channel, progress, went_on=went_on)
                continue
            caller = self._caller(here, arguments)
            if (caller.policy, caller.again) != (progress.policy, progress.again):
                # it has come once more since, for something else, and nobody knows how far that is
                continue
            line = self._resume(caller, progress)
            taken += 1
            if channel in self._left:
                line.left()
        return taken

    def _end(self, channel: str, progress: Progress, *, went_on: bool) -> None:
        """A call that is over: all that is left of it is to be told of. `went_on`: unverified, in the dialplan."""
        if went_on and not progress.status:
            # Where the trail says `verified`, it is told that there is no mark: it is swept.
            progress = replace(progress, status=Status.UNAVAILABLE.value)
        caller = Caller(channel, self._node, None, "", progress.policy, again=progress.again, app=progress.app)
        self._resume(caller, progress).destroyed()

    def _caller(self, channel: dict[str, object], arguments: list[str]) -> Caller:
        """As `StasisStart` would tell it."""
        match channel.get("caller"):
            case {"number": str(number)}:
                pass
            case _:
                number = ""
        return self.caller(text(channel["id"]), arguments, Personal(number), text(channel.get("language")))

    def caller(self, channel: str, arguments: Sequence[str], number: Personal, language: str) -> Caller:
        """Who calls on this channel."""
        return Caller(
            channel=channel,
            node=self._node,
            number=calling(number.reveal(), self._country),
            language=language,
            policy=arguments[1] if len(arguments) > 1 else "",
            again=list(arguments[2:3]) == ["again"],
            app=self._ari.app,
            agent="".join(arguments[3:4]),
            called=list(arguments[4:5]) == ["called"],
            attestation="".join(told for told in arguments[5:6] if told in ATTESTATIONS),
            published=list(arguments[:1]) == [PUBLISHED],
        )
