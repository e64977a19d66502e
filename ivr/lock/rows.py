"""What the audit trail is told of the lock: before anything is given, and of everything that is refused."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from structlog.typing import FilteringBoundLogger

from ivr.call.ports import Entry, Trail
from ivr.errors import Unavailable
from ivr.lock.words import Channel, Denied, Reason
from ivr.staff import Person
from ivr.store.sealing import is_ref

NOTHING: Mapping[str, str] = MappingProxyType({})


class Rows:
    """Writes them. In `detail` stand names of fields, levels and ids; never what a field holds."""

    def __init__(self, trail: Trail, log: FilteringBoundLogger) -> None:
        self._trail = trail
        self._log = log

    async def tell(
        self, person: Person, action: str, outcome: str, ref: str = "", call: Channel | None = None, *,
        once: str | None = None, detail: Mapping[str, str] = NOTHING,
    ) -> None:  # fmt: skip
        """Returns when the row is durable. Raises `Unavailable`; then what it tells of must not happen."""
        await self._trail.append(entry(person, action, outcome, ref, call, once=once, detail=detail))

    async def refuse(
        self, person: Person, action: str, denied: Denied, ref: str = "", call: Channel | None = None, *,
        outcome: str = "refused", detail: Mapping[str, str] = NOTHING,
    ) -> Denied:  # fmt: skip
        """Tell of a refusal. It stands whether or not the row can be written."""
        self._log.info("lock.refused", action=action, person=person.id, reason=denied.reason.value)
        needs = {} if denied.needs is None else {"needs": str(denied.needs)}
        try:
            await self.tell(
                person, action, outcome, ref, call, detail={**detail, "reason": denied.reason.value, **needs}
            )
        except Unavailable as error:
            self._log.error("lock.untold", action=action, person=person.id, error=str(error))
        return denied

    def failed(self, person: Person, action: str, error: Unavailable) -> Denied:
        """A part is down: nothing is given."""
        self._log.error("lock.failed", action=action, person=person.id, error=str(error))
        return Denied(Reason.UNAVAILABLE)


def entry(
    person: Person, action: str, outcome: str, ref: str = "", call: Channel | None = None, *,
    once: str | None = None, detail: Mapping[str, str] = NOTHING,
) -> Entry:  # fmt: skip
    """A row of what this person does, or may not. A login is another's in another tenant: both stand in it, and the id."""
    node = {} if call is None else {"node": call.node}
    return Entry(
        person.actor, action, outcome,
        call="" if call is None else call.id,
        # what has not its form may be a name or a number that somebody has typed
        subject=ref if is_ref(ref) else "",
        detail={"person": person.id, "tenant": person.tenant, **node, **detail},
        once=once,
    )  # fmt: skip
