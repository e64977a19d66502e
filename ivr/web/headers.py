"""What stands on every answer: no other site frames it, feeds it, reads it or keeps it."""

from __future__ import annotations

from collections.abc import Mapping

from multidict import CIMultiDict

_YEAR = 365 * 24 * 3600

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Robots-Tag": "noindex",
}


# What other sites' pages may load says so itself.
_SHARED = "Cross-Origin-Resource-Policy"


def put(headers: CIMultiDict[str], *, secure: bool) -> None:
    """On this answer. `secure`: people come by TLS. An answer may say itself how long it is kept; else it is not."""
    own = headers.get(_SHARED)
    headers.update(HEADERS)
    if own is not None:
        headers[_SHARED] = own
    headers.setdefault("Cache-Control", "no-store")
    if secure:
        headers["Strict-Transport-Security"] = f"max-age={_YEAR}"
    # which program, in which version, is nobody's business
    headers["Server"] = "desk"


def share(headers: CIMultiDict[str], origin: str, methods: str = "") -> None:
    """Pages of this origin may read the answer, and send what needs asking before (`methods`); never with a cookie."""
    headers["Access-Control-Allow-Origin"] = origin
    headers["Access-Control-Expose-Headers"] = "Retry-After"
    headers.add("Vary", "Origin")
    if methods:
        headers["Access-Control-Allow-Methods"] = methods
        headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
        headers["Access-Control-Max-Age"] = "600"
