"""What the API takes and gives of proofs: that the company shows the caller who it is."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, GetPydanticSchema, WithJsonSchema
from pydantic_core import core_schema

from ivr.call.proof import Keyed, Stage, Way
from ivr.lock.proofwords import Choice, Proving, Speaking
from ivr.secret import Secret
from ivr.store.backs import BackStage
from ivr.web.model import Model, Name

_text = core_schema.str_schema(min_length=1, max_length=40, strict=True)
Customer = Annotated[
    Secret,
    GetPydanticSchema(lambda _source, _handler: core_schema.no_info_after_validator_function(Secret, _text)),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 40}),
]


class ProofWays(Model):
    """What may be chosen; empty where the company has no public page."""

    ways: tuple[Way, ...]
    about: tuple[str, ...]


class ProofAsked(Model):
    """How it is to reach the caller, and what the call is about. It goes to a number on record, and to no other one."""

    way: Way
    about: Name
    keyed: Keyed = Field(
        Keyed.PAGE,
        description="Where the digits are keyed: those that are spoken into the call on the page, or those of the page on the phone",
    )
    customer: Customer | None = Field(
        None, description="The customer number, where nothing else tells who is on the line"
    )


class Proof(Model):
    """How far it is."""

    way: Way
    stage: Stage
    phrase: str = Field(
        description="Two words that the caller reads: to be said aloud; empty by the way `spoken`, where nothing is read"
    )
    about: str
    keyed: Keyed
    until: int = Field(description="When it expires, in seconds since the epoch")
    digits: str | None = Field(
        description="By the way `spoken`, as long as they are good: to be said to the caller, who keys them on a call to the published number"
    )
    published: str = Field(description="That number, as it is to be said; empty where there are no digits")
    speech: Speaking | None = Field(
        description="What became of the digits that are spoken into the call; null where none were yet"
    )
    back: BackStage | None = Field(
        description="How far the caller is who shows on the page who they are; null where nothing was begun"
    )


class ProofBegun(Model):
    """It is on its way. `GET /api/v1/calls/current` tells how far it is."""

    call: str
    phrase: str
    until: int


class ProofSpeech(Model):
    """What became of it; `going_on` where it is not over yet."""

    speech: Speaking


def ways(choice: Choice) -> ProofWays:
    """As it is given out."""
    return ProofWays(ways=choice.ways, about=choice.about)


def proof(proving: Proving) -> Proof:
    """As it is given out."""
    return Proof(
        way=proving.way, stage=proving.stage, phrase=proving.phrase, about=proving.about, keyed=proving.keyed, until=proving.until,
        digits=None if proving.digits is None else proving.digits.reveal(), published=proving.published, speech=proving.speech,
        back=proving.back,
    )  # fmt: skip
