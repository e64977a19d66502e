"""What becomes of proofs while they wait: digits are spoken into the call, and each comes to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any

from structlog.typing import FilteringBoundLogger

from ivr.call.ports import Party
from ivr.call.proof import Keyed, Proof, Stage, Way
from ivr.errors import Unavailable
from ivr.lock.listening import Listening
from ivr.lock.pair import agent_of
from ivr.lock.proofports import Digits, Floor, Hearing, Pages, Speech
from ivr.lock.proofwords import Speaking
from ivr.lock.settling import Settling
from ivr.prompts import Prompt, digits
from ivr.secret import Secret
from ivr.store.pages import Unreadable
from ivr.store.sealing import endpoint_key

DIGITS = 6
"""How many are spoken: as many as NIST SP 800-63B-4 3.1.3.2 wants at least."""

# Seconds between looks for those that have expired.
_LOOK = 1.0
# Seconds after which a call counts as ended: two are parted for a moment where Asterisk takes a Local channel out.
_GONE = 2.0
# Seconds after which it is known that a sentence is heard, or why not.
_KNOWN = 1.5
# Seconds until keys are listened for again where Asterisk or Redis does not answer.
_AGAIN = 1.0
# Seconds behind which another desk listens for the keys of a proof, where the one that did has died.
_TURN = 3.0
# Seconds between looks for those that another desk has begun: where it is no more, nobody else tells that their call has ended.
_BESIDE = 10.0


class Course:
    """Of all proofs whatever the page tells, and that their call has ended: of those that another desk has begun, some seconds later."""

    def __init__(
        self, pages: Pages, settling: Settling, speech: Speech, hearing: Hearing, floor: Floor, codes: Digits,
        changed: Callable[[frozenset[str]], None], log: FilteringBoundLogger, *, both: bool = True, look: float = _LOOK,
        gone: float = _GONE, again: float = _AGAIN, turn: float = _TURN, beside: float = _BESIDE,
    ) -> None:  # fmt: skip
        """`changed` is told whose pages show something else now; `both`: whether the agent hears the digits too."""
        self._pages = pages
        self._settling = settling
        self._speech = speech
        self._floor = floor
        self._codes = codes
        self._changed = changed
        self._log = log
        self._both = both
        self._look = look
        self._beside = beside
        self._gone = gone
        self._listening = Listening(
            pages, hearing, lambda proof: self.agent(proof) is not None, lambda proof: self._do(self._told_wrong(proof)),
            log, digits=DIGITS, apart=gone, again=again, turn=turn,
        )  # fmt: skip
        self._stir = asyncio.Event()
        self._begun: dict[str, Proof] = {}
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until it is cancelled: look for proofs that have ended."""
        trouble, loop = "", asyncio.get_running_loop()
        beside = loop.time() + self._beside
        while True:
            self._stir.clear()
            try:
                while ended := await self._pages.due():
                    for proof in ended:
                        if isinstance(proof, Unreadable):
                            self._log.error("proof.unreadable", proof=proof.id)
                            continue
                        await self._ended(proof, "late" if proof.stage is Stage.EXPIRED else "")
                await self._settling.again()
                if loop.time() >= beside:
                    await self._taken_up()
                    beside = loop.time() + self._beside
                trouble = ""
            except Unavailable as error:
                if str(error) != trouble:
                    trouble = str(error)
                    self._log.error("proof.unknown", error=trouble)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look):
                    await self._stir.wait()

    async def close(self) -> None:
        """End what is going on."""
        await self._listening.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ------------------------------------------------------------ what it is told; none of these waits

    def told(self, proof: str) -> None:
        """The page, or another desk, has taken this proof on."""
        self._stir.set()
        self._do(self._opened(proof))

    def came(self) -> None:
        """What was told may have been lost; and whoever has begun one may be no more."""
        self._stir.set()
        for proof in {*self._begun, *self._listening.ids}:
            self._do(self._opened(proof))
        self._do(self._taken_up())

    def moved(self, endpoints: frozenset[str]) -> None:
        """Whom these talk with has changed."""
        self._listening.moved()
        keys = {endpoint_key(one) for one in endpoints}
        for proof in list(self._begun.values()):
            if endpoint_key(proof.endpoint) not in keys:
                continue
            if proof.way is Way.SPOKEN:
                # it waits for the person to hang up, and to call
                self._met(proof)
            elif self._joined(proof) is not True:
                self._do(self._left(proof))

    def carry(self, proof: Proof, sending: Coroutine[Any, Any, None]) -> None:
        """This one was begun here, and is being sent."""
        self._begun[proof.id] = proof
        self._sending[proof.id] = self._do(sending)
        self._changed(frozenset({proof.endpoint}))

    # ------------------------------------------------------------ what is done

    def digits_of(self, id: str) -> Secret:
        """What is spoken: every desk makes them anew, and none keeps them."""
        return self._codes.digits(DIGITS, bound_to=(self.__class__.__name__, id))

    def agent(self, proof: Proof) -> Party | None:
        """The phone of whoever has asked for it, where that one alone is joined with the person; None where it is not, or nobody knows."""
        try:
            return agent_of(proof, self._floor)
        except Unavailable:
            return None

    async def say(self, proof: Proof) -> Speaking:
        """Speak the digits of this proof into its call; returns what came of it, or that it goes on, as soon as one of them is known."""
        await asyncio.wait((self._do(self._said(proof)),), timeout=_KNOWN)
        return self._settling.speech(proof.id) or Speaking.GOING_ON

    async def end(self, proof: Proof, stage: Stage, why: str) -> bool:
        """Take it to this end; False where it had one already. Raises `Unavailable`."""
        if not await self._pages.end(proof.id, stage):
            return False
        await self._ended(replace(proof, stage=stage), why)
        return True

    async def moved_on(self, proof: Proof, stage: Stage) -> None:
        """Take it so far, where that is forward. Raises `Unavailable`."""
        if await self._pages.stage(proof.id, stage):
            self._log.info("proof.moved", proof=proof.id, way=proof.way.value, stage=stage.value)
            self._changed(frozenset({proof.endpoint}))

    # ------------------------------------------------------------ inside

    def _joined(self, proof: Proof) -> bool | None:
        """Whether the two are joined alone; None where nobody knows."""
        try:
            return agent_of(proof, self._floor) is not None
        except Unavailable:
            return None

    async def _said(self, proof: Proof) -> None:
        self._speaks(proof, Speaking.GOING_ON)
        result = Speaking.FAILED
        try:
            if (agent := self.agent(proof)) is None:
                result = Speaking.GONE
                return
            said = digits(self.digits_of(proof.id).reveal())
            spoken = await self._speech.speak(
                proof.node, proof.channel, (Prompt.PROVE_DIGITS, *said, Prompt.ONCE_MORE, *said),
                language=proof.shown.language, both=self._both, agent=agent.channel,
            )  # fmt: skip
            result = Speaking(spoken.value)
        except Unavailable as error:
            self._log.error("proof.unspoken", proof=proof.id, error=str(error))
        finally:
            self._log.info("proof.spoken", proof=proof.id, result=result.value)
            self._speaks(proof, result)

    def _speaks(self, proof: Proof, result: Speaking) -> None:
        self._settling.spoken(proof.id, result)
        self._changed(frozenset({proof.endpoint}))

    async def _ended(self, proof: Proof, why: str) -> None:
        self._end(proof.id, proof)
        await self._settling.settle(proof, why)
        self._changed(frozenset({proof.endpoint}))

    async def _opened(self, id: str) -> None:
        proof = await self._pages.of(id)
        if proof is None or proof.stage.is_end:
            self._over(id, proof)
            return
        self._changed(frozenset({proof.endpoint}))
        if proof.way is Way.SPOKEN:
            # on another channel from now on, which every desk watches
            self._begun[id] = proof
            self._met(proof)
        if proof.stage is not Stage.OPENED:
            return
        self._sent(id)
        if proof.keyed is Keyed.PHONE:
            self._listening.begin(proof)
        if not await self._pages.mine(id, Stage.OPENED):
            return
        self._log.info("proof.moved", proof=id, way=proof.way.value, stage=proof.stage.value)
        if proof.keyed is Keyed.PAGE and proof.way is not Way.SPOKEN:
            await self.say(proof)

    async def _taken_up(self) -> None:
        """Those that wait, whichever desk has begun them."""
        for one in await self._pages.waiting():
            proof = None if one in self._begun else await self._pages.of(one)
            if proof is None or proof.stage.is_end:
                continue
            self._begun[one] = proof
            self._do(self._opened(one))
            if proof.way is not Way.SPOKEN:
                # it may have ended while nobody looked
                self._do(self._left(proof))

    def _met(self, proof: Proof) -> None:
        """Who has keyed the digits of the way `spoken`, and whoever has said them, may have met."""
        if proof.stage is Stage.OPENED and self.agent(proof) is not None:
            self._do(self.end(proof, Stage.CONFIRMED, ""))

    async def _told_wrong(self, proof: Proof) -> None:
        if (agent := self.agent(proof)) is not None:
            await self._speech.speak(
                proof.node, proof.channel, (Prompt.WRONG,),
                language=proof.shown.language, both=self._both, agent=agent.channel,
            )  # fmt: skip

    def _over(self, id: str, proof: Proof | None) -> None:
        """Another desk may settle it: nothing more of it is done or said here. `proof`: None where it is known no longer."""
        if (ended := self._end(id, proof)) is not None:
            self._changed(frozenset({ended.endpoint}))

    def _end(self, id: str, proof: Proof | None) -> Proof | None:
        """Nothing more of it is done or said here; the proof, as far as anybody knows it yet."""
        begun = self._begun.pop(id, None)
        self._sent(id)
        self._listening.end(id)
        ended = proof or begun
        # what is said for the call's next proof goes on
        if ended is not None and (begun is not None or self._settling.speech(id) is Speaking.GOING_ON):
            self._speech.hush(ended.node, ended.channel)
        return ended

    async def _left(self, proof: Proof) -> None:
        """It ends where the two are not joined any more; as long as nobody knows, that is waited for."""
        joined: bool | None = None
        while joined is None:
            await asyncio.sleep(self._gone)
            if proof.id not in self._begun:
                return
            joined = self._joined(proof)
        if not joined:
            await self.end(proof, Stage.EXPIRED, "call_ended")

    def _sent(self, id: str) -> None:
        """The person has it, or needs it no more: no second text, whatever a gateway says of the first."""
        task = self._sending.pop(id, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    def _do(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._done(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # cancelled before it began, nobody has awaited it
        task.add_done_callback(lambda _: work.close())
        return task

    async def _done(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except Unavailable as error:
            self._log.error("proof.lost", error=str(error))
