"""Whose people sign in on the page: `main`'s, unless an address, the form or the browser names another tenant.

Which tenants there are is told to nobody: one that there is not is refused as a password that is wrong.
"""

from __future__ import annotations

import re

from aiohttp import web

from ivr.staff import TENANT
from ivr.web import guard

COOKIE = "__Host-tenant"
"""Whose people sign in with this browser. It proves nothing: it fills in a field."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_YEAR = 365 * 24 * 3600


def read(typed: str | None) -> str:
    """The tenant that a form names; of what is none, one that nobody has, whose text is of ours."""
    if typed is None or not typed.strip():
        return TENANT
    return typed.strip() if _NAME.fullmatch(typed.strip()) else "?"


def known(request: web.Request) -> str | None:
    """The one that this browser has signed in to; None where it needs not be asked for."""
    found = request.cookies.get(COOKIE, "")
    return found if _NAME.fullmatch(found) else None


def keep(answer: web.StreamResponse, tenant: str) -> None:
    """Ask for it from now on, filled in, or no more."""
    if tenant == TENANT:
        guard.drop(answer, COOKIE)
    else:
        guard.put(answer, COOKIE, tenant, _YEAR)


def way(tenant: str, said: str) -> str:
    """To the page on which people of this tenant sign in, which says this."""
    return f"/sign-in?{said}" if tenant == TENANT else f"/sign-in?{said}&tenant={tenant}"
