"""The settings of electronic identities: a table for each provider."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, IPvAnyAddress, model_validator

from ivr.config.clear import CaFile, loopback, parts_of
from ivr.config.section import Name, Section

Url = Annotated[str, Field(pattern=r"^https://[^/?#@\s{}]+(/[^?#\s{}]*)?$")]
Within = Annotated[float, Field(ge=0.5, le=30, description="Seconds in which it must answer")]
AllowPrivate = Annotated[
    tuple[IPvAnyAddress, ...],
    Field(description='Private addresses that it may be at, such as "10.0.0.5": no others are connected to'),
]
Certificate = Annotated[
    Path,
    Field(description="The file of our own certificate there, PEM, with those between it and its CA behind it"),
]
Key = Annotated[Path, Field(description="The file of the key that goes with it: PEM, without a password, mode 0600")]


class BankId(Section):
    """Identification by BankID (Sweden). docs/eid.md says what it needs."""

    url: Url = Field("https://appapi2.bankid.com/rp/v6.0", description="Where its API is; version 6 is spoken")
    certificate_file: Certificate
    key_file: Key
    ca_file: Path = Field(description="The file of BankID's own CA, PEM: no other is trusted for it")
    allow_private: AllowPrivate = ()
    seconds: Within = 5.0
    pin_code: bool = Field(
        False, description="Whether the PIN of the BankID is asked for where a fingerprint or face would do"
    )
    identity_document: bool = Field(
        False, description="Whether a passport or identity card is to be read by the phone besides"
    )
    highest_risk: Literal["low", "moderate"] | None = Field(
        None, description="The highest risk that BankID may see in it; above that nobody has identified. Left out, BankID is not asked"
    )  # fmt: skip


class Freja(Section):
    """Identification by Freja eID. docs/eid.md says what it needs."""

    url: Url = Field("https://services.prod.frejaeid.com", description="Where its API is")
    certificate_file: Certificate
    key_file: Key
    ca_file: CaFile = None
    allow_private: AllowPrivate = ()
    seconds: Within = 5.0
    signing_certificate_file: Path = Field(
        description="The file of the certificate with which Freja signs its results, PEM: none else is believed. "
        "There may be a second one in it, while the one takes the other's place"
    )
    level: Literal["EXTENDED", "PLUS"] = Field("EXTENDED", description="The least registration level of a person there")
    country: str = Field("SE", pattern=r"^[A-Z]{2}$", description="The country that person numbers are of")


class Broker(Section):
    """Identification by an OpenID provider that speaks for electronic identities: CIBA on the phone, the code flow on a page."""

    issuer: str = Field(
        pattern=r"^https?://[^?#@\s]+$",
        description='The provider, exactly as it calls itself, such as "https://eid.example.com"',
    )
    client_id: str = Field(min_length=1, max_length=200, description="What we are called there")
    client_secret_file: Path = Field(description="The file of the secret that goes with it: mode 0600")
    ca_file: CaFile = None
    allow_private: AllowPrivate = ()
    seconds: Within = 5.0
    scopes: tuple[str, ...] = Field((), description='Scopes beside "openid", such as ["ssn"]')
    login_hint: str = Field(
        "{who}", pattern=r"^[^{}]*\{who\}[^{}]*$",
        description="How a person is named to it; {who} is the person number, or the name, as the record has it",
    )  # fmt: skip
    country: str | None = Field(
        None, pattern=r"^[A-Z]{2}$",
        description="The country whose person numbers it goes by; left out, customers are called otherwise there",
    )  # fmt: skip
    claim: str = Field("sub", min_length=1, max_length=100, description="The claim that is compared with the record")
    acr: dict[str, Literal[1, 2, 3]] = Field(
        min_length=1,
        description='The authentication contexts that are asked for and taken, the best first, each with the level that it is worth: '
        '{"urn:example:high" = 3}',
    )  # fmt: skip
    mode: Literal["poll", "ping"] = Field(
        "poll",
        description='How CIBA tells that somebody has identified: by being asked every few seconds, or "ping", as soon as it is so: '
        "it then posts to /in/ciba/NAME of [page] url",
    )  # fmt: skip
    message_most: int = Field(
        64,
        ge=0,
        le=1000,
        description="The most characters of a message that it shows to the person: four digits, which the caller hears too, and where there is room what it is about; less than 4 where it shows none",
    )
    life_seconds: int = Field(120, ge=30, le=300, description="Seconds in which the person must have identified")
    # OpenID Connect Core 3.1.3.7: usually no more than a few minutes
    skew_seconds: int = Field(60, ge=0, le=300, description="Seconds by which the two clocks may differ")

    @model_validator(mode="after")
    def _reached_safely(self) -> Self:
        url = parts_of(self.issuer)
        if url is None or not url.hostname:
            raise ValueError("issuer has no host that can be read. Write it as the provider does")
        if url.scheme == "http" and not loopback(url.hostname):
            raise ValueError("issuer would be asked in clear, on another machine. Write https://")
        return self


class Eids(Section):
    """Electronic identities."""

    bankid: BankId | None = None
    freja: Freja | None = None
    brokers: dict[Name, Broker] = Field({}, description="OpenID providers, each an [eid.brokers.NAME]")

    @model_validator(mode="after")
    def _each_its_name(self) -> Self:
        # what is asked for and what is kept of it goes by the name alone
        for name in ("bankid", "freja"):
            if name in self.brokers:
                raise ValueError(f"brokers.{name} has the name of another provider. Give it one of its own")
        return self
