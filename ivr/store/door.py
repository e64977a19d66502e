"""Signing in and out at the desk: throttled, counted before compared, and an audit row before each effect."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from structlog.typing import FilteringBoundLogger

from ivr.call.ports import Entry, Trail
from ivr.errors import StoreError
from ivr.secret import Secret
from ivr.staff import Denial, Denied, Person, SignedIn
from ivr.store.address import masked
from ivr.store.credentials import Credentials
from ivr.store.passkeys import Passkeys
from ivr.store.sessions import Session, Sessions
from ivr.store.throttle import May, MayNot, Throttle, Try
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
        passkeys: Passkeys | None = None,
        *,
        clock: Callable[[], float] = time.time,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        self._credentials = credentials
        self._throttle = throttle
        self._sessions = sessions
        self._vault = vault
        self._trail = trail
        self._passkeys = passkeys
        self._clock = clock
        self._log = log

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
        if person is None or not right or step is None or not ring.has_app:
            return await self._wrong(person, tenant, address)
        if not await self._credentials.consume(person, step):
            return await self._wrong(person, tenant, address)
        return await self._right(person, one, counted, address, "password,totp")

    async def sign_in_by_passkey(
        self, tenant: str, answer: str, bound: bytes, address: str, *, login: str = "", password: Secret | None = None
    ) -> SignedIn | Denied:
        """Who this is, where the passkey is right, and beside it the password where one is given.

        `bound`: what the challenge was bound to (`Passkeys.ask`). Alone it says itself whose it is, and of which tenant, and is
        counted so; one that nobody has is counted and refused in the same way. Nobody guesses a key: it is not counted over all,
        and goes on where others' guessing has shut passwords out.
        """
        passkeys = self._passkeys
        if passkeys is None or (password is None and not passkeys.alone):
            return Denied(Denial.WRONG)
        claim = await passkeys.claim(answer)
        owner = claim.owner
        if password is None:
            tenant, login = (tenant, "?passkey") if owner is None else (owner.tenant, owner.login)
        login = login[:_LONGEST].strip().casefold()
        one = self._throttle.of(tenant, login, address, guessable=False)
        counted = await self._throttle.count(one)
        if isinstance(counted, MayNot):
            return await self._refused(counted, tenant, address)
        proof = await passkeys.proof(claim, bound, alone=password is None)
        if password is not None:
            ring = await self._credentials.ring(tenant, login)
            right = await self._vault.passwords.matches(password, ring.password)
            if not right or ring.person is None or owner is None or ring.person.id != owner.id:
                return await self._wrong(ring.person, tenant, address)
        if owner is None or owner.disabled or proof is None:
            return await self._wrong(owner, tenant, address)
        if not await passkeys.use(claim, proof):
            if self._log is not None:
                self._log.warning("passkey.copied", person=owner.id)
            return await self._wrong(owner, tenant, address, why="count")
        return await self._right(owner, one, counted, address, "passkey" if password is None else "password,passkey")

    async def sign_in_elsewhere(self, person: Person, address: str, age: float | None) -> SignedIn | Denied:
        """This person, for whom a provider has answered. Not counted with the login: who guesses at that shuts nobody out here, nor is it
        counted over all.

        `age`: seconds since it has asked; None where it does not say.
        """
        one = self._throttle.of(person.tenant, f"elsewhere {person.id}", address, guessable=False)
        counted = await self._throttle.count(one)
        if isinstance(counted, MayNot):
            return await self._refused(counted, person.tenant, address)
        found = await self._right(person, one, counted, address, "oidc")
        return replace(found, age=age, elsewhere=True)

    async def refuse(self, tenant: str, address: str, *, why: str, person: Person | None = None) -> None:
        """Tell the trail of somebody whom a provider has sent, and who was not let in; and who that is, where it is known."""
        await self._wrong(person, tenant, address, why=why)

    async def tell(self, person: Person, action: str, outcome: str, address: str, **detail: str) -> None:
        """Write a row of what this person has had done."""
        told = {"tenant": person.tenant, "from": masked(address), **detail}
        await self._trail.append(Entry(person.actor, action, outcome, subject=person.id, detail=told))

    async def begin(self, signed_in: SignedIn) -> tuple[Secret, Session] | Denied:
        """The session, as `Sessions.begin`; where none comes of it, the trail, which has the sign-in, is told that too."""
        try:
            begun = await self._sessions.begin(signed_in)
        except StoreError:
            await self._undone(signed_in.person)
            raise
        if isinstance(begun, Denied):
            await self._undone(signed_in.person)
        return begun

    async def _undone(self, person: Person) -> None:
        detail = {"tenant": person.tenant}
        await self._trail.append(Entry(person.actor, "desk.sign_in", "undone", subject=person.id, detail=detail))

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

    async def _right(self, person: Person, one: Try, counted: May, address: str, methods: str) -> SignedIn:
        detail = {"tenant": person.tenant, "from": masked(address), "methods": methods}
        await self._trail.append(Entry(person.actor, "desk.sign_in", "done", subject=person.id, detail=detail))
        await self._throttle.right(one)
        last = await self._credentials.note(person, masked(address), counted.failures)
        return SignedIn(person, last, counted.since)

    async def _wrong(self, person: Person | None, tenant: str, address: str, *, why: str = "") -> Denied:
        actor, subject = (NOBODY, "") if person is None else (person.actor, person.id)
        detail = {"tenant": tenant, "from": masked(address)} | ({"why": why} if why else {})
        await self._trail.append(Entry(actor, "desk.sign_in", "refused", subject=subject, detail=detail))
        return Denied(Denial.WRONG)


def _of(session: Session) -> dict[str, str]:
    return {"tenant": session.tenant, "session": session.id}
