"""From the voice's rate to the telephone's: what a telephone passes stays, what it cannot pass is gone."""

from __future__ import annotations

import math

import pytest

from ivr.prompts.sound import FULL, RATE, clips, framed, levelled, telephone_prompt, to_telephone
from tests.unit.sound_kit import pitch, tone


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
    for rate in (8000, 11_025, 22_050, 48_000):
        samples = to_telephone(tone(1000, rate, seconds=1), rate)
        assert len(samples) == pytest.approx(RATE, abs=1)
        assert pitch(samples[200:-200]) == pytest.approx(1000, abs=1)


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


# ---------------------------------------------------------------- what is no prompt


def cut(level: float, most: float, rate: int = 16_000) -> list[float]:
    return [max(-most, min(most, sample)) for sample in tone(300, rate, seconds=1, level=level)]


def test_tops_that_are_cut_off_are_found() -> None:
    assert clips(cut(60_000, 32_767))
    assert clips(cut(33_500, 32_767, rate=48_000))
    assert clips([max(-32_768, sample) for sample in tone(300, 16_000, seconds=1, level=40_000)])


@pytest.mark.parametrize("rate", [8000, 16_000, 48_000, 96_000])
def test_what_is_loud_and_whole_does_not_clip(rate: int) -> None:
    for hertz in (80, 300, 1000, 3000):
        assert not clips([float(round(sample)) for sample in tone(hertz, rate, seconds=0.5, level=FULL)]), hertz
    assert not clips([])


def test_a_channel_that_clips_is_not_hidden_by_the_other() -> None:
    quiet = tone(300, 16_000, seconds=1, level=100)
    with pytest.raises(ValueError, match="clips: it was too loud where it was made"):
        telephone_prompt([quiet, cut(60_000, 32_767)], 16_000)


def test_two_channels_become_one() -> None:
    left, right = tone(500, 16_000, seconds=1), [0.0] * 16_000
    sound = telephone_prompt([left, right], 16_000)
    assert len(sound) == pytest.approx(1.15 * RATE, abs=20)
    assert pitch(sound[600:-800]) == pytest.approx(500, abs=1)


@pytest.mark.parametrize(
    ("seconds", "level", "rate", "fault"),
    [
        (1.0, 0, 16_000, "is silent"),
        (1.0, 250, 16_000, "is silent"),
        (0.0, 0, 16_000, "is silent"),
        (0.1, 10_000, 16_000, r"lasts 0\.2 s, and a prompt 0\.3 s at least"),
        (15.0, 10_000, 8000, r"lasts 15\.1 s, and a prompt .* 15 s at most"),
        (61.0, 10_000, 8000, r"lasts 61 s, and a prompt 15 s at most"),
        (1.0, 10_000, 6000, "6000 samples a second, and a telephone has 8000"),
    ],
)
def test_what_is_no_prompt_is_named(seconds: float, level: float, rate: int, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        telephone_prompt([tone(440, rate, seconds, level)], rate)
