"""Another voice than espeak-ng: any command that writes a WAV file, and what is said of one that does not."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from ivr.errors import RenderError
from ivr.prompts import Catalogue, Prompt, catalogue
from ivr.prompts.render import main, plan, render
from ivr.prompts.voice import Voice
from tests.unit.sound_kit import pitch, samples, speaker, tone, wav


@pytest.fixture
def command(tmp_path: Path) -> str:
    """What says a tone of 600 Hz in place of each text."""
    return speaker(tmp_path, wav(tone(600, 24_000, 0.8), rate=24_000))


@pytest.fixture
def few() -> Catalogue:
    return replace(catalogue("sv"), prompts={Prompt.WRONG: "Nej.", Prompt.NO_MORE_TEXTS: "Inga fler sms."})


def calls(folder: Path) -> list[list[str]]:
    """Language, arguments and standard input of each call."""
    return [line.split("|") for line in (folder / "calls").read_text().splitlines()]


def test_any_command_speaks_in_espeaks_place(tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(out, ["--language", "pl", "--command", command]) == 0
    folder = out / "pl" / "tillit"
    assert capsys.readouterr().out == f"pl: {len(Prompt)} made, 0 up to date, in {folder}\n"
    assert {language for language, _, _ in calls(tmp_path)} == {"pl"}
    given = {text for _, _, text in calls(tmp_path)}
    assert "za dwadzieścia cztery godziny." in given
    # what the catalogue says of how words are spoken holds for any voice
    assert "Nie możemy teraz wysłać kolejnego esemesa." in given
    for prompt in Prompt:
        sound = samples(folder / f"{prompt.value}.wav")
        assert len(sound) / 8000 == pytest.approx(0.95, abs=0.01)
        assert max(map(abs, sound)) / 32767 == pytest.approx(10 ** (-3 / 20), abs=0.01)
        assert pitch(sound[800:-1000]) == pytest.approx(600, abs=1)


def test_only_what_another_command_would_say_is_made_anew(tmp_path: Path, command: str, few: Catalogue) -> None:
    out = tmp_path / "out"
    assert len(list(render(plan(few, out, voice=Voice.of(command))))) == 2
    assert plan(few, out, voice=Voice.of(command)) == []
    assert len(plan(few, out, voice=Voice.of(f"{command} --slow"))) == 2


def test_a_text_may_be_an_argument_and_is_no_shells(tmp_path: Path, command: str) -> None:
    voice = Voice.of(f"{command} '--text={{text}}' '{{{{x}}}}' '$HOME;' '>' {tmp_path / 'file'}")
    text = 'It\'s "5" $(touch here) {file} `x` \\n'
    sound, said = voice.speak(text, "sv")
    assert sound[:4] == b"RIFF"
    assert said == "the model says hello"
    assert calls(tmp_path) == [["sv", f"--text={text} {{x}} $HOME; > {tmp_path / 'file'}", ""]]
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("piper", "{file} is missing"),
        ("", "{file} is missing"),
        ("piper --voice {voice} {file}", "{voice} is none of {file}, {language}, {text}"),
        ("piper {} {file}", "{} is none of"),
        ("piper {0} {file}", "{0} is none of"),
        ("piper {text.__class__} {file}", "{text.__class__} is none of"),
        ("piper {text!r} {file}", "{text!r} is none of"),
        ("piper {file:>90}", "{file:>90} is none of"),
        ("piper {file", "expected '}' before end of string"),
        ("piper } {file}", "single '}' encountered"),
        ("piper 'a {file}", "no closing quotation"),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused(command: str, fault: str) -> None:
    with pytest.raises(RenderError) as refused:
        Voice.of(command)
    assert str(refused.value).startswith(f"--command {command}: ")
    assert fault in str(refused.value)


def contents(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {file: (file.stat().st_ino, file.read_bytes()) for file in folder.rglob("*") if file.is_file()}


def cut(level: float) -> list[float]:
    return [max(-32_768.0, min(32_767.0, sample)) for sample in tone(300, 16_000, 1.0, level)]


@pytest.mark.parametrize(
    ("sound", "more", "fault"),
    [
        (b"", "exit 3", "ended with 3"),
        (b"", "exit 0", "wrote no file"),
        (b"", "kill -9 $$", "ended with -9"),
        (b"no sound", "", "made is no WAV file"),
        (wav([0.0] * 16_000, rate=16_000), "", "made is silent"),
        (
            wav(tone(600, 16_000, 0.05), rate=16_000),
            "",
            "made lasts 0.2 s, and a prompt 0.3 s at least and 15 s at most",
        ),
        (
            wav(tone(600, 16_000, 20), rate=16_000),
            "",
            "made lasts 20.1 s, and a prompt 0.3 s at least and 15 s at most",
        ),
        (wav(cut(90_000), rate=16_000), "", "made clips: it was too loud where it was made, and its tops are cut off"),
    ],
    ids=["fails", "nothing", "killed", "rubbish", "silent", "short", "long", "clips"],
)
def test_what_is_no_prompt_is_named_with_what_the_command_says(
    tmp_path: Path, few: Catalogue, sound: bytes, more: str, fault: str
) -> None:
    out = tmp_path / "out"
    good = speaker(tmp_path, wav(tone(600, 16_000, 0.5), rate=16_000), name="good")
    list(render(plan(few, out, voice=Voice.of(good))))
    before = contents(out)
    bad = speaker(tmp_path, sound, more=more, name="bad")
    with pytest.raises(RenderError) as refused:
        list(render(plan(few, out, voice=Voice.of(bad))))
    program = shlex.split(bad)[0]
    assert str(refused.value).startswith(f"wrong (sv): {'what ' * ('made' in fault)}{program} {fault}; it says: ")
    assert str(refused.value).endswith("the model says hello")
    # what is there goes on being played
    assert contents(out) == before


def test_the_command_line_says_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(tmp_path, ["--language", "sv", "--command", "no-such-speaker {file}"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "scripts/prompts: welcome (sv): no-such-speaker cannot be run: No such file or directory"
    )
    assert main(tmp_path, ["--language", "sv", "--command", "no-such-speaker"]) == 1
    assert capsys.readouterr().err.startswith("scripts/prompts: --command no-such-speaker: {file} is missing")


def test_a_command_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ivr.prompts.voice._SECONDS", 0.5)
    with pytest.raises(RenderError, match=r"did not end within 0\.5 s"):
        Voice.of(speaker(tmp_path, b"", more="exec sleep 600")).speak("Hej.", "sv")
