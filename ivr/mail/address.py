"""What an address of e-mail is."""

from __future__ import annotations

import re
from typing import NamedTuple

# What RFC 5322 3.4.1 calls an addr-spec of a dot-atom and a domain, other letters too (RFC 6532): quoted ones are on nobody's card.
_ADDRESS = re.compile(r"(?P<local>[^\s\x00-\x20\x7f()<>\[\]:;@\\,\"]{1,64})@(?P<domain>(?:[\w-]{1,63}\.)+[\w-]{2,63})")


class Parts(NamedTuple):
    """What stands before and behind the @."""

    local: str
    domain: str


def parts(text: str) -> Parts | None:
    """None for what is no address."""
    found = _ADDRESS.fullmatch(text)
    return None if found is None else Parts(found["local"], found["domain"])
