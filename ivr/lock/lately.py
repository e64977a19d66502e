"""Who works here, as of a moment ago: for the judgements of one request, which come close behind each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from time import monotonic

from ivr.lock.ports import Staff
from ivr.staff import Person

# Seconds: shorter than anybody can be disabled, and have noticed it.
_MOMENT = 0.25


def is_lately(at: float) -> bool:
    """Whether what was read then (monotonic seconds) is taken for what is so now."""
    return monotonic() - at < _MOMENT


class Lately:
    """`Staff` of one request. What was read is good for a moment; whose phones they are is asked each time."""

    def __init__(self, staff: Staff, person: Person, at: float) -> None:
        """`person` was read `at` (monotonic seconds)."""
        self._staff = staff
        self._known = {(person.tenant, person.id): (person, at)}

    async def by_id(self, tenant: str, id: str) -> Person | None:
        """As of a moment ago."""
        found, at = self._known.get((tenant, id), (None, 0.0))
        if found is not None and is_lately(at):
            return found
        at = monotonic()
        found = await self._staff.by_id(tenant, id)
        if found is not None:
            self._known[tenant, id] = (found, at)
        return found

    async def colleagues(self, tenant: str) -> Sequence[Person]:
        """As `Staff` has it."""
        return await self._staff.colleagues(tenant)

    async def owner_ids_of(self, endpoints: Collection[str]) -> Mapping[str, tuple[str, str]]:
        """As `Staff` has it."""
        return await self._staff.owner_ids_of(endpoints)

    async def owners_of(self, endpoints: Collection[str]) -> Mapping[str, Person]:
        """Persons as of a moment ago."""
        owners = {}
        for endpoint, (tenant, named) in (await self._staff.owner_ids_of(endpoints)).items():
            if (person := await self.by_id(tenant, named)) is not None:
                owners[endpoint] = person
        return owners
