"""How text messages go out: one file a gateway, and what makes of them `ports.Texts`.

A new gateway is a file beside this one, a line in `_GATEWAYS`, and its name in `config.Texts`.
"""

from __future__ import annotations

from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from ivr.call.ports import Texts
from ivr.config import Settings
from ivr.sms import elks, http, outbox, smpp, twilio, vonage
from ivr.sms.elks import Elks
from ivr.sms.gateway import Gateway
from ivr.sms.http import Http
from ivr.sms.limited import Limited, Screened
from ivr.sms.outbox import Outbox
from ivr.sms.reporting import Reporting
from ivr.sms.smpp import Smpp
from ivr.sms.turn import InTurn, Result, Tried
from ivr.sms.twilio import Twilio
from ivr.sms.vonage import Vonage

_GATEWAYS: dict[str, Callable[[Settings, FilteringBoundLogger, Reporting | None], Gateway]] = {
    outbox.NAME: lambda settings, _, __: Outbox.of(settings),
    elks.NAME: Elks.of,
    twilio.NAME: Twilio.of,
    vonage.NAME: Vonage.of,
    smpp.NAME: lambda settings, log, reporting: Smpp.of(settings, log, None if reporting is None else reporting.told),
    http.NAME: lambda settings, log, _: Http.of(settings, log),
}

# Seconds more than the gateways have, before they are given up from outside: which of them it was is then not known.
_MARGIN = 0.5


def names(settings: Settings) -> list[str]:
    """The gateways of the settings, the first of them first."""
    texts = settings.texts
    return [texts.gateway, *([texts.fallback] if texts.fallback else [])]


def one(name: str, settings: Settings, log: FilteringBoundLogger, reporting: Reporting | None = None) -> Gateway:
    """The gateway of this name; raises `ConfigError` where it cannot be used."""
    return _GATEWAYS[name](settings, log, reporting)


def in_turn(
    settings: Settings, log: FilteringBoundLogger, only: str | None = None, reporting: Reporting | None = None
) -> InTurn:
    """The gateways that the settings name, or the one of this name; raises `ConfigError` where one cannot be used.

    `reporting`: where they are to report what becomes of texts, where that is asked for.
    """
    chosen = [only] if only else names(settings)
    return InTurn({name: one(name, settings, log, reporting) for name in chosen}, settings.texts.seconds, log)


def texts(settings: Settings, log: FilteringBoundLogger, gateways: InTurn) -> Texts:
    """These gateways, within their time limit, and to numbers that texts may go to."""
    limited = Limited(gateways, settings.texts.seconds + _MARGIN)
    return Screened(limited, settings.text_countries, log, digits=settings.limits.texts_prefix_digits)


__all__ = ["InTurn", "Limited", "Outbox", "Reporting", "Result", "Tried", "in_turn", "names", "one", "texts"]
