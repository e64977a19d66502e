"""`pin`: the PIN on record, keyed."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from ivr.call.digits import Asked, Entered, Form
from ivr.call.outcome import Factor, Failed, Locked, Outcome, Passed, Reason
from ivr.call.steps import Round, Tools
from ivr.errors import OtherCustomer
from ivr.prompts import Prompt


class PinStep:
    """Something the caller knows."""

    name: ClassVar[str] = "pin"
    factor: ClassVar[Factor] = Factor.KNOWLEDGE

    def __init__(self, tools: Tools) -> None:
        self._live = tools.live
        self._pins = tools.pins
        settings, keypad = tools.settings.steps.pin, tools.settings.keypad
        self._tries = settings.tries
        self._form = Form(settings.least, settings.most, keypad.first_seconds, keypad.between_seconds)

    async def run(self, round: Round) -> Outcome:
        prompts: tuple[Prompt, ...] = (Prompt.ASK_PIN,)
        form = replace(self._form, command=round.other_customer)
        offer: tuple[Prompt, ...] = (Prompt.OTHER_CUSTOMER,) if round.other_customer else ()
        for _ in range(round.held.now.tried, round.tries or self._tries):
            entry = await round.keypad.ask(self.name, prompts, form, offer=offer)
            if isinstance(entry, Asked):
                raise OtherCustomer
            if not isinstance(entry, Entered):
                return Failed(self.name, Reason.NO_ENTRY)
            granted = await self._live.attempt(round.attempt, round.held.now.trying())
            if isinstance(granted, Locked):
                return granted
            if await self._pins.matches(entry.digits, round.subject.pin):
                round.held.now = round.held.now.passing(self.name)
                await self._live.give_back(round.attempt, round.held.now)
                return Passed(self.name, self.factor)
            round.log.info("step.wrong", step=self.name)
            await round.went_wrong()
            # who has tried has said who it is: with another number the tries would begin anew
            prompts, form, offer = (Prompt.WRONG, Prompt.ASK_PIN), self._form, ()
        return Failed(self.name, Reason.WRONG)
