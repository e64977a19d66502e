"""Samples: from a voice's rate to the telephone's, to one level, without the silence around.

Written out here because the libraries that do it bring in tens of megabytes, for a minute of speech in all.
Samples are floats in the units of 16-bit ones.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from operator import mul

RATE = 8_000
"""Samples a second, of G.711 and so of most telephone calls."""

FULL = 32_767
"""The greatest 16-bit sample: 0 dBFS."""

LEAST_SECONDS = 0.3
"""A prompt that is shorter is a word cut off."""

MOST_SECONDS = 15
"""A prompt lasts no longer: the watchdog counts on it."""

# A recording may have silence around it; of one that is longer still, nobody meant to make a prompt.
_RAW_SECONDS = 60
# Quieter than this at its loudest is a muted microphone: raised to our level, it would be hiss.
_QUIET = FULL * 10 ** (-40 / 20)
# A top that is cut off stands still near full scale, for longer than a whole one can.
_CLIPPED = FULL * 10 ** (-1 / 20)
_CLIPPED_SAMPLES = 4

# Passes what a telephone passes (to 3400 Hz); what would fold down to below that is gone from 4600 Hz on.
_CUTOFF = 4_000
_TRANSITION = 1_200

_PEAK = FULL * 10 ** (-3 / 20)
_SILENT = 10 ** (-45 / 20)
_BEFORE = 0.06
_AFTER = 0.09


def telephone_prompt(channels: Sequence[Sequence[float]], rate: int) -> array[int]:
    """A prompt as Asterisk plays it, at `RATE`, of a sound at any rate from there on.

    Raises `ValueError`, which says what is wrong with the sound: it clips, is silent, too short or too long.
    """
    if rate < RATE:
        raise ValueError(f"has {rate} samples a second, and a telephone has {RATE}")
    raw = max(map(len, channels)) / rate
    if raw > _RAW_SECONDS:
        raise ValueError(f"lasts {raw:.0f} s, and a prompt {MOST_SECONDS} s at most")
    # Before the channels are mixed: the top of one is none of the sum.
    if any(map(clips, channels)):
        raise ValueError("clips: it was too loud where it was made, and its tops are cut off")
    mixed = channels[0] if len(channels) == 1 else [sum(at) / len(channels) for at in zip(*channels, strict=True)]
    if max(map(abs, mixed), default=0.0) < _QUIET:
        raise ValueError("is silent")
    prompt = levelled(framed(to_telephone(mixed, rate)))
    seconds = len(prompt) / RATE
    if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        raise ValueError(f"lasts {seconds:.1f} s, and a prompt {LEAST_SECONDS} s at least and {MOST_SECONDS} s at most")
    return prompt


def clips(samples: Sequence[float]) -> bool:
    """Whether loud samples stand still: what was above them has been cut off."""
    if max(map(abs, samples), default=0.0) < _CLIPPED:
        return False
    return any(abs(level) >= _CLIPPED and sum(1 for _ in run) >= _CLIPPED_SAMPLES for level, run in groupby(samples))


def to_telephone(samples: Sequence[float], rate: int) -> list[float]:
    """The same sound at `RATE`, by a windowed-sinc filter; `rate` is not below that."""
    up, down, filters = _filters(rate)
    width = len(filters[0])
    padded = [*([0.0] * (width // 2)), *samples, *([0.0] * width)]
    return [
        sum(map(mul, filters[at % up], padded[at // up : at // up + width])) for at in range(0, len(samples) * up, down)
    ]


@cache
def _filters(rate: int) -> tuple[int, int, list[list[float]]]:
    """For every place between two samples that an outgoing sample may fall on: the weights around it."""
    common = math.gcd(RATE, rate)
    up, down = RATE // common, rate // common
    # Blackman's window needs 5.5 samples for a transition of one rate; its stop band is 74 dB down.
    half = math.ceil(5.5 * rate / _TRANSITION / 2)
    filters = []
    for phase in range(up):
        weights = [_weight(place - phase / up, half, 2 * _CUTOFF / rate) for place in range(-half, half + 1)]
        total = sum(weights)
        filters.append([weight / total for weight in weights])
    return up, down, filters


def _weight(x: float, half: int, cutoff: float) -> float:
    if abs(x) >= half:
        return 0.0
    turn = math.pi * x / half
    window = 0.42 + 0.5 * math.cos(turn) + 0.08 * math.cos(2 * turn)
    return window * (math.sin(math.pi * cutoff * x) / (math.pi * cutoff * x) if x else 1.0)


def framed(samples: Sequence[float], rate: int = RATE) -> list[float]:
    """A breath of silence before and after, not more and not less; raises `ValueError` where all is silence.

    Less would lose the first sound of a word on lines that need a moment to open.
    """
    limit = max(map(abs, samples), default=0.0) * _SILENT
    first = next((at for at, sample in enumerate(samples) if abs(sample) > limit), None)
    if first is None:
        raise ValueError("nothing but silence")
    last = next(at for at in reversed(range(len(samples))) if abs(samples[at]) > limit)
    before, after = round(_BEFORE * rate), round(_AFTER * rate)
    kept = samples[max(0, first - before) : last + 1 + after]
    return [*[0.0] * (before - first), *kept, *[0.0] * (last + 1 + after - len(samples))]


def levelled(samples: Sequence[float]) -> array[int]:
    """16-bit samples whose greatest is 3 dB below full scale: loud, and with room for codecs to overshoot."""
    gain = _PEAK / max(map(abs, samples))
    return array("h", (round(sample * gain) for sample in samples))
