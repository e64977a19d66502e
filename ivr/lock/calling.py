"""Calling from the desk, put together: by a process that can have phones ring."""

from __future__ import annotations

from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from ivr.config import Settings
from ivr.lock.dial import DIAL, Dial
from ivr.lock.dialports import Dialler, Dials, Pace
from ivr.lock.judge import Judge
from ivr.lock.ports import Records
from ivr.lock.reads import Reads
from ivr.lock.rows import Rows
from ivr.lock.whom import Whom
from ivr.staff import Permission
from ivr.store.history import History
from ivr.vault import Index


@dataclass(frozen=True, slots=True)
class Calling:
    """What every lock has of it; with phones it can be asked for."""

    settings: Settings
    judge: Judge
    records: Records
    rows: Rows
    dials: Dials
    pace: Pace
    index: Index
    log: FilteringBoundLogger
    history: History
    reads: Reads

    def dial(self, dialler: Dialler) -> Dial:
        """By the settings."""
        whom = Whom(self.judge, self.rows, self.index, self.log, Permission.DIAL, DIAL)
        return Dial(
            self.settings.calls, self.settings.company, self.settings.call_countries, whom, self.records, dialler, self.dials, self.pace,
            self.rows, self.history, self.reads, self.settings.prove.departments, self.log,
        )  # fmt: skip
