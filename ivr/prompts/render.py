"""Speak the catalogues: a sound file of each prompt, as Asterisk plays it. What `scripts/prompts` runs."""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import re
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track

from ivr.errors import RenderError
from ivr.prompts import Catalogue, Prompt, catalogue, languages
from ivr.prompts.recordings import recordings
from ivr.prompts.sound import telephone_prompt
from ivr.prompts.voice import Voice, complaint, espeak
from ivr.prompts.wav import read, written

# Raise this when the same words come to sound different: every file is then made anew.
_RECIPE = 3

_DONE = ".rendered.json"
_RECORDED = "recording "

# To start other processes takes as long as a few prompts do.
_FEW = 6
_MOST_PROCESSES = 4


@dataclass(frozen=True, slots=True)
class Job:
    """One file that must be made: of what a voice says, or of a recording. `mark` is what it is made of, hashed."""

    prompt: Prompt
    language: str
    file: Path
    mark: str
    source: Voice | Path
    text: str = ""


def plan(
    words: Catalogue, out: Path, *, voice: Voice | None = None, recorded: Mapping[Prompt, Path] | None = None
) -> list[Job]:
    """What must be made anew for `OUT/LANGUAGE/tillit/NAME.wav` to be of these words, this voice, these recordings.

    A recording that was used once stays while no recordings are named at all (`recorded` is None): a person's voice
    must not become a machine's because of a word left out of a command. Raises `OSError` for recordings.
    """
    folder = out / words.language / "tillit"
    done = _read(folder / _DONE)
    voice = voice or espeak(words)
    jobs = []
    for prompt, text in words.prompts.items():
        file = folder / f"{prompt.value}.wav"
        before = done.get(prompt.value, "") if file.is_file() else ""
        if recorded is None and before.startswith(_RECORDED):
            continue
        if recorded and prompt in recorded:
            source = recorded[prompt]
            job = Job(prompt, words.language, file, _RECORDED + _hash(source.read_bytes()), source)
        else:
            spoken = _spoken(text, words)
            job = Job(prompt, words.language, file, _hash(json.dumps([voice.words, spoken]).encode()), voice, spoken)
        if job.mark != before:
            jobs.append(job)
    return jobs


def render(jobs: Iterable[Job]) -> Iterator[Job]:
    """Make these files, 8 kHz, 16 bit, mono; each job once its file is there.

    Raises `RenderError`: of recordings with a line for each that cannot be used, of a voice at the first fault, for
    the next would be the same. Raises `OSError` for the folder.
    """
    jobs = list(jobs)
    for folder in {job.file.parent for job in jobs}:
        folder.mkdir(parents=True, exist_ok=True)
    # a person's mistakes first, before minutes of a machine's speech
    faults = []
    with _made([job for job in jobs if isinstance(job.source, Path)]) as recorded:
        for job, content in recorded:
            if isinstance(content, RenderError):
                faults.append(str(content))
                continue
            _keep(job, content)
            yield job
    if faults:
        raise RenderError("\n".join(faults))
    with _made([job for job in jobs if isinstance(job.source, Voice)]) as spoken:
        for job, content in spoken:
            if isinstance(content, RenderError):
                raise content
            _keep(job, content)
            yield job


@contextmanager
def _made(jobs: Sequence[Job]) -> Iterator[Iterable[tuple[Job, bytes | RenderError]]]:
    """What each file shall hold, in the order of the jobs; who leaves early does not wait for the rest."""
    processes = min(_MOST_PROCESSES, os.cpu_count() or 1)
    if processes == 1 or len(jobs) <= _FEW:
        yield ((job, _make(job)) for job in jobs)
        return
    pool = ProcessPoolExecutor(
        processes,
        # a fork would take the progress bar's thread along
        mp_context=multiprocessing.get_context("spawn"),
        # Ctrl-C is for this process to tell of
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield zip(jobs, pool.map(_make, jobs), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def _make(job: Job) -> bytes | RenderError:
    """The content of its file. The fault is given back, not raised: there may be more, and all are told of."""
    if isinstance(job.source, Path):
        try:
            return written(telephone_prompt(*read(job.source.read_bytes())))
        except OSError as error:
            return RenderError(f"{job.source}: {error.strerror}")
        except ValueError as error:
            return RenderError(f"{job.source}: {error}")
    place = f"{job.prompt.value} ({job.language})"
    try:
        sound, said = job.source.speak(job.text, job.language)
    except RenderError as error:
        return RenderError(f"{place}: {error}")
    try:
        return written(telephone_prompt(*read(sound)))
    except ValueError as error:
        return RenderError(f"{place}: what {job.source.words[0]} made {error}{complaint(said)}")


def _keep(job: Job, content: bytes) -> None:
    _replace(job.file, content)
    done = _read(job.file.with_name(_DONE)) | {job.prompt.value: job.mark}
    _replace(job.file.with_name(_DONE), json.dumps(done, indent=1).encode())


def _spoken(text: str, words: Catalogue) -> str:
    for written_so, spoken in words.spoken.items():
        text = re.sub(rf"\b{re.escape(written_so)}\b", spoken, text)
    return text


def _hash(content: bytes) -> str:
    return hashlib.sha256(b"%d " % _RECIPE + content).hexdigest()


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


def parser(usual: Path) -> argparse.ArgumentParser:
    """The command's options; `usual` is the folder where --out names none."""
    made = argparse.ArgumentParser(
        prog="scripts/prompts",
        description="Makes every prompt as OUT/LANGUAGE/tillit/NAME.wav, 8 kHz, 16 bit, mono. Files that are up to "
        "date are left as they are. docs/prompts.md tells more.",
    )
    made.add_argument("--out", type=Path, default=usual, help="the folder (default: %(default)s)")
    made.add_argument(
        "--language", action="extend", nargs="+", choices=languages(), help="only these languages (default: all)"
    )
    made.add_argument(
        "--command",
        help="what speaks in espeak-ng's place, as in 'piper --model {language}.onnx --output_file {file}'. It writes "
        "the WAV file {file}; it gets the text on its standard input, or as {text}",
    )
    made.add_argument(
        "--recordings",
        type=Path,
        metavar="FOLDER",
        help="recordings that take the place of spoken prompts: FOLDER/LANGUAGE/NAME.wav",
    )
    return made


def main(usual: Path, arguments: Sequence[str] | None = None) -> int:
    """The command, and its exit status; `usual` is the folder where --out names none."""
    asked = parser(usual).parse_args(arguments)
    out: Path = asked.out
    chosen = sorted(set(asked.language or languages()))
    try:
        voice = None if asked.command is None else Voice.of(asked.command)
        recorded = None if asked.recordings is None else recordings(asked.recordings)
        jobs = [job for language in chosen for job in _plan(language, out, voice, recorded)]
        steps = track(render(jobs), "Prompts", total=len(jobs), console=Console(stderr=True))
        made = [job.language for job in (steps if jobs else ())]
    except (RenderError, OSError) as error:
        for line in str(error).splitlines():
            print(f"scripts/prompts: {line}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        # what was made is kept: the next time goes on from here
        return 130
    for language in chosen:
        print(_summary(out / language / "tillit", language, made.count(language)))
    return 0


def _plan(
    language: str, out: Path, voice: Voice | None, recorded: Mapping[tuple[str, Prompt], Path] | None
) -> list[Job]:
    own = (
        None
        if recorded is None
        else {prompt: file for (spoken, prompt), file in recorded.items() if spoken == language}
    )
    return plan(catalogue(language), out, voice=voice, recorded=own)


def _summary(folder: Path, language: str, made: int) -> str:
    recorded = sum(mark.startswith(_RECORDED) for mark in _read(folder / _DONE).values())
    of_them = f"; recorded: {recorded}" if recorded else ""
    return f"{language}: {made} made, {len(Prompt) - made} up to date, in {folder}{of_them}"
