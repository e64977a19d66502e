"""What a person does on the page: look, ask who it is, key the digits, deny."""

from __future__ import annotations

import re
from time import time

import orjson
from aiohttp import web

from ivr.call.proof import Keyed, Stage
from ivr.config import Settings
from ivr.numbers import e164
from ivr.page import routes
from ivr.page.back_visit import known_by, to_now, token_of
from ivr.page.bodies import form
from ivr.page.limits import Limits
from ivr.page.routes import Target
from ivr.page.sheets import DIGITS, Sheets
from ivr.page.words import chosen
from ivr.secret import Secret
from ivr.store.answered import Confirmed, Over, Wrong
from ivr.store.callers import Asked, CallerPage
from ivr.store.opened import PageStore, Seen, new_link
from ivr.store.posted import CHECK, PostBox, Posted
from ivr.web.problems import Problem
from ivr.web.words import Words

ONCE = "X-Push-Once"
"""The header by which the page's script says that it is of the page that answered the right digits."""

# Groups as people write them.
_BETWEEN = re.compile(r"[\s.\-]+")


class Visits:
    """Each method answers one request, and raises `StoreError`, `Problem`."""

    def __init__(
        self, settings: Settings, store: PageStore, callers: CallerPage, sheets: Sheets, limits: Limits, box: PostBox
    ) -> None:
        self._settings = settings
        self._store = store
        self._callers = callers
        self._sheets = sheets
        self._limits = limits
        self._box = box

    async def answer(self, request: web.BaseRequest, target: Target, address: str) -> web.Response:
        """What this request gets."""
        match target.name:
            case routes.FIRST:
                return await self._first(request, target.link)
            case routes.OPEN:
                return await self._open(request, target.link)
            case routes.CONFIRM:
                return await self._confirm(request, target.link)
            case routes.DENY:
                return await self._deny(request, target.link)
            case routes.ASKED | routes.ANSWER | routes.NOT_ME:
                return await self._caller(request, target)
            case routes.CHECK:
                return await self._check(request, address)
            case routes.CODE:
                return self._sheets.code(self.words(request))
            case _:
                return await self._code(request, address)

    def words(self, request: web.BaseRequest, seen: Seen | None = None) -> Words:
        """In the language of the message, as far as that is known."""
        own = None if seen is None else seen.shown.language
        return chosen(own, request.headers.get("Accept-Language", ""), self._settings.company.language)

    # ------------------------------------------------------------ a link

    async def _first(self, request: web.BaseRequest, link: Secret) -> web.Response:
        """Whatever looks at links before people do is shown no name, and changes nothing."""
        seen = await self._store.look(link)
        words = self.words(request, seen)
        if seen is None:
            return self._sheets.gone(words)
        if seen.stage.is_end:
            return await self._ended(request, link, seen, words)
        return self._sheets.first(words, link)

    async def _ended(self, request: web.BaseRequest, link: Secret, seen: Seen, words: Words) -> web.Response:
        """The browser that has keyed the digits goes on where it may show who is before it."""
        token = token_of(request) if seen.stage is Stage.CONFIRMED and seen.shown.back else None
        if token is not None and await self._store.mine(link, seen, token):
            return to_now(link)
        return self._sheets.over(words, link, seen, seen.stage)

    async def _open(self, request: web.BaseRequest, link: Secret) -> web.Response:
        seen = await self._store.opened(link)
        words = self.words(request, seen)
        if seen is None:
            return self._sheets.gone(words)
        if seen.stage.is_end:
            return self._sheets.over(words, link, seen, seen.stage)
        return self._sheets.who(words, link, seen)

    async def _confirm(self, request: web.BaseRequest, link: Secret) -> web.Response:
        digits = await _keyed(request, "digits")
        seen = await self._store.look(link)
        words = self.words(request, seen)
        if seen is None:
            return self._sheets.gone(words)
        if seen.stage is Stage.OPENED and seen.keyed is Keyed.PAGE:
            if not _is_digits(digits, DIGITS, DIGITS):
                # nothing was guessed
                return self._sheets.who(words, link, seen, words("fault.form", count=DIGITS))
            once = new_link() if seen.shown.push else None
            browser = new_link() if seen.shown.back else None
            match await self._store.key(link, digits, once, browser):
                case Confirmed():
                    answer = self._sheets.confirmed(words, link, seen, once)
                    return answer if browser is None else known_by(answer, browser)
                case Wrong(0):
                    return self._sheets.over(words, link, seen, Stage.WRONG)
                case Wrong(left):
                    return self._sheets.who(words, link, seen, _wrong(words, left, seen.shown.agent))
                case Over(stage):
                    return self._sheets.over(words, link, seen, stage)
                case None:
                    return self._sheets.gone(words)
        if seen.stage.is_end:
            return await self._ended(request, link, seen, words)
        return self._sheets.first(words, link)

    async def may_push(self, request: web.BaseRequest, link: Secret) -> None:
        """Once, for the page that answered the right digits: others have the link, or another one to the same. Raises `Problem`."""
        if not await self._store.spend(link, Secret(request.headers.get(ONCE, ""))):
            raise Problem("not_found")

    async def _deny(self, request: web.BaseRequest, link: Secret) -> web.Response:
        seen = await self._store.look(link)
        words = self.words(request, seen)
        if seen is None or await self._store.deny(link) is None:
            return self._sheets.gone(words)
        # who says so of one that is over is told what to do all the same
        return self._sheets.over(words, link, seen, Stage.DENIED)

    # ------------------------------------------------------------ who calls us

    async def _caller(self, request: web.BaseRequest, target: Target) -> web.Response:
        """Whether it is the customer who calls: what is keyed is heard in the call, and what comes of it is said there."""
        digits = await _keyed(request, "digits") if target.name == routes.ANSWER else None
        asked = await self._callers.look(target.link)
        own = asked.asking.language if isinstance(asked, Asked) else None
        words = chosen(own, request.headers.get("Accept-Language", ""), self._settings.company.language)
        if target.name == routes.NOT_ME:
            denied = await self._callers.deny(target.link)
            return self._sheets.gone(words) if denied is None else self._sheets.not_me(words)
        if asked is None:
            return self._sheets.gone(words)
        if not isinstance(asked, Asked):
            return self._sheets.heard(words)
        if digits is None:
            return self._sheets.caller(words, target.link, asked)
        if not _is_digits(digits, DIGITS, DIGITS):
            return self._sheets.caller(words, target.link, asked, fault=words("fault.form", count=DIGITS))
        match await self._callers.answer(target.link, digits):
            case True:
                return self._sheets.caller(words, target.link, asked, passed_on=True)
            case None:
                return self._sheets.gone(words)
            case _:
                return self._sheets.heard(words)

    # ------------------------------------------------------------ a short code

    async def _code(self, request: web.BaseRequest, address: str) -> web.Response:
        code, words = await _keyed(request, "code"), self.words(request)
        if not _is_digits(code, 6, 12):
            return self._sheets.code(words, words("code.wrong"))
        await self._limits.code(address)
        link = await self._store.exchange(code)
        if link is None:
            return self._sheets.code(words, words("code.wrong"))
        # who keys a code is no preview: what is asked for is who it is
        return await self._open(request, link)

    # ------------------------------------------------------------ a call of a while ago

    async def _check(self, request: web.BaseRequest, address: str) -> web.Response:
        """Passed on unanswered: whether this number was called is for its holder to know."""
        words = self.words(request)
        if request.method != "POST":
            return self._sheets.check(words)
        given, country = await form(request), self._settings.company.country
        number, calling = (e164(given.get(name, ""), country) for name in ("number", "calling"))
        at = self._sheets.moment(given.get("day", ""), given.get("time", ""))
        if number is None or calling is None or at is None:
            return self._sheets.check(words, words("check.wrong"))
        await self._limits.check(address)
        said = orjson.dumps(
            {"number": number.reveal(), "calling": calling.reveal(), "at": at, "language": words.language}
        )
        none = Secret("")
        if not await self._box.put(Posted(CHECK, none, none, {}, Secret(said.decode()), time())):
            raise Problem("unavailable")
        return self._sheets.checked(words)


async def _keyed(request: web.BaseRequest, name: str) -> Secret:
    """A field, without what people put between digits. Raises `Problem` for what is no form of ours."""
    return Secret(_BETWEEN.sub("", (await form(request)).get(name, "")))


def _is_digits(text: Secret, least: int, most: int) -> bool:
    return bool(re.fullmatch(rf"[0-9]{{{least},{most}}}", text.reveal()))


def _wrong(words: Words, left: int, agent: str) -> str:
    said = words("fault.wrong") if left == 1 else words("fault.wrong_many", left=left)
    return f"{said} {words('fault.not_heard', agent=agent)}"
