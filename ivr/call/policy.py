"""What a caller must do, and what it gives. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ivr.call.outcome import Factor, Failed, Locked, Outcome, Passed, Reason, Refused, Scope, Status, Verdict, Verified
from ivr.call.ports import Subject
from ivr.call.steps import Step, all_steps
from ivr.call.steps.eid import provider
from ivr.call.steps.sms_link import SmsLinkStep
from ivr.config import Settings
from ivr.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy of the settings, checked: its steps exist, and can give the level.

    `tries` and `code_seconds` are None where the steps' own settings hold. `tenant`: whose customers are verified.
    """

    name: str
    tenant: str
    steps: tuple[type[Step], ...]
    level: int
    tries: int | None
    code_seconds: int | None
    mark_seconds: int
    queue_priority: int | None
    hand_over: Literal["continue", "bridge"]
    agents: tuple[str, ...]
    ring: Literal["in_turn", "all"]
    ring_seconds: int


def policies(settings: Settings) -> dict[str, Policy]:
    """All policies of the settings; raises `ConfigError` for a step or a level that cannot be."""
    return {name: _policy(settings, name) for name in settings.policies}


def _policy(settings: Settings, name: str) -> Policy:
    written = settings.policies[name]
    known = all_steps()
    unknown = [step for step in written.steps if step not in known]
    if unknown:
        raise ConfigError(
            f"{settings.file}: [policies.{name}] steps",
            f"there is no step {unknown[0]!r}",
            f"Name one or more of: {', '.join(sorted(known))}",
        )
    if SmsLinkStep.name in written.steps and settings.page.url is None:
        raise ConfigError(
            f"{settings.file}: [policies.{name}] steps",
            "sms_link needs the public page, and there is none",
            "Fill in [page] url, and run it: docs/page.md; or take the step out",
        )
    steps = tuple(known[step] for step in written.steps)
    for step in steps:
        if step.factor is Factor.EID:
            provider(settings, step.name, f"[policies.{name}] steps")
    reached = level_of({step.factor for step in steps})
    if written.level > reached:
        raise ConfigError(
            f"{settings.file}: [policies.{name}] level",
            f"is {written.level}, but its steps reach {reached}",
            f"Write {reached}, or add a step of another kind (2 is two of: knowledge, possession; 3 is eID)",
        )
    return Policy(
        name=name,
        tenant=written.tenant,
        steps=steps,
        level=written.level,
        tries=written.tries,
        code_seconds=None if written.code_minutes is None else written.code_minutes * 60,
        mark_seconds=written.mark_minutes * 60,
        queue_priority=written.queue_priority,
        hand_over=written.hand_over,
        agents=written.agents,
        ring=written.ring,
        ring_seconds=written.ring_seconds,
    )


def level_of(factors: set[object]) -> int:
    """The highest level that these kinds of factors can give: two of different kinds are 2, and 3 is an electronic identity's alone."""
    return 3 if Factor.EID in factors else min(len(factors), 2)


def stronger(asked: Policy, own: Policy | None) -> Policy:
    """The dialplan's policy, with what the customer's own asks for on top, where that has all its steps and no lower level.

    The dialplan's steps come first, in its order, with its tries and life of codes: until they are passed, nobody can
    hear that the customer has a policy of its own, nor that there is such a customer. Where the call goes then is for
    the dialplan's policy to say, whoever calls.
    """
    if own is None or own.level < asked.level or not set(asked.steps) <= set(own.steps):
        return asked
    return replace(
        asked,
        name=own.name,
        steps=asked.steps + tuple(step for step in own.steps if step not in asked.steps),
        level=own.level,
        mark_seconds=min(own.mark_seconds, asked.mark_seconds),
    )


def decide(policy: Policy, subject: Subject, outcomes: Sequence[Outcome]) -> Verdict:
    """Verified where every step of the policy, in its order, was passed by a subject that is known."""
    for outcome in outcomes:
        match outcome:
            case Locked(scope=Scope.CALL):
                # the next call may try again: for the caller that is a refusal, not a lock
                return Refused(policy.name, Status.REFUSED)
            case Locked():
                return Refused(policy.name, Status.LOCKED, outcome)
            case Failed(reason=Reason.NO_ENTRY):
                return Refused(policy.name, Status.TIMEOUT)
            case Failed():
                return Refused(policy.name, Status.REFUSED)
            case Passed():
                pass
    passed = tuple(outcome.step for outcome in outcomes if isinstance(outcome, Passed))
    if not subject.known or not policy.steps or passed != tuple(step.name for step in policy.steps):
        return Refused(policy.name, Status.REFUSED)
    return Verified(policy.name, subject.ref, policy.level, passed, policy.mark_seconds)
