"""The first use of a one-time link: a password and a second factor are set, and the link is used up.

To look at it changes nothing: the app's key that a page shows is stored nowhere, and comes back sealed in the form.
"""

from __future__ import annotations

import asyncio
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ivr.call.ports import Entry, Trail
from ivr.config import Settings
from ivr.errors import VaultError
from ivr.secret import Secret
from ivr.staff import Person
from ivr.store.address import masked
from ivr.store.credentials import App, Credentials, Second
from ivr.store.passkeys import Passkeys
from ivr.store.roster import hashed
from ivr.vault import Vault, totp
from ivr.vault.password import Weak, weakness


@dataclass(frozen=True, slots=True)
class Offer:
    """What the page shows: whose link it is, the key for the authenticator app, and the same as the app reads it (`uri`).

    `sealed` stands in the form, and is no secret.
    """

    person: Person
    key: Secret
    uri: Secret
    sealed: str


class Unfit(StrEnum):
    """Why a link was not used up; but for `LINK` the same one may be tried again."""

    LINK = "link"
    """There is no such link, or no longer."""
    CODE = "code"
    """The code is not that of the app's key: the app was not set up, or the phone's clock is wrong."""
    PASSKEY = "passkey"
    """The browser's answer is none that makes a passkey."""


class Welcome:
    """What the page behind a one-time link asks. Raises `StoreError` or `VaultError`; then nothing was done."""

    def __init__(
        self,
        credentials: Credentials,
        vault: Vault,
        trail: Trail,
        settings: Settings,
        passkeys: Passkeys | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._credentials = credentials
        self._vault = vault
        self._trail = trail
        self._settings = settings
        self._passkeys = passkeys
        self._clock = clock

    async def offer(self, token: Secret, sealed: str = "") -> Offer | None:
        """For this link; None where it is none, or no longer. Changes nothing.

        With the key that was offered before (`sealed`), where it was: an app has read it, and need not read another one.
        """
        link = hashed(token)
        person = await self._credentials.invited(link, self._clock())
        if person is None:
            return None
        try:
            key: Secret = await self._credentials.offered(person, link, _bytes(sealed)) if sealed else totp.new()
        except VaultError:
            key = totp.new()
        kept = await self._credentials.offer(person, link, key)
        return Offer(person, key, totp.uri(key, person.login, self._settings.company.name), _text(kept))

    async def accept(
        self, token: Secret, password: Secret, code: Secret, sealed: str, address: str
    ) -> Person | Unfit | Weak:
        """Set the password and the app whose key was offered, whose code this is, and use the link up.

        The person signs in with the next code; that of now is used up as well.
        """
        person = await self._invited(token, password)
        if not isinstance(person, Person):
            return person
        try:
            key = await self._credentials.offered(person, hashed(token), _bytes(sealed))
        except VaultError:
            return Unfit.CODE
        step = totp.step_of(key, code, self._clock())
        if step is None:
            return Unfit.CODE
        return await self._enrol(person, token, password, App(key, step), address)

    async def offer_passkey(self, token: Secret) -> dict[str, Any] | None:
        """What a browser makes a passkey of, in the stead of an app; None where the link is none, or passkeys cannot be."""
        person = await self._credentials.invited(hashed(token), self._clock())
        if person is None or self._passkeys is None:
            return None
        return await self._passkeys.offer(person, hashed(token).encode())

    async def accept_passkey(
        self, token: Secret, password: Secret, answer: str, name: str, address: str
    ) -> Person | Unfit | Weak:
        """Set the password and the passkey that the browser has made, and use the link up."""
        person = await self._invited(token, password)
        if not isinstance(person, Person):
            return person
        bound = hashed(token).encode()
        made = None if self._passkeys is None else await self._passkeys.made(person, bound, answer, name)
        if made is None:
            return Unfit.PASSKEY
        return await self._enrol(person, token, password, made, address)

    async def _invited(self, token: Secret, password: Secret) -> Person | Unfit | Weak:
        """Whom the link is for, where the password will do."""
        person = await self._credentials.invited(hashed(token), self._clock())
        if person is None:
            return Unfit.LINK
        own = (person.login, person.name, person.team, person.tenant, self._settings.company.name, "tillit")
        return await asyncio.to_thread(weakness, password, self._settings.desk.password, own) or person

    async def _enrol(
        self, person: Person, token: Secret, password: Secret, second: Second, address: str
    ) -> Person | Unfit:
        link, methods = hashed(token), "password,totp" if isinstance(second, App) else "password,passkey"
        record = await self._vault.passwords.make(password)
        # told of before it is done, and once: another who has the same link at the same time tells of the same
        await self._trail.append(
            Entry(
                person.actor, "agent.enrol", "done", subject=person.id, once=f"link:{link}",
                detail={"tenant": person.tenant, "from": masked(address), "methods": methods},
            )
        )  # fmt: skip
        now = self._clock()
        if not await self._credentials.enrol(person, link, now, password=record, second=second):
            return Unfit.LINK
        return person


def _text(sealed: bytes) -> str:
    return urlsafe_b64encode(sealed).decode()


def _bytes(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text.encode())
    except ValueError:
        return b""
