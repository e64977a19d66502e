"""What an end-to-end test sees and does: phones, the worker's log, AMI, the stores."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, closing
from itertools import count
from typing import Any, TypeVar

import redis
from rig.ami import Ami
from rig.phone import Event, Phone
from rig.stage import ANNA, Customer, Stage, code_in
from rig.worker import Worker

from tests.unit.test_docs import logged_where

LIMIT = 15.0
# Where every line is of a call, and where none is; what both of them log may be either.
_OF_CALLS = (
    "ivr/call/",
    "ivr/sms/",
    "ivr/store/live.py",
    "ivr/asterisk/line.py",
    "ivr/asterisk/leg.py",
    "ivr/asterisk/meeting.py",
    "ivr/asterisk/voice.py",
)
_BOTH = ("ivr/asterisk/telephony.py", "ivr/asterisk/reconcile.py", "ivr/asterisk/dismissal.py", "ivr/agi/")
_LOGGED = {event: {str(file) for file in files} for event, files in logged_where().items()}
OF_A_CALL = {event for event, files in _LOGGED.items() if all(file.startswith(_OF_CALLS) for file in files)}
OF_A_CALL.add("agent.transferred")
# of many
OF_A_CALL.discard("audit.left")
OF_NONE = {
    event for event, files in _LOGGED.items() if not any(file.startswith((*_OF_CALLS, *_BOTH)) for file in files)
}
_serial = count(1)
T = TypeVar("T")


class Scene:
    """One test on a stage."""

    def __init__(self, stage: Stage, worker: Worker, stack: AsyncExitStack, ami: Ami) -> None:
        self.stage = stage
        self.worker = worker
        self.ami = ami
        self._stack = stack
        self._seen = 0

    # ------------------------------------------------------------ phones

    async def phone(self, endpoint: str) -> Phone:
        """A phone at this endpoint, until the test ends."""
        return await self.keep(Phone(self.stage.pbx.line(endpoint)))

    async def keep(self, opened: AbstractAsyncContextManager[T]) -> T:
        """Have this open until the test ends."""
        return await self._stack.enter_async_context(opened)

    async def caller(self, extension: str = "100", *, who: Customer | None = ANNA, **how: Any) -> Phone:
        """A phone that is in a call to the extension, from the customer's first number unless told otherwise."""
        phone = await self.phone(how.pop("endpoint", "caller"))
        number = how.pop("number", None if who is None else who.phones.split(";")[0])
        await phone.call(extension, number=number, **how)
        await phone.until("confirmed")
        return phone

    async def verified(self, extension: str = "100", who: Customer = ANNA, **how: Any) -> Phone:
        """A caller who has keyed the PIN and the code."""
        phone = await self.caller(extension, who=who, **how)
        await self.key_pin(phone, who)
        await self.key_code(phone, who)
        return phone

    async def talking(self, agent: Phone, extension: str = "200") -> Phone:
        """A verified caller whom this agent has answered."""
        caller = await self.verified(extension)
        await agent.incoming()
        await agent.answer()
        return caller

    async def key_pin(self, phone: Phone, who: Customer = ANNA, **how: Any) -> None:
        """Wait for the question, and key the right PIN."""
        await self.asked("pin")
        await phone.send_digits(f"{who.pin}#", **how)

    async def key_code(self, phone: Phone, who: Customer = ANNA, *, text: int = 1, **how: Any) -> Event:
        """Wait for the question and the text, and key its code."""
        await self.asked("sms_code")
        return await phone.send_digits(await self.code(who, text=text), **how)

    async def code(self, who: Customer = ANNA, *, text: int = 1) -> str:
        """The code of the so-many-th text to the customer."""
        message = await asyncio.to_thread(self.stage.wait_text, who.phones.split(";")[0], text)
        return code_in(message)

    # ------------------------------------------------------------ the workers

    def another(self) -> Worker:
        """Another worker on this stage, not started, whose log has nothing of one before."""
        return self.stage.worker(f"another{next(_serial)}", port=self.worker.port)

    def log(self, event: str | None = None, *, of: Worker | None = None, **fields: object) -> list[dict[str, Any]]:
        """The worker's log lines of this kind, with these fields."""
        return [
            line
            for line in (of or self.worker).log()
            if (event is None or line.get("event") == event) and all(line.get(k) == v for k, v in fields.items())
        ]

    def strays(self) -> list[dict[str, Any]]:
        """The lines of calls that do not say which, and those of none that say one."""
        calls = {
            line["call"] for event in ("call.started", "call.taken_up", "published.called") for line in self.log(event)
        }
        strays = [
            line
            for line in self.log()
            if (
                line.get("call") not in calls
                if line["event"] in OF_A_CALL
                else line["event"] in OF_NONE and "call" in line
            )
        ]
        # a gateway takes notices too, and they are of no call
        of_notices = [line for line in strays if line["event"] == "gateway.took" and "call" not in line]
        of_notices = of_notices[: len(self.log("notice.sent"))]
        return [line for line in strays if line not in of_notices]

    async def logged(
        self, event: str, count: int = 1, *, limit: float = LIMIT, of: Worker | None = None, **fields: object
    ) -> dict[str, Any]:
        """Wait until the worker has logged this so often; the last of them."""
        await self.until(lambda: len(self.log(event, of=of, **fields)) >= count, f"{count} × {event} {fields}", limit)
        return self.log(event, of=of, **fields)[count - 1]

    async def asked(self, entry: str, count: int = 1) -> dict[str, Any]:
        """Wait until the caller has been asked for this entry so often."""
        return await self.logged("entry.asked", count, entry=entry)

    async def until(self, condition: Callable[[], bool], what: str, limit: float = LIMIT) -> None:
        """Wait for a condition; on failure, say what the worker logged."""
        try:
            async with asyncio.timeout(limit):
                while not condition():
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise TimeoutError(f"waited {limit:g} s in vain for {what}:\n{self._tail()}") from None

    async def reached(self, path: str, **fields: str) -> dict[str, str]:
        """Wait until the dialplan's branch (`verified`, `unverified`) was reached."""
        return await self.ami.user_event("Reached", Path=path, timeout=LIMIT, **fields)

    async def idle(self) -> None:
        """Wait until no channel and no bridge is left in Asterisk, and no call in the worker."""
        try:
            await asyncio.to_thread(self.stage.pbx.wait_idle, LIMIT)
        except TimeoutError as error:
            raise TimeoutError(f"{error}:\n{self._left_over()}") from None
        if not self.worker.child.alive:
            return
        started = len(self.log("call.started"))
        await self.until(lambda: len(self.log("call.ended")) >= started, "every call to end in the worker")

    def _tail(self) -> str:
        said = self.stage.pbx.said().splitlines()[-25:]
        lines = [str(line) for line in self.worker.log()[-25:]]
        return "\n".join(["Asterisk's log:", *said, "the worker's log:", *lines])

    def _left_over(self) -> str:
        pbx = self.stage.pbx
        return "\n".join([pbx.cli("core show channels concise"), str(pbx.ari("GET", "bridges")), self._tail()])

    # ------------------------------------------------------------ the stores

    @property
    def redis(self) -> redis.Redis:
        """The live store, seen from outside."""
        return redis.Redis(port=self.stage.redis.port, password=self.stage.redis.password, decode_responses=True)

    def marks(self) -> list[str]:
        """The keys of all marks."""
        with self.redis as client:
            return [str(key) for key in client.scan_iter("*:mark:*")]

    def records(self) -> list[str]:
        """The keys of what is recorded of calls."""
        with self.redis as client:
            return [str(key) for key in client.scan_iter("*:call:*") if ":fail:" not in str(key)]

    def audit(self, action: str = "verify") -> list[dict[str, Any]]:
        """The audit rows of this action, in their order."""
        # one that is left open until it is collected may have others of this process read a journal that is gone
        with closing(sqlite3.connect(self.stage.database)) as database:
            database.row_factory = sqlite3.Row
            rows = database.execute("select * from audit where action = ? order by at, seq", (action,)).fetchall()
        return [dict(row) for row in rows]
