"""The API's handlers of proving to a caller who speaks."""

from __future__ import annotations

from aiohttp import web

from ivr.errors import InputError
from ivr.lock import Denied
from ivr.lock.proofwords import NOTHING, Asked
from ivr.web import proofmodels
from ivr.web.api import body, said, shut
from ivr.web.ports import Prove
from ivr.web.problems import Problem
from ivr.web.visit import Visit


async def ways(visit: Visit) -> web.Response:
    """Those that may be chosen."""
    prove = visit.house.prove
    return said(proofmodels.ways(NOTHING if prove is None else prove.offered()))


async def begin(visit: Visit) -> web.Response:
    """A message goes out, and the answer does not wait for it."""
    given = await body(visit, proofmodels.ProofAsked)
    asked, call = Asked(given.way, given.about, given.customer, given.keyed), visit.request.match_info["call"]
    try:
        begun = await _prove(visit).begin(visit.who, call, asked)
    except InputError as error:
        field, _, fault = str(error).partition(": ")
        raise Problem("invalid", errors=((field, fault),)) from None
    if isinstance(begun, Denied):
        raise shut(begun)
    return said(proofmodels.ProofBegun(call=call, phrase=begun.shown.phrase, until=begun.until), 202)


async def speech(visit: Visit) -> web.Response:
    """The digits once more."""
    spoken = await _prove(visit).again(visit.who, visit.request.match_info["call"])
    if isinstance(spoken, Denied):
        raise shut(spoken)
    return said(proofmodels.ProofSpeech(speech=spoken))


async def cancel(visit: Visit) -> web.Response:
    """It is good for nothing any more."""
    ended = await _prove(visit).cancel(visit.who, visit.request.match_info["call"])
    if isinstance(ended, Denied):
        raise shut(ended)
    return web.Response(status=204)


def _prove(visit: Visit) -> Prove:
    if visit.house.prove is None:
        raise Problem("no_way")
    return visit.house.prove
