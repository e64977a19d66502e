"""The ways in which the company proves who it is, but texts, browsers and apps: whether their files and servers are there. Nothing is sent."""

from __future__ import annotations

from ivr.config import Settings
from ivr.doctor.finding import Finding, Grade, Kind, ok
from ivr.errors import ConfigError, MailError
from ivr.mail.smtp import Mailer

SETTINGS = Kind(
    "prove-settings", Grade.FAULT,
    "A file of a way to prove who we are cannot be used",
    "The desk does not start.",
)  # fmt: skip
AWAY = Kind(
    "prove-away", Grade.WARNING,
    "A way to prove who we are is not reached",
    "Agents who take it read that the message did not arrive.",
)  # fmt: skip
NO_PAGE = Kind(
    "prove-page", Grade.WARNING,
    "Ways to prove who we are stand in the settings, and there is no public page",
    "The desk has no button for it.",
)  # fmt: skip
KINDS = (SETTINGS, AWAY, NO_PAGE)

_SUBJECT = "prove"


async def check(settings: Settings) -> list[Finding]:
    """Nothing where the company does not prove who it is, or by texts alone."""
    if settings.page.url is None:
        if "ways" not in settings.prove.model_fields_set:
            return []
        cure = '# write [page] url = "https://id.example.com", or leave ways out'
        return [NO_PAGE.found(_SUBJECT, f"{settings.file}: [prove] ways is there, and [page] url is not", cure)]
    found: list[Finding] = []
    for way in settings.prove.ways:
        try:
            found += await _way(settings, way)
        except ConfigError as error:
            found.append(SETTINGS.told(_SUBJECT, error))
    return found


async def _way(settings: Settings, way: str) -> list[Finding]:
    """Raises `ConfigError`."""
    match way:
        case "mail" if (mailer := Mailer.of(settings)) is not None:
            try:
                await mailer.reach()
            except MailError as error:
                return [AWAY.found(_SUBJECT, str(error), "# compare [mail] with your account there, and see whether a firewall lets this machine out")]  # fmt: skip
            return [ok(_SUBJECT, f"{settings.mail.host} takes e-mail from us")]
        case _:
            return []
