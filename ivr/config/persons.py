"""The settings of what people prove to each other on the public page."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ivr.config.section import Section


class Persons(Section):
    """Somebody identifies by eID and shows somebody else who they are. It makes texts go to numbers that anybody names: off unless it is switched on."""

    eids: tuple[Literal["bankid"], ...] = Field(
        (),
        max_length=1,
        description='By which they identify: ["bankid"] switches it on. The desk needs `[eid.bankid]`; the page has the same `eids`, and not that table',
    )
    minutes: int = Field(
        60, ge=5, le=60, description="Minutes from the beginning until it is over, and all that is known of it is gone"
    )
    # a family, a landlord and a buyer of a used car in a day; who needs more is no private person
    asks_of_one_per_day: int = Field(
        5,
        ge=1,
        le=100,
        description="Numbers that one person, by eID, may ask in 24 hours; as often a code is texted to it",
    )
    asks_to_one_per_day: int = Field(3, ge=1, le=100, description="Texts to one number in 24 hours, whoever asks")
    texts_per_hour: int = Field(
        60,
        ge=1,
        le=100_000,
        description="Texts of all in an hour, apart from those of calls: they cannot use up what callers need",
    )
    begun_per_hour: int = Field(300, ge=1, le=100_000, description="How often all may begin in an hour")
    begun_of_one_per_hour: int = Field(20, ge=5, le=10_000, description="Of those, from one address")

    @property
    def on(self) -> bool:
        """Whether it is offered."""
        return bool(self.eids)
