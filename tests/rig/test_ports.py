"""Blocks of ports of many rigs at once."""

from __future__ import annotations

from rig.ports import _BLOCK, _LOWEST, _starts

# Where Linux begins with ports for whoever connects, unless told otherwise.
END = 32_768


def test_two_hundred_small_blocks_leave_room_for_a_large_one() -> None:
    """They lay anywhere, and between them there was no room for a stage with many calls."""
    large = 4000 // _BLOCK
    taken = set(_starts(1, END)[:200])
    first = _starts(large, END)[0]
    assert taken.isdisjoint(range(first, first + large * _BLOCK, _BLOCK))
    assert first + large * _BLOCK <= END


def test_each_block_is_tried_once() -> None:
    for count in (1, 2, 20, 80):
        starts = _starts(count, END)
        assert sorted(starts) == list(range(_LOWEST, END - count * _BLOCK, _BLOCK))
