"""How a proof reaches a person by e-mail."""

from __future__ import annotations

from typing import Protocol

from ivr.call.proof import Proof, Stage
from ivr.errors import MailError, NobodyThere
from ivr.lock.carry import message
from ivr.lock.proofports import Reach, Told
from ivr.secret import Personal, Secret
from ivr.store.register import Customer


class Mailer(Protocol):
    """`ivr.mail.smtp.Mailer`."""

    async def send(self, to: Personal, subject: str, text: Secret) -> None: ...


class Mails(Protocol):
    """`ivr.store.mails.Mails`."""

    async def of(self, ref: str) -> Personal | None: ...


class MailCarrier:
    """To the address on record. That the server has taken it is not that it has arrived: nothing tells of that."""

    def __init__(self, mailer: Mailer, mails: Mails, url: str) -> None:
        """`url`: of the public page."""
        self._mailer = mailer
        self._mails = mails
        self._url = url.rstrip("/")

    async def reach_of(self, held: Customer, _: Personal | None, __: float) -> Reach | None:
        """None where no address is on record. It is not changed at the desk."""
        address = await self._mails.of(held.ref)
        return None if address is None else Reach(address, None)

    def parts(self, proof: Proof, word: Secret) -> int:
        """None: no text goes."""
        del proof, word
        return 0

    async def carry(self, proof: Proof, to: Personal, word: Secret, told: Told) -> None:
        """Raises `MailError` where the server does not take it, or knows no such mailbox."""
        try:
            await self._mailer.send(to, proof.shown.company, message("proof", proof, word, self._url))
        except NobodyThere as error:
            raise MailError(str(error)) from None
        await told(Stage.SENT)
