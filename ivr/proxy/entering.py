"""How somebody who has signed in at the desk is known to the proxy, which is another host and sees none of the desk's cookies.

A browser without a session is given a cookie of random bits, and sent to the desk with their SHA-256. The desk sends it back
with a code for this host and these bits alone; the proxy gives its own cookie for it. So nobody can bring another
browser into a session of theirs, nor use a code that was seen on the way.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Collection
from secrets import token_urlsafe
from time import monotonic
from urllib.parse import urlsplit

from aiohttp import web

from ivr.proxy import fields
from ivr.proxy.ports import Handovers, People
from ivr.proxy.target import Ambiguous, read
from ivr.secret import Secret
from ivr.staff import Permission, Person
from ivr.store.handovers import Guest, Untaken
from ivr.web.crossing import ENTRANCE
from ivr.web.problems import Problem

# Seconds in which somebody signs in at the desk.
_BEGUN_SECONDS = 600
# Bytes of the address that the browser comes back to; behind a longer one it begins at the front.
_LONGEST = 1500
_BEGUN = re.compile(r"(?P<bits>[A-Za-z0-9_-]{43})\.(?P<wanted>[A-Za-z0-9_-]*)")
_CODE = re.compile(r"code=([A-Za-z0-9_.-]{1,200})")


class TooMany(Problem):
    """One request too many of this person."""

    def __init__(self, guest: Guest) -> None:
        super().__init__("too_many_requests", wait=guest.wait)
        self.person = guest.person


class Visitor:
    """Who asks by one request; session and person were read `at` (monotonic seconds). `token` is what the browser holds."""

    def __init__(self, handovers: Handovers, token: Secret, person: Person, at: float) -> None:
        self.person = person
        self.at = at
        self.token = token
        self._handovers = handovers

    async def lives(self) -> bool:
        """Whether the session has not ended. Raises `StoreError`."""
        return await self._handovers.lives(self.token)


class Entrance:
    """Who somebody is, and how to become known."""

    def __init__(
        self, url: str, desk: str, handovers: Handovers, people: People, *, per_minute: int, tenants: Collection[str]
    ) -> None:
        """`url`, `desk`: what browsers call the proxy, and the desk; `per_minute`: requests that one person may make.

        `tenants`: whose people come in. A number of the CRM's may be another customer's in any other.
        """
        self.host = urlsplit(url).netloc.lower()
        self._url = url
        self._desk = desk
        self._handovers = handovers
        self._people = people
        self._per_minute = per_minute
        self._tenants = tenants

    async def visitor(self, request: web.BaseRequest, *, used: bool) -> Visitor:
        """Who it is; the session goes on from now where a person has `used` it. Raises `Problem` where nobody is signed in, for one
        request too many, and for whom nothing is here."""
        at, text = monotonic(), fields.token(request.headers)
        if text is None:
            raise Problem("not_signed_in")
        token = Secret(text)
        guest = await self._handovers.of(token, per_minute=self._per_minute, used=used)
        if guest is None:
            raise Problem("not_signed_in")
        if guest.wait is not None:
            raise TooMany(guest)
        return Visitor(self._handovers, token, await self._person(guest.tenant, guest.person), at)

    async def anew(self, visitor: Visitor) -> Visitor:
        """The same one as of now. Raises `Problem` as the first time."""
        at = monotonic()
        if not await visitor.lives():
            raise Problem("not_signed_in")
        person = await self._person(visitor.person.tenant, visitor.person.id)
        return Visitor(self._handovers, visitor.token, person, at)

    async def _person(self, tenant: str, id: str) -> Person:
        """Raises `Problem` for somebody who is not there any more, has no calls, or is of another tenant."""
        person = await self._people.unnamed(tenant, id)
        if person is None or person.disabled:
            raise Problem("not_signed_in")
        if not person.may(Permission.CALL) or person.tenant not in self._tenants:
            raise Problem("not_permitted")
        return person

    def begin(self, request: web.BaseRequest) -> web.Response:
        """To the desk, and back to where the browser wanted to go."""
        return self._begin(request.raw_path if len(request.raw_path) <= _LONGEST else "/")

    def _begin(self, wanted: str) -> web.Response:
        bits = token_urlsafe(32)
        kept = base64.urlsafe_b64encode(wanted.encode(errors="replace")).decode().rstrip("=")
        answer = self._to_desk(bits)
        _put(answer, fields.BEGIN, f"{bits}.{kept}", _BEGUN_SECONDS)
        return answer

    async def enter(self, request: web.BaseRequest) -> web.Response:
        """With a code of the desk. Raises `Problem` where it is none, is used up, or this browser has not begun."""
        code = _CODE.fullmatch(request.raw_path.partition("?")[2])
        begun = _BEGUN.fullmatch(fields.token(request.headers, fields.BEGIN) or "")
        if code is None:
            raise Problem("not_found")
        token = await self._handovers.take(Secret(code[1]), self.host, Secret(begun["bits"] if begun else ""))
        if not isinstance(token, Secret):
            return await self._not_entered(request, begun, token)
        if begun is None:
            raise Problem("not_signed_in")
        answer = self._to(_place(begun["wanted"]))
        _put(answer, fields.COOKIE, token.reveal())
        answer.del_cookie(fields.BEGIN, path="/", secure=True, httponly=True, samesite="Lax")
        return answer

    async def _not_entered(self, request: web.BaseRequest, begun: re.Match[str] | None, why: Untaken) -> web.Response:
        """Tabs of one browser have one cookie: the last that began has put its bits in the place of the others'.

        The code is given up, and one for what this browser holds now is fetched: as itself, whoever the code was for.
        """
        known = fields.token(request.headers)
        if known is not None and await self._handovers.lives(Secret(known)):
            return self._to("/")
        if why is Untaken.OTHERS and begun is not None:
            # no bits of its own, which would be put in the place of another tab's
            return self._to_desk(begun["bits"])
        if why is Untaken.OTHERS and known is not None:
            # it had come in by another tab, and that session has ended; a browser that keeps no cookies would go round for ever
            return self._begin("/")
        raise Problem("not_signed_in")

    def _to_desk(self, bits: str) -> web.Response:
        begun = hashlib.sha256(bits.encode()).hexdigest()
        return web.Response(status=303, headers={"Location": f"{self._desk}/crossing?begun={begun}"})

    def _to(self, place: str) -> web.Response:
        return web.Response(status=303, headers={"Location": self._url + place})


def is_entrance(raw: str) -> bool:
    """Whether it is asked for here."""
    return raw.partition("?")[0] == ENTRANCE


def _put(answer: web.Response, name: str, text: str, seconds: int | None = None) -> None:
    # not Strict: who comes by a link in a message is signed in here too. What changes something says where it comes from
    answer.set_cookie(name, text, path="/", secure=True, httponly=True, samesite="Lax", max_age=seconds)


def _place(kept: str) -> str:
    """Where the browser wanted to go, if that is a place here."""
    try:
        wanted = base64.urlsafe_b64decode(kept + "=" * (-len(kept) % 4)).decode()
        return read(wanted).raw
    except (binascii.Error, UnicodeDecodeError, Ambiguous):
        return "/"
