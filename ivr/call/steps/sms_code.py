"""`sms_code`: random digits by text message to the number on record, keyed back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from ivr.call.digits import Asked, Form
from ivr.call.keypad import GaveUp
from ivr.call.outcome import Factor, Failed, Locked, Outcome, Passed, Reason
from ivr.call.ports import Aloud, Challenge, CodeRules, Right, Spent, Wrong
from ivr.call.steps import Round, Tools
from ivr.call.steps.texting import Texting
from ivr.prompts import Prompt, text
from ivr.secret import Secret

# `**` and expired codes are no guesses, so they need a bound of their own: nobody asks for ever.
_ENTRIES = 12


class SmsCodeStep:
    """Something the caller has.

    A subject that is not known, or has no number on record, hears and waits the same; no text goes out.
    """

    name: ClassVar[str] = "sms_code"
    factor: ClassVar[Factor] = Factor.POSSESSION

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        settings, keypad = tools.settings.steps.sms_code, tools.settings.keypad
        # the same words to all, whichever of the two becomes of it
        self._coming = Prompt.CODE_COMING if tools.settings.texts.voice.wanted else Prompt.TEXT_COMING
        # A text takes a while to come, and the caller a while to find it: three times the usual patience.
        first = 3.0 * keypad.first_seconds
        self._form = Form(settings.digits, settings.digits, first, keypad.between_seconds, command=True)
        self._rules = CodeRules(
            life=settings.life_minutes * 60,
            tries=settings.tries,
            resend=settings.resend_seconds,
            sends=settings.sends,
            sends_per_hour=settings.sends_per_hour,
        )

    async def run(self, round: Round) -> Outcome:
        rules = replace(
            self._rules, tries=round.tries or self._rules.tries, life=round.code_seconds or self._rules.life
        )
        texting = _Codes(self._tools, rules, round, digits=self._form.most)
        try:
            return await self._run(texting, rules, round)
        finally:
            await texting.close()

    async def _run(self, texting: _Codes, rules: CodeRules, round: Round) -> Outcome:
        if round.held.now.tried >= rules.tries:
            return Failed(self.name, Reason.WRONG)
        prompts: Sequence[Prompt] = (Prompt.ASK_CODE,)
        if not round.held.now.challenge:
            if not await texting.first():
                return Failed(self.name, Reason.TOO_MANY_TEXTS)
            prompts = (self._coming, Prompt.ASK_CODE)
        for _ in range(_ENTRIES):
            entry = await round.keypad.ask(self.name, prompts, self._form)
            if isinstance(entry, GaveUp):
                return Failed(self.name, Reason.NO_ENTRY)
            if isinstance(entry, Asked):
                prompts = (*await texting.another(), Prompt.ASK_CODE)
                continue
            passed = round.held.now.passing(self.name)
            tried = await self._tools.live.try_challenge(texting.challenge(entry.digits), round.attempt, rules, passed)
            match tried:
                case Locked():
                    return tried
                case Right():
                    round.held.now = passed
                    return Passed(self.name, self.factor)
                case Wrong(left=0):
                    round.log.info("step.wrong", step=self.name)
                    await round.went_wrong()
                    return Failed(self.name, Reason.WRONG)
                case Wrong():
                    round.log.info("step.wrong", step=self.name)
                    await round.went_wrong()
                    prompts = (Prompt.WRONG, Prompt.ASK_CODE)
                case Spent():
                    prompts = (Prompt.CODE_EXPIRED, Prompt.ASK_CODE)
        return Failed(self.name, Reason.EXPIRED)


class _Codes(Texting):
    """Each brings a code, which takes the place of the one before."""

    def __init__(self, tools: Tools, rules: CodeRules, round: Round, *, digits: int) -> None:
        super().__init__(tools, rules, round)
        self._digits = digits

    def new(self, *, known: bool) -> Secret:
        # that of who gets none is none that can be keyed
        return Secret.random_digits(self._digits) if known else Secret.random_token()

    def challenge(self, brought: Secret) -> Challenge:
        return self.bound(brought)

    def written(self, brought: Secret, language: str) -> Secret:
        words = text(self.named("sms_code"), language, company=self.tools.settings.company.name)
        return brought.within(words, "{code}")

    def aloud(self, brought: Secret) -> Aloud | None:
        # as this Asterisk speaks to the caller
        return Aloud(brought, self.round.keypad.language)
