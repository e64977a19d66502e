"""`pin`: the PIN on record, keyed."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from ivr.call.digits import Form
from ivr.call.outcome import Factor, Outcome
from ivr.call.ports import Subject
from ivr.call.steps import Round, Tools
from ivr.call.steps.keyed import keyed
from ivr.prompts import Prompt
from ivr.secret import Secret


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
        tries = round.tries or self._tries
        right = partial(self._matches, round.subject)
        return await keyed(self, round, self._live, ask=Prompt.ASK_PIN, form=self._form, tries=tries, right=right)

    async def _matches(self, subject: Subject, pin: Secret) -> bool:
        return await self._pins.matches(pin, subject.pin)
