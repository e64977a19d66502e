"""Calls that the desk begins: the agent's phone first, then the customer's, joined by the dialplan, and no number on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.leg import GONE, clean, finished
from ivr.asterisk.outpost import Ear, Outpost, mint
from ivr.errors import AriError, Unavailable
from ivr.secret import Personal

CALLED, JOINED = "tillit-called", "tillit-joined"
"""The contexts of tillit.conf in which the agent waits to be joined, and in which the customer joins."""

# Asterisk itself hangs both up so long behind the last ring, in seconds, where nobody is there any more to join them.
_GRACE = 15
# Q.850 causes, as Asterisk's causes.h names them.
_BUSY, _NO_ANSWER, _DECLINED = frozenset({17}), frozenset({18, 19}), frozenset({21})

# What tells one end of a call who the other is; Asterisk drops it before it is written down at the agent's channel.
_TOLD = "CONNECTED_LINE,REDIRECTING"
_DROPS = "func_frame_drop.so"


class Dialled(StrEnum):
    """How it ended."""

    JOINED = "joined"
    AGENT_AWAY = "agent_away"
    """The agent's phone is not there, is busy, or was not answered."""
    AGENT_GAVE_UP = "agent_gave_up"
    """The agent has hung up before the customer has answered."""
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    DECLINED = "declined"
    """The customer has turned it down, or hung up as soon as it was answered."""
    FAILED = "failed"
    """The trunk did not take it, or the number leads nowhere."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A call that is wanted.

    `agent`: the endpoint of the phone that rings first; `number`: the customer's, E.164; `shown` and `shown_name`: the number and
    name that the customer sees; `display`: what the agent's phone shows in place of a number; `dial`: how the number is dialled, such as
    `PJSIP/{number}@trunk`; `ring_agent` and `ring`: seconds for which each rings; `plus`: whether the trunk takes the + of a number.
    """

    agent: str
    number: Personal
    shown: str
    shown_name: str
    display: str
    dial: str
    ring_agent: int
    ring: int
    language: str
    plus: bool = True


class Dialler:
    """Implements `ivr.lock.ports.Dialler`."""

    def __init__(self, outposts: Mapping[str, Outpost], log: FilteringBoundLogger) -> None:
        """`outposts`: by what marks name the nodes."""
        self._outposts = outposts
        self._log = log

    async def place(self, endpoints: Collection[str]) -> tuple[str, str] | None:
        """The node and the endpoint of the first phone of these that can ring now; None where none can.

        Raises `Unavailable` where no node says so, and one does not answer.
        """
        failed: Unavailable | None = None
        for endpoint in sorted(endpoints):
            for node, outpost in self._outposts.items():
                try:
                    if await _is_free(outpost, endpoint):
                        return node, endpoint
                except Unavailable as error:
                    failed = error
        if failed is not None:
            raise failed
        return None

    async def dial(self, node: str, outgoing: Outgoing, told: Callable[[str], Awaitable[None]]) -> tuple[Dialled, str]:
        """Call both and join them; how it ended, and the customer's channel where they are joined, else nothing.

        `told` hears `agent` when the agent's phone rings, and `customer` when the customer's is called. Cancelled, both are hung
        up. Raises `Unavailable`; then neither is left.
        """
        outpost = self._outposts.get(node)
        if outpost is None:
            raise Unavailable("a channel is of a node that the settings do not have")
        await _demand_dropped(outpost)
        agent, customer = mint("dial"), mint("dial")
        with outpost.ear(agent) as first, outpost.ear(customer) as second:
            ended = Dialled.FAILED
            try:
                ended = await self._dialled(outpost, agent, customer, outgoing, first, second, told)
            except AriError as error:
                if error.status not in GONE:
                    raise
                # one of the two has hung up while they were being joined; the agent may have left for the dialplan before
                left = second.started and await _is_gone(outpost, customer)
                ended = Dialled.DECLINED if left else Dialled.AGENT_GAVE_UP
            finally:
                if ended is not Dialled.JOINED:
                    await asyncio.gather(finished(outpost.hang_up(agent)), finished(outpost.hang_up(customer)))
        return ended, customer if ended is Dialled.JOINED else ""

    # ------------------------------------------------------------ inside

    async def _dialled(
        self, outpost: Outpost, agent: str, customer: str, outgoing: Outgoing, first: Ear, second: Ear, told: Callable[[str], Awaitable[None]]
    ) -> Dialled:  # fmt: skip
        name = await self._agent(outpost, agent, outgoing)
        if name is None:
            return Dialled.AGENT_AWAY
        await told("agent")
        if not await first.start():
            return Dialled.AGENT_AWAY
        await told("customer")
        if (ended := await self._customer(outpost, agent, customer, outgoing, first, second)) is not None:
            return ended
        await self._join(outpost, agent, name, customer, outgoing)
        return Dialled.JOINED

    async def _agent(self, outpost: Outpost, channel: str, outgoing: Outgoing) -> str | None:
        """Ring the agent's phone; the channel's name, or None where it cannot be rung."""
        whole = outgoing.ring_agent + outgoing.ring + _GRACE
        asked = {
            "endpoint": outgoing.agent,
            "app": outpost.app,
            "appArgs": "agent",
            "channelId": channel,
            "callerId": f'"{clean(outgoing.display)}" <anonymous>',
            "timeout": outgoing.ring_agent,
            "variables": {
                "TIMEOUT(absolute)": str(whole),
                # a trunk may tell the number in mid-call: it never comes to this channel. CONNECTED_LINE_SEND_SUB would take it
                # out a moment later, and a phone that is written to within that moment would have it
                "FRAME_DROP(TX)": _TOLD,
            },
        }
        try:
            made = await finished(outpost.request("POST", "channels", asked, channel=channel))
        except AriError as error:
            if error.status != 500:
                raise
            # so Asterisk says of a phone that is not registered
            return None
        match made:
            case {"name": str(name)}:
                return name
            case _:
                raise AriError("POST /channels", 200)

    async def _customer(
        self, outpost: Outpost, agent: str, customer: str, outgoing: Outgoing, first: Ear, second: Ear
    ) -> Dialled | None:
        """Ring the customer; None when the customer has answered."""
        await outpost.request("POST", f"channels/{agent}/ring", channel=agent)
        asked = {
            "app": outpost.app,
            "appArgs": "customer",
            "channelId": customer,
            "callerId": f'"{clean(outgoing.shown_name)}" <{outgoing.shown}>',
            "timeout": outgoing.ring,
            "variables": {
                "TIMEOUT(absolute)": str(outgoing.ring + _GRACE),
                "CHANNEL(language)": outgoing.language,
                "FRAME_DROP(RX)": _TOLD,
            },
        }
        try:
            await finished(
                outpost.request(
                    "POST",
                    "channels",
                    {
                        **asked,
                        "endpoint": outgoing.dial.replace("{number}", outgoing.number.reveal()[not outgoing.plus :]),
                    },
                    channel=customer,
                )
            )
        except AriError as error:
            if error.status != 500:
                raise
            return Dialled.FAILED
        answering, leaving = asyncio.ensure_future(second.start()), asyncio.ensure_future(first.end())
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            if first.ended:
                return Dialled.AGENT_GAVE_UP
            return None if await answering else _why(second.cause)
        finally:
            answering.cancel()
            leaving.cancel()
            with suppress(Exception):
                await asyncio.gather(answering, leaving, return_exceptions=True)

    async def _join(self, outpost: Outpost, agent: str, name: str, customer: str, outgoing: Outgoing) -> None:
        """Send both on into the dialplan: what becomes of the call does not depend on this process any more."""

        async def put(channel: str, variable: str, value: str) -> None:
            await outpost.request(
                "POST", f"channels/{channel}/variable", {"variable": variable, "value": value}, channel=channel
            )

        # what each is told of the other as they are joined: the agent's phone who that is, the customer's who calls
        for channel, shown, number in (
            (customer, outgoing.display, ""), (agent, outgoing.shown_name, outgoing.shown),
        ):  # fmt: skip
            await put(channel, "CALLERID(name)", clean(shown))
            await put(channel, "CALLERID(num)", number)
        for channel in (agent, customer):
            await put(channel, "TIMEOUT(absolute)", "0")
        # who is called for an application stays subscribed behind it: what they key in the call is not for the desk
        for channel in (agent, customer):
            await outpost.unsubscribe(channel)
        for channel, context, extension in ((agent, CALLED, "s"), (customer, JOINED, name)):
            place = {"context": context, "extension": extension, "priority": 1}
            await finished(outpost.request("POST", f"channels/{channel}/continue", place, channel=channel))


async def _is_gone(outpost: Outpost, channel: str) -> bool:
    try:
        await outpost.request("GET", f"channels/{channel}")
    except AriError as error:
        if error.status != 404:
            raise
        return True
    return False


async def _demand_dropped(outpost: Outpost) -> None:
    """Nobody is called where the agent's phone might be told the number: a channel takes the variable without this module, too."""
    try:
        await outpost.request("GET", f"asterisk/modules/{_DROPS}")
    except AriError as error:
        if error.status != 404:
            raise
        raise Unavailable(f"Asterisk does not run {_DROPS}, which keeps numbers from the agents' phones") from error


async def _is_free(outpost: Outpost, endpoint: str) -> bool:
    """Whether it is registered there, and in no call."""
    technology, _, resource = endpoint.partition("/")
    try:
        told = await outpost.request("GET", f"endpoints/{quote(technology, safe='')}/{quote(resource, safe='')}")
    except AriError as error:
        if error.status not in (400, 404):
            raise
        # there is none of that name
        return False
    match told:
        case {"channel_ids": [], **rest}:
            # of a technology that does not know, ringing will show it
            return rest.get("state") != "offline"
        case _:
            return False


def _why(cause: int | None) -> Dialled:
    for causes, ending in ((_BUSY, Dialled.BUSY), (_NO_ANSWER, Dialled.NO_ANSWER), (_DECLINED, Dialled.DECLINED)):
        if cause in causes:
            return ending
    return Dialled.FAILED
