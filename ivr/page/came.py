"""What a broker sends a browser back with, to the one address that is entered there: whose it is, is for others to say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from aiohttp import web

from ivr.secret import Secret

# RFC 6749 4.1.2 and RFC 9207; what else it says is not ours, and its words about an error may repeat what it was sent.
_FIELDS = frozenset({"state", "code", "iss", "error"})
_MOST = 20
_STATE = re.compile(r"(?P<use>[a-z]{1,20})\.[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Came:
    """`use`: for what somebody was sent there, as the state has it; `fields`: what the desk ends the flow by."""

    use: str
    fields: Mapping[str, Secret]


def came(request: web.BaseRequest) -> Came | None:
    """None for what no broker has been given by us."""
    query = request.raw_path.partition("?")[2]
    try:
        sent = [one for one in parse_qsl(query, errors="strict", max_num_fields=_MOST) if one[0] in _FIELDS]
    except ValueError:
        return None
    said = dict(sent)
    found = _STATE.fullmatch(said.get("state", ""))
    if found is None or len(said) != len(sent):
        return None
    return Came(found["use"], {name: Secret(text) for name, text in said.items()})
