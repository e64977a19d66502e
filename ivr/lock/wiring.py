"""The lock of one process, put together."""

from __future__ import annotations

from dataclasses import dataclass
from time import time
from typing import Protocol, Self

from structlog.typing import FilteringBoundLogger

from ivr.audit.rates import Rounds
from ivr.audit.signing import Seal
from ivr.call.ports import Talks, Trail
from ivr.config import Settings
from ivr.lock.administration import Administration
from ivr.lock.calling import Calling
from ivr.lock.current import Currents
from ivr.lock.glass import Glass
from ivr.lock.judge import Judge
from ivr.lock.lock import Lock
from ivr.lock.marktokens import MarkTokens
from ivr.lock.midcall import Midcall
from ivr.lock.peering import Peering
from ivr.lock.ports import Floor, Glances, Marks, Switch, Teams
from ivr.lock.proofports import Floor as Heard
from ivr.lock.prover import Prover
from ivr.lock.reads import Reads
from ivr.lock.recalling import Recalling
from ivr.lock.records import StoredRecords
from ivr.lock.review import Review
from ivr.lock.rows import Rows
from ivr.lock.settling import Settling
from ivr.lock.signer import Signer
from ivr.lock.spoken import Numbers
from ivr.lock.trailrows import TrailRows
from ivr.lock.watch import Watch
from ivr.lock.whom import Whom
from ivr.lock.words import Offered
from ivr.peers.directory import Directory
from ivr.peers.fetch import Fetcher
from ivr.peers.keys import OwnKeys
from ivr.staff import Permission
from ivr.store.alarms import RedisAlarms
from ivr.store.backs import Backs
from ivr.store.customers import Customers
from ivr.store.dials import RedisDials
from ivr.store.history import History
from ivr.store.holds import StoredHolds
from ivr.store.letters import LetterBox
from ivr.store.link import Link
from ivr.store.mails import Mails
from ivr.store.members import Members
from ivr.store.openings import RedisOpenings
from ivr.store.pace import RedisPace
from ivr.store.pagekey import PageKey
from ivr.store.pages import Pages, ProofRules
from ivr.store.partners import Partners
from ivr.store.peers import StoredPeers
from ivr.store.published import RedisPublished
from ivr.store.pushes import Pushes
from ivr.store.reads import RedisReads
from ivr.store.register import Register
from ivr.store.roster import Roster
from ivr.store.sessions import Sessions
from ivr.store.throttle import Throttle
from ivr.store.waits import RedisWaits
from ivr.vault import Vault


class Told(Talks, Floor, Heard, Protocol):
    """Who talks with whom, proven and as far as events tell."""


class Live(Marks, Glances, Protocol):
    """The marks, one by one and many at a glance."""


@dataclass(frozen=True, slots=True)
class Locks:
    """What an agent asks and does, what a supervisor lifts and sees, what two persons open, what is signed of it, what stands in the trail, and who signs in.

    `signer` is to be entered (`async with`) before anything is signed. `prover`: None where there is no public page; `peering`: there,
    or where we have no domain; `calling`: None where nobody calls from the desk.
    """

    lock: Lock
    midcall: Midcall
    reads: Reads
    glass: Glass
    signer: Signer
    tokens: MarkTokens
    watch: Watch
    review: Review
    administration: Administration
    prover: Prover | None
    calling: Calling | None
    peering: Peering | None

    @classmethod
    def of(
        cls, settings: Settings, *, talks: Told, switch: Switch, staff: Teams, live: Live, link: Link, customers: Customers,
        trail: Trail, seal: Seal, chain: str, log: FilteringBoundLogger, page: PageKey | None = None,
        calls: bool = False,
    ) -> Self:  # fmt: skip
        """`chain` is the one that `trail` writes: what is changed has its row there too. `link`: to the Redis of the marks.

        `page`: None where nobody proves anything by the public page; `calls`: whether people begin calls. Raises `ConfigError` where our
        key for other organisations cannot be used.
        """
        rules, prefix, database, vault = settings.lock, settings.redis.prefix, customers.database, customers.vault
        records = StoredRecords(database, Register(vault), customers, seal, chain)
        rows = Rows(trail, log)
        judge = Judge(talks, staff, live, records, log)
        reads = Reads(rules.reads, RedisReads(link, prefix), staff, judge, rows, log)
        signer = Signer(settings, database, vault, trail, log)
        holds = StoredHolds(link, prefix, database, settings.limits.customer_most)
        waits, sessions = RedisWaits(link, prefix), Sessions(link, prefix, settings.desk)
        offered = _offered(settings)
        dials = RedisDials(link, prefix) if calls else None
        history = History(link, prefix, vault.codes, settings.prove.history_days, settings.company.country)
        prover = peering = None
        if page is not None:
            if settings.peers.domain is not None:
                whom = Whom(judge, rows, vault.index, log, Permission.PROVE, "peer")
                peering = _peering(settings, whom, rows, customers, link, log)
            pages = Pages(link, prefix, page, _proof_rules(settings), settings.limits)
            alarms = RedisAlarms(link, prefix)
            numbers = _numbers(settings, vault, link, log)
            backs = Backs(link, prefix)
            behind = settings.prove.back
            pushes = Pushes(database, vault)
            settling = Settling(
                pages, alarms, switch, trail, log, numbers=numbers, backs=backs if behind else None,
                recalling=Recalling(backs, live, switch, trail, log) if behind else None, pushes=pushes,
            )  # fmt: skip
            prover = Prover(
                settings, judge, records, Mails(database, vault), Partners(database, vault), pushes, reads, rows, trail, pages, settling, alarms, vault, talks,
                log, history, switch, backs, dials, numbers,
            )  # fmt: skip
        currents = Currents(
            judge, live, records, reads, rows, waits, switch, int(rules.fields.name),
            frozenset(one.tenant for one in offered.values()), vault.index, None if prover is None else prover.settling,
            dials, peers=peering is not None,
        )  # fmt: skip
        return cls(
            Lock(rules, judge, records, reads, rows, currents, settings.company.country, log),
            Midcall(offered, judge, live, waits, switch, rows, vault.index, log),
            reads,
            Glass(rules.glass, RedisOpenings(link, prefix), judge, records, reads, rows, log),
            signer,
            MarkTokens(settings.tokens, signer, judge, reads, sessions, rows, vault.index, log),
            Watch(judge, talks, staff, live, waits, switch, holds, Rounds(database), rows, time),
            Review(judge, TrailRows(database, seal.verifier), rows),
            Administration(
                judge,
                database,
                Roster(vault),
                Members(database, vault),
                sessions,
                Throttle(link, prefix, settings.desk.sign_in, vault.index),
                seal,
                chain,
                settings.desk.link_hours,
                rows,
                log,
            ),
            prover,
            None
            if dials is None
            else Calling(
                settings, judge, records, rows, dials, RedisPace(link, prefix), vault.index, log, history, reads
            ),
            peering,
        )


def _peering(
    settings: Settings, whom: Whom, rows: Rows, customers: Customers, link: Link, log: FilteringBoundLogger
) -> Peering:
    index, fetcher = customers.vault.index, Fetcher.of(settings, log)
    stored = StoredPeers(customers.database)
    return Peering(
        settings, OwnKeys.open(settings), Directory(fetcher, stored, log), fetcher, LetterBox(link, settings.redis.prefix, index),
        stored, whom, rows, log,
    )  # fmt: skip


def _offered(settings: Settings) -> dict[str, Offered]:
    """The policies that may be chosen at the desk."""
    names = settings.desk.policies or tuple(settings.policies)
    found = [(name, settings.policies[name]) for name in names]
    return {name: Offered(name, policy.level, tuple(policy.steps), policy.tenant) for name, policy in found}


def _numbers(settings: Settings, vault: Vault, link: Link, log: FilteringBoundLogger) -> Numbers | None:
    """None where no agent says digits."""
    prove = settings.prove
    if prove.published is None:
        return None
    published = RedisPublished(link, settings.redis.prefix, settings.limits, log, tries=prove.tries)
    return Numbers(vault.codes, vault.index, prove.published, published.closed_until)


def _proof_rules(settings: Settings) -> ProofRules:
    prove = settings.prove
    return ProofRules(prove.tries, prove.per_customer_hour, prove.bar_minutes * 60)
