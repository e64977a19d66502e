"""What an agent does to the own call: have its caller verified, take the mark away."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from structlog.typing import FilteringBoundLogger

from ivr.errors import InputError, Unavailable
from ivr.lock.decision import Caller
from ivr.lock.judge import Judge
from ivr.lock.ports import Marks, Switch, Waits
from ivr.lock.rows import Rows
from ivr.lock.whom import Whom
from ivr.lock.words import Begun, Channel, Denied, Dropped, Offered, Reason, Why
from ivr.staff import Permission, Person
from ivr.vault import Index

_VERIFY = "call.verify"
_DROP = "mark.drop"


class Midcall:
    """It is asked anew each time who is on the line, twice: before the trail is told, and before anything happens."""

    def __init__(
        self, offered: Mapping[str, Offered], judge: Judge, marks: Marks, waits: Waits, switch: Switch, rows: Rows,
        index: Index, log: FilteringBoundLogger,
    ) -> None:  # fmt: skip
        """`offered`: the policies that may be chosen, by name."""
        self._offered = offered
        # who stayed behind would be alone
        self._whom = Whom(judge, rows, index, log, Permission.VERIFY, "midcall")
        self._marks = marks
        self._waits = waits
        self._switch = switch
        self._rows = rows
        self._index = index
        self._log = log

    def offered(self, tenant: str) -> tuple[Offered, ...]:
        """The policies that people of this tenant may choose, in the order of the settings: those that verify its customers."""
        return tuple(one for one in self._offered.values() if one.tenant == tenant)

    async def verify(self, person: Person, call: str, policy: str) -> Begun | Denied:
        """Send the caller of this call (`vault.Index.call`) to the keypad part; this person's phone waits, with music.

        Raises `InputError` for a policy that may not be chosen.
        """
        offered = [one.name for one in self.offered(person.tenant)]
        if policy not in offered:
            raise InputError(f"policy: may not be chosen here. Here belong: {', '.join(offered)}")
        found = await self._whom.sole(person, call)
        if isinstance(found, Denied):
            return await self._rows.refuse(person, _VERIFY, found)
        try:
            if not await self._waits.claim(*found.call):
                return await self._refuse(person, _VERIFY, Denied(Reason.UNDER_WAY), found.call)
            denied = await self._part(person, found, policy)
            done = self._waits.parted if denied is None else self._waits.release
        except Unavailable as error:
            denied, done = self._rows.failed(person, _VERIFY, error), self._waits.parted
        with suppress(Unavailable):
            # it ends by itself
            await done(*found.call)
        if denied is None and found.mark is not None:
            with suppress(Unavailable):
                # the worker drops it as well: but there may be none, or one that does not reach the store
                await self._marks.take_away(found.mark)
        if denied is not None:
            return await self._refuse(person, _VERIFY, denied, found.call)
        self._log.info("midcall.verify", person=person.id, call=found.call.id, policy=policy)
        return Begun(call, found.call, policy)

    async def drop(self, person: Person, call: str, why: Why) -> Dropped | Denied:
        """Take the mark of this call's caller away, as long as it is the one that is seen now. Others in the call keep it from nobody."""
        found = await self._whom.any(person, call)
        if isinstance(found, Denied):
            return await self._rows.refuse(person, _DROP, found)
        mark = found.mark
        if mark is None:
            return await self._refuse(person, _DROP, Denied(Reason.NOT_VERIFIED), found.call)
        try:
            await self._rows.tell(
                person, _DROP, why.value, mark.subject, found.call,
                detail={"level": str(mark.level), "policy": mark.policy},
            )  # fmt: skip
            if not await self._marks.take_away(mark):
                return await self._refuse(person, _DROP, Denied(Reason.NOT_VERIFIED), found.call)
        except Unavailable as error:
            return await self._refuse(person, _DROP, self._rows.failed(person, _DROP, error), found.call)
        self._log.info("midcall.dropped", person=person.id, call=found.call.id, subject=mark.subject)
        if why is Why.WRONG_PERSON:
            self._log.warning("mark.wrong_person", person=person.id, call=found.call.id, subject=mark.subject)
        await self._show(person, found, mark.subject, why)
        return Dropped(found.call, why)

    # ------------------------------------------------------------ inside

    async def _part(self, person: Person, found: Caller, policy: str) -> Denied | None:
        """The row, and the two are parted if they are still the two. Raises `Unavailable`."""
        own, ref = found.talk.own.channel, "" if found.mark is None else found.mark.subject
        await self._rows.tell(person, _VERIFY, "asked", ref, found.call, detail={"policy": policy})
        # one of them may have hung up, or was taken elsewhere
        denied = Denied(Reason.NO_CALL)

        async def still() -> bool:
            nonlocal denied
            again = await self._whom.sole(person, self._index.call(*found.call))
            if isinstance(again, Denied):
                denied = again
                return False
            return again.talk.own.channel == own

        return None if await self._switch.part(*found.call, own, policy, still) else denied

    async def _show(self, person: Person, found: Caller, ref: str, why: Why) -> None:
        """The mark is gone already: what announces it must follow, and is not what the lock goes by."""
        node, channel = found.call
        try:
            await self._switch.unmark(node, channel, found.talk.own.channel)
            if why is Why.WRONG_PERSON:
                await self._switch.event(
                    node, "CallerWrongPerson", {"Uniqueid": channel, "Subject": ref, "Person": person.id}
                )
        except Unavailable as error:
            self._log.error("midcall.not_shown", person=person.id, call=channel, error=str(error))

    async def _refuse(self, person: Person, what: str, denied: Denied, call: Channel) -> Denied:
        return await self._rows.refuse(person, what, denied, call=call)
