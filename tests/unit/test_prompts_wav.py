"""WAV files of whatever kind are read as what was recorded, and what is none is said to be none."""

from __future__ import annotations

import struct
from array import array

import pytest

from ivr.prompts.wav import read, written
from tests.unit.sound_kit import tone, wav

SOUND = tone(440, 16_000)


@pytest.mark.parametrize(
    ("bits", "tag", "extensible"),
    [(16, 1, False), (24, 1, False), (24, 1, True), (32, 1, False), (32, 3, False), (64, 3, True)],
)
@pytest.mark.parametrize("count", [1, 2])
def test_what_studios_hand_over_is_read(count: int, bits: int, tag: int, extensible: bool) -> None:
    given = [SOUND, [-sample for sample in SOUND]][:count]
    channels, rate = read(wav(*given, rate=16_000, bits=bits, tag=tag, extensible=extensible))
    assert rate == 16_000
    assert len(channels) == count
    for channel, meant in zip(channels, given, strict=True):
        assert channel == pytest.approx(meant, abs=0.51)


def test_what_is_written_is_read_again() -> None:
    sound = array("h", [0, 1, -1, 32_767, -32_768])
    assert read(written(sound)) == ([list(sound)], 8000)


def test_a_length_that_was_not_known_yet_is_that_of_the_file() -> None:
    whole = wav(SOUND, rate=16_000)
    at = whole.index(b"data") + 4
    streamed = whole[:at] + struct.pack("<I", 0xFFFFFFFF) + whole[at + 4 :]
    assert read(streamed) == read(whole)


WHOLE = wav(SOUND, rate=16_000)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is no WAV file"),
        (b"ID3\4" + bytes(2000), "is no WAV file"),
        (WHOLE[:30], "cut short"),
        (WHOLE[: WHOLE.index(b"data")], "cut short"),
        (WHOLE.replace(b"fmt ", b"fmx "), "cut short"),
        (wav(SOUND, rate=0), "makes no sense"),
        (WHOLE.replace(struct.pack("<HH", 2, 16), struct.pack("<HH", 3, 16)), "makes no sense"),
        (wav(SOUND, rate=16_000, bits=8), "of 8 bit; save it as PCM of 16 or 24 bit"),
        (wav(SOUND, rate=16_000, tag=6), "of format 6; save it as PCM"),
        (wav(SOUND, rate=16_000, bits=16, tag=1)[:-1], None),
        (wav([float("nan")] * 9, rate=16_000, bits=32, tag=3), "no numbers"),
    ],
)
def test_what_cannot_be_read_is_named(content: bytes, fault: str | None) -> None:
    if fault is None:  # half a sample too much is no reason to refuse the rest
        assert len(read(content)[0][0]) == len(SOUND) - 1
        return
    with pytest.raises(ValueError, match=fault):
        read(content)
