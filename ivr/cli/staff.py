"""What may stand in the fields of somebody who signs in, and the link that they are given."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ivr.cli.fields import FieldError
from ivr.config import Settings
from ivr.config.oidc import Oidc
from ivr.errors import ConfigError
from ivr.secret import Secret
from ivr.staff import Permission, Role
from ivr.store import staffing

_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
_NAMED = re.compile(r"[A-Za-z0-9_-]{1,40}")
# What Dial() takes apart, a shell or a dialplan would read, and wildcards, is in no endpoint.
_ENDPOINT = re.compile(r"(?P<technology>[A-Za-z][A-Za-z0-9]{1,15})/(?P<resource>[\w.+@:-]{1,60})", re.ASCII)
_TECHNOLOGIES = {name.upper(): name for name in ("PJSIP", "SIP", "IAX2", "DAHDI", "SCCP", "Skinny", "UniStim", "Motif")}
_MOST_ENDPOINTS = 10


def login(text: str) -> str:
    """A login: what stands in the trail, in small letters."""
    if not _LOGIN.fullmatch(text):
        raise FieldError(
            "LOGIN", "is not 1 to 64 of a-z, 0-9 and . _ @ -, a letter or a digit first", "Write it so, such as anna"
        )
    return text


def named(text: str, option: str) -> str:
    """A tenant or a team."""
    if not _NAMED.fullmatch(text):
        raise FieldError(option, "is not 1 to 40 of letters, digits, - and _", "Write it so, such as support")
    return text


def tenant_of(text: str | None) -> str | None:
    """That of `--tenant`, where it is given."""
    return None if text is None else named(text, "--tenant")


def role(text: str) -> Role:
    """One of those that there are."""
    try:
        return Role(text.strip().lower().replace("-", "_"))
    except ValueError:
        raise FieldError("--role", "there is no such role", f"Write one of: {', '.join(Role)}") from None


def permission(text: str) -> Permission:
    """One of those that there are."""
    try:
        return Permission(text.strip().lower())
    except ValueError:
        cure = f"Write one of: {', '.join(Permission)}"
        raise FieldError("PERMISSION", "there is no such permission", cure) from None


def subject(text: str) -> str:
    """What a provider calls somebody (OpenID Connect Core 2)."""
    if not (0 < len(text) <= 255 and text.isascii() and text.isprintable()):
        raise FieldError("SUBJECT", "is not 1 to 255 ASCII characters", "Write what the provider has as sub")
    return text


def provider(settings: Settings) -> Oidc:
    """The provider by which people sign in. Raises `ConfigError` where there is none."""
    if settings.desk.oidc is None:
        cure = "Write the table, then link people with what is theirs there"
        raise ConfigError(f"{settings.file}: [desk.oidc]", "is left out, and nobody signs in by a provider", cure)
    return settings.desk.oidc


def endpoints(texts: Iterable[str], option: str = "--endpoint") -> tuple[str, ...]:
    """Phones, as `Dial()` calls them; the technology as Asterisk writes it."""
    found: dict[str, None] = {}
    for text in texts:
        parts = _ENDPOINT.fullmatch(text.strip())
        technology = None if parts is None else _TECHNOLOGIES.get(parts["technology"].upper())
        if parts is None or technology is None:
            problem = "is no phone as Dial() calls it"
            raise FieldError(option, problem, f"Write it as PJSIP/anna; there are {', '.join(_TECHNOLOGIES.values())}")
        found[f"{technology}/{parts['resource']}"] = None
    if len(found) > _MOST_ENDPOINTS:
        raise FieldError(option, f"there are more than {_MOST_ENDPOINTS}", "Leave some out")
    return tuple(found)


def url(settings: Settings) -> str:
    """What browsers call the desk. Raises `ConfigError` where the settings do not say."""
    if settings.desk.url is None:
        cure = 'Write there what browsers call the desk, such as url = "https://desk.example.com"'
        raise ConfigError(f"{settings.file}: [desk] url", "is left out, and a link begins with it", cure)
    return settings.desk.url


def link(settings: Settings, token: Secret) -> Secret:
    """The one-time link of this token."""
    return staffing.link(url(settings), token)
