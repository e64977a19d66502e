"""Whether Asterisk has what callers are to hear."""

from __future__ import annotations

from collections.abc import Iterator

from ivr.doctor.finding import Finding, Grade, Kind, ok
from ivr.doctor.node import Node
from ivr.prompts import Prompt, languages

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
    have = set()
    for sound in await node.list("sounds"):
        formats = sound.get("formats")
        for form in formats if isinstance(formats, list) else ():
            have.add((sound["id"], form["language"]))
    return list(_found(node, have))


def _found(node: Node, have: set[tuple[object, object]]) -> Iterator[Finding]:
    own = node.settings.company.language
    subject = node.about("prompts")
    whole = []
    for language in dict.fromkeys((own, *languages())):
        missing = [prompt.value for prompt in Prompt if (f"tillit/{prompt.value}", language) not in have]
        some = ", ".join(missing[:3]) + (" …" if missing[3:] else "")
        if not missing:
            whole.append(language)
        elif language == own:
            lacks = "all prompts" if len(missing) == len(Prompt) else f"{len(missing)} prompts ({some})"
            yield MISSING.found(subject, f"Asterisk lacks {lacks} of '{own}'", *_cure(node))
        elif len(missing) < len(Prompt):
            problem = f"Asterisk lacks {len(missing)} prompts of '{language}' ({some})"
            yield INCOMPLETE.found(subject, problem, *_cure(node))
    if whole:
        yield ok(subject, f"whole in {', '.join(whole)}")


def _cure(node: Node) -> tuple[str, ...]:
    folder = node.console and node.console.data
    return (f"venv/bin/python scripts/prompts --out {folder}/sounds",) if folder else _CURE
