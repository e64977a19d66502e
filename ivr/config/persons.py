"""The settings of what people prove to each other on the public page."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from ivr.config.section import Name, Section

# it stands in a text message, and on a button
Label = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f{}]{1,30}$")]
_LABELS = {"bankid": "BankID", "freja": "Freja"}


class Persons(Section):
    """Somebody identifies by eID and shows somebody else who they are. It makes texts go to numbers that anybody names: off unless it is switched on."""

    eids: tuple[Name, ...] = Field(
        (),
        max_length=6,
        description='By which they may identify, in the order in which they are shown: "bankid", "freja", or the NAME of a broker; ["bankid"] switches it on. '
        "The desk needs the tables `[eid.bankid]`, `[eid.freja]` and `[eid.brokers.NAME]` of those; the page has the same `eids`, and not those tables",
    )
    labels: dict[Name, Label] = Field(
        {},
        description='What people call the brokers among them, such as {example = "Example ID"}, 30 characters at most; the page has the same ones',
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

    @model_validator(mode="after")
    def _each_known(self) -> Self:
        if len(set(self.eids)) != len(self.eids):
            raise ValueError("eids has one of them twice. Write each once")
        for name in self.eids:
            if name not in _LABELS and name not in self.labels:
                raise ValueError(
                    f'labels has no {name}, which is in eids. Write what people call it: labels = {{{name} = "…"}}'
                )
        if unknown := sorted(set(self.labels).difference(self.eids).union(set(self.labels) & set(_LABELS))):
            raise ValueError(f"labels has {unknown[0]}, which is no broker of eids. Leave it out")
        return self

    def label(self, eid: str) -> str:
        """What people call it."""
        return _LABELS.get(eid) or self.labels.get(eid, eid)

    def is_broker(self, eid: str) -> bool:
        """Whether people are sent there, and come back."""
        return eid not in _LABELS

    @property
    def on(self) -> bool:
        """Whether it is offered."""
        return bool(self.eids)
