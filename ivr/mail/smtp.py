"""E-mail by a mail server that takes it from us (RFC 6409), encrypted on the way there (RFC 8314)."""

from __future__ import annotations

import asyncio
import ssl
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as POLICY
from email.utils import localtime, make_msgid
from typing import Self

import aiosmtplib

from ivr.config import Mail, Settings, secret_of, tls
from ivr.errors import MailError, NobodyThere
from ivr.mail.address import parts
from ivr.secret import Personal, Secret

# RFC 5321 4.2.3, 5.1: the mailbox is not there, has moved, or its name cannot be one.
_NOBODY = (550, 551, 553)


class Mailer:
    """A connection for each message: some are minutes apart, and a server that has hung up is met by the next one."""

    def __init__(self, rules: Mail, company: str, password: Secret | None, trusted: ssl.SSLContext | None) -> None:
        self._rules = rules
        self._password = password
        self._trusted = trusted
        local, _, self._domain = (rules.sender or "").partition("@")
        self._from = Address(company, local, self._domain)

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """By the settings; None where there is none. Raises `ConfigError` for a file that cannot be used."""
        rules = settings.mail
        if rules.host is None:
            return None
        password = secret_of(settings, "[mail] password", rules.password_file, rules.password_env)
        trusted = None if rules.tls == "none" else tls.context(settings, "[mail]", rules.ca_file)
        return cls(rules, settings.company.name, password, trusted)

    async def send(self, to: Personal, subject: str, text: Secret) -> None:
        """Hand a message over; returns when the server has taken it, which is not that somebody has it.

        Raises `NobodyThere` where there is no such mailbox, as far as the server knows; else `MailError`.
        """
        found = parts(to.reveal())
        if found is None:
            raise NobodyThere("mail: what is on record is no address")
        try:
            message = self._message(Address("", found.local, found.domain), subject, text)
        except (ValueError, MessageError):
            # the library's words have what was given
            raise MailError("mail: it cannot be written as a message") from None
        await self._with(message)

    async def reach(self) -> None:
        """Connect and sign in, and send nothing. Raises `MailError`."""
        await self._with(None)

    def _message(self, to: Address, subject: str, text: Secret) -> EmailMessage:
        message = EmailMessage(policy=POLICY)
        message["From"] = self._from
        message["To"] = to
        message["Subject"] = subject
        message["Date"] = localtime()
        message["Message-ID"] = make_msgid(domain=self._domain)
        # RFC 3834 5: nobody answers it while on holiday
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text.reveal(), cte="quoted-printable")
        return message

    async def _with(self, message: EmailMessage | None) -> None:
        rules = self._rules
        client = aiosmtplib.SMTP(
            hostname=rules.host, port=rules.port, timeout=rules.seconds, local_hostname=self._domain,
            use_tls=rules.tls == "implicit", start_tls=rules.tls == "starttls", tls_context=self._trusted,
        )  # fmt: skip
        try:
            async with asyncio.timeout(rules.seconds):
                await client.connect()
                if rules.username is not None and self._password is not None:
                    await client.login(rules.username, self._password.reveal())
                if message is not None:
                    await client.send_message(message)
                await client.quit()
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            # the library's words have addresses, and what the server says of them
            raise _told(error) from None
        finally:
            client.close()


def _told(error: Exception) -> MailError | NobodyThere:
    match error:
        case aiosmtplib.SMTPRecipientsRefused(recipients=[aiosmtplib.SMTPRecipientRefused(code=int(code)), *_]):
            if code in _NOBODY:
                return NobodyThere(f"mail: there is no such mailbox (status {code})")
            return MailError(f"mail: the recipient was not taken (status {code})")
        case aiosmtplib.SMTPAuthenticationError():
            return MailError("mail: username or password is wrong")
        case aiosmtplib.SMTPResponseException(code=int(code)):
            return MailError(f"mail: it did not take the message (status {code})")
        case aiosmtplib.SMTPServerDisconnected():
            return MailError("mail: the connection broke")
        case aiosmtplib.SMTPTimeoutError() | TimeoutError():
            return MailError("mail: it did not answer in time")
        case _ if why := tls.fault(error):
            return MailError(f"mail: {why}")
        case aiosmtplib.SMTPConnectError() | OSError():
            return MailError("mail: it cannot be connected to")
        case _:
            return MailError("mail: it does not speak SMTP as it should, or offers no encryption")
