"""Digits that a test can understand: prompts in which each digit is a tone of its own, and what was keyed out of a recording of them."""

from __future__ import annotations

import math
import os
import shutil
import wave
from array import array
from collections.abc import Sequence
from pathlib import Path

from rig import audio
from rig.state import STATE

TONES = tuple(420 + 130 * digit for digit in range(10))
"""In Hz, by digit; none that Asterisk takes for a key or a fax."""
SECONDS = 0.5
"""How long a digit takes, with the silence behind it."""

_TONE_SECONDS = 0.3
_LOUD = 9000.0
_FAINT = 700
# Windows of 50 ms. A busy machine breaks a tone up, and makes what lies between two shorter: so many of a tone are a digit, and
# so many without any sound lie between two that are the same.
_WINDOW = 400
_DIGIT, _GAP = 2, 2
# So many of something else do the same: a word may lie between two digits without any silence.
_WORD = 4


def toned(sounds: Path, languages: Sequence[str] = ("en",)) -> Path:
    """A folder with these prompts, and with tones in place of their digits: `LANGUAGE/tillit/NAME.wav`."""
    out = STATE / "sounds-toned"
    for language in languages:
        folder = out / language / "tillit"
        folder.mkdir(parents=True, exist_ok=True)
        for file in (sounds / language / "tillit").glob("*.wav"):
            # written beside it first: another test may be reading
            temporary = folder / f"{file.stem}.{os.getpid()}"
            if file.stem.startswith("digit-"):
                _write(temporary, TONES[int(file.stem.removeprefix("digit-"))])
            else:
                shutil.copyfile(file, temporary)
            temporary.replace(folder / file.name)
    return out


def understood(heard: array[int]) -> str:
    """The digits that were spoken so, in their order."""
    digits, last, gap = "", -1, True
    count, silent, other = dict.fromkeys(range(10), 0), 0, 0
    for start in range(0, len(heard) - _WINDOW + 1, _WINDOW):
        window = heard[start : start + _WINDOW]
        if max(window) < _FAINT:
            if (silent := silent + 1) == _GAP:
                gap, count = True, dict.fromkeys(range(10), 0)
            continue
        silent = 0
        if (digit := _digit(window)) < 0:
            if (other := other + 1) == _WORD:
                gap, count = True, dict.fromkeys(range(10), 0)
            continue
        other = 0
        count[digit] += 1
        if count[digit] == _DIGIT and (gap or digit != last):
            digits += str(digit)
            last, gap, count = digit, False, dict.fromkeys(range(10), 0)
    return digits


def traces(heard: array[int]) -> set[int]:
    """The digits of which anything at all was heard, be it the twentieth part of a second."""
    starts = range(0, len(heard) - _WINDOW + 1, _WINDOW)
    return {_digit(heard[start : start + _WINDOW]) for start in starts} - {-1}


def _digit(window: array[int]) -> int:
    return next((digit for digit, hertz in enumerate(TONES) if audio.share(window, hertz) > 0.7), -1)


def _write(file: Path, hertz: int) -> None:
    tone = (math.sin(2 * math.pi * hertz * at / audio.RATE) for at in range(int(_TONE_SECONDS * audio.RATE)))
    samples = array("h", (round(_LOUD * value) for value in tone))
    samples.extend([0] * (int(SECONDS * audio.RATE) - len(samples)))
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(audio.RATE)
        out.writeframes(samples.tobytes())
