"""What has happened on a channel, in its order."""

from __future__ import annotations

from time import monotonic

import pytest

from ivr.asterisk.inbox import Inbox
from ivr.call.ports import Key
from ivr.errors import Interrupted, Unavailable
from ivr.secret import Secret

# As Asterisk 22 told of 1255312, in milliseconds: tones and pauses of 60, and of 100 and 20.
_SHORT = "1:585 2:725 5:845 5:866 5:965 5:991 3:1103 3:1152 1:1205 1:1285 2:1324 2:1415"
_CLOSE = "1:294 2:433 5:574 5:714 3:854 1:994 1:1013 2:1133 2:1159"
# And of 12553122771: of 100 and 20, in which each waits longer than the one before; and of 60, in which none waited.
_BUNCH = (
    "1:0 2:140 5:280 5:420 5:440 3:560 3:585 1:701 1:730 2:840 2:878 2:980 2:1024 7:1120 7:1185 7:1260 7:1331 1:1400"
)
_EVEN = "1:0 2:119 5:240 5:359 3:480 1:619 2:740 2:859 7:980 7:1099 1:1220"


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


@pytest.mark.parametrize(
    ("told", "keyed"), [(_SHORT, "1255312"), (_CLOSE, "1255312"), (_BUNCH, "12553122771"), (_EVEN, "12553122771")]
)
async def test_a_key_that_asterisk_tells_of_twice_is_one(told: str, keyed: str) -> None:
    inbox = Inbox()
    for key, _, milliseconds in (event.partition(":") for event in told.split()):
        inbox.key(Secret(key), int(milliseconds) / 1000)
    assert await _received(inbox) == [Secret(key) for key in keyed]


async def test_a_key_that_is_pressed_twice_is_two_though_the_second_comes_early() -> None:
    """The same one again comes 120 ms later at the quickest that is read right; on its way here it may gain some."""
    inbox = Inbox()
    for at in (0.0, 0.105):
        inbox.key(Secret("5"), at)
    assert len(await _received(inbox)) == 2


async def test_keys_are_kept_where_the_clock_goes_back_or_is_not_told() -> None:
    inbox = Inbox()
    for at in (None, None, 50.0, 49.99, 49.9):
        inbox.key(Secret("5"), at)
    assert len(await _received(inbox)) == 5


async def _received(inbox: Inbox) -> list[Secret]:
    received = []
    while (key := await inbox.receive(monotonic())) is not None:
        assert isinstance(key, Key)
        received.append(key.digit)
    return received
