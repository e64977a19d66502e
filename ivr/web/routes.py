"""Every route, and what it needs. There is no other place from which one is added."""

from __future__ import annotations

from functools import cache

import orjson
from aiohttp import web

from ivr.lock import FIELDS
from ivr.staff import Permission
from ivr.web import (
    account,
    api,
    crossing,
    dial,
    dialmodels,
    element,
    elsewhere,
    midcall,
    models,
    openapi,
    openings,
    pages,
    paging,
    peermodels,
    peers,
    proofmodels,
    prove,
    render,
    second,
    staff,
    staffmodels,
    team,
    teammodels,
    tokenmodels,
    tokens,
    trail,
    trailmodels,
)
from ivr.web.guard import Open
from ivr.web.route import Described, Route
from ivr.web.visit import Visit


async def _static(visit: Visit) -> web.StreamResponse:
    return render.static(visit.request.match_info["name"])


async def _openapi(_: Visit) -> web.StreamResponse:
    return web.Response(body=_description(), headers={"Content-Type": "application/json"})


@cache
def _description() -> bytes:
    return orjson.dumps(openapi.document(ROUTES))


_LOCKED = (
    "no_call", "third_party", "not_verified", "expired", "other_customer", "level", "not_in_force", "too_many_reads",
    "not_permitted", "unknown_bridges", "unavailable", "invalid",
)  # fmt: skip

_REF = "/api/v1/customers/{ref}"
_CALL = "/api/v1/calls/{call}"
_OPENING = "/api/v1/openings/{opening}"
_MEMBER = "/api/v1/people/{member}"
_STAFF = ("not_permitted", "not_fresh", "not_found", "oneself", "unavailable", "csrf", "cross_site")

ROUTES: tuple[Route, ...] = (
    Route("GET", "/", pages.desk, Open.ANYONE),
    Route("GET", "/live", pages.live, Permission.CALL, lasts=True),
    Route("GET", "/team", team.team, Permission.WATCH),
    Route("GET", "/team/live", team.live, Permission.WATCH, lasts=True),
    Route("GET", "/staff", staff.staff, Permission.STAFF),
    Route("GET", "/staff/{member}", staff.one, Permission.STAFF),
    Route("POST", "/staff/{member}", staff.act, Permission.STAFF),
    # whoever reads the trail, or sees reads: the lock looks which
    Route("GET", "/trail", trail.trail, Open.SIGNED_IN),
    Route("GET", "/openings", openings.openings, Permission.CALL),
    Route("POST", "/openings", openings.ask, Permission.CALL),
    Route("GET", "/openings/live", openings.live, Permission.CALL, lasts=True),
    Route("POST", "/openings/{opening}", openings.act, Permission.CALL),
    Route("GET", "/sign-in", pages.ask_sign_in, Open.ANYONE),
    Route("POST", "/sign-in", pages.sign_in, Open.ANYONE),
    Route("POST", "/sign-out", pages.sign_out, Open.ANYONE),
    Route("GET", "/sign-out/provider", elsewhere.leave, Open.ANYONE),
    Route("GET", "/welcome/{token}", pages.ask_welcome, Open.ANYONE),
    Route("POST", "/welcome/{token}", pages.welcome, Open.ANYONE),
    Route("POST", "/sign-in/passkey", account.ask, Open.ANYONE),
    Route("POST", "/sign-in/provider", elsewhere.begin, Open.ANYONE),
    Route("GET", "/sign-in/provider", elsewhere.finish, Open.ANYONE),
    Route("POST", "/welcome/{token}/passkey", account.ask_welcome, Open.ANYONE),
    Route("GET", "/account", account.account, Open.SIGNED_IN),
    Route("POST", "/account/passkey", account.offer, Open.SIGNED_IN),
    Route("POST", "/account/passkeys", account.add, Open.SIGNED_IN),
    Route("POST", "/account/passkeys/{passkey}", account.change, Open.SIGNED_IN),
    Route("GET", "/problems", pages.problems, Open.ANYONE),
    # who has not signed in is shown the way
    Route("GET", "/crossing", crossing.cross, Open.ANYONE),
    Route("GET", "/static/{sum}/{name}", _static, Open.ANYONE, static=True),
    Route("GET", "/api/v1/openapi.json", _openapi, Open.ANYONE, static=True),
    Route(
        "POST", "/api/v1/session", api.sign_in, Open.ANYONE,
        Described("signIn", "Sign in. The session's token comes as a cookie, and belongs there alone.", models.Me, 201,
            models.SignIn, ("sign_in_refused", "cross_site", "invalid", "unavailable")),
    ),
    Route(
        "GET", "/api/v1/session", api.me, Open.SIGNED_IN,
        Described("getSession", "The own session, and whose it is.", models.Me),
    ),
    Route(
        "DELETE", "/api/v1/session", api.sign_out, Open.SIGNED_IN,
        Described("signOut", "Sign out. All of this session's pages are closed.", None, 204, None, ("csrf", "cross_site")),
    ),
    Route(
        "GET", "/api/v1/calls/current", api.current, Permission.CALL,
        Described("getCurrentCalls", "The own calls, and how far each caller is verified.", models.Calls,
            problems=("not_permitted", "unavailable")),
        scope="calls",
    ),
    Route(
        "GET", "/api/v1/calls", team.calls, Permission.WATCH,
        Described("getTeamCalls", "The team's calls: who talks, and how far each caller is verified.", teammodels.TeamCalls,
            problems=("not_permitted", "unavailable", "invalid"), query=paging.QUERY),
    ),
    Route(
        "GET", "/api/v1/statistics", team.statistics, Permission.WATCH,
        Described("getStatistics", "How verifications ended in the last hour and day.", teammodels.VerificationRates,
            problems=("not_permitted", "unavailable", "invalid")),
    ),
    Route(
        "GET", "/api/v1/locks", team.locks, Permission.WATCH,
        Described("getLocks", "Which customers and calling numbers are locked now.", teammodels.LocksInForce,
            problems=("not_permitted", "unavailable", "invalid"), query=paging.QUERY),
    ),
    Route(
        "GET", "/api/v1/trail", trail.rows, Open.SIGNED_IN,
        Described("getTrail",
            "The audit trail, the newest rows first: all of the own tenant's for `trail`, for `reads` who read which customer's record. "
            "The look is a row itself.", trailmodels.TrailPiece, problems=("not_permitted", "unavailable", "invalid"), query=trailmodels.QUERY),
    ),
    Route(
        "GET", "/api/v1/policies", midcall.policies, Permission.VERIFY,
        Described("getPolicies", "What a caller can be verified by in mid-call.", models.Policies,
            problems=("not_permitted",)),
    ),
    Route(
        "POST", f"{_CALL}/verification", midcall.verify, Permission.VERIFY,
        Described("verifyCaller",
            "Have the own caller verified: the caller leaves for the keypad part, your phone plays music, and both come back "
            "together whatever comes of it.", models.Begun, 202, models.Verify,
            ("no_call", "third_party", "under_way", "not_permitted", "unknown_bridges", "csrf", "cross_site")),
        scope="verify",
    ),
    Route(
        "DELETE", f"{_CALL}/mark", midcall.drop, Permission.VERIFY,
        Described("dropMark", "Take the own caller's mark away.", None, 204, models.Drop,
            ("no_call", "not_verified", "not_permitted", "unknown_bridges", "csrf", "cross_site")),
        scope="drop",
    ),
    Route(
        "GET", "/api/v1/proof/ways", prove.ways, Permission.PROVE,
        Described("getProofWays", "How it can be proved to a caller who speaks, and what a call may be about.",
            proofmodels.ProofWays, problems=("not_permitted",)),
    ),
    Route(
        "POST", f"{_CALL}/proof", prove.begin, Permission.PROVE,
        Described("proveToCaller",
            "Prove to the own caller who speaks: a message goes to a number on record, with a page that shows it. Opened there, digits "
            "are spoken into the call, and keyed on the page they confirm it.", proofmodels.ProofBegun, 202, proofmodels.ProofAsked,
            ("no_call", "third_party", "no_way", "proof_under_way", "denied_lately", "too_many_proofs", "published_closed", "too_many_reads",
             "not_permitted", "unknown_bridges", "unavailable", "invalid", "csrf", "cross_site")),
    ),
    Route(
        "POST", f"{_CALL}/proof/speech", prove.speech, Permission.PROVE,
        Described("sayDigits", "Speak the digits of the proof into the call once more.", proofmodels.ProofSpeech,
            problems=("no_call", "no_way", "no_proof", "not_permitted", "unknown_bridges", "unavailable", "csrf", "cross_site")),
    ),
    Route(
        "DELETE", f"{_CALL}/proof", prove.cancel, Permission.PROVE,
        Described("cancelProof", "Take the proof back: its message is good for nothing any more.", None, 204,
            problems=("no_call", "no_way", "no_proof", "not_permitted", "unknown_bridges", "unavailable", "csrf", "cross_site")),
    ),
    Route(
        "GET", "/api/v1/dials", dial.dials, Permission.DIAL,
        Described("getDials", "The own call that is being begun, or was a moment ago.", dialmodels.Dials,
            problems=("not_permitted", "unavailable")),
    ),
    Route(
        "POST", "/api/v1/dials", dial.begin, Permission.DIAL,
        Described("callCustomer",
            "Call a customer, at a number on record that nobody here is shown: your own phone rings first, then the customer's, and the two "
            "are joined.", dialmodels.Dial, 202, dialmodels.DialAsked,
            ("in_call", "dialling", "phone_away", "no_telephone", "no_trunk", "too_many_calls", "too_many_reads", "not_permitted",
             "unknown_bridges", "unavailable", "invalid", "csrf", "cross_site")),
    ),
    Route(
        "DELETE", "/api/v1/dials/{dial}", dial.cancel, Permission.DIAL,
        Described("cancelDial", "Call it off: both phones are hung up. What was answered goes on.", None, 204,
            problems=("not_found", "no_trunk", "not_permitted", "unavailable", "csrf", "cross_site")),
    ),
    Route(
        "POST", f"{_CALL}/peer", peers.prove, Permission.PROVE,
        Described("proveToOrganisation",
            "Prove to another organisation, which has a Tillit of its own, that it is we who are on this call: say the digits aloud.",
            peermodels.PeerSent, 200, peermodels.PeerAsked,
            ("no_call", "third_party", "no_peers", "peer_changed", "peer_away", "not_permitted", "unknown_bridges", "unavailable",
             "invalid", "csrf", "cross_site")),
    ),
    Route(
        "POST", f"{_CALL}/peer/read", peers.read, Permission.PROVE,
        Described("readOrganisation", "Which organisation has said these digits on this call. They are good once.",
            peermodels.PeerProven, 200, peermodels.PeerDigits,
            ("no_call", "third_party", "no_peers", "no_letter", "other_call", "too_many_digits", "not_permitted", "unknown_bridges",
             "unavailable", "invalid", "csrf", "cross_site")),
    ),
    Route(
        "GET", f"{_REF}/record", api.record, Permission.CALL,
        Described("getRecord", "The customer's record, while that customer is on the line with you, verified.", models.Record,
            problems=_LOCKED,
            query={"fields": {
                "description": "Which fields; else all that the mark covers. All that are named are given, or none",
                "schema": {"type": "array", "items": {"type": "string", "enum": list(FIELDS)}, "minItems": 1},
                "style": "form", "explode": False,
            }}),
        scope="record",
    ),
    Route(
        "POST", f"{_REF}/actions/{{action}}", api.act, Permission.CALL,
        Described("act", "Change the customer's record, under the same rule.", models.Done, takes=models.Arguments,
            problems=(*_LOCKED, "csrf", "cross_site", "not_found")),
    ),
    Route(
        # whoever sees reads, or watches a team: the lock looks which
        "GET", "/api/v1/reads", second.standing, Open.SIGNED_IN,
        Described("getReads", "How many customers' records each has read: of the team, or of all.", teammodels.Readings,
            problems=("not_permitted", "invalid"), query=paging.QUERY),
    ),
    Route(
        "POST", "/api/v1/people/{person}/reads/lift", second.lift, Permission.APPROVE,
        Described("liftReads", "Let somebody read again who has read too much.", teammodels.Lifted, takes=teammodels.Reasoned,
            problems=("not_permitted", "csrf", "cross_site")),
    ),
    Route(
        "POST", "/api/v1/openings", second.ask, Permission.CALL,
        Described("askForOpening", "Wish to open one record without a call; another person has to agree.", teammodels.Opening, 201,
            teammodels.Wish, ("not_permitted", "too_many_wishes", "csrf", "cross_site")),
    ),
    Route(
        "GET", "/api/v1/openings", second.waiting, Permission.APPROVE,
        Described("getOpenings", "The wishes of others that wait for somebody who agrees.", teammodels.Openings,
            problems=("not_permitted", "invalid"), query=paging.QUERY),
    ),
    Route(
        "POST", f"{_OPENING}/approval", second.approve, Permission.APPROVE,
        Described("approveOpening", "Agree: the record is open to the person who wishes, for a short time.", teammodels.Opening,
            problems=("not_permitted", "not_open", "csrf", "cross_site")),
    ),
    Route(
        "DELETE", _OPENING, second.decline, Open.SIGNED_IN,
        Described("declineOpening", "Say no to a wish, or take back one's own, an open one too.", None, 204,
            problems=("not_open", "csrf", "cross_site")),
    ),
    Route(
        "GET", f"{_OPENING}/record", second.record, Permission.CALL,
        Described("getOpenedRecord", "What was wished for and agreed to, as long as it is open.", models.Record,
            problems=("not_permitted", "not_open", "too_many_reads")),
    ),
    # ------------------------------------------------------------ who signs in
    Route(
        "GET", "/api/v1/people", staff.people, Permission.STAFF,
        Described("getPeople", "Those of the own tenant who sign in.", staffmodels.StaffMembers,
            problems=("not_permitted", "unavailable", "invalid"), query=staffmodels.QUERY),
    ),
    Route(
        "POST", f"{_MEMBER}/disable", staff.disable, Permission.STAFF,
        Described("disablePerson", "Let somebody do nothing any more; all sessions end at once.", None, 204,
            problems=(*_STAFF, "last_administrator")),
    ),
    Route(
        "POST", f"{_MEMBER}/enable", staff.enable, Permission.STAFF,
        Described("enablePerson", "Let somebody sign in again who was disabled.", None, 204, problems=_STAFF),
    ),
    Route(
        "POST", f"{_MEMBER}/reset", staff.reset, Permission.STAFF,
        Described("resetPerson",
            "Take password, app and passkeys away, end all sessions, and give a new one-time link: of whoever takes calls and no more.",
            staffmodels.OneTimeLink, problems=(*_STAFF, "disabled", "by_command")),
    ),
    # ------------------------------------------------------------ tokens
    Route(
        "GET", "/.well-known/jwks.json", tokens.keys, Open.ANYONE,
        Described("getKeys", "The keys with which tokens are checked.", tokenmodels.PublicKeys, problems=("unavailable",)),
        static=True,
    ),
    Route(
        "POST", f"{_CALL}/token", tokens.issue, Permission.CALL,
        Described("issueToken", "The mark of this call, signed, for a program that checks by itself.", tokenmodels.MarkToken, 201,
            tokenmodels.Audience, (*_LOCKED, "csrf", "cross_site")),
    ),
    Route(
        "POST", "/api/v1/tokens/introspect", tokens.introspect, Open.PROGRAM,
        Described("introspectToken", "Whether a token still holds (RFC 7662).", tokenmodels.Introspected,
            takes=tokenmodels.Introspection, form=True, problems=("program_refused", "cross_site", "unavailable")),
    ),
    # ------------------------------------------------------------ the element on other sites' pages
    Route("GET", "/element/caller-auth.js", element.script, Open.ANYONE, static=True),
    Route("GET", "/element/live", element.live, Permission.CALL, lasts=True, scope="calls"),
    Route(
        "POST", "/api/v1/element/token", element.token, Open.PROGRAM,
        Described("issueElementToken", "A token for the <caller-auth> of an agent who is signed in.", tokenmodels.ElementToken, 201,
            tokenmodels.ElementAsked, ("program_refused", "cross_site", "agent_away", "unavailable")),
    ),
)  # fmt: skip
"""The table. `/healthz` and `/readyz` stand beside it: they are for monitoring, and say nothing of anybody."""

PATTERNS = frozenset({"/healthz", "/readyz", "none", *(route.path for route in ROUTES)})
"""All that the log names as a request's route."""
LASTING = frozenset(route.path for route in ROUTES if route.lasts)
"""Those of them that stay open."""
