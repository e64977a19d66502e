"""What the pages say, in each language: one catalogue file a language in the folder `words`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from ivr.call.languages import matching

# Languages that are looked at of what a browser sends: more are no person's.
_MOST = 20


@dataclass(frozen=True, slots=True)
class Words:
    """One language. Called with the name of a sentence, and what is filled in."""

    language: str
    texts: Mapping[str, str]

    def __call__(self, name: str, /, **fields: object) -> str:
        """Raises `KeyError` for a sentence that is none, and for a field that is not given."""
        # in one go: what is filled in may itself look like a field
        return re.sub(r"{(\w+)}", lambda found: str(fields[found[1]]), self.texts[name])


@cache
def languages(package: str = __package__) -> tuple[str, ...]:
    """The languages that have a catalogue, in the order of their codes. `package`: whose pages they are of."""
    files = resources.files(package).joinpath("words").iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


@cache
def words(language: str, package: str = __package__) -> Words:
    """The catalogue of a language; raises `KeyError` where there is none."""
    if language not in languages(package):
        raise KeyError(language)
    raw = tomllib.loads(resources.files(package).joinpath("words", f"{language}.toml").read_text(encoding="utf-8"))
    return Words(language, {f"{table}.{name}": text for table, texts in raw.items() for name, text in texts.items()})


def chosen(own: str | None, accepted: str, company: str | None, package: str = __package__) -> Words:
    """The person's own language, else the best that the browser asks for, else the company's, else English."""
    for language in (own, *_wanted(accepted), company):
        if language and (known := matching(language, languages(package))) is not None:
            return words(known, package)
    return words("en", package)


def _wanted(accepted: str) -> list[str]:
    """Of an Accept-Language (RFC 9110, 12.5.4) the languages, the most wanted first."""
    weighed = []
    for part in accepted.split(",")[:_MOST]:
        found = re.fullmatch(
            r"\s*([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)\s*(?:;\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?\s*", part
        )
        if found is not None and (weight := float(found[2] or 1)) > 0:
            weighed.append((weight, found[1]))
    return [language for _, language in sorted(weighed, key=lambda pair: -pair[0])]
