"""Company to company: our agent proves to another organisation's desk that it is we who are on the call, and they to ours.

Who proves says six digits aloud, which the other keys. What is shown of the other is its domain first: its name, and all that
stands beside it, is its own word.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from time import time

import orjson
from structlog.typing import FilteringBoundLogger

from ivr.call.ports.peers import Taken
from ivr.config import Settings
from ivr.errors import InputError, PeerError, PeerKeyError, StoreError, Unavailable
from ivr.lock.current import direction
from ivr.lock.decision import Caller
from ivr.lock.rows import Rows
from ivr.lock.whom import Whom
from ivr.lock.words import Denied, Direction
from ivr.numbers import e164
from ivr.peers import letter as letters
from ivr.peers import names
from ivr.peers.directory import Directory, Standing
from ivr.peers.fetch import Fetcher
from ivr.peers.keys import OwnKeys
from ivr.peers.letter import Bound, Ends, Forged, Letter
from ivr.peers.wellknown import is_name
from ivr.secret import Secret
from ivr.staff import Person
from ivr.store.letters import Kept, LetterBox, Over

_SEND, _READ = "peer.prove", "peer.read"
# Asterisk's unique identifiers hold when a channel was made, behind the name of the system where it has one.
_MADE = re.compile(r"(?:.*-)?([1-9][0-9]{8,10})\.[0-9]+")


class Arrived(StrEnum):
    """What became of a letter that came in."""

    TAKEN = "taken"
    FORGED = "forged"
    NOT_ALLOWED = "not_allowed"
    """The settings do not name its domain."""
    CHANGED = "changed"
    """The domain has another key than the one that it is known by."""
    AGAIN = "again"
    """It came before."""
    FULL = "full"
    """Too many of this domain wait, or one with the same code does."""
    UNAVAILABLE = "unavailable"


class Unproven(StrEnum):
    """Why nothing is shown of whoever is on the call."""

    NO_LETTER = "no_letter"
    """There is none with these digits, or no longer, or it was read."""
    OTHER_CALL = "other_call"
    """There is one, of another call than this: somebody may be repeating what was said there."""
    TOO_MANY = "too_many"
    """So many wrong digits were keyed on this call that none are looked at any more."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Our proof is at the other's desk; our agent says these digits aloud until `until` (seconds since the epoch)."""

    domain: str
    code: Secret
    until: int


@dataclass(frozen=True, slots=True)
class Proven:
    """Who is on the call. `domain` is as `names.shown` has it, and alone what is proven; the rest is their own word.

    `first_seen`: since when the domain is known by its key (seconds since the epoch); `agreed`: its key was compared; `like`: a
    domain that was known before it, which it looks like and is not; `numbered`: whether the number that was called is one of the
    one's who was called. Where it is not known, whoever stands between the two is not seen.
    """

    domain: str
    organisation: str
    department: str
    person: str
    about: str
    first_seen: int
    agreed: bool
    like: str | None
    numbered: bool


class Peering:
    """It is asked anew each time who is on the line. Nothing is sent or shown whose row is not durable."""

    def __init__(
        self, settings: Settings, own: OwnKeys, directory: Directory, fetcher: Fetcher, box: LetterBox, taken: Taken,
        whom: Whom, rows: Rows, log: FilteringBoundLogger, *, wall: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        self.own = own
        self._rules = settings.peers
        self._company = settings.company
        self._directory = directory
        self._fetcher = fetcher
        self._box = box
        self._taken = taken
        self._whom = whom
        self._rows = rows
        self._log = log
        self._wall = wall

    async def prove(
        self, person: Person, call: str, domain: str, *, department: str = "", about: str = ""
    ) -> Sent | Denied:
        """To the organisation of this domain that we are on this call (`vault.Index.call`).

        Raises `InputError` for what is no domain, our own, or a department that the settings do not name, or `about` that cannot be shown; `PeerError` where
        the other does not answer, `PeerKeyError` where it has another key than before.
        """
        to = names.domain(domain)
        if to is None or to == self._rules.domain or self._rules.domain is None:
            raise InputError("domain: is none that something can be proven to. Nothing was done")
        if department and department not in self._rules.departments:
            raise InputError("department: is none of [peers] departments. Nothing was done")
        if about and not is_name(about):
            raise InputError("about: cannot be shown on one line. Nothing was done")
        found = await self._whom.sole(person, call)
        detail = {"domain": to}
        if isinstance(found, Denied):
            return await self._rows.refuse(person, _SEND, found, detail=detail)
        # asked before the row is written, for whoever is not there is sent nothing
        peer = await self._directory.look(to)
        if peer.standing is Standing.CHANGED:
            raise PeerKeyError(f"peers: {to} has another key than before")
        letter = Letter.new(
            self._rules.domain, to, self._ends(found), self._wall(), organisation=self._company.name,
            department=department, person=_first(person), about=about,
        )  # fmt: skip
        try:
            await self._rows.tell(person, _SEND, "sent", call=found.call, detail={**detail, "jti": letter.jti})
        except Unavailable as error:
            return self._rows.failed(person, _SEND, error)
        await self._fetcher.deliver(to, peer.published.letters, letters.sign(letter, self.own.key))
        self._log.info("peer.sent", person=person.id, domain=to, jti=letter.jti)
        return Sent(names.shown(to), letter.code, letter.expires)

    async def arrived(self, text: Secret) -> Arrived:
        """A letter came in, from wherever. Raises nothing."""
        issuer = letters.issuer_of(text)
        what, why = Arrived.FORGED, Forged.FORM.value
        if issuer is not None:
            try:
                what, why = await self._arrived(issuer, text)
            except PeerError as error:
                what, why = Arrived.UNAVAILABLE, str(error)
            except StoreError as error:
                self._log.error("peer.failed", error=str(error))
                return Arrived.UNAVAILABLE
        if what is Arrived.TAKEN:
            self._log.info("peer.received", domain=issuer)
        else:
            self._log.info("peer.refused", domain=issuer or "", outcome=what.value, reason=why)
        return what

    async def _arrived(self, issuer: str, text: Secret) -> tuple[Arrived, str]:
        # before anything is asked of it: nobody has us knock at a door of theirs
        if self._rules.domain is None or not self._rules.allows(issuer):
            return Arrived.NOT_ALLOWED, ""
        peer = await self._directory.look(issuer, key=letters.key_of(text))
        if peer.standing is Standing.CHANGED:
            return Arrived.CHANGED, ""
        now = self._wall()
        letter = letters.read(text, peer.published, self._rules.domain, now)
        if isinstance(letter, Forged):
            return Arrived.FORGED, letter.value
        if not await self._taken.take(issuer, letter.jti, letter.expires):
            return Arrived.AGAIN, ""
        holds = {
            "letter": {
                "jti": letter.jti, "organisation": letter.organisation, "department": letter.department,
                "person": letter.person, "about": letter.about, "outbound": letter.call.outbound,
                "began": letter.call.began, "dialled": letter.call.dialled,
            },
            "domain": issuer, "first_seen": peer.first_seen, "agreed": peer.agreed, "like": peer.like,
            "numbers": peer.published.numbers,
        }  # fmt: skip
        seconds = max(1, int(letter.expires - now))
        kept = await self._box.keep(issuer, letter.code, orjson.dumps(holds), seconds=seconds)
        return (Arrived.TAKEN, "") if kept is Kept.KEPT else (Arrived.FULL, kept.value)

    async def read(self, person: Person, call: str, code: Secret) -> Proven | Unproven | Denied:
        """Who has sent the letter whose digits were said on this call. It is good once, whatever comes of it."""
        found = await self._whom.sole(person, call)
        if isinstance(found, Denied):
            return await self._rows.refuse(person, _READ, found)
        try:
            holds = await self._box.take(*found.call, code)
            if not isinstance(holds, bytes):
                why = Unproven.TOO_MANY if isinstance(holds, Over) else Unproven.NO_LETTER
                await self._rows.tell(person, _READ, "refused", call=found.call, detail={"reason": why.value})
                return why
            said = orjson.loads(holds)
            theirs = said["letter"]
            detail = {"domain": said["domain"], "jti": theirs["jti"]}
            ends = Ends(theirs["outbound"], theirs["began"], theirs["dialled"])
            numbers, apart = self._rules.numbers, self._rules.apart_seconds
            bound = letters.bound(ends, self._ends(found), said["numbers"], numbers, apart)
            if bound is Bound.NOT:
                self._log.warning("peer.other_call", person=person.id, domain=said["domain"], call=found.call.id)
                detail["reason"] = Unproven.OTHER_CALL.value
                await self._rows.tell(person, _READ, "refused", call=found.call, detail=detail)
                return Unproven.OTHER_CALL
            detail["bound"] = bound.value
            await self._rows.tell(person, _READ, "proven", call=found.call, detail=detail)
            still = await self._whom.sole(person, call)
            if isinstance(still, Denied):
                return await self._rows.refuse(person, _READ, still, call=found.call, outcome="withheld", detail=detail)
        except Unavailable as error:
            return self._rows.failed(person, _READ, error)
        self._log.info("peer.proven", person=person.id, domain=said["domain"], jti=theirs["jti"])
        return Proven(
            names.shown(said["domain"]), theirs["organisation"], theirs["department"], theirs["person"],
            theirs["about"], said["first_seen"], said["agreed"], said["like"], bound is Bound.CALL,
        )  # fmt: skip

    def _ends(self, found: Caller) -> Ends:
        outbound, dialled = direction(found) is Direction.OUTBOUND, None
        if outbound and found.party.number is not None:
            dialled = e164(found.party.number.reveal(), self._company.country)
        made = _MADE.fullmatch(found.party.channel)
        return Ends(outbound, int(made[1]) if made else 0, "" if dialled is None else dialled.reveal())


def _first(person: Person) -> str:
    """The first name alone."""
    return person.name.split()[0]
