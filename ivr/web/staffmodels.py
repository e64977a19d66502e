"""What the API takes and gives of those who sign in, for administrators."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from ivr.store.members import Member
from ivr.web import paging
from ivr.web.models import Model

LOGIN = r"[A-Za-z0-9._@-]{1,64}"

QUERY: Mapping[str, Mapping[str, object]] = {
    "login": {"description": "A login, or part of it", "schema": {"type": "string", "pattern": f"^{LOGIN}$"}},
    **paging.QUERY,
}
"""As the OpenAPI file has them."""


class StaffMember(Model):
    """Somebody who signs in."""

    person: str = Field(description="What this person is called in paths")
    login: str
    name: str
    role: str
    team: str = Field(description="Empty: of none")
    endpoints: tuple[str, ...] = Field(description="The phones")
    ways: tuple[str, ...] = Field(description="By what: `password`, `totp`, `passkey`, `oidc`")
    linked: bool = Field(description="A one-time link waits for its use")
    signed_in: str | None = Field(description="When last: ISO 8601, UTC; null for never")
    disabled: bool


class StaffMembers(Model):
    """Those of the own tenant, by their logins."""

    people: tuple[StaffMember, ...]
    next: str | None = Field(description="The `cursor` with which the next ones come; null behind the last")


class OneTimeLink(Model):
    """With which somebody sets a password and a second factor. Whoever has it is that person: hand it over, and keep no copy."""

    link: str
    hours: int = Field(description="For which it is good, once")


def member(found: Member) -> StaffMember:
    """As it is given out."""
    person = found.person
    return StaffMember(
        person=person.id, login=person.login, name=person.name, role=person.role.value, team=person.team,
        endpoints=tuple(sorted(person.endpoints)), ways=found.ways, linked=found.linked, signed_in=found.signed_in,
        disabled=person.disabled,
    )  # fmt: skip
