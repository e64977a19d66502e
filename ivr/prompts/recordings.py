"""An administrator's own recordings: FOLDER/LANGUAGE/NAME.wav takes the place of what a voice would say."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from ivr.errors import RenderError
from ivr.prompts import Prompt, languages


def recordings(folder: Path) -> dict[tuple[str, Prompt], Path]:
    """The recording of each language and prompt that has one.

    Raises `RenderError` with a line for each file that is no prompt's: nobody would ever hear it.
    """
    try:
        files = sorted(file for file in folder.rglob("*") if not file.is_dir() and not _hidden(file, folder))
        # rglob is silent of a folder that is not there
        next(folder.iterdir(), None)
    except OSError as error:
        raise RenderError(f"--recordings {folder}: {error.strerror}") from None
    if not files:
        raise RenderError(f"--recordings {folder}: there is no recording in it; one is named LANGUAGE/NAME.wav")
    if faults := list(_faults(folder, files)):
        raise RenderError("\n".join(faults))
    return {(file.parent.name, Prompt(file.stem)): file for file in files}


def _faults(folder: Path, files: list[Path]) -> Iterator[str]:
    names = [prompt.value for prompt in Prompt]
    for file in files:
        language, _, name = str(file.relative_to(folder)).rpartition("/")
        if not language:
            yield f"{file}: stands in no language's folder; put it into {_one_of(languages())}"
        elif language not in languages():
            yield f"{file}: there is no language {language}, but {_one_of(languages())}"
        elif name.removesuffix(".wav") not in names or not name.endswith(".wav"):
            near = get_close_matches(Path(name).stem.lower(), names, n=1)
            hint = f"; do you mean {near[0]}.wav?" if near else "; docs/prompts.md has their names"
            yield f"{file}: no prompt has this name{hint}"


def _hidden(file: Path, folder: Path) -> bool:
    """What file managers leave behind."""
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _one_of(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
