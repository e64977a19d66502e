"""Whether Asterisk has what callers are to hear."""

from __future__ import annotations

from collections.abc import Iterator

from ivr.asterisk.inspection import lacking, own_language
from ivr.doctor.finding import Finding, Grade, Kind, ok
from ivr.doctor.node import Node, rows
from ivr.prompts import Prompt

MISSING = Kind(
    "prompts-missing", Grade.FAULT,
    "Asterisk lacks prompts of the company's language",
    "Callers would hear nothing where they are asked for something. The worker does not start.",
)  # fmt: skip
INCOMPLETE = Kind(
    "prompts-incomplete", Grade.WARNING,
    "Asterisk has some prompts of a language, and lacks others",
    "That language is not spoken; its callers hear the company's.",
)  # fmt: skip
KINDS = (MISSING, INCOMPLETE)

_CURE = (
    "# SOUNDS is the folder `sounds` in the data directory that `asterisk -rx 'core show settings'` names",
    "venv/bin/python scripts/prompts --out SOUNDS",
)


async def check(node: Node) -> list[Finding]:
    """The languages that are whole, and what the others lack."""
    return list(_found(node, lacking(list(rows(await node.ari.request("GET", "sounds"))))))


def _found(node: Node, missing: dict[str, list[str]]) -> Iterator[Finding]:
    whole = [language for language, names in missing.items() if not names]
    own = own_language(node.settings, node.language, frozenset(whole))
    subject = node.about("prompts")
    for language, names in {own: [prompt.value for prompt in Prompt], **missing}.items():
        some = ", ".join(names[:3]) + (" …" if names[3:] else "")
        if language == own and names:
            lacks = "all prompts" if len(names) == len(Prompt) else f"{len(names)} prompts ({some})"
            yield MISSING.found(subject, f"Asterisk lacks {lacks} of '{own}'", *_cure(node))
        elif 0 < len(names) < len(Prompt):
            problem = f"Asterisk lacks {len(names)} prompts of '{language}' ({some})"
            yield INCOMPLETE.found(subject, problem, *_cure(node))
    if whole:
        yield ok(subject, f"whole in {', '.join(whole)}")


def _cure(node: Node) -> tuple[str, ...]:
    folder = node.console and node.console.data
    return (f"venv/bin/python scripts/prompts --out {folder}/sounds",) if folder else _CURE
