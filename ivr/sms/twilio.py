"""Twilio: https://www.twilio.com/docs/messaging/api/message-resource."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

from structlog.typing import FilteringBoundLogger

from ivr.call.ports import Handed
from ivr.config import Settings
from ivr.errors import NumberRefused, TextError
from ivr.outward.client import FORM, Answer, Client, Request, basic, form
from ivr.secret import Personal, Secret
from ivr.sms.gateway import Table
from ivr.sms.reporting import Reporting

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

    def __init__(self, client: Client, login: Secret, sender: dict[str, Secret], reports: Secret | None = None) -> None:
        """`reports`: the address that is told what becomes of a text."""
        self._client = client
        self._login = login
        self._sender = sender
        self._reports = reports

    @classmethod
    def of(cls, settings: Settings, log: FilteringBoundLogger, reporting: Reporting | None = None) -> Self:
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
        # a report that nobody can check is not asked for
        known = reporting is not None and auth_token(settings) is not None
        reports = reporting.address(NAME) if reporting is not None and known else None
        login = basic(own.api_key or account, password)
        return cls(Client(NAME, messages, addresses, log), login, sender, reports)

    async def send(self, to: Personal, text: Secret) -> Handed:
        """Hand the text over; raises `TextError` or `NumberRefused`."""
        body = {**self._sender, "To": to, "Body": text}
        if self._reports is not None:
            body["StatusCallback"] = self._reports
        handed = _judge(await self._client.send(Request({"Authorization": self._login, **FORM}, form(body))))
        return handed if self._reports is not None else replace(handed, id=None)

    async def reach(self) -> None:
        """Connect to it, and send nothing; raises `TextError`."""
        await self._client.reach()

    async def close(self) -> None:
        """End what is open."""
        await self._client.close()


def auth_token(settings: Settings) -> Secret | None:
    """What Twilio signs its reports with; None where only an API key is known. Raises `ConfigError`."""
    table, own = Table(settings, NAME), settings.texts.twilio
    if token := table.secret("auth_token", own.auth_token_file, own.auth_token_env):
        return token
    return None if own.api_key else table.secret("password", own.password_file, own.password_env)


def _judge(answer: Answer) -> Handed:
    said = answer.json()
    if not answer.good:
        match said:
            case {"code": int(code)}:
                raise _refusal(code, f"it refused the text: error {code} ({answer.status})")
            case _:
                raise TextError(f"it refused the text ({answer.status})")
    match said:
        case {"sid": str(), "status": str(status), "error_code": int(code)} if status in _DEAD:
            raise _refusal(code, f"the text failed at once: error {code}")
        case {"sid": str(sid), "status": str(status)} if status not in _DEAD:
            return Handed(NAME, sid, _segments(said))
        case _:
            raise TextError(f"its answer ({answer.status}) is not that of Twilio")


def _segments(said: object) -> int:
    """How many messages it makes of the text; with a messaging service it is not known yet, and it says 0."""
    match said:
        case {"num_segments": str(count)} if count.isdecimal():
            return max(int(count), 1)
        case _:
            return 1


def _refusal(code: int, words: str) -> NumberRefused | TextError:
    return NumberRefused(f"{_ABOUT_NUMBER[code]} ({code})") if code in _ABOUT_NUMBER else TextError(words)
