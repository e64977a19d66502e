"""The prompts that an Asterisk of the rig plays."""

from __future__ import annotations

import os
import wave
from pathlib import Path

from rig.state import STATE

PROMPTS = STATE / "sounds"


def beginnings(prompts: Path) -> Path:
    """A folder with the first half second of each prompt."""
    folder = prompts.with_name(f"{prompts.name}-brisk")
    folder.mkdir(exist_ok=True)
    for file in prompts.glob("*.wav"):
        brisk = folder / file.name
        if brisk.exists() and brisk.stat().st_mtime >= file.stat().st_mtime:
            continue
        temporary = brisk.with_suffix(f".{os.getpid()}")
        with wave.open(str(file)) as whole, wave.open(str(temporary), "wb") as beginning:
            beginning.setparams(whole.getparams())
            beginning.writeframes(whole.readframes(whole.getframerate() // 2))
        temporary.replace(brisk)
    return folder
