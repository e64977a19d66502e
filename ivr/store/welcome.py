"""The first use of a one-time link: a password and an authenticator app are set, and the link is used up.

To look at it changes nothing: the app's key that a page shows is stored nowhere, and comes back sealed in the form.
"""

from __future__ import annotations

import asyncio
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from ivr.call.ports import Entry, Trail
from ivr.config import Settings
from ivr.errors import VaultError
from ivr.secret import Secret
from ivr.staff import Person
from ivr.store.address import masked
from ivr.store.credentials import Credentials
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


class Welcome:
    """What the page behind a one-time link asks. Raises `StoreError` or `VaultError`; then nothing was done."""

    def __init__(
        self,
        credentials: Credentials,
        vault: Vault,
        trail: Trail,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._credentials = credentials
        self._vault = vault
        self._trail = trail
        self._settings = settings
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
        link = hashed(token)
        person = await self._credentials.invited(link, self._clock())
        if person is None:
            return Unfit.LINK
        own = (person.login, person.name, person.team, person.tenant, self._settings.company.name, "tillit")
        weak = await asyncio.to_thread(weakness, password, self._settings.desk.password, own)
        if weak is not None:
            return weak
        try:
            key = await self._credentials.offered(person, link, _bytes(sealed))
        except VaultError:
            return Unfit.CODE
        step = totp.step_of(key, code, self._clock())
        if step is None:
            return Unfit.CODE
        record = await self._vault.passwords.make(password)
        # told of before it is done, and once: another who has the same link at the same time tells of the same
        await self._trail.append(
            Entry(
                person.actor, "agent.enrol", "done", subject=person.id, once=f"link:{link}",
                detail={"tenant": person.tenant, "from": masked(address), "methods": "password,totp"},
            )
        )  # fmt: skip
        now = self._clock()
        if not await self._credentials.enrol(person, link, now, password=record, key=key, step=step):
            return Unfit.LINK
        return person


def _text(sealed: bytes) -> str:
    return urlsafe_b64encode(sealed).decode()


def _bytes(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text.encode())
    except ValueError:
        return b""
