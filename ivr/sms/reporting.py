"""Where gateways report what becomes of texts: the public page's address, and a path for each that nobody can guess."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from ivr.secret import Secret


@dataclass(frozen=True, slots=True)
class Reporting:
    """`url`: the public address as a gateway reaches it, whatever proxies are before the page; `key`: of all paths."""

    url: str
    key: Secret

    def secret(self, gateway: str) -> Secret:
        """The last part of a gateway's path: one gateway's tells nothing of another's."""
        words = b"reports of " + gateway.encode()
        return Secret(hmac.digest(self.key.reveal().encode(), words, "sha256").hex())

    def address(self, gateway: str) -> Secret:
        """What the gateway is asked to post to."""
        return self.secret(gateway).within(f"{self.url.rstrip('/')}/in/{gateway}/{{secret}}", "{secret}")
