"""Any message centre that speaks SMPP 3.4."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Self

from structlog.typing import FilteringBoundLogger

from ivr.call.ports import Handed, Report
from ivr.config import Settings, tls
from ivr.errors import StoreError, TextError
from ivr.secret import Personal, Secret
from ivr.sms import smpp_wire as wire
from ivr.sms.gateway import Table
from ivr.sms.length import carried
from ivr.sms.smpp_bind import Bind, Place, Throttled
from ivr.sms.smpp_wire import Receipt

NAME = "smpp"

# Seconds before a lost bind is tried again: receipts come by it. The last one is repeated.
_WAITS = (0.2, 0.5, 1.0, 2.0, 5.0)
# Tries of a text that the centre says to take later, and seconds before the second; about twice as many before the third.
_TRIES = 3
_WAIT = 0.3
# Texts of several messages of which receipts may still come.
_MOST = 10_000

_RANDOM = random.SystemRandom()

Told = Callable[[Report], Awaitable[None]]


class Smpp:
    """Texts by one bind, which is made for the first text, kept, and made again when it was lost."""

    def __init__(
        self, place: Place, sender: str, receipt_ids: str, log: FilteringBoundLogger, told: Told | None
    ) -> None:
        """`receipt_ids`: how the centre writes ids, first in answers, then in receipts; `told`: whom receipts are told to, None where none are to come."""
        self._place = place
        self._sender = sender
        self._in_answers, self._in_receipts = _READ[receipt_ids]
        self._log = log
        self._told = told
        self._bind: Bind | None = None
        self._binding = asyncio.Lock()
        self._keeping: asyncio.Task[None] | None = None
        self._reference = secrets.randbelow(256)
        # of each message of a text but its last one: the id of that, as soon as it is known; None where the text has failed
        self._parts: OrderedDict[str, asyncio.Future[str | None]] = OrderedDict()
        # losses of messages that nobody has been told the ids of yet, while texts of several are being sent
        self._early: OrderedDict[str, Receipt] = OrderedDict()
        self._several = 0

    @classmethod
    def of(cls, settings: Settings, log: FilteringBoundLogger, told: Told | None = None) -> Self:
        """Raises `ConfigError` where a setting is missing or cannot be used."""
        table, own = Table(settings, NAME), settings.texts.smpp
        url = table.needed("url", own.url, "Write smpps://HOST:PORT")
        system_id = table.needed("system_id", own.system_id, "Write the name that the centre knows you by")
        sender = table.needed("sender", own.sender, "Write who the text is from")
        password = table.password(own.password_file, own.password_env)
        if not 1 <= len(password) <= 8 or not password.is_ascii():
            raise table.fault("password_file", "holds more than 8 letters of ASCII", "SMPP 3.4 has no longer passwords")
        parsed, addresses = table.reach(url, own.allow_private)
        encrypted = parsed.scheme == "smpps"
        place = Place(
            host=parsed.host or "", port=parsed.port or (3550 if encrypted else 2775), addresses=addresses,
            trusted=tls.context(settings, "[texts.smpp]", own.ca_file) if encrypted else None,
            system_id=system_id, password=password, system_type=own.system_type, window=own.window,
        )  # fmt: skip
        return cls(place, sender, own.receipt_ids, log, told)

    async def send(self, to: Personal, text: Secret) -> Handed:
        """Hand the text over; raises `TextError` or `NumberRefused`."""
        whole = carried(text)
        self._reference = (self._reference + 1) % 256
        reports = self._told is not None
        messages = wire.submits(self._sender, to, whole, self._reference, reports=reports)
        last: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        lost: Receipt | None = None
        self._several += len(messages) > 1
        try:
            for message in messages[:-1]:
                # its receipt may come before the next one's answer, and before its own
                part = self._in_answers(await self._submitted(message))
                self._parts[part] = last
                lost = self._early.pop(part, lost)
                if len(self._parts) > _MOST:
                    self._parts.popitem(last=False)
            named = self._in_answers(await self._submitted(messages[-1]))
            last.set_result(named)
        finally:
            if not last.done():
                last.set_result(None)
            self._several -= len(messages) > 1
            if not self._several:
                self._early.clear()
        if lost is not None and self._told is not None:
            await self._tell(self._told, named, lost)
        return Handed(NAME, named if reports else None, len(messages))

    async def reach(self) -> None:
        """Be let in, and leave; raises `TextError`."""
        bind = await self._opened()
        await bind.close()

    async def close(self) -> None:
        """End what is open."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        if self._bind is not None:
            await self._bind.close()

    # ------------------------------------------------------------ inside

    async def _submitted(self, message: wire.Message) -> str:
        tries = 0
        while True:
            bind = await self._bound()
            tries += 1
            try:
                return await bind.submit(message)
            except Throttled as error:
                if tries == _TRIES:
                    raise
                wait = _WAIT * 2 ** (tries - 1) * _RANDOM.uniform(0.5, 1.5)
                self._log.info("gateway.retried", gateway=NAME, error=str(error), seconds=round(wait, 1))
                await asyncio.sleep(wait)

    async def _opened(self) -> Bind:
        """As a transmitter where nobody is to be told: a centre gives a receipt to any bind of the account that takes them."""
        return await Bind.open(self._place, None if self._told is None else partial(self._heard, self._told))

    async def _bound(self) -> Bind:
        """Raises `TextError`."""
        async with self._binding:
            if self._bind is None or self._bind.broken.is_set():
                if self._bind is not None:
                    await self._bind.close()
                self._bind = await self._opened()
                if self._keeping is None:
                    self._keeping = asyncio.create_task(self._keep(), name="smpp")
            return self._bind

    async def _keep(self) -> None:
        """Bound, for ever: what became of a text is told to whoever is bound when it is known."""
        failures = 0
        while True:
            try:
                bind = await self._bound()
                failures = 0
                await bind.broken.wait()
                self._log.warning("smpp.lost")
            except TextError as error:
                if not failures:
                    self._log.warning("smpp.away", error=str(error))
                failures += 1
            await asyncio.sleep(_WAITS[min(failures, len(_WAITS) - 1)])

    async def _heard(self, told: Told, receipt: Receipt) -> bool:
        """Whether it is kept; else the centre is to send it again."""
        named = self._in_receipts(receipt.id)
        if (last := self._parts.get(named)) is not None:
            if not receipt.delivery.lost:
                # the last one's tells of the text
                return True
            whole = await asyncio.shield(last)
            if whole is None:
                # whoever has sent it was told that it has failed
                return True
            named = whole
        elif receipt.delivery.lost and self._several:
            self._early[named] = receipt
            if len(self._early) > _MOST:
                self._early.popitem(last=False)
        return await self._tell(told, named, receipt)

    async def _tell(self, told: Told, named: str, receipt: Receipt) -> bool:
        report = Report.of(NAME, named, receipt.delivery, receipt.code)
        if report is None:
            return True
        try:
            await told(report)
        except StoreError as error:
            self._log.warning("incoming.failed", error=str(error))
            return False
        self._log.info("report.came", gateway=NAME, delivery=report.delivery.value, code=report.code)
        return True


def _as_it_is(id: str) -> str:
    return id


def _decimal(id: str) -> str:
    return str(int(id)) if id.isascii() and id.isdecimal() else id


def _hexadecimal(id: str) -> str:
    try:
        return str(int(id, 16))
    except ValueError:
        return id


_READ: dict[str, tuple[Callable[[str], str], Callable[[str], str]]] = {
    "same": (_as_it_is, _as_it_is),
    "hex_then_decimal": (_hexadecimal, _decimal),
    "decimal_then_hex": (_decimal, _hexadecimal),
}
