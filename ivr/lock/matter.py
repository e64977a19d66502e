"""Data that lies elsewhere, for one request: weighed before it is fetched, noted beside that, judged again before it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from time import monotonic
from typing import Protocol

from ivr.lock.judge import Judge, Judged
from ivr.lock.rows import Rows
from ivr.lock.words import Denied, Granted
from ivr.secret import Secret
from ivr.staff import Person

# Seconds that a judgement may be old when its row is durable; both take a few thousandths.
_MOMENT = 0.1


class _Opened(Protocol):
    """`Lock`'s: counts, and tells the trail."""

    def __call__(
        self, person: Person, ref: str, level: int, what: str, detail: Mapping[str, str], judged: Judged,
        *, at_once: bool = False,
    ) -> Awaitable[Granted | Denied]: ...  # fmt: skip


class Matter:
    """`weigh`, then `note`, then `still`: what was fetched may be given out when all three have granted it.

    None of these raises `Unavailable`: a part that is down refuses. Where it is fetched while it is noted, `begin_note` stands for
    `note`: `still` waits for that, and `settled` is to be called at the end, whatever comes of it.
    """

    def __init__(
        self, person: Person, what: str, detail: Mapping[str, str], judge: Judge, opened: _Opened, rows: Rows
    ) -> None:
        self._person = person
        self._what = what
        self._detail = detail
        self._judge = judge
        self._opened = opened
        self._rows = rows
        self._level = 0
        self._granted: Granted | None = None
        self._noting: asyncio.Task[Granted | Denied] | None = None
        self.ref = ""
        """The customer whom it is about."""

    async def whom(self) -> str | None:
        """The customer as whom the person's one caller is marked, whatever the level. Raises `Unavailable`."""
        return await self._judge.whom(self._person)

    async def weigh(self, ref: str, level: int) -> Granted | Denied:
        """Whether this may be given out, as far as is known now. It may be fetched then, if to fetch it changes nothing."""
        return await self._weighed(await self._judge.judge(self._person, ref, level), level)

    async def weigh_number(self, number: Secret, level: int) -> Granted | Denied:
        """The same by a customer number; `ref` is known behind it."""
        return await self._weighed(await self._judge.judge_number(self._person, number, level), level)

    async def _weighed(self, judged: Judged, level: int) -> Granted | Denied:
        ref = self.ref = judged.ref
        self._level = level
        if isinstance(judged.verdict, Denied):
            return await self._rows.refuse(
                self._person, self._what, judged.verdict, ref, judged.call, detail=self._detail
            )
        self._granted = judged.verdict
        return judged.verdict

    async def note(self) -> Granted | Denied:
        """The read is counted, and the trail told of it: before anything is changed, and before anything is given out."""
        return await self._noted()

    def begin_note(self) -> None:
        """`note`, and go on meanwhile."""
        self._noting = asyncio.create_task(self._noted(at_once=True))

    async def _noted(self, *, at_once: bool = False) -> Granted | Denied:
        granted = self._known()
        judged = Judged(granted, granted.call)
        return await self._opened(
            self._person, self.ref, self._level, self._what, self._detail, judged, at_once=at_once
        )

    async def settled(self) -> None:
        """When nothing is being noted any more."""
        if self._noting is not None:
            await asyncio.wait([self._noting])

    async def still(self) -> Granted | Denied:
        """Whether it is so yet: the caller may have hung up while it was fetched. The level may be lower than before."""
        granted, noting = self._known(), self._noting
        asked = monotonic()
        judged = await self._judge.again(self._person, self.ref, self._level, granted.call)
        if noting is not None:
            noted = await noting
            self._noting = None
            if isinstance(noted, Denied):
                return noted
            if monotonic() - asked > _MOMENT:
                # a disk that hangs: what was true before it did may be so no longer
                judged = await self._judge.again(self._person, self.ref, self._level, granted.call)
        return await self.withhold(judged.verdict) if isinstance(judged.verdict, Denied) else judged.verdict

    async def withhold(self, denied: Denied) -> Denied:
        """What was granted is not given out after all, and the trail is told why."""
        call = self._known().call
        return await self._rows.refuse(
            self._person, self._what, denied, self.ref, call, outcome="withheld", detail=self._detail
        )

    def _known(self) -> Granted:
        # who calls has weighed it
        assert self._granted is not None
        return self._granted
