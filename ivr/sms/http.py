"""Any gateway that takes texts by HTTP: the settings say how it wants to be asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Self
from urllib.parse import quote_plus

import orjson
from structlog.typing import FilteringBoundLogger

from ivr.call.ports import Handed
from ivr.config import Settings
from ivr.errors import NumberRefused, TextError
from ivr.outward.client import FORM, Answer, Client, Request
from ivr.secret import Personal, Secret
from ivr.sms.gateway import Table

NAME = "http"

_JSON = {"Content-Type": Secret("application/json")}
# RFC 9110 5.5, and no more than ASCII of it.
_IN_HEADER = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


class Template:
    """A text with placeholders. What is put in is escaped for where it stands, and is not looked through for more."""

    def __init__(self, text: str, escape: Callable[[Secret], Secret]) -> None:
        # what stands between placeholders, and the name of a placeholder, in turns
        self._parts = re.split(r"\{(to|text|from|secret)\}", text)
        self._escape = escape

    def filled(self, values: Mapping[str, Secret]) -> Secret:
        """The text with the values in their places."""
        return Secret.join(
            self._escape(values[part]) if place % 2 else Secret(part) for place, part in enumerate(self._parts)
        )


def in_header(value: Secret) -> Secret:
    """As it is: it was looked at before."""
    return value


def in_form(value: Secret) -> Secret:
    """As within `application/x-www-form-urlencoded`."""
    return Secret(quote_plus(value.reveal()))


def in_json(value: Secret) -> Secret:
    """As within the quotation marks of a JSON string."""
    return Secret(orjson.dumps(value.reveal()).decode()[1:-1])


class Http:
    """Texts by a gateway of the administrator's choice."""

    def __init__(self, client: Client, settings: Settings, secret: Secret | None) -> None:
        own = settings.texts.http
        self._client = client
        self._own = own
        self._values = {"from": Secret(own.sender or ""), "secret": secret or Secret("")}
        # written as JSON or a form once, placeholders and all: neither escapes { or } within a text
        if own.format == "json":
            self._body = Template(orjson.dumps(own.body).decode(), in_json)
        else:
            fields = (f"{quote_plus(name)}={quote_plus(value, safe='{}')}" for name, value in own.body.items())
            self._body = Template("&".join(fields), in_form)
        headers = {name: Template(value, in_header).filled(self._values) for name, value in own.headers.items()}
        given = {name.lower() for name in headers}
        kind = _JSON if own.format == "json" else FORM
        self._headers = headers if "content-type" in given else {**kind, **headers}

    @classmethod
    def of(cls, settings: Settings, log: FilteringBoundLogger) -> Self:
        """Raises `ConfigError` where a setting is missing or cannot be used."""
        table, own = Table(settings, NAME), settings.texts.http
        url, addresses = table.reach(
            table.needed("url", own.url, "Write where texts are sent to: https://HOST/PATH"), own.allow_private
        )
        if not own.body:
            raise table.fault("body", "is missing", 'Write such as: body = { to = "{to}", text = "{text}" }')
        secret = table.secret("secret", own.secret_file, own.secret_env)
        wanted = "{secret}" in orjson.dumps([own.body, own.headers]).decode()
        if wanted and secret is None:
            raise table.fault("secret_file", "is missing", "Name the file that holds what {secret} stands for")
        if secret is not None and not _IN_HEADER.fullmatch(secret.reveal()):
            raise table.fault("secret_file", "holds more than one line of ASCII", "Write the secret and nothing else")
        return cls(Client(NAME, url, addresses, log), settings, secret)

    async def send(self, to: Personal, text: Secret) -> Handed:
        """Hand the text over; raises `TextError` or `NumberRefused`."""
        body = self._body.filled({**self._values, "to": to, "text": text})
        self._judge(await self._client.send(Request(self._headers, body, self._own.method)))
        return Handed(NAME)

    async def reach(self) -> None:
        """Connect to it, and send nothing; raises `TextError`."""
        await self._client.reach()

    async def close(self) -> None:
        """End what is open."""
        await self._client.close()

    def _judge(self, answer: Answer) -> None:
        if answer.status in self._own.refused_statuses:
            raise NumberRefused(f"status {answer.status}")
        if not answer.good:
            raise TextError(f"it refused the text ({answer.status})")
        field = self._own.ok_field
        if field is not None and _at(answer.json(), field.split(".")) not in self._own.ok_values:
            raise TextError(f"its answer ({answer.status}) does not have {field} as ok_values says")


def _at(node: object, path: list[str]) -> str | None:
    """What stands there in a JSON value, as text; None where nothing does."""
    for name in path:
        match node:
            case dict() if name in node:
                node = node[name]
            case list() if name.isdecimal() and int(name) < len(node):
                node = node[int(name)]
            case _:
                return None
    try:
        return node if isinstance(node, str) else orjson.dumps(node).decode()
    except orjson.JSONEncodeError:
        # it reads four times deeper than it writes
        return None
