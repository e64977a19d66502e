"""Where tillit.conf has a caller who is verified in mid-call, and the agent who waits meanwhile."""

from __future__ import annotations

from urllib.parse import urlencode

from ivr.asterisk.ari import Ari
from ivr.errors import AriError

AGAIN, WAIT = "tillit-again", "tillit-wait"
"""The contexts of the caller and of the agent."""


async def is_parted(ari: Ari, channel: str) -> bool:
    """Whether the channel was sent there, and is no longer where the worker had it; not where it is gone. Raises `AriError`.

    Whoever parts two sends both before either goes.
    """
    query = urlencode({"variable": "CONTEXT"})
    try:
        # what is listed of the channel itself may be older than its being sent on
        context = await ari.request("GET", f"channels/{channel}/variable?{query}", channel=channel)
        if context in ({"value": AGAIN}, {"value": WAIT}):
            return True
        found = await ari.request("GET", f"channels/{channel}", channel=channel)
    except AriError as error:
        if error.status != 404:
            raise
        return False
    match found:
        case {"dialplan": {"app_name": "Stasis", "app_data": str(data)}}:
            return data.split(",")[3:4] == ["again"]
        case _:
            return True
