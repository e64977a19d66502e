"""The tables of customers, and of those who sign in. What a customer could be recognised by is encrypted, or a blind index."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

METADATA = MetaData()

KEYS = Table(
    "keys",
    METADATA,
    Column("kind", String(16), primary_key=True),
    Column("id", String(8), primary_key=True),
    Column("checks", String(32), nullable=False),
)
"""Which keys are needed to work with the data: `vault.Key.id` and `vault.Key.check`. Of master keys there may be several.

Of kind `backup`: what the newest file of data keys needs (`store.datakeys`)."""

CUSTOMERS = Table(
    "customers",
    METADATA,
    Column("ref", String(16), primary_key=True),
    Column("number_index", String(64), nullable=False),
    Column("key_id", String(8), nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("number", LargeBinary, nullable=False),
    Column("name", LargeBinary, nullable=False),
    Column("pin", LargeBinary),
    Column("language", String(2)),
    Column("policy", String(40)),
    Column("locked", Boolean, nullable=False),
    Column("tenant", String(40), nullable=False, server_default="main"),
    UniqueConstraint("number_index", "tenant", name="customers_by_number"),
)
"""`key_id` and `wrapped` are the envelope; `number`, `name` and `pin` are sealed in it. A number is one customer's of each tenant."""

PHONES = Table(
    "phones",
    METADATA,
    Column("customer", String(16), ForeignKey("customers.ref", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("phone_index", String(64), nullable=False, index=True),
    Column("phone", LargeBinary, nullable=False),
    Column("since", BigInteger, nullable=False, server_default="0"),
)
"""Position 0 is the one that texts go to. Two customers may share a number. `since`: when it was changed at the desk (seconds since
the epoch), 0 where it has been there since the customer was added."""

TOTPS = Table(
    "customer_totps",
    METADATA,
    Column("customer", String(16), ForeignKey("customers.ref", ondelete="CASCADE"), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
)
"""Customers' authenticator apps: the key, sealed in the customer's envelope; the last time step whose code was accepted; and since
when the app is the customer's (seconds since the epoch)."""

MAILS = Table(
    "customer_mails",
    METADATA,
    Column("customer", String(16), ForeignKey("customers.ref", ondelete="CASCADE"), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("since", BigInteger, nullable=False),
)
"""Customers' mail addresses, sealed in the customer's envelope; and since when they are on record (seconds since the epoch)."""
PUSHES = Table(
    "customer_pushes",
    METADATA,
    Column("id", String(22), primary_key=True),
    Column("customer", String(16), ForeignKey("customers.ref", ondelete="CASCADE"), nullable=False, index=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("since", BigInteger, nullable=False),
)
"""Browsers in which customers are shown who calls: their subscriptions, sealed in the customer's envelope. `since`: seconds since the
epoch."""

IDENTITIES = Table(
    "customer_identities",
    METADATA,
    Column("customer", String(16), ForeignKey("customers.ref", ondelete="CASCADE"), primary_key=True),
    Column("kind", String(40), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("since", BigInteger, nullable=False),
)
"""What customers are called at providers of electronic identities, sealed in the customer's envelope. `kind`: a country, such as SE,
whose person number it is, the broker's name, or `app.` and the name of a partner's app (`ivr.store.partners`); `since`: seconds since the epoch."""

EVIDENCE = Table(
    "customer_evidence",
    METADATA,
    Column("id", String(22), primary_key=True),
    Column("customer", String(16), ForeignKey("customers.ref", ondelete="CASCADE"), nullable=False, index=True),
    Column("provider", String(40), nullable=False),
    Column("at", BigInteger, nullable=False, index=True),
    Column("sealed", LargeBinary, nullable=False),
)
"""What providers have said of customers who identified, such as BankID's signature, sealed in the customer's envelope. The audit
trail names it by `id`; `at`: seconds since the epoch."""

NOTICES = Table(
    "customer_notices",
    METADATA,
    Column("id", String(22), primary_key=True),
    Column("customer", String(16), ForeignKey("customers.ref", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False, index=True),
    Column("tries", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
"""Telephone numbers and addresses that are to be told that a number of the customer's was changed, or its SIM, sealed in the customer's envelope, until they
are. `at`: when it was; `due`: when it is tried (seconds since the epoch). They are in no back-up: a warning is of now."""

PEOPLE = Table(
    "people",
    METADATA,
    Column("tenant", String(40), primary_key=True),
    Column("id", String(16), primary_key=True),
    Column("login", String(64), nullable=False),
    Column("team", String(40), nullable=False),
    Column("role", String(20), nullable=False),
    Column("key_id", String(8), nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("name", LargeBinary, nullable=False),
    Column("language", String(2)),
    Column("disabled", Boolean, nullable=False),
    Column("signed_in_at", String(27)),
    Column("signed_in_from", String(60)),
    UniqueConstraint("id", name="people_by_id"),
    UniqueConstraint("tenant", "login", name="people_by_login"),
    Index("people_by_team", "tenant", "team"),
)
"""Those who sign in. `key_id` and `wrapped` are the envelope; `name` is sealed in it."""

ENDPOINTS = Table(
    "people_endpoints",
    METADATA,
    Column("key", String(80), primary_key=True),
    Column("endpoint", String(80), nullable=False),
    Column("tenant", String(40), nullable=False),
    Column("person", String(16), nullable=False),
    ForeignKeyConstraint(["tenant", "person"], ["people.tenant", "people.id"], ondelete="CASCADE"),
    Index("people_endpoints_by_person", "tenant", "person"),
)
"""Whose phones they are: each is one person's, of whatever tenant, for all of them are on the same Asterisks."""

PERMISSIONS = Table(
    "people_permissions",
    METADATA,
    Column("tenant", String(40), primary_key=True),
    Column("person", String(16), primary_key=True),
    Column("permission", String(20), primary_key=True),
    Column("granted", Boolean, nullable=False),
    ForeignKeyConstraint(["tenant", "person"], ["people.tenant", "people.id"], ondelete="CASCADE"),
)
"""What a person has more than the role (`granted`), or less."""

CREDENTIALS = Table(
    "credentials",
    METADATA,
    Column("tenant", String(40), primary_key=True),
    Column("person", String(16), primary_key=True),
    Column("method", String(20), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("since", String(27), nullable=False),
    Column("used", String(27)),
    ForeignKeyConstraint(["tenant", "person"], ["people.tenant", "people.id"], ondelete="CASCADE"),
    Index(
        "credentials_by_id",
        "method",
        "id",
        unique=True,
        sqlite_where=text("id <> ''"),
        postgresql_where=text("id <> ''"),
    ),
)
"""Ways of signing in, sealed in the person's envelope. `id` tells several of one method apart, and is one person's; `counter`
only grows: of `totp` the last time step that was accepted, of `passkey` the last count of its signatures. `used`: when last."""

LINKS = Table(
    "links",
    METADATA,
    Column("tenant", String(40), primary_key=True),
    Column("person", String(16), primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("until", BigInteger, nullable=False),
    ForeignKeyConstraint(["tenant", "person"], ["people.tenant", "people.id"], ondelete="CASCADE"),
)
"""One-time links with which a person sets a password: the token's SHA-256, and until when it is good (seconds since the epoch)."""

TOKEN_KEYS = Table(
    "token_keys",
    METADATA,
    Column("id", String(43), primary_key=True),
    Column("key_id", String(8), nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("private", LargeBinary, nullable=False),
    Column("public", String(400), nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("signs_from", BigInteger, nullable=False),
)
"""Keys that sign tokens. `key_id` and `wrapped` are the envelope, in which `private` is sealed; `public` is a JWK. Times are
seconds since the epoch."""

PEERS = Table(
    "peers",
    METADATA,
    Column("domain", String(253), primary_key=True),
    Column("key", String(43), nullable=False),
    Column("public", String(400), nullable=False),
    Column("first_seen", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("agreed", Boolean, nullable=False),
)
"""Which key other organisations are known by (`call.ports.peers.Pin`); `public` is a JWK. Times are seconds since the epoch."""

LETTERS = Table(
    "letters",
    METADATA,
    Column("domain", String(253), primary_key=True),
    Column("id", String(80), primary_key=True),
    Column("until", BigInteger, nullable=False, index=True),
)
"""Letters of other organisations that were taken, as long as each could be sent again. `until` is seconds since the epoch."""

CURSORS = Table(
    "webhook_cursors",
    METADATA,
    Column("chain", String(40), primary_key=True),
    Column("seq", BigInteger, nullable=False),
)
"""Up to which row each chain of the audit trail was read, for others to be told of it."""

WATCHED = Table(
    "webhook_marks",
    METADATA,
    Column("node", String(80), primary_key=True),
    Column("channel", String(150), primary_key=True),
    Column("event", String(40), nullable=False),
    Column("subject", String(16), nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("reason", String(20), nullable=False),
)
"""Marks whose end is to be told. `event` is the message of the verification; `until` is 0 as long as the mark was not seen.
Times are seconds since the epoch."""

MESSAGES = Table(
    "webhook_messages",
    METADATA,
    Column("place", BigInteger, primary_key=True, autoincrement=False),
    Column("receiver", String(40), nullable=False),
    Column("id", String(40), nullable=False),
    Column("call", String(240), nullable=False),
    Column("body", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("dead", Boolean, nullable=False),
    UniqueConstraint("receiver", "id", name="webhook_messages_by_id"),
    Index("webhook_messages_by_call", "receiver", "call", "place"),
    Index("webhook_messages_by_due", "receiver", "due", "place"),
)
"""What is still to be told, in the order of `place`, and what was given up (`dead`). `due`: when it is tried, in milliseconds
since the epoch, or 2^62 where it is not, for another message of the same call is before it, or it was given up; `since`: when it happened, in seconds."""
