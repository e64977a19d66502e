"""The mark as a token, for programs that check by themselves: given out, and asked about, under the lock's own rule."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from secrets import token_urlsafe
from time import time
from typing import Any

from structlog.typing import FilteringBoundLogger

from ivr.config import Tokens
from ivr.errors import InputError, Unavailable
from ivr.lock.decision import caller
from ivr.lock.judge import Judge, Unknown
from ivr.lock.ports import Sessions
from ivr.lock.reads import Reads
from ivr.lock.rows import Rows
from ivr.lock.signer import Signer
from ivr.lock.words import Channel, Denied, Granted, Reason
from ivr.staff import Person
from ivr.vault import Index

KIND = "tillit-mark+jwt"
"""The `typ` of such a token (RFC 8725 3.11): nothing else that is signed with the same keys is taken for one."""

_WHAT = "mark.token"


@dataclass(frozen=True, slots=True)
class Issued:
    """A token, good for so many seconds from now."""

    token: str = field(repr=False)
    seconds: int


class MarkTokens:
    """It is asked anew each time who is on the line with whom."""

    def __init__(
        self, rules: Tokens, signer: Signer, judge: Judge, reads: Reads, sessions: Sessions, rows: Rows, index: Index,
        log: FilteringBoundLogger,
        wall: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        self._rules = rules
        self._signer = signer
        self._judge = judge
        self._reads = reads
        self._sessions = sessions
        self._rows = rows
        self._index = index
        self._log = log
        self._wall = wall

    async def issue(self, person: Person, call: str, audience: str, session: str) -> Issued | Denied:
        """For this person's caller of this call (`vault.Index.call`), where verified. Counts as a read of the customer's record.

        `session`: the identifier of that by which it is asked for, and with which the token ends.
        Raises `InputError` for an audience that the settings do not name.
        """
        if audience not in self._rules.audiences:
            raise InputError("audience: is none of [tokens] audiences. Nothing was done")
        detail = {"audience": audience}
        found = await self._subject(person, call)
        if isinstance(found, Denied):
            return await self._rows.refuse(person, _WHAT, found, detail=detail)
        granted, ref, methods = found
        try:
            denied = await self._reads.count(person, ref)
            if denied is not None:
                return await self._rows.refuse(person, _WHAT, denied, ref, granted.call, detail=detail)
            named = token_urlsafe(16)
            detail |= {"jti": named, "level": str(granted.level)}
            await self._rows.tell(person, _WHAT, "granted", ref, granted.call, detail=detail)
            still = await self._judge.again(person, ref, granted.level, granted.call)
            if isinstance(still.verdict, Denied):
                return await self._rows.refuse(
                    person, _WHAT, still.verdict, ref, granted.call, outcome="withheld", detail=detail
                )
            # of the last second, one that ends behind the mark: it does not hold then
            seconds = max(1, min(self._rules.seconds, int(granted.until - self._wall())))
            claims = {
                "jti": named, "sub": ref, "call": call, "node": granted.call.node, "channel": granted.call.id,
                "agent": person.id, "login": person.login, "tenant": person.tenant, "sid": session,
                "level": granted.level, "methods": list(methods),
            }  # fmt: skip
            token = self._signer.sign(claims, audience, seconds, kind=KIND)
        except Unavailable as error:
            return self._rows.failed(person, _WHAT, error)
        self._log.info("tokens.issued", person=person.id, subject=ref, jti=named)
        return Issued(token, seconds)

    async def holds(self, token: str, audiences: Collection[str], tenants: Collection[str]) -> Mapping[str, Any] | None:
        """What a token for one of these audiences, of an agent of these tenants, says, where all of it is so at this moment.

        None for anything else.

        Raises `Unavailable` where that cannot be known: which is no answer, and so no yes.
        """
        claims = self._signer.read(token, KIND)
        match claims:
            case {
                "aud": str(audience), "sub": str(ref), "level": int(level), "tenant": str(tenant), "agent": str(agent),
                "node": str(node), "channel": str(channel), "sid": str(session),
            } if audience in audiences and audience in self._rules.audiences and tenant in tenants:  # fmt: skip
                person = await self._judge.by_id(tenant, agent)
                if person is None or await self._reads.stopped(person):
                    return None
                if not await self._sessions.has(tenant, agent, session):
                    return None
                judged = await self._judge.again(person, ref, level, Channel(node, channel))
                match judged.verdict:
                    case Granted():
                        return claims
                    case Denied(Reason.UNAVAILABLE | Reason.UNKNOWN_BRIDGES as reason):
                        raise Unavailable(f"tokens: {reason.value}")
                    case Denied():
                        return None
            case _:
                return None

    async def _subject(self, person: Person, call: str) -> tuple[Granted, str, tuple[str, ...]] | Denied:
        """Who the caller of this call is, and by what."""
        try:
            found = caller(await self._judge.ground(person))
        except Unknown as error:
            self._log.warning("lock.unknown", person=person.id, error=str(error))
            return Denied(Reason.UNKNOWN_BRIDGES)
        except Unavailable as error:
            return self._rows.failed(person, _WHAT, error)
        if isinstance(found, Denied):
            return found
        if self._index.call(*found.call) != call:
            return Denied(Reason.NO_CALL)
        mark = found.mark
        if mark is None:
            return Denied(Reason.NOT_VERIFIED)
        judged = await self._judge.again(person, mark.subject, 1, found.call)
        if isinstance(judged.verdict, Denied):
            return judged.verdict
        return judged.verdict, mark.subject, mark.methods
