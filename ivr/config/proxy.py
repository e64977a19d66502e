"""The settings of the proxy in front of a CRM: where it is, what stands behind it, and what it protects there."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ivr.config.clear import CaFile, loopback, parts_of
from ivr.config.metrics import Metrics
from ivr.config.patterns import Free, Pattern, check_path
from ivr.config.section import Name, Seconds
from ivr.config.served import Served


class Proxy(Served):
    """A proxy in front of a CRM, a process of its own. Whoever has signed in at the desk uses it, under the rule of the lock."""

    listen: str | None = Field(
        None, description='Address and port, such as "127.0.0.1:8444"; left out, there is no proxy'
    )
    upstream: str | None = Field(
        None, pattern=r"^https?://[^/?#@\s]+$",
        description='The CRM, such as "https://crm.internal:8080", with nothing behind. It must not be reached but by the proxy',
    )  # fmt: skip
    upstream_ca_file: CaFile = None
    upstream_plain_text: bool = Field(
        False, description="Lets it go in clear to a CRM on another machine; for networks that are encrypted themselves"
    )
    upstream_host: Literal["own", "public"] = Field(
        "own", description='The name by which the CRM is asked: its own, or "public", that of the proxy\'s url'
    )
    tenants: tuple[Name, ...] = Field(
        ("main",), min_length=1,
        description="Whose people it lets through: the CRM's customers are theirs. Name several only where the CRM itself tells their customers apart, by the tenant in X-Tillit-Mark",
    )  # fmt: skip
    free: tuple[Free, ...] = Field(
        (), description='What needs no customer, for whoever has signed in: ["/", "/assets/**", "POST /login"]. '
        "A pattern goes before what has a * here"
    )  # fmt: skip
    others: Literal["refuse", "pass"] = Field(
        "refuse", description='What becomes of addresses that are in no pattern and not free. "pass" protects what is listed, and nothing else'
    )  # fmt: skip
    connect_seconds: Seconds = Field(5, description="Seconds in which the CRM must take a connection")
    answer_seconds: Seconds = Field(
        30, description="Seconds in which it must begin to answer, and between the parts of what it sends"
    )
    request_kilobytes: int = Field(10_240, ge=1, le=1_048_576, description="The longest body of a request")
    # each connection may have one in memory
    change_kilobytes: int = Field(
        256, ge=1, le=8192,
        description="The longest body of a request about a customer, which is read whole first; one that is looked into has at most 256",
    )  # fmt: skip
    # it is read, looked through and written anew in one go, while all others wait
    answer_kilobytes: int = Field(
        1024, ge=1, le=8192, description="The longest answer of which parts are taken out, or numbers compared"
    )
    per_minute: int = Field(3000, ge=10, le=100_000, description="Requests of one person in a minute")
    connections: int = Field(2000, ge=10, le=50_000, description="Connections at once")
    connections_of_one: int = Field(
        500, ge=1, le=50_000, description="Of those, from one address that is not one of allow_proxies"
    )
    upstream_connections: int = Field(
        100,
        ge=1,
        le=10_000,
        description="Connections to the CRM at once; who finds none waits, and one person has a sixth of them at most: below 12 one, so that a page which waits for news holds up that person's others",
    )
    shutdown_seconds: int = Field(
        5, ge=1, le=60, description="Seconds in which requests may come to their end when the proxy is stopped"
    )
    metrics: Metrics = Field(default_factory=Metrics, description="What monitoring reads of the proxy")
    patterns: dict[Name, Pattern] = Field({}, description="What holds customers' data, each a [proxy.patterns.NAME]")

    @model_validator(mode="after")
    def _passes_on_safely(self) -> Self:
        for one in self.free:
            check_path(one.partition(" ")[2] or one, number=False)
        if self.listen is not None and self.upstream is None:
            raise ValueError("listen is there, and upstream is not. Write the address of the CRM, https://HOST")
        url = parts_of(self.upstream) if self.upstream else None
        if self.upstream and (url is None or not url.hostname):
            raise ValueError("upstream has no host that can be read. Write https://HOST or https://HOST:PORT")
        if url is not None and url.scheme == "http":
            if not self.upstream_plain_text and not loopback(url.hostname or ""):
                raise ValueError(
                    "upstream would be asked in clear on another machine. Write https:// in upstream; "
                    "or upstream_plain_text = true where the way there is encrypted itself"
                )
            if self.upstream_ca_file is not None:
                raise ValueError("upstream begins with http://, but there is a CA. Write https://")
        return self
