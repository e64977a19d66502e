"""`totp`: the six digits that the customer's authenticator app shows now, keyed."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from ivr.call.digits import Form
from ivr.call.outcome import Factor, Outcome
from ivr.call.steps import Round, Tools
from ivr.call.steps.keyed import keyed
from ivr.prompts import Prompt

# what every app shows
_DIGITS = 6


class TotpStep:
    """Something the caller has. Nothing is sent, so it works where no text arrives.

    A subject that is not known, or has no app, hears and waits the same. A code works once, in whatever call.
    """

    name: ClassVar[str] = "totp"
    factor: ClassVar[Factor] = Factor.POSSESSION

    def __init__(self, tools: Tools) -> None:
        self._live = tools.live
        self._totps = tools.totps
        keypad = tools.settings.keypad
        self._tries = tools.settings.steps.totp.tries
        # The app is to be found and opened first: three times the usual patience.
        self._form = Form(_DIGITS, _DIGITS, 3.0 * keypad.first_seconds, keypad.between_seconds)

    async def run(self, round: Round) -> Outcome:
        tries = round.tries or self._tries
        right = partial(self._totps.accepts, round.subject)
        return await keyed(self, round, self._live, ask=Prompt.ASK_TOTP, form=self._form, tries=tries, right=right)
