"""Speak the catalogue: a sound file of each prompt, as Asterisk plays it. What `scripts/prompts` runs."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import subprocess
import sys
import wave
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track

from ivr.errors import TillitError
from ivr.prompts import Catalogue, Prompt, catalogue, languages
from ivr.prompts.sound import RATE, framed, levelled, to_telephone

# Words a minute; espeak-ng's own is 175. Unhurried, for ears that no longer hear well and a line that carries little.
_SPEED = 150

# Raise this when the same words come to sound different: every file is then made anew.
_RECIPE = 2

_SECONDS = 60
_DONE = ".rendered.json"


class RenderError(TillitError):
    """The prompts cannot be spoken; says what to do."""


def render(words: Catalogue, out: Path) -> Iterator[tuple[Prompt, bool]]:
    """Make each `OUT/LANGUAGE/tillit/NAME.wav` that is missing or of other words; whether it was made.

    The files are 8 kHz, 16 bit, mono. Raises `RenderError` for espeak-ng, and `OSError` for the folder.
    """
    folder = out / words.language / "tillit"
    folder.mkdir(parents=True, exist_ok=True)
    done = _read(folder / _DONE)
    for prompt, text in words.prompts.items():
        spoken = _spoken(text, words)
        mark = hashlib.sha256(json.dumps([_RECIPE, words.voice, _SPEED, spoken]).encode()).hexdigest()
        file = folder / f"{prompt.value}.wav"
        made = done.get(prompt.value) != mark or not file.is_file()
        if made:
            _replace(file, _wav(*_speak(spoken, words.voice)))
            done[prompt.value] = mark
            _replace(folder / _DONE, json.dumps(done, indent=1).encode())
        yield prompt, made


def _spoken(text: str, words: Catalogue) -> str:
    for written, spoken in words.spoken.items():
        text = re.sub(rf"\b{re.escape(written)}\b", spoken, text)
    return text


def _speak(text: str, voice: str) -> tuple[array[int], int]:
    """What espeak-ng says, and its samples a second."""
    command = ["espeak-ng", "-v", voice, "-s", str(_SPEED), "-z", "-b", "1", "--stdin", "--stdout"]
    try:
        said = subprocess.run(command, input=text.encode(), capture_output=True, timeout=_SECONDS, check=True).stdout
    except FileNotFoundError:
        raise RenderError("espeak-ng is missing; install it: sudo apt-get install espeak-ng") from None
    except subprocess.TimeoutExpired:
        raise RenderError(f"espeak-ng did not end within {_SECONDS} seconds; try again") from None
    except subprocess.CalledProcessError as error:
        complaint = " ".join(error.stderr.decode(errors="replace").split()) or f"it ended with {error.returncode}"
        raise RenderError(f"espeak-ng cannot speak with the voice {voice!r}: {complaint}") from None
    try:
        with wave.open(io.BytesIO(said)) as opened:
            # It writes before it knows the length, and so gives one that is far too long.
            samples = array("h", opened.readframes(len(said)))
            rate = opened.getframerate()
    except (wave.Error, EOFError, ValueError):
        raise RenderError(
            "espeak-ng gave no sound; install it anew: sudo apt-get install --reinstall espeak-ng"
        ) from None
    if sys.byteorder == "big":
        samples.byteswap()
    return samples, rate


def _wav(samples: Sequence[int], rate: int) -> bytes:
    try:
        sound = levelled(framed(to_telephone(samples, rate)))
    except ValueError:
        raise RenderError(
            "espeak-ng gave only silence; install it anew: sudo apt-get install --reinstall espeak-ng"
        ) from None
    if sys.byteorder == "big":
        sound.byteswap()
    written = io.BytesIO()
    with wave.open(written, "wb") as opened:
        opened.setnchannels(1)
        opened.setsampwidth(2)
        opened.setframerate(RATE)
        opened.writeframes(sound.tobytes())
    return written.getvalue()


def _read(file: Path) -> dict[str, str]:
    try:
        done = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return done if isinstance(done, dict) else {}


def _replace(file: Path, content: bytes) -> None:
    """Asterisk may be playing the file: it gets the old one or the new one."""
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(file)


def main(usual: Path, arguments: Sequence[str] | None = None) -> int:
    """The command, and its exit status; `usual` is the folder where --out names none."""
    parser = argparse.ArgumentParser(
        prog="scripts/prompts",
        description="Speaks every prompt into OUT/LANGUAGE/tillit/NAME.wav; link or copy OUT/LANGUAGE/tillit into "
        "Asterisk's sounds/LANGUAGE. Files that are up to date are left as they are.",
    )
    parser.add_argument("--out", type=Path, default=usual, help="the folder (default: %(default)s)")
    out: Path = parser.parse_args(arguments).out
    screen = Console(stderr=True)
    try:
        for language in languages():
            words = catalogue(language)
            steps = track(render(words, out), f"Prompts, {language}", total=len(words.prompts), console=screen)
            made = sum(made for _, made in steps)
            print(f"{language}: {made} made, {len(words.prompts) - made} up to date, in {out / language / 'tillit'}")
    except (RenderError, OSError) as error:
        print(f"scripts/prompts: {error}", file=sys.stderr)
        return 1
    return 0
