"""Looks at an Asterisk before it is trusted with calls: who it is, its version, the prompts that it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ari import Ari
from ivr.asterisk.events import text
from ivr.asterisk.versions import supported, trouble
from ivr.call.languages import Languages, matching
from ivr.config import Settings, tls
from ivr.errors import AriError, ConfigError, Unreachable
from ivr.prompts import Prompt, languages

_MAKE = "venv/bin/python scripts/prompts --out SOUNDS, with the folder `sounds` of Asterisk's data directory"


@dataclass(frozen=True, slots=True)
class Found:
    """An Asterisk that is good enough. `node` is its name for itself: `entity_id`."""

    node: str
    languages: Languages


async def inspect(ari: Ari, settings: Settings, table: str, log: FilteringBoundLogger) -> Found:
    """What is found at the node of this table, such as `[asterisk]`.

    Raises `Unreachable` where nothing answers, or not yet; `ConfigError` where what answers will not do.
    """
    with _explained(settings, table):
        node, default = _known(await ari.request("GET", "asterisk/info"), settings, table, log)
        return Found(node, await _languages(ari, settings, table, default, log))


async def node_of(ari: Ari, settings: Settings, table: str, log: FilteringBoundLogger) -> str:
    """Its name for itself alone, for whoever plays no prompts there. Raises the same."""
    with _explained(settings, table):
        return _known(await ari.request("GET", "asterisk/info"), settings, table, log)[0]


@contextmanager
def _explained(settings: Settings, table: str) -> Iterator[None]:
    place = f"{settings.file}: {table}"
    try:
        yield
    except AriError as error:
        if error.status in (401, 403):
            raise ConfigError(
                f"{place} username, password_file", "Asterisk does not know this user, or not with this password",
                "Compare them with ari.conf",
            ) from None  # fmt: skip
        if error.certificate is not None:
            url = settings.asterisks[table].url
            raise Unreachable(f"{place} ca_file", f"{url}: {error.certificate}", tls.CURE) from None
        # whatever its status: an Asterisk that is starting answers 404, and then 503
        raise Unreachable(
            f"{place} url", f"no answer from {settings.asterisks[table].url} ({error.status or 'nothing there'})",
            "Start Asterisk, enable http.conf and ari.conf, or mend the URL",
        ) from None  # fmt: skip


def _known(info: object, settings: Settings, table: str, log: FilteringBoundLogger) -> tuple[str, str]:
    """The node's name and its default language; a version that is not safe is refused."""
    place = f"{settings.file}: {table}"
    match info:
        case {
            "system": {"version": str(version), "entity_id": str(node)},
            "config": {"default_language": str(language)},
        }:
            pass
        case _:
            raise ConfigError(f"{place} url", "what answers there is not ARI", "Name the URL that ends in /ari")
    fault = trouble(version)
    short = re.split(r"[+~]", version)[0]
    if fault is not None and settings.asterisks[table].accept_version != short:
        raise ConfigError(
            f"{place} accept_version",
            f"Asterisk {short} {fault}",
            f'Install {supported()}; or write accept_version = "{short}" to go on at your own risk',
        )
    log.info("asterisk.found", version=version, node=node, accepted=fault is not None)
    return node, language


async def _languages(ari: Ari, settings: Settings, table: str, default: str, log: FilteringBoundLogger) -> Languages:
    """The languages whose prompts Asterisk has, all of them; the company's must be one."""
    known = await ari.request("GET", "sounds")
    if not isinstance(known, list):
        raise AriError("GET /sounds", 200)
    missing = lacking(known)
    spoken = frozenset(language for language, names in missing.items() if not names)
    own = own_language(settings, default, spoken)
    if own not in missing:
        raise ConfigError(
            f"{settings.file}: [company] language",
            f"no prompts are made of {own!r} by scripts/prompts",
            f"Write one of: {', '.join(languages())}",
        )
    if missing[own]:
        # with several nodes it is one of them that lacks them
        where = "Asterisk" if len(settings.asterisks) == 1 else f"the Asterisk of {table}"
        raise ConfigError(
            f"{settings.file}: [company] language", f"{where} lacks {_those(missing[own])} of {own!r}", f"Type: {_MAKE}"
        )
    for language, names in missing.items():
        # nobody has begun to install a language that has none: nothing is amiss
        if 0 < len(names) < len(Prompt):
            cure = "type scripts/prompts --out with Asterisk's folder `sounds`, and start the worker again"
            log.warning("prompts.incomplete", language=language, missing=names, cure=cure)
    log.info("prompts.found", languages=sorted(spoken))
    return Languages(spoken, default, own)


def lacking(known: list[object]) -> dict[str, list[str]]:
    """The prompts that are missing of each language, of all sounds that Asterisk has (`GET /sounds`)."""
    have = set(_sounds(known))
    return {
        language: [prompt.value for prompt in Prompt if (f"tillit/{prompt.value}", language) not in have]
        for language in languages()
    }


def own_language(settings: Settings, default: str, spoken: frozenset[str]) -> str:
    """The company's language, else Asterisk's default one where it is spoken, else English."""
    return settings.company.language or matching(default, spoken) or "en"


def _sounds(known: list[object]) -> Iterator[tuple[str, str]]:
    """Name and language of each."""
    for sound in known:
        match sound:
            case {"id": str(name), "formats": [*forms]}:
                yield from ((name, text(form.get("language"))) for form in forms if isinstance(form, dict))
            case _:
                pass


def _those(names: list[str]) -> str:
    if len(names) == len(Prompt):
        return "all prompts"
    return f"the prompt{'s' if len(names) > 1 else ''} {', '.join(names)}"
