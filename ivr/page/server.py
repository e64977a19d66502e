"""The HTTP server of the public page: who comes, from where, and what becomes of each request."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic

from aiohttp import web
from structlog.typing import FilteringBoundLogger

from ivr.config import Settings
from ivr.errors import Unavailable
from ivr.metrics.answers import alive_answer, ready_answer
from ivr.metrics.ready import Readiness
from ivr.metrics.served import METHODS
from ivr.page import posting, routes
from ivr.page.back_visit import BackVisits
from ivr.page.limits import Limits
from ivr.page.person_visit import PersonVisits
from ivr.page.routes import Target
from ivr.page.sheets import Sheets
from ivr.page.visit import Visits
from ivr.store.address import masked
from ivr.store.bulletin import Bulletin
from ivr.store.posted import PostBox
from ivr.web.connections import REQUEST_SECONDS, BareRunner, Listening, Room
from ivr.web.problems import Problem
from ivr.web.visitors import Sparing, told_address

_SILENT = logging.getLogger("ivr.page.silent")
_SILENT.setLevel(logging.CRITICAL)
# Bytes of a request's first line, and of one header.
_LONGEST = 4096

_LOGO_KEPT = "public, max-age=86400"


class PageServer(Listening):
    """`open`, then it serves until `close`."""

    def __init__(
        self, settings: Settings, visits: Visits, people: PersonVisits, backs: BackVisits, box: PostBox, bulletin: Bulletin,
        sheets: Sheets, limits: Limits, readiness: Readiness, log: FilteringBoundLogger,
    ) -> None:  # fmt: skip
        page = settings.page
        assert page.url is not None
        self._host = page.url.partition("//")[2].lower()
        self._page = page
        self._visits = visits
        self._people = people
        self._backs = backs
        self._box = box
        self._bulletin = bulletin
        self._sheets = sheets
        self._limits = limits
        self._readiness = readiness
        self._log = log
        self._sparing = Sparing()
        room = Room(page.connections, page.connections_of_one, {str(one) for one in page.allow_proxies})
        self._runner = BareRunner(
            self._handle, room, self._no_http, ending_seconds=page.shutdown_seconds, logger=_SILENT, longest=_LONGEST
        )

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        began, address = monotonic(), told_address(request, self._page.allow_proxies)
        target, reason = routes.target(request.raw_path.partition("?")[0]), None
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                answer: web.StreamResponse = await self._answered(request, target, address)
        except (Problem, Unavailable, TimeoutError) as error:
            problem = self._problem_of(error, address)
            answer, reason = self._said(request, problem, target), problem.name
        except ConnectionError:
            answer = web.Response(status=499)
        except Exception as error:  # noqa: BLE001 (a fault of ours: answered, and written down)
            # a body that is none is theirs
            theirs = isinstance(error, web.RequestPayloadError)
            if not theirs:
                self._log.error("page.failed", error=type(error).__name__, cure="please report this line")
            problem = Problem("bad_request" if theirs else "internal")
            answer, reason = self._said(request, problem, target), problem.name
        self._sheets.dress(answer)
        # the pattern, not the address: that is as good as a key; and whose address it is, as far as it matters
        self._log.info(
            "page.request", method=request.method if request.method in METHODS else "other",
            route="none" if target is None else target.name, status=answer.status, reason=reason, peer=masked(address),
            seconds=round(monotonic() - began, 4), left_out=0,
        )  # fmt: skip
        return answer

    async def _answered(self, request: web.BaseRequest, target: Target | None, address: str) -> web.StreamResponse:
        if target is not None and target.name in (routes.HEALTH, routes.READY) and request.method in target.methods:
            # what is wrong stands in the log: here anybody may ask
            return (
                alive_answer()
                if target.name == routes.HEALTH
                else ready_answer(await self._readiness.look(), why=False)
            )
        if request.host.lower() != self._host and (target is None or target.name not in routes.SIGNED):
            raise Problem("misdirected")
        if target is None:
            raise Problem("not_found")
        if request.method not in target.methods:
            raise Problem("method_not_allowed", headers={"Allow": ", ".join(sorted(target.methods))})
        if target.name in (routes.POSTED, routes.LETTERS):
            await self._limits.report(address)
            return await posting.take(request, target, self._box)
        if target.name == routes.LOGO:
            return self._logo()
        if target.name in routes.PERSONS:
            return await self._people.answer(request, target, address)
        if target.name in routes.BACKS:
            return await self._backs.answer(request, target, address)
        await self._limits.request(address, sends=request.method == "POST")
        if target.name == routes.DOCUMENT:
            return await self._document()
        if target.name in (routes.SCRIPT, routes.WORKER):
            return self._sheets.script(target.name)
        if target.name == routes.PUSH:
            await self._visits.may_push(request, target.link)
            return await posting.take(request, target, self._box)
        return await self._visits.answer(request, target, address)

    async def _document(self) -> web.Response:
        """Who we are, for other organisations."""
        document = await self._bulletin.read()
        if document is None:
            raise Problem("not_found")
        return web.Response(body=document, content_type="application/json")

    def _logo(self) -> web.Response:
        if self._sheets.look.logo is None:
            raise Problem("not_found")
        return web.Response(
            body=self._sheets.look.logo, content_type="image/png", headers={"Cache-Control": _LOGO_KEPT}
        )

    # ------------------------------------------------------------ what is said

    def _problem_of(self, error: Problem | Unavailable | TimeoutError, address: str) -> Problem:
        match error:
            case Problem():
                if error.name == "too_many_requests" and self._sparing.may("paced"):
                    self._log.warning("page.paced", peer=masked(address), seconds=round(error.wait or 0.0, 1))
                return error
            case Unavailable():
                self._log.error("page.unavailable", error=str(error))
                return Problem("unavailable")
            case _:
                return Problem("request_timeout")

    def _said(self, request: web.BaseRequest, problem: Problem, target: Target | None) -> web.Response:
        words = self._visits.words(request)
        by_code = target is not None and target.name in (routes.CODE, routes.KEYED)
        match problem.name:
            case "not_found":
                answer = self._sheets.gone(words)
            case "too_many_requests":
                keyed = target is not None and target.name == routes.KEYED
                why = "codes" if keyed else problem.name
                answer = self._sheets.problem(words, why, problem.status, problem.headers)
            case "unavailable" | "internal":
                answer = self._sheets.problem(words, "unavailable", problem.status)
            case _:
                answer = self._sheets.problem(
                    words, "other_code" if by_code else "other", problem.status, problem.headers
                )
        if request.body_exists:
            # what is left of the body is not waited for
            answer.force_close()
        return answer

    def _no_http(self, request: web.BaseRequest) -> web.Response:
        answer = self._said(request, Problem("bad_request"), None)
        self._sheets.dress(answer)
        return answer
