"""Data that lies elsewhere, for one request: weighed and counted before it is fetched, noted beside that, judged again before it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic

from ivr.errors import Unavailable
from ivr.lock.judge import Judge, Judged, beside
from ivr.lock.lately import is_lately
from ivr.lock.ledger import Ledger
from ivr.lock.ports import Visitor
from ivr.lock.rows import Rows
from ivr.lock.words import Denied, Granted, Reason
from ivr.secret import Secret

# Seconds that a judgement may be old when its row is durable; both take a few thousandths.
_MOMENT = 0.1


class Matter:
    """`weigh`, then `note`, then `still`: what was fetched may be given out when all three have granted it.

    None of these raises `Unavailable`: a part that is down refuses. Where it is fetched while it is noted, `begin_note` and then
    `counted` stand for `note`: `still` waits for the row, and `settled` is to be called at the end, whatever comes of it.
    """

    def __init__(
        self, visitor: Visitor, what: str, detail: Mapping[str, str], judge: Judge, ledger: Ledger, rows: Rows
    ) -> None:
        """`visitor`: who asks. That the session lives was read when the person was."""
        self._visitor = visitor
        self._person = visitor.person
        self._lived = visitor.at
        self._what = what
        self._detail = detail
        self._judge = judge
        self._ledger = ledger
        self._rows = rows
        self._level = 0
        self._granted: Granted | None = None
        self._counting: asyncio.Task[Denied | None] | None = None
        self._telling: asyncio.Task[Denied | None] | None = None
        self._answered: str | None = None
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

    # ------------------------------------------------------------ the row

    async def note(self) -> Granted | Denied:
        """The read is counted, and the trail told of it: before anything is changed, and before anything is given out."""
        return await self._count() or await self._tell() or self._known()

    def begin_note(self) -> None:
        """Begin to count it."""
        self._counting = asyncio.create_task(self._count())

    async def counted(self) -> Granted | Denied:
        """Whether it may be fetched now. The trail is being told of it from here on."""
        assert self._counting is not None
        if (denied := await self._counting) is not None:
            return denied
        self._telling = asyncio.create_task(self._tell())
        # first: what is fetched takes less long than its row
        await asyncio.sleep(0)
        return self._known()

    async def settled(self) -> None:
        """When nothing is being noted any more."""
        if begun := [task for task in (self._counting, self._telling) if task is not None]:
            await asyncio.wait(begun)

    async def _count(self) -> Denied | None:
        return await self._ledger.count(self._person, self.ref, self._what, self._known().call, self._detail)

    async def _tell(self) -> Denied | None:
        return await self._ledger.tell(
            self._person, self.ref, self._level, self._what, self._known(), self._detail
        )  # fmt: skip

    # ------------------------------------------------------------ what was fetched

    async def still(self) -> Granted | Denied:
        """Whether it is so yet: the caller may have hung up while it was fetched. The level may be lower than before."""
        telling, asked = self._telling, monotonic()
        verdict = await self._again()
        if telling is not None:
            denied = await telling
            self._telling = None
            if denied is not None:
                return denied
            if monotonic() - asked > _MOMENT:
                # a disk that hangs: what was true before it did may be so no longer
                verdict = await self._again()
        return await self.withhold(verdict) if isinstance(verdict, Denied) else verdict

    def answered(self, status: int | None) -> None:
        """A change was passed on, and this is what was said to it: from now on nothing can be kept back but the answer.

        None: nothing was said, and nobody knows what became of it.
        """
        self._answered = "none" if status is None else str(status)

    @property
    def is_answered(self) -> bool:
        """Whether it was."""
        return self._answered is not None

    async def withhold(self, denied: Denied) -> Denied:
        """What was granted is not given out after all, and the trail is told why."""
        call = self._known().call
        if self._answered is None:
            return await self._rows.refuse(
                self._person, self._what, denied, self.ref, call, outcome="withheld", detail=self._detail
            )
        detail = {**self._detail, "status": self._answered}
        return await self._rows.refuse(
            self._person, self._what, denied, self.ref, call, outcome="unshown", detail=detail
        )  # fmt: skip

    async def _again(self) -> Granted | Denied:
        call, asked = self._known().call, monotonic()
        judging = self._judge.again(self._person, self.ref, self._level, call)
        if is_lately(self._lived):
            return (await judging).verdict
        judged, gone = await beside(judging, self._gone())
        if gone is None:
            self._lived = asked
        return gone or judged.verdict

    async def _gone(self) -> Denied | None:
        try:
            return None if await self._visitor.lives() else Denied(Reason.NOT_SIGNED_IN)
        except Unavailable as error:
            return self._rows.failed(self._person, self._what, error)

    def _known(self) -> Granted:
        # who calls has weighed it
        assert self._granted is not None
        return self._granted
