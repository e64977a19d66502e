"""How one person shows another who they are: what is known of it while it lasts, and what each of the two is shown."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self

import orjson

from ivr.errors import StoreError
from ivr.secret import Personal, Secret

USE = "person"
"""What the state begins with of those who are sent to a broker for this."""


class Stage(StrEnum):
    """How far it is; forward alone, but for `ANSWERING`, which goes back to `WAITING`."""

    IDENTIFYING = "identifying"
    KEYING = "keying"
    """A code was texted to the number that the asker says to have."""
    WAITING = "waiting"
    """The other has a text with a link."""
    ANSWERING = "answering"
    MET = "met"
    DENIED = "denied"
    OVER = "over"


class Who(StrEnum):
    """One of the two."""

    ASKER = "asker"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two. `session`: what the page calls the browser; `eid`: by which this one identifies; `by`: the blind index of who that is.

    `order` is the identification that counts, an earlier one does not; `nonce`: keyed hash of what the app brings back to that
    browser alone. `qr`: it was begun by a picture, and brings nothing back. `back`: it was brought.
    `flow`: what ends an identification at a broker.
    """

    number: Personal
    language: str
    session: str = ""
    eid: str = ""
    order: str = ""
    nonce: str = ""
    qr: bool = False
    back: bool = False
    flow: Secret | None = None
    by: str = ""
    name: Personal | None = None

    @property
    def complete(self) -> bool:
        """Whether it is known who that is, and that it is the one before this browser, as far as can be seen."""
        return self.name is not None and (self.qr or self.back)

    def begun(self, session: str, eid: str, nonce: str, language: str, *, qr: bool) -> Side:
        """With an identification that begins now."""
        return Side(self.number, language, session, eid, secrets.token_hex(16), nonce, qr)

    def written(self) -> Secret:
        """To be kept, encrypted."""
        return Secret(
            orjson.dumps(
                {
                    **_fields(self),
                    "number": self.number.reveal(),
                    "name": None if self.name is None else self.name.reveal(),
                    "flow": None if self.flow is None else self.flow.reveal(),
                }
            ).decode()
        )

    @classmethod
    def read(cls, text: Secret) -> Self:
        """As it was kept. Raises `ValueError`, `TypeError`, `KeyError`."""
        found = orjson.loads(text.reveal())
        name = None if found["name"] is None else Personal(found["name"])
        flow = None if found["flow"] is None else Secret(found["flow"])
        return cls(**{**found, "number": Personal(found["number"]), "name": name, "flow": flow})


@dataclass(frozen=True, slots=True)
class Introduction:
    """One of them. `until`: seconds since the epoch; `link`: what the page calls the link; `digits`: keyed hash of the code.

    `tries`: how often a code was keyed; `answers`: how often the other has begun to identify.
    """

    id: str
    stage: Stage
    until: int
    asker: Side
    other: Side
    link: str = ""
    digits: str = ""
    tries: int = 0
    answers: int = 0

    def side(self, who: Who) -> Side:
        """That one of the two."""
        return self.asker if who is Who.ASKER else self.other

    def having(self, who: Who, side: Side) -> Introduction:
        """With that one of the two."""
        return replace(self, asker=side) if who is Who.ASKER else replace(self, other=side)

    def written(self) -> Secret:
        """To be kept, encrypted."""
        return Secret(
            orjson.dumps(
                {**_fields(self), "asker": self.asker.written().reveal(), "other": self.other.written().reveal()}
            ).decode()
        )

    @classmethod
    def read(cls, text: Secret) -> Self:
        """As it was kept. Raises `StoreError`."""
        try:
            found = orjson.loads(text.reveal())
            sides = {who.value: Side.read(Secret(found[who.value])) for who in Who}
            return cls(**{**found, **sides, "stage": Stage(found["stage"])})
        except (ValueError, TypeError, KeyError):
            raise StoreError("Redis: what stands for an introduction is none") from None


class Shows(StrEnum):
    """What somebody sees."""

    APP = "app"
    """Identify: by this link, or this picture."""
    SITE = "site"
    """Identify at a broker, which this link leads to."""
    BACK = "back"
    """It is known who that is, and not yet that it was before this browser."""
    MOMENT = "moment"
    """It came back by the app, and the provider has not said yet who that is."""
    CODE = "code"
    WAIT = "wait"
    LETTER = "letter"
    """Who asks, for whoever has the link."""
    MET = "met"
    DENIED = "denied"
    REFUSED = "refused"
    """It does not go on; `why`."""
    TOTP = "totp"
    """Key what the authenticator app shows; `left`."""
    ASKED = "asked"
    """The app asks by itself."""
    KNOWN = "known"
    """The company knows who that is."""


@dataclass(frozen=True, slots=True)
class View:
    """What one of the two is shown. `name` and `number` are the other's; `own`: the number of whoever is shown it.

    `link` opens the app or leads to the broker, `qr` is to be drawn. `left`: tries. `until`: seconds since the epoch.
    """

    shows: Shows
    language: str
    until: int = 0
    eid: str = ""
    name: Personal = field(default_factory=lambda: Personal(""))
    number: Personal = field(default_factory=lambda: Personal(""))
    own: Personal = field(default_factory=lambda: Personal(""))
    link: Secret = field(default_factory=lambda: Secret(""))
    qr: Secret = field(default_factory=lambda: Secret(""))
    left: int = 0
    why: str = ""

    def written(self) -> Secret:
        """To be kept, encrypted."""
        return Secret(
            orjson.dumps(
                {**_fields(self), **{name: getattr(self, name).reveal() for name in _PERSONAL + _SECRET}}
            ).decode()
        )

    @classmethod
    def read(cls, text: Secret) -> Self:
        """As it was kept. Raises `StoreError`."""
        try:
            found = orjson.loads(text.reveal())
            found.update({name: Personal(found[name]) for name in _PERSONAL})
            found.update({name: Secret(found[name]) for name in _SECRET})
            return cls(**{**found, "shows": Shows(found["shows"])})
        except (ValueError, TypeError, KeyError, AttributeError):
            raise StoreError("Redis: what stands for what a person is shown is nothing of the kind") from None


_PERSONAL = ("name", "number", "own")
_SECRET = ("link", "qr")


class Act(StrEnum):
    """What somebody does on the page."""

    BEGIN = "begin"
    BACK = "back"
    CAME = "came"
    """A broker has sent somebody back."""
    KEY = "key"
    STOP = "stop"
    ANSWER = "answer"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Wish:
    """Somebody does that. `session` and `link`: what the page calls the browser and the link, keyed hashes of what those have.

    `eid`: identify by this, and `qr`: by a picture, for an app on another device; `address`: of the browser, which providers want to know.
    """

    act: Act
    session: str = ""
    link: str = ""
    language: str = ""
    eid: str = ""
    qr: bool = False
    address: str = field(default="", repr=False)
    fields: Mapping[str, Secret] = field(default_factory=dict)
    id: str = field(default_factory=lambda: secrets.token_hex(16))

    def field(self, name: str) -> Secret:
        """What was sent by this name; empty where nothing was."""
        return self.fields.get(name, Secret(""))

    def written(self) -> Secret:
        """To be passed on, encrypted."""
        return Secret(
            orjson.dumps(
                {**_fields(self), "fields": {name: text.reveal() for name, text in self.fields.items()}}
            ).decode()
        )

    @classmethod
    def read(cls, text: Secret) -> Self:
        """As it was passed on. Raises `StoreError`."""
        try:
            found = orjson.loads(text.reveal())
            fields = {str(name): Secret(str(value)) for name, value in found["fields"].items()}
            return cls(
                Act(found["act"]), str(found["session"]), str(found["link"]), str(found["language"]), str(found["eid"]),
                found["qr"] is True, str(found["address"]), fields, str(found["id"]),
            )  # fmt: skip
        except (ValueError, TypeError, KeyError, AttributeError):
            raise StoreError("Redis: what stands for something that a person wants is nothing of the kind") from None


def _fields(one: Introduction | Side | View | Wish) -> dict[str, object]:
    """By their names, each as it is."""
    return {each.name: getattr(one, each.name) for each in dataclasses.fields(one)}
