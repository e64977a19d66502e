"""The page on which somebody sees how they sign in, and changes the own passkeys; and what scripts ask for on the way."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from aiohttp import web

from ivr.store.keyring import Removal
from ivr.store.passkeys import Passkeys
from ivr.web import guard, render
from ivr.web.problems import Problem
from ivr.web.visit import Visit

_PAGE = "/account"
# What a redirect may say in the page that it leads to.
_SAID = ("added", "removed", "renamed", "last", "failed")


async def account(visit: Visit) -> web.StreamResponse:
    """How this person signs in."""
    person, passkeys = visit.who, visit.house.passkeys
    kept = () if passkeys is None else await passkeys.of(person)
    ways = {} if passkeys is None else await passkeys.ways(person)
    said = next((name for name in _SAID if name in visit.request.query), "")
    return render.page(
        visit.request, "account.html", visit.words,
        {
            "person": person, "fresh": visit.fresh, "unproved": visit.session is not None and not visit.session.proved, "possible": passkeys is not None,
            "ways": {name: _day(since) for name, since in ways.items()}, "bad": said in ("last", "failed"),
            "told": visit.words(f"account.{said}") if said else "",
            "keys": [
                {
                    "id": one.id, "name": one.passkey.name, "synced": one.passkey.synced, "since": _day(one.since),
                    "used": visit.words("account.never") if one.used is None else _day(one.used),
                }
                for one in kept
            ],
        },
        company=visit.house.settings.company.name, session=visit.session,
    )  # fmt: skip


async def ask(visit: Visit) -> web.StreamResponse:
    """What a browser shows a passkey for, to sign in: the same for everybody."""
    passkeys = _there(visit)
    return _options(await passkeys.ask(guard.bound_to_form(visit.request), alone=passkeys.alone))


async def ask_welcome(visit: Visit) -> web.StreamResponse:
    """What a browser makes the first passkey of, for whom a link is."""
    found = await visit.house.links.offer_passkey(guard.link(visit.request))
    if found is None:
        raise Problem("link_gone")
    return _options(found)


async def offer(visit: Visit) -> web.StreamResponse:
    """What a browser makes a further passkey of."""
    return _options(await _there(visit).offer(visit.who, _bound(visit)))


async def add(visit: Visit) -> web.StreamResponse:
    """Keep the one that was made."""
    form = await visit.form()
    passkeys, bound = _there(visit), _bound(visit)
    done = await passkeys.add(visit.who, bound, form.get("passkey", ""), form.get("name", ""), visit.address)
    if done:
        visit.house.log.info("passkey.added", person=visit.who.id)
    return _back("added" if done else "failed")


async def change(visit: Visit) -> web.StreamResponse:
    """Give one another name, or take it away; then all other sessions of this person end."""
    form, passkeys, named = await visit.form(), _there(visit), visit.request.match_info["passkey"]
    _bound(visit)
    if form.get("do") == "rename":
        return _back("renamed" if await passkeys.rename(visit.who, named, form.get("name", "")) else "failed")
    match await passkeys.remove(visit.who, named, visit.address):
        case Removal.DONE:
            session, token = visit.session, visit.token
            assert session is not None and token is not None
            # whoever has that key may have signed in with it
            await visit.house.sessions.end_all(session.tenant, session.person, but=token)
            visit.house.hub.end_all(session.tenant, session.person, but=session.id)
            visit.house.log.info("passkey.removed", person=visit.who.id)
            return _back("removed")
        case Removal.LAST:
            return _back("last")
        case _:
            return _back("failed")


def _there(visit: Visit) -> Passkeys:
    if visit.house.passkeys is None:
        raise Problem("not_found")
    return visit.house.passkeys


def _bound(visit: Visit) -> bytes:
    """What a challenge of this session is bound to. Raises `Problem` where the sign-in is not fresh."""
    if not visit.fresh:
        raise Problem("not_fresh")
    assert visit.session is not None
    return f"{visit.session.tenant} {visit.session.id}".encode()


def _options(found: Mapping[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(found), headers={"Content-Type": "application/json"})


def _back(said: str) -> web.Response:
    return web.Response(status=303, headers={"Location": f"{_PAGE}?{said}"})


def _day(at: str) -> str:
    return f"{datetime.fromisoformat(at):%Y-%m-%d}"
