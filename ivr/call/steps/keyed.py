"""What steps share that ask for something which the caller knows, or can read: key it, count the try, compare."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from ivr.call.digits import Asked, Entered, Form
from ivr.call.outcome import Failed, Locked, Outcome, Passed, Reason
from ivr.call.ports import Live
from ivr.call.steps import Round, Step
from ivr.errors import OtherCustomer
from ivr.prompts import Prompt
from ivr.secret import Secret


async def keyed(
    step: Step,
    round: Round,
    live: Live,
    *,
    ask: Prompt,
    form: Form,
    tries: int,
    right: Callable[[Secret], Awaitable[bool]],
) -> Outcome:
    """Ask until what was keyed is `right`, or the tries are used up. A try is counted before it is evaluated.

    Raises `OtherCustomer` where the round lets the caller say so, and what the keypad, the counts and `right` raise.
    """
    prompts: tuple[Prompt, ...] = (ask,)
    first = replace(form, command=round.other_customer)
    offer: tuple[Prompt, ...] = (Prompt.OTHER_CUSTOMER,) if round.other_customer else ()
    for _ in range(round.held.now.tried, tries):
        entry = await round.keypad.ask(step.name, prompts, first, offer=offer)
        if isinstance(entry, Asked):
            raise OtherCustomer
        if not isinstance(entry, Entered):
            return Failed(step.name, Reason.NO_ENTRY)
        granted = await live.attempt(round.attempt, round.held.now.trying())
        if isinstance(granted, Locked):
            return granted
        if await right(entry.digits):
            round.held.now = round.held.now.passing(step.name)
            await live.give_back(round.attempt, round.held.now)
            return Passed(step.name, step.factor)
        round.log.info("step.wrong", step=step.name)
        await round.went_wrong()
        # who has tried has said who it is: with another number the tries would begin anew
        prompts, first, offer = (Prompt.WRONG, ask), form, ()
    return Failed(step.name, Reason.WRONG)
