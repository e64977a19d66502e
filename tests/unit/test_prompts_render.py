"""The sound files: every one there, understandable on a telephone, and made only when it has to be."""

from __future__ import annotations

import fcntl
import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ivr.errors import RenderError
from ivr.prompts import Catalogue, Prompt, catalogue, languages
from ivr.prompts.render import main, plan, render
from ivr.prompts.sound import LEAST_SECONDS, MOST_SECONDS
from tests.unit.sound_kit import samples

pytestmark = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")

CHECKOUT = Path(__file__).resolve().parents[2]
SOUNDS = CHECKOUT / ".tillit" / "sounds"
ASKS = (Prompt.ASK_CUSTOMER_NUMBER, Prompt.ASK_PIN, Prompt.ASK_CODE, Prompt.ASK_TOTP)
# The words that callers need most, as espeak-ng says them.
SAID = {
    "en": ("pˈɪn", "hˈaʃ kˈiː", "stˈɑː twˈaɪs"),
    "sv": ("pˈɪŋkoːd", "fˈyrkant", "sxˈɛrna tvˈoː ɡˈɔŋər", "ˈɛsˈeːmˈɛs", "ˈɛsˈeːmˈɛsət"),
    "de": ("pˈɪn", "rˈaʊteːtˌastə", "tsvˈaɪmɑːl ʃtˈɛɾn", "ˌɛsˌɛmˈɛs"),
    "pl": ("pˈin", "kʃˈɨʒɨk", "dvʲˈɛ ɡvʲˈastki", "ɛsˈɛmɛs", "ˌɛsɛmˈɛsa"),
}


# To speak them all takes long: the inner loop speaks one.
_SPOKEN = [name if name == "en" else pytest.param(name, marks=pytest.mark.servers) for name in languages()]


@pytest.fixture(scope="module", params=_SPOKEN)
def spoken(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one language's files, once for all processes of this run; those that scripts/prompts has made as they would be now."""
    base = tmp_path_factory.getbasetemp()
    out = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "all-prompts"
    out.mkdir(exist_ok=True)
    with (out / f"{request.param}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = SOUNDS / request.param / "tillit"
        if before.exists():
            # what is there is up to date, or is made anew
            shutil.copytree(before, out / request.param / "tillit", dirs_exist_ok=True)
        assert main(out, ["--language", request.param]) == 0
    return out / request.param / "tillit"


@pytest.fixture
def few() -> Catalogue:
    """A catalogue that is quickly spoken."""
    return replace(catalogue("en"), prompts={Prompt.WRONG: "No.", Prompt.ASK_PIN: "Your PIN."})


def made(words: Catalogue, out: Path) -> set[Prompt]:
    return {job.prompt for job in render(plan(words, out))}


@pytest.mark.parametrize("prompt", Prompt)
def test_a_prompt_is_heard_well(spoken: Path, prompt: Prompt) -> None:
    sound = samples(spoken / f"{prompt.value}.wav")
    seconds = len(sound) / 8000
    assert LEAST_SECONDS < seconds < MOST_SECONDS
    # shorter than it must be: a question is heard again and again, and what ends a call lies between caller and agent
    assert seconds < (8 if prompt in ASKS else 10.5)
    peak = max(map(abs, sound))
    assert 20 * math.log10(peak / 32767) == pytest.approx(-3, abs=0.05)
    power = math.sqrt(sum(sample * sample for sample in sound) / len(sound))
    assert -26 < 20 * math.log10(power / 32767) < -12
    # A breath of silence, and no more, before the first word and after the last.
    for edge in (sound, sound[::-1]):
        assert 0.04 < next(at for at, sample in enumerate(edge) if abs(sample) > 0.01 * peak) / 8000 < 0.11


@pytest.mark.parametrize("language", languages())
def test_the_words_that_callers_need_are_spoken_as_words(tmp_path: Path, language: str) -> None:
    jobs = plan(catalogue(language), tmp_path)
    said = subprocess.run(
        ["espeak-ng", "-q", "--ipa", "-v", catalogue(language).voice, "--stdin"],
        input="\n".join(job.text for job in jobs), text=True, capture_output=True, check=True,
    ).stdout  # fmt: skip
    for sound in SAID[language]:
        assert sound in said


def test_what_is_up_to_date_is_left_alone(tmp_path: Path, few: Catalogue) -> None:
    assert made(few, tmp_path) == {Prompt.WRONG, Prompt.ASK_PIN}
    wrong = tmp_path / "en" / "tillit" / "wrong.wav"
    before = wrong.stat()
    assert made(few, tmp_path) == set()
    assert wrong.stat() == before
    assert {file.name for file in wrong.parent.iterdir()} == {"wrong.wav", "ask-pin.wav", ".rendered.json"}


def test_other_words_another_voice_or_a_lost_file_are_made_anew(tmp_path: Path, few: Catalogue) -> None:
    made(few, tmp_path)
    folder = tmp_path / "en" / "tillit"
    assert made(replace(few, prompts={**few.prompts, Prompt.WRONG: "Not so."}), tmp_path) == {Prompt.WRONG}
    american = replace(few, voice="en-us")
    assert made(american, tmp_path) == {Prompt.WRONG, Prompt.ASK_PIN}
    (folder / "ask-pin.wav").unlink()
    assert made(american, tmp_path) == {Prompt.ASK_PIN}
    assert made(replace(american, spoken={"PIN": "pin code"}), tmp_path) == {Prompt.ASK_PIN}
    (folder / ".rendered.json").write_text("{")
    assert made(few, tmp_path) == {Prompt.WRONG, Prompt.ASK_PIN}
    assert set(json.loads((folder / ".rendered.json").read_text())) == {"wrong", "ask-pin"}


def test_a_voice_that_is_not_there_is_one_sentence(tmp_path: Path, few: Catalogue) -> None:
    with pytest.raises(RenderError, match=r"wrong \(en\): espeak-ng ended with 1; it says: .*voice does not exist"):
        made(replace(few, voice="xx-none"), tmp_path)
    assert not (tmp_path / "en" / "tillit" / "wrong.wav").exists()


def test_words_without_a_sound_are_one_sentence(tmp_path: Path, few: Catalogue) -> None:
    with pytest.raises(RenderError, match=r"wrong \(en\): .*(silent|no file)"):
        made(replace(few, prompts={Prompt.WRONG: " "}), tmp_path)


def test_what_many_processes_make_is_what_one_makes(tmp_path: Path, spoken: Path) -> None:
    """The fixture's were made by a pool."""
    words = catalogue(spoken.parent.name)
    made(replace(words, prompts={Prompt.WRONG: words.prompts[Prompt.WRONG]}), tmp_path)
    assert samples(tmp_path / words.language / "tillit" / "wrong.wav") == samples(spoken / "wrong.wav")


# ---------------------------------------------------------------- the command


def command(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ if path is None else {**os.environ, "PATH": path}
    script = CHECKOUT / "scripts" / "prompts"
    return subprocess.run(
        [sys.executable, script, *arguments], env=environment, text=True, capture_output=True, timeout=60, check=False
    )


def test_the_command_says_what_it_did(spoken: Path) -> None:
    language, out = spoken.parent.name, spoken.parents[1]
    done = command("--out", str(out), "--language", language)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{language}: 0 made, {len(Prompt)} up to date, in {spoken}\n"


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    done = command("--out", str(tmp_path), path=str(tmp_path))
    assert done.returncode == 1
    assert (
        done.stderr.splitlines()[-1] == "scripts/prompts: welcome (de): espeak-ng cannot be run: "
        "No such file or directory; install it: sudo apt-get install espeak-ng"
    )
    assert "Traceback" not in done.stderr


def test_the_command_says_where_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = command("--out", str(tmp_path / "file"), "--language", "en")
    assert done.returncode == 1
    assert "file" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_the_command_knows_the_languages() -> None:
    done = command("--language", "fi")
    assert done.returncode == 2
    assert "'de', 'en', 'pl', 'sv'" in done.stderr
