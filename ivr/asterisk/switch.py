"""What the desk does to channels by the manager interface: part a caller and an agent, take back what announces a mark."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ami import Ami
from ivr.asterisk.leg import clean
from ivr.asterisk.parted import AGAIN, WAIT
from ivr.call.mark import Mark, unmarked
from ivr.call.outcome import Status
from ivr.errors import AmiError, Unavailable
from ivr.secret import Personal

ASKED = "TILLIT_ASKED"
"""The variable that tells [tillit-again] the policy, once."""

# What tillit-badge goes by, where a queue calls the next agent's phone.
_BADGE = {"__TILLIT_BADGE": "", "__TILLIT_BADGE_EXPIRES": "0", "__TILLIT_BADGE_OF": ""}


class Switch:
    """Implements `ivr.lock.ports.Switch`. Whatever a channel is called by is its unique id, unless told otherwise."""

    def __init__(self, nodes: Mapping[str, Ami], log: FilteringBoundLogger) -> None:
        self._nodes = nodes
        self._log = log

    async def part(self, node: str, caller: str, agent: str, policy: str, go_on: Callable[[], Awaitable[bool]]) -> bool:
        """Send the caller to be verified by this policy, and the agent to wait, if `go_on` says so when all else is ready.

        Asterisk holds both before either goes. False where one of them is not there any more, or it said no. Raises
        `Unavailable` where Asterisk does not answer, or the dialplan has no place for them.
        """
        ami = self._ami(node)
        await self._demand_dialplan(ami)
        try:
            caller_name, agent_name = await self._name(ami, caller), await self._name(ami, agent)
            await self._set(ami, caller, ASKED, policy)
        except AmiError as error:
            return self._gone(error)
        if not await go_on():
            await self._forget(ami, caller)
            return False
        try:
            # nothing comes between this and what `go_on` has seen
            await ami.action(
                "Redirect",
                Channel=caller, Context=AGAIN, Exten=agent_name, Priority=1,
                ExtraChannel=agent, ExtraContext=WAIT, ExtraExten=caller_name, ExtraPriority=1,
            )  # fmt: skip
        except AmiError as error:
            if error.refused and error.status != "Permission denied":
                await self._forget(ami, caller)
            return self._gone(error)
        return True

    async def waits(self, node: str, agent: str) -> bool:
        """Whether the channel of this name waits for a caller. Raises `Unavailable`."""
        try:
            answer = await self._ami(node).action("Status", Channel=agent)
        except AmiError as error:
            return self._gone(error)
        return any(message.get("Context") == WAIT and not message.get("BridgeID") for message in answer)

    async def show(self, mark: Mark, agent: str, display: Personal) -> bool:
        """The variables of a mark, and the name on the agent's display. False where the caller is gone. Raises `Unavailable`."""
        ami = self._ami(mark.node)
        badge = {
            "__TILLIT_BADGE": mark.header(), "__TILLIT_BADGE_EXPIRES": str(mark.expires), "__TILLIT_BADGE_OF": mark.channel,
        }  # fmt: skip
        try:
            for name, value in {**badge, **mark.variables()}.items():
                await self._set(ami, mark.channel, name, value)
            await self._set(ami, mark.channel, "CALLERID(name)", clean(display.reveal()))
        except AmiError as error:
            return self._gone(error)
        try:
            await self._set(ami, agent, "CONNECTEDLINE(name)", clean(display.reveal()))
        except AmiError as error:
            # whoever is gone needs no display
            self._gone(error)
        return True

    async def unmark(self, node: str, caller: str, agent: str) -> None:
        """The variables as of a caller who is not verified, and no name on the agent's display. Raises `Unavailable`."""
        ami = self._ami(node)
        try:
            for name, value in {**unmarked(Status.REFUSED), **_BADGE, "CALLERID(name)": ""}.items():
                await self._set(ami, caller, name, value)
            await self._set(ami, agent, "CONNECTEDLINE(name)", "")
        except AmiError as error:
            self._gone(error)

    async def event(self, node: str, name: str, fields: Mapping[str, str]) -> None:
        """Tell everyone who hears the class `user` on that node. Raises `Unavailable`."""
        try:
            await self._ami(node).user_event(name, **fields)
        except AmiError as error:
            self._gone(error)

    # ------------------------------------------------------------ inside

    def _ami(self, node: str) -> Ami:
        try:
            return self._nodes[node]
        except KeyError:
            raise Unavailable("a channel is of a node that the settings do not have") from None

    async def _demand_dialplan(self, ami: Ami) -> None:
        """A channel that is sent to a context that is not there would be hung up."""
        for context in (AGAIN, WAIT):
            try:
                await ami.action("ShowDialPlan", Context=context)
            except AmiError as error:
                self._gone(error)
                self._log.error(
                    "midcall.no_dialplan", context=context, cure="include dialplan/tillit.conf of this version"
                )
                raise Unavailable(f"the dialplan has no context {context}") from None

    async def _forget(self, ami: Ami, caller: str) -> None:
        try:
            await self._set(ami, caller, ASKED, "")
        except AmiError:
            # it is gone, which is why it was refused
            return

    async def _name(self, ami: Ami, channel: str) -> str:
        """What a channel is called in the dialplan; it stays where another channel takes over what runs it."""
        return await self._get(ami, channel, "CHANNEL(name)")

    async def _get(self, ami: Ami, channel: str, variable: str) -> str:
        return (await ami.action("Getvar", Channel=channel, Variable=variable))[0].get("Value", "")

    async def _set(self, ami: Ami, channel: str, variable: str, value: str) -> None:
        await ami.action("Setvar", Channel=channel, Variable=variable, Value=value)

    def _gone(self, error: AmiError) -> bool:
        """False where Asterisk says that there is no such channel; raises the error where it does not say so."""
        if not error.refused:
            raise error
        if error.status == "Permission denied":
            self._log.error("midcall.denied", action=error.action, cure="see config/asterisk/manager.conf")
            raise error
        return False
