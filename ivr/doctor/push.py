"""What proofs go out by beside texts: the key of Web Push and the browsers that have agreed to it, and servers of apps. Nobody is told anything."""

from __future__ import annotations

import logging

import structlog

from ivr.config import Settings
from ivr.database import Database
from ivr.doctor.finding import Finding, Grade, Kind, ok
from ivr.errors import ConfigError, PushError, TillitError
from ivr.push.app import servers
from ivr.push.web import WebPush
from ivr.store import pushes
from ivr.vault import Vault

SETTINGS = Kind(
    "push-settings", Grade.FAULT,
    "The key of Web Push, or the secret of an app, cannot be used",
    "The desk does not start.",
)  # fmt: skip
FORMER = Kind(
    "push-former-key", Grade.WARNING,
    "Browsers have agreed to messages of another key of Web Push than there is now",
    "Nobody is shown in them who calls: push services take messages of that key alone.",
)  # fmt: skip
AWAY = Kind(
    "app-away", Grade.WARNING,
    "The server of an app cannot be reached",
    "Proofs by it do not arrive.",
)  # fmt: skip
KINDS = (SETTINGS, FORMER, AWAY)

_SUBJECT = "push"
# Of so many browsers, the latest: of all of a large company it would take minutes.
_LOOKED_AT = 500


async def check(settings: Settings) -> list[Finding]:
    """Nothing where neither is among the ways of the settings."""
    rules = settings.prove
    found = await _browsers(settings) if "push" in rules.ways else []
    own = (rules.app,) if "app" in rules.ways and rules.app is not None else ()
    return [*found, *await _apps(settings, (*own, *rules.partners))]


async def _apps(settings: Settings, names: tuple[str, ...]) -> list[Finding]:
    log = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        made = servers(settings, names, log)
    except ConfigError as error:
        return [SETTINGS.told("apps", error)]
    found = []
    for name, server in made.items():
        try:
            await server.reach()
            found.append(ok(f"app {name}", "its server answers"))
        except PushError as error:
            cure = f"# compare [apps.{name}] url with what you have agreed on, and see whether a firewall lets this machine out"
            found.append(AWAY.found(f"app {name}", str(error), cure))
        finally:
            await server.close()
    return found


async def _browsers(settings: Settings) -> list[Finding]:
    log = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        push = WebPush.of(settings, log)
    except ConfigError as error:
        return [SETTINGS.told(_SUBJECT, error)]
    assert push is not None
    try:
        vault = Vault.open(settings)
    except ConfigError:
        return []  # told of elsewhere
    try:
        async with await Database.open(settings) as database:
            under = await pushes.Pushes(database, vault).latest(_LOOKED_AT)
    except TillitError:
        return []
    finally:
        vault.close()
    former = sum(one not in ("", push.public) for one in under)
    if former:
        return [
            FORMER.found(
                _SUBJECT, f"{former} of the {len(under)} browsers that have agreed last agreed to messages of another key",
                f"# put the former key back: {settings.push.vapid_key_file}, and restart the desk",
                "# or, where it is lost, forget these browsers: ari_app.py customer push prune",
            )
        ]  # fmt: skip
    return [ok(_SUBJECT, "the key is as it should be, and the one that browsers have agreed to")]
