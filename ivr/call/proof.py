"""A proof: the company shows a person who it is, and the person says whether it is whom they talk with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """How far a proof has come. It goes forward alone, and each is reached at most once."""

    ASKED = "asked"
    """Somebody at the desk has asked for it; nothing was sent."""
    SENT = "sent"
    """A gateway has taken the message."""
    DELIVERED = "delivered"
    """The gateway says that it has arrived. Some never say."""
    OPENED = "opened"
    """The person has asked the page to show who it is."""
    CONFIRMED = "confirmed"
    """The person has keyed the digits of this very call."""
    DENIED = "denied"
    """The person says: I am not talking to them."""
    WRONG = "wrong"
    """Wrong digits, as often as may be."""
    EXPIRED = "expired"
    """Nobody has answered in time, or the call has ended."""
    FAILED = "failed"
    """It could not be sent."""

    @property
    def is_end(self) -> bool:
        """Whether nothing comes after it."""
        return self in _ENDS


_ENDS = frozenset({Stage.CONFIRMED, Stage.DENIED, Stage.WRONG, Stage.EXPIRED, Stage.FAILED})
_WAY = (Stage.ASKED, Stage.SENT, Stage.DELIVERED, Stage.OPENED)


def follows(now: Stage, then: Stage) -> bool:
    """Whether `then` may come after `now`. Reports come late and twice: what goes back, or behind an end, changes nothing.

    Only who has opened it can confirm, or key wrong digits; deny can whoever has the message.
    """
    if now.is_end or now is then:
        return False
    if then in (Stage.CONFIRMED, Stage.WRONG):
        return now is Stage.OPENED
    return then.is_end or _WAY.index(then) > _WAY.index(now)


class Way(StrEnum):
    """How it reaches the person."""

    TEXT = "text"
    """A text message with a link."""
    CODE = "code"
    """A text message without a link: a short code for the company's own site."""
    PUSH = "push"
    """Web Push."""
    APP = "app"
    """The company's own app: a signed webhook."""
    PARTNER = "partner"
    """The same to the app of another company, which knows the person by an id of its own."""
    MAIL = "mail"
    """E-mail."""
    SPOKEN = "spoken"
    """Digits that are spoken on the call, to be keyed on a call to the company's published number."""


class Keyed(StrEnum):
    """Where the person keys what binds the proof to the call."""

    PAGE = "page"
    """On the page, what is spoken into the call."""
    PHONE = "phone"
    """On the phone, what the page shows."""


@dataclass(frozen=True, slots=True)
class Shown:
    """All that the person is shown, in the words of `language`; nothing of a customer's data but `number`, which is masked.

    `since`: when the call began, in seconds since the epoch; `outbound`: the company has called; `phrase`: two words that the
    agent says aloud, `department`, `title` and `about` may be empty. `push`: the key under which the person's browser may subscribe
    to messages of ours; empty where it is not asked to. `back`: by which steps the person may show who they are, behind the digits.
    """

    company: str
    department: str
    agent: str
    title: str
    about: str
    number: str
    outbound: bool
    since: int
    phrase: str
    language: str
    push: str = ""
    back: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proof:
    """One of them. `node` and `channel`: the person's end of the call; `endpoint`: the phone of `person`, who works here.

    `subject`: the customer's keyed reference; `until`: when it expires, in seconds since the epoch. `phone`: the index of the
    telephone number that a text of it went to (`vault.Index.phone`); empty where none went.
    """

    id: str
    node: str
    channel: str
    endpoint: str
    tenant: str
    person: str
    subject: str
    way: Way
    keyed: Keyed
    until: int
    shown: Shown
    stage: Stage = Stage.ASKED
    phone: str = ""
