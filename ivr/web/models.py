"""What the API takes and gives, of the own session, calls and customers: handlers and the OpenAPI file use the same."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, GetPydanticSchema, WithJsonSchema
from pydantic_core import core_schema

from ivr.call.outcome import Status
from ivr.lock import Current, Direction, Offered, Reason, State
from ivr.lock import Keying as Keyed
from ivr.lock import Record as Opened
from ivr.lock import Why as WhyDropped
from ivr.secret import Personal, Secret
from ivr.web.model import Model as Model
from ivr.web.model import Name as Name
from ivr.web.proofmodels import Proof, proof


def _secret(least: int, most: int) -> Any:
    text = core_schema.str_schema(min_length=least, max_length=most, strict=True)
    return GetPydanticSchema(lambda _source, _handler: core_schema.no_info_after_validator_function(Secret, text))


Password = Annotated[
    Secret, _secret(1, 256), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 256, "format": "password"})
]
Code = Annotated[Secret, _secret(6, 10), WithJsonSchema({"type": "string", "minLength": 6, "maxLength": 10})]
Argument = Annotated[Secret, _secret(0, 100), WithJsonSchema({"type": "string", "maxLength": 100})]
Login = Annotated[str, Field(min_length=1, max_length=64, strict=True)]


class SignIn(Model):
    """What somebody shows who they are by."""

    login: Login
    password: Password
    code: Code = Field(description="Of the authenticator app; each works once")
    tenant: Name = "main"


class Arguments(Model):
    """What an action is given, such as `{"language": "sv"}`; most need nothing."""

    arguments: dict[Name, Argument] = Field({}, max_length=5)


class Last(Model):
    """The sign-in before this one."""

    at: str = Field(description="ISO 8601, UTC")
    place: str = Field(description="The address, masked")
    failures: int = Field(description="Tries that failed since then")


class Me(Model):
    """The session, and whose it is."""

    login: str
    name: str
    role: str
    permissions: tuple[str, ...]
    csrf: str = Field(description="To be sent as the header CSRF-Token with every request that changes something")
    last: Last | None = Field(None, description="Null for the first time")


class Policy(Model):
    """A policy that may be chosen in mid-call."""

    name: str
    level: int
    steps: tuple[str, ...]


class Policies(Model):
    """All of them, in the order of the settings."""

    policies: tuple[Policy, ...]


class Verify(Model):
    """By what the caller is to be verified. A customer whose own policy is stronger goes by that one."""

    policy: Name


class Begun(Model):
    """The caller is on the way to the keypad part. `GET /api/v1/calls/current` tells how far it is."""

    call: str
    policy: str


class Drop(Model):
    """Why the mark goes: `wrong_person` is told to the supervisors."""

    why: WhyDropped


class Keying(Model):
    """How far a caller is, for whom this person's phone waits: how many keys, never which."""

    step: str = Field(description="Empty between two steps")
    keyed: int
    least: int = Field(description="The fewest digits; 0 where none are asked for now")
    most: int = Field(description="The most")


class Call(Model):
    """A caller with whom a phone of this person's is joined now, or for whom it waits."""

    id: str = Field(description="What this call is called in paths")
    node: str
    channel: str = Field(description="Its unique id on that Asterisk")
    number: str | None = Field(description="Masked; null where it is withheld")
    direction: Direction
    held: bool
    since: float = Field(description="Seconds since the epoch")
    state: State
    shut: Reason | None = Field(description="Why the customer's record is not open; null where it is")
    level: int
    methods: tuple[str, ...]
    until: int | None = Field(description="When the mark ends, in seconds since the epoch")
    ref: str | None = Field(description="The customer, where verified, of the own tenant and not locked")
    name: str | None = Field(description="The customer's name, where it may be seen")
    keying: Keying | None = Field(description="Of a caller who is being verified in mid-call")
    ended: Status | None = Field(description="How verifying in mid-call ended last, where it did not verify")
    verifiable: bool = Field(description="Whether the caller can be verified now")
    droppable: bool = Field(description="Whether there is a mark that can be taken away")
    provable: bool = Field(description="Whether it can be proved to the caller now who speaks")
    proof: Proof | None = Field(
        description="The latest that was asked for on this call by the same person, where it is known"
    )
    proof_known: bool = Field(description="Whether it is known how far the proof is, or that there is none")
    dialled: str | None = Field(
        description="The customer whom this call, begun at the desk, has reached; who has answered, it does not tell"
    )
    peerable: bool = Field(description="Whether each side can prove its organisation to the other now")
    digits_closed: int | None = Field(
        description="Until when no digits of the way `spoken` are right, in seconds since the epoch; null where they are"
    )


class Calls(Model):
    """All of them; mostly one."""

    calls: tuple[Call, ...]


class Record(Model):
    """Fields of the customer's record: those that were asked for, else all that the mark covers."""

    ref: str
    level: int = Field(description="At which the caller is verified")
    until: int = Field(description="When that ends, in seconds since the epoch")
    fields: dict[str, str | tuple[str, ...] | bool | None]


class Done(Model):
    """It is done, and stands in the audit trail."""

    action: str
    ref: str


class FieldFault(Model):
    """Which field, and what is wrong with it."""

    field: str
    fault: str


class ProblemDetails(Model):
    """RFC 9457. Compare `reason`; `detail` is for people, in their language."""

    type: str
    title: str
    status: int
    detail: str
    reason: str
    needs: int | None = Field(None, description="The level that it takes, where the reason is `level`")
    errors: tuple[FieldFault, ...] = ()


def call(current: Current) -> Call:
    """As it is given out: the lock has decided what of it may be seen."""
    return Call(
        id=current.id, node=current.call.node, channel=current.call.id, number=current.number,
        direction=current.direction, held=current.held, since=current.since,
        state=current.state, shut=current.shut, level=current.level, methods=current.methods, until=current.until,
        ref=current.ref, name=None if current.name is None else current.name.reveal(),
        keying=None if current.keying is None else keying(current.keying), ended=current.ended,
        verifiable=current.verifiable, droppable=current.droppable, provable=current.provable,
        proof=None if current.proof is None else proof(current.proof),
        proof_known=current.proof_known,
        dialled=current.dialled, peerable=current.peerable, digits_closed=current.digits_closed,
    )  # fmt: skip


def keying(keyed: Keyed) -> Keying:
    """As it is given out."""
    return Keying(step=keyed.step, keyed=keyed.keyed, least=keyed.least, most=keyed.most)


def policy(offered: Offered) -> Policy:
    """As it is given out."""
    return Policy(name=offered.name, level=offered.level, steps=offered.steps)


def record(found: Opened) -> Record:
    """As it is given out: fields that the lock has opened."""
    return Record(
        ref=found.ref, level=found.level, until=found.until,
        fields={
            name: value.reveal()
            if isinstance(value, Personal)
            else tuple(one.reveal() for one in value)
            if isinstance(value, tuple)
            else value
            for name, value in found.fields.items()
        },
    )  # fmt: skip
