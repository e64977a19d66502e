"""What has happened on a channel, in its order."""

from __future__ import annotations

import pytest

from ivr.asterisk.inbox import Inbox
from ivr.errors import Interrupted, Unavailable


async def test_of_several_gaps_one_is_told_of() -> None:
    """They come while nobody receives; told of one by one they would cut short whatever is said next, each time."""
    inbox = Inbox()
    inbox.interrupt(Interrupted("channel"))
    inbox.interrupt(Unavailable("text message"))
    inbox.interrupt(Interrupted("channel"))
    for error in (Interrupted, Unavailable):
        with pytest.raises(error):
            await inbox.receive(0.0)
    assert await inbox.receive(0.0) is None
    inbox.interrupt(Interrupted("channel"))
    with pytest.raises(Interrupted):
        await inbox.receive(0.0)
