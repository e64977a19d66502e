"""From the voice's rate to the telephone's: what a telephone passes stays, what it cannot pass is gone."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from ivr.prompts.sound import FULL, RATE, framed, levelled, to_telephone


def tone(hertz: float, rate: int, seconds: float = 0.2, level: float = 10_000) -> list[float]:
    return [level * math.sin(2 * math.pi * hertz * at / rate) for at in range(round(seconds * rate))]


def decibels(samples: list[float], level: float = 10_000) -> float:
    middle = samples[200:-200]  # a tone begins and ends with a click
    power = sum(sample * sample for sample in middle) / len(middle)
    return 10 * math.log10(max(power, 1e-9) / (level * level / 2))


@pytest.mark.parametrize("rate", [11_025, 16_000, 22_050, 44_100])
def test_a_telephones_band_stays_as_it_was(rate: int) -> None:
    for hertz in (100, 300, 1000, 2000, 3400):
        assert abs(decibels(to_telephone(tone(hertz, rate), rate))) < 0.1, hertz


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100])
def test_nothing_folds_down_into_it(rate: int) -> None:
    for hertz in (4600, 5000, 6000, 7500, 7900):
        assert decibels(to_telephone(tone(hertz, rate), rate)) < -60, hertz


def test_a_tone_keeps_its_pitch_and_its_length() -> None:
    samples = to_telephone(tone(1000, 22_050, seconds=1), 22_050)
    assert len(samples) == RATE
    rises = sum(before < 0 <= after for before, after in pairwise(samples))
    assert rises in (999, 1000)


@pytest.mark.parametrize("quiet", [0, 100, 8000])
def test_there_is_a_breath_of_silence_around(quiet: int) -> None:
    silence = [3.0] * quiet
    sound = tone(440, RATE)
    samples = framed([*silence, *sound, *silence, *silence])
    assert len(samples) == pytest.approx(len(sound) + (0.06 + 0.09) * RATE, abs=10)
    loud = [at for at, sample in enumerate(samples) if abs(sample) > 1000]
    assert loud[0] == pytest.approx(0.06 * RATE, abs=5)
    assert len(samples) - loud[-1] == pytest.approx(0.09 * RATE, abs=5)


def test_silence_alone_is_refused() -> None:
    for samples in ([], [0.0] * 100):
        with pytest.raises(ValueError, match="silence"):
            framed(samples)


@pytest.mark.parametrize("level", [1.0, 10_000, 60_000])
def test_any_level_becomes_the_one(level: float) -> None:
    peak = max(map(abs, levelled(tone(440, RATE, level=level))))
    assert 20 * math.log10(peak / FULL) == pytest.approx(-3, abs=0.01)
