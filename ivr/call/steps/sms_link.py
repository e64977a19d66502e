"""`sms_link`: a link by text message to the number on record; on its page the person keys the digits that are spoken into this call."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import ClassVar

from ivr.call.outcome import Factor, Failed, Locked, Outcome, Passed, Reason
from ivr.call.ports import Answer, Asking, Challenge, CodeRules, Key, NotMe, Right, Spent, Wrong
from ivr.call.steps import Round, Tools
from ivr.call.steps.texting import Texting
from ivr.errors import TakenUp, Unavailable
from ivr.prompts import Prompt, digits, text
from ivr.secret import Secret

_STAR = Secret("*")
# NIST SP 800-63B-4 3.1.3.2: six at least; more are not kept in mind
_DIGITS = 6
# 128 bits, in 22 letters: more than can be tried
_LINK_BYTES = 16
# A person who opens a text has the telephone away from the ear meanwhile: the digits are said again so often.
_AGAIN_SECONDS = 20.0
_SECOND_STAR = 2.0
# Seconds between two looks at what came from the page: no person notices, and a thousand such calls are no load.
_LOOK_SECONDS = 0.5
# The page takes a few more than are compared, for people press twice.
_MORE_ANSWERS = 5


class SmsLinkStep:
    """Something the caller has: the telephone that the text goes to. Nothing is read from it into the call, so nothing can be coaxed out of anybody.

    A subject that is not known, or has no number on record, hears and waits the same; no text goes out.
    """

    name: ClassVar[str] = "sms_link"
    factor: ClassVar[Factor] = Factor.POSSESSION

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        settings = tools.settings.steps.sms_link
        self._rules = CodeRules(
            life=settings.life_minutes * 60,
            tries=settings.tries,
            resend=settings.resend_seconds,
            sends=settings.sends,
            sends_per_hour=settings.sends_per_hour,
            bar=settings.bar_minutes * 60,
        )

    async def run(self, round: Round) -> Outcome:
        rules = replace(
            self._rules, tries=round.tries or self._rules.tries, life=round.code_seconds or self._rules.life
        )
        links = _Links(self._tools, rules, round)
        ours = True
        try:
            return await self._run(links, rules, round)
        except (TakenUp, asyncio.CancelledError):
            # another worker goes on with the same link
            ours = False
            raise
        finally:
            await links.close()
            if ours:
                # it expires by itself
                with suppress(Unavailable):
                    await self._tools.proofs.withdraw(links.id)

    async def _run(self, links: _Links, rules: CodeRules, round: Round) -> Outcome:
        if round.held.now.tried >= rules.tries:
            return Failed(self.name, Reason.WRONG)
        before: Sequence[Prompt] = (Prompt.OPEN_LINK,)
        if not round.held.now.challenge:
            if not await links.first():
                return Failed(self.name, Reason.TOO_MANY_TEXTS)
            before = (Prompt.TEXT_COMING, Prompt.OPEN_LINK)
        until = self._tools.clock() + rules.life
        starred = False
        while (left := until - self._tools.clock()) > 0:
            said = () if starred else (*before, Prompt.PROVE_DIGITS, *links.spoken())
            seconds = min(left, _SECOND_STAR if starred else _AGAIN_SECONDS)
            look = partial(self._tools.proofs.heard, links.id)
            heard = await round.keypad.hold(self.name, said, seconds=seconds, look=look, every=_LOOK_SECONDS)
            before = ()
            match heard:
                case NotMe():
                    round.log.warning("step.denied", step=self.name)
                    with suppress(Unavailable):
                        # the denial holds all the same
                        await self._tools.live.bar(round.subject.key, rules.bar)
                    try:
                        await round.denied()
                    except Unavailable as error:
                        round.log.error("step.untold", step=self.name, error=str(error))
                    return Failed(self.name, Reason.DENIED)
                case Answer():
                    outcome = await self._compared(links.answered(heard), rules, round)
                    if outcome is not None:
                        return outcome
                    before = (Prompt.WRONG,)
                case Key(digit) if digit == _STAR:
                    if starred:
                        before = await links.another()
                    starred = not starred
                    continue
            starred = False
        return Failed(self.name, Reason.EXPIRED if round.held.now.tried else Reason.NO_ENTRY)

    async def _compared(self, answered: Challenge, rules: CodeRules, round: Round) -> Outcome | None:
        """What comes of an answer; None: it was wrong, and another may be given."""
        passed = round.held.now.passing(self.name)
        tried = await self._tools.live.try_challenge(answered, round.attempt, rules, passed)
        match tried:
            case Locked():
                return tried
            case Right():
                round.held.now = passed
                return Passed(self.name, self.factor)
            case Spent():
                return Failed(self.name, Reason.EXPIRED)
            case Wrong(left):
                round.log.info("step.wrong", step=self.name)
                await round.went_wrong()
                return None if left else Failed(self.name, Reason.WRONG)


class _Links(Texting):
    """Each brings a link, which takes the place of the one before; the digits are those of the run.

    They follow from what the challenge is bound to, by a key that the page has not: another worker says the same ones, and
    they stand nowhere. Compared is what was keyed together with the link behind which it was: whoever has broken into the
    page, and hears the digits in a call of their own, has no link that was not opened there.
    """

    def new(self, *, known: bool) -> Secret:
        del known  # nobody keys a link
        return Secret(secrets.token_urlsafe(_LINK_BYTES))

    def challenge(self, brought: Secret) -> Challenge:
        return self.answered(Answer(brought, Secret(f"{self._number():0{_DIGITS}}")))

    def answered(self, answer: Answer) -> Challenge:
        """The challenge as this answer has it."""
        link = self.tools.codes.mac(answer.link, bound_to=("link", self.id))
        return self.bound(answer.digits, link)

    def spoken(self) -> Sequence[Prompt]:
        """The digits, for the caller's ear."""
        return digits(f"{self._number():0{_DIGITS}}")

    async def ready(self, brought: Secret, language: str) -> None:
        asking = Asking(
            self.tools.settings.company.name, self.round.number, language, called=not self.round.caller_began
        )
        answers = self.rules.tries + _MORE_ANSWERS
        await self.tools.proofs.ask(self.id, brought, asking, seconds=self.rules.life, answers=answers)

    def written(self, brought: Secret, language: str) -> Secret:
        company, url = self.tools.settings.company.name, self.tools.settings.page.url
        return brought.within(text(self.named("sms_link"), language, company=company, link=f"{url}/c/{{end}}"), "{end}")

    def _number(self) -> int:
        # 256 bits: that some of a million are a little likelier is nothing
        return int(self.bound(Secret("digits")).mac, 16) % 1_000_000
