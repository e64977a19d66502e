"""The pages' handlers: signing in and out, the one-time link, the desk. None of them needs a script."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import segno
from aiohttp import web
from markupsafe import Markup, escape

from ivr.errors import Unavailable
from ivr.lock import FIELDS
from ivr.lock.proofwords import NOTHING
from ivr.staff import Denied, Permission, Person, SignedIn
from ivr.store.welcome import Offer, Unfit
from ivr.web import dialview, goals, guard, render, tenants
from ivr.web.api import ended, ended_everywhere, signed_in
from ivr.web.live import OWN, Kind, Shown
from ivr.web.problems import STATUSES, Problem
from ivr.web.proofview import NO_PROOF, abouts, ways
from ivr.web.view import UNKNOWN, View, choices, over, view
from ivr.web.view import Shown as ShownCall
from ivr.web.visit import House, Visit

_BLANK: ShownCall = {
    "id": "", "sign": "not_verified", "title": "", "help": "", "number": "", "direction": "", "name": "", "ref": "", "dialled": "", "held": False,
    "since": 0.0, "until": None, "keyed": "", "dots": (0, 0), "verifiable": False, "droppable": False,
    "provable": False, "closed": None, "proof": NO_PROOF, "peerable": False,
}  # fmt: skip


async def desk(visit: Visit) -> web.StreamResponse:
    """The own calls; who is not signed in is asked to."""
    if visit.person is None:
        raise web.HTTPSeeOther("/sign-in")
    person = visit.person
    if (start := goals.start(person)) != "/":
        raise web.HTTPSeeOther(start)
    shown = person.may(Permission.CALL)
    peers = None if visit.house.peering is None else visit.house.settings.peers.departments
    choice = NOTHING if visit.house.prove is None else visit.house.prove.offered()
    return page(
        visit, "desk.html", calls_shown=shown, view=await seen(visit.house, visit, person) if shown else UNKNOWN,
        blank=_BLANK, fields=FIELDS, now=visit.house.wall(), silent=visit.house.hub.lost, over=over(visit.words), offered=choices(visit.house.midcall.offered(person.tenant), visit.words),
        ways=ways(choice, visit.words), abouts=abouts(choice, visit.words), departments=peers, dials=_dials(visit.house, person),
        no_dial=dialview.NO_DIAL, **before(visit),
    )  # fmt: skip


async def seen(house: House, visit: Visit, person: Person) -> View:
    """What the page of this person shows now."""
    try:
        return await _view(house, visit, person)
    except Unavailable:
        return UNKNOWN


async def live(visit: Visit) -> web.StreamResponse:
    """The websocket of an open page."""
    house = visit.house

    async def shown(person: Person) -> View:
        return await _view(house, visit, person)

    return await follow(visit, shown)


async def _view(house: House, visit: Visit, person: Person) -> View:
    """Raises `Unavailable`."""
    seen = view(await house.lock.current(person), visit.words)
    if house.dial is not None and _dials(house, person):
        seen["dial"] = dialview.shown(await house.dial.shown(person), visit.words)
    return seen


def _dials(house: House, person: Person) -> bool:
    return house.dial is not None and person.may(Permission.DIAL)


async def follow(
    visit: Visit, shown: Shown, kind: Kind = OWN, unknown: Mapping[str, object] = UNKNOWN
) -> web.StreamResponse:
    """A websocket that shows this until the session ends."""
    if visit.request.headers.get("Upgrade", "").lower() != "websocket":
        raise Problem("bad_request")
    token, session, house = visit.token, visit.session, visit.house
    assert token is not None and session is not None

    async def look(used: bool) -> Person | None:
        standing = await house.sessions.of(token, used=used)
        return None if standing is None else await house.people.by_id(standing.tenant, standing.person)

    return await house.hub.serve(visit.request, session.id, visit.who, look, shown, kind, unknown)


# ---------------------------------------------------------------- signing in and out


async def ask_sign_in(visit: Visit) -> web.StreamResponse:
    """The form."""
    if visit.person is not None:
        raise web.HTTPSeeOther("/")
    query = visit.request.query
    told = next(
        (
            visit.words(f"sign_in.{name}")
            for name in ("ended", "signed_out", "welcome_done", "welcome_passkey")
            if name in query
        ),
        "",
    )
    return sign_in_form(
        visit, told=told, goal=goals.goal(query.get("for", "")), tenant=query.get("tenant"), leave="provider" in query
    )


async def sign_in(visit: Visit) -> web.StreamResponse:
    """The same words, whatever was wrong."""
    form = await visit.form()
    login, goal, typed = form.get("login", "").strip()[:64], goals.goal(form.get("for", "")), form.get("tenant")
    tenant = tenants.read(typed)
    if passkey := form.get("passkey"):
        found = await signed_in(visit, await _by_passkey(visit, tenant, login, passkey))
    else:
        password, code = await visit.secret("password"), await visit.secret("code")
        found = await signed_in(visit, await visit.house.door.sign_in(tenant, login, password, code, visit.address))
    if isinstance(found, Denied):
        if found.seconds is None:
            told = visit.words("sign_in.refused_passkey" if passkey else "sign_in.refused")
            return sign_in_form(visit, told, login=login, status=401, goal=goal, tenant=typed)
        fault = visit.words("sign_in.wait", seconds=found.seconds)
        return sign_in_form(visit, fault, login=login, status=429, wait=found.seconds, goal=goal, tenant=typed)
    person, token, _ = found
    if goals.leads_across(goal):
        # a form's own redirect would not be let go on to another host
        answer = onward(visit, goal)
    else:
        answer = web.Response(status=303, headers={"Location": goals.place(goal)})
    guard.sign_in(answer, token)
    tenants.keep(answer, person.tenant)
    return answer


def onward(visit: Visit, goal: str) -> web.Response:
    """Leads there who has signed in, from a page of ours: what comes of a redirect would be another site's, or a form's."""
    words = visit.words
    on = words("provider.across" if goals.leads_across(goal) else "provider.on")
    fields = {"said": words("provider.done"), "to": goals.place(goal), "on": on}
    return render.page(visit.request, "provider.html", words, fields, company=visit.house.settings.company.name)


async def _by_passkey(visit: Visit, tenant: str, login: str, answer: str) -> SignedIn | Denied:
    house, bound = visit.house, guard.bound_to_form(visit.request)
    if house.passkeys is None:
        raise Problem("not_found")
    if house.passkeys.alone:
        return await house.door.sign_in_by_passkey(tenant, answer, bound, visit.address)
    return await house.door.sign_in_by_passkey(
        tenant, answer, bound, visit.address, login=login, password=await visit.secret("password")
    )


async def sign_out(visit: Visit) -> web.StreamResponse:
    """The session is over in every window."""
    form = await visit.form()
    goal, elsewhere = goals.goal(form.get("for", "")), visit.house.elsewhere
    there = elsewhere is not None and visit.session is not None and visit.session.elsewhere
    if "everywhere" in form:
        await ended_everywhere(visit)
    else:
        await ended(visit)
    if goal:
        to = f"/sign-in?for={goal}"
    elif elsewhere is not None and there and elsewhere.rules.sign_out:
        to = "/sign-out/provider"
    else:
        to = "/sign-in?signed_out" + ("&provider" if there else "")
    answer = web.Response(status=303, headers={"Location": to})
    guard.sign_out(answer)
    return answer


# ---------------------------------------------------------------- the one-time link


async def ask_welcome(visit: Visit) -> web.StreamResponse:
    """The form. It changes nothing: whoever looks at links before their owners do spends none."""
    return _welcome_form(visit, await _offer(visit))


async def welcome(visit: Visit) -> web.StreamResponse:
    """Set password and second factor."""
    sealed = (await visit.form()).get("sealed", "")
    # what an app has read once it need not read again
    offer = await _offer(visit, sealed)
    password, again = await visit.secret("password"), await visit.secret("again")
    if password != again:
        return _welcome_form(visit, offer, "differ")
    links, token, form = visit.house.links, guard.link(visit.request), await visit.form()
    if answer := form.get("passkey"):
        name = visit.words("passkey.first")
        taken = await links.accept_passkey(token, password, answer, name, visit.address)
    else:
        taken = await links.accept(token, password, await visit.secret("code"), sealed, visit.address)
    match taken:
        case Person():
            visit.house.log.info("web.enrolled", person=taken.id)
            raise web.HTTPSeeOther(tenants.way(taken.tenant, "welcome_passkey" if answer else "welcome_done"))
        case Unfit.LINK:
            raise Problem("link_gone")
        case _:
            return _welcome_form(visit, offer, taken.value)


async def _offer(visit: Visit, sealed: str = "") -> Offer:
    found = await visit.house.links.offer(guard.link(visit.request), sealed)
    if found is None:
        raise Problem("link_gone")
    if found.person.language is not None:
        visit.speak(found.person.language)
    return found


def _welcome_form(visit: Visit, offer: Offer, fault: str = "") -> web.StreamResponse:
    token = guard.form_token(visit.request)
    picture = segno.make(offer.uri.reveal(), micro=False).svg_inline(border=4, omitsize=True)
    answer = page(
        visit, "welcome.html", status=422 if fault else 200, welcome=offer.person, sealed=offer.sealed, csrf=escape(token.reveal()),
        fault=visit.words(f"fault.{fault}", least=visit.house.settings.desk.password.least) if fault else "",
        least=visit.house.settings.desk.password.least,
        # of our own making: modules of a QR code, as a path
        picture=Markup(picture), key=escape(offer.key.reveal()),  # noqa: S704
        person=None, passkeys="" if visit.house.passkeys is None else f"{visit.request.path}/passkey",
    )  # fmt: skip
    guard.keep_form(answer, token)
    return answer


async def problems(visit: Visit) -> web.StreamResponse:
    """What the API refuses, and why."""
    return page(visit, "problems.html", statuses=STATUSES)


# ---------------------------------------------------------------- what they share


def page(visit: Visit, template: str, *, status: int = 200, **fields: object) -> web.Response:
    """The page of this visit."""
    fields.setdefault("person", visit.person)
    company = visit.house.settings.company.name
    return render.page(
        visit.request, template, visit.words, fields, company=company, session=visit.session, status=status
    )


def sign_in_form(
    visit: Visit, fault: str = "", *, told: str = "", login: str = "", status: int = 200, wait: int | None = None,
    goal: str = "", tenant: str | None = None, leave: bool = False,
) -> web.StreamResponse:  # fmt: skip
    """Asks for login, password and code, or for another way; `fault` and `told` stand above.

    `tenant`: what was given as one; None where the browser knows best. `leave`: say that one is still signed in at the provider.
    """
    passkeys, elsewhere = visit.house.passkeys, visit.house.elsewhere
    token = guard.form_token(visit.request)
    answer = page(
        visit,
        "sign_in.html",
        status=status,
        fault=fault,
        told=told,
        login=login,
        csrf=escape(token.reveal()),
        person=None,
        goal=goal,
        tenant=tenants.known(visit.request) if tenant is None else tenant[:40],
        leave="" if elsewhere is None or not leave else visit.words("sign_in.leave", provider=elsewhere.rules.name),
        passkeys=passkeys is not None,
        alone=passkeys is not None and passkeys.alone,
        provider="" if elsewhere is None else visit.words("sign_in.provider", provider=elsewhere.rules.name),
    )
    guard.keep_form(answer, token)
    if wait is not None:
        answer.headers["Retry-After"] = str(wait)
    return answer


def before(visit: Visit) -> Mapping[str, Any]:
    """The sign-in before this one, for the page at which somebody begins (`last.html`)."""
    assert visit.session is not None
    last = visit.session.last
    if last is None:
        return {"last": None, "failures": 0}
    return {"last": f"{datetime.fromisoformat(last.at):%Y-%m-%d %H:%M} UTC, {last.place}", "failures": last.failures}
