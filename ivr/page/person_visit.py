"""What people do on the page who show each other who they are. It decides nothing: the desk does, and what it says is shown."""

from __future__ import annotations

import re

from aiohttp import web

from ivr.config import Settings
from ivr.numbers import e164
from ivr.page import routes
from ivr.page.bodies import form
from ivr.page.came import came
from ivr.page.choices import choices
from ivr.page.limits import Limits
from ivr.page.person_sheets import PersonSheets
from ivr.page.routes import Target
from ivr.page.wanting import sent_from_here, wanted
from ivr.page.words import chosen
from ivr.secret import Secret
from ivr.store.introduction import USE, Act, Shows, View, Wish
from ivr.store.introductions import PersonPage
from ivr.store.opened import new_link
from ivr.web.problems import Problem
from ivr.web.words import Words

COOKIE = "__Host-person"
"""Which browser it is: what one has begun, no other one can see or go on with."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")
_BETWEEN = re.compile(r"[\s.\-]+")


class PersonVisits:
    """Raises `StoreError`, `Problem`."""

    def __init__(self, settings: Settings, store: PersonPage, sheets: PersonSheets, limits: Limits) -> None:
        self._on = settings.persons.on
        self._life = settings.persons.minutes * 60
        self._company = settings.company
        self._choices = choices(settings.persons)
        self._store = store
        self._sheets = sheets
        self._limits = limits

    async def answer(self, request: web.BaseRequest, target: Target, address: str) -> web.Response:
        """What this request gets."""
        if not self._on:
            raise Problem("not_found")
        sent_from_here(request)
        if target.name == routes.NOW:
            return await self._now(request, address)
        await self._limits.request(address, sends=request.method == "POST" or target.name in (routes.BACK, routes.CAME))
        match target.name:
            case routes.PERSON:
                return self._sheets.first(self._words(request))
            case routes.BEGIN:
                return await self._begin(request, address)
            case routes.BACK:
                return await self._back(request, target.link)
            case routes.CAME:
                return await self._came(request)
            case routes.KEY_CODE:
                digits = Secret(_BETWEEN.sub("", (await form(request)).get("code", "")))
                return await self._of_session(request, Act.KEY, digits=digits)
            case routes.STOP:
                return await self._of_session(request, Act.STOP)
            case _:
                return await self._letter(request, target, address)

    # ------------------------------------------------------------ who asks

    async def _begin(self, request: web.BaseRequest, address: str) -> web.Response:
        sent, words = await form(request), self._words(request)
        own, other = Secret(sent.get("own", "")), Secret(sent.get("other", ""))
        if any(e164(number.reveal(), self._company.country) is None for number in (own, other)):
            return self._sheets.first(words, own, other, fault=words("person_refused.numbers"))
        return await self._identify(
            request, address, Act.BEGIN, sent.get("start", ""), fields={"own": own, "other": other}
        )

    async def _back(self, request: web.BaseRequest, nonce: Secret) -> web.Response:
        """The app opens it. Only the browser that has begun can go on; in any other it ends."""
        session = self._session(request)
        view = None if session is None else await self._store.look(session)
        if view is None:
            if request.method != "HEAD":
                await wanted(self._store, Wish(Act.BACK, fields={"nonce": nonce}))
            return self._sheets.elsewhere(self._words(request))
        if request.method != "POST":
            return self._sheets.back(self._words(request), nonce)
        return await self._of_session(request, Act.BACK, nonce=nonce)

    async def _came(self, request: web.BaseRequest) -> web.Response:
        """A broker has sent a browser back. What it says goes to the desk, and away from the address."""
        said = came(request)
        if said is None or said.use != USE or request.method == "HEAD":
            return self._sheets.elsewhere(self._words(request))
        session = self._session(request)
        view = None if session is None else await self._store.look(session)
        await wanted(
            self._store, Wish(Act.CAME, "" if session is None or view is None else session, fields=said.fields)
        )
        return _to(routes.CAME if view is None else routes.NOW)

    async def _of_session(self, request: web.BaseRequest, act: Act, **fields: Secret) -> web.Response:
        session = self._session(request)
        if session is not None:
            await wanted(self._store, Wish(act, session, fields=fields))
        return _to(routes.NOW)

    async def _now(self, request: web.BaseRequest, address: str) -> web.Response:
        session = self._session(request)
        view = None if session is None else await self._store.look(session)
        if session is None or view is None:
            await self._limits.request(address, sends=False)
            return self._sheets.over(self._words(request))
        await self._limits.watch(session)
        return self._sheets.now(self._words(request, view), view)

    # ------------------------------------------------------------ who is asked

    async def _letter(self, request: web.BaseRequest, target: Target, address: str) -> web.Response:
        """Whatever looks at links before people do is shown no name, and changes nothing."""
        link, words = target.link, self._words(request)
        name = self._store.letter(link)
        view = await self._store.look(name)
        if view is None:
            return self._sheets.gone(words)
        if view.shows is not Shows.LETTER or target.name == routes.LETTER:
            return self._sheets.letter(words, link, view)
        if target.name == routes.WHO:
            return self._sheets.who(words, link, view)
        if target.name == routes.UNKNOWN:
            await wanted(self._store, Wish(Act.DENY, link=name))
            return self._sheets.letter(words, link, await self._store.look(name) or view)
        start = (await form(request)).get("start", "")
        return await self._identify(request, address, Act.ANSWER, start, letter=name)

    # ------------------------------------------------------------ inside

    async def _identify(
        self, request: web.BaseRequest, address: str, act: Act, start: str, *, letter: str = "",
        fields: dict[str, Secret] | None = None,
    ) -> web.Response:  # fmt: skip
        """Begin it, in a session of its own: nobody else has had it before."""
        choice = self._choices.get(start)
        if choice is None:
            raise Problem("bad_request")
        await self._limits.person(address)
        token = new_link()
        await wanted(
            self._store,
            Wish(
                act, self._store.session(token), letter, self._words(request).language, choice.eid, choice.qr, address, fields or {}
            )
        )  # fmt: skip
        answer = _to(routes.NOW)
        # as lax as it must be: back from the app no stricter one comes along
        answer.set_cookie(
            COOKIE, token.reveal(), path="/", secure=True, httponly=True, samesite="Lax", max_age=self._life
        )
        return answer

    def _session(self, request: web.BaseRequest) -> str | None:
        token = Secret(request.cookies.get(COOKIE, ""))
        return self._store.session(token) if _TOKEN.fullmatch(token.reveal()) else None

    def _words(self, request: web.BaseRequest, view: View | None = None) -> Words:
        own = view.language if view is not None and view.language else None
        return chosen(own, request.headers.get("Accept-Language", ""), self._company.language)


def _to(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path})
