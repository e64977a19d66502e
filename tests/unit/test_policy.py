"""What a caller must do, and what it gives: for every policy, every order of outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import settings as rules
from hypothesis import strategies as st

from ivr.call.outcome import Factor, Failed, Locked, Outcome, Passed, Reason, Refused, Scope, Status, Verified
from ivr.call.policy import Policy, decide, level_of, policies, stronger
from ivr.call.ports import Subject
from ivr.call.steps import all_steps
from ivr.config import load
from ivr.errors import ConfigError
from tests.unit.fakes import settings

STEPS = all_steps()
PROVIDERS = {
    "bankid": {"certificate_file": "a", "key_file": "b", "ca_file": "c"},
    "freja": {"certificate_file": "a", "key_file": "b", "signing_certificate_file": "c"},
    "brokers": {
        "example": {"issuer": "https://eid.example", "client_id": "t", "client_secret_file": "s", "acr": {"h": 3}}
    },
}
ANNA = Subject(key="anna", known=True, ref="ref-anna")
NOBODY = Subject(key="nobody", known=False)


def policy(*steps: str, level: int = 1, name: str = "p") -> Policy:
    """One with these steps, in which everything else is as usual."""
    return replace(policies(settings())["pin"], name=name, steps=tuple(STEPS[step] for step in steps), level=level)


def passed(*steps: str) -> list[Outcome]:
    return [Passed(step, STEPS[step].factor) for step in steps]


# ---------------------------------------------------------------- decide, by example


def test_all_steps_passed_in_order() -> None:
    verdict = decide(policy("pin", "sms_code", level=2), ANNA, passed("pin", "sms_code"))
    assert verdict == Verified("p", "ref-anna", 2, ("pin", "sms_code"), 1800)


@pytest.mark.parametrize(
    "steps", [["pin"], ["sms_code"], ["sms_code", "pin"], ["pin", "pin"], ["pin", "sms_code", "pin"], []]
)
def test_any_other_steps_are_not_enough(steps: list[str]) -> None:
    assert decide(policy("pin", "sms_code", level=2), ANNA, passed(*steps)) == Refused("p", Status.REFUSED)


def test_a_policy_without_steps_verifies_nobody() -> None:
    assert decide(policy(), ANNA, []) == Refused("p", Status.REFUSED)


def test_nobody_is_verified_whom_nobody_knows() -> None:
    assert decide(policy("pin"), NOBODY, passed("pin")) == Refused("p", Status.REFUSED)


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Failed("pin", Reason.WRONG), Status.REFUSED),
        (Failed("pin", Reason.EXPIRED), Status.REFUSED),
        (Failed("pin", Reason.TOO_MANY_TEXTS), Status.REFUSED),
        (Failed("pin", Reason.NO_ENTRY), Status.TIMEOUT),
        (Locked(Scope.CALL, None), Status.REFUSED),
        (Locked(Scope.CUSTOMER, 60), Status.LOCKED),
        (Locked(Scope.CUSTOMER, None), Status.LOCKED),
        (Locked(Scope.NUMBER, 60), Status.LOCKED),
        (Locked(Scope.ALL, 60), Status.LOCKED),
    ],
)
@pytest.mark.parametrize("before", [[], ["pin"]])
def test_how_each_outcome_ends_a_verification(before: list[str], outcome: Outcome, status: Status) -> None:
    verdict = decide(policy("pin", "sms_code"), ANNA, [*passed(*before), outcome])
    lock = outcome if isinstance(outcome, Locked) and status is Status.LOCKED else None
    assert verdict == Refused("p", status, lock)


# ---------------------------------------------------------------- decide, for all

names = st.sampled_from(sorted(STEPS))
outcomes = st.one_of(
    st.builds(lambda name: Passed(name, STEPS[name].factor), names),
    st.builds(Failed, names, st.sampled_from(Reason)),
    st.builds(Locked, st.sampled_from(Scope), st.none() | st.integers(1, 86400)),
)
step_lists = st.lists(names, max_size=3)
subjects = st.sampled_from([ANNA, NOBODY])


@rules(deadline=None)
@given(step_lists, subjects, st.lists(outcomes, max_size=4))
def test_verified_means_known_and_exactly_all_steps_passed_in_order(
    steps: list[str], subject: Subject, ended: Sequence[Outcome]
) -> None:
    verdict = decide(policy(*steps), subject, ended)
    earned = subject.known and steps != [] and list(ended) == passed(*steps)
    assert isinstance(verdict, Verified) == earned
    assert verdict.policy == "p"


@rules(deadline=None)
@given(step_lists, subjects, st.lists(outcomes, max_size=4))
def test_a_lock_is_told_exactly_where_the_status_says_so(
    steps: list[str], subject: Subject, ended: Sequence[Outcome]
) -> None:
    verdict = decide(policy(*steps), subject, ended)
    if isinstance(verdict, Refused):
        assert (verdict.lock is not None) == (verdict.status is Status.LOCKED)
        assert verdict.status in (Status.REFUSED, Status.LOCKED, Status.TIMEOUT)
        assert verdict.lock is None or verdict.lock in ended


@rules(deadline=None)
@given(step_lists, st.lists(outcomes, max_size=4))
def test_knowing_the_caller_changes_nothing_of_a_failure(steps: list[str], ended: Sequence[Outcome]) -> None:
    known = decide(policy(*steps), ANNA, ended)
    assume(isinstance(known, Refused))
    assert decide(policy(*steps), NOBODY, ended) == known


@rules(deadline=None)
@given(st.permutations(sorted(STEPS)), st.integers(1, 2), st.integers(1, 3), st.lists(outcomes, max_size=3))
def test_no_verdict_is_of_a_higher_level_than_its_factors_give(
    order: list[str], count: int, level: int, ended: Sequence[Outcome]
) -> None:
    steps = order[:count]
    reached = level_of({STEPS[step].factor for step in steps})
    try:
        checked = policies(settings(eid=PROVIDERS, policies={"p": {"steps": steps, "level": level}}))["p"]
    except ConfigError:
        assert level > reached
        return
    assert level <= reached
    for tried in (ended, passed(*steps)):
        verdict = decide(checked, ANNA, tried)
        if isinstance(verdict, Verified):
            assert verdict.level == level
            assert verdict.level <= 2 or {"bankid", "freja", "ciba"} & set(verdict.methods)


def test_two_steps_of_one_kind_are_one_factor() -> None:
    assert level_of(set()) == 0
    assert level_of({Factor.KNOWLEDGE}) == 1
    assert level_of({Factor.KNOWLEDGE, Factor.POSSESSION}) == 2
    assert level_of({Factor.KNOWLEDGE, Factor.POSSESSION, "inherence"}) == 2, "three kinds are not eID"
    assert level_of({Factor.EID}) == level_of({*Factor}) == 3


# ---------------------------------------------------------------- stronger

levels = st.integers(1, 3)


ways = st.sampled_from([("pin",), ("sms_code",), ("pin", "sms_code"), ("sms_code", "pin")])


@rules(deadline=None)
@given(levels, st.none() | levels, ways, ways)
def test_the_stronger_policy_is_never_weaker_than_what_was_asked_for(
    asked: int, own: int | None, asks: tuple[str, ...], owns: tuple[str, ...]
) -> None:
    wanted = policy(*asks, level=asked, name="asked")
    customers = None if own is None else replace(policy(*owns, level=own, name="own"), mark_seconds=3600)
    chosen = stronger(wanted, customers)
    assert chosen.level >= asked
    assert {step.name for step in chosen.steps} >= set(asks)
    assert chosen.mark_seconds <= wanted.mark_seconds
    counts = own is not None and own >= asked and set(owns) >= set(asks)
    assert chosen.name == ("own" if counts else "asked"), "the customer's own counts where it may"
    assert {step.name for step in chosen.steps} == set(owns if counts else asks)


@rules(deadline=None)
@given(levels, ways, ways, st.none() | st.integers(1, 5), st.none() | st.integers(1, 5))
def test_a_customers_own_policy_begins_as_the_dialplans_does(
    own: int, asks: tuple[str, ...], owns: tuple[str, ...], tries: int | None, own_tries: int | None
) -> None:
    wanted = replace(policy(*asks, name="asked"), tries=tries, code_seconds=tries)
    chosen = stronger(wanted, replace(policy(*owns, level=own, name="own"), tries=own_tries, code_seconds=own_tries))
    assert chosen.steps[: len(asks)] == wanted.steps
    assert (chosen.tries, chosen.code_seconds) == (wanted.tries, wanted.code_seconds)


def test_what_a_customers_own_policy_has_more_comes_behind_in_its_own_order() -> None:
    first, second, third = STEPS["pin"], STEPS["sms_code"], type("Third", (STEPS["pin"],), {"name": "third"})
    asked = replace(policy(name="asked"), steps=(second,))
    own = replace(policy(name="own"), steps=(third, second, first))
    assert stronger(asked, own).steps == (second, third, first)


def test_where_a_call_goes_is_for_the_dialplans_policy_to_say() -> None:
    asked = replace(policy("pin", name="asked"), hand_over="bridge", agents=("PJSIP/anna",), ring="all", ring_seconds=7)
    asked = replace(asked, queue_priority=3)
    own = replace(policy("pin", "sms_code", level=2, name="own"), mark_seconds=60, queue_priority=9)
    goes = {"hand_over": "bridge", "agents": ("PJSIP/anna",), "ring": "all", "ring_seconds": 7, "queue_priority": 3}
    assert stronger(asked, own) == replace(own, **goes)


# ---------------------------------------------------------------- from the settings


def test_the_settings_policies_with_their_steps() -> None:
    made = policies(
        settings(policies={
            "b": {
                "steps": ["sms_code", "pin"], "level": 2, "tries": 2, "code_minutes": 3, "mark_minutes": 5, "queue_priority": 4,
                "hand_over": "bridge", "agents": ["PJSIP/anna"], "ring": "all", "ring_seconds": 7,
            },
        })
    )  # fmt: skip
    b = made["b"]
    assert (b.steps, b.level, b.mark_seconds) == ((STEPS["sms_code"], STEPS["pin"]), 2, 300)
    assert (b.tries, b.code_seconds) == (2, 180)
    assert (b.hand_over, b.agents, b.ring, b.ring_seconds) == ("bridge", ("PJSIP/anna",), "all", 7)
    assert (b.queue_priority, made["main"].queue_priority) == (4, None)
    assert (made["main"].tries, made["main"].code_seconds) == (None, None)
    assert {name for name, policy in made.items() if policy.name == name} == {
        "main",
        "pin",
        "sms",
        "totp",
        "link",
        "bridge",
        "b",
    }


def test_a_level_below_what_the_steps_reach_may_be_written() -> None:
    assert policies(settings(policies={"low": {"steps": ["pin", "sms_code"], "level": 1}}))["low"].level == 1


def refusal(folder: Path, lines: str) -> ConfigError:
    file = folder / "tillit.toml"
    file.write_text(f'[company]\nname = "Acme"\ncountry = "SE"\n{lines}\n')
    with pytest.raises(ConfigError) as caught:
        policies(load(file))
    return caught.value


@pytest.mark.parametrize(
    ("lines", "place", "problem", "cure"),
    [
        ('[policies.main]\nsteps = ["pin", "palm"]\nlevel = 1', "[policies.main] steps", "there is no step 'palm'", "pin, sms_code"),
        ('[policies.main]\nsteps = ["pin"]\nlevel = 2', "[policies.main] level", "is 2, but its steps reach 1", "Write 1"),
        ('[policies.main]\nsteps = ["pin", "sms_code"]\nlevel = 3', "[policies.main] level", "reach 2", "Write 2"),
        ('[policies.main]\nsteps = []\nlevel = 1', "[policies.main] steps", "is empty", "The steps in their order"),
        ("[policies.main]\nlevel = 1", "[policies.main] steps", "is missing", "The steps in their order"),
        ('[policies.main]\nsteps = ["pin"]\nlevel = 0', "[policies.main] level", "1", "The level it gives"),
        ('[policies.main]\nsteps = ["pin", "pin"]\nlevel = 1', "[policies.main] steps", "a step is named twice", "Name each once"),
        ('[policies.main]\nsteps = ["pin"]\nlevel = 1\nhand_over = "bridge"', "[policies.main]", "agents names nobody", "Name endpoints"),
        ('[policies.main]\nsteps = ["pin"]\nlevel = 1\nagents = ["anna"]', "[policies.main] agents", "not of the right form", "PJSIP/anna"),
        ('[policies.main]\nsteps = ["pin"]\nlevel = 1\nrings = 3', "[policies.main] rings", "no such setting", "Did you mean ring?"),
        ("", "[policies]", "is missing", "[policies.NAME]"),
        ("[policies]", "[policies]", "is empty", "[policies.NAME]"),
    ],
)  # fmt: skip
def test_a_policy_that_cannot_be_is_refused_with_file_field_and_cure(
    tmp_path: Path, lines: str, place: str, problem: str, cure: str
) -> None:
    error = refusal(tmp_path, lines)
    assert error.place == f"{tmp_path / 'tillit.toml'}: {place}"
    assert problem in error.problem
    assert error.cure and cure in error.cure
    assert str(error) == f"{error.place}: {error.problem}. {error.cure}"
