"""Twilio: https://www.twilio.com/docs/messaging/api/message-resource."""

from __future__ import annotations

from typing import NoReturn, Self

from structlog.typing import FilteringBoundLogger

from ivr.config import Settings
from ivr.errors import NumberRefused, TextError
from ivr.outward.client import FORM, Answer, Client, Request, basic, form
from ivr.secret import Personal, Secret
from ivr.sms.gateway import Table

NAME = "twilio"

# https://www.twilio.com/docs/api/errors: those that tell of the receiver's number. All others (login, credits, the
# sender, a trial account, limits) would meet other numbers as well.
_ABOUT_NUMBER = {
    21211: "no valid number",
    21214: "cannot be reached",
    21217: "no valid number",
    21265: "a short code",
    21268: "premium rate",
    21408: "its country is not enabled",
    21610: "it has unsubscribed",
    21612: "no way there from this sender",
    21614: "no mobile number",
    21635: "a fixed line",
}
# Of a message that was made, and goes nowhere.
_DEAD = ("failed", "undelivered", "canceled")


class Twilio:
    """Texts by Twilio."""

    def __init__(self, client: Client, login: Secret, sender: dict[str, Secret]) -> None:
        self._client = client
        self._login = login
        self._sender = sender

    @classmethod
    def of(cls, settings: Settings, log: FilteringBoundLogger) -> Self:
        """Raises `ConfigError` where a setting is missing or cannot be used."""
        table, own = Table(settings, NAME), settings.texts.twilio
        account = table.needed("account_sid", own.account_sid, "Write the SID of your account")
        if own.messaging_service is not None:
            sender = {"MessagingServiceSid": Secret(own.messaging_service)}
        else:
            sender = {"From": Secret(table.needed("sender", own.sender, "Write it, or messaging_service"))}
        password = table.password(own.password_file, own.password_env)
        url, addresses = table.reach(own.url, own.allow_private)
        messages = url / "2010-04-01/Accounts" / account / "Messages.json"
        return cls(Client(NAME, messages, addresses, log), basic(own.api_key or account, password), sender)

    async def send(self, to: Personal, text: Secret) -> None:
        """Hand the text over; raises `TextError` or `NumberRefused`."""
        body = {**self._sender, "To": to, "Body": text}
        _judge(await self._client.send(Request({"Authorization": self._login, **FORM}, form(body))))

    async def reach(self) -> None:
        """Connect to it, and send nothing; raises `TextError`."""
        await self._client.reach()

    async def close(self) -> None:
        """End what is open."""
        await self._client.close()


def _judge(answer: Answer) -> None:
    said = answer.json()
    if not answer.good:
        match said:
            case {"code": int(code)}:
                _refuse(code, f"it refused the text: error {code} ({answer.status})")
            case _:
                raise TextError(f"it refused the text ({answer.status})")
    match said:
        case {"sid": str(), "status": str(status), "error_code": int(code)} if status in _DEAD:
            _refuse(code, f"the text failed at once: error {code}")
        case {"sid": str(), "status": str(status)} if status not in _DEAD:
            return
        case _:
            raise TextError(f"its answer ({answer.status}) is not that of Twilio")


def _refuse(code: int, words: str) -> NoReturn:
    if code in _ABOUT_NUMBER:
        raise NumberRefused(f"{_ABOUT_NUMBER[code]} ({code})")
    raise TextError(words)
