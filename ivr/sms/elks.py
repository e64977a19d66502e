"""46elks: https://46elks.com/docs/send-sms."""

from __future__ import annotations

import re
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

NAME = "46elks"

# Whatever is refused is answered with 403, or another status of 400 and above, and a sentence. There is no published
# list of these. One that names the receiver counts as about this number; any other (login, credits, sender) as about all.
_ABOUT_NUMBER = re.compile(
    r"['\"`]to['\"`]|\bkey to\b|\binvalid to\b|\bto[-_ ](?:phone[-_ ]?)?number\b|\b(?:recipient|receiver|destination)\b",
    re.IGNORECASE,
)


class Elks:
    """Texts by 46elks. They are asked not to keep the words: a code is nothing for their history of messages."""

    def __init__(self, client: Client, login: Secret, sender: str, reports: Secret | None = None) -> None:
        """`reports`: the address that is told what becomes of a text."""
        self._client = client
        self._login = login
        self._sender = sender
        self._reports = reports

    @classmethod
    def of(cls, settings: Settings, log: FilteringBoundLogger, reporting: Reporting | None = None) -> Self:
        """Raises `ConfigError` where a setting is missing or cannot be used."""
        table, own = Table(settings, NAME), settings.texts.elks
        username = table.needed("username", own.username, "Write the API username of your account")
        sender = table.needed("sender", own.sender, "Write who the text is from")
        password = table.password(own.password_file, own.password_env)
        url, addresses = table.reach(own.url, own.allow_private)
        reports = None if reporting is None else reporting.address(NAME)
        return cls(Client(NAME, url / "sms", addresses, log), basic(username, password), sender, reports)

    async def send(self, to: Personal, text: Secret) -> Handed:
        """Hand the text over; raises `TextError` or `NumberRefused`."""
        body = {"from": Secret(self._sender), "to": to, "message": text, "dontlog": Secret("message")}
        if self._reports is not None:
            body["whendelivered"] = self._reports
        handed = _judge(await self._client.send(Request({"Authorization": self._login, **FORM}, form(body))))
        return handed if self._reports is not None else replace(handed, id=None)

    async def reach(self) -> None:
        """Connect to it, and send nothing; raises `TextError`."""
        await self._client.reach()

    async def close(self) -> None:
        """End what is open."""
        await self._client.close()


def _judge(answer: Answer) -> Handed:
    if not answer.good:
        if answer.status in (400, 403) and _ABOUT_NUMBER.search(answer.body.decode(errors="replace")):
            raise NumberRefused(f"status {answer.status}")
        raise TextError(_REFUSALS.get(answer.status, "it refused the text") + f" ({answer.status})")
    match answer.json():
        case {"id": str(), "status": "failed"}:
            raise NumberRefused("failed at once")
        case {"id": str(id), "parts": int(parts)}:
            return Handed(NAME, id, parts)
        case {"id": str(id)}:
            return Handed(NAME, id)
        case _:
            raise TextError(f"its answer ({answer.status}) is not that of 46elks")


_REFUSALS = {
    401: "it does not know username and password",
    403: "it refused the text: credits, sender, or rights of the account",
    404: "its url is not that of an API",
}
