"""What the API takes and gives: handlers and the OpenAPI file use the same."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetPydanticSchema, WithJsonSchema
from pydantic_core import core_schema

from ivr.call.outcome import Status
from ivr.lock import FIELDS, Barred, Current, Direction, Ended, Held, Offered, Reason, Standing, State, Watched
from ivr.lock import Keying as Keyed
from ivr.lock import Record as Opened
from ivr.lock import Why as WhyDropped
from ivr.secret import Personal, Secret
from ivr.store.openings import Opening as Wished


def _secret(least: int, most: int) -> Any:
    text = core_schema.str_schema(min_length=least, max_length=most, strict=True)
    return GetPydanticSchema(lambda _source, _handler: core_schema.no_info_after_validator_function(Secret, text))


Password = Annotated[
    Secret, _secret(1, 256), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 256, "format": "password"})
]
Code = Annotated[Secret, _secret(6, 10), WithJsonSchema({"type": "string", "minLength": 6, "maxLength": 10})]
Argument = Annotated[Secret, _secret(0, 100), WithJsonSchema({"type": "string", "maxLength": 100})]
Login = Annotated[str, Field(min_length=1, max_length=64, strict=True)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$", strict=True)]
FieldName = Annotated[str, Field(pattern=f"^({'|'.join(FIELDS)})$", strict=True)]


class Model(BaseModel):
    """Nothing else than what is named is taken, or given."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


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
    ref: str | None = Field(description="The customer, where verified")
    name: str | None = Field(description="The customer's name, where it may be seen")
    keying: Keying | None = Field(description="Of a caller who is being verified in mid-call")
    ended: Status | None = Field(description="How verifying in mid-call ended last, where it did not verify")
    verifiable: bool = Field(description="Whether the caller can be verified now")
    droppable: bool = Field(description="Whether there is a mark that can be taken away")


class Calls(Model):
    """All of them; mostly one."""

    calls: tuple[Call, ...]


class TeamCall(Model):
    """A call of somebody's of the team. Nothing of it says who the customer is."""

    person: str
    agent: str = Field(description="The agent's name")
    node: str
    channel: str = Field(description="The caller's: its unique id on that Asterisk")
    number: str | None = Field(description="Masked; null where it is withheld")
    direction: Direction
    held: bool
    since: float = Field(description="Seconds since the epoch")
    state: State
    level: int
    until: int | None = Field(description="When the mark ends, in seconds since the epoch")


class TeamCalls(Model):
    """Those of the team, in the order of the agents' names."""

    calls: tuple[TeamCall, ...]
    next: str | None = Field(description="The `cursor` with which the next ones come; null behind the last")


class PolicyRate(Model):
    """How many verifications of a policy ended how."""

    policy: str
    verified: int
    refused: int = Field(description="Not verified: wrong, too late, or locked")
    abandoned: int = Field(description="The caller hung up")
    failed: int = Field(description="A part was down")


class VerificationRates(Model):
    """By policy, from the audit trail."""

    hour: tuple[PolicyRate, ...] = Field(description="Of the last hour")
    day: tuple[PolicyRate, ...] = Field(description="Of the last day")


class LockInForce(Model):
    """What is locked now."""

    kind: Held
    what: str | None = Field(
        description="A customer's reference, or a number that is masked; null where it is not known"
    )
    until: int | None = Field(description="Seconds since the epoch; null where somebody has to unlock it")


class LocksInForce(Model):
    """The one that ends first comes first."""

    locks: tuple[LockInForce, ...]
    next: str | None = Field(description="The `cursor` with which the next ones come; null behind the last")


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


class Why(Model):
    """Why, in words; it stays in the audit trail. Neither a name nor a number."""

    reason: str = Field(min_length=5, max_length=200, strict=True)


class Reading(Model):
    """How many different customers' records somebody has read."""

    person: str
    hour: int = Field(description="In the last hour")
    day: int = Field(description="In the last day")
    stopped: bool = Field(description="Reads none until another person lifts it")


class Readings(Model):
    """Of those of the own team, or of all."""

    persons: tuple[Reading, ...]
    next: str | None = Field(None, description="The `cursor` with which the next ones come; null behind the last")


class Lifted(Model):
    """Reads again; the counts begin anew."""

    person: str


class Wish(Why):
    """To open these fields of one record without a call."""

    ref: str = Field(pattern=r"^[a-z0-9]{12}$", strict=True)
    fields: tuple[FieldName, ...] = Field(min_length=1, max_length=len(FIELDS))


class Opening(Model):
    """A wish to open one record without a call, or what came of it."""

    id: str
    login: str = Field(description="Who wishes for it")
    ref: str
    fields: tuple[str, ...]
    reason: str
    until: int = Field(description="When it lapses, or when the record shuts again, in seconds since the epoch")
    open: bool = Field(description="Whether another person has agreed")


class Openings(Model):
    """Those that wait for a second person."""

    openings: tuple[Opening, ...]
    next: str | None = Field(None, description="The `cursor` with which the next ones come; null behind the last")


class Audience(Model):
    """For whom a token is."""

    audience: str = Field(min_length=1, max_length=200, strict=True, description="One of [tokens] audiences")


class MarkToken(Model):
    """The mark of a call, signed: a JWT."""

    token: str
    expires_in: int = Field(description="Seconds")


class Introspection(Model):
    """What a program asks (RFC 7662)."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    token: str = Field(min_length=1)
    token_type_hint: str | None = Field(None, description="Makes no difference")


class Introspected(Model):
    """Whether it still holds; of one that does, what it says (RFC 7662)."""

    active: bool
    iss: str | None = None
    aud: str | None = None
    sub: str | None = Field(None, description="The customer's reference")
    exp: int | None = None
    iat: int | None = None
    jti: str | None = None
    call: str | None = Field(None, description="The call, as the API names it")
    node: str | None = None
    channel: str | None = Field(None, description="Its unique id on that Asterisk")
    agent: str | None = Field(None, description="The agent's id: compare it with whoever shows you the token")
    login: str | None = Field(None, description="The agent's login, of that tenant")
    tenant: str | None = None
    level: int | None = None
    methods: tuple[str, ...] | None = None


class ElementAsked(Model):
    """For which agent, and for pages of which origin, where the program has several."""

    login: Login
    tenant: Name = "main"
    origin: str | None = Field(None, max_length=200)


class ElementToken(Model):
    """What a page gives to its `<caller-auth>`: of that agent's session, and for pages of that origin alone."""

    token: str
    expires_in: int = Field(description="Seconds; it ends with the agent's session, too")
    may: tuple[str, ...]


class PublicKey(Model):
    """A key with which tokens are checked (RFC 7517, RFC 8037)."""

    kid: str
    kty: str
    crv: str
    x: str
    alg: str
    use: str


class PublicKeys(Model):
    """Those that sign, have signed, and will sign."""

    keys: tuple[PublicKey, ...]


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
        id=current.call.name, node=current.call.node, channel=current.call.id, number=current.number,
        direction=current.direction, held=current.held, since=current.since,
        state=current.state, shut=current.shut, level=current.level, methods=current.methods, until=current.until,
        ref=current.ref, name=None if current.name is None else current.name.reveal(),
        keying=None if current.keying is None else keying(current.keying), ended=current.ended,
        verifiable=current.verifiable, droppable=current.droppable,
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


def reading(standing: Standing) -> Reading:
    """As it is given out."""
    return Reading(person=standing.person, hour=standing.hour, day=standing.day, stopped=standing.stopped)


def opening(wish: Wished) -> Opening:
    """As it is given out: the tenant is the asking person's own."""
    return Opening(
        id=wish.id, login=wish.login, ref=wish.ref, fields=wish.fields, reason=wish.reason, until=wish.until,
        open=wish.approved,
    )  # fmt: skip


def team_call(one: Watched) -> TeamCall:
    """As it is given out."""
    return TeamCall(
        person=one.person, agent=one.agent, node=one.call.node, channel=one.call.id, number=one.number, direction=one.direction,
        held=one.held, since=one.since, state=one.state, level=one.level, until=one.until,
    )  # fmt: skip


def rate(ended: Ended) -> PolicyRate:
    """As it is given out."""
    return PolicyRate(
        policy=ended.policy, verified=ended.verified, refused=ended.refused, abandoned=ended.abandoned, failed=ended.failed
    )  # fmt: skip


def in_force(barred: Barred) -> LockInForce:
    """As it is given out."""
    return LockInForce(kind=barred.kind, what=barred.what or None, until=barred.until)
