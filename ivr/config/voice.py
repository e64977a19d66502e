"""The settings of calls that tell a code."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ivr.config.section import Section
from ivr.config.trunk import DIAL, E164, DialString


class Voice(Section):
    """Codes told by a call, where no text arrives and to landlines: to whoever presses two keys that are drawn each time."""

    dial: DialString | None = Field(
        None,
        pattern=DIAL,
        description='How the customer is called, such as "PJSIP/{number}@trunk"; left out, nobody is',
    )  # fmt: skip
    format: Literal["e164", "digits"] = Field(
        "e164", description='How the trunk takes numbers: "e164", +46701234567; "digits", the same without +'
    )
    number: str | None = Field(
        None,
        pattern=E164,
        description='What the customer sees, with + and country, such as "+46812345678": a number that the trunk lets us show',
    )  # fmt: skip
    ring_seconds: int = Field(30, ge=5, le=120, description="Seconds for which the telephone rings")
    after_seconds: float = Field(
        20.0, gt=0, le=300,
        description="Seconds in which the last text must be reported as delivered; else its code is told by a call too",
    )  # fmt: skip

    @model_validator(mode="after")
    def _shown(self) -> Self:
        if self.dial is not None and self.number is None:
            raise ValueError("dial is there, and number is left out. Write the number that customers are shown")
        return self

    @property
    def wanted(self) -> bool:
        """Whether anybody is called."""
        return self.dial is not None
