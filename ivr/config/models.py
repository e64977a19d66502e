"""The whole file, and its tables of a few lines. Every description is what an administrator reads in the documentation and in an error's cure."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from phonenumbers import SUPPORTED_REGIONS
from pydantic import Field, field_validator, model_validator

from ivr.config.agi import Agi
from ivr.config.asterisk import Asterisk
from ivr.config.backup import Backup
from ivr.config.calls import Calls
from ivr.config.clear import parts_of
from ivr.config.clients import Client
from ivr.config.desk import Desk
from ivr.config.eid import Eids
from ivr.config.lock import Lock
from ivr.config.mail import Mail
from ivr.config.metrics import Metrics
from ivr.config.page import Page
from ivr.config.peers import Peers
from ivr.config.persons import Persons
from ivr.config.prove import ON_PAGE, Prove
from ivr.config.proxy import Proxy
from ivr.config.push import App, Push
from ivr.config.retention import Retention
from ivr.config.section import Name, Seconds, Section
from ivr.config.stores import Database, Redis
from ivr.config.texts import Texts
from ivr.config.tokens import Tokens
from ivr.config.verifying import CustomerNumber, Keypad, Limits, Policy, Steps
from ivr.config.webhooks import Webhook


class Worker(Section):
    """This running program."""

    name: Name = Field(
        "tillit", description="Names this worker in the log and the audit trail: letters, digits, - and _"
    )
    # most of those who are being verified have come to an end by then
    shutdown_seconds: Seconds = Field(
        60,
        description="Seconds in which calls that are being verified may come to their end when the worker is stopped and no other one "
        "goes on with them; what is left of them then hears a sentence and goes on unverified. "
        "TimeoutStopSec of the unit must be 30 more",
    )
    # a prompt of 15 seconds, and what the worker has for setting it anew
    watchdog_seconds: int = Field(
        60, ge=30, le=3600,
        description="Seconds after which Asterisk itself takes a call back that is being verified, with a sentence, where its worker has died "
        "and no other one goes on with it. As long as the worker lives, it is set anew; TILLIT_WATCHDOG of the dialplan is until then",
    )  # fmt: skip
    calls_at_once: int = Field(
        1000,
        ge=1,
        le=100_000,
        description="Calls being verified at once; further ones are sent on unverified, with a sentence",
    )
    # what a worker and its Asterisk carry of whole verifications on a machine with two processors (docs/performance.md)
    calls_per_second: int = Field(
        40, ge=1, le=10_000, description="New calls in a second; further ones are sent on in the same way"
    )
    at_once: int = Field(
        1, ge=1, le=16,
        description="Workers that serve each Asterisk at once, each an application of its own: app, app-2, … of [asterisk]; "
        "further ones stand by. The same for all workers of one Redis",
    )  # fmt: skip
    lag_seconds: float = Field(
        1.0,
        ge=0.1,
        le=60,
        description="Seconds that the worker may be late with everything; else new calls are sent on in the same way",
    )
    lease_seconds: float = Field(
        2.0, ge=0.5, le=60,
        description="Seconds after which another worker on the same Redis takes the calls of one that gives no sign of life. "
        "Shorter: callers wait less; longer: a worker that was merely slow keeps its calls",
    )  # fmt: skip


class Company(Section):
    """Who the callers believe to be calling."""

    name: str = Field(min_length=1, max_length=40, description="The company's name as it stands in text messages")
    country: str = Field(
        pattern=r"^[A-Z]{2}$", description='Two letters (ISO 3166), such as "SE": how numbers without + are read'
    )
    language: str | None = Field(
        None, pattern=r"^[a-z]{2}$",
        description='Two letters, such as "sv": spoken where neither the customer nor the channel says another; '
        "left out, it is the language that Asterisk gives to every channel, else English",
    )  # fmt: skip

    @field_validator("country")
    @classmethod
    def _known_country(cls, country: str) -> str:
        if country not in SUPPORTED_REGIONS:
            raise ValueError("is no country that telephone numbers are known of. The United Kingdom is GB")
        return country


class Keys(Section):
    """What customers' data is encrypted with, what is hashed with, and what signs the audit trail; kept apart."""

    master_file: Path | None = Field(
        Path("keys/master.key"), description="The file of the master key: mode 0600, made by `init`"
    )
    master_env: str | None = Field(None, description="Or the environment variable that holds it")
    hash_file: Path | None = Field(
        Path("keys/hash.key"), description="The file of the key for indexes, PINs and codes: mode 0600"
    )
    hash_env: str | None = Field(None, description="Or the environment variable that holds it")
    audit_file: Path | None = Field(
        Path("keys/audit.key"), description="The file of the key that signs the audit trail: mode 0600, made by `init`"
    )
    audit_env: str | None = Field(None, description="Or the environment variable that holds it")
    audit_former: tuple[str, ...] = Field(
        (), description="Public keys of earlier audit keys, as `audit key` printed them: what they signed stays good"
    )


class Audit(Section):
    """The audit trail."""

    head_seconds: Seconds = Field(
        30, description="Seconds after which a running worker signs anew how far its chain has come"
    )


class Log(Section):
    """What the program writes to its standard output."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="The least level that is written")
    format: Literal["text", "json"] = Field("text", description='"json": one object a line; "text": for people')


class Settings(Section):
    """The whole file. Relative paths in it are taken from its own folder."""

    worker: Worker = Field(default_factory=Worker)
    company: Company
    asterisk: Asterisk = Field(default_factory=Asterisk)
    agi: Agi = Field(default_factory=Agi)
    nodes: dict[Name, Asterisk] = Field({}, description="Further nodes, each a [nodes.NAME]")
    redis: Redis = Field(default_factory=Redis)
    database: Database = Field(default_factory=Database)
    keys: Keys = Field(default_factory=Keys)
    audit: Audit = Field(default_factory=Audit)
    retention: Retention = Field(default_factory=Retention)
    backup: Backup = Field(default_factory=Backup)
    keypad: Keypad = Field(default_factory=Keypad)
    customer_number: CustomerNumber = Field(default_factory=CustomerNumber)
    steps: Steps = Field(default_factory=Steps)
    limits: Limits = Field(default_factory=Limits)
    texts: Texts = Field(default_factory=Texts)
    eid: Eids = Field(default_factory=Eids)
    desk: Desk = Field(default_factory=Desk)
    lock: Lock = Field(default_factory=Lock)
    proxy: Proxy = Field(default_factory=Proxy)
    prove: Prove = Field(default_factory=Prove)
    calls: Calls = Field(default_factory=Calls)
    page: Page = Field(default_factory=Page)
    persons: Persons = Field(default_factory=Persons)
    tokens: Tokens = Field(default_factory=Tokens)
    peers: Peers = Field(default_factory=Peers)
    push: Push = Field(default_factory=Push)
    mail: Mail = Field(default_factory=Mail)
    webhooks: dict[Name, Webhook] = Field({}, description="Programs that are told of calls, each a [webhooks.NAME]")
    apps: dict[Name, App] = Field({}, description="Servers of apps that show proofs, each an [apps.NAME]")
    clients: dict[Name, Client] = Field({}, description="Programs that speak to the desk, each a [clients.NAME]")
    log: Log = Field(default_factory=Log)
    metrics: Metrics = Field(default_factory=Metrics)
    policies: dict[Name, Policy] = Field(min_length=1, description="At least one [policies.NAME]")

    _file: Path = Path("tillit.toml")

    @model_validator(mode="after")
    def _apart(self) -> Self:
        seen: dict[str, str] = {}
        for place, asterisk in self.asterisks.items():
            if (other := seen.setdefault(asterisk.address, place)) != place:
                raise ValueError(f"{other} url and {place} url are the same. Each node is an Asterisk of its own")
        if unknown := [name for name in self.desk.policies if name not in self.policies]:
            raise ValueError(
                f"[desk] policies has {unknown[0]!r}, which is none. Name those of [policies], or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _for_known_audiences(self) -> Self:
        for name, client in self.clients.items():
            if set(client.audiences) - set(self.tokens.audiences):
                raise ValueError(
                    f"[clients.{name}] audiences names one that [tokens] audiences does not. Write it there too"
                )
        return self

    @model_validator(mode="after")
    def _proxy_and_desk(self) -> Self:
        proxy, desk = parts_of(self.proxy.url or ""), parts_of(self.desk.url or "")
        if self.proxy.listen is not None and not self.desk.url:
            raise ValueError("[proxy] listen is there, and [desk] url is not. Who uses the proxy signs in at the desk")
        # whatever the port: cookies know none, and what the CRM sends could act there in the agent's name
        if proxy is not None and desk is not None and proxy.hostname and proxy.hostname == desk.hostname:
            raise ValueError("[proxy] url and [desk] url have the same host. Give the proxy a host name of its own")
        return self

    @model_validator(mode="after")
    def _page_apart(self) -> Self:
        page, desk = parts_of(self.page.url or ""), parts_of(self.desk.url or "")
        # whatever the port: cookies know none
        if page is not None and desk is not None and page.hostname and page.hostname == desk.hostname:
            raise ValueError("[page] url and [desk] url have the same host. Give the page a host name of its own")
        return self

    @model_validator(mode="after")
    def _pings_come_in(self) -> Self:
        for name, broker in self.eid.brokers.items():
            if broker.mode == "ping" and self.page.url is None:
                raise ValueError(
                    f'[eid.brokers.{name}] mode is "ping", and there is no [page] url, which it would post to. '
                    'Write one, or mode = "poll"'
                )
        return self

    @model_validator(mode="after")
    def _ways_out(self) -> Self:
        if self.prove.app is not None and self.prove.app not in self.apps:
            raise ValueError("[prove] app names none of [apps]. Write its table, or leave it out")
        if strange := [one for one in self.prove.partners if one not in self.apps]:
            raise ValueError(f"[prove] partners names none of [apps]: {strange[0]}. Write its table, or leave it out")
        if "push" in self.prove.ways and self.push.vapid_key_file is None:
            raise ValueError(
                '[prove] ways has "push", and [push] vapid_key_file is left out. Write it, or take "push" out'
            )
        if "mail" in self.prove.ways and self.mail.host is None:
            raise ValueError('[prove] ways has "mail", and [mail] host is left out. Write it, or take "mail" out')
        return self

    @model_validator(mode="after")
    def _identified_on_page(self) -> Self:
        steps: list[str] = []
        for name in self.prove.back:
            if name not in self.policies:
                raise ValueError(f"[prove] back has {name!r}, which is none. Name those of [policies], or leave it out")
            found = self.policies[name].steps
            if len(found) != 1 or found[0] not in ON_PAGE:
                raise ValueError(
                    f"[prove] back has {name!r}, whose steps are not one of: {', '.join(ON_PAGE)}. "
                    "Name a policy of one of them alone, or leave it out"
                )
            steps += found
        if len(set(steps)) < len(steps):
            raise ValueError("[prove] back has two policies of the same step. Leave one out")
        if self.prove.back and self.page.url is None:
            raise ValueError("[prove] back is there, and there is no [page] url. Write one, or leave back out")
        return self

    def read_from(self, file: Path) -> Self:
        """Remember the file: relative paths are taken from its folder, and errors name it."""
        self._file = file
        return self

    @property
    def file(self) -> Path:
        """Where the settings came from."""
        return self._file

    @property
    def asterisks(self) -> dict[str, Asterisk]:
        """Every node, by its place in the file: `[asterisk]`, `[nodes.south]`.

        Where there are [nodes.NAME], a table [asterisk] that nobody wrote is none.
        """
        first = {"[asterisk]": self.asterisk} if "asterisk" in self.model_fields_set or not self.nodes else {}
        return first | {f"[nodes.{name}]": asterisk for name, asterisk in self.nodes.items()}

    @property
    def text_countries(self) -> frozenset[str]:
        """The countries that texts go to."""
        return frozenset(self.texts.countries or (self.company.country,))

    @property
    def call_countries(self) -> frozenset[str]:
        """The countries that agents call from the desk."""
        return frozenset(self.calls.countries or (self.company.country,))

    def path(self, path: Path) -> Path:
        """A path of the settings, made absolute."""
        return self._file.parent / path
