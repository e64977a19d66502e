"""Answers what can be heard in a recording, while it grows: WAV, 8000 Hz, 16 bit, mono."""

from __future__ import annotations

import itertools
import math
import sys
from array import array
from operator import mul
from pathlib import Path

RATE = 8000
_HEADER = 44
# 100 ms: long enough to tell tones 20 Hz apart, short enough for a prompt's pauses to show.
WINDOW = 800
# Comfort noise and u-law's idle noise stay below; speech and tones are far above.
_SOUND_RMS = 200.0
# A steady tone has nearly all of a window's energy; speech and music much less.
_TONE_SHARE = 0.6
# A phone's tone is ten times as loud; speech has that much at a frequency for a moment at most.
_UNDER_RMS = 300.0
# Loudness is compared by 20 ms, every 10 ms; what is lost on the way moves the rest by 150 ms at most.
_LOUDNESS = 160
_HOP = 80
_DRIFT = 15


def samples(file: Path) -> array[int]:
    """The samples written so far (the recorder writes every 250 ms)."""
    data = file.read_bytes()[_HEADER:] if file.exists() else b""
    result = array("h", data[: len(data) // 2 * 2])
    if sys.byteorder == "big":
        result.byteswap()
    return result


def levels(heard: array[int]) -> list[float]:
    """The loudness (RMS, 0 to 32767) of each window of 100 ms."""
    windows = (heard[start : start + WINDOW] for start in range(0, len(heard) - WINDOW + 1, WINDOW))
    return [math.sqrt(sum(value * value for value in window) / WINDOW) for window in windows]


def has_sound(heard: array[int], seconds: float = 0.2) -> bool:
    """Whether it is loud for that long without a break."""
    return _in_a_row([level > _SOUND_RMS for level in levels(heard)], seconds)


def has_tone(heard: array[int], hertz: float, seconds: float = 0.2) -> bool:
    """Whether one steady tone is heard for that long without a break."""
    starts = range(0, len(heard) - WINDOW + 1, WINDOW)
    return _in_a_row([share(heard[start : start + WINDOW], hertz) > _TONE_SHARE for start in starts], seconds)


def presence(heard: array[int], hertz: float, level: float = _UNDER_RMS) -> float:
    """In what part of the time this tone is there, as loud (RMS) and also under other sound: 0 to 1, by windows of 100 ms."""
    starts = range(0, len(heard) - WINDOW + 1, WINDOW)
    loud = [_power(heard[start : start + WINDOW], hertz) > level**2 for start in starts]
    return sum(loud) / len(loud) if loud else 0.0


def share(window: array[int], hertz: float) -> float:
    """The part of the window's energy that lies at this frequency, 0 to 1; 0 where it is silent."""
    energy = sum(value * value for value in window)
    if energy < _SOUND_RMS**2 * len(window):
        return 0.0
    return _power(window, hertz) * len(window) / energy


def _power(window: array[int], hertz: float) -> float:
    # Goertzel: the mean square of what lies at this frequency.
    factor = 2 * math.cos(2 * math.pi * hertz / RATE)
    last = before = 0.0
    for value in window:
        last, before = value + factor * last - before, last
    return 2 * (last * last + before * before - factor * last * before) / len(window) ** 2


def _in_a_row(windows: list[bool], seconds: float) -> bool:
    needed = math.ceil(seconds * RATE / WINDOW)
    run = 0
    for window in windows:
        run = run + 1 if window else 0
        if run >= needed:
            return True
    return False


def likeness(heard: array[int], sound: array[int]) -> float:
    """How like a sound, a spoken sentence say, what was heard is somewhere: 1 the same, 0 nothing of it.

    It compares how loudness rises and falls, half a second by half a second. Codecs change little of that; and where
    a busy machine loses or adds some of the sound, the rest comes sooner or later, and is still found.
    """
    there, half = _contour(heard), RATE // 2
    parts = [_fits(_contour(sound[start : start + half]), there) for start in range(0, len(sound) - half + 1, half)]

    def from_here(start: int) -> float:
        fits = 0.0
        for expected, part in zip(itertools.count(start, half // _HOP), parts, strict=False):
            fits += max(part[max(0, expected - _DRIFT) : expected + _DRIFT + 1], default=0.0)
        return fits / len(parts)

    return max(map(from_here, range(len(there))), default=0.0)


def _fits(part: list[float], there: list[float]) -> list[float]:
    """How well a part fits at each place."""
    wanted = _centred(part)
    return [_dot(wanted, _centred(there[at : at + len(part)])) for at in range(len(there) - len(part) + 1)]


def _contour(sound: array[int]) -> list[float]:
    """The loudness of 20 ms, at every hop."""
    squares = [float(value * value) for value in sound]
    return [
        math.sqrt(sum(squares[start : start + _LOUDNESS])) for start in range(0, len(squares) - _LOUDNESS + 1, _HOP)
    ]


def _centred(contour: list[float]) -> list[float]:
    """Around zero, and as if of one loudness over all."""
    middle = sum(contour) / len(contour)
    around = [level - middle for level in contour]
    size = math.sqrt(_dot(around, around)) or 1.0
    return [level / size for level in around]


def _dot(one: list[float], other: list[float]) -> float:
    return math.fsum(map(mul, one, other))
