"""Voices: commands that speak a text into a WAV file, espeak-ng or any other."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from tempfile import TemporaryDirectory
from typing import Self

from ivr.errors import RenderError
from ivr.prompts import Catalogue

# Words a minute; espeak-ng's own is 175. Unhurried, for ears that no longer hear well and a line that carries little.
_SPEED = 150
# At its own 100 the loudest vowels run into its limiter; the level is made afterwards.
_AMPLITUDE = 60

# A neural voice loads its model for each prompt.
_SECONDS = 60
# Of what a command complains about: the end says why.
_COMPLAINT = 600

FIELDS = ("file", "language", "text")
"""What may stand in braces in an administrator's command."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A command, as the words that it is run with. {file}, {language} and {text} stand for what it is given.

    Where {text} is not among them, the command reads the text from its standard input.
    """

    words: tuple[str, ...]

    @classmethod
    def of(cls, command: str) -> Self:
        """What an administrator wrote; no shell reads it. Raises `RenderError`."""
        try:
            words = shlex.split(command)
            fields = [_field(*parts) for word in words for parts in Formatter().parse(word)]
        except ValueError as error:
            raise RenderError(f"--command {command}: {str(error)[:1].lower()}{str(error)[1:]}") from None
        for field in fields:
            if field is not None and field not in FIELDS:
                known = ", ".join(f"{{{name}}}" for name in FIELDS)
                raise RenderError(
                    f"--command {command}: {{{field}}} is none of {known}; a brace itself is written {{{{"
                )
        if "file" not in fields:
            raise RenderError(f"--command {command}: {{file}} is missing: the WAV file that the command shall write")
        return cls(tuple(words))

    def speak(self, text: str, language: str) -> tuple[bytes, str]:
        """The WAV file, and what the command wrote on its standard error. Raises `RenderError`."""
        with TemporaryDirectory(prefix="tillit-prompt-") as folder:
            file = Path(folder) / "prompt.wav"
            fields = {"file": str(file), "language": language, "text": text}
            given = "" if any("{text}" in word for word in self.words) else f"{text}\n"
            words = [word.format_map(fields) for word in self.words]
            try:
                done = subprocess.run(words, input=given.encode(), capture_output=True, timeout=_SECONDS, check=False)
            except OSError as error:
                raise RenderError(f"{words[0]} cannot be run: {error.strerror}{_cure(words[0])}") from None
            except subprocess.TimeoutExpired:
                raise RenderError(f"{words[0]} did not end within {_SECONDS} s") from None
            said = " ".join(done.stderr.decode(errors="replace").split())[-_COMPLAINT:]
            if done.returncode:
                raise RenderError(f"{words[0]} ended with {done.returncode}{complaint(said)}")
            try:
                return file.read_bytes(), said
            except OSError:
                raise RenderError(f"{words[0]} wrote no file{complaint(said)}") from None


def espeak(words: Catalogue) -> Voice:
    """The voice of a language's catalogue."""
    return Voice((
        "espeak-ng", "-v", words.voice, "-s", str(_SPEED), "-a", str(_AMPLITUDE),
        # no silence after it; UTF-8
        "-z", "-b", "1", "--stdin", "-w", "{file}",
    ))  # fmt: skip


def complaint(said: str) -> str:
    """What a command wrote on its standard error, to put behind what is wrong."""
    return f"; it says: {said}" if said else "; it says nothing"


def _field(_: str, name: str | None, form: str | None, conversion: str | None) -> str | None:
    return name if not form and not conversion else f"{name}{'!' if conversion else ':'}{conversion or form}"


def _cure(program: str) -> str:
    return "; install it: sudo apt-get install espeak-ng" if program == "espeak-ng" else ""
