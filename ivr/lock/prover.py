"""Proving, put together: by a process that has gateways, and can speak into calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from structlog.typing import FilteringBoundLogger

from ivr.call.ports import Trail
from ivr.call.proof import Way
from ivr.config import Settings
from ivr.lock.carry import TextCarrier
from ivr.lock.carryapp import App, AppCarrier
from ivr.lock.carrymail import MailCarrier, Mailer, Mails
from ivr.lock.carrypartner import Ids, PartnerCarrier
from ivr.lock.carrypush import Push, PushCarrier, Pushes
from ivr.lock.checking import Checking
from ivr.lock.course import Course
from ivr.lock.dialports import Calleds
from ivr.lock.enrolling import Enrolling
from ivr.lock.judge import Judge
from ivr.lock.ports import Records, Switch
from ivr.lock.proofports import Alarms, Carrier, Floor, Hearing, Pages, Speech
from ivr.lock.prove import Prove
from ivr.lock.reads import Reads
from ivr.lock.recipient import Recipients
from ivr.lock.rows import Rows
from ivr.lock.settling import Settling
from ivr.lock.spoken import Numbers, Published, SpokenCarrier
from ivr.lock.talking import Talking
from ivr.lock.whom import Whom
from ivr.sms.dispatch import Budgets, Dispatch
from ivr.staff import Permission
from ivr.store.backs import Backs
from ivr.store.history import History
from ivr.vault import Vault


@dataclass(frozen=True, slots=True)
class Beside:
    """What ways beside texts go out by, as far as the settings have them: the own app's server, partners' by name, the mail server, push services."""

    app: App | None = None
    partners: Mapping[str, App] = field(default_factory=dict)
    mailer: Mailer | None = None
    push: Push | None = None


@dataclass(frozen=True, slots=True)
class Prover:
    """What every lock has of it; with a way out it can be asked for."""

    settings: Settings
    judge: Judge
    records: Records
    mails: Mails
    partners: Ids
    pushes: Pushes
    reads: Reads
    rows: Rows
    trail: Trail
    pages: Pages
    settling: Settling
    alarms: Alarms
    vault: Vault
    floor: Floor
    log: FilteringBoundLogger
    history: History
    switch: Switch
    backs: Backs
    calleds: Calleds | None = None
    numbers: Numbers | None = None

    def course(
        self, speech: Speech, hearing: Hearing, changed: Callable[[frozenset[str]], None], **how: float
    ) -> Course:
        """`changed` is told whose pages show something else now; `how`: times, as of `Course`."""
        both = self.settings.prove.hear == "both"
        return Course(
            self.pages, self.settling, speech, hearing, self.floor, self.vault.codes, changed, self.log, both=both, **how
        )  # fmt: skip

    def prove(self, course: Course, dispatch: Dispatch, beside: Beside, published: Published | None = None) -> Prove:
        """By the ways of the settings. `published`: where agents say digits."""
        index = self.vault.index
        whom = Whom(self.judge, self.rows, index, self.log, Permission.PROVE, "prove")
        return Prove(
            self.settings.prove, self.settings.company, whom,
            Recipients(self.records, cooling=self.settings.lock.cooling.hours * 3600, calleds=self.calleds), self.pages,
            self._carriers(dispatch, beside, published), course, self.reads, self.rows, index, self.settings.limits, self.log,
            push="" if beside.push is None else beside.push.public, back=self._backs(), numbers=self.numbers,
        )  # fmt: skip

    def talking(self) -> Talking:
        """Who talks with whom, behind proofs."""
        whom = Whom(self.judge, self.rows, self.vault.index, self.log, Permission.PROVE, "back")
        return Talking(self.judge, whom, self.pages, self.vault.index)

    def enrolling(self, push: Push) -> Enrolling:
        """Who makes browsers customers'."""
        return Enrolling(self.pages, push, self.pushes, self.trail, self.log)

    def checking(self, dispatch: Dispatch, budgets: Budgets) -> Checking:
        """What answers whoever asks on the page whether it was us."""
        return Checking(self.settings, self.history, dispatch, budgets, self.trail, self.log)

    def _backs(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for policy in (self.settings.policies[name] for name in self.settings.prove.back):
            found[policy.tenant] = (*found.get(policy.tenant, ()), *policy.steps)
        return found

    def _carriers(self, dispatch: Dispatch, beside: Beside, published: Published | None) -> Mapping[Way, Carrier]:
        page = self.settings.page
        url = page.url or ""
        site = page.brand.site or urlsplit(url).netloc
        found: dict[Way, Carrier] = {}
        for way in map(Way, self.settings.prove.ways):
            if way is Way.APP:
                assert beside.app is not None
                found[way] = AppCarrier(beside.app, url)
            elif way is Way.PARTNER:
                found[way] = PartnerCarrier(beside.partners, self.partners, url)
            elif way is Way.MAIL:
                assert beside.mailer is not None
                found[way] = MailCarrier(beside.mailer, self.mails, url)
            elif way is Way.PUSH:
                assert beside.push is not None
                found[way] = PushCarrier(beside.push, self.pushes, self.log)
            elif way is Way.SPOKEN:
                assert self.numbers is not None and published is not None
                found[way] = SpokenCarrier(self.numbers, published)
            else:
                found[way] = TextCarrier(way, dispatch, url, site)
        return found
