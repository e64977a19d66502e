"""One bind to a message centre: requests by their numbers, no more than so many unanswered, and a look whether it is there."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address

from ivr.config import tls
from ivr.errors import NumberRefused, TextError
from ivr.outward.address import AddressError, Addresses
from ivr.secret import Secret
from ivr.sms import smpp_wire as wire
from ivr.sms.smpp_wire import Malformed, Pdu, Receipt

# Seconds for a connection to stand, and for an answer that is no text's.
_CONNECT = 3.0
_ANSWER = 5.0
# Seconds of silence after which it is asked whether anybody is there (SMPP 3.4 4.11; a firewall forgets in some minutes).
_SILENCE = 30.0
# Seconds for what is on its way to go out when it ends: a centre that reads nothing would hold it open for ever.
_LAST_WORDS = 1.0
# What came and is not answered yet: as many again wait at the centre.
_UNANSWERED = 100
# Numbers of requests begin anew behind this (3.2).
_LAST = 0x7FFFFFFF

CUT = "the connection broke before its answer was whole"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the centre is, and who we are there. `trusted`: None in clear."""

    host: str
    port: int
    addresses: Addresses
    trusted: ssl.SSLContext | None
    system_id: str
    password: Secret
    system_type: str
    window: int


Heard = Callable[[Receipt], Awaitable[bool]]


class Bind:
    """From `open` on, until it breaks or is closed."""

    def __init__(
        self, place: Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: Heard | None
    ) -> None:
        self._place = place
        self._reader = reader
        self._writer = writer
        self._heard = heard
        self._window = asyncio.Semaphore(place.window)
        self._asked: dict[int, asyncio.Future[Pdu]] = {}
        self._sequence = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._deliveries = asyncio.Semaphore(_UNANSWERED)
        self._answered = asyncio.Event()
        # since when a text has no answer, and none that came behind it has
        self._owed: float | None = None
        self.broken = asyncio.Event()

    @classmethod
    async def open(cls, place: Place, heard: Heard | None) -> Bind:
        """Connect, and be taken for whom the settings say. Raises `TextError`.

        `heard` says whether a receipt was kept; None for a bind that is sent none: they go to another of the account.
        """
        try:
            async with asyncio.timeout(_CONNECT):
                reader, writer = await _connected(place)
        except (OSError, TimeoutError) as error:
            raise TextError(_told(error)) from None
        bind = cls(place, reader, writer, heard)
        bind._begin(bind._read_all())
        try:
            number = bind._number()
            async with asyncio.timeout(_ANSWER):
                asks = wire.bind(place.system_id, place.password, place.system_type, number, told=heard is not None)
                answer = await bind._ask(number, asks)
            if answer.status != wire.OK:
                raise TextError(_refusal(answer.status))
        except BaseException as error:
            bind._break()
            await bind.close()
            if isinstance(error, TimeoutError):
                raise TextError("no answer in time") from None
            raise
        bind._begin(bind._look())
        return bind

    async def submit(self, message: wire.Message) -> str:
        """The id that the centre gives it. Raises `Throttled`, `NumberRefused`, `TextError`.

        Whoever gives up while it waits for its turn has sent nothing; behind that, nobody knows.
        """
        async with self._window:
            number = self._number()
            if self._owed is None:
                self._owed = asyncio.get_running_loop().time()
            answer = await self._ask(number, wire.numbered(message, number))
        match answer.status:
            case wire.OK:
                return _id(answer)
            case status if status in _THROTTLED:
                raise Throttled(f"too many requests (0x{status:02x})")
            case status if status in _ABOUT_NUMBER:
                raise NumberRefused(f"no valid number (0x{status:02x})")
            case status:
                if status == wire.INVALID_STATE:
                    self._break()
                raise TextError(f"it refused the text (0x{status:02x})")

    async def close(self) -> None:
        """Say so, and go, whatever it answers."""
        if not self.broken.is_set():
            with suppress(TextError, TimeoutError, OSError):
                async with asyncio.timeout(_LAST_WORDS):
                    number = self._number()
                    await self._ask(number, Pdu(wire.UNBIND, wire.OK, number).packed())
        self._break()
        mine = asyncio.current_task()
        for task in self._tasks - {mine}:
            task.cancel()
        await asyncio.gather(*(self._tasks - {mine}), return_exceptions=True)
        with suppress(OSError):
            await self._writer.wait_closed()

    # ------------------------------------------------------------ inside

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _number(self) -> int:
        self._sequence = self._sequence % _LAST + 1
        return self._sequence

    async def _ask(self, number: int, octets: bytes) -> Pdu:
        if self.broken.is_set():
            raise TextError(CUT)
        answer: asyncio.Future[Pdu] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            self._writer.write(octets)
            await self._writer.drain()
            return await answer
        except OSError:
            raise TextError(CUT) from None
        finally:
            del self._asked[number]

    async def _read_all(self) -> None:
        try:
            while True:
                if await self._take(await wire.read(self._reader)):
                    return
        except (OSError, asyncio.IncompleteReadError, Malformed):
            pass
        finally:
            self._break()

    async def _take(self, pdu: Pdu) -> bool:
        """Whether it is the last one. Raises `OSError`."""
        if pdu.command & wire.RESPONSE:
            self._answered.set()
            if pdu.command != wire.ENQUIRE_LINK | wire.RESPONSE:
                self._owed = None
            answer = self._asked.get(pdu.sequence)
            if answer is not None and not answer.done():
                answer.set_result(pdu)
            return False
        match pdu.command:
            case wire.DELIVER_SM:
                await self._deliveries.acquire()
                self._begin(self._deliver(pdu))
            case wire.ENQUIRE_LINK | wire.UNBIND:
                await self._write(Pdu(pdu.command | wire.RESPONSE, wire.OK, pdu.sequence))
            case _:
                await self._write(Pdu(wire.GENERIC_NACK, wire.INVALID_COMMAND, pdu.sequence))
        return pdu.command == wire.UNBIND

    async def _write(self, pdu: Pdu) -> None:
        self._writer.write(pdu.packed())
        await self._writer.drain()

    async def _deliver(self, pdu: Pdu) -> None:
        try:
            status = await self._status(pdu)
            with suppress(OSError):
                await self._write(Pdu(pdu.command | wire.RESPONSE, status, pdu.sequence, b"\0"))
        finally:
            self._deliveries.release()

    async def _status(self, pdu: Pdu) -> int:
        if self._heard is None:
            # taken here it would be lost to whoever waits for it
            return wire.INVALID_STATE
        try:
            found = wire.receipt(pdu.body)
        except Malformed:
            found = None
        # what people answer to a text is taken as well, or it would come again and again
        kept = found is None or await self._heard(found)
        return wire.OK if kept else wire.NOT_NOW

    async def _look(self) -> None:
        """Until nobody answers any more."""
        while True:
            self._answered.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_SILENCE):
                    await self._answered.wait()
            if self._owed is not None and asyncio.get_running_loop().time() - self._owed >= _SILENCE:
                # it is there, and what has the texts is not
                self._break()
                return
            if self._answered.is_set():
                continue
            try:
                number = self._number()
                async with asyncio.timeout(_ANSWER):
                    await self._ask(number, Pdu(wire.ENQUIRE_LINK, wire.OK, number).packed())
            except (TextError, TimeoutError):
                self._break()
                return

    def _break(self) -> None:
        if self.broken.is_set():
            return
        self.broken.set()
        self._writer.close()
        asyncio.get_running_loop().call_later(_LAST_WORDS, self._writer.transport.abort)
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(TextError(CUT))


class Throttled(TextError):
    """The centre takes no more now; the text was not taken."""


async def _connected(place: Place) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """To the first of its addresses that may be connected to and answers. Raises `OSError`."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(place.host, place.port, type=1)
    good = [str(where[0]) for *_, where in found if place.addresses.allows(ip_address(where[0]))]
    if not good:
        raise AddressError("no address that may be connected to")
    for one in good:
        try:
            return await asyncio.open_connection(
                one, place.port, ssl=place.trusted, server_hostname=place.host if place.trusted else None
            )
        except ssl.SSLError:
            raise
        except OSError:
            if one == good[-1]:
                raise
    raise AddressError("no address that may be connected to")


def _told(error: OSError | TimeoutError) -> str:
    """What went wrong, without a value."""
    if isinstance(error, AddressError):
        return "its name leads to a private address, which allow_private does not name"
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    return tls.fault(error) or "it cannot be connected to"


def _refusal(status: int) -> str:
    if status in (wire.WRONG_PASSWORD, wire.WRONG_SYSTEM_ID, wire.BIND_FAILED):
        return f"it does not know system_id and password (0x{status:02x})"
    return f"it does not let us in (0x{status:02x})"


def _id(answer: Pdu) -> str:
    try:
        named = wire.message_id(answer.body)
    except Malformed:
        named = ""
    if not named:
        raise TextError("its answer is not that of SMPP 3.4")
    return named


# 5.1.3: the queue is full, and throttling; of the address of whom the text is to
_THROTTLED = (0x14, 0x58)
_ABOUT_NUMBER = (0x0B, 0x50, 0x51)
