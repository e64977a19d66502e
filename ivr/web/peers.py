"""The API's handlers of company to company: we prove to another organisation's desk who we are, and read what it proves to ours."""

from __future__ import annotations

from typing import assert_never

from aiohttp import web

from ivr.errors import InputError, PeerError, PeerKeyError
from ivr.lock import Denied
from ivr.lock.peering import Unproven
from ivr.web import peermodels
from ivr.web.api import body, said, shut
from ivr.web.ports import Peering
from ivr.web.problems import Problem
from ivr.web.visit import Visit


async def prove(visit: Visit) -> web.Response:
    """Digits come back, which the agent says."""
    given = await body(visit, peermodels.PeerAsked)
    peering, call = _peering(visit), visit.request.match_info["call"]
    try:
        sent = await peering.prove(visit.who, call, given.domain, department=given.department, about=given.about)
    except InputError as error:
        field, _, fault = str(error).partition(": ")
        raise Problem("invalid", errors=((field, fault),)) from None
    except PeerError as error:
        visit.house.log.warning("peer.unsent", person=visit.who.id, error=str(error))
        raise Problem("peer_changed" if isinstance(error, PeerKeyError) else "peer_away") from None
    if isinstance(sent, Denied):
        raise shut(sent)
    return said(peermodels.sent(sent))


async def read(visit: Visit) -> web.Response:
    """Who has said these digits."""
    given = await body(visit, peermodels.PeerDigits)
    found = await _peering(visit).read(visit.who, visit.request.match_info["call"], given.code)
    if isinstance(found, Denied):
        raise shut(found)
    if isinstance(found, Unproven):
        raise Problem(_why(found))
    return said(peermodels.proven(found))


def _why(found: Unproven) -> str:
    match found:
        case Unproven.NO_LETTER:
            return "no_letter"
        case Unproven.OTHER_CALL:
            return "other_call"
        case Unproven.TOO_MANY:
            return "too_many_digits"
        case _:
            assert_never(found)


def _peering(visit: Visit) -> Peering:
    if visit.house.peering is None:
        raise Problem("no_peers")
    return visit.house.peering
