"""The HTTP server of the desk: TLS, what each request goes through, and how it stops."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from time import monotonic

from aiohttp import web

from ivr.config import Settings
from ivr.config.listening import split
from ivr.errors import ConfigError, Unavailable
from ivr.metrics import METHODS, Readiness, alive_answer, ready_answer
from ivr.web import goals, guard, headers, problems, render
from ivr.web.connections import REQUEST_SECONDS, Listening, Room, Runner
from ivr.web.problems import Problem
from ivr.web.route import Route
from ivr.web.routes import LASTING, ROUTES
from ivr.web.visit import MOST, House, Visit, address_of, in_time, language_of

# aiohttp would write down what a peer sends that is no HTTP; faults of ours are logged by us.
_SILENT = logging.getLogger("ivr.web.silent")
_SILENT.setLevel(logging.CRITICAL)

Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


class DeskServer(Listening):
    """`open`, then it serves until `close`."""

    def __init__(self, house: House, readiness: Readiness) -> None:
        settings = house.settings
        self._house = house
        self._readiness = readiness
        own = settings.desk
        self._secure = own.tls_key_file is not None or (own.url or "").startswith("https:")
        app = web.Application(middlewares=[self._answered], client_max_size=MOST)
        for route in ROUTES:
            app.router.add_route(route.method, route.path, self._handler(route))
            if route.method == "GET" and not route.lasts:
                app.router.add_route("HEAD", route.path, self._handler(route))
        shared: dict[str, list[str]] = {}
        for route in ROUTES:
            if route.scope is not None:
                shared.setdefault(route.path, []).append(route.method)
        for path, methods in shared.items():
            app.router.add_route("OPTIONS", path, self._preflight(", ".join(sorted(methods))))
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.on_response_prepare.append(self._put)
        render.install(app)
        rules = settings.desk.requests
        free = {str(proxy) for proxy in settings.desk.allow_proxies}
        room = Room(rules.connections, rules.connections_of_one, free)
        self._runner = Runner(app, room, self._no_http, ending_seconds=rules.shutdown_seconds, logger=_SILENT)
        self.app = app

    async def close(self) -> None:
        """Listen no longer; requests come to their end, open pages are told to come back."""
        for site in tuple(self._runner.sites):
            await site.stop()
        self._house.hub.go()
        await super().close()

    # ------------------------------------------------------------ inside

    def _handler(self, route: Route) -> Next:
        house = self._house

        async def handle(request: web.Request) -> web.StreamResponse:
            address = address_of(house.settings, request)
            visit = Visit(house, request, address, language_of(house.settings, request, None))
            request[_VISIT] = visit
            request[_SHARED] = route.scope is not None

            async def whole() -> web.StreamResponse:
                await guard.admit(visit, route.needs, static=route.static, scope=route.scope)
                return await route.handler(visit)

            if route.lasts:
                return await whole()
            return await in_time(REQUEST_SECONDS, whole())

        return handle

    @web.middleware
    async def _answered(self, request: web.Request, handler: Next) -> web.StreamResponse:
        begun = monotonic()
        try:
            answer = await handler(request)
        except Problem as problem:
            answer = self._problem(request, problem)
        except web.HTTPException as error:
            if error.status < 400:
                answer = web.Response(status=error.status, headers={"Location": error.headers["Location"]})
            else:
                answer = self._problem(request, problems.of_http(error))
        except Unavailable as error:
            self._house.log.error("web.unavailable", route=guard.route_of(request), error=str(error))
            answer = self._problem(request, Problem("unavailable"))
        except Exception as error:  # noqa: BLE001 (a fault of ours: answered, and written down)
            answer = self._problem(request, Problem("bad_request" if _is_theirs(request, error) else "internal"))
            if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR:
                self._house.log.error(
                    "web.failed",
                    error=type(error).__name__,
                    code=guard.route_of(request),
                    cure="please report this line",
                )
        self._tell(request, answer, monotonic() - begun)
        return answer

    def _problem(self, request: web.Request, problem: Problem) -> web.StreamResponse:
        visit: Visit | None = request.get(_VISIT)
        request[_REASON] = problem.name
        words = language_of(self._house.settings, request, None) if visit is None else visit.words
        if problem.status == 401 and not guard.is_api(request) and request.method == "GET" and not _is_live(request):
            goal = goals.goal_at(request.path)
            return web.Response(status=303, headers={"Location": f"/sign-in?for={goal}" if goal else "/sign-in"})
        if guard.is_api(request) or _is_live(request):
            answer = problems.answer(problem, words(f"reason.{problem.name}"))
        else:
            answer = render.problem(request, problem, words, self._house.settings.company.name)
        if problem.status in (408, 413, 415):
            # what is left of the body is not waited for
            answer.force_close()
        return answer

    def _no_http(self, request: web.BaseRequest) -> web.Response:
        words = language_of(self._house.settings, request, None)
        answer = problems.answer(Problem("bad_request"), words("reason.bad_request"))
        headers.put(answer.headers, secure=self._secure)
        return answer

    def _preflight(self, methods: str) -> Next:
        """What a browser asks before a page of another site may."""
        programs = self._house.programs

        async def answered(request: web.Request) -> web.StreamResponse:
            guard.check_host(self._house, request)
            origin = request.headers.get("Origin", "")
            if not programs.embeds(origin):
                raise Problem("cross_site")
            answer = web.Response(status=204)
            headers.share(answer.headers, origin, methods)
            return answer

        return answered

    async def _put(self, request: web.Request, answer: web.StreamResponse) -> None:
        headers.put(answer.headers, secure=self._secure)
        origin = request.headers.get("Origin", "")
        if request.get(_SHARED) and self._house.programs.embeds(origin):
            headers.share(answer.headers, origin)

    def _tell(self, request: web.Request, answer: web.StreamResponse, seconds: float) -> None:
        """Who asked for which route, and what came of it."""
        visit: Visit | None = request.get(_VISIT)
        person = None if visit is None or visit.person is None else visit.person.id
        self._house.log.info(
            "web.request", method=request.method if request.method in METHODS else "other", route=guard.route_of(request),
            status=answer.status, reason=request.get(_REASON), person=person, peer=None if visit is None else visit.address,
            seconds=round(seconds, 4),
        )  # fmt: skip

    async def _healthz(self, _: web.Request) -> web.Response:
        return alive_answer()

    async def _readyz(self, _: web.Request) -> web.Response:
        # what is wrong stands in the log: here anybody may ask
        return ready_answer(await self._readiness.look(), why=False)


_VISIT = web.RequestKey("visit", Visit)
_SHARED = web.RequestKey("shared", bool)
_REASON = web.RequestKey("reason", str)


def _is_theirs(request: web.BaseRequest, error: Exception) -> bool:
    """Whether a body is none that can be read, or whoever sent it has gone in the midst of it."""
    return isinstance(error, (web.RequestPayloadError, ConnectionError)) and request.content.exception() is not None


def _is_live(request: web.BaseRequest) -> bool:
    """Whether a page's script asks: what it gets is not for people to read."""
    return request.path in LASTING


def listening(settings: Settings) -> tuple[str, int]:
    """Where; raises `ConfigError` where the settings do not say."""
    if settings.desk.listen is None:
        raise ConfigError(
            f"{settings.file}: [desk] listen", "is left out, and there is no desk without it",
            'Write listen = "127.0.0.1:8443" and url, which is what browsers call it',
        )  # fmt: skip
    return split(settings.desk.listen)
