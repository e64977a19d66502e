"""The spoken prompts: every one there, understandable on a telephone, and made only when it has to be."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import wave
from array import array
from dataclasses import replace
from pathlib import Path

import pytest

from ivr.prompts import Catalogue, Prompt, catalogue, languages
from ivr.prompts.render import RenderError, main, render

pytestmark = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")

CHECKOUT = Path(__file__).resolve().parents[2]
ASKS = (Prompt.ASK_CUSTOMER_NUMBER, Prompt.ASK_PIN, Prompt.ASK_CODE)


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sounds")
    assert main(out, []) == 0
    return out


@pytest.fixture
def few() -> Catalogue:
    """A catalogue that is quickly spoken."""
    return replace(catalogue("en"), prompts={Prompt.WRONG: "No.", Prompt.ASK_PIN: "Your PIN."})


def samples(file: Path) -> array[int]:
    with wave.open(str(file)) as opened:
        assert (opened.getnchannels(), opened.getsampwidth(), opened.getframerate()) == (1, 2, 8000)
        return array("h", opened.readframes(opened.getnframes()))


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("prompt", Prompt)
def test_a_prompt_is_heard_well(spoken: Path, language: str, prompt: Prompt) -> None:
    sound = samples(spoken / language / "tillit" / f"{prompt.value}.wav")
    seconds = len(sound) / 8000
    assert 0.3 < seconds < (6 if prompt in ASKS else 10)
    peak = max(map(abs, sound))
    assert 20 * math.log10(peak / 32767) == pytest.approx(-3, abs=0.05)
    power = math.sqrt(sum(sample * sample for sample in sound) / len(sound))
    assert -26 < 20 * math.log10(power / 32767) < -12
    # A breath of silence, and no more, before the first word and after the last.
    for edge in (sound, sound[::-1]):
        assert 0.04 < next(at for at, sample in enumerate(edge) if abs(sample) > 0.01 * peak) / 8000 < 0.11


def test_the_words_that_callers_need_are_spoken_as_words() -> None:
    words = catalogue("en")
    assert words.spoken["PIN"] == "pin"
    said = subprocess.run(
        ["espeak-ng", "-q", "--ipa", "-v", words.voice, "--stdin"],
        input="pin. hash key. press star twice.", text=True, capture_output=True, check=True,
    ).stdout  # fmt: skip
    for sound in ("pˈɪn", "hˈaʃ kˈiː", "stˈɑː twˈaɪs"):
        assert sound in said


def test_what_is_up_to_date_is_left_alone(tmp_path: Path, few: Catalogue) -> None:
    assert [made for _, made in render(few, tmp_path)] == [True, True]
    wrong = tmp_path / "en" / "tillit" / "wrong.wav"
    before = wrong.stat()
    assert [made for _, made in render(few, tmp_path)] == [False, False]
    assert wrong.stat() == before
    assert {file.name for file in wrong.parent.iterdir()} == {"wrong.wav", "ask-pin.wav", ".rendered.json"}


def test_other_words_another_voice_or_a_lost_file_are_made_anew(tmp_path: Path, few: Catalogue) -> None:
    list(render(few, tmp_path))
    folder = tmp_path / "en" / "tillit"
    assert dict(render(replace(few, prompts={**few.prompts, Prompt.WRONG: "Not so."}), tmp_path)) == {
        Prompt.WRONG: True, Prompt.ASK_PIN: False,
    }  # fmt: skip
    assert all(made for _, made in render(replace(few, voice="en-us"), tmp_path))
    (folder / "ask-pin.wav").unlink()
    assert dict(render(replace(few, voice="en-us", prompts={Prompt.ASK_PIN: "Your PIN."}), tmp_path)) == {
        Prompt.ASK_PIN: True
    }
    assert all(
        made for _, made in render(replace(few, voice="en-us", spoken={"PIN": "pin code", "No": "nay"}), tmp_path)
    )
    (folder / ".rendered.json").write_text("{")
    assert all(made for _, made in render(few, tmp_path))
    assert set(json.loads((folder / ".rendered.json").read_text())) == {"wrong", "ask-pin"}


def test_a_voice_that_is_not_there_is_one_sentence(tmp_path: Path, few: Catalogue) -> None:
    with pytest.raises(RenderError, match="voice 'xx-none'.*does not exist"):
        list(render(replace(few, voice="xx-none"), tmp_path))
    assert not (tmp_path / "en" / "tillit" / "wrong.wav").exists()


def test_words_without_a_sound_are_one_sentence(tmp_path: Path, few: Catalogue) -> None:
    with pytest.raises(RenderError, match="silence|no sound"):
        list(render(replace(few, prompts={Prompt.WRONG: ""}), tmp_path))


def command(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ if path is None else {**os.environ, "PATH": path}
    script = CHECKOUT / "scripts" / "prompts"
    return subprocess.run(
        [sys.executable, script, *arguments], env=environment, text=True, capture_output=True, timeout=60, check=False
    )


def test_the_command_says_what_it_did(spoken: Path) -> None:
    done = command("--out", str(spoken))
    assert done.returncode == 0
    assert done.stdout == f"en: 0 made, {len(Prompt)} up to date, in {spoken / 'en' / 'tillit'}\n"


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    done = command("--out", str(tmp_path), path=str(tmp_path))
    assert done.returncode == 1
    assert (
        done.stderr.splitlines()[-1]
        == "scripts/prompts: espeak-ng is missing; install it: sudo apt-get install espeak-ng"
    )
    assert "Traceback" not in done.stderr


def test_the_command_says_where_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = command("--out", str(tmp_path / "file"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
