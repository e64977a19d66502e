"""Whether the dialplan has Tillit's contexts, this version's, and calls them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ivr.asterisk.dialling import CALLED, JOINED
from ivr.doctor import manager, recorders
from ivr.doctor.finding import NOT_LOOKED_AT, Finding, Grade, Kind, ok
from ivr.doctor.node import Node

MISSING = Kind(
    "dialplan-missing", Grade.FAULT,
    "The dialplan has no context `tillit-verify`",
    "No call can be handed over for verifying.",
)  # fmt: skip
OTHER = Kind(
    "dialplan-other", Grade.WARNING,
    "The dialplan's contexts of Tillit are not those of this version",
    "What callers bring along may not be voided, or the watchdog may not take calls back.",
)  # fmt: skip
UNUSED = Kind(
    "dialplan-unused", Grade.WARNING,
    "Nothing in the dialplan calls `tillit-verify`",
    "Calls go on as before, and nobody is verified.",
)  # fmt: skip
APP = Kind(
    "dialplan-app", Grade.FAULT,
    "The dialplan hands calls to another application than the settings name",
    "Stasis() returns at once, and every caller goes the unverified way.",
)  # fmt: skip
OPEN = Kind(
    "dialplan-open-pattern", Grade.WARNING,
    "A pattern that matches anything hands calls to Tillit",
    "What is dialled may hold a line break, which goes into AMI's events: other programs take what is behind it for events of Asterisk's.",
)  # fmt: skip
RECORDERS = Kind(
    "recorders", Grade.ADVICE,
    "The dialplan records calls, lets others hear them, or reads keys",
    "Where keys come as tones in the sound, whoever records or hears it before or during the verification has them. What Read() takes stands in a variable.",
)  # fmt: skip
CALLS = Kind(
    "dialplan-calls", Grade.FAULT,
    "The dialplan lacks a context that calls from the desk go through",
    "Both are hung up when the customer has answered.",
)  # fmt: skip
PUBLISHED = Kind(
    "dialplan-published", Grade.WARNING,
    "Nothing in the dialplan leads to `tillit-published`",
    "Agents say digits that nobody can key: who calls the published number is not asked for them.",
)  # fmt: skip
KINDS = (MISSING, OTHER, UNUSED, APP, OPEN, RECORDERS, CALLS, PUBLISHED)

_OWN = Path(__file__).resolve().parents[2] / "dialplan" / "tillit.conf"
_RELOAD = "asterisk -rx 'dialplan reload'"


@dataclass(frozen=True, slots=True)
class Line:
    """One priority of the dialplan; `text` is what it does: `Answer()`."""

    context: str
    extension: str
    text: str


async def check(node: Node) -> list[Finding]:
    """What is wrong with the dialplan, where it can be seen."""
    subject = node.about("dialplan")
    if node.console is not None and (told := await node.console.told("dialplan show", "-= ")) is not None:
        return _all(list(shown(told)), subject, node)
    if (messages := await manager.dialplan(node)) is not None:
        lines = [
            Line(
                one.get("Context", ""), one.get("Extension", ""), f"{one.get('Application')}({one.get('AppData', '')})"
            )
            for one in messages
        ]
        return _all(lines, subject, node)
    return [
        NOT_LOOKED_AT.found(
            subject, "the dialplan can be seen neither on the console nor by AMI from here",
            "asterisk -rx 'dialplan show tillit-verify'", "# expect the lines of dialplan/tillit.conf",
        )
    ]  # fmt: skip


def _all(lines: list[Line], subject: str, node: Node) -> list[Finding]:
    """With what these settings need besides."""
    settings = node.settings
    found = examine(lines, subject, node.asterisk.app, node.place)
    if any(finding.name == MISSING.name for finding in found):
        return found
    if settings.calls.dial is not None:
        found += _calls(lines, subject)
    if settings.page.url is not None and "spoken" in settings.prove.ways:
        found += _published(lines, subject)
    return found


def _calls(lines: list[Line], subject: str) -> Iterator[Finding]:
    there = {line.context for line in lines}
    if lacking := [context for context in (CALLED, JOINED) if context not in there]:
        yield CALLS.found(
            subject, f"there is no context {', '.join(lacking)}, and [calls] dial is written",
            "cp dialplan/tillit.conf /etc/asterisk/tillit.conf", _RELOAD,
        )  # fmt: skip


def _published(lines: list[Line], subject: str) -> Iterator[Finding]:
    own = _own_contexts()
    where = sorted({line.context for line in lines if line.context not in own and _PUBLISHED.search(line.text)})
    if where:
        yield ok(subject, f"{', '.join(where[:5])}{' …' if where[5:] else ''} leads to tillit-published")
        return
    yield PUBLISHED.found(
        subject, "no line has Goto(tillit-published,s,1), and [prove] ways has spoken",
        "# add it where the published number comes in, or at an entry of its menu, in /etc/asterisk/extensions.conf: docs/dialplan.md", _RELOAD,
    )  # fmt: skip


def examine(lines: list[Line], subject: str, app: str, place: str) -> list[Finding]:
    """The findings of a whole dialplan."""
    own = [line for line in lines if line.context == "tillit-verify"]
    published = [line for line in lines if line.context == "tillit-published"]
    if not own:
        return [
            MISSING.found(
                subject, "there is no context tillit-verify",
                "cp dialplan/tillit.conf /etc/asterisk/tillit.conf",
                "# write #include \"tillit.conf\" at the beginning of /etc/asterisk/extensions.conf (FreePBX: extensions_custom.conf)",
                _RELOAD,
            )
        ]  # fmt: skip
    found = [*_same(lines, subject), *_called(lines, subject), *_app([*own, *published], subject, app, place)]
    return [
        *(found or [ok(subject, "tillit.conf is this version's, and calls are handed to it")]),
        *_open(lines, subject),
        *_recorders(lines, subject),
    ]


def _same(lines: list[Line], subject: str) -> Iterator[Finding]:
    wanted, there = _told(_own()), _told(lines)
    other = [place for place in wanted if there.get(place) != wanted[place]]
    if other:
        yield OTHER.found(
            subject, f"[{other[0][0]}] {other[0][1]} is not as in dialplan/tillit.conf of this version",
            "cp dialplan/tillit.conf /etc/asterisk/tillit.conf", _RELOAD,
            "# and see that no other file has contexts of these names",
        )  # fmt: skip


def _own() -> list[Line]:
    """What this version brings along; nothing where the package alone is installed."""
    return list(written(_OWN.read_text(encoding="utf-8"))) if _OWN.exists() else []


_NAMED = re.compile(r"^(Stasis\(|TryExec\(StasisBroadcast\([^,]*,\^)([A-Za-z0-9_][\w.-]*)")
"""Where the dialplan names the application: to hand calls to it, and to offer them to its workers."""


def _told(lines: Iterable[Line]) -> dict[tuple[str, str], list[str]]:
    """What each extension does. The application's name is the administrator's to change."""
    told: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        text = _NAMED.sub(r"\1", line.text)
        told.setdefault((line.context, line.extension), []).append(text)
    return told


WAY_IN = re.compile(r"[(?:,]\s*tillit(?:-verify|-offer)?,|@tillit(?![\w-])|AGI\(h?agi://[^/]+/verify\b")
"""What hands a call to us, in a line of the dialplan: GotoIf(…?tillit,POLICY,1) and Local/POLICY@tillit too."""


_PUBLISHED = re.compile(r"[(?:,]\s*tillit-published,|@tillit-published(?![\w-])")
"""What leads to where the digits that an agent has said are keyed."""


def _own_contexts() -> set[str]:
    return {line.context for line in _own()} | {"tillit", "tillit-verify", "tillit-published"}


def _called(lines: list[Line], subject: str) -> Iterator[Finding]:
    own = _own_contexts()
    if not any(WAY_IN.search(line.text) for line in lines if line.context not in own):
        yield UNUSED.found(
            subject, "no line has Gosub(tillit-verify,s,1(POLICY)) or Goto(tillit,POLICY,1)",
            "# add it before Queue() in your dialplan, as in config/asterisk/extensions.conf", _RELOAD,
        )  # fmt: skip


_ANYTHING = re.compile(r"_.*[.!]")
_FILTERED = re.compile(r"(?:Goto\w*\(|[?:])([\w-]+),\$\{FILTER\(")
"""Where a call goes whose extension is filtered on the way: Goto(numbers,${FILTER(0123456789,${EXTEN})},1)."""


def _open(lines: list[Line], subject: str) -> Iterator[Finding]:
    own = _own_contexts() | {name for line in lines for name in _FILTERED.findall(line.text)}
    there = {
        f"{line.extension} in {line.context}": None
        for line in lines
        if line.context not in own and _ANYTHING.fullmatch(line.extension) and WAY_IN.search(line.text)
    }
    if where := list(there):
        yield OPEN.found(
            subject, f"there is {', '.join(where[:5])}{' …' if where[5:] else ''}",
            "# let digits alone go on, into a context of their own: exten => _X.,1,Goto(numbers,${FILTER(+0123456789*#,${EXTEN})},1)",
            "# and hand calls over there; or write a pattern of a fixed length: _XXXX", _RELOAD,
        )  # fmt: skip


def _app(own: list[Line], subject: str, app: str, place: str) -> Iterator[Finding]:
    for line in own:
        found = _NAMED.match(line.text)
        if found and found[2] != app:
            yield APP.found(
                subject, f"{line.context} says {found[1]}{found[2]}…), and {place} app is {app}",
                f"# write {found[1]}{app}… in /etc/asterisk/tillit.conf, or app = \"{found[2]}\" in {place}", _RELOAD,
            )  # fmt: skip


def _recorders(lines: list[Line], subject: str) -> Iterator[Finding]:
    # Asterisk's own contexts begin so
    lines = [line for line in lines if not line.context.startswith("__")]
    where = sorted({f"{name}() in {line.context}" for line in lines for name in recorders.named(line.text)})
    if where:
        yield RECORDERS.found(
            subject, f"there is {', '.join(where[:5])}{' …' if where[5:] else ''}",
            "# begin to record behind the Gosub to tillit-verify, or stop before it: StopMixMonitor()",
            "# let nobody into a conference before it, and ask for no secret by Read()", _RELOAD,
        )  # fmt: skip


def shown(told: str) -> Iterator[Line]:
    """What `dialplan show` prints."""
    context = extension = ""
    for line in told.splitlines():
        if head := re.match(r"\[ Context '(.+)' created by", line):
            context = head[1]
        elif body := re.match(r"\s+(?:'(.+?)' =>)?\s+(?:\[.+?\]\s+)?(?:\d+|hint)\. (\w+\(.*\))\s+\[.*\]$", line):
            extension = body[1] or extension
            yield Line(context, extension, body[2])


def written(text: str) -> Iterator[Line]:
    """What a dialplan file says."""
    context = extension = ""
    for line in text.splitlines():
        if head := re.match(r"\[([\w-]+)\]", line):
            context = head[1]
        elif body := re.match(r"\s*(?:exten\s*=>\s*([^,]+),|same\s*=>\s*)\w+(?:\(\w+\))?,(.+)", line):
            extension = body[1] or extension
            yield Line(context, extension, body[2].strip().replace("\\;", ";"))
