"""Where gateways report what becomes of texts: the public page's address, and a path for each that nobody can guess."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ivr.call.ports import Report
from ivr.secret import Secret


@dataclass(frozen=True, slots=True)
class Reporting:
    """`url`: the public address as a gateway reaches it, whatever proxies are before the page, where there is one; `key`: of all paths.

    `told`: whom those are told to that come by a connection of ours, and not to that address.
    """

    url: str | None
    key: Secret
    told: Callable[[Report], Awaitable[None]] | None = None

    def secret(self, gateway: str) -> Secret:
        """The last part of a gateway's path: one gateway's tells nothing of another's."""
        words = b"reports of " + gateway.encode()
        return Secret(hmac.digest(self.key.reveal().encode(), words, "sha256").hex())

    def address(self, gateway: str) -> Secret | None:
        """What the gateway is asked to post to; None where there is no public page."""
        if self.url is None:
            return None
        return self.secret(gateway).within(f"{self.url.rstrip('/')}/in/{gateway}/{{secret}}", "{secret}")
