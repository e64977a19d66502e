"""The settings of how long data is kept."""

from __future__ import annotations

from pydantic import Field

from ivr.config.section import Section


class Retention(Section):
    """How long what is written down is kept; a running worker deletes what is older. What is in Redis ends by itself."""

    audit_days: int | None = Field(
        None, ge=1, le=36500,
        description="Days that rows of the audit trail are kept. Left out, they are kept for ever",
    )  # fmt: skip
    evidence_days: int | None = Field(
        None, ge=1, le=36500,
        description="Days that what providers of electronic identities have said of customers is kept. Left out, it is kept as long as the customer",
    )  # fmt: skip
    outbox_days: int = Field(
        7, ge=1, le=3650, description='Days that texts lie in the folder of the trial gateway "outbox"'
    )
