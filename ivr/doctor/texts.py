"""Whether text messages could go out. None is sent."""

from __future__ import annotations

import asyncio
import logging
import stat

import structlog

from ivr import sms
from ivr.config import Settings
from ivr.doctor import account
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
    "Texts do not go out: callers of policies with sms_code or sms_link are not verified, and no proof of ours arrives by text.",
)  # fmt: skip
OUTBOX = Kind(
    "texts-outbox", Grade.WARNING,
    "Texts go into files and not to telephones",
    "The gateway outbox is for trying out: no customer gets a code, and codes lie in files.",
)  # fmt: skip
KINDS = (SETTINGS, AWAY, OUTBOX)

_STEPS = frozenset({"sms_code", "sms_link"})
_SUBJECT = "texts"
# In the folder, or in the nearest one above that is there, where the worker would make it.
_TRY = 'd=$1; while [ ! -e "$d" ]; do d=$(dirname "$d"); done; f=$(mktemp "$d/.doctor.XXXXXXXX") && rm "$f"'


async def check(settings: Settings) -> list[Finding]:
    """Each gateway of the settings: complete, and there."""
    # the worker makes them ready in any case, and does not start where it cannot
    used = _used(settings)
    log = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    found: list[Finding] = []
    for name in sms.names(settings):
        if name == "outbox":
            found += await _outbox(settings)
            if used:
                cure = "# name your gateway in [texts] gateway, and fill in its table: docs/gateways.md"
                found.append(OUTBOX.found(_SUBJECT, "[texts] gateway is outbox", cure))
            continue
        try:
            gateway = sms.one(name, settings, log)
        except ConfigError as error:
            found.append(SETTINGS.told(_SUBJECT, error))
            continue
        try:
            if not used:
                continue
            async with asyncio.timeout(settings.texts.seconds):
                await gateway.reach()
            found.append(ok(_SUBJECT, f"{name} can be connected to (send one: ari_app.py texts test NUMBER)"))
        except TimeoutError:
            found.append(_away(name, "no answer in time"))
        except TextError as error:
            found.append(_away(name, str(error)))
        finally:
            await gateway.close()
    return found if used or found else [ok(_SUBJECT, "none are sent, by no policy and for no proof")]


def _used(settings: Settings) -> bool:
    """Whether any text goes out: of a caller's verification, of our proof, of people to each other."""
    proves = settings.page.url is not None and bool({"text", "code"} & set(settings.prove.ways))
    return proves or settings.persons.on or any(_STEPS & set(policy.steps) for policy in settings.policies.values())


async def _outbox(settings: Settings) -> list[Finding]:
    """Whether the worker's user can write there, tried by making a file and taking it away."""
    folder, user = settings.path(settings.texts.outbox_folder), account.of(settings)
    place = f"{settings.file}: [texts] outbox_folder"
    if not user.is_ours_to_be:
        return []
    code, _, told = await user.run(_TRY, str(folder))
    if code:
        why = told.strip().rpartition(": ")[2]
        return [
            SETTINGS.found(
                _SUBJECT, f"{place}: {folder} cannot be written to by {user.name} ({why})",
                f"# let {user.name} own it: chown -R {user.name} {account.quoted(folder)}",
                "# or name another folder, below /var/lib/tillit",
            )
        ]  # fmt: skip
    if account.there(folder) and (mode := stat.S_IMODE(folder.stat().st_mode)) & 0o077:
        problem = f"{place}: {folder} has mode {mode:04o}, and codes are written there"
        return [SETTINGS.found(_SUBJECT, problem, f"chmod 700 {account.quoted(folder)}")]
    return []


def _away(name: str, why: str) -> Finding:
    return AWAY.found(
        _SUBJECT, f"{name}: {why}",
        f"# compare [texts.{name}] url with your account, and see whether a firewall lets this machine out",
        "# a gateway in your own network: name its address in allow_private",
    )  # fmt: skip
