"""Two words that a page shows and an agent says aloud: a check for ears, and no secret."""

from __future__ import annotations

import secrets
import tomllib
from functools import cache
from importlib import resources

from ivr.prompts import languages


def phrase(language: str) -> str:
    """One of 65,536, in English where the language has none."""
    adjectives, nouns = words(language if language in languages() else "en")
    return f"{secrets.choice(adjectives)} {secrets.choice(nouns)}"


@cache
def words(language: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The first ones and the second ones of a language's catalogue."""
    file = resources.files("ivr.prompts").joinpath(f"{language}.toml")
    found = tomllib.loads(file.read_text(encoding="utf-8"))["phrases"]
    return tuple(found["adjectives"].split()), tuple(found["nouns"].split())
