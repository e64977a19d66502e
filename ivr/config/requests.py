"""The settings of how much one may ask of the desk."""

from __future__ import annotations

from pydantic import Field

from ivr.config.section import Section


class Requests(Section):
    """How much one may ask of the desk; what is more waits (429), or is not let in."""

    # an open page asks by its websocket, and a person by hand; the rest is for a CRM that asks in that person's name
    per_minute: int = Field(600, ge=10, le=100_000, description="Requests of one person in a minute")
    # an office of agents may have one address
    strangers_per_minute: int = Field(
        120, ge=5, le=100_000,
        description="Requests from one address in a minute by those who are not signed in, signing in included",
    )  # fmt: skip
    connections: int = Field(2000, ge=10, le=50_000, description="Connections at once")
    connections_of_one: int = Field(
        500, ge=1, le=50_000, description="Of those, from one address that is not one of allow_proxies"
    )
    shutdown_seconds: int = Field(
        5, ge=1, le=60, description="Seconds in which requests may come to their end when the desk is stopped"
    )
