"""The texts of one run of a step: sent behind the prompts, so that nobody can tell from the wait whether one was."""

from __future__ import annotations

import asyncio
import secrets
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any

from ivr.call.outcome import Budget
from ivr.call.ports import (
    NOWHERE,
    Aloud,
    Challenge,
    Closed,
    CodeRules,
    Dispatch,
    Entry,
    Opened,
    Report,
    TooMany,
    TooSoon,
)
from ivr.call.steps import Round, Tools
from ivr.errors import TextError, Unavailable
from ivr.numbers import Range
from ivr.prompts import Prompt, wait
from ivr.secret import Personal, Secret

# Of a range that Ofcom keeps for films and plays.
_NOBODYS = Personal("+447700900123")


class Texting(ABC):
    """Each takes the place of the one before. What is in it, and what it is compared by, the step says."""

    def __init__(self, tools: Tools, rules: CodeRules, round: Round) -> None:
        self.tools = tools
        self.rules = rules
        self.round = round
        # another worker may have sent it
        self.id = round.held.now.challenge or secrets.token_urlsafe(16)
        self._sending: set[asyncio.Task[None]] = set()
        self._following: set[asyncio.Task[None]] = set()

    @abstractmethod
    def new(self, *, known: bool) -> Secret:
        """What the next text is to bring; to nobody, where the customer is not `known`."""

    @abstractmethod
    def challenge(self, brought: Secret) -> Challenge:
        """This run's challenge, for what a text has brought."""

    @abstractmethod
    def written(self, brought: Secret, language: str) -> Secret:
        """The text."""

    async def ready(self, brought: Secret, language: str) -> None:
        """What has to be so before the text goes out. Raises `Unavailable`."""
        del brought, language

    def aloud(self, brought: Secret) -> Aloud | None:
        """What a call is to tell where the text does not arrive; None where it is not for the ear."""
        del brought
        return None

    def bound(self, code: Secret, *more: str) -> Challenge:
        """A challenge that counts for this run, customer, call and policy alone."""
        subject, call = self.round.subject.key, self.round.attempt.call
        mac = self.tools.codes.mac(code, bound_to=(self.id, subject, call, self.round.purpose, *more))
        return Challenge(self.id, subject, call, mac)

    @property
    def language(self) -> str:
        """What the customer reads."""
        return self.round.subject.language or self.round.keypad.language

    def named(self, name: str) -> str:
        """The name of this text that says who has called whom."""
        return name if self.round.caller_began else f"{name}_outbound"

    async def first(self) -> bool:
        """The first text of the run; a caller who has just rung before holds until it may go. False where none may."""
        sent = await self.send()
        if isinstance(sent, TooSoon):
            # what a text of that call has brought is good for that call alone
            await self.round.keypad.pause(Prompt.TEXT_SOON, sent.seconds)
            sent = await self.send()
        return isinstance(sent, Opened)

    async def another(self) -> Sequence[Prompt]:
        """A new text on request; what to tell the caller about it."""
        match await self.send():
            case Opened():
                return (Prompt.NEW_TEXT_SENT,)
            case TooSoon(seconds):
                return (Prompt.NEXT_TEXT, wait(seconds))
            case TooMany():
                return (Prompt.NO_MORE_TEXTS,)

    async def send(self) -> Opened | TooSoon | TooMany:
        """A new text, if one may go now. Raises `TextError` where none may to anybody."""
        subject = self.round.subject
        mobile = subject.mobile if subject.known else None
        # looked up for a number of nobody's too: that takes as long
        found = self.tools.texts.range_of(mobile or _NOBODYS)
        area = None if mobile is None else found
        brought = self.new(known=mobile is not None)
        message = self.written(brought, self.language)
        parts = self.tools.texts.parts(message)
        sent = replace(self.round.held.now, challenge=self.id)
        opened = await self.tools.live.open_challenge(self.challenge(brought), self.rules, sent, area, parts)
        self.round.log.info("text.asked", result=type(opened).__name__)
        if isinstance(opened, Closed):
            await self._withhold(opened, area)
            raise TextError("the budget of all texts is used up")
        if isinstance(opened, Opened):
            self.round.held.now = sent
            # what the text before has brought is void
            for task in self._following:
                task.cancel()
            if opened.closed is not None:
                sending = self._pretend(opened.closed, area, brought)
            elif mobile is None:
                # there is nobody to send to: a gateway that is down must not be heard by known customers alone
                sending = self._unsent(brought)
            elif (dispatch := self.tools.dispatch) and (aloud := self.aloud(brought)) and dispatch.calls(mobile):
                sending = self._call(dispatch, mobile, aloud, brought)
            else:
                sending = self._deliver(mobile, brought, message)
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
        self.round.keypad.go_on()

    async def _pretend(self, closed: Closed, area: Range | None, brought: Secret) -> None:
        """As for a number that no text goes to: were this caller told, the number would be known for a customer's."""
        await self._withhold(closed, area)
        await self._unsent(brought)

    async def _unsent(self, brought: Secret) -> None:
        """Takes as long as a text, and fails as one: where a call would tell the code instead, no caller hears of a failure."""
        try:
            await self.tools.texts.pretend()
        except TextError:
            if self._instead(brought) is None:
                raise

    def _instead(self, brought: Secret) -> Aloud | None:
        """What a call tells at once where no gateway takes the text; None where there are no such calls, or it is not for the ear."""
        calls = self.tools.dispatch is not None and self.tools.settings.texts.voice.wanted
        return self.aloud(brought) if calls else None

    async def _withhold(self, closed: Closed, area: Range | None) -> None:
        """Say that no text goes; the first time also to those who look after it."""
        self.round.log.info("text.withheld", scope=closed.scope.value)
        if not closed.first:
            return
        limits = self.tools.settings.limits
        area = area or Range("", "")
        where, most = {
            Budget.ALL: ("", limits.texts_per_hour),
            Budget.COUNTRY: (area.country, limits.texts_country_per_hour),
            Budget.PREFIX: (area.prefix, limits.texts_prefix_per_hour),
        }[closed.scope]
        self.round.log.warning("texts.closed", scope=closed.scope.value, range=where, limit=most)
        detail = {"scope": closed.scope.value, "range": where, "limit": str(most)}
        call = self.round.attempt.call.rpartition(":")[2]
        try:
            await self.tools.trail.append(Entry("worker", "texts.close", "closed", call=call, detail=detail))
        except Unavailable as error:
            # closed it is all the same
            self.round.log.error("texts.not_told", error=str(error))

    async def _deliver(self, mobile: Personal, brought: Secret, message: Secret) -> None:
        try:
            await self.ready(brought, self.language)
            handed = await self.tools.texts.send(mobile, message)
        except Exception as error:
            self.round.log.error("text.failed", error=type(error).__name__)
            if not isinstance(error, TextError) or self._instead(brought) is None:
                raise
            handed = NOWHERE
        else:
            self.round.log.info("text.sent")
        if self.tools.dispatch is None:
            return
        if handed.nowhere and (aloud := self._instead(brought)) is not None:
            # it was counted as the text; whom no text may go to, nobody calls
            if self.tools.texts.range_of(mobile) is not None:
                self._follow(self.tools.dispatch.call(mobile, aloud))
        else:
            self._follow(self.tools.dispatch.follow(handed, mobile, message, self.aloud(brought)))

    async def _call(self, dispatch: Dispatch, number: Personal, aloud: Aloud, brought: Secret) -> None:
        """To a landline, at once. Who has called hears what one hears whose text is under way, also where no text goes out."""
        await self._unsent(brought)
        self._follow(dispatch.call(number, aloud))

    def _follow(self, arriving: Coroutine[Any, Any, Report | None]) -> None:
        task = asyncio.create_task(self._followed(arriving))
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    async def _followed(self, arriving: Coroutine[Any, Any, Report | None]) -> None:
        """See that it arrives. The caller notices nothing of it, as one to whom none was sent."""
        try:
            report = await arriving
        except Unavailable as error:
            self.round.log.error("text.not_followed", error=str(error))
        else:
            self.round.log.info("text.followed", delivery="" if report is None else report.delivery.value)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self.round.keypad.interrupt(error if isinstance(error, Unavailable) else Unavailable("text message"))
