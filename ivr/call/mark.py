"""The mark: what says that this caller's channel, on this call, is this subject."""

from __future__ import annotations

from dataclasses import dataclass
from secrets import token_urlsafe

from ivr.call.outcome import Status, Verified
from ivr.secret import Personal

STATUS = "CALLER_AUTH_STATUS"
LEVEL = "CALLER_AUTH_LEVEL"
METHODS = "CALLER_AUTH_METHODS"
SUBJECT = "CALLER_AUTH_SUBJECT"
EXPIRES = "CALLER_AUTH_EXPIRES"
PRIORITY = "CALLER_AUTH_PRIORITY"

HEADER = "X-Caller-Auth"


@dataclass(frozen=True, slots=True)
class Mark:
    """Bound to one channel of one node; what stands on the channel is only its announcement.

    `expires` is in seconds since the epoch; `subject` is opaque outside of the store.
    """

    node: str
    channel: str
    subject: str
    level: int
    methods: tuple[str, ...]
    policy: str
    expires: int
    nonce: str

    @classmethod
    def of(cls, verified: Verified, *, node: str, channel: str, now: float) -> Mark:
        """A new mark; only a `Verified` makes one."""
        return cls(
            node=node,
            channel=channel,
            subject=verified.subject,
            level=verified.level,
            methods=verified.methods,
            policy=verified.policy,
            expires=int(now) + verified.mark_seconds,
            # 128 bits, so that a mark of one call can never be taken for one of another
            nonce=token_urlsafe(16),
        )

    def variables(self) -> dict[str, str]:
        """What the dialplan reads on the caller's channel."""
        return {
            STATUS: Status.VERIFIED.value,
            LEVEL: str(self.level),
            METHODS: ",".join(self.methods),
            SUBJECT: self.subject,
            EXPIRES: str(self.expires),
        }

    def header(self) -> str:
        """What stands in X-Caller-Auth on the agent's INVITE."""
        methods = ",".join(self.methods)
        return f"verified; level={self.level}; methods={methods}; ref={self.subject}"


def place_in_queue(priority: int | None) -> dict[str, str]:
    """What tillit-verify makes QUEUE_PRIO of; empty where the policy has no priority.

    QUEUE_PRIO itself is the dialplan's: only there is it known whether the administrator has set a better one.
    """
    return {} if priority is None else {PRIORITY: str(priority)}


def unmarked(status: Status) -> dict[str, str]:
    """The variables of a caller who is not verified: nothing of an earlier mark stays."""
    return {STATUS: status.value, LEVEL: "0", METHODS: "", SUBJECT: "", EXPIRES: ""}


def display(name: Personal | None) -> Personal:
    """`✔ Anna A.`: the mark on a phone's display, known at a glance."""
    return Personal("✔") if not name else name.short.within("✔ {name}", "{name}")
