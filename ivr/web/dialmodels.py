"""What the API takes and gives of calls that agents begin."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, GetPydanticSchema, WithJsonSchema
from pydantic_core import core_schema

from ivr.call.dial import Dialling, DialStage
from ivr.secret import Secret
from ivr.store.sealing import is_ref
from ivr.web.model import Model


def _whom(text: str) -> str | Secret:
    """A reference as it is; all else is a customer number, which has digits alone as it is keyed."""
    return text if is_ref(text) and not text.isdigit() else Secret(text)


_text = core_schema.str_schema(min_length=1, max_length=40, strict=True)
Whom = Annotated[
    str | Secret,
    GetPydanticSchema(lambda _source, _handler: core_schema.no_info_after_validator_function(_whom, _text)),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 40}),
]
# of JSON's numbers 2.0 is a whole one too (JSON Schema, 6.1.1)
Which = Annotated[
    int,
    Field(ge=1, le=20, strict=True),
    BeforeValidator(lambda told: int(told) if isinstance(told, float) and told.is_integer() else told),
]


class DialAsked(Model):
    """Whom to call. The number is on record, and shown to nobody here."""

    customer: Whom = Field(description="The customer's reference, or the customer number")
    phone: Which = Field(1, description="Which of the telephone numbers on record")


class Dial(Model):
    """How far it is. What was answered is a call, and stands in `GET /api/v1/calls/current`."""

    id: str
    ref: str
    stage: DialStage


class Dials(Model):
    """The own one that goes on, or has ended a moment ago."""

    dials: tuple[Dial, ...]


def dial(dialling: Dialling) -> Dial:
    """As it is given out."""
    return Dial(id=dialling.id, ref=dialling.ref, stage=dialling.stage)
