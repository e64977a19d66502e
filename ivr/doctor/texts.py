"""Whether text messages could go out. None is sent."""

from __future__ import annotations

import asyncio
import logging

import structlog

from ivr import sms
from ivr.config import Settings
from ivr.doctor.finding import Finding, Grade, Kind, ok
from ivr.errors import ConfigError, TextError

SETTINGS = Kind(
    "texts-settings", Grade.FAULT,
    "A setting of the text message gateway is missing or wrong",
    "No text can go out. The worker does not start.",
)  # fmt: skip
AWAY = Kind(
    "texts-away", Grade.FAULT,
    "The text message gateway cannot be connected to",
    "Texts do not go out: callers of policies with sms_code are not verified.",
)  # fmt: skip
OUTBOX = Kind(
    "texts-outbox", Grade.WARNING,
    "Texts go into files and not to telephones",
    "The gateway outbox is for trying out: no customer gets a code, and codes lie in files.",
)  # fmt: skip
KINDS = (SETTINGS, AWAY, OUTBOX)

_STEP = "sms_code"
_SUBJECT = "texts"


async def check(settings: Settings) -> list[Finding]:
    """Each gateway of the settings: complete, and there."""
    if not any(_STEP in policy.steps for policy in settings.policies.values()):
        return [ok(_SUBJECT, "no policy sends any")]
    log = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    found = []
    for name in sms.names(settings):
        if name == "outbox":
            cure = "# name your gateway in [texts] gateway, and fill in its table: docs/gateways.md"
            found.append(OUTBOX.found(_SUBJECT, "[texts] gateway is outbox", cure))
            continue
        try:
            gateway = sms.one(name, settings, log)
        except ConfigError as error:
            found.append(SETTINGS.told(_SUBJECT, error))
            continue
        try:
            async with asyncio.timeout(settings.texts.seconds):
                await gateway.reach()
            found.append(ok(_SUBJECT, f"{name} can be connected to (send one: ari_app.py texts test NUMBER)"))
        except TimeoutError:
            found.append(_away(name, "no answer in time"))
        except TextError as error:
            found.append(_away(name, str(error)))
        finally:
            await gateway.close()
    return found


def _away(name: str, why: str) -> Finding:
    return AWAY.found(
        _SUBJECT, f"{name}: {why}",
        f"# compare [texts.{name}] url with your account, and see whether a firewall lets this machine out",
        "# a gateway in your own network: name its address in allow_private",
    )  # fmt: skip
