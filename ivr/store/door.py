"""Signing in and out at the desk: throttled, counted before compared, and an audit row before each effect."""

from __future__ import annotations

import time
from collections.abc import Callable

from ivr.call.ports import Entry, Trail
from ivr.secret import Secret
from ivr.staff import Denial, Denied, Person, SignedIn
from ivr.store.address import masked
from ivr.store.credentials import Credentials
from ivr.store.sessions import Session, Sessions
from ivr.store.throttle import MayNot, Throttle
from ivr.vault import Vault, totp

NOBODY = "desk:?"
"""The actor of a try that nobody is known to have made: what was typed as a login may have been a password."""

# Far more than any login; more is only counted.
_LONGEST = 200


class Door:
    """What the desk's pages ask. `address` is that of the browser, as text.

    Raises `StoreError` or `VaultError`, and then nobody is signed in; a session that was to end may still be there where Redis
    did not answer.
    """

    def __init__(
        self,
        credentials: Credentials,
        throttle: Throttle,
        sessions: Sessions,
        vault: Vault,
        trail: Trail,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._credentials = credentials
        self._throttle = throttle
        self._sessions = sessions
        self._vault = vault
        self._trail = trail
        self._clock = clock

    async def sign_in(self, tenant: str, login: str, password: Secret, code: Secret, address: str) -> SignedIn | Denied:
        """Who this is, where password and code are right; a code is accepted once.

        A login that nobody has takes as long as one that somebody has, and is counted and refused in the same way. The
        session begins with `Sessions.begin`.
        """
        login = login[:_LONGEST].strip().casefold()
        one = self._throttle.of(tenant, login, address)
        counted = await self._throttle.count(one)
        if isinstance(counted, MayNot):
            return await self._refused(counted, tenant, address)
        ring = await self._credentials.ring(tenant, login)
        right = await self._vault.passwords.matches(password, ring.password)
        step = totp.step_of(ring.code_key, code, self._clock())
        person = ring.person
        if person is None or not right or step is None:
            await self._wrong(person, tenant, address)
            return Denied(Denial.WRONG)
        if not await self._credentials.consume(person, step):
            await self._wrong(person, tenant, address)
            return Denied(Denial.WRONG)
        detail = {"tenant": tenant, "from": masked(address), "methods": "password,totp"}
        await self._trail.append(Entry(person.actor, "desk.sign_in", "done", subject=person.id, detail=detail))
        await self._throttle.right(one)
        last = await self._credentials.note(person, masked(address), counted.failures)
        return SignedIn(person, last, counted.since)

    async def sign_out(self, token: Secret, session: Session, actor: str) -> None:
        """End this session. `actor`: `Person.actor`."""
        await self._trail.append(Entry(actor, "desk.sign_out", "done", subject=session.person, detail=_of(session)))
        await self._sessions.end(token)

    async def sign_out_everywhere(self, session: Session, actor: str) -> int:
        """End all sessions of this person; how many there were."""
        detail = {**_of(session), "sessions": "all"}
        await self._trail.append(Entry(actor, "desk.sign_out", "done", subject=session.person, detail=detail))
        return await self._sessions.end_all(session.tenant, session.person)

    async def lent(self, person: Person, program: str, origin: str) -> None:
        """That pages of this origin may show this person's calls from now on, because this program has asked."""
        detail = {"person": person.id, "tenant": person.tenant, "program": program, "origin": origin}
        await self._trail.append(
            Entry(f"program:{program}", "desk.element", "granted", subject=person.id, detail=detail)
        )

    async def _refused(self, refused: MayNot, tenant: str, address: str) -> Denied:
        # one row a wait: who tries on and on must not fill the disk
        if refused.news:
            detail = {
                "tenant": tenant,
                "from": masked(address),
                "by": refused.by.value,
                "failures": str(refused.failures),
            }
            detail["seconds"] = "reset" if refused.seconds is None else str(refused.seconds)
            await self._trail.append(Entry(NOBODY, "desk.sign_in", "locked", detail=detail))
        if refused.seconds is None:
            return Denied(Denial.RESET)
        return Denied(Denial.WAIT, refused.seconds)

    async def _wrong(self, person: Person | None, tenant: str, address: str) -> None:
        actor, subject = (NOBODY, "") if person is None else (person.actor, person.id)
        detail = {"tenant": tenant, "from": masked(address)}
        await self._trail.append(Entry(actor, "desk.sign_in", "refused", subject=subject, detail=detail))


def _of(session: Session) -> dict[str, str]:
    return {"tenant": session.tenant, "session": session.id}
