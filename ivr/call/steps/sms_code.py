"""`sms_code`: random digits by text message to the number on record, keyed back."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from typing import ClassVar

from ivr.call.digits import Asked, Form
from ivr.call.keypad import GaveUp
from ivr.call.outcome import Budget, Factor, Failed, Locked, Outcome, Passed, Reason
from ivr.call.ports import (
    Challenge,
    Closed,
    CodeRules,
    Dispatch,
    Entry,
    Handed,
    Opened,
    Right,
    Spent,
    TooMany,
    TooSoon,
    Wrong,
)
from ivr.call.steps import Round, Tools
from ivr.errors import TextError, Unavailable
from ivr.numbers import Range
from ivr.prompts import Prompt, text, wait
from ivr.secret import Personal, Secret

# `**` and expired codes are no guesses, so they need a bound of their own: nobody asks for ever.
_ENTRIES = 12
# Of a range that Ofcom keeps for films and plays.
_NOBODYS = Personal("+447700900123")


class SmsCodeStep:
    """Something the caller has.

    A subject that is not known, or has no number on record, hears and waits the same; no text goes out.
    """

    name: ClassVar[str] = "sms_code"
    factor: ClassVar[Factor] = Factor.POSSESSION

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        settings, keypad = tools.settings.steps.sms_code, tools.settings.keypad
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
        texting = _Texting(self._tools, rules, self._form.most, round)
        try:
            return await self._run(texting, rules, round)
        finally:
            await texting.close()

    async def _run(self, texting: _Texting, rules: CodeRules, round: Round) -> Outcome:
        if round.held.now.tried >= rules.tries:
            return Failed(self.name, Reason.WRONG)
        prompts: tuple[Prompt, ...] = (Prompt.ASK_CODE,)
        if not round.held.now.challenge:
            sent = await texting.send()
            if isinstance(sent, TooSoon):
                # A caller who has just rung before: the code of that call is good for that call alone.
                await round.keypad.pause(Prompt.TEXT_SOON, sent.seconds)
                sent = await texting.send()
            if not isinstance(sent, Opened):
                return Failed(self.name, Reason.TOO_MANY_TEXTS)
            prompts = (Prompt.TEXT_COMING, Prompt.ASK_CODE)
        for _ in range(_ENTRIES):
            entry = await round.keypad.ask(self.name, prompts, self._form)
            if isinstance(entry, GaveUp):
                return Failed(self.name, Reason.NO_ENTRY)
            if isinstance(entry, Asked):
                prompts = (*await self._another(texting), Prompt.ASK_CODE)
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

    async def _another(self, texting: _Texting) -> tuple[Prompt, ...]:
        """Send a new code on request; what to tell the caller about it."""
        match await texting.send():
            case Opened():
                return (Prompt.NEW_TEXT_SENT,)
            case TooSoon(seconds):
                return (Prompt.NEXT_TEXT, wait(seconds))
            case TooMany():
                return (Prompt.NO_MORE_TEXTS,)


class _Texting:
    """The texts of one run. They are sent behind the prompts, so that nobody can tell from the wait whether one was."""

    def __init__(self, tools: Tools, rules: CodeRules, digits: int, round: Round) -> None:
        self._tools = tools
        self._rules = rules
        self._digits = digits
        self._round = round
        # another worker may have sent it
        self._id = round.held.now.challenge or secrets.token_urlsafe(16)
        self._sending: set[asyncio.Task[None]] = set()
        self._following: set[asyncio.Task[None]] = set()

    def challenge(self, code: Secret) -> Challenge:
        """This run's challenge with the MAC of this code: what was sent, or what was keyed."""
        subject, call = self._round.subject.key, self._round.attempt.call
        mac = self._tools.codes.mac(code, bound_to=(self._id, subject, call, self._round.purpose))
        return Challenge(self._id, subject, call, mac)

    async def send(self) -> Opened | TooSoon | TooMany:
        """A new code, if one may be sent now; it takes the place of the one before. Raises `TextError` where none may to anybody."""
        subject = self._round.subject
        mobile = subject.mobile if subject.known else None
        # looked up for a number of nobody's too: that takes as long
        found = self._tools.texts.range_of(mobile or _NOBODYS)
        area = None if mobile is None else found
        code = Secret.random_token() if mobile is None else Secret.random_digits(self._digits)
        message = self._message(code)
        parts = self._tools.texts.parts(message)
        sent = replace(self._round.held.now, challenge=self._id)
        opened = await self._tools.live.open_challenge(self.challenge(code), self._rules, sent, area, parts)
        self._round.log.info("text.asked", result=type(opened).__name__)
        if isinstance(opened, Closed):
            await self._withhold(opened, area)
            raise TextError("the budget of all texts is used up")
        if isinstance(opened, Opened):
            self._round.held.now = sent
            # the code of the text before is void
            for task in self._following:
                task.cancel()
            if opened.closed is not None:
                sending = self._pretend(opened.closed, area)
            elif mobile is None:
                # there is nobody to send to: a gateway that is down must not be heard by known customers alone
                sending = self._tools.texts.pretend()
            else:
                sending = self._deliver(mobile, message)
            task = asyncio.create_task(sending)
            self._sending.add(task)
            task.add_done_callback(self._ended)
        return opened

    async def close(self) -> None:
        """End what is still being sent; how that ends matters to nobody any more."""
        while under_way := self._sending | self._following:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        self._round.keypad.go_on()

    async def _pretend(self, closed: Closed, area: Range | None) -> None:
        """As for a number that no text goes to: were this caller told, the number would be known for a customer's."""
        await self._withhold(closed, area)
        await self._tools.texts.pretend()

    async def _withhold(self, closed: Closed, area: Range | None) -> None:
        """Say that no text goes; the first time also to those who look after it."""
        self._round.log.info("text.withheld", scope=closed.scope.value)
        if not closed.first:
            return
        limits = self._tools.settings.limits
        area = area or Range("", "")
        where, most = {
            Budget.ALL: ("", limits.texts_per_hour),
            Budget.COUNTRY: (area.country, limits.texts_country_per_hour),
            Budget.PREFIX: (area.prefix, limits.texts_prefix_per_hour),
        }[closed.scope]
        self._round.log.warning("texts.closed", scope=closed.scope.value, range=where, limit=most)
        detail = {"scope": closed.scope.value, "range": where, "limit": str(most)}
        try:
            await self._tools.trail.append(
                Entry(
                    "worker", "texts.close", "closed", call=self._round.attempt.call.rpartition(":")[2], detail=detail
                )
            )
        except Unavailable as error:
            # closed it is all the same
            self._round.log.error("texts.not_told", error=str(error))

    def _message(self, code: Secret) -> Secret:
        language = self._round.subject.language or self._round.keypad.language
        return code.within(text("sms_code", language, company=self._tools.settings.company.name), "{code}")

    async def _deliver(self, mobile: Personal, message: Secret) -> None:
        try:
            handed = await self._tools.texts.send(mobile, message)
        except Exception as error:
            self._round.log.error("text.failed", error=type(error).__name__)
            raise
        self._round.log.info("text.sent")
        if self._tools.dispatch is not None:
            task = asyncio.create_task(self._follow(self._tools.dispatch, handed, mobile, message))
            self._following.add(task)
            task.add_done_callback(self._following.discard)

    async def _follow(self, dispatch: Dispatch, handed: Handed, mobile: Personal, message: Secret) -> None:
        """See that it arrives. The caller notices nothing of it, as one to whom none was sent."""
        try:
            report = await dispatch.follow(handed, mobile, message)
        except Unavailable as error:
            self._round.log.error("text.not_followed", error=str(error))
        else:
            self._round.log.info("text.followed", delivery="" if report is None else report.delivery.value)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._round.keypad.interrupt(error if isinstance(error, Unavailable) else Unavailable("text message"))
