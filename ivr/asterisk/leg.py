"""An agent's phone that was called for a caller."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine
from typing import TypeVar

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ari import Ari
from ivr.call.mark import HEADER
from ivr.call.ports import Badge
from ivr.errors import AriError
from ivr.secret import Personal

# What an agent's channel is called by, so that one that nobody knows can be told from a caller's.
LEG_PREFIX = "tillit-agent-"
_LETTERS = 16

# 404: no such channel; 409: not in the application; 412: not answered, because it is going
GONE = (404, 409, 412)

# The context of tillit.conf with the hangup handler of who was bridged.
_LEFT = "tillit-left"

# Q.850 causes, as Asterisk's causes.h names them
_CAUSES = {16: "hung_up", 17: "busy", 18: "no_answer", 19: "no_answer", 20: "not_registered", 21: "declined"}

T = TypeVar("T")


class AriLeg:
    """`call.ports.Leg`. The methods that do not wait are for the reader of events."""

    def __init__(self, ari: Ari, endpoint: str, caller: str) -> None:
        """`caller` is the channel that it is called for."""
        self.channel = f"{LEG_PREFIX}{ari.app}-{secrets.token_hex(_LETTERS // 2)}"
        self.ended = asyncio.Event()
        self.called = False
        self.up = False
        self.left_behind = False
        self._ari = ari
        self._endpoint = endpoint
        self._caller = caller
        self._cause: int | None = None
        self._answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    @property
    def endpoint(self) -> str:
        return self._endpoint

    @property
    def caller(self) -> str:
        """The channel that it is called for."""
        return self._caller

    @property
    def ending(self) -> str:
        if self.up and not self._cause:
            # Asterisk tells no cause behind StasisEnd
            return "hung_up"
        return "failed" if self._cause is None else _CAUSES.get(self._cause, "failed")

    def answer(self) -> None:
        """The agent has answered."""
        self.up = True
        if not self._answered.done():
            self._answered.set_result(True)

    def destroyed(self, cause: int | None) -> None:
        """The channel is gone, or was never made."""
        if self._cause is None:
            self._cause = cause
        self.ended.set()
        if not self._answered.done():
            self._answered.set_result(False)

    async def originate(self, badge: Badge, *, number: Personal | None, seconds: int) -> None:
        """Call the phone; it rings for so many seconds."""
        if self._endpoint.startswith("PJSIP/"):
            variables = {f"PJSIP_HEADER(add,{HEADER})": badge.header}
        else:
            # what tillit-badge of the dialplan writes on the INVITE behind a Local channel
            variables = {
                "__TILLIT_BADGE": badge.header,
                "__TILLIT_BADGE_EXPIRES": str(badge.expires),
                "__TILLIT_BADGE_OF": self._caller,
            }
        try:
            await self._ari.request(
                "POST",
                "channels",
                {
                    "endpoint": self._endpoint,
                    "app": self._ari.app,
                    "appArgs": "agent",
                    "channelId": self.channel,
                    "callerId": f"{clean(badge.display.reveal())} <{number.reveal() if number else 'anonymous'}>",
                    "timeout": seconds,
                    "originator": self._caller,
                    "variables": variables,
                },
                channel=self.channel,
            )
        except AriError:
            self.destroyed(None)
            raise
        self.called = True

    async def answered(self) -> bool:
        return await asyncio.shield(self._answered)

    async def tie(self, log: FilteringBoundLogger) -> None:
        """Let Asterisk hang up either end of a conversation when the other has left: the worker may be dead by then."""
        for one, other in ((self.channel, self._caller), (self._caller, self.channel)):
            handler = {"variable": "CHANNEL(hangup_handler_push)", "value": f"{_LEFT},s,1({other})"}
            try:
                await self._ari.request("POST", f"channels/{one}/variable", handler, channel=one)
            except AriError as error:
                if error.status not in GONE:
                    # no reason to cut the conversation: it is missed only if the worker dies in it
                    log.error("agent.not_tied", endpoint=self._endpoint, error=str(error))

    async def hang_up(self) -> None:
        if self.ended.is_set() or self.left_behind:
            return
        try:
            await finished(self._ari.request("DELETE", f"channels/{self.channel}", quick=True, channel=self.channel))
        except AriError as error:
            if error.status != 404:
                raise
            self.destroyed(None)


class Legs:
    """The legs of all calls, by their channels."""

    def __init__(self) -> None:
        self._legs: dict[str, AriLeg] = {}

    def add(self, leg: AriLeg) -> None:
        """Listen for this leg."""
        self._legs[leg.channel] = leg

    def get(self, channel: str) -> AriLeg | None:
        """The leg on this channel."""
        return self._legs.get(channel)

    def pop(self, channel: str) -> AriLeg | None:
        """Listen for it no longer."""
        return self._legs.pop(channel, None)

    def all(self) -> dict[str, AriLeg]:
        """Every leg that is listened for, as it stands now."""
        return dict(self._legs)


def is_leg_of(app: str, channel: str) -> bool:
    """Whether this channel was called by a worker of the application."""
    return channel.startswith(f"{LEG_PREFIX}{app}-") and len(channel) == len(LEG_PREFIX) + len(app) + 1 + _LETTERS


async def finished(work: Coroutine[object, object, T]) -> T:
    """Await to the end even when cancelled: a request that Asterisk may have taken must be known, to be undone."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        # how it ended is nobody's matter any more; unasked, asyncio would write it to its log
        if not task.cancelled():
            task.exception()
        raise


def clean(name: str) -> str:
    """A display name without what would end it, or begin another header."""
    return "".join(letter for letter in name if letter.isprintable() and letter not in '"<>\\').strip()
