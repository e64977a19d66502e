"""An administrator's own recordings: they win, they stay, and one that cannot be used is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ivr.prompts import Prompt, catalogue
from ivr.prompts.recordings import recordings
from ivr.prompts.render import main, plan, render
from ivr.prompts.voice import Voice
from tests.unit.sound_kit import pitch, samples, speaker, tone, wav


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The folder of recordings, with one in it."""
    folder = tmp_path / "recordings"
    (folder / "sv").mkdir(parents=True)
    (folder / "sv" / "ask-pin.wav").write_bytes(recording(700))
    return folder


def recording(hertz: float, rate: int = 48_000, seconds: float = 0.6, level: float = 8000.0) -> bytes:
    left = tone(hertz, rate, seconds, level)
    return wav(left, [0.5 * sample for sample in left], rate=rate, bits=24, extensible=True)


class Run:
    """Three prompts in Swedish, of a voice that says a tone of 600 Hz."""

    def __init__(self, folder: Path) -> None:
        few = (Prompt.ASK_PIN, Prompt.WRONG, Prompt.WELCOME)
        self.out = folder / "out"
        self._words = replace(catalogue("sv"), prompts=dict.fromkeys(few, "Hej."))
        self._voice = Voice.of(speaker(folder, wav(tone(600, 16_000, 0.5), rate=16_000)))

    def __call__(self, folder: Path | None = None) -> set[Prompt]:
        """What was made, with the recordings in this folder."""
        found = None if folder is None else recordings(folder)
        own = None if found is None else {prompt: file for (_, prompt), file in found.items()}
        return {job.prompt for job in render(plan(self._words, self.out, voice=self._voice, recorded=own))}

    def pitch(self, prompt: Prompt) -> float:
        """Of the file that is there."""
        return pitch(samples(self.out / "sv" / "tillit" / f"{prompt.value}.wav")[600:-1000])


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_a_recording_wins_over_the_voice_and_stays(own: Path, run: Run) -> None:
    assert run(own) == {Prompt.ASK_PIN, Prompt.WRONG, Prompt.WELCOME}
    assert run.pitch(Prompt.ASK_PIN) == pytest.approx(700, abs=1)
    assert run.pitch(Prompt.WRONG) == pytest.approx(600, abs=1)

    # also when the next command does not name it
    assert run() == set()

    # one that is added, one that is changed, one that is taken away
    (own / "sv" / "wrong.wav").write_bytes(recording(900, rate=16_000))
    assert run(own) == {Prompt.WRONG}
    assert run.pitch(Prompt.WRONG) == pytest.approx(900, abs=1)
    (own / "sv" / "wrong.wav").write_bytes(recording(1100, rate=8000))
    assert run(own) == {Prompt.WRONG}
    assert run.pitch(Prompt.WRONG) == pytest.approx(1100, abs=1)
    (own / "sv" / "wrong.wav").unlink()
    assert run(own) == {Prompt.WRONG}
    assert run.pitch(Prompt.WRONG) == pytest.approx(600, abs=1)

    # a lost file is made again, of a voice where the recording is not named
    (run.out / "sv" / "tillit" / "ask-pin.wav").unlink()
    assert run() == {Prompt.ASK_PIN}
    assert run.pitch(Prompt.ASK_PIN) == pytest.approx(600, abs=1)


def test_where_all_is_recorded_nothing_is_spoken(tmp_path: Path, own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for prompt in Prompt:
        (own / "sv" / f"{prompt.value}.wav").write_bytes(recording(700, rate=8000))
    command = ["--language", "sv", "--command", "no-such-speaker {file}"]
    assert main(tmp_path / "out", [*command, "--recordings", str(own)]) == 0
    count, folder = len(Prompt), tmp_path / "out" / "sv" / "tillit"
    assert capsys.readouterr().out == f"sv: {count} made, 0 up to date, in {folder}; recorded: {count}\n"
    assert main(tmp_path / "out", ["--language", "sv"]) == 0
    assert capsys.readouterr().out == f"sv: 0 made, {count} up to date, in {folder}; recorded: {count}\n"


@pytest.fixture
def faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[Path], list[str]]:
    """What the command complains about, with the recordings in this folder; the voice is not asked."""

    def run(folder: Path) -> list[str]:
        command = ["--language", "sv", "--command", "no-such-speaker {file}", "--recordings", str(folder)]
        assert main(tmp_path / "out", command) == 1
        lines = capsys.readouterr().err.splitlines()
        return [line.removeprefix("scripts/prompts: ") for line in lines if line.startswith("scripts/prompts: ")]

    return run


def test_what_is_no_prompts_recording_is_named_and_nothing_is_made(
    tmp_path: Path, own: Path, faults: Callable[[Path], list[str]]
) -> None:
    (own / "fi").mkdir()
    (own / "sv" / "tillit").mkdir()
    for name in ("ask-pin.wav", "fi/wrong.wav", "sv/Ask-PIN.wav", "sv/askpin.wav", "sv/welcome.mp3", "sv/hum.wav"):
        (own / name).write_bytes(b"")
    for left_behind in (".DS_Store", "sv/.ask-pin.wav.swp"):
        (own / left_behind).write_bytes(b"")
    assert faults(own) == [
        f"{own}/ask-pin.wav: stands in no language's folder; put it into de, en, pl or sv",
        f"{own}/fi/wrong.wav: there is no language fi, but de, en, pl or sv",
        f"{own}/sv/Ask-PIN.wav: no prompt has this name; do you mean ask-pin.wav?",
        f"{own}/sv/askpin.wav: no prompt has this name; do you mean ask-pin.wav?",
        f"{own}/sv/hum.wav: no prompt has this name; docs/prompts.md has their names",
        f"{own}/sv/welcome.mp3: no prompt has this name; do you mean welcome.wav?",
    ]
    assert not (tmp_path / "out").exists()


def test_recordings_that_cannot_be_used_are_named_all_at_once(own: Path, faults: Callable[[Path], list[str]]) -> None:
    loud = [max(-32_768.0, min(32_767.0, sample)) for sample in tone(300, 16_000, 1.0, level=90_000)]
    bad = {
        "locked": wav(loud, rate=16_000),
        "refused": recording(700, level=20.0),
        "timeout": recording(700, rate=8000, seconds=16.0),
        "verified": recording(700, seconds=0.05),
        "welcome": b"ID3 is no WAV file",
        "wrong": recording(700, rate=6000),
    }
    for name, content in bad.items():
        (own / "sv" / f"{name}.wav").write_bytes(content)
    assert dict(line.removeprefix(f"{own}/sv/").split(".wav: ", 1) for line in faults(own)) == {
        "locked": "clips: it was too loud where it was made, and its tops are cut off",
        "refused": "is silent",
        "timeout": "lasts 16.1 s, and a prompt 0.3 s at least and 15 s at most",
        "verified": "lasts 0.2 s, and a prompt 0.3 s at least and 15 s at most",
        "welcome": "is no WAV file",
        "wrong": "has 6000 samples a second, and a telephone has 8000",
    }


def test_a_folder_without_recordings_is_a_mistake(
    tmp_path: Path, own: Path, faults: Callable[[Path], list[str]]
) -> None:
    (own / "sv" / "ask-pin.wav").unlink()
    (tmp_path / "file").touch()
    for folder, fault in (
        (own, "there is no recording in it; one is named LANGUAGE/NAME.wav"),
        (tmp_path / "nowhere", "No such file or directory"),
        (tmp_path / "file", "Not a directory"),
    ):
        assert faults(folder) == [f"--recordings {folder}: {fault}"]
