"""The settings of calls that agents begin at the desk."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ivr.config.prove import Words
from ivr.config.section import Name, Section
from ivr.config.texts import Country
from ivr.config.trunk import DIAL, DialString, Number


class Calls(Section):
    """Calls that agents begin at the desk, by a customer's reference: their own phone rings first, and they see no number."""

    dial: DialString | None = Field(
        None,
        pattern=DIAL,
        description='How a customer is called, such as "PJSIP/{number}@trunk"; left out, nobody is. No Local channel: the number would stand '
        "in the CDR and in the log",
    )  # fmt: skip
    format: Literal["e164", "digits"] = Field(
        "e164", description='How the trunk takes numbers: "e164", +46701234567; "digits", the same without +'
    )
    countries: tuple[Country, ...] = Field(
        (), description='Countries that are called, such as ["SE", "NO"]; else [company] country alone'
    )
    number: Number | None = Field(
        None, description='What customers see, with + and country, such as "+46812345678": a number that the trunk lets us show'
    )  # fmt: skip
    numbers_of_teams: dict[Name, Number] = Field(
        {}, description='What they see in its place when one of these teams calls, as a table: { support = "+46812345679" }'
    )  # fmt: skip
    attestations: dict[Number, Literal["A", "B", "C"]] = Field(
        {}, description='Numbers of these that Asterisk signs (STIR/SHAKEN), and at which level, as a table: { "+46812345678" = "A" }; '
        "doctor looks whether it does",
    )  # fmt: skip
    name: Words | None = Field(None, description="The name that goes with the number; left out, that of [company]")
    ring_agent_seconds: int = Field(20, ge=5, le=120, description="Seconds for which the agent's phone rings")
    ring_seconds: int = Field(40, ge=5, le=120, description="Seconds for which the customer's phone rings")
    per_person_hour: int = Field(60, ge=1, le=1000, description="Calls that one agent begins in an hour")
    per_customer_hour: int = Field(6, ge=1, le=60, description="Calls to one customer in an hour")

    @model_validator(mode="after")
    def _shown(self) -> Self:
        if self.dial is not None and self.number is None:
            raise ValueError("dial is there, and number is left out. Write the number that customers are shown")
        ours = {self.number, *self.numbers_of_teams.values()}
        if foreign := sorted(set(self.attestations) - ours):
            raise ValueError(
                f"attestations has {foreign[0]}, which is neither number nor in numbers_of_teams. Take it out"
            )
        return self

    def shown(self, team: str) -> str:
        """What customers see when somebody of this team calls; nothing where nobody is called from here."""
        return self.numbers_of_teams.get(team) or self.number or ""
