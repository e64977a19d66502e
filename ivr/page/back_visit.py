"""What people do on the page who were shown who the company is, and show who they are. It decides nothing: the desk does."""

from __future__ import annotations

import re

from aiohttp import web

from ivr.config import Settings
from ivr.page import routes
from ivr.page.back_sheets import BackSheets
from ivr.page.bodies import form
from ivr.page.limits import Limits
from ivr.page.routes import Target
from ivr.page.sheets import DIGITS
from ivr.page.wanting import sent_from_here, wanted
from ivr.page.words import chosen
from ivr.secret import Secret
from ivr.store.introduction import Act, Shows, Wish
from ivr.store.opened import PageStore, Seen
from ivr.store.wishes import PageWishes
from ivr.web.problems import Problem
from ivr.web.words import Words

COOKIE = "__Host-back"
"""Which browser has keyed the digits of the call: no other one can show anything behind them."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")
_BETWEEN = re.compile(r"[\s.\-]+")
# Seconds that the browser keeps it: as long as the link is known behind its end, and a proof lasts.
_KEPT = 30 * 60


class BackVisits:
    """Raises `StoreError`, `Problem`."""

    def __init__(
        self, settings: Settings, store: PageStore, wishes: PageWishes, sheets: BackSheets, limits: Limits
    ) -> None:
        self._company = settings.company
        self._store = store
        self._wishes = wishes
        self._sheets = sheets
        self._limits = limits

    async def answer(self, request: web.BaseRequest, target: Target, address: str) -> web.Response:
        """What this request gets."""
        sent_from_here(request)
        link, token = target.link, token_of(request)
        watches = token is not None and target.name == routes.ME and request.method != "POST"
        if not watches:
            await self._limits.request(address, sends=request.method == "POST" or target.name == routes.ME_APP)
        seen = await self._store.look(link)
        words = self._words(request, seen)
        browser = "" if seen is None or token is None else await self._store.mine(link, seen, token)
        if watches and browser:
            await self._limits.watch(browser)
        elif watches:
            await self._limits.request(address, sends=False)
        if seen is None:
            return self._sheets.gone(words)
        if target.name == routes.ME_APP:
            return await self._app(request, target, seen, browser, words)
        if not browser:
            return self._sheets.over(words, link, seen)
        match target.name:
            case routes.ME_CODE:
                return await self._code(request, link, seen, browser, words)
            case _ if request.method == "POST":
                return await self._begin(request, link, seen, browser, address)
            case _:
                return await self._now(link, seen, browser, words)

    async def _now(self, link: Secret, seen: Seen, browser: str, words: Words) -> web.Response:
        view = await self._wishes.look(browser)
        return self._sheets.offered(words, link, seen) if view is None else self._sheets.now(words, link, seen, view)

    async def _begin(
        self, request: web.BaseRequest, link: Secret, seen: Seen, browser: str, address: str
    ) -> web.Response:
        step, _, start = (await form(request)).get("by", "").partition("/")
        if step not in seen.shown.back:
            raise Problem("bad_request")
        fields = {"step": Secret(step), "link": link}
        wish = Wish(
            Act.BEGIN, browser, seen.id, seen.shown.language, eid=step, qr=start == "other", address=address, fields=fields
        )  # fmt: skip
        await wanted(self._wishes, wish)
        return to_now(link)

    async def _code(
        self, request: web.BaseRequest, link: Secret, seen: Seen, browser: str, words: Words
    ) -> web.Response:
        digits = Secret(_BETWEEN.sub("", (await form(request)).get("code", "")))
        view = await self._wishes.look(browser)
        if view is not None and view.shows is Shows.TOTP and not re.fullmatch(rf"[0-9]{{{DIGITS}}}", digits.reveal()):
            # nothing was guessed
            return self._sheets.now(words, link, seen, view, words("back_totp.form", count=DIGITS))
        await wanted(self._wishes, Wish(Act.KEY, browser, seen.id, fields={"digits": digits}))
        return to_now(link)

    async def _app(
        self, request: web.BaseRequest, target: Target, seen: Seen, browser: str, words: Words
    ) -> web.Response:
        """The app opens it. Only the browser that has begun can go on; in any other it ends."""
        if browser and request.method != "POST":
            return self._sheets.app(words, target.link, target.secret)
        if browser or request.method != "HEAD":
            await wanted(self._wishes, Wish(Act.BACK, browser, seen.id, fields={"nonce": target.secret}))
        return to_now(target.link) if browser else self._sheets.elsewhere(words)

    def _words(self, request: web.BaseRequest, seen: Seen | None) -> Words:
        own = None if seen is None else seen.shown.language
        return chosen(own, request.headers.get("Accept-Language", ""), self._company.language)


def known_by(answer: web.Response, token: Secret) -> web.Response:
    """The browser is known by this from now on."""
    # as lax as it must be: back from the app no stricter one comes along
    answer.set_cookie(COOKIE, token.reveal(), path="/", secure=True, httponly=True, samesite="Lax", max_age=_KEPT)
    return answer


def token_of(request: web.BaseRequest) -> Secret | None:
    """By what the browser is known; None where it is not."""
    token = Secret(request.cookies.get(COOKIE, ""))
    return token if _TOKEN.fullmatch(token.reveal()) else None


def to_now(link: Secret) -> web.Response:
    """To what this browser is shown now."""
    return web.Response(status=303, headers={"Location": link.within("/p/-/me", "-").reveal()})
