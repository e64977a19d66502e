"""What can be set. Every description is what an administrator reads in the documentation and in an error's cure."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from phonenumbers import SUPPORTED_REGIONS
from pydantic import Field, field_validator, model_validator

from ivr.config.agi import Agi
from ivr.config.asterisk import Asterisk
from ivr.config.backup import Backup
from ivr.config.clear import CaFile, PlainText, loopback, parts_of, refuse_clear
from ivr.config.metrics import Metrics
from ivr.config.retention import Retention
from ivr.config.section import Endpoint, Minutes, Name, Place, Seconds, Section
from ivr.config.texts import Texts


class Worker(Section):
    """This running program."""

    name: Name = Field(
        "tillit", description="Names this worker in the log and the audit trail: letters, digits, - and _"
    )
    # the longest sentence that callers hear then lasts 9 s
    shutdown_seconds: Seconds = Field(
        15, description="Seconds that calls are given to be handed back to the dialplan when the worker is stopped"
    )
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


class Redis(Section):
    """Counters, codes and marks."""

    url: str = Field(
        "redis://127.0.0.1:6379/0", pattern=r"^(rediss?|unix)://[^@?\s]+$",
        description="redis://HOST:PORT/DB, rediss:// with TLS, or unix:///SOCKET; without a password",
    )  # fmt: skip
    username: str | None = Field(None, description="The user, where Redis has users")
    password_file: Path | None = Field(None, description="A file that holds the password and nothing else")
    password_env: str | None = Field(None, description="Or the environment variable that holds it")
    ca_file: CaFile = None
    plain_text: PlainText = False
    request_seconds: float = Field(2.0, gt=0, le=30, description="Seconds after which a request counts as failed")
    sentinels: tuple[Place, ...] = Field(
        (),
        description='Sentinels that know where Redis is, such as ["10.0.0.1:26379"]: url gives TLS and the database alone',
    )
    sentinel_name: Name = Field("tillit", description="What the sentinels call this Redis (sentinel monitor NAME)")
    sentinel_username: str | None = Field(None, description="The user at the sentinels, where they have users")
    sentinel_password_file: Path | None = Field(None, description="A file that holds the sentinels' password")
    sentinel_password_env: str | None = Field(None, description="Or the environment variable that holds it")
    replicas: int = Field(
        0, ge=0, le=10,
        description="Replicas that must have a count, a code or a mark before it holds, see Sentinels in docs/operations.md for how many",
    )  # fmt: skip
    prefix: Name = Field("tillit", description="What every key begins with")

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        if (url := parts_of(self.url)) and url.scheme == "redis":
            refuse_clear(
                url.hostname, accepted=self.plain_text, cure="Write rediss:// in url, and tls-port in redis.conf"
            )
            for place in self.sentinels:
                refuse_clear(
                    place.rpartition(":")[0],
                    accepted=self.plain_text,
                    cure="Write rediss:// in url, and tls-port in redis.conf",
                )
        return self


class Database(Section):
    """Customers and the audit trail."""

    url: str = Field(
        "sqlite:///tillit.db", pattern=r"^(sqlite:///[^?\s]+|postgresql://[^@?\s]+)$",
        description="sqlite:///FILE (beside the TOML file unless it begins with a slash) or postgresql://HOST/NAME",
    )  # fmt: skip
    username: str | None = Field(None, description="The user, for PostgreSQL")
    password_file: Path | None = Field(None, description="A file that holds the password and nothing else")
    password_env: str | None = Field(None, description="Or the environment variable that holds it")
    ca_file: CaFile = None
    plain_text: PlainText = False
    request_seconds: float = Field(5.0, gt=0, le=60, description="Seconds after which a request counts as failed")

    @property
    def encrypted(self) -> bool:
        """Whether it is spoken to by TLS: wherever it is on another machine, and where a CA is named."""
        url = parts_of(self.url)
        if url is None or url.scheme != "postgresql" or not url.hostname:
            return False
        return self.ca_file is not None or not (self.plain_text or loopback(url.hostname))


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


class Keypad(Section):
    """How long callers are waited for."""

    first_seconds: Seconds = Field(10, description="Seconds from the end of a prompt to the first key")
    between_seconds: Seconds = Field(5, description="Seconds between two keys")
    slips: int = Field(
        3, ge=1, le=10, description="How often an entry is asked for when nothing, or too little, is keyed"
    )


class CustomerNumber(Section):
    """What customer numbers look like."""

    least: int = Field(4, ge=1, le=20, description="The fewest digits of a customer number")
    most: int = Field(12, ge=1, le=20, description="The most digits of a customer number")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.least > self.most:
            raise ValueError("least is more than most. Lower the one, or raise the other")
        return self


class Pin(Section):
    """The step `pin`."""

    least: int = Field(4, ge=4, le=12, description="The fewest digits of a PIN")
    most: int = Field(8, ge=4, le=12, description="The most digits of a PIN")
    tries: int = Field(3, ge=1, le=10, description="Tries in one call")
    # OWASP's password storage cheat sheet names N=2^14, r=8, p=5 (16 MiB) among its equal choices.
    scrypt_log2_n: int = Field(14, ge=14, le=20, description="Cost of scrypt: N is 2 to this power")
    scrypt_p: int = Field(5, ge=1, le=16, description="Cost of scrypt: rounds one after another")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.least > self.most:
            raise ValueError("least is more than most. Lower the one, or raise the other")
        return self


class SmsCode(Section):
    """The step `sms_code`. NIST SP 800-63B-4 3.1.3: at least 6 digits, at most 10 minutes, used once."""

    digits: int = Field(6, ge=6, le=10, description="Digits of a code")
    life_minutes: int = Field(5, ge=1, le=10, description="Minutes that a code is valid")
    tries: int = Field(3, ge=1, le=5, description="Tries for a code; a new text does not give more")
    resend_seconds: int = Field(60, ge=60, le=600, description="Seconds between two texts to one customer")
    sends: int = Field(3, ge=1, le=5, description="Texts in one call")
    sends_per_hour: int = Field(6, ge=1, le=30, description="Texts to one customer in an hour")


class Steps(Section):
    """Settings of each way of verifying."""

    pin: Pin = Field(default_factory=Pin, description="The PIN on record, keyed")
    sms_code: SmsCode = Field(default_factory=SmsCode, description="A code by text message, keyed back")


class Limits(Section):
    """Against guessing across calls, and what texts may cost. After a lock ends one more try is granted, and the next lock is twice as long."""

    customer_in_a_row: int = Field(10, ge=3, le=100, description="Failures in a row for one customer, then a lock")
    customer_lock_minutes: Minutes = Field(15, description="Minutes of the first lock of a customer")
    customer_most: int = Field(
        100, ge=10, le=100, description="Failures in a row after which only `customer unlock`, by two persons, helps"
    )
    number_in_a_row: int = Field(
        20, ge=3, le=1000, description="Failures in a row from one calling number, then a lock"
    )
    number_lock_minutes: Minutes = Field(30, description="Minutes of the first lock of a calling number")
    call: int = Field(5, ge=1, le=20, description="Failures in one call")
    all: int = Field(
        1000, ge=10, description="Failures over all calls in the window, then nobody is verified until it ends"
    )
    all_alarm: int = Field(
        100,
        ge=5,
        description="Failures over all calls in the window, then the log warns of them (`guessing.suspected`)",
    )
    all_window_minutes: Minutes = Field(10, description="Minutes of that window")
    texts_per_hour: int = Field(3000, ge=1, description="Texts in an hour, then none goes to anybody")
    texts_country_per_hour: int = Field(2000, ge=1, description="Texts in an hour to one country, then none goes there")
    texts_prefix_per_hour: int = Field(
        200, ge=1, description="Texts in an hour to numbers that begin alike, then none goes to such numbers"
    )
    # five leave ten thousand numbers of the shortest that are usual, and nobody is told of by them
    texts_prefix_digits: int = Field(
        4, ge=1, le=5, description="Digits behind the country's code in which such numbers are alike"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.customer_in_a_row > self.customer_most:
            raise ValueError("customer_in_a_row is more than customer_most. Lower the one, or raise the other")
        return self


class Log(Section):
    """What the program writes to its standard output."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="The least level that is written")
    format: Literal["text", "json"] = Field("text", description='"json": one object a line; "text": for people')


class Policy(Section):
    """What a caller must do, and where the call goes then."""

    steps: tuple[Name, ...] = Field(min_length=1, description='The steps in their order, such as ["pin", "sms_code"]')
    level: int = Field(
        ge=1, le=3, description="The level it gives: 1 one factor, 2 two factors of different kinds, 3 eID"
    )
    tries: int | None = Field(
        None, ge=1, le=5, description="Tries for each step, where this policy grants other than the steps' own settings"
    )
    code_minutes: int | None = Field(
        None, ge=1, le=10, description="Minutes that a code is valid, where other than in [steps.sms_code]"
    )
    mark_minutes: Minutes = Field(30, description="Minutes that the mark is good for, within this call")
    queue_priority: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="QUEUE_PRIO of verified callers: Queue() serves the highest first; others have 0",
    )
    hand_over: Literal["continue", "bridge"] = Field(
        "continue", description='"continue": back to the dialplan, for Queue(); "bridge": the agents below are called'
    )
    agents: tuple[Endpoint, ...] = Field((), description='For "bridge": endpoints such as ["PJSIP/anna", "PJSIP/bo"]')
    ring: Literal["in_turn", "all"] = Field(
        "in_turn", description='For "bridge": one agent after another, or all at once'
    )
    ring_seconds: Seconds = Field(20, description='For "bridge": seconds that an agent\'s phone rings')

    @field_validator("steps")
    @classmethod
    def _once_each(cls, steps: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(steps)) != len(steps):
            raise ValueError("a step is named twice. Name each once")
        return steps

    @model_validator(mode="after")
    def _agents_to_call(self) -> Self:
        if self.hand_over == "bridge" and not self.agents:
            raise ValueError('hand_over is "bridge", but agents names nobody. Name endpoints such as ["PJSIP/anna"]')
        return self


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

    def path(self, path: Path) -> Path:
        """A path of the settings, made absolute."""
        return self._file.parent / path
