"""The settings of text messages: how they go out, and a table for each gateway."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from phonenumbers import SUPPORTED_REGIONS
from pydantic import AfterValidator, Field, IPvAnyAddress, field_validator, model_validator

from ivr.config.section import Section
from ivr.config.voice import Voice
from ivr.numbers import e164


def _sender(text: str) -> str:
    """A sender that the networks of most countries show as it is: 3GPP TS 23.040 9.1.2.5 leaves room for 11 letters."""
    if text.startswith("+"):
        if e164(text, "ZZ") is None:
            raise ValueError("begins with + and is no telephone number")
    elif (
        not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ]{0,10}", text)
        or text != text.strip()
        or not re.search("[A-Za-z]", text)
    ):
        raise ValueError("is neither a number with + nor 1 to 11 letters and digits")
    return text


def _elks_sender(text: str) -> str:
    if not text.startswith("+") and not re.fullmatch(r"[A-Za-z][A-Za-z0-9]{2,10}", text):
        raise ValueError("is neither a number with + nor 3 to 11 letters and digits that begin with a letter")
    return text


def _country(text: str) -> str:
    if text not in SUPPORTED_REGIONS:
        raise ValueError(f"{text!r} is no country that telephone numbers are known of (the United Kingdom is GB)")
    return text


Country = Annotated[str, AfterValidator(_country)]
Sender = Annotated[str, AfterValidator(_sender)]
Url = Annotated[str, Field(pattern=r"^https?://[^/?#@\s{}]+(/[^?#\s{}]*)?$")]

_ALLOW_PRIVATE = 'Private addresses that this gateway may be at, such as "10.0.0.5": no others are connected to'


class Elks(Section):
    """The gateway 46elks; used where `[texts] gateway` or `fallback` names it."""

    username: str | None = Field(None, pattern=r"^[A-Za-z0-9]+$", description="The API username of your account")
    password_file: Path | None = Field(None, description="A file that holds the API password and nothing else")
    password_env: str | None = Field(None, description="Or the environment variable that holds it")
    sender: Annotated[Sender, AfterValidator(_elks_sender)] | None = Field(
        None, description="Who the text is from: 3 to 11 letters and digits, or a number of yours with +"
    )
    url: Url = Field("https://api.46elks.com/a1", description="Where its API is")
    allow_private: tuple[IPvAnyAddress, ...] = Field((), description=_ALLOW_PRIVATE)


class Twilio(Section):
    """The gateway Twilio; used where `[texts] gateway` or `fallback` names it."""

    account_sid: str | None = Field(None, pattern=r"^AC[0-9a-fA-F]{32}$", description="Your account: AC and 32 digits")
    api_key: str | None = Field(
        None,
        pattern=r"^SK[0-9a-fA-F]{32}$",
        description="An API key: SK and 32 digits; else the account logs in itself",
    )
    password_file: Path | None = Field(
        None, description="A file that holds the API key's secret, or the account's auth token, and nothing else"
    )
    password_env: str | None = Field(None, description="Or the environment variable that holds it")
    auth_token_file: Path | None = Field(
        None,
        description="A file that holds the account's auth token, which signs delivery reports, where password_file holds an "
        "API key's secret: without it no reports are asked for",
    )
    auth_token_env: str | None = Field(None, description="Or the environment variable that holds it")
    sender: Sender | None = Field(
        None, description="Who the text is from: at most 11 letters and digits, or a number of yours with +"
    )
    messaging_service: str | None = Field(
        None, pattern=r"^MG[0-9a-fA-F]{32}$", description="Or a messaging service: MG and 32 digits"
    )
    url: Url = Field("https://api.twilio.com", description="Where its API is; regions have addresses of their own")
    allow_private: tuple[IPvAnyAddress, ...] = Field((), description=_ALLOW_PRIVATE)

    @model_validator(mode="after")
    def _one_sender(self) -> Self:
        if self.sender is not None and self.messaging_service is not None:
            raise ValueError("both sender and messaging_service are written: leave one out")
        return self


class Vonage(Section):
    """The gateway Vonage, its Messages API; used where `[texts] gateway` or `fallback` names it."""

    application_id: str | None = Field(
        None,
        pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
        description="Your application, which may use messages",
    )
    key_file: Path | None = Field(None, description="The file of the application's private key, as Vonage gave it")
    api_key: str | None = Field(None, pattern=r"^[0-9A-Za-z]{4,16}$", description="The API key of your account")
    signature_secret_file: Path | None = Field(
        None,
        description="A file that holds the account's signature secret, which signs delivery reports: without it none are asked for",
    )
    signature_secret_env: str | None = Field(None, description="Or the environment variable that holds it")
    sender: Sender | None = Field(
        None, description="Who the text is from: at most 11 letters and digits, or a number of yours with +"
    )
    url: Url = Field("https://api.nexmo.com", description="Where its API is; regions have addresses of their own")
    allow_private: tuple[IPvAnyAddress, ...] = Field((), description=_ALLOW_PRIVATE)


class Smpp(Section):
    """Any message centre that speaks SMPP 3.4; used where `[texts] gateway` or `fallback` names "smpp"."""

    url: str | None = Field(
        None, pattern=r"^smpps?://[^/?#@\s{}]+$",
        description='Where it is: "smpps://HOST:PORT"; smpp://, in clear, in your own network alone',
    )  # fmt: skip
    ca_file: Path | None = Field(
        None, description="The CA that its certificate is of; left out: those that the system trusts"
    )
    system_id: str | None = Field(None, pattern=r"^[\x21-\x7e]{1,15}$", description="The name that it knows you by")
    password_file: Path | None = Field(
        None, description="A file that holds the password, 8 letters at most, and nothing else"
    )
    password_env: str | None = Field(None, description="Or the environment variable that holds it")
    system_type: str = Field("", pattern=r"^[\x21-\x7e]{0,12}$", description="Where it wants one")
    sender: Sender | None = Field(
        None, description="Who the text is from: at most 11 letters and digits, or a number of yours with +"
    )
    window: int = Field(10, ge=1, le=1000, description="Texts that it may have without having answered")
    receipt_ids: Literal["same", "hex_then_decimal", "decimal_then_hex"] = Field(
        "same",
        description='How it writes a text\'s id: where answers have "1a2b" and receipts 6699, "hex_then_decimal"',
    )
    allow_private: tuple[IPvAnyAddress, ...] = Field((), description=_ALLOW_PRIVATE)


class Http(Section):
    """Any other gateway that takes texts by HTTP; used where `[texts] gateway` or `fallback` names "http"."""

    url: Url | None = Field(
        None, description="Where texts go: https://, without a query (URLs stand in logs), user or password"
    )
    method: Literal["POST", "PUT"] = Field("POST", description="The method of the request")
    format: Literal["json", "form"] = Field("json", description="What the body is sent as")
    body: dict[str, Any] = Field(
        {}, description='A table with {to}, {text}, {from} and {secret} in its values: { to = "{to}", text = "{text}" }'
    )
    headers: dict[str, str] = Field(
        {}, description='A table with {secret} in its values, such as { Authorization = "Bearer {secret}" }'
    )
    sender: Sender | None = Field(None, description="What {from} stands for: letters and digits, or a number with +")
    secret_file: Path | None = Field(None, description="A file that holds what {secret} stands for and nothing else")
    secret_env: str | None = Field(None, description="Or the environment variable that holds it")
    ok_field: str | None = Field(
        None,
        pattern=r"^[^.]+(\.[^.]+)*$",
        description='A field of the JSON answer, such as "messages.0.status", that tells whether the text was taken',
    )
    ok_values: tuple[str, ...] = Field(
        (), description="The values of that field that say so; else 200 to 299 is enough"
    )
    refused_statuses: tuple[Annotated[int, Field(ge=400, le=499)], ...] = Field(
        (), description="Statuses that say that this one number takes no texts, such as [422]"
    )
    allow_private: tuple[IPvAnyAddress, ...] = Field((), description=_ALLOW_PRIVATE)

    @field_validator("body")
    @classmethod
    def _body_is_filled(cls, body: dict[str, Any]) -> dict[str, Any]:
        """Placeholders that are known, where a value can be put: in values, and never in names."""
        used = _placeholders(body)
        for name in used - {"to", "text", "from", "secret"}:
            raise ValueError(f"{{{name}}} is no placeholder")
        if body and not used >= {"to", "text"}:
            raise ValueError("has no {to}, or no {text}")
        return body

    @field_validator("headers")
    @classmethod
    def _headers_can_be_sent(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not re.fullmatch(r"[\x20-\x7e]*", value):
                raise ValueError(f"{name!r} cannot be sent as a header")
            if name.lower() in _OWN_HEADERS:
                raise ValueError(f"{name} is written by the program itself")
        if _placeholders(headers) - {"secret"}:
            raise ValueError("only {secret} may stand in a header")
        return headers

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.format == "form" and not all(isinstance(value, str) for value in self.body.values()):
            raise ValueError('format is "form", and body has values that are no texts')
        if (self.ok_field is None) != (not self.ok_values):
            raise ValueError("ok_field and ok_values go together: one of them is missing")
        if "from" in _placeholders(self.body) and self.sender is None:
            raise ValueError("body has {from}, and sender is missing")
        return self


# What frames a message: a second one of these would let the two ends disagree about where it ends.
_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade"})


def _placeholders(node: object) -> set[str]:
    """The names in braces in the texts of a table."""
    match node:
        case str():
            return set(re.findall(r"\{(\w+)\}", node))
        case dict():
            if any(_placeholders(name) for name in node):
                raise ValueError("a placeholder stands in a name")
            return set().union(*map(_placeholders, node.values()))
        case list():
            return set().union(*map(_placeholders, node))
        case _:
            return set()


class Texts(Section):
    """How text messages go out."""

    gateway: Literal["outbox", "46elks", "twilio", "vonage", "smpp", "http"] = Field(
        "outbox", description='"outbox" writes each text into a file: for trying out, never for customers'
    )
    fallback: Literal["46elks", "twilio", "vonage", "smpp", "http"] | None = Field(
        None, description="The gateway that is tried where the first fails"
    )
    seconds: float = Field(
        10.0, gt=0, le=60, description="Seconds after which a text that no gateway has taken counts as failed"
    )
    second_after_seconds: float = Field(
        20.0,
        gt=0,
        le=300,
        description="Seconds in which a text must be reported as delivered; else the other gateway sends it too",
    )
    countries: tuple[Country, ...] = Field(
        (), description='Countries that texts go to, such as ["SE", "NO"]; else [company] country alone'
    )
    outbox_folder: Path = Field(Path("outbox"), description="Where the outbox writes")
    elks: Elks = Field(default_factory=Elks, alias="46elks")
    twilio: Twilio = Field(default_factory=Twilio)
    vonage: Vonage = Field(default_factory=Vonage)
    smpp: Smpp = Field(default_factory=Smpp)
    http: Http = Field(default_factory=Http)
    voice: Voice = Field(default_factory=Voice)

    @model_validator(mode="after")
    def _two_gateways(self) -> Self:
        if self.fallback == self.gateway:
            raise ValueError("fallback is the same as gateway")
        return self
