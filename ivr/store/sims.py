"""That a telephone number of a customer's has another SIM: whoever has that has the texts, and may be somebody else."""

from __future__ import annotations

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.secret import Personal
from ivr.store import mails, notices
from ivr.store.notices import Contact, What
from ivr.store.register import Customer
from ivr.store.tables import PHONES
from ivr.vault import Vault

# Seconds in which it is the same replacement, said once more: nobody is told again.
_SAME = 3600


async def replaced(
    connection: AsyncConnection, vault: Vault, customer: Customer, phone: Personal, at: float
) -> int | None:
    """Take this number of the customer's for one that is new since `at` (seconds since the epoch), and owe the others a notice.

    How many are told: the number that has been on record for longest of the others, and the mail address. None where it was said not long ago.
    Said again, it lengthens the time. In the transaction of the audit row.
    """
    held = sorted(
        zip(customer.since, range(len(customer.phones)), customer.phones, strict=True), key=lambda one: one[:2]
    )
    where = (PHONES.c.customer == customer.ref) & (PHONES.c.phone_index == vault.index.phone(phone))
    await connection.execute(update(PHONES).where(where).values(since=int(at)))
    if any(since > at - _SAME for since, _, one in held if one == phone):
        return None
    told = [Contact(one, What.SIM) for _, _, one in held if one != phone][:1]
    if (mail := await mails.held(connection, vault, customer.ref)) is not None:
        told.append(Contact(mail.address, What.SIM, by_mail=True))
    for contact in told:
        await notices.owe(connection, vault, customer.ref, contact, at)
    return len(told)
