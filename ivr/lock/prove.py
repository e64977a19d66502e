"""What an agent does so that the person on the line can know who speaks."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from time import time
from types import MappingProxyType

from structlog.typing import FilteringBoundLogger

from ivr.call.outcome import Budget
from ivr.call.ports import Closed, TooMany
from ivr.call.proof import Keyed, Proof, Shown, Stage, Way
from ivr.config import Company, Limits
from ivr.config import Prove as Rules
from ivr.errors import InputError, Unavailable
from ivr.lock.course import DIGITS, Course
from ivr.lock.current import direction
from ivr.lock.decision import Caller
from ivr.lock.enrolling import BY_TEXT
from ivr.lock.proofports import Carrier, Pages
from ivr.lock.proofwords import Asked, Choice, Speaking
from ivr.lock.reads import Reads
from ivr.lock.recipient import Recipient, Recipients
from ivr.lock.rows import Rows
from ivr.lock.settling import PROOF
from ivr.lock.spoken import LIFE, Numbers
from ivr.lock.whom import Whom
from ivr.lock.words import Denied, Direction, Reason
from ivr.numbers import Range
from ivr.prompts import about, languages
from ivr.prompts.phrases import phrase
from ivr.secret import Secret
from ivr.staff import Permission, Person
from ivr.store.opened import new_link
from ivr.store.pages import Barred, Kept, Pending
from ivr.vault import Index

NOBODY: Mapping[str, tuple[str, ...]] = MappingProxyType({})
"""Where nobody shows on the page who they are."""

_SPEECH, _CANCEL = "proof.speech", "proof.cancel"
# It is good for minutes, and the page lets few be tried: one in 10^8 is found by nobody.
_CODE_DIGITS = 8


class Prove:
    """None of the methods raises `Unavailable`: a part that is down refuses."""

    def __init__(
        self, rules: Rules, company: Company, whom: Whom, recipients: Recipients, pages: Pages, carriers: Mapping[Way, Carrier],
        course: Course, reads: Reads, rows: Rows, index: Index, limits: Limits, log: FilteringBoundLogger,
        wall: Callable[[], float] = time, *, push: str = "", back: Mapping[str, tuple[str, ...]] = NOBODY,
        numbers: Numbers | None = None,
    ) -> None:  # fmt: skip
        """`limits`: the budgets of texts; `push`: the key under which browsers subscribe to messages of ours; `back`: by which steps
        customers of each tenant may show who they are; `numbers`: where agents say digits.
        """
        self._rules = rules
        self._company = company
        self._whom = whom
        self._recipients = recipients
        self._pages = pages
        self._carriers = carriers
        self._course = course
        self._reads = reads
        self._rows = rows
        self._index = index
        self._limits = limits
        self._log = log
        self._wall = wall
        self._push = push
        self._back = back
        self._numbers = numbers

    def offered(self) -> Choice:
        """What may be chosen. It is the same for every customer: what somebody has on record is told to nobody."""
        return Choice(tuple(self._carriers), self._rules.about)

    async def begin(self, person: Person, call: str, asked: Asked) -> Proof | Denied:
        """Send the one with whom this person talks, and nobody else, a message that shows who it is. Raises `InputError`."""
        carrier = self._checked(asked)
        found = await self._whom.sole(person, call)
        if isinstance(found, Denied):
            return await self._rows.refuse(person, PROOF, found)
        try:
            return await self._begun(person, found, asked, carrier)
        except Unavailable as error:
            return await self._rows.refuse(person, PROOF, self._rows.failed(person, PROOF, error), call=found.call)

    async def again(self, person: Person, call: str) -> Speaking | Denied:
        """Speak the digits once more."""
        try:
            found = await self._own(person, call)
            if isinstance(found, Denied):
                return await self._rows.refuse(person, _SPEECH, found)
            # what the page shows is never spoken, nor what the agent has said
            if found.stage is not Stage.OPENED or found.keyed is not Keyed.PAGE or found.way is Way.SPOKEN:
                return await self._rows.refuse(person, _SPEECH, Denied(Reason.NO_PROOF))
            return await self._course.say(found)
        except Unavailable as error:
            return self._rows.failed(person, _SPEECH, error)

    async def cancel(self, person: Person, call: str) -> bool | Denied:
        """Take it back; False where it has come to its end meanwhile."""
        try:
            found = await self._own(person, call)
            if isinstance(found, Denied):
                return await self._rows.refuse(person, _CANCEL, found)
            return await self._course.end(found, Stage.EXPIRED, "cancelled")
        except Unavailable as error:
            return self._rows.failed(person, _CANCEL, error)

    # ------------------------------------------------------------ inside

    def _checked(self, asked: Asked) -> Carrier:
        if (carrier := self._carriers.get(asked.way)) is None:
            raise InputError(f"way: may not be chosen here. Here belong: {', '.join(self._carriers)}")
        if asked.about not in self._rules.about:
            raise InputError(f"about: may not be chosen here. Here belong: {', '.join(self._rules.about)}")
        return carrier

    async def _begun(self, person: Person, found: Caller, asked: Asked, carrier: Carrier) -> Proof | Denied:
        if (many := await self._too_many(person, found, asked)) is not None:
            return await self._rows.refuse(person, PROOF, many, call=found.call)
        spoken = asked.way is Way.SPOKEN
        if spoken and self._numbers is not None and await self._numbers.closed_until() is not None:
            return await self._rows.refuse(person, PROOF, Denied(Reason.PUBLISHED_CLOSED), call=found.call)
        if spoken:
            to: Recipient | None = await self._recipients.on_line(person.tenant, found)
        else:
            to = await self._recipients.of(person.tenant, found, asked.customer, carrier)
        if to is None:
            return await self._rows.refuse(person, PROOF, Denied(Reason.NO_WAY), call=found.call)
        proof = self._proof(person, found, to, asked)
        word = Secret.random_digits(_CODE_DIGITS) if asked.way is Way.CODE else new_link()
        named = {} if spoken else {"code" if asked.way is Way.CODE else "link": word}
        kept = await self._pages.open(
            proof,
            # what the agent says is none of the page's: it has others, which nobody knows
            digits=Secret.random_digits(DIGITS) if spoken else self._course.digits_of(proof.id),
            range=to.range,
            parts=carrier.parts(proof, word),
            barred=not person.may(Permission.WATCH),
            **named,
        )
        if not isinstance(kept, Kept):
            return await self._refused(person, found, to, kept)
        denied = await self._asked(person, found, proof)
        if denied is not None:
            with suppress(Unavailable):
                # it ends by itself
                await self._pages.end(proof.id, Stage.FAILED)
                await self._pages.settled(replace(proof, stage=Stage.FAILED))
            return await self._rows.refuse(person, PROOF, denied, to.ref, found.call)
        self._log.info("proof.asked", proof=proof.id, way=proof.way.value, person=person.id, call=proof.channel)
        self._course.carry(proof, self._carried(proof, to, carrier, word))
        return proof

    async def _too_many(self, person: Person, found: Caller, asked: Asked) -> Denied | None:
        """Before anybody is looked for, and whatever comes of it: that a number is some customer's is learned by trying."""
        if await self._reads.stopped(person):
            return Denied(Reason.TOO_MANY_READS)
        if asked.customer is None or await self._pages.typed(f"{person.tenant}:{person.id}", *found.call):
            return None
        return Denied(Reason.TOO_MANY_PROOFS)

    async def _asked(self, person: Person, found: Caller, proof: Proof) -> Denied | None:
        """The row, and that the two talk yet: nothing was sent so far."""
        detail = {
            "proof": proof.id, "way": proof.way.value, "keyed": proof.keyed.value, "about": proof.shown.about,
        }  # fmt: skip
        try:
            await self._rows.tell(person, PROOF, "asked", proof.subject, found.call, detail=detail)
        except Unavailable as error:
            return self._rows.failed(person, PROOF, error)
        again = await self._whom.sole(person, self._index.call(*found.call))
        if isinstance(again, Denied):
            return again
        return None if again.talk.own.channel == found.talk.own.channel else Denied(Reason.NO_CALL)

    async def _carried(self, proof: Proof, to: Recipient, carrier: Carrier, word: Secret) -> None:
        async def told(stage: Stage) -> None:
            await self._course.moved_on(proof, stage)

        try:
            await carrier.carry(proof, to.at, word, told)
        except Unavailable as error:
            now = await self._pages.of(proof.id)
            # whoever has opened it has it, whatever a gateway says
            if now is not None and now.stage is not Stage.OPENED:
                await self._course.end(proof, Stage.FAILED, str(error))

    def _proof(self, person: Person, found: Caller, to: Recipient, asked: Asked) -> Proof:
        language = next(
            (one for one in (to.language, self._company.language) if one is not None and one in languages()), "en"
        )
        number, spoken = to.on_line, asked.way is Way.SPOKEN
        seconds = self._rules.minutes * 60
        shown = Shown(
            company=self._company.name,
            department=self._rules.departments.get(person.team, ""),
            # as people are called who speak with customers: no more of the name than is needed
            agent=(person.name.split() or [""])[0],
            title=self._rules.titles.get(person.role.value, ""),
            about=about(asked.about, language),
            number="" if number is None else number.masked,
            outbound=direction(found) is Direction.OUTBOUND,
            since=int(found.party.since),
            # of whom nothing is shown to, nothing can be compared
            phrase="" if spoken else phrase(language),
            language=language,
            push=self._push if asked.way in BY_TEXT else "",
            # who keys on the phone is told nothing that others with the same link are not told
            back=() if spoken or asked.keyed is Keyed.PHONE else self._back.get(person.tenant, ()),
        )
        return Proof(
            id=secrets.token_urlsafe(16), node=found.call.node, channel=found.call.id, endpoint=found.talk.own.endpoint,
            tenant=person.tenant, person=person.id, subject=to.ref, way=asked.way,
            keyed=Keyed.PAGE if spoken else asked.keyed,
            until=int(self._wall()) + (min(seconds, LIFE) if spoken else seconds), shown=shown,
            phone=self._index.phone(to.at) if asked.way in BY_TEXT else "",
        )  # fmt: skip

    async def _own(self, person: Person, call: str) -> Proof | Denied:
        """The proof of this person on this call that waits for its answer. Raises `Unavailable`."""
        found = await self._whom.any(person, call)
        if isinstance(found, Denied):
            return found
        proof = await self._pages.of_call(*found.call)
        if proof is None or proof.stage.is_end or (proof.tenant, proof.person) != (person.tenant, person.id):
            return Denied(Reason.NO_PROOF)
        return proof

    async def _refused(
        self, person: Person, found: Caller, to: Recipient, kept: Pending | TooMany | Barred | Closed
    ) -> Denied:
        if isinstance(kept, Closed) and to.range is not None:
            await self._withheld(person, found, to.range, kept)
        reason = {Pending: Reason.PROOF_UNDER_WAY, Barred: Reason.DENIED_LATELY}.get(type(kept), Reason.TOO_MANY_PROOFS)
        return await self._rows.refuse(person, PROOF, Denied(reason), to.ref, found.call)

    async def _withheld(self, person: Person, found: Caller, area: Range, closed: Closed) -> None:
        """The budget of texts is used up; the first time also for those who look after it."""
        self._log.info("text.withheld", scope=closed.scope.value)
        if not closed.first:
            return
        where, most = {
            Budget.ALL: ("", self._limits.texts_per_hour),
            Budget.COUNTRY: (area.country, self._limits.texts_country_per_hour),
            Budget.PREFIX: (area.prefix, self._limits.texts_prefix_per_hour),
        }[closed.scope]
        self._log.warning("texts.closed", scope=closed.scope.value, range=where, limit=most)
        detail = {"scope": closed.scope.value, "range": where, "limit": str(most)}
        try:
            await self._rows.tell(person, "texts.close", "closed", call=found.call, detail=detail)
        except Unavailable as error:
            # closed it is all the same
            self._log.error("texts.not_told", error=str(error))
