"""Errors as the API tells them: problem details (RFC 9457). They say what to do, and nothing of what was sent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus

import orjson
from aiohttp import web

TYPE = "application/problem+json"
ABOUT = "/problems"
"""The page that tells of each; the `type` of a problem is its place there."""

# What may go wrong, by the name that clients compare, with the status.
STATUSES: Mapping[str, int] = {
    "bad_request": 400,
    "not_signed_in": 401,
    "sign_in_refused": 401,
    "program_refused": 401,
    "cross_site": 403,
    "csrf": 403,
    "no_call": 403,
    "third_party": 403,
    "not_verified": 403,
    "expired": 403,
    "other_customer": 403,
    "level": 403,
    "not_in_force": 403,
    "not_open": 403,
    "too_many_wishes": 403,
    "too_many_reads": 403,
    "no_way": 403,
    "proof_under_way": 403,
    "no_proof": 403,
    "denied_lately": 403,
    "too_many_proofs": 403,
    "published_closed": 403,
    "in_call": 403,
    "dialling": 403,
    "phone_away": 403,
    "no_telephone": 403,
    "no_trunk": 403,
    "too_many_calls": 403,
    "no_peers": 403,
    "no_letter": 403,
    "other_call": 403,
    "too_many_digits": 403,
    "peer_changed": 403,
    "not_permitted": 403,
    "insufficient_scope": 403,
    "not_fresh": 403,
    "oneself": 403,
    "last_administrator": 403,
    "disabled": 403,
    "by_command": 403,
    "unknown_bridges": 403,
    "under_way": 403,
    "not_found": 404,
    "agent_away": 404,
    "link_gone": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "too_large": 413,
    "unsupported_media_type": 415,
    "misdirected": 421,
    "invalid": 422,
    "too_many_requests": 429,
    "internal": 500,
    "peer_away": 502,
    "unavailable": 503,
    # of the proxy
    "ambiguous": 400,
    "upgrade": 400,
    "no_number": 403,
    "unlisted": 403,
    "unshown": 403,
    "unanswered": 502,
    "upstream_away": 502,
    "upstream_unreadable": 502,
    "upstream_slow": 504,
}


class Problem(Exception):
    """Raised anywhere in a request; answered as problem details, or as a page for people."""

    def __init__(
        self,
        name: str,
        *,
        wait: float | None = None,
        headers: Mapping[str, str] | None = None,
        needs: int | None = None,
        errors: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """`wait`: seconds after which it may go; `needs`: the level; `errors`: place and fault of each field."""
        super().__init__(name)
        self.name = name
        self.status = STATUSES[name]
        self.wait = wait
        self.needs = needs
        self.errors = errors
        self.headers = dict(headers or {})
        if wait is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(wait)))
        if self.status == HTTPStatus.UNAUTHORIZED:
            # HTTP wants a scheme here, and has none for cookies
            self.headers.setdefault("WWW-Authenticate", 'Cookie realm="desk"')


# Of aiohttp's own answers, and those that only it gives.
_NAMES = {
    400: "bad_request", 403: "cross_site", 404: "not_found", 405: "method_not_allowed", 408: "request_timeout",
    413: "too_large", 415: "unsupported_media_type", 500: "internal", 503: "unavailable",
}  # fmt: skip


def of_http(error: web.HTTPException) -> Problem:
    """What the library raised: no such path, no such method, a body that is too large."""
    allow = error.headers.get("Allow")
    return Problem(_NAMES.get(error.status, "bad_request"), headers={"Allow": allow} if allow else None)


def answer(problem: Problem, detail: str, *, place: str = "") -> web.Response:
    """As a client reads it; `detail` in the person's language. `place`: where the desk is, unless it is here."""
    body: dict[str, object] = {
        "type": f"{place}{ABOUT}#{problem.name}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": detail,
        "reason": problem.name,
    }
    if problem.needs is not None:
        body["needs"] = problem.needs
    if problem.errors:
        body["errors"] = [{"field": field, "fault": fault} for field, fault in problem.errors]
    return web.Response(
        body=orjson.dumps(body), status=problem.status, headers={"Content-Type": TYPE, **problem.headers}
    )
