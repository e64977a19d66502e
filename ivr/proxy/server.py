"""The HTTP server of the proxy: who comes, from where, and what becomes of each request."""

from __future__ import annotations

import logging
from time import monotonic

from aiohttp import web
from markupsafe import escape
from structlog.typing import FilteringBoundLogger

from ivr.config import Settings
from ivr.errors import Unavailable
from ivr.metrics import METHODS, Readiness, alive_answer, ready_answer
from ivr.proxy import bodies
from ivr.proxy.asked import Asked
from ivr.proxy.entering import Entrance, TooMany, Visitor, is_entrance
from ivr.proxy.passage import Passage
from ivr.proxy.rules import READING, Rules
from ivr.proxy.target import Ambiguous, read
from ivr.staff import Person
from ivr.store.address import network
from ivr.web import problems
from ivr.web.connections import BareRunner, Listening, Room
from ivr.web.ports import Pace
from ivr.web.problems import Problem
from ivr.web.visit import language_of
from ivr.web.visitors import Sparing, told_address

_SILENT = logging.getLogger("ivr.web.silent")
# Bytes of a request's first line, and of one header: a CRM's cookies are long.
_LONGEST = 8190
_OWN = "/.tillit/"

ROUTES = frozenset({"none", "free", "entrance", "health"})
"""What the log names as a request's pattern, beside those of the settings."""
# Of a page that says what went wrong: it asks for nothing, and nobody frames it.
_PAGE = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
}


class ProxyServer(Listening):
    """`open`, then it serves until `close`."""

    def __init__(
        self, settings: Settings, entrance: Entrance, passage: Passage, pace: Pace, readiness: Readiness, log: FilteringBoundLogger
    ) -> None:  # fmt: skip
        proxy = settings.proxy
        assert proxy.url is not None
        self._settings = settings
        self._proxy = proxy
        self._url = proxy.url
        self._host = entrance.host
        self._entrance = entrance
        self._passage = passage
        self._pace = pace
        self._readiness = readiness
        self._log = log
        self._sparing = Sparing()
        numbers = settings.customer_number
        self._rules = Rules(proxy, digits=(numbers.least, numbers.most))
        free = {str(one) for one in proxy.allow_proxies}
        room = Room(proxy.connections, proxy.connections_of_one, free)
        self._runner = BareRunner(
            self._handle, room, self._no_http, ending_seconds=proxy.shutdown_seconds, logger=_SILENT, longest=_LONGEST
        )

    # ------------------------------------------------------------ each request

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        one = _One(request, told_address(request, self._proxy.allow_proxies), monotonic())
        try:
            answer = await self._answered(one)
        except (Problem, Ambiguous, Unavailable) as error:
            answer = self._refused(one, error)
        except ConnectionError:
            # the client is gone
            answer = one.cut_off()
        except Exception as error:  # noqa: BLE001 (a fault of ours: answered, and written down)
            self._log.error(
                "proxy.failed", error=type(error).__name__, pattern=one.route, cure="please report this line"
            )
            answer = self._refused(one, Problem("internal"))
        self._tell(one, answer)
        return answer

    async def _answered(self, one: _One) -> web.StreamResponse:
        request, raw = one.request, one.request.raw_path
        if raw in (f"{_OWN}healthz", f"{_OWN}readyz") and request.method in READING:
            one.route = "health"
            # what is wrong stands in the log: here anybody may ask
            return ready_answer(await self._readiness.look(), why=False) if raw.endswith("readyz") else alive_answer()
        bodies.check(request)
        if request.host.lower() != self._host:
            raise Problem("misdirected")
        target = read(raw)
        if raw.startswith(_OWN):
            one.route = "entrance"
            if not is_entrance(raw) or request.method != "GET":
                raise Problem("not_found")
            per_minute = self._settings.desk.requests.strangers_per_minute
            wait = await self._pace.take("address", network(one.address), per_minute=per_minute)
            if wait is not None:
                self._paced("address", one.address, wait)
                raise Problem("too_many_requests", wait=wait)
            return await self._entrance.enter(request)
        ours = self._is_ours(request)
        try:
            # what a page asks for by itself, as often as it likes, is nobody at work
            used = ours and _is_used(request)
            one.visitor = await self._entrance.visitor(request, used=used)
        except TooMany as problem:
            self._paced("proxy", problem.person, problem.wait)
            raise
        except Problem as problem:
            if problem.name == "not_signed_in" and _is_opened(request):
                return self._entrance.begin(request)
            raise
        if not ours:
            raise Problem("cross_site")
        protected = self._rules.of(request.method, target)
        one.route = "free" if protected is None else protected.name
        named = [] if protected is None else [name for rule in protected.rules for name in rule.named(target)]
        body, inside = await bodies.of(request, protected, self._proxy)
        if isinstance(body, bytes):
            # who had signed in when it began to come may have no right to anything by now
            one.visitor = await self._entrance.anew(one.visitor)
        one.asked = Asked(request, one.address, one.visitor, raw, protected, body, named + inside)
        if protected is None:
            return await self._passage.free(one.asked)
        return await self._passage.protected(one.asked, protected)

    def _is_ours(self, request: web.BaseRequest) -> bool:
        """Whether no page of another site has asked: the browser sends our cookie along with that."""
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        if request.method in READING:
            # somebody opens it, or a page of ours needs it
            return site in (None, "same-origin", "none") or request.headers.get("Sec-Fetch-Mode") == "navigate"
        if site is not None:
            return site == "same-origin" and (origin is None or origin == "null" or self._is_own(origin))
        # no browser leaves out both
        return origin is not None and self._is_own(origin)

    def _is_own(self, origin: str) -> bool:
        return origin.lower() == self._url.lower()

    def _paced(self, kind: str, whom: str, wait: float | None) -> None:
        if self._sparing.may("paced"):
            self._log.warning("proxy.paced", kind=kind, whom=whom, seconds=round(wait or 0.0, 1))

    # ------------------------------------------------------------ what is said

    def _refused(self, one: _One, error: Problem | Ambiguous | Unavailable) -> web.StreamResponse:
        if one.begun:
            # half of it is given: nobody must take it for the whole
            return one.cut_off()
        if isinstance(error, Unavailable):
            self._log.error("proxy.unavailable", error=str(error))
            problem = Problem("unavailable")
        elif isinstance(error, Ambiguous):
            problem = Problem("ambiguous", errors=((error.why, "can be read in more than one way"),))
        else:
            problem = error
        one.reason = problem.name
        answer = self._said(one.request, problem, one.person)
        if one.request.body_exists:
            # what is left of the body is not waited for
            answer.force_close()
        return answer

    def _said(self, request: web.BaseRequest, problem: Problem, person: Person | None) -> web.Response:
        words = language_of(self._settings, request, None if person is None else person.language)
        detail = words(f"reason.{problem.name}")
        if _is_opened(request):
            text = (
                f'<!doctype html><html lang="{escape(words.language)}"><head><meta charset="utf-8"><title>{problem.status}</title></head>'
                f"<body><h1>{problem.status}</h1><p>{escape(detail)}</p></body></html>"
            )
            answer = web.Response(text=text, status=problem.status, content_type="text/html", headers=problem.headers)
        else:
            answer = problems.answer(problem, detail, place=self._settings.desk.url or "")
        answer.headers.update(_PAGE)
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Server"] = "proxy"
        if self._url.startswith("https:"):
            answer.headers["Strict-Transport-Security"] = "max-age=31536000"
        return answer

    def _no_http(self, request: web.BaseRequest) -> web.Response:
        return self._said(request, Problem("bad_request"), None)

    def _tell(self, one: _One, answer: web.StreamResponse) -> None:
        """The pattern, not the address: that may hold a customer's number, a query anything."""
        method = one.request.method
        self._log.info(
            "proxy.request", method=method if method in METHODS else "other", pattern=one.route, status=answer.status, reason=one.reason,
            person=None if one.person is None else one.person.id, peer=one.address, seconds=round(monotonic() - one.began, 4),
        )  # fmt: skip


class _One:
    """What is known of a request so far."""

    def __init__(self, request: web.BaseRequest, address: str, began: float) -> None:
        self.request = request
        self.address = address
        self.began = began
        self.route = "none"
        self.reason: str | None = None
        self.visitor: Visitor | None = None
        self.asked: Asked | None = None

    @property
    def person(self) -> Person | None:
        """Who asks, as far as that is known."""
        return None if self.visitor is None else self.visitor.person

    @property
    def begun(self) -> web.StreamResponse | None:
        """The answer of which something was sent."""
        answer = None if self.asked is None else self.asked.answer
        return answer if answer is not None and answer.prepared else None

    def cut_off(self) -> web.StreamResponse:
        """End it so that the client knows that it is not whole."""
        if self.request.transport is not None:
            self.request.transport.abort()
        return self.begun or web.Response(status=499)


def _is_opened(request: web.BaseRequest) -> bool:
    """Whether a person has opened this in a browser, rather than a page asked for it."""
    if request.method != "GET":
        return False
    mode = request.headers.get("Sec-Fetch-Mode")
    return mode == "navigate" if mode is not None else "text/html" in request.headers.get("Accept", "")


def _is_used(request: web.BaseRequest) -> bool:
    """Whether a person is at work with it: opens something, or changes it."""
    if request.method not in READING:
        return True
    headers = request.headers
    # a frame loads itself anew, or a person clicks in it; and a browser fetches pages that nobody has opened yet
    by_itself = headers.get("Sec-Fetch-Dest", "document") != "document" and headers.get("Sec-Fetch-User") != "?1"
    return _is_opened(request) and not by_itself and "Sec-Purpose" not in headers
