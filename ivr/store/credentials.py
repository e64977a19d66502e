"""Passwords and second factors, sealed in the envelope of whom they are of."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from ivr.database import Database
from ivr.secret import Personal, Secret
from ivr.staff import LastSignIn, Person
from ivr.store import sealing
from ivr.store.identities import OIDC
from ivr.store.keyring import PASSKEY, insert_in
from ivr.store.people import people_in
from ivr.store.tables import CREDENTIALS, LINKS, PEOPLE
from ivr.vault import Envelope, PinRecord, Vault, totp
from ivr.vault.passkey import Passkey

PASSWORD, TOTP = "password", "totp"
"""Ways of signing in, as they are stored."""

OWN = PASSWORD, TOTP, PASSKEY
"""Those that a person sets up here, and a reset takes away."""


@dataclass(frozen=True, slots=True)
class App:
    """An authenticator app; `step` is that of the code that was shown."""

    key: Secret = field(repr=False)
    step: int


Second = App | tuple[Passkey, int]
"""A second factor that was just set up: an app, or a passkey with the count of its signatures."""


@dataclass(frozen=True, slots=True)
class Ring:
    """What somebody who signs in is compared with; of whoever may not sign in, things that nothing is equal to.

    `code_key`: of the authenticator app; of whoever has none, one that nobody has.
    """

    person: Person | None
    password: PinRecord | None
    code_key: Secret = field(repr=False)
    has_app: bool = False


class Credentials:
    """For the desk. Every method raises `StoreError` or `VaultError`."""

    def __init__(self, database: Database, vault: Vault, *, elsewhere_alone: bool = False) -> None:
        """`elsewhere_alone`: whoever is linked with a provider signs in there, and not here."""
        self._database = database
        self._vault = vault
        self._elsewhere_alone = elsewhere_alone
        self._decoy = _Decoy(vault)

    async def ring(self, tenant: str, login: str) -> Ring:
        """That of this login. For one that nobody has, or who may not sign in, as much is read and opened."""
        return await self._database.look_up(lambda connection: self._ring(connection, tenant, login))

    def _ring(self, connection: Connection, tenant: str, login: str) -> Ring:
        row = connection.execute(select(PEOPLE).where(PEOPLE.c.tenant == tenant, PEOPLE.c.login == login)).one_or_none()
        named = "" if row is None else row.id
        found = connection.execute(
            select(CREDENTIALS.c.method, CREDENTIALS.c.sealed).where(
                CREDENTIALS.c.person == named, CREDENTIALS.c.method.in_((*OWN, OIDC))
            )
        )
        sealed = {row.method: row.sealed for row in found.all()}
        linked = sealed.pop(OIDC, None) is not None
        enrolled = PASSWORD in sealed and len(sealed) > 1 and not (linked and self._elsewhere_alone)
        # the same question whether or not there is somebody
        people = people_in(connection, self._vault, PEOPLE.c.id == named)
        person = people[0] if people and not people[0].disabled and enrolled else None
        if not people:
            self._decoy.name()
        if person is None or row is None:
            _, code_key = self._decoy.opened()
            return Ring(None, None, code_key)
        envelope = self._vault.envelopes.open(sealing.person(named), row.key_id, row.wrapped)
        password = _password(envelope, sealed)
        if TOTP not in sealed:
            return Ring(person, password, self._decoy.opened()[1])
        return Ring(person, password, _code_key(envelope, sealed), has_app=True)

    async def consume(self, person: Person, step: int) -> bool:
        """Accept the code of this time step, and no other of it or before it; False where that was done already."""
        where = CREDENTIALS.c.person == person.id, CREDENTIALS.c.method == TOTP, CREDENTIALS.c.counter < step

        def work(connection: Connection) -> bool:
            return connection.execute(update(CREDENTIALS).where(*where).values(counter=step)).rowcount == 1

        return await self._database.put_down(work, lock=_lock(person))

    async def note(self, person: Person, place: str, failures: int) -> LastSignIn | None:
        """That this person signs in now, from this place; the time before."""

        def work(connection: Connection) -> LastSignIn | None:
            where = PEOPLE.c.id == person.id
            row = connection.execute(select(PEOPLE.c.signed_in_at, PEOPLE.c.signed_in_from).where(where)).one()
            connection.execute(update(PEOPLE).where(where).values(signed_in_at=_now(), signed_in_from=place))
            return LastSignIn(row.signed_in_at, row.signed_in_from or "?", failures) if row.signed_in_at else None

        return await self._database.put_down(work, lock=_lock(person))

    # ------------------------------------------------------------ first use

    async def invited(self, hash: str, now: float) -> Person | None:
        """Whom this link is for, where it is good; changes nothing."""

        def work(connection: Connection) -> Person | None:
            found = connection.execute(_link(hash, now)).scalar_one_or_none()
            people = () if found is None else people_in(connection, self._vault, PEOPLE.c.id == found)
            return people[0] if people and not people[0].disabled else None

        return await self._database.look_up(work)

    async def offer(self, person: Person, hash: str, key: Secret) -> bytes:
        """An app's key that is shown and not stored: sealed for this person and this link alone, to come back with the password."""
        envelope = await self._envelope(person)
        return envelope.seal(_offer(hash), key)

    async def offered(self, person: Person, hash: str, sealed: bytes) -> Personal:
        """The key in it; raises `VaultError` where it is no such thing."""
        envelope = await self._envelope(person)
        return envelope.open(_offer(hash), sealed)

    async def enrol(self, person: Person, hash: str, now: float, *, password: PinRecord, second: Second) -> bool:
        """Use the link up, and set password and second factor; False where it was used up meanwhile."""

        def work(connection: Connection) -> bool:
            # first, and alone: of two at once one finds it gone
            used = delete(LINKS).where(LINKS.c.hash == hash, LINKS.c.until > int(now), LINKS.c.person == person.id)
            if connection.execute(used).rowcount != 1:
                return False
            row = connection.execute(select(PEOPLE).where(PEOPLE.c.id == person.id).with_for_update()).one()
            if row.disabled:
                return False
            envelope = self._vault.envelopes.open(sealing.person(row.id), row.key_id, row.wrapped)
            values: dict[str, Any] = {"tenant": row.tenant, "person": row.id, "id": "", "since": _now()}
            gone = delete(CREDENTIALS).where(CREDENTIALS.c.person == row.id, CREDENTIALS.c.method.in_(OWN))
            connection.execute(gone)
            sealed = {PASSWORD: (0, envelope.seal_bytes(sealing.credential(PASSWORD), password.to_bytes()))}
            match second:
                case App(key, step):
                    sealed[TOTP] = step, envelope.seal(sealing.credential(TOTP), key)
                case (made, count):
                    insert_in(connection, self._vault, row, made, count)
            rows = [
                {**values, "method": name, "counter": count, "sealed": kept} for name, (count, kept) in sealed.items()
            ]
            connection.execute(insert(CREDENTIALS), rows)
            return True

        return await self._database.put_down(work, lock=_lock(person))

    async def _envelope(self, person: Person) -> Envelope:
        query = select(PEOPLE.c.key_id, PEOPLE.c.wrapped).where(PEOPLE.c.id == person.id)
        row = await self._database.look_up(lambda connection: connection.execute(query).one())
        return self._vault.envelopes.open(sealing.person(person.id), row.key_id, row.wrapped)


class _Decoy:
    """Somebody who is not in the database, for unknown logins to take as long as known ones."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        envelope = vault.envelopes.new(sealing.person("decoy"))
        self._stored = envelope.key_id, envelope.wrapped
        self._name = envelope.seal(sealing.NAME, Secret("Andersson"))
        self._sealed = {
            PASSWORD: envelope.seal_bytes(
                sealing.credential(PASSWORD), PinRecord(bytes(16), bytes(32), 14, 8, 5).to_bytes()
            ),
            TOTP: envelope.seal(sealing.credential(TOTP), totp.new()),
        }

    def name(self) -> None:
        self._open().open(sealing.NAME, self._name)

    def opened(self) -> tuple[PinRecord, Secret]:
        envelope = self._open()
        return _password(envelope, self._sealed), _code_key(envelope, self._sealed)

    def _open(self) -> Envelope:
        return self._vault.envelopes.open(sealing.person("decoy"), *self._stored)


def _password(envelope: Envelope, sealed: dict[str, bytes]) -> PinRecord:
    return PinRecord.from_bytes(envelope.open_bytes(sealing.credential(PASSWORD), sealed[PASSWORD]))


def _code_key(envelope: Envelope, sealed: dict[str, bytes]) -> Personal:
    return envelope.open(sealing.credential(TOTP), sealed[TOTP])


def _link(hash: str, now: float) -> Any:
    return select(LINKS.c.person).where(LINKS.c.hash == hash, LINKS.c.until > int(now))


def _offer(hash: str) -> str:
    return f"offer.{hash}"


def _lock(person: Person) -> str:
    return f"person/{person.id}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
