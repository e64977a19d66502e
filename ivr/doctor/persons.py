"""What people show each other of who they are: whether the desk can do it, and whether the page offers the same."""

from __future__ import annotations

import logging

import aiohttp
import structlog

from ivr.config import Settings
from ivr.doctor.finding import Finding, Grade, Kind, ok
from ivr.errors import ConfigError
from ivr.persons.ways import Ways

SETTINGS = Kind(
    "persons-settings", Grade.FAULT,
    "People are to show each other who they are, and the desk lacks what that needs",
    "The desk does not start.",
)  # fmt: skip
PAGE = Kind(
    "persons-page", Grade.WARNING,
    "The page and the desk do not agree on whether people can show each other who they are",
    "Where the page alone has it, people wait there for nothing; where the desk alone has it, nobody finds it.",
)  # fmt: skip
KINDS = (SETTINGS, PAGE)

_SUBJECT = "persons"
_SECONDS = 5.0
_SILENT = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


async def check(settings: Settings) -> list[Finding]:
    """Nothing where there is no page, and nobody is to. Whether providers answer is looked at beside the other eIDs."""
    on, url = settings.persons.on, settings.page.url
    if not on and url is None:
        return []
    found = []
    if on:
        try:
            await Ways.of(settings, _SILENT, tick=1.0, poll=None).close()
        except ConfigError as error:
            found.append(SETTINGS.told(_SUBJECT, error))
    if url is None:
        cure = '# write [page] url = "https://id.example.com", or leave eids out'
        return [
            *found,
            SETTINGS.found(_SUBJECT, f"{settings.file}: [persons] eids is there, and there is no public page", cure),
        ]
    offered = await _offered(f"{url}/person")
    if offered is not None and offered is not on:
        there, here = (
            ("offers", "[persons] eids is not written") if offered else ("does not offer", "[persons] eids is")
        )
        found.append(
            PAGE.found(
                _SUBJECT, f"{url}/person {there} it, and {here} in {settings.file}",
                "# write the same lines below [persons] where the page is and where the desk is; then start both anew",
                "systemctl restart tillit-page tillit-desk",
            )
        )  # fmt: skip
    if found or not on:
        return found
    by = ", ".join(map(settings.persons.label, settings.persons.eids))
    return [ok(_SUBJECT, f"{url}/person offers it, by {by}")] if offered else []


async def _offered(url: str) -> bool | None:
    """Whether the page has it; None where it does not say: that is told of beside what else is wrong with it."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS)) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            return {200: True, 404: False}.get(answer.status)
    except (aiohttp.ClientError, OSError, TimeoutError):
        return None
