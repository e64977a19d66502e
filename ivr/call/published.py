"""One call to the company's published number: whoever keys the digits that an agent has said goes on to that agent.

It verifies nobody, marks nobody, and shows nothing: who calls gains that they have dialled the number themselves.
"""

from __future__ import annotations

from contextlib import suppress

from structlog.typing import FilteringBoundLogger

from ivr.call.digits import Entered, Form
from ivr.call.keypad import Keypad
from ivr.call.ports import Line
from ivr.call.ports.published import BOUND_TO, DIGITS, Elsewhere, Published, Taken
from ivr.call.verification import House
from ivr.errors import HungUp, Unavailable, WorkerReplaced
from ivr.prompts import Prompt
from ivr.secret import Personal

TO, OVER = "TILLIT_TO", "TILLIT_PUBLISHED"
"""The channel's variables: whom [tillit-published] calls; and "over", where nobody is to be asked anew."""

# A caller who gets three wrong has three more in the next call, and few in an hour.
_TRIES = 3


class PublishedCall:
    """Whatever happens, the caller is sent on in the dialplan or has hung up when `run` returns.

    Nothing is recorded of it: where the worker dies, the dialplan asks the next one to begin anew.
    """

    def __init__(self, house: House, published: Published, line: Line, log: FilteringBoundLogger) -> None:
        self._house = house
        self._published = published
        self._line = line
        self._log = log
        settings = house.settings
        self._keypad = Keypad(
            line, language=house.languages.of(None, line.caller.language), slips=settings.keypad.slips,
            watchdog=settings.worker.watchdog_seconds, clock=house.tools.clock, log=log,
        )  # fmt: skip

    @property
    def phase(self) -> str:
        """What the call is in."""
        return "published"

    async def run(self) -> None:
        """Ask for digits, and send the caller on. Raises nothing that a call can cause."""
        caller = self._line.caller
        self._log.info("published.called", number=caller.number and caller.number.masked)
        try:
            async with self._line.up():
                await self._asked()
        except HungUp:
            self._log.info("published.hung_up")
        except WorkerReplaced:
            self._log.warning("call.left", phase=self.phase)
        except Unavailable as error:
            # this worker is stopping: the dialplan asks the next one
            self._log.warning("call.unavailable", phase=self.phase, error=str(error))
            await self._sent_on()

    async def _asked(self) -> None:
        caller = self._line.caller.number
        try:
            await self._line.answer()
            found = await self._found()
        except Unavailable as error:
            self._log.error("call.unavailable", phase=self.phase, error=str(error))
            await self._line.hush()
            found = Prompt.PUBLISHED_AWAY
        if isinstance(found, Taken):
            self._log.info("published.found", endpoint=found.endpoint)
        else:
            if found is Prompt.PUBLISHED_UNKNOWN:
                # somebody guesses, or has told them digits in our name
                self._log.warning("published.wrong", number=caller and caller.masked)
            self._log.info("published.not_found", said=found.value)
            await self._keypad.tell(found)
        endpoint = found.endpoint if isinstance(found, Taken) else ""
        await self._line.announce({TO: endpoint, OVER: "over"}, Personal(""))
        await self._line.hand_back(watch=False)

    async def _found(self) -> Taken | Prompt:
        """Whom the digits lead to, or what is said to whom they lead to nobody."""
        caller, keypad = self._line.caller, self._house.settings.keypad
        number = None if caller.number is None else self._house.customers.phone_key(caller.number)
        form = Form(DIGITS, DIGITS, keypad.first_seconds, keypad.between_seconds)
        prompts: tuple[Prompt, ...] = (Prompt.ASK_PUBLISHED,)
        for _ in range(_TRIES):
            entry = await self._keypad.ask("published", prompts, form)
            if not isinstance(entry, Entered):
                return Prompt.TIMEOUT
            mac = self._house.tools.codes.mac(entry.digits, bound_to=BOUND_TO)
            match await self._published.take(mac, number, caller.node, caller.channel):
                case Taken() as taken:
                    return taken
                case Elsewhere():
                    return Prompt.PUBLISHED_AWAY
                case None:
                    prompts = (Prompt.WRONG, Prompt.ASK_PUBLISHED)
        return Prompt.PUBLISHED_UNKNOWN

    async def _sent_on(self) -> None:
        with suppress(HungUp):
            try:
                await self._line.hush()
                await self._line.hand_back(watch=False)
            except Unavailable as error:
                self._log.error("call.stuck", error=str(error))
