"""The settings of verifying: what callers must do, how often they may try, and where they go then."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from ivr.config.section import Endpoint, Minutes, Name, Seconds, Section


class Keypad(Section):
    """How long callers are waited for."""

    first_seconds: Seconds = Field(10, description="Seconds from the end of a prompt to the first key")
    between_seconds: Seconds = Field(5, description="Seconds between two keys")
    slips: int = Field(
        3, ge=1, le=10, description="How often an entry is asked for when nothing, or too little, is keyed"
    )


class CustomerNumber(Section):
    """What customer numbers look like."""

    least: int = Field(4, ge=1, le=20, description="The fewest digits of a customer number")
    most: int = Field(12, ge=1, le=20, description="The most digits of a customer number")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.least > self.most:
            raise ValueError("least is more than most. Lower the one, or raise the other")
        return self


class Pin(Section):
    """The step `pin`."""

    least: int = Field(4, ge=4, le=12, description="The fewest digits of a PIN")
    most: int = Field(8, ge=4, le=12, description="The most digits of a PIN")
    tries: int = Field(3, ge=1, le=10, description="Tries in one call")
    # OWASP's password storage cheat sheet names N=2^14, r=8, p=5 (16 MiB) among its equal choices.
    scrypt_log2_n: int = Field(14, ge=14, le=20, description="Cost of scrypt: N is 2 to this power")
    scrypt_p: int = Field(5, ge=1, le=16, description="Cost of scrypt: rounds one after another")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.least > self.most:
            raise ValueError("least is more than most. Lower the one, or raise the other")
        return self


class SmsCode(Section):
    """The step `sms_code`. NIST SP 800-63B-4 3.1.3: at least 6 digits, at most 10 minutes, used once."""

    digits: int = Field(6, ge=6, le=10, description="Digits of a code")
    life_minutes: int = Field(5, ge=1, le=10, description="Minutes that a code is valid")
    tries: int = Field(3, ge=1, le=5, description="Tries for a code; a new text does not give more")
    resend_seconds: int = Field(60, ge=60, le=600, description="Seconds between two texts to one customer")
    sends: int = Field(3, ge=1, le=5, description="Texts in one call")
    sends_per_hour: int = Field(6, ge=1, le=30, description="Texts to one customer in an hour")


class SmsLink(Section):
    """The step `sms_link`. The bounds are those of a code: NIST SP 800-63B-4 3.1.3."""

    life_minutes: int = Field(3, ge=1, le=10, description="Minutes that a link is good, and the caller waited for")
    tries: int = Field(3, ge=1, le=5, description="Tries for the digits; a new text does not give more")
    resend_seconds: int = Field(60, ge=60, le=600, description="Seconds between two texts to one customer")
    sends: int = Field(2, ge=1, le=5, description="Texts in one call")
    sends_per_hour: int = Field(6, ge=1, le=30, description="Texts to one customer in an hour, codes among them")
    bar_minutes: int = Field(
        10, ge=1, le=1440, description="Minutes without another link to a customer who has said not to be calling"
    )


class Totp(Section):
    """The step `totp`: RFC 6238, six digits of half a minute each."""

    tries: int = Field(3, ge=1, le=10, description="Tries in one call")


class Eid(Section):
    """What the steps `bankid`, `freja` and `ciba` share."""

    seconds: int = Field(
        120, ge=30, le=180,
        description="Seconds that the caller waits with music, unless star is pressed: whoever has not identified by then has not. "
        "Nobody hears before why, since that would tell who has such an identity",
    )  # fmt: skip


class Ciba(Section):
    """The step `ciba`."""

    broker: Name | None = Field(
        None, description="Which broker is asked, by its name; left out, the only one that there is"
    )


class Steps(Section):
    """Settings of each way of verifying."""

    pin: Pin = Field(default_factory=Pin, description="The PIN on record, keyed")
    sms_code: SmsCode = Field(default_factory=SmsCode, description="A code by text message, keyed back")
    sms_link: SmsLink = Field(
        default_factory=SmsLink,
        description="A link by text message; behind it the digits are keyed that are spoken into the call",
    )
    totp: Totp = Field(default_factory=Totp, description="What the customer's authenticator app shows, keyed")
    eid: Eid = Field(default_factory=Eid, description="Electronic identities, in an app of the customer's")
    ciba: Ciba = Field(default_factory=Ciba, description="Electronic identities that a broker speaks for")


class Limits(Section):
    """Against guessing across calls, and what texts may cost. After a lock ends one more try is granted, and the next lock is twice as long."""

    customer_in_a_row: int = Field(10, ge=3, le=100, description="Failures in a row for one customer, then a lock")
    customer_lock_minutes: Minutes = Field(15, description="Minutes of the first lock of a customer")
    customer_most: int = Field(
        100, ge=10, le=100, description="Failures in a row after which only `customer unlock`, by two persons, helps"
    )
    number_in_a_row: int = Field(
        20, ge=3, le=1000, description="Failures in a row from one calling number, then a lock"
    )
    number_lock_minutes: Minutes = Field(30, description="Minutes of the first lock of a calling number")
    call: int = Field(5, ge=1, le=20, description="Failures in one call")
    all: int = Field(
        1000, ge=10, description="Failures over all calls in the window, then nobody is verified until it ends"
    )
    all_alarm: int = Field(
        100,
        ge=5,
        description="Failures over all calls in the window, then the log warns of them (`guessing.suspected`)",
    )
    all_window_minutes: Minutes = Field(10, description="Minutes of that window")
    texts_per_hour: int = Field(3000, ge=1, description="Texts in an hour, then none goes to anybody")
    texts_country_per_hour: int = Field(2000, ge=1, description="Texts in an hour to one country, then none goes there")
    texts_prefix_per_hour: int = Field(
        200, ge=1, description="Texts in an hour to numbers that begin alike, then none goes to such numbers"
    )
    # five leave ten thousand numbers of the shortest that are usual, and nobody is told of by them
    texts_prefix_digits: int = Field(
        4, ge=1, le=5, description="Digits behind the country's code in which such numbers are alike"
    )

    # those that a busy office changes in an hour are a handful
    notices_per_hour: int = Field(
        300,
        ge=1,
        description="Notices of what was changed at the desk, in an hour; more wait until the hour has moved on",
    )
    notices_prefix_per_hour: int = Field(20, ge=1, description="Of those, to numbers that begin alike")

    published_per_hour: int = Field(
        1000, ge=1,
        description="Wrong digits keyed at the published number in an hour, then none are right for anybody",
    )  # fmt: skip
    published_number_per_hour: int = Field(
        10, ge=1, description="The same from one calling number; all that are withheld count as one"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.customer_in_a_row > self.customer_most:
            raise ValueError("customer_in_a_row is more than customer_most. Lower the one, or raise the other")
        return self


class Policy(Section):
    """What a caller must do, and where the call goes then."""

    steps: tuple[Name, ...] = Field(min_length=1, description='The steps in their order, such as ["pin", "sms_code"]')
    level: int = Field(
        ge=1, le=3, description="The level it gives: 1 one factor, 2 two factors of different kinds, 3 eID"
    )
    tenant: Name = Field(
        "main", description="Whose customers it verifies: others' numbers are to it as if nobody had them"
    )
    tries: int | None = Field(
        None, ge=1, le=5, description="Tries for each step, where this policy grants other than the steps' own settings"
    )
    code_minutes: int | None = Field(
        None, ge=1, le=10, description="Minutes that a code is valid, where other than in [steps.sms_code]"
    )
    mark_minutes: Minutes = Field(30, description="Minutes that the mark is good for, within this call")
    queue_priority: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="QUEUE_PRIO of verified callers: Queue() serves the highest first; others have 0",
    )
    hand_over: Literal["continue", "bridge"] = Field(
        "continue", description='"continue": back to the dialplan, for Queue(); "bridge": the agents below are called'
    )
    agents: tuple[Endpoint, ...] = Field((), description='For "bridge": endpoints such as ["PJSIP/anna", "PJSIP/bo"]')
    ring: Literal["in_turn", "all"] = Field(
        "in_turn", description='For "bridge": one agent after another, or all at once'
    )
    ring_seconds: Seconds = Field(20, description='For "bridge": seconds that an agent\'s phone rings')

    @field_validator("steps")
    @classmethod
    def _once_each(cls, steps: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(steps)) != len(steps):
            raise ValueError("a step is named twice. Name each once")
        return steps

    @model_validator(mode="after")
    def _agents_to_call(self) -> Self:
        if self.hand_over == "bridge" and not self.agents:
            raise ValueError('hand_over is "bridge", but agents names nobody. Name endpoints such as ["PJSIP/anna"]')
        return self
