"""SMPP 3.4 on the wire (SMS Forum, Issue 1.2): what is sent, and what is read of what comes.

What is sent is put together by aiosmpplib. Its client is not used: it writes whatever waits at once, keeps what was not
sent for later, when a code is of no use any more, repeats a wrong password for ever, and takes a receipt with letters
where it wants digits for a fault of the connection.
"""

from __future__ import annotations

import asyncio
import re
import struct
from dataclasses import dataclass, field
from typing import TypeAlias

from aiosmpplib.protocol import BindTransceiver, BindTransmitter, SubmitSm
from aiosmpplib.state import NPI, TON, PhoneNumber

from ivr.call.ports import Delivery
from ivr.secret import Personal, Secret
from ivr.sms.length import Carried

GENERIC_NACK = 0x80000000
SUBMIT_SM = 0x00000004
DELIVER_SM = 0x00000005
UNBIND = 0x00000006
ENQUIRE_LINK = 0x00000015
RESPONSE = 0x80000000

OK = 0x00
INVALID_COMMAND = 0x03
INVALID_STATE = 0x04
BIND_FAILED = 0x0D
WRONG_PASSWORD = 0x0E
WRONG_SYSTEM_ID = 0x0F
# "ESME Receiver Temporary App Error": it is sent again
NOT_NOW = 0x64

_HEADER = struct.Struct("!IIII")
# Octets. The longest that is of use has a short message and some parameters.
_MOST = 4096

# Of esm_class: which kind of message it is, and a receipt among them (5.2.12); a header of its own before the text
_KIND, _RECEIPT, _UDHI = 0x3C, 0x04, 0x40
# Of registered_delivery (5.2.17): whatever becomes of it; only where it is lost
_ANY_RECEIPT, _LOST_RECEIPT = 0x01, 0x02
# Parameters of a receipt (5.3.2): the text's id, and its state as a number.
_RECEIPTED_ID, _STATE, _PAYLOAD = 0x001E, 0x0427, 0x0424


class Malformed(ValueError):
    """Not SMPP."""


@dataclass(frozen=True, slots=True)
class Pdu:
    """One message. `body`: octets behind the header; may hold a number and words."""

    command: int
    status: int
    sequence: int
    body: bytes = field(default=b"", repr=False)

    def packed(self) -> bytes:
        """As it is sent."""
        return _HEADER.pack(_HEADER.size + len(self.body), self.command, self.status, self.sequence) + self.body


async def read(reader: asyncio.StreamReader) -> Pdu:
    """The next one. Raises `Malformed`, `asyncio.IncompleteReadError`, `OSError`."""
    length, command, status, sequence = _HEADER.unpack(await reader.readexactly(_HEADER.size))
    if not _HEADER.size <= length <= _MOST:
        raise Malformed
    return Pdu(command, status, sequence, await reader.readexactly(length - _HEADER.size))


Message: TypeAlias = SubmitSm
"""One message of a text, before it has its number."""


def bind(system_id: str, password: Secret, system_type: str, sequence: int, *, told: bool) -> bytes:
    """Asks to send by this connection; and to be told by it as well, where that is so."""
    kind = BindTransceiver if told else BindTransmitter
    return _library(
        kind(sequence_num=sequence, system_id=system_id, password=password.reveal(), system_type=system_type)
    )


def submits(sender: str, to: Personal, text: Carried, reference: int, *, reports: bool) -> tuple[SubmitSm, ...]:
    """A text's messages, which are joined by the `reference`; `reports`: whether to be told what becomes of it."""
    total = len(text.parts)
    return tuple(
        _submit(
            sender, to, text.ucs2,
            part if total == 1 else bytes((5, 0, 3, reference, total, place)) + part,
            (0 if not reports else _ANY_RECEIPT if place == total else _LOST_RECEIPT),
            joined=total > 1,
        )
        for place, part in enumerate(text.parts, 1)
    )  # fmt: skip


def numbered(submit: SubmitSm, sequence: int) -> bytes:
    """A message as it is sent."""
    submit.sequence_num = sequence
    return _library(submit)


def _submit(sender: str, to: Personal, ucs2: bool, octets: bytes, receipt: int, *, joined: bool) -> SubmitSm:
    made = SubmitSm(
        # it wants some text, and takes the octets in its stead
        short_message=" ",
        source=_source(sender),
        destination=PhoneNumber(to.reveal().removeprefix("+"), TON.INTERNATIONAL, NPI.ISDN),
        esm_class=_UDHI if joined else 0,
        registered_delivery=receipt,
        encoding="ucs2" if ucs2 else None,
    )
    made.set_encoded_message(octets)
    return made


def _source(sender: str) -> PhoneNumber:
    if sender.startswith("+"):
        return PhoneNumber(sender[1:], TON.INTERNATIONAL, NPI.ISDN)
    return PhoneNumber(sender, TON.ALPHANUMERIC, NPI.UNKNOWN)


def _library(message: BindTransceiver | BindTransmitter | SubmitSm) -> bytes:
    return bytes(message.pdu())


# ---------------------------------------------------------------- what comes


def message_id(body: bytes) -> str:
    """Of the answer to a text. Raises `Malformed`."""
    return _Body(body).text()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a text; `id` as the centre writes it there."""

    id: str
    delivery: Delivery
    code: str


def receipt(body: bytes) -> Receipt | None:
    """What a DELIVER_SM says; None where it is no receipt, or not of a text that is named. Raises `Malformed`."""
    read = _Body(body)
    read.text()
    for _ in range(2):
        read.skip(2)
        read.text()
    kind = read.octet()
    read.skip(2)
    read.text()
    read.text()
    read.skip(4)
    words = read.take(read.octet()).decode("ascii", errors="replace")
    more = read.parameters()
    if kind & _KIND != _RECEIPT:
        return None
    words = words or more.get(_PAYLOAD, b"").decode("ascii", errors="replace")
    named = _field(words, "id") or more.get(_RECEIPTED_ID, b"").rstrip(b"\0").decode("ascii", errors="replace")
    state = int.from_bytes(more.get(_STATE, b"\0"), "big")
    delivery = _STATS.get(_field(words, "stat").upper()) or _STATES.get(state, Delivery.UNKNOWN)
    return Receipt(named, delivery, _field(words, "err")) if named else None


# Appendix B: seven letters, though some write more of them.
_STATS = {
    "ENROUTE": Delivery.SENT,
    "ACCEPTD": Delivery.SENT,
    "DELIVRD": Delivery.DELIVERED,
    "EXPIRED": Delivery.EXPIRED,
    "DELETED": Delivery.UNDELIVERED,
    "UNDELIV": Delivery.UNDELIVERED,
    "REJECTD": Delivery.FAILED,
    "UNKNOWN": Delivery.UNKNOWN,
}
# 5.2.28
_STATES = {
    1: Delivery.SENT,
    2: Delivery.DELIVERED,
    3: Delivery.EXPIRED,
    4: Delivery.UNDELIVERED,
    5: Delivery.UNDELIVERED,
    6: Delivery.SENT,
    8: Delivery.FAILED,
}


def _field(words: str, name: str) -> str:
    """The value behind `name:`, up to a space; empty where there is none. What is behind `text:` is the person's."""
    before, _, _ = words.partition("text:")
    found = re.search(rf"(?:^|\s){name}:([^\s:]*)", before or words, re.IGNORECASE)
    return found.group(1) if found else ""


class _Body:
    """Reads octets in turn. Every method raises `Malformed` where there are too few."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    def take(self, count: int) -> bytes:
        """So many."""
        end = self._at + count
        if end > len(self._octets):
            raise Malformed
        found, self._at = self._octets[self._at : end], end
        return found

    def skip(self, count: int) -> None:
        """Past so many."""
        self.take(count)

    def octet(self) -> int:
        """One, as a number."""
        return self.take(1)[0]

    def text(self) -> str:
        """A C-octet string."""
        end = self._octets.find(b"\0", self._at)
        if end < 0:
            raise Malformed
        found = self.take(end - self._at).decode("ascii", errors="replace")
        self.skip(1)
        return found

    def parameters(self) -> dict[int, bytes]:
        """The optional ones, by their tags; those that are cut off are none."""
        found: dict[int, bytes] = {}
        while len(self._octets) - self._at >= 4:
            tag, length = struct.unpack("!HH", self.take(4))
            if len(self._octets) - self._at < length:
                break
            found[tag] = self.take(length)
        return found
