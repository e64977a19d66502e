"""Who may see a customer's data now: each way round it, and any case against the rule told once more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from ivr.call.mark import Mark
from ivr.call.ports import Party, Talk
from ivr.lock.decision import Ground, judge
from ivr.lock.words import Channel, Denied, Granted, Reason
from ivr.staff import Permission, Person, Role

NOW = 1_800_000_000.0
NODE, OTHER_NODE = "node-a", "node-b"
X, Y = "xxxxxxxxxxxx", "yyyyyyyyyyyy"

ANNA = Person("p1", "acme", "anna", "Anna", Role.AGENT, "blue", frozenset({"PJSIP/anna", "PJSIP/anna-soft"}))
BO = Person("p2", "acme", "bo", "Bo", Role.AGENT, "blue", frozenset({"PJSIP/bo"}))
FOREIGN = Person("p3", "other", "cleo", "Cleo", Role.AGENT, "blue", frozenset({"PJSIP/cleo"}))
GONE = Person("p4", "acme", "dan", "Dan", Role.AGENT, "blue", frozenset({"PJSIP/dan"}), disabled=True)
OWNERS = {endpoint: person for person in (ANNA, BO, FOREIGN, GONE) for endpoint in person.endpoints}


def party(channel: str, endpoint: str = "PJSIP/trunk", *, held: bool = False) -> Party:
    return Party(channel, endpoint, None, held, NOW - 60)


def talk(*others: Party, own: str = "PJSIP/anna", channel: str = "own.1", held: bool = False, node: str = NODE) -> Talk:
    return Talk(node, party(channel, own, held=held), others)


def mark(
    channel: str = "c.1", subject: str = X, *, level: int = 2, node: str = NODE, expires: int = int(NOW) + 60
) -> dict[Channel, Mark]:
    return {Channel(node, channel): Mark(node, channel, subject, level, ("pin",), "usual", expires, "nonce")}


def verdict(
    *talks: Talk, marks: Mapping[Channel, Mark] | None = None, person: Person = ANNA,
    owners: Mapping[str, Person] = OWNERS, ref: str = X, level: int = 2,
) -> Granted | Denied:  # fmt: skip
    return judge(Ground(person, talks, owners, mark() if marks is None else marks, NOW), ref, level)


def refused(reason: Reason, needs: int | None = None) -> Denied:
    return Denied(reason, needs)


CALLER = party("c.1")
STRANGER = party("c.9", "PJSIP/trunk2")
GRANTED = Granted(Channel(NODE, "c.1"), 2, int(NOW) + 60)


# ---------------------------------------------------------------- the right agent


def test_the_agent_of_the_call_reads() -> None:
    assert verdict(talk(CALLER)) == GRANTED


def test_what_is_granted_is_what_the_mark_has() -> None:
    assert verdict(talk(CALLER), level=1) == GRANTED


def test_with_a_colleague_in_the_talk_both_read() -> None:
    assert verdict(talk(CALLER, party("bo.1", "PJSIP/bo"))) == GRANTED
    assert verdict(talk(CALLER, party("own.1", "PJSIP/anna"), own="PJSIP/bo", channel="bo.1"), person=BO) == GRANTED


def test_by_the_own_second_phone() -> None:
    assert verdict(talk(CALLER, own="PJSIP/anna-soft")) == GRANTED


def test_a_phone_in_other_letters_than_it_was_written_down_in() -> None:
    shouted = {endpoint.upper(): owner for endpoint, owner in OWNERS.items()}
    assert verdict(talk(CALLER, own="PJSIP/ANNA"), owners=shouted) == GRANTED


def test_both_own_phones_in_one_conference() -> None:
    one = talk(CALLER, party("own.2", "PJSIP/anna-soft"))
    two = talk(CALLER, party("own.1", "PJSIP/anna"), own="PJSIP/anna-soft", channel="own.2")
    assert verdict(one, two) == GRANTED


@pytest.mark.parametrize("held", [CALLER, replace(CALLER, held=True)], ids=["by the agent", "by the caller as well"])
def test_on_hold_alone(held: Party) -> None:
    assert verdict(talk(held, held=True)) == GRANTED


def test_on_hold_while_a_colleague_is_asked() -> None:
    asked = talk(party("bo.1", "PJSIP/bo"), channel="own.2")
    assert verdict(talk(CALLER, held=True), asked) == GRANTED
    # who is asked has no caller
    assert verdict(talk(party("own.2", "PJSIP/anna"), own="PJSIP/bo", channel="bo.1"), person=BO) == refused(
        Reason.NO_CALL
    )


def test_a_caller_who_is_on_hold_is_out_of_the_other_call() -> None:
    other = talk(STRANGER, channel="own.2", held=True)
    assert verdict(talk(CALLER), other) == GRANTED


@pytest.mark.parametrize("permission", [Permission.VERIFY, Permission.WATCH])
def test_what_else_is_denied_to_the_person_does_not_matter(permission: Permission) -> None:
    assert verdict(talk(CALLER), person=replace(ANNA, denied=frozenset({permission}))) == GRANTED


# ---------------------------------------------------------------- nobody else


def test_without_a_call() -> None:
    assert verdict() == refused(Reason.NO_CALL)
    assert verdict(talk(party("bo.1", "PJSIP/bo"))) == refused(Reason.NO_CALL)


def test_a_second_call_while_the_customer_is_on_hold() -> None:
    """Whoever is spoken with is the one who counts."""
    held, second = talk(CALLER, held=True), talk(STRANGER, channel="own.2")
    assert verdict(held, second) == refused(Reason.NOT_VERIFIED)
    marks = mark() | mark("c.9", Y)
    assert verdict(held, second, marks=marks) == refused(Reason.OTHER_CUSTOMER)
    assert verdict(held, second, marks=marks, ref=Y) == Granted(Channel(NODE, "c.9"), 2, int(NOW) + 60)


def test_two_on_hold() -> None:
    both = talk(CALLER, held=True), talk(STRANGER, channel="own.2", held=True)
    assert verdict(*both) == verdict(*both, marks=mark() | mark("c.9", Y)) == refused(Reason.THIRD_PARTY)


def test_two_calls_at_once_that_a_phone_may_mix() -> None:
    assert verdict(talk(CALLER), talk(STRANGER, channel="own.2")) == refused(Reason.THIRD_PARTY)
    by_two_phones = talk(STRANGER, own="PJSIP/anna-soft", channel="own.2")
    assert verdict(talk(CALLER), by_two_phones) == refused(Reason.THIRD_PARTY)


def test_a_stranger_in_the_conference() -> None:
    assert verdict(talk(CALLER, STRANGER)) == refused(Reason.THIRD_PARTY)
    assert verdict(talk(CALLER, replace(STRANGER, held=True))) == refused(Reason.THIRD_PARTY)
    assert verdict(talk(CALLER, replace(STRANGER, endpoint=""))) == refused(Reason.THIRD_PARTY)


@pytest.mark.parametrize("subject", [Y, X], ids=["two customers", "one customer twice"])
def test_two_marked_callers_in_one_talk(subject: str) -> None:
    for ref in (X, Y):
        marks = mark() | mark("c.9", subject)
        assert verdict(talk(CALLER, STRANGER), marks=marks, ref=ref) == refused(Reason.THIRD_PARTY)


def test_a_colleague_who_is_a_marked_caller_too() -> None:
    bo = party("bo.1", "PJSIP/bo")
    for marks in (mark("bo.1"), mark("bo.1", Y), mark("bo.1", expires=int(NOW) - 1)):
        assert verdict(talk(bo), marks=marks) == refused(Reason.THIRD_PARTY)
        assert verdict(talk(CALLER, bo), marks=mark() | marks) == refused(Reason.THIRD_PARTY)


def test_who_was_verified_by_an_own_phone() -> None:
    """An agent who knows the customer's PIN, and calls from one own phone to the other."""
    second = party("own.2", "PJSIP/anna-soft")
    assert verdict(talk(second), marks=mark("own.2")) == refused(Reason.THIRD_PARTY)
    assert verdict(talk(CALLER), marks=mark("own.1")) == refused(Reason.THIRD_PARTY)
    assert verdict(talk(CALLER), marks=mark() | mark("own.1")) == refused(Reason.THIRD_PARTY)
    assert verdict(talk(second), marks={}) == refused(Reason.NO_CALL)


def test_a_phone_that_two_people_have_is_its_owners_alone() -> None:
    shared = replace(BO, endpoints=frozenset({"PJSIP/bo", "PJSIP/anna"}))
    assert verdict(talk(CALLER), person=shared) == refused(Reason.NO_CALL)
    assert verdict(talk(CALLER)) == GRANTED
    # nor is it anybody's who is not known as its owner
    nobodys = {endpoint: owner for endpoint, owner in OWNERS.items() if endpoint != "PJSIP/anna"}
    assert verdict(talk(CALLER), owners=nobodys) == refused(Reason.NO_CALL)


def test_a_phone_that_was_taken_away() -> None:
    """Whoever owns it: what the person's own record says counts as well."""
    assert verdict(talk(CALLER), person=replace(ANNA, endpoints=frozenset())) == refused(Reason.NO_CALL)


@pytest.mark.parametrize("who", [FOREIGN, GONE], ids=["of another tenant", "disabled"])
def test_staff_who_are_no_colleagues_are_third_parties(who: Person) -> None:
    (endpoint,) = who.endpoints
    other = party("o.1", endpoint)
    assert verdict(talk(CALLER, other)) == refused(Reason.THIRD_PARTY)
    assert verdict(talk(other), marks=mark("o.1")) == refused(Reason.THIRD_PARTY)
    assert verdict(talk(other)) == refused(Reason.THIRD_PARTY)


@pytest.mark.parametrize(
    "person",
    [
        replace(ANNA, disabled=True),
        replace(ANNA, denied=frozenset({Permission.CALL})),
        replace(ANNA, role=Role.AUDITOR),
        replace(ANNA, role=Role.ADMINISTRATOR),
        replace(ANNA, role=Role.DATA_OWNER),
        replace(ANNA, granted=frozenset({Permission.CALL}), denied=frozenset({Permission.CALL})),
    ],
)
def test_who_may_not(person: Person) -> None:
    assert verdict(talk(CALLER), person=person) == refused(Reason.NOT_PERMITTED)


# ---------------------------------------------------------------- the mark


@pytest.mark.parametrize(
    ("expires", "expected"),
    [(int(NOW) - 1, Reason.EXPIRED), (int(NOW), Reason.EXPIRED), (int(NOW) + 1, None)],
    ids=["a second ago", "this second", "next second"],
)
def test_the_end_of_a_mark(expires: int, expected: Reason | None) -> None:
    found = verdict(talk(CALLER), marks=mark(expires=expires))
    assert found == (Granted(Channel(NODE, "c.1"), 2, expires) if expected is None else refused(expected))


def test_a_mark_of_another_nodes_channel_of_that_name() -> None:
    assert verdict(talk(CALLER), marks=mark(node=OTHER_NODE)) == refused(Reason.NOT_VERIFIED)
    # whatever gave it out under this one's name
    (forged,) = mark(node=OTHER_NODE).values()
    assert verdict(talk(CALLER), marks={Channel(NODE, "c.1"): forged}) == refused(Reason.NOT_VERIFIED)
    # nor are the two one caller
    both = talk(CALLER), talk(CALLER, node=OTHER_NODE)
    assert verdict(*both, marks=mark() | mark(node=OTHER_NODE)) == refused(Reason.THIRD_PARTY)


def test_a_colleague_whose_channel_has_the_name_of_a_marked_one_elsewhere() -> None:
    marks = mark() | mark("bo.1", Y, node=OTHER_NODE)
    assert verdict(talk(CALLER, party("bo.1", "PJSIP/bo")), marks=marks) == GRANTED


def test_a_mark_of_another_channel() -> None:
    assert verdict(talk(CALLER), marks=mark("c.2")) == refused(Reason.NOT_VERIFIED)
    (other,) = mark("c.2").values()
    assert verdict(talk(CALLER), marks={Channel(NODE, "c.1"): other}) == refused(Reason.NOT_VERIFIED)


@pytest.mark.parametrize(("has", "needs"), [(1, 2), (2, 3), (0, 1), (0, 0), (-1, -1)])
def test_a_level_that_is_too_low(has: int, needs: int) -> None:
    assert verdict(talk(CALLER), marks=mark(level=has), level=needs) == refused(Reason.LEVEL, needs)


@pytest.mark.parametrize(("ref", "subject"), [(Y, X), ("", X), ("", ""), (X, ""), (X.upper(), X), (f"{X} ", X)])
def test_another_customer(ref: str, subject: str) -> None:
    assert verdict(talk(CALLER), marks=mark(subject=subject), ref=ref) == refused(Reason.OTHER_CUSTOMER)


# ---------------------------------------------------------------- any case


@dataclass(frozen=True)
class Case:
    ground: Ground
    ref: str
    level: int


def oracle(case: Case) -> bool:
    """The rule, told once more and slowly: everybody whom this person could hear or be heard by, one after another."""
    ground, person = case.ground, case.ground.person
    if person.disabled or "call" not in {permission.value for permission in person.permissions}:
        return False
    spoken: list[tuple[str, str, str]] = []
    waiting: list[tuple[str, str, str]] = []
    for one in ground.talks:
        at_hand = one.own.endpoint
        if at_hand not in person.endpoints or at_hand not in ground.owners or ground.owners[at_hand].id != person.id:
            continue
        for each in [one.own, *one.others]:
            who = ground.owners.get(each.endpoint)
            works_here = who is not None and who.tenant == person.tenant and who.disabled is False
            bears_a_mark = any((node, channel) == (one.node, each.channel) for node, channel in ground.marks)
            if works_here and not bears_a_mark:
                continue
            place = waiting if one.own.held else spoken
            if (one.node, each.channel, each.endpoint) not in place:
                place.append((one.node, each.channel, each.endpoint))
    ear = spoken or waiting
    if len(ear) == 0:
        return False
    for other in ear[1:]:
        if other[:2] != ear[0][:2]:
            return False
    node, channel, endpoint = ear[0]
    if endpoint in ground.owners:
        return False
    for key, borne in ground.marks.items():
        if key != (node, channel):
            continue
        good = borne.node == node and borne.channel == channel and borne.expires > ground.now
        return good and borne.subject == case.ref != "" and borne.level >= 1 and borne.level >= case.level
    return False


# One that is as it should be, with up to four things changed in it.
Changed = Callable[[Case], Case]
START = Case(Ground(ANNA, (talk(CALLER),), OWNERS, mark(), NOW), X, 2)
OWN_CHANNELS = {
    "PJSIP/anna": "own.1",
    "PJSIP/anna-soft": "own.2",
    "PJSIP/bo": "bo.1",
    "PJSIP/cleo": "o.1",
    "PJSIP/dan": "o.2",
}

seldom = st.integers(0, 9).map(lambda n: n == 0)
nodes = st.sampled_from([NODE, NODE, OTHER_NODE])
parties = st.one_of(
    st.sampled_from(sorted(OWN_CHANNELS)).map(lambda endpoint: party(OWN_CHANNELS[endpoint], endpoint)),
    st.builds(party, st.sampled_from(["c.1", "c.2"]), st.just("PJSIP/trunk"), held=st.booleans()),
)
terms = st.builds(
    lambda subject, level, off: (subject, level, int(NOW) + off),
    st.sampled_from([X, X, X, Y, ""]), st.sampled_from([2, 2, 0, 1, 3]), st.sampled_from([60, 60, 60, 1, 0, -1]),
)  # fmt: skip
keys = st.builds(Channel, nodes, st.sampled_from(["c.1", "c.1", "c.2", *OWN_CHANNELS.values()]))


def on_ground(case: Case, **changes: Any) -> Case:
    return replace(case, ground=replace(case.ground, **changes))


def comes(case: Case, other: Party) -> Case:
    first, *more = case.ground.talks
    return on_ground(case, talks=(replace(first, others=(*first.others, other)), *more))


def goes(case: Case, place: int) -> Case:
    first, *more = case.ground.talks
    return on_ground(case, talks=(replace(first, others=(*first.others[:place], *first.others[place + 1 :])), *more))


def holds(case: Case, place: int) -> Case:
    talks = list(case.ground.talks)
    one = talks[place % len(talks)]
    talks[place % len(talks)] = replace(one, own=replace(one.own, held=not one.own.held))
    return on_ground(case, talks=tuple(talks))


def second(case: Case, others: list[Party], own: str, held: bool, node: str) -> Case:
    made = talk(*others, own=own, channel=OWN_CHANNELS[own], held=held, node=node)
    return on_ground(case, talks=(*case.ground.talks, made))


def bears(case: Case, key: Channel, of: tuple[str, int, int], node: bool, channel: bool) -> Case:
    """A mark as it stands at this key: not bound to it where that is said."""
    subject, level, expires = of
    made = Mark("node-c" if node else key.node, "c.7" if channel else key.id, subject, level, (), "usual", expires, "n")
    return on_ground(case, marks={**case.ground.marks, key: made})


def changing(change: Callable[..., Case], *given: st.SearchStrategy[Any]) -> st.SearchStrategy[Changed]:
    return st.tuples(*given).map(lambda found: lambda case: change(case, *found))


changes = st.one_of(
    changing(comes, parties),
    changing(goes, st.integers(0, 1)),
    changing(holds, st.integers(0, 1)),
    changing(
        second, st.lists(parties, max_size=2), st.sampled_from(["PJSIP/anna", "PJSIP/anna-soft", "PJSIP/bo"]), st.booleans(), nodes
    ),
    changing(bears, keys, terms, seldom, seldom),
    changing(
        lambda case, who: on_ground(case, person=who),
        st.sampled_from(
            [
                replace(ANNA, disabled=True),
                replace(ANNA, denied=frozenset({Permission.CALL})),
                replace(ANNA, endpoints=frozenset({"PJSIP/anna-soft"})),
                replace(ANNA, endpoints=ANNA.endpoints | {"PJSIP/bo"}),
            ]
        ),
    ),
    changing(
        lambda case, one: on_ground(case, owners={name: who for name, who in case.ground.owners.items() if name != one}),
        st.sampled_from(sorted(OWNERS)),
    ),
    changing(
        lambda case, ref, level: replace(case, ref=ref, level=level), st.sampled_from([X, X, Y, ""]), st.integers(0, 3)
    ),
)  # fmt: skip


@st.composite
def cases(draw: st.DrawFn) -> Case:
    case = START
    for change in draw(st.lists(changes, max_size=4)):
        case = change(case)
    return case


@settings(max_examples=2000, deadline=None)
@given(cases())
@example(START)
def test_any_case(case: Case) -> None:
    found = judge(case.ground, case.ref, case.level)
    event(type(found).__name__)
    assert isinstance(found, Granted) is oracle(case)
    if isinstance(found, Granted):
        borne = case.ground.marks[found.call]
        assert (borne.level, borne.expires) == (found.level, found.until)


@settings(max_examples=500, deadline=None)
@given(cases(), nodes)
def test_whoever_comes_to_a_talk_opens_nothing(case: Case, node: str) -> None:
    """Somebody without a mark who joins one of the talks, or a further talk with such a one, never opens what was shut."""
    if isinstance(judge(case.ground, case.ref, case.level), Granted):
        return
    joined = tuple(replace(one, others=(*one.others, STRANGER)) for one in case.ground.talks)
    for later in (joined, (*case.ground.talks, talk(STRANGER, channel="own.9", node=node))):
        assert isinstance(judge(replace(case.ground, talks=later), case.ref, case.level), Denied)


@settings(max_examples=500, deadline=None)
@given(cases())
def test_nothing_is_open_to_two_customers_or_after_the_end(case: Case) -> None:
    if isinstance(found := judge(case.ground, case.ref, case.level), Granted):
        for other in {X, Y, ""} - {case.ref}:
            assert judge(case.ground, other, case.level) == Denied(Reason.OTHER_CUSTOMER)
        assert judge(replace(case.ground, now=float(found.until)), case.ref, case.level) == Denied(Reason.EXPIRED)
        assert judge(case.ground, case.ref, found.level + 1) == Denied(Reason.LEVEL, found.level + 1)
        assert judge(replace(case.ground, marks={}), case.ref, case.level) == Denied(Reason.NOT_VERIFIED)
