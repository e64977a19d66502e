"""The table at the end."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from rig.chaos.ledger import ZEROS, Account, total

_HEADS = {
    "calls": "calls", "verified": "verified", "refused": "refused", "unverified": "unver.", "left": "left",
    "with_asterisk": "died*", "untold": "no row", "lost": "lost", "unearned": "unearned", "unaudited": "no audit",
    "unknown_rows": "no call", "doubled": "doubled", "contradicting": "contrad.", "left_over": "left over",
    "marks_left": "marks", "unwritten": "unwritten",
}  # fmt: skip

_LEGEND = """
verified, refused, unver.   how the dialplan went on, and told the caller; refused: locked too; unverified: timed out or unavailable
left       the caller hung up first
died*      the call ended without a word, for Asterisk itself was killed
no row     calls that the audit trail does not tell of; but for the unwritten ones below, no worker had them to the end
longest    seconds of the longest call, of those that did not die
struck     log lines of the workers that tell of the fault
These must be 0:
lost       callers who came to none of the ends before: they waited in vain, or were cut off
unearned   verified, and had not keyed what is right
no audit   marks without a row that says so
no call    audit rows without a call
doubled    audit rows that tell of one call twice
contrad.   calls of which audit trail and dialplan say different things
left over  channels and bridges when all callers had gone
marks      marks and records in Redis of calls that are over
unwritten  calls that a worker was done with, and that the audit trail does not tell of"""


def report(console: Console, accounts: Sequence[Account], audit: str, skipped: Sequence[str]) -> None:
    """Print what was found, a line a fault."""
    made = Table("fault", *_HEADS.values(), "longest", "struck", box=None, pad_edge=False)
    for one in (*accounts, total(accounts)):
        values = [_shown(one, name) for name in _HEADS]
        made.add_row(one.fault, *values, f"{one.waited:.1f}", f"{one.struck}")
    console.print(made)
    console.print(_LEGEND, highlight=False)
    for name in skipped:
        console.print(f"{name}: left out", highlight=False)
    console.print(f"\naudit verify: {audit}", highlight=False)


def _shown(one: Account, name: str) -> str:
    value = getattr(one, name)
    return f"[bold red]{value}[/]" if value and name in ZEROS else f"{value}"
