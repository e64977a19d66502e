"""The settings of what this organisation proves to others, and whose proofs it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, IPvAnyAddress, model_validator

from ivr.config.clear import CaFile
from ivr.config.section import Section

# in punycode where it has other letters: what is meant stands there, and nothing that looks like it
Domain = Annotated[str, Field(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$")]
ANY = "any"


class Peers(Section):
    """Other organisations: they prove to an agent that it is they who are on the call, and so do we to theirs."""

    domain: Domain | None = Field(
        None, description='Our own domain, such as "hospital.example", by which others know us; left out, nothing is proven to other organisations, and nothing of theirs is taken',
    )  # fmt: skip
    key_file: Path = Field(
        Path("keys/peers.key"),
        description="The file of the key that signs what we prove: mode 0600, made by `peer key`",
    )
    departments: tuple[Annotated[str, Field(min_length=1, max_length=40)], ...] = Field(
        (), max_length=20, description="Departments that others are told of"
    )
    numbers: tuple[Annotated[str, Field(pattern=r"^\+[1-9][0-9]{6,14}$")], ...] = Field(
        (), max_length=20, description="Our telephone numbers that others call, with + and country: a proof of somebody who has called another "
        "number is not taken",
    )  # fmt: skip
    letters_url: str | None = Field(
        None, pattern=r"^https://[^/?#@\s:]+/[^?#\s]*$",
        description='Where others send us their proofs; left out, "https://DOMAIN/in/peers"',
    )  # fmt: skip
    allow: tuple[Domain, ...] | Annotated[str, Field(pattern="^any$")] = Field(
        (),
        description='Whose proofs are taken: domains, in punycode where they have other letters; "any": of whoever has a domain',
    )
    # what networks take to put a call through, and both clocks
    apart_seconds: int = Field(
        30, ge=5, le=3600,
        description="Seconds by which the two ends of a call may say differently when it began; more where an exchange before this one "
        "answers, and puts callers through later",
    )  # fmt: skip
    seconds: float = Field(5.0, ge=0.5, le=30, description="Seconds in which another organisation must answer")
    ca_file: CaFile = None
    allow_private: tuple[IPvAnyAddress, ...] = Field(
        (), description='Private addresses that they may be at, such as "10.0.0.5": no others are connected to'
    )

    @property
    def letters(self) -> str:
        """Where others send us their letters."""
        return self.letters_url or f"https://{self.domain}/in/peers"

    def allows(self, domain: str) -> bool:
        """Whether this one's proofs are taken. Our own never are: who has sent us one back has but repeated it."""
        return domain != self.domain and (self.allow == ANY or domain in self.allow)

    @model_validator(mode="after")
    def _ours_first(self) -> Self:
        if self.allow and self.domain is None:
            raise ValueError(
                "allow names others, and domain is left out. Name our own in domain: a proof is for somebody"
            )
        if self.domain is not None and self.domain in self.allow:
            raise ValueError("allow names our own domain. Take it out")
        return self
