"""Headers and cookies, as they go on: to the CRM without what a client might say in our name, back without what leads past us."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from multidict import CIMultiDict, CIMultiDictProxy

from ivr.web.visit import FORM, SESSION

MARK = "X-Tillit-Mark"
"""The header that tells the CRM for whom it answers: a JWS."""
KIND = "tillit-proxy+jwt"
"""Its `typ`: no other token of ours is taken for it."""
COOKIE = "__Host-proxy"
BEGIN = "__Host-proxy-begin"
# The desk's too: no CRM is to see them, whatever brought them here.
_OURS = frozenset({COOKIE.lower(), BEGIN.lower(), SESSION.lower(), FORM.lower()})

# A name with anything else in it is another name to servers that make variables of names: X_Tillit_Mark.
_NAME = re.compile(r"[a-z0-9-]+")
# RFC 9110 7.6.1, and what older programs take for one of them.
_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer", "trailers", "transfer-encoding", "upgrade", "expect", "http2-settings", "content-length"}
)  # fmt: skip
# What only somebody before the CRM may say: who asks, from where, and for which address in truth.
_SAID_BY_PROXIES = ("x-tillit-", "x-forwarded", "x-original-", "x-rewrite-", "x-envoy-", "x-accel-", "x-sendfile", "x-ms-original-", "x-remote-", "x-auth-request-", "sec-websocket-", "x-caller-auth", "x-ssl-", "ssl-client-", "x-client-cert", "x-client-dn", "x-client-verify", "x-webauth-", "x-authenticated-", "x-middleware-", "x-azure-", "cf-", "fastly-", "x-proxy", "x-request-ur", "x-http-destination")  # fmt: skip
_SAID_BY_PROXY = frozenset({"host", "forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "client-ip", "script-name", "x-script-name", "x-host", "x-http-host-override", "remote-user", "early-data", "request-uri", "destination", "base-url", "http-url", "url", "uri", "proxy", "proxy-host", "x-url-scheme", "x-scheme", "front-end-https", "x-user"})  # fmt: skip
OVERRIDES = frozenset({"x-http-method-override", "x-http-method", "x-method-override", "x-method", "x-tunnel-method"})
"""Headers that say another method than the one that was looked at."""

# What a client would have another answer for than the one that is looked at.
_CONDITIONS = frozenset({"range", "if-range", "if-none-match", "if-modified-since", "a-im"})
# Of an answer: where else to ask, or how it was kept before it was looked at.
_NEVER_BACK = frozenset({"alt-svc", "strict-transport-security", "server", "set-cookie", "location", "content-location", "trailer"})  # fmt: skip
_OF_A_KEPT_ONE = frozenset({"cache-control", "expires", "pragma", "age", "last-modified", "accept-ranges", "content-range", "warning"})  # fmt: skip
# Of a document before something was taken out of it.
_OF_THE_WHOLE = frozenset({"etag", "content-md5", "digest", "content-digest", "repr-digest", "content-encoding", "content-type"})  # fmt: skip
# Of one in which something may be a customer's and not for this caller's level: what browsers and their caches go by, and no more.
_OF_ANY = frozenset({"accept-patch", "allow", "content-language", "content-security-policy", "content-security-policy-report-only", "content-type", "cross-origin-embedder-policy", "cross-origin-opener-policy", "cross-origin-resource-policy", "date", "permissions-policy", "referrer-policy", "retry-after", "vary", "www-authenticate", "x-frame-options"})  # fmt: skip
# Where one is sent on to (RFC 9110 10.2.2); anywhere else nobody goes by it.
_LEADING_ON = frozenset({201, 301, 302, 303, 307, 308})

Headers = CIMultiDict[str] | CIMultiDictProxy[str]


def to_upstream(given: Headers, *, protected: bool, whole: bool) -> CIMultiDict[str]:
    """Those of a client that go on. `protected`: about a customer; `whole`: the answer is read by us."""
    named = _named_hops(given)
    sent: CIMultiDict[str] = CIMultiDict()
    for name, value in given.items():
        low = name.lower()
        if (
            _NAME.fullmatch(low) is None or low in _HOP or low in named or low in _SAID_BY_PROXY
            or low.startswith(_SAID_BY_PROXIES) or low in OVERRIDES or low == "cookie"
            or (protected and low in _CONDITIONS) or (whole and low == "accept-encoding")
        ):  # fmt: skip
            continue
        sent.add(name, value)
    if others := _cookies_of_others(given):
        sent["Cookie"] = others
    if whole:
        sent["Accept-Encoding"] = "identity"
    return sent


def to_client(
    given: Headers, status: int, *, upstream: str, public: str, protected: bool, changed: bool,
    named: frozenset[str] | None = None,
) -> CIMultiDict[str]:  # fmt: skip
    """Those of an answer that go back. `upstream`, `public`: what the CRM and the proxy are called; `changed`: by us.

    `named`: in small letters, the only ones beside those that any answer has; None: all of them.
    """
    hops = _named_hops(given)
    sent: CIMultiDict[str] = CIMultiDict()
    for name, value in given.items():
        low = name.lower()
        if (
            low in _HOP or low in hops or low in _NEVER_BACK or low.startswith(("x-tillit-", "x-accel-", "x-sendfile"))
            or (protected and low in _OF_A_KEPT_ONE) or (changed and low in _OF_THE_WHOLE)
            or (named is not None and low not in _OF_ANY and low not in named)
        ):  # fmt: skip
            continue
        sent.add(name, value)
    for name, well in (("Location", status in _LEADING_ON), ("Content-Location", False)):
        if (named is None or well or name.lower() in named) and (place := given.get(name)) is not None:
            sent[name] = moved(place, upstream, public)
    for cookie in given.getall("Set-Cookie", []):
        if (kept := _own_cookie(cookie)) is not None:
            sent.add("Set-Cookie", kept)
    if protected:
        sent["Cache-Control"] = "no-store"
        sent["X-Content-Type-Options"] = "nosniff"
    if "X-Frame-Options" not in sent and "Content-Security-Policy" not in sent:
        sent["X-Frame-Options"] = "SAMEORIGIN"
    sent.setdefault("Referrer-Policy", "same-origin")
    sent["Server"] = "proxy"
    if public.startswith("https:"):
        sent["Strict-Transport-Security"] = "max-age=31536000"
    return sent


def moved(place: str, upstream: str, public: str) -> str:
    """An address of the CRM's, as the proxy's."""
    try:
        parts = urlsplit(place)
        # whoever is named before an @ is the CRM's business
        host = parts.netloc.rpartition("@")[2]
        own = urlsplit(upstream)
        same = host != "" and _origin(parts.scheme or own.scheme, host) == _origin(own.scheme, own.netloc)
    except ValueError:
        return place
    return public + parts._replace(scheme="", netloc="").geturl() if same else place


def token(given: Headers, name: str = COOKIE) -> str | None:
    """Our cookie; None where it is not there, or there twice."""
    found = [value for key, value in _cookies(given) if key.lower() == name.lower()]
    return found[0] if len(found) == 1 else None


def overrides(given: Mapping[str, str]) -> bool:
    """Whether one says another method, in whatever spelling."""
    return any(name.lower().replace("_", "-") in OVERRIDES for name in given)


def _origin(scheme: str, netloc: str) -> str:
    default = {"http": ":80", "https": ":443"}.get(scheme.lower(), "")
    return f"{scheme.lower()}://{netloc.lower().removesuffix(default)}"


def _named_hops(given: Headers) -> set[str]:
    """What `Connection` names goes no further than us."""
    return {name.strip().lower() for line in given.getall("Connection", []) for name in line.split(",")}


def _cookies(given: Headers) -> list[tuple[str, str]]:
    pairs = [pair.strip().partition("=") for line in given.getall("Cookie", []) for pair in line.split(";")]
    # a browser that was given a cookie without a name sends what looks like one with a name
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def _cookies_of_others(given: Headers) -> str:
    kept = [(name, value) for name, value in _cookies(given) if (name or value) and not _is_ours(name)]
    return "; ".join(f"{name}={value}" if name else value for name, value in kept)


def _own_cookie(cookie: str) -> str | None:
    """One that the CRM sets, for this host alone; None where it would be ours."""
    first, *attributes = cookie.split(";")
    name, found, value = first.partition("=")
    if _is_ours(name if found else "") or _is_ours((value if found and not name.strip() else first).partition("=")[0]):
        return None
    kept = [one for one in attributes if one.partition("=")[0].strip().lower() != "domain"]
    return ";".join([first, *kept])


def _is_ours(name: str) -> bool:
    return name.strip().lower() in _OURS
