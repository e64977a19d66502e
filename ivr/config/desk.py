"""The settings of the agents' desk: where it is, how one signs in there, and for how long."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from ivr.config.metrics import Metrics
from ivr.config.oidc import Oidc
from ivr.config.requests import Requests
from ivr.config.section import Minutes, Name, Seconds, Section
from ivr.config.served import Served


class Password(Section):
    """Passwords of those who sign in at the desk."""

    # NIST SP 800-63B-4 3.1.1.2: at least 8 where there is a second factor, and there is always one
    least: int = Field(12, ge=8, le=64, description="The fewest characters of a password")
    # zxcvbn: 3 withstands 10^8 guesses, 4 withstands 10^10
    score: int = Field(
        3, ge=2, le=4, description="The least strength, as zxcvbn estimates it: 2 fair, 3 good, 4 very good"
    )
    # OWASP's password storage cheat sheet names N=2^14, r=8, p=5 (16 MiB) among its equal choices.
    scrypt_log2_n: int = Field(14, ge=14, le=20, description="Cost of scrypt: N is 2 to this power")
    scrypt_p: int = Field(5, ge=1, le=16, description="Cost of scrypt: rounds one after another")


class SignIn(Section):
    """Against guessing at the desk. After a wait one more try is granted, and the next wait is twice as long."""

    login_in_a_row: int = Field(5, ge=3, le=100, description="Failures in a row for one login, then a wait")
    login_wait_seconds: Seconds = Field(30, description="Seconds of the first wait of a login")
    # NIST SP 800-63B-4 3.2.2
    login_most: int = Field(100, ge=10, le=100, description="Failures in a row after which only `agent reset` helps")
    address_in_a_row: int = Field(
        20,
        ge=3,
        le=1000,
        description="Failures in a row from one address, then a wait; an IPv6 address counts by its /64. Three times as many in its /56, and eight times in its /48, hold up passwords there; of those three and eight are forgotten in each `wait_most_minutes`. Never more than half of `all`",
    )
    address_wait_seconds: Seconds = Field(60, description="Seconds of the first wait of an address")
    wait_most_minutes: Minutes = Field(60, description="Minutes that no wait is longer than")
    all: int = Field(
        500,
        ge=10,
        description="Failures over all logins in the window, then nobody signs in by a password until it ends; passkeys, the OpenID provider, and who has signed in, go on",
    )
    all_window_minutes: Minutes = Field(10, description="Minutes of that window")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.login_in_a_row > self.login_most:
            raise ValueError("login_in_a_row is more than login_most. Lower the one, or raise the other")
        return self


class Desk(Served):
    """The agents' desk, a process of its own. Whoever uses it signs in with two factors."""

    listen: str | None = Field(
        None, description='Address and port, such as "127.0.0.1:8443"; left out, there is no desk'
    )
    idle_minutes: int = Field(
        15, ge=1, le=480, description="Minutes without a request after which a session ends; they do not run while its person "
        "talks with a caller on the own phone and has the page open",
    )  # fmt: skip
    # NIST SP 800-63B-4 2.2.3: at most 24 hours with two factors
    session_hours: int = Field(10, ge=1, le=24, description="Hours after which a session ends, whatever is done in it")
    fresh_minutes: Minutes = Field(
        10,
        description="Minutes after signing in within which a person may change the own passkeys, and an administrator others",
    )
    # NIST SP 800-63B-4 3.1.6: a multi-factor cryptographic authenticator is two factors by itself
    passkey_alone: bool = Field(
        True, description="Whether a passkey signs somebody in without a password, where the device has made sure of its "
        "user by a PIN or the body; else it stands beside the password, in the stead of a code",
    )  # fmt: skip
    link_hours: int = Field(
        24, ge=1, le=168, description="Hours that a link of `agent add` and `agent reset` is good for, once"
    )
    policies: tuple[Name, ...] = Field(
        (), description="Those that may be chosen for verifying in mid-call; left out, all of [policies]"
    )
    password: Password = Field(default_factory=Password, description="Passwords")
    sign_in: SignIn = Field(default_factory=SignIn, description="Guessing")
    oidc: Oidc | None = Field(None, description="Signing in by an OpenID provider")
    requests: Requests = Field(default_factory=Requests, description="How much one may ask")
    metrics: Metrics = Field(default_factory=Metrics, description="What monitoring reads of the desk")
