"""Programs that speak to the desk by themselves, and how they say who they are: their name and a secret (HTTP Basic)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote

from aiohttp import web

from ivr.config import Client, Settings, secrets_of
from ivr.secret import Secret
from ivr.web.problems import Problem
from ivr.web.visit import Visit

_LEAST = 32
_SCHEME = "basic "
_REALM = 'Basic realm="desk", charset="UTF-8"'
# Characters: whatever is longer is none of ours.
_LONGEST = 1024


@dataclass(frozen=True, slots=True)
class Program:
    """One of `[clients.NAME]`, with one secret or two."""

    name: str
    rules: Client
    secrets: tuple[Secret, ...] = field(repr=False)


class Programs:
    """All of them."""

    def __init__(self, known: Mapping[str, Program]) -> None:
        self._known = known
        # whoever is nobody is compared with something that nobody has
        self._nobody = (Secret.random_token(), Secret.random_token())
        self._origins = frozenset(origin for one in known.values() for origin in one.rules.origins)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Those of the settings; raises `ConfigError` where a secret is missing, too short, or can be read by others."""
        return cls({
            name: Program(
                name, client,
                secrets_of(settings, f"[clients.{name}] secret", client.secret_file, client.secret_env, least=_LEAST),
            )
            for name, client in settings.clients.items()
        })  # fmt: skip

    def embeds(self, origin: str) -> bool:
        """Whether pages of this origin may hold the element of any of them."""
        return origin in self._origins

    def of_request(self, request: web.BaseRequest) -> Program | None:
        """The program that sends it; None where it does not say, or not rightly. Takes the same time for all."""
        name, secret = _said(request.headers.get("Authorization", ""))
        found = self._known.get(name)
        secrets = self._nobody if found is None else found.secrets
        # each of them is compared
        good = [secret == one for one in secrets]
        return found if any(good) else None


def admitted(visit: Visit) -> Program:
    """The program that sends this request. Raises `Problem` where it is none, or where a browser sends it."""
    headers = visit.request.headers
    if "Origin" in headers or "Sec-Fetch-Site" in headers:
        # the secret belongs on a server, never into a page
        raise Problem("cross_site")
    found: Program | None = visit.house.programs.of_request(visit.request)
    if found is None:
        if visit.house.sparing.may("program_refused"):
            visit.house.log.warning("web.program_refused", peer=visit.address)
        raise Problem("program_refused", headers={"WWW-Authenticate": _REALM})
    return found


def _said(header: str) -> tuple[str, Secret]:
    nothing = "", Secret("")
    if len(header) > _LONGEST or header[: len(_SCHEME)].lower() != _SCHEME:
        return nothing
    try:
        name, _, secret = base64.b64decode(header[len(_SCHEME) :], validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return nothing
    # RFC 6749 2.3.1 has both spelled as in a form, which not every program does
    return unquote(name), Secret(unquote(secret))
