"""The settings of the lock: what the caller's level must be for what, how much one person may read, records without a call."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from ivr.config.section import Minutes, Section

Level = Annotated[int, Field(ge=1, le=3)]


class FieldLevels(Section):
    """The level at which an agent's caller must be verified for each field of the customer's record to be read."""

    number: Level = Field(2, description="The customer number")
    # it stands on the agent's phone as soon as the caller is verified at all
    name: Level = Field(1, description="The name")
    phones: Level = Field(2, description="The telephone numbers, whole")
    language: Level = Field(1, description="The language")
    policy: Level = Field(2, description="The policy of this customer's own")
    has_pin: Level = Field(2, description="Whether there is a PIN")
    locked: Level = Field(2, description="Whether the customer is locked")


class ActionLevels(Section):
    """The level at which an agent's caller must be verified for each change of the customer's record."""

    # it takes something away from whoever has stolen a customer's PIN, and nothing else
    lock: Level = Field(1, description="Lock the customer: nobody who says to be this customer is verified any more")
    set_language: Level = Field(2, description="Change the language")
    # whoever has a customer's codes sent to a telephone of theirs is that customer from then on
    add_phone: Level = Field(3, description="Add a telephone number")
    change_phone: Level = Field(3, description="Change a telephone number")
    remove_phone: Level = Field(3, description="Remove a telephone number")
    replace_sim: Level = Field(
        3, description="Replace the SIM of a telephone number: whoever has the new one has its texts"
    )
    clear_pin: Level = Field(2, description="Take the PIN away: until another one is set, every PIN is wrong")


class Reads(Section):
    """How many different customers' records one person may read. All of them are verified callers of that person's, or opened by two persons: so more than usual is worth a look."""

    warn_hour: int = Field(
        20, ge=1, le=100_000,
        description="Customers in an hour up to which nobody is warned (`reads.unusual`)",
    )  # fmt: skip
    warn_day: int = Field(100, ge=1, le=100_000, description="The same in a day")
    warn_factor: float = Field(
        3.0, ge=1, le=100,
        description="Behind that, how many times as many as the median of the same team's others, and the log warns",
    )  # fmt: skip
    stop_hour: int = Field(
        40, ge=1, le=100_000,
        description="Customers in an hour; for one more, nothing is read by this person until another one lifts it (`reads.stopped`)",
    )  # fmt: skip
    stop_day: int = Field(200, ge=1, le=100_000, description="The same in a day")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for warn, stop in (("warn_hour", "stop_hour"), ("warn_day", "stop_day")):
            if getattr(self, warn) > getattr(self, stop):
                raise ValueError(f"{warn} is more than {stop}. Lower the one, or raise the other")
        return self


class Glass(Section):
    """Breaking the glass: one record is opened for one person without a call, when another person agrees."""

    wait_minutes: Minutes = Field(15, description="Minutes that a wish waits for the other person")
    open_minutes: Minutes = Field(10, description="Minutes that the record is open then")
    waiting: int = Field(2, ge=1, le=20, description="Wishes of one person that wait, or are granted, at once")


class Cooling(Section):
    """Numbers that were changed at the desk, or have another SIM: whoever has talked somebody into that must not be that customer by it."""

    hours: int = Field(
        24, ge=0, le=720,
        description="Hours in which no code and no proof goes to a telephone number that was added or changed at the desk, or whose SIM was replaced",
    )  # fmt: skip


class Lock(Section):
    """What keeps customers' data from agents until the caller is verified."""

    fields: FieldLevels = Field(default_factory=FieldLevels)
    actions: ActionLevels = Field(default_factory=ActionLevels)
    reads: Reads = Field(default_factory=Reads)
    glass: Glass = Field(default_factory=Glass)
    cooling: Cooling = Field(default_factory=Cooling)
