"""One request about a customer, under the rule of the lock: what is asked when, and what is given out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from time import monotonic
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from structlog.typing import FilteringBoundLogger

from ivr.errors import Unavailable
from ivr.lock import NOBODYS, Denied, Granted, Matter, Reason, Signs
from ivr.lock.lately import is_lately
from ivr.proxy import bodies, fields, pointers
from ivr.proxy.asked import Asked
from ivr.proxy.changing import Change, passed_on
from ivr.proxy.entering import Visitor
from ivr.proxy.pointers import Unreadable
from ivr.proxy.ports import Customers, Lock
from ivr.proxy.rules import NOBODY, READING, Named, Protected
from ivr.proxy.upstream import GoOn, Upstream
from ivr.secret import Secret
from ivr.staff import Person
from ivr.web.api import shut
from ivr.web.connections import attended
from ivr.web.problems import Problem

# Seconds after which it is asked again whether what is being given out may be: whoever is on the line may have hung up.
_AGAIN_SECONDS = 1.0
# Seconds that a signed header is good for: the CRM looks at it at once.
_MARK_SECONDS = 60
_WITHOUT_BODY = frozenset({204, 304})


class Passage:
    """Asks the lock, the CRM, and the lock again. Every method raises `Problem`."""

    def __init__(
        self, lock: Lock, customers: Customers, upstream: Upstream, signs: Signs, public: str, most: int,
        named: Callable[[str, str], str], anew: Callable[[Visitor], Awaitable[Visitor]], log: FilteringBoundLogger,
    ) -> None:  # fmt: skip
        """`public`: what browsers call the proxy; `most`: bytes of an answer that is looked through; `named`: what a call is
        called outside, of its node and channel; `anew`: who somebody is now."""
        self._lock = lock
        self._customers = customers
        self._upstream = upstream
        self._signs = signs
        self._public = public
        self._most = most
        self._named = named
        self._anew = anew
        self._log = log

    async def free(self, asked: Asked) -> web.StreamResponse:
        """What needs no customer. Here and below: a read ends with its client, a change comes to its end."""
        async with (
            attended(asked.request, asked.request.method in READING),
            self._upstream.place(asked.visitor.person.id),
        ):
            headers = self._headers_to(asked)
            if asked.request.method in READING:
                return await self._given(asked, await self._ask(asked, headers, lambda: self._known(asked)))
            async with Change(asked.request, lambda: self._known(asked), None, "free", self._log) as change:
                answer = await self._ask(asked, headers, change.go_on)
                change.answered(answer.status)
                return await self._given(asked, answer)

    async def protected(self, asked: Asked, protected: Protected) -> web.StreamResponse:
        """What is about one. A change is written down before it is made; what is read is counted before it is asked for, and
        written down before it is given out."""
        async with (
            attended(asked.request, asked.request.method in READING),
            self._upstream.place(asked.visitor.person.id),
        ):
            return await self._protected(asked, protected)

    async def _protected(self, asked: Asked, protected: Protected) -> web.StreamResponse:
        reading = asked.request.method in READING
        detail = {"pattern": protected.name[:100], "method": asked.request.method}
        matter = self._lock.matter(asked.visitor, "proxy.read" if reading else "proxy.change", detail)
        granted = _granted(await self._weighed(asked, matter, protected.level))
        if not reading:
            _granted(await matter.note())
            return await self._changed(asked, matter, granted, protected.name)
        matter.begin_note()
        try:
            # while it is counted
            await asyncio.sleep(0)
            headers = self._headers_to(asked, granted, matter.ref)
            _granted(await matter.counted())
            return await self._given(asked, await self._ask(asked, headers), matter)
        finally:
            await matter.settled()

    async def _changed(self, asked: Asked, matter: Matter, granted: Granted, pattern: str) -> web.StreamResponse:
        async with Change(
            asked.request, lambda: self._stands(matter, granted.level), matter, pattern, self._log
        ) as change:
            answer = await self._ask(asked, self._headers_to(asked, granted, matter.ref), change.go_on)
            change.answered(answer.status)
            return await self._given(asked, answer, matter)

    async def _known(self, asked: Asked) -> None:
        """Whoever has waited for long may be signed out by now, or disabled. Raises `Problem`."""
        if not is_lately(asked.visitor.at):
            asked.visitor = await self._anew(asked.visitor)

    # ------------------------------------------------------------ the customer

    async def _weighed(self, asked: Asked, matter: Matter, level: int) -> Granted | Denied:
        named = set(asked.named)
        if len(named) == 1 and (one := named.pop()).holds == "number":
            return await matter.weigh_number(Secret(one.text), level)
        return await matter.weigh(await self._ref(asked, matter), level)

    async def _ref(self, asked: Asked, matter: Matter) -> str:
        """The customer whom the request names; where none is named, the caller: the answer must be about nobody else."""
        if asked.named:
            return await self._same(asked.named, asked.visitor.person)
        try:
            return await matter.whom() or NOBODYS
        except Unavailable:
            # the lock says why
            return NOBODYS

    async def _same(self, named: Iterable[Named], person: Person) -> str:
        """The one whom all of them name; of several, or of nobody, no customer's. A number is one of this person's tenant."""
        refs = {await self._of(one, person) for one in set(named)}
        return refs.pop() if len(refs) == 1 else NOBODYS

    async def _of(self, one: Named, person: Person) -> str:
        if one.holds == "number":
            return await self._customers.ref_of(Secret(one.text), person.tenant) or NOBODYS
        return one.text or NOBODYS

    # ------------------------------------------------------------ the CRM

    async def _ask(self, asked: Asked, headers: CIMultiDict[str], go_on: GoOn | None = None) -> aiohttp.ClientResponse:
        return await self._upstream.ask(asked.request.method, asked.raw, headers, asked.body, go_on)

    async def _stands(self, matter: Matter, level: int) -> None:
        """Whether all is so yet that the CRM is told."""
        if (await _still(matter)).level < level:
            raise shut(await matter.withhold(Denied(Reason.LEVEL, level)))

    def _headers_to(self, asked: Asked, granted: Granted | None = None, ref: str = "") -> CIMultiDict[str]:
        request, protected = asked.request, asked.protected
        headers = fields.to_upstream(
            request.headers, protected=protected is not None, whole=protected is not None and protected.reads_answer
        )
        person = asked.visitor.person
        claims: dict[str, object] = {"agent": person.id, "login": person.login, "tenant": person.tenant}
        if granted is not None:
            call = granted.call
            claims |= {
                "sub": ref,
                "level": granted.level,
                "call": self._named(*call),
                "node": call.node,
                "channel": call.id,
            }
        headers[fields.MARK] = self._signs.sign(claims, self._upstream.origin, _MARK_SECONDS, kind=fields.KIND)
        headers["X-Forwarded-For"] = asked.address
        headers["X-Forwarded-Proto"], _, headers["X-Forwarded-Host"] = self._public.partition("://")
        if request.content_length is not None and asked.body is not None:
            headers["Content-Length"] = str(request.content_length)
        return headers

    # ------------------------------------------------------------ what is given out

    async def _given(
        self, asked: Asked, answer: aiohttp.ClientResponse, matter: Matter | None = None
    ) -> web.StreamResponse:
        protected = asked.protected
        try:
            if matter is None or protected is None:
                return await self._streamed(asked, answer)
            if answer.status == 206 or "Content-Range" in answer.headers:
                raise Problem("upstream_unreadable")
            if asked.request.method != "HEAD" and protected.reads_answer:
                return await self._looked_through(asked, protected, answer, matter)
            await _still(matter)
            return await self._streamed(asked, answer, matter)
        finally:
            answer.release()

    async def _looked_through(
        self, asked: Asked, protected: Protected, answer: aiohttp.ClientResponse, matter: Matter
    ) -> web.StreamResponse:
        """Read whole, compared, and without what the mark does not cover."""
        body = await self._upstream.read(answer, self._most)
        well = 200 <= answer.status < 300
        document = None if not body or answer.status in _WITHOUT_BODY else self._document(answer, body)
        if document is None and well and body:
            self._log.warning("proxy.unreadable", pattern=protected.name, status=answer.status)
            raise Problem("upstream_unreadable")
        if protected.compares:
            await self._compare(asked, protected, document, matter)
        level = (await _still(matter)).level
        headers = self._headers(asked, answer, changed=True)
        if document is None:
            # what went wrong there is told, and not its words: they may be of a customer
            return web.Response(status=answer.status, headers=headers)
        headers["Content-Type"] = "application/json"
        try:
            left = pointers.written(protected.covered(document[0], level))
        except Unreadable:
            raise Problem("upstream_unreadable") from None
        return web.Response(body=left, status=answer.status, headers=headers)

    def _document(self, answer: aiohttp.ClientResponse, body: bytes) -> tuple[Any] | None:
        """None where it is no JSON."""
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            return None
        if not bodies.is_json(answer.headers.get("Content-Type", "")):
            return None
        try:
            return (pointers.read(body),)
        except Unreadable:
            return None

    async def _compare(self, asked: Asked, protected: Protected, document: tuple[Any] | None, matter: Matter) -> None:
        """All whom the answer names are the caller. Where the request has named nobody, the answer must: who searches
        would learn from an empty one whom there is not."""
        found = [] if document is None else [one for rule in protected.rules for one in rule.in_answer(document[0])]
        if not found and asked.named:
            return
        if NOBODY in found or await self._same(found, asked.visitor.person) != matter.ref:
            raise shut(await matter.withhold(Denied(Reason.OTHER_CUSTOMER)))

    async def _streamed(
        self, asked: Asked, answer: aiohttp.ClientResponse, matter: Matter | None = None
    ) -> web.StreamResponse:
        """As it comes, for as long as it may."""
        request = asked.request
        head = request.method == "HEAD"
        given = web.StreamResponse(status=answer.status, headers=self._headers(asked, answer, changed=False))
        length = answer.headers.get("Content-Length")
        whole = asked.protected is not None and asked.protected.reads_answer
        if length is not None and length.isascii() and length.isdecimal() and not (head and whole):
            given.content_length = int(length)
        asked.answer = given
        await given.prepare(request)
        if head or answer.status in _WITHOUT_BODY:
            await given.write_eof()
            return given
        looked = monotonic()
        async for part in self._upstream.parts(answer):
            if monotonic() - looked >= _AGAIN_SECONDS:
                await self._goes_on(asked, matter)
                looked = monotonic()
            await given.write(part)
        await given.write_eof()
        return given

    async def _goes_on(self, asked: Asked, matter: Matter | None) -> None:
        if matter is not None:
            await _still(matter)
        elif not await asked.visitor.lives():
            raise Problem("not_signed_in")

    def _headers(self, asked: Asked, answer: aiohttp.ClientResponse, *, changed: bool) -> Any:
        protected = asked.protected
        return fields.to_client(
            answer.headers, answer.status, upstream=self._upstream.origin, public=self._public,
            protected=protected is not None, changed=changed, named=None if protected is None else protected.headers,
        )  # fmt: skip


def _granted(verdict: Granted | Denied) -> Granted:
    if isinstance(verdict, Denied):
        raise shut(verdict)
    return verdict


async def _still(matter: Matter) -> Granted:
    verdict = await matter.still()
    if isinstance(verdict, Granted):
        return verdict
    problem = shut(verdict)
    if matter.is_answered:
        raise passed_on("unshown", problem.name)
    raise problem
