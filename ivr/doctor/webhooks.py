"""Programs that speak to the desk, and those that it tells of calls: their secrets, whether they can be reached, what was not told."""

from __future__ import annotations

import time

from ivr.config import Settings
from ivr.database import Database
from ivr.doctor.finding import Finding, Grade, Kind, ok
from ivr.errors import ConfigError, TillitError
from ivr.hooks import secrets_of_hook
from ivr.hooks.outbox import Outbox, Standing
from ivr.hooks.receiver import Receiver

SECRET = Kind(
    "program-secret", Grade.FAULT,
    "A program's or a webhook's secret cannot be read, or is none",
    "The desk does not start.",
)  # fmt: skip
AWAY = Kind(
    "webhook-away", Grade.WARNING,
    "A webhook's receiver cannot be reached",
    "It is told of nothing; what it is to be told waits.",
)  # fmt: skip
LATE = Kind(
    "webhook-late", Grade.WARNING,
    "A webhook's receiver was not told for an hour",
    "It acts on what is long over; in the end it is given up.",
)  # fmt: skip
GIVEN_UP = Kind(
    "webhook-given-up", Grade.WARNING,
    "Messages of a webhook were given up",
    "The receiver does not know of these calls.",
)  # fmt: skip
KINDS = (SECRET, AWAY, LATE, GIVEN_UP)

# Seconds that a message may wait: five tries have failed by then.
_LATE = 3600


async def check(settings: Settings) -> list[Finding]:
    """Nothing where there are none."""
    found = _programs(settings)
    if not settings.webhooks:
        return found
    standing = await _standing(settings)
    for name, hook in settings.webhooks.items():
        subject = f"webhook {name}"
        try:
            receiver = Receiver.of(settings, name, hook, secrets_of_hook(settings, name, hook))
        except ConfigError as error:
            found.append(SECRET.told(subject, error))
            continue
        try:
            fault = await receiver.reach()
        finally:
            await receiver.close()
        troubles = [] if fault is None else [AWAY.found(subject, f"{hook.url}: {fault}", f"# [webhooks.{name}] url")]
        troubles += _untold(subject, name, standing.get(name))
        found += troubles or [ok(subject, "is told of calls")]
    return found


def _programs(settings: Settings) -> list[Finding]:
    # Imported here: only this needs the pages.
    from ivr.web.programs import Programs

    try:
        Programs.of(settings)
    except ConfigError as error:
        return [SECRET.told("programs", error)]
    return [ok("programs", "their secrets are as they should be")] if settings.clients else []


async def _standing(settings: Settings) -> dict[str, Standing]:
    """Empty where the database does not say: that is told of elsewhere."""
    try:
        async with await Database.open(settings) as database:
            names = {name: hook.events for name, hook in settings.webhooks.items()}
            return dict(await Outbox(database, names).standing())
    except TillitError:
        return {}


def _untold(subject: str, name: str, standing: Standing | None) -> list[Finding]:
    found = []
    if standing is not None and standing.waiting and time.time() - standing.oldest > _LATE:
        told = f"{standing.waiting} messages wait, the oldest for {int(time.time() - standing.oldest) // 60} min"
        found.append(LATE.found(subject, told, "# what the desk's log says of webhook.failed"))
    if standing is not None and standing.dead:
        found.append(
            GIVEN_UP.found(subject, f"{standing.dead} messages were given up", f"ari_app.py webhooks retry {name}")
        )
    return found
