"""The caller's channel and the agents' phones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from ivr.prompts import Prompt
from ivr.secret import Personal, Secret

ATTESTATIONS = ("A", "B", "C", "failed", "none")
"""What a carrier may say of a calling number (STIR/SHAKEN): signed at this level, a signature that does not hold, no signature."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A call as it came in. `number` is None where it is withheld or no number at all.

    `published`: it came to the company's published number, for whoever has digits that an agent has said, and no policy is asked for.
    `again`: an agent waits for the caller, and has them back whatever comes of it; `agent` is the name of that channel. `called`: by us, and it is not they who have called. `app` is the application it came to.
    `attestation`: what the carrier says of the number, one of `ATTESTATIONS`, or nothing where nobody has looked. A hint, which proves nothing.
    """

    channel: str
    node: str
    number: Personal | None
    language: str
    policy: str
    again: bool = False
    app: str = ""
    agent: str = ""
    called: bool = False
    published: bool = False
    attestation: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """One key was pressed, `at` seconds on the monotonic clock."""

    digit: Secret
    at: float


@dataclass(frozen=True, slots=True)
class Played:
    """The prompts were played to their end."""


class Line(Protocol):
    """The caller's end: a voice, a keypad and what stands on the channel."""

    @property
    def caller(self) -> Caller: ...

    @property
    def talked(self) -> bool:
        """Whether the caller was joined with an agent: then its end, whatever it is, is that of a conversation."""
        ...

    async def answer(self) -> None:
        """Answer the call, and stop what a worker that is gone was playing."""
        ...

    async def say(self, *prompts: Prompt, language: str) -> None:
        """Begin to play; returns when Asterisk has taken it. `receive` says when it is over."""
        ...

    async def hush(self) -> None:
        """Stop what is played and wait for its end; nothing happens when nothing is played."""
        ...

    async def receive(self, until: float | None) -> Key | Played | None:
        """The next thing that happens; None at `until` (monotonic seconds).

        Raises `Interrupted` once after events were lost, and the error given to `interrupt`.
        """
        ...

    def interrupt(self, error: Exception) -> None:
        """Make `receive` raise this, now or when it is next called."""
        ...

    def reconnect(self) -> None:
        """Another worker has taken the call up: find out anew who serves the application."""
        ...

    def drop_keys(self) -> None:
        """Forget keys that were pressed ahead."""
        ...

    def push_back(self, keys: Sequence[Key]) -> None:
        """Put keys back, before all that has not been received."""
        ...

    async def allow(self, seconds: int) -> None:
        """Set the watchdog anew: Asterisk takes the call back after so many seconds; 0: never."""
        ...

    async def announce(self, variables: Mapping[str, str], display: Personal) -> None:
        """Set channel variables and the caller's display name, and read the variables back."""
        ...

    async def verified(self) -> bool:
        """Whether the channel says that the caller is verified."""
        ...

    async def music(self, *, on: bool) -> None: ...

    async def ring(self, endpoint: str, *, badge: Badge, seconds: int) -> Leg:
        """Call an agent; returns when Asterisk has taken the request."""
        ...

    async def join(self, leg: Leg) -> bool:
        """Bridge the caller with an agent who has answered; True when the agent has left after that.

        While they talk the watchdog is off, and neither stays behind alone, even should we die. Raises `HungUp` where they
        were parted to have the caller verified again: that is another round, and both are left to it.
        False when the agent was gone before. Leaves no bridge behind, whatever happens.
        """
        ...

    def up(self) -> AbstractAsyncContextManager[None]:
        """As long as the call is ours: the body is cancelled, and `HungUp` raised, when the channel is gone.

        Where it is the worker that must end: `Unavailable` instead, or `WorkerReplaced` (the call is another's now).
        """
        ...

    async def hand_back(self, *, watch: bool) -> None:
        """Send the call on in the dialplan, behind the application; from then on leaving it is no hang-up.

        `watch`: `ended` will be waited for.
        """
        ...

    async def ended(self) -> None:
        """Wait until the channel is gone, also after `hand_back` with `watch`."""
        ...

    async def went_on(self) -> bool:
        """Behind `HungUp`: whether it was no hang-up, and the caller is in the dialplan, as one who is not verified."""
        ...

    async def hang_up(self) -> None: ...

    async def event(self, name: str, fields: Mapping[str, str]) -> None:
        """Tell the PBX's administrators: an AMI UserEvent."""
        ...


@dataclass(frozen=True, slots=True)
class Badge:
    """What the agent's phone shows: the header's value and the display name, until the mark's end (since the epoch)."""

    header: str
    display: Personal
    expires: int


class Leg(Protocol):
    """An agent's phone that was called."""

    @property
    def endpoint(self) -> str: ...

    async def answered(self) -> bool:
        """Wait: True when the agent has answered, False when that will not happen."""
        ...

    @property
    def ending(self) -> str:
        """Why it ended, in one word for the log: `busy`, `no_answer`, `hung_up`, `failed`."""
        ...

    async def hang_up(self) -> None:
        """End it; nothing happens when it has ended."""
        ...
