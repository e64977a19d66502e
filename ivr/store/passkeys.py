"""Passkeys at the desk: what a browser is asked, what its answer is worth, and what a person does with the own ones.

A challenge is good once, for minutes, and for the browser, session or link that it was made for.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from ivr.call.ports import Entry, Trail
from ivr.config import Settings
from ivr.staff import TENANT, Person
from ivr.store.address import masked
from ivr.store.keyring import Kept, Keyring, Removal
from ivr.store.tickets import Tickets
from ivr.vault import passkey
from ivr.vault.passkey import Party, Passkey, Proof

_SHOW, _MAKE = "passkey", "new-passkey"
_NAME = 40


@dataclass(frozen=True, slots=True)
class Claim:
    """An answer that was given to a challenge of ours, and whose passkey it says to be; `owner` None: nobody's. Nothing is proved yet."""

    answer: str
    challenge: bytes
    owner: Person | None
    kept: Kept | None


class Passkeys:
    """For the desk's pages. Every method raises `StoreError` or `VaultError`; then nothing was done."""

    def __init__(self, keyring: Keyring, tickets: Tickets, trail: Trail, settings: Settings, party: Party) -> None:
        self._keyring = keyring
        self._tickets = tickets
        self._trail = trail
        self._party = party
        self.alone = settings.desk.passkey_alone

    # ------------------------------------------------------------ signing in

    async def ask(self, bound: bytes, *, alone: bool) -> dict[str, Any]:
        """What a browser shows a passkey for: the same, whoever wants to sign in."""
        challenge = secrets.token_bytes(32)
        await self._tickets.keep(_SHOW, TENANT, bound, challenge, seconds=passkey.SECONDS)
        return passkey.request(self._party, challenge, alone=alone)

    async def claim(self, answer: str) -> Claim:
        """Whose passkey this says to be. Uses nothing up: it is to be counted first."""
        shown = passkey.shown(answer, new=False)
        found = None if shown is None else await self._keyring.owner(passkey.named(shown.credential))
        # nobody was named before, so it must say so itself (WebAuthn level 2, 7.2, step 6)
        if shown is not None and found is not None and shown.handle != found[0].id.encode():
            found = None
        challenge = b"" if shown is None else shown.challenge
        return Claim(answer, challenge, *(found or (None, None)))

    async def proof(self, claim: Claim, bound: bytes, *, alone: bool) -> Proof | None:
        """What it proves, once. `alone`: that the device made sure of its user, too."""
        asked = await self._tickets.take(_SHOW, TENANT, bound, claim.challenge)
        if asked is None or claim.kept is None:
            return None
        return passkey.proved(self._party, claim.challenge, claim.answer, claim.kept.passkey, alone=alone)

    async def use(self, claim: Claim, proof: Proof) -> bool:
        """Note that it was used; False where its count did not go up, as that of a copy would not."""
        assert claim.owner is not None and claim.kept is not None
        return await self._keyring.use(claim.owner, claim.kept.id, proof.count)

    # ------------------------------------------------------------ making one

    async def offer(self, person: Person, bound: bytes) -> dict[str, Any]:
        """What this person's browser makes a new one of."""
        challenge = secrets.token_bytes(32)
        await self._tickets.keep(_MAKE, person.tenant, _both(bound, person), challenge, seconds=passkey.SECONDS)
        known = [one.passkey.credential for one in await self._keyring.of(person)]
        return passkey.creation(
            self._party, challenge, handle=person.id, login=person.login, name=person.name, known=known
        )

    async def made(self, person: Person, bound: bytes, answer: str, name: str) -> tuple[Passkey, int] | None:
        """The new passkey and its count, where the answer is good; not kept yet."""
        shown = passkey.shown(answer, new=True)
        if shown is None:
            return None
        asked = await self._tickets.take(_MAKE, person.tenant, _both(bound, person), shown.challenge)
        return None if asked is None else passkey.made(self._party, shown.challenge, answer, named(name))

    async def add(self, person: Person, bound: bytes, answer: str, name: str, address: str) -> bool:
        """A further one of somebody who is signed in."""
        found = await self.made(person, bound, answer, name)
        if found is None:
            await self._tell(person, "passkey.add", "refused", address)
            return False
        await self._tell(person, "passkey.add", "done", address, passkey.named(found[0].credential))
        if await self._keyring.add(person, *found):
            return True
        await self._tell(person, "passkey.add", "undone", address, passkey.named(found[0].credential))
        return False

    # ------------------------------------------------------------ the own ones

    async def of(self, person: Person) -> tuple[Kept, ...]:
        """This person's, the oldest first."""
        return await self._keyring.of(person)

    async def ways(self, person: Person) -> dict[str, str]:
        """The other ways in which this person signs in, with since when."""
        return await self._keyring.others(person)

    async def rename(self, person: Person, id: str, name: str) -> bool:
        """Whether this person has it."""
        return await self._keyring.rename(person, id, named(name))

    async def remove(self, person: Person, id: str, address: str) -> Removal:
        """Take it away; not the last second factor."""
        if id not in {one.id for one in await self._keyring.of(person)}:
            return Removal.UNKNOWN
        await self._tell(person, "passkey.remove", "done", address, id)
        removed = await self._keyring.remove(person, id)
        if removed is not Removal.DONE:
            await self._tell(person, "passkey.remove", "refused", address, id)
        return removed

    async def _tell(self, person: Person, action: str, outcome: str, address: str, id: str = "") -> None:
        detail = {"tenant": person.tenant, "from": masked(address)} | ({"passkey": id[:12]} if id else {})
        await self._trail.append(Entry(person.actor, action, outcome, subject=person.id, detail=detail))


def named(text: str) -> str:
    """What a person calls a passkey, as it is kept."""
    plain = "".join(letter for letter in text if letter.isprintable())
    return " ".join(plain.split())[:_NAME] or "passkey"


def _both(bound: bytes, person: Person) -> bytes:
    return bound + b" " + person.id.encode()
