"""The settings of tokens: the mark, signed, for programs that check by themselves."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ivr.config.section import Section

# what stands in `aud`: a URL, or any other name that both sides use
Audience = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,200}$")]


class Tokens(Section):
    """Tokens: who is verified on which call of whose, signed (JWT), for programs that check by themselves."""

    audiences: tuple[Audience, ...] = Field(
        (),
        description='For whom there are tokens of the mark, such as ["https://crm.example.com"]; left out, there are none',
    )
    # long enough to be handed over and used, too short to be worth stealing; what must hold for longer asks again
    seconds: int = Field(
        120, ge=10, le=600, description="Seconds after which such a token ends; it never outlives the mark"
    )
    rotate_days: int = Field(
        30,
        ge=1,
        le=365,
        description="Days after which tokens are signed with the next key, which is published all the time",
    )
