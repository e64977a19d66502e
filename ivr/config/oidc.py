"""The settings of a sign-in elsewhere: an OpenID provider that the organisation has already."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ivr.config.clear import CaFile, PlainText, parts_of, refuse_clear
from ivr.config.section import Name, Section

Entitling = Annotated[tuple[str, ...] | None, Field(description="Groups at the provider that entitle to this role")]


class Groups(Section):
    """Which groups at the provider entitle to which role. The role itself stands here; the provider can but withhold it."""

    agent: Entitling = None
    supervisor: Entitling = None
    administrator: Entitling = None
    auditor: Entitling = None
    data_owner: Entitling = None


class Oidc(Section):
    """Signing in at the desk by an OpenID provider. It answers for the second factor, then: see `amr` and `acr`."""

    issuer: str = Field(
        pattern=r"^https?://[^?#@\s]+$",
        description='The provider, exactly as it calls itself, such as "https://login.example.com/realms/staff"',
    )
    name: str = Field(min_length=1, max_length=40, description="What people call it: stands on the button")
    client_id: str = Field(min_length=1, max_length=200, description="What the desk is called there")
    client_secret_file: Path | None = Field(
        None, description="The file of the secret that goes with it: mode 0600; left out for a client without one"
    )
    client_secret_env: str | None = Field(None, description="Or the environment variable that holds it")
    ca_file: CaFile = None
    plain_text: PlainText = False
    scopes: tuple[str, ...] = Field(
        (), description='Scopes beside "openid", such as ["email"] where `link_by` needs it'
    )
    link_by: Literal["email", "preferred_username"] | None = Field(
        None, description="The claim that is somebody's login here, so that whoever comes first is linked; an address counts where the "
        "provider has verified it. Left out, an administrator links: `agent link`",
    )  # fmt: skip
    acr: tuple[str, ...] = Field((), description="Authentication contexts of which the provider must name one")
    amr: tuple[str, ...] = Field(
        (), description='Methods all of which the provider must name, such as ["mfa"] (RFC 8176)'
    )
    groups_claim: str = Field("groups", min_length=1, max_length=100, description="The claim with a person's groups")
    groups: Groups | None = Field(
        None, description="Where it is there, nobody signs in this way who is in no group of the own role"
    )
    tenant: Name = Field("main", description="Whose people sign in by it: those of this tenant, and nobody else")
    sign_out: bool = Field(
        False, description="Whether who signs out here, and has signed in there, goes on to sign out there too; else there is a "
        "link. For desks that several people use, one after another",
    )  # fmt: skip
    alone: bool = Field(
        False, description="Whether those who are linked sign in there alone: their password is good for nothing"
    )
    request_seconds: float = Field(5.0, ge=0.5, le=30, description="Seconds in which the provider must answer")
    # OpenID Connect Core 3.1.3.7: usually no more than a few minutes
    skew_seconds: int = Field(60, ge=0, le=300, description="Seconds by which the two clocks may differ")

    @model_validator(mode="after")
    def _reached_safely(self) -> Self:
        url = parts_of(self.issuer)
        if url is None or not url.hostname:
            raise ValueError("issuer has no host that can be read. Write it as the provider does")
        if url.scheme == "http":
            refuse_clear(url.hostname, accepted=self.plain_text, cure="Write https:// in issuer")
        if self.client_secret_file is not None and self.client_secret_env is not None:
            raise ValueError("client_secret_file and client_secret_env are both there. Take one out")
        return self
