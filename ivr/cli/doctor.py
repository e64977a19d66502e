"""`doctor`: what is wrong with this PBX, why it matters, and what to type."""

from __future__ import annotations

import asyncio
import json
import shlex
import textwrap
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from ivr.cli.office import settings_of
from ivr.errors import InputError

if TYPE_CHECKING:
    from ivr.doctor import Finding, Grade

_STYLES = {"ok": "green", "advice": "cyan", "warning": "yellow", "fault": "bold red"}
_GAP = 2
_INDENT = max(map(len, _STYLES)) + _GAP


def doctor(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="The findings as JSON.")] = False,
    console: Annotated[
        str,
        typer.Option(
            help="How Asterisk's program is started here, such as: docker exec pbx asterisk.", metavar="COMMAND"
        ),
    ] = "asterisk",
) -> None:
    """Look at the whole PBX, and say what is wrong, why it matters, and what to type. Changes nothing, sends nothing.

    Ends with 0 where all is well (there may be advice), with 1 where something is amiss.
    """
    # Imported here: the other commands need nothing of Asterisk, and answer sooner without it.
    from ivr.doctor import examine, well

    settings = settings_of(context)
    try:
        program = shlex.split(console)
    except ValueError:
        program = []
    if not program:
        raise InputError("--console: it is no command. Write it as you would type it: docker exec pbx asterisk")
    with Console(stderr=True).status("") as status:
        findings = asyncio.run(
            examine(settings, console=program, tell=lambda what: status.update(f"looking at {what} …"))
        )
    if as_json:
        typer.echo(
            json.dumps(
                {"well": well(findings), "findings": [one.as_dict() for one in findings]}, indent=2, ensure_ascii=False
            )
        )
    else:
        report(findings, Console(highlight=False))
    raise typer.Exit(0 if well(findings) else 1)


def report(findings: Iterable[Finding], console: Console) -> None:
    """Print what is well in short, then what is not, the worst last: there the reader's eye is."""
    from ivr.doctor import Grade

    by_grade: dict[Grade, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_grade[finding.grade].append(finding)
    widest = max((len(finding.subject) for finding in by_grade[Grade.OK]), default=0)
    for finding in by_grade[Grade.OK]:
        head = Text.assemble(_label(finding), finding.subject.ljust(widest + _GAP))
        _folded(head, finding.what, console)
    for grade in (Grade.ADVICE, Grade.WARNING, Grade.FAULT):
        for finding in by_grade[grade]:
            console.print()
            _block(finding, console)
    console.print()
    console.print(summary(findings))


def _block(finding: Finding, console: Console) -> None:
    _folded(_label(finding), f"{finding.subject}: {finding.what}", console, "bold")
    _folded(Text(" " * _INDENT), finding.why, console)
    for line in finding.cure:
        if line.startswith("#"):
            _folded(Text(" " * _INDENT + "# ", "dim"), line.removeprefix("#").strip(), console, "dim", again="# ")
        else:
            # a command is never folded: it is there to be copied
            console.print(" " * _INDENT + line, soft_wrap=True, markup=False)


def _label(finding: Finding) -> Text:
    return Text(finding.grade.ljust(_INDENT), _STYLES[finding.grade])


def _folded(head: Text, words: str, console: Console, style: str = "", *, again: str = "") -> None:
    """Words behind a head, folded at the console's width and set in below their own beginning."""
    indent = len(head) - len(again)
    room = max(console.width - indent - len(again), 20)
    lines = textwrap.wrap(words, room, break_long_words=False, break_on_hyphens=False) or [""]
    text = Text.assemble(head, (lines[0], style))
    for line in lines[1:]:
        text.append("\n" + " " * indent + again + line, style)
    console.print(text, soft_wrap=True)


def summary(findings: Iterable[Finding]) -> str:
    """The last line."""
    counts = dict.fromkeys(("fault", "warning", "advice"), 0)
    for finding in findings:
        if finding.grade in counts:
            counts[finding.grade] += 1
    bad = [
        f"{counts[grade]} {grade}{'s' if counts[grade] != 1 else ''}" for grade in ("fault", "warning") if counts[grade]
    ]
    told = ", ".join(bad) or "All is well"
    advice = f"{counts['advice']} piece{'s' if counts['advice'] != 1 else ''} of advice" if counts["advice"] else ""
    return f"{told}{', ' if advice else ''}{advice}."
