"""What the steps share that have a provider of electronic identities ask the caller, while the caller waits.

Why nobody has identified, nobody hears: a customer who is not known, or has no such identity, waits as long as one who does not
answer, and any caller may end that by a key. Only who has identified goes on before.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Literal

from ivr.call.digits import Asked, Entered, Form
from ivr.call.outcome import Failed, Locked, Outcome, Passed, Reason
from ivr.call.ports import Entry, Key
from ivr.call.ports.eid import CODE_DIGITS, Done, Eid, EidAsked, Ended, Let, Order, Pending, Why
from ivr.call.steps import Round, Step, Tools
from ivr.config import Settings
from ivr.errors import ConfigError, EidError, HungUp, OtherCustomer, Unavailable
from ivr.prompts import Prompt, digits, text
from ivr.secret import Secret

_STAR = Secret("*")
# How often it is looked whether somebody has identified. They wait so long for it to be noticed.
_LOOK_SECONDS = 0.5
# Behind the longest life of an order: until its provider has it.
_LATE_SECONDS = 30.0
# The only level that a step of these is worth.
_LEVEL = 3
_letting_go: set[asyncio.Task[None]] = set()


@dataclass(frozen=True, slots=True)
class Provider:
    """`name` is that of the settings; `kind`: what persons are called there, as customers' records have it."""

    name: str
    kind: str


def provider(settings: Settings, step: str, place: str = "[steps.ciba] broker") -> Provider:
    """Whom this step asks. Raises `ConfigError`, which names the place, where the settings have none."""
    own = settings.eid
    if step == "bankid" and own.bankid is not None:
        return Provider(step, "SE")
    if step == "freja" and own.freja is not None:
        return Provider(step, own.freja.country)
    if step == "ciba" and own.brokers:
        named = settings.steps.ciba.broker or (next(iter(own.brokers)) if len(own.brokers) == 1 else None)
        if named not in own.brokers:
            raise ConfigError(
                f"{settings.file}: [steps.ciba] broker",
                "is none of [eid.brokers]" if named else "is left out, and there are several of [eid.brokers]",
                f"Name one of: {', '.join(sorted(own.brokers))}",
            )
        return Provider(named, own.brokers[named].country or named)
    table = "[eid.brokers.NAME]" if step == "ciba" else f"[eid.{step}]"
    raise ConfigError(
        f"{settings.file}: {place}", f"names {step}, and there is no {table}", "Add it: docs/eid.md says what it needs"
    )


async def by_eid(step: Step, round: Round, tools: Tools, ask: Prompt) -> Outcome:
    """Have the person asked whom the record names, once: no more than one order comes of a call.

    Raises `OtherCustomer` where the round lets the caller say so, `EidError` where the provider cannot be reached, whoever calls.
    """
    asked = provider(tools.settings, step.name)
    eid, keypad = tools.eids[asked.name], tools.settings.keypad
    if round.held.now.tried:
        # another worker has asked, and only that one could have heard the answer
        return Failed(step.name, Reason.EXPIRED)
    form = Form(1, 1, keypad.first_seconds, keypad.between_seconds, command=round.other_customer)
    offer = (Prompt.OTHER_CUSTOMER,) if round.other_customer else ()
    entry = await round.keypad.ask(step.name, (ask,), form, offer=offer)
    if isinstance(entry, Asked):
        raise OtherCustomer
    if not isinstance(entry, Entered):
        return Failed(step.name, Reason.NO_ENTRY)
    await eid.reach()
    granted = await tools.live.attempt(round.attempt, round.held.now.trying())
    if isinstance(granted, Locked):
        return granted
    code = _code(tools.settings, asked)
    asking = asyncio.create_task(_Asking(step.name, asked, eid, round, tools, code).run())
    # a caller who hangs up in that moment hears of nothing any more
    asking.add_done_callback(lambda task: task.cancelled() or task.exception())
    try:
        # said to whoever calls, also where nobody is asked
        said = (Prompt.OPEN_APP,) if code is None else (Prompt.OPEN_APP, Prompt.APP_SHOWS, *digits(code))
        await _held(step.name, asking, said, round, tools)
    finally:
        asking.cancel()
    if not asking.done():
        # by the caller, by the time
        round.log.info("step.wrong", step=step.name)
        await round.went_wrong()
        return Failed(step.name, Reason.EXPIRED)
    asking.result()
    round.held.now = round.held.now.passing(step.name)
    await tools.live.give_back(round.attempt, round.held.now)
    return Passed(step.name, step.factor)


def _code(settings: Settings, asked: Provider) -> str | None:
    """Digits that the caller hears, and sees in the app, where that shows a message of ours: they are no secret, and are others in each call."""
    broker = settings.eid.brokers.get(asked.name)
    if broker is None or broker.message_most < CODE_DIGITS:
        return None
    return f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"


async def _held(step: str, asking: asyncio.Task[None], said: Sequence[Prompt], round: Round, tools: Tools) -> None:
    """Music until it is asked to the end, for so many seconds at most; star ends it at once, and any other key has it told anew."""

    async def done() -> bool | None:
        return asking.done() or None

    until = tools.clock() + tools.settings.steps.eid.seconds
    while (left := until - tools.clock()) > 0:
        match await round.keypad.hold(step, said, seconds=left, look=done, every=_LOOK_SECONDS):
            case Key(digit) if digit != _STAR:
                continue
            case _:
                return


class _Asking:
    """One order. It ends when the person has identified; of whatever else happens only the trail and the log hear."""

    def __init__(self, step: str, asked: Provider, eid: Eid, round: Round, tools: Tools, code: str | None) -> None:
        self._step = step
        self._asked = asked
        self._eid = eid
        self._round = round
        self._tools = tools
        self._code = None if code is None else Secret(code)
        self._nonce = secrets.token_urlsafe(16)
        # what the provider makes of it: there from the moment in which it may have an order; None where it has none, or no more
        self._order: asyncio.Task[Order | Ended] | None = None

    async def run(self) -> None:
        """Returns when the right person has identified, and the trail says so; else never. Raises `StoreError`, `VaultError`."""
        subject = self._round.subject
        barred = await self._tools.live.barred(subject.key)
        who = await self._tools.identities.of(subject, self._asked.kind)
        seconds = max(self._tools.settings.steps.eid.seconds, self._eid.life + _LATE_SECONDS)
        # nobody's, where nobody is asked: that takes as long
        whose = Secret.random_token() if who is None or barred else who
        let = await self._tools.turns.take(self._asked.kind, whose, seconds)
        if who is None or not subject.known:
            self._round.log.info("eid.nobody", step=self._step)
        elif barred:
            await self._tell("barred")
        elif let is None:
            await self._tell("in_progress")
        elif await self._identified(who, let):
            return
        await asyncio.Event().wait()

    async def _identified(self, who: Secret, let: Let) -> bool:
        try:
            order = await self._begun(who)
            done = None if order is None else await self._ended(order, who)
            if done is None:
                return False
            kept = await self._tools.identities.keep(self._round.subject, self._asked.name, done.evidence)
            await self._row("identified", level=str(done.level), evidence=kept)
            return True
        finally:
            _go(self._let_go(let))

    async def _begun(self, who: Secret) -> Order | None:
        """The order, where there is one; none is made of which the trail cannot be told before."""
        language = self._round.subject.language or self._round.keypad.language
        name = "eid_inbound" if self._round.caller_began else "eid_outbound"
        shown = text(name, language, company=self._tools.settings.company.name)
        try:
            await self._row("asked")
            asked = EidAsked(who, self._round.caller_began, shown, self._nonce, code=self._code)
            self._order = asyncio.ensure_future(self._eid.begin(asked))
            # of a hang-up meanwhile the provider knows nothing: what it makes is to be cancelled
            order = await asyncio.shield(self._order)
        except Unavailable as error:
            # heard by nobody: of a customer who is not known there is nothing that could fail
            self._round.log.error("eid.failed", step=self._step, error=str(error))
            await self._tell("failed")
            return None
        if isinstance(order, Ended):
            self._order = None
            await self._tell(order.why)
            return None
        self._round.log.info("eid.asked", step=self._step)
        return order

    async def _ended(self, order: Order, who: Secret) -> Done | None:
        """What comes of the order. A look that fails is one of many."""
        poll, ping, failed = order.poll, order.ping, False
        while True:
            if ping is None:
                await asyncio.sleep(poll)
            elif await _within(poll, ping()):
                # what is said once more is nothing new
                ping = None
                self._round.log.info("eid.pinged", step=self._step)
            try:
                found = await self._eid.look(order)
            except EidError as error:
                if not failed:
                    self._round.log.error("eid.failed", step=self._step, error=str(error))
                failed = True
                continue
            match found:
                case Pending():
                    poll = found.poll or poll
                case Done() if found.who == who and found.level >= _LEVEL:
                    self._order = None
                    return found
                case Done():
                    self._order = None
                    await self._tell("not_able" if found.who == who else "wrong_person")
                    return None
                case Ended():
                    self._order = None
                    await self._tell(found.why)
                    return None

    async def _tell(self, why: Why | Literal["barred"]) -> None:
        """What became of it, to the trail; and where it is an alarm, to administrators. Raises nothing."""
        self._round.log.info("eid.ended", step=self._step, why=why)
        if why == "declined_call":
            self._round.log.warning("eid.declined_call", subject=self._round.subject.ref)
        for told in (
            self._row("unavailable" if why == "failed" else why),
            *((self._bar(), self._round.denied()) if why == "declined_call" else ()),
        ):
            try:
                await told
            except (HungUp, Unavailable) as error:
                self._round.log.error("eid.untold", step=self._step, error=str(error))

    async def _bar(self) -> None:
        """Whoever goes on calling in the customer's name has nobody asked for a while."""
        bar = self._tools.settings.steps.sms_link.bar_minutes * 60
        await self._tools.live.bar(self._round.subject.key, bar)

    async def _row(self, outcome: str, **more: str) -> None:
        node, _, channel = self._round.attempt.call.partition(":")
        tenant = self._round.subject.key.rpartition(":")[0]
        detail = {"provider": self._asked.name, "order": self._nonce, "node": node, "tenant": tenant, **more}
        await self._tools.trail.append(
            Entry(
                "worker", "eid", outcome, call=channel, subject=self._round.subject.ref, detail=detail,
                once=f"eid:{self._nonce}:{outcome}",
            )
        )  # fmt: skip

    async def _let_go(self, let: Let) -> None:
        """Whoever asks for the same person while there is an order ends both: nobody may before it has ended."""
        try:
            if self._order is not None:
                order = await self._order
                if isinstance(order, Order) and not await self._eid.cancel(order):
                    return
            await let()
        except Unavailable as error:
            # either ends by itself, an order that the provider has made without saying so too
            self._round.log.warning("eid.not_cancelled", step=self._step, error=str(error))


async def _within(seconds: float, waiting: Awaitable[None]) -> bool:
    """Whether it was over by then."""
    try:
        async with asyncio.timeout(seconds):
            await waiting
    except TimeoutError:
        return False
    return True


def _go(letting: Coroutine[object, object, None]) -> None:
    """Nobody waits for it: how long it takes would tell the caller that there is something to be let go."""
    task = asyncio.create_task(letting)
    _letting_go.add(task)
    task.add_done_callback(_letting_go.discard)
