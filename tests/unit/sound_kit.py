"""Sounds as a studio, a microphone or a voice hands them over."""

from __future__ import annotations

import math
import shlex
import struct
import wave
from array import array
from collections.abc import Sequence
from pathlib import Path


def tone(hertz: float, rate: int, seconds: float = 0.2, level: float = 10_000) -> list[float]:
    return [level * math.sin(2 * math.pi * hertz * at / rate) for at in range(round(seconds * rate))]


def wav(*channels: Sequence[float], rate: int, bits: int = 16, tag: int = 1, extensible: bool = False) -> bytes:
    """A file of these channels; `tag` is the format's: 1 PCM, 3 floats."""
    width = bits // 8
    body = b"".join(_packed(sample, bits, tag) for samples in zip(*channels, strict=True) for sample in samples)
    count = len(channels)
    shown = 0xFFFE if extensible else tag
    header = struct.pack("<HHIIHH", shown, count, rate, rate * count * width, count * width, bits)
    if extensible:
        header += struct.pack("<HHIH", 22, bits, 0, tag) + bytes.fromhex("000000001000800000aa00389b71")
    chunks = b"".join(
        name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
        # whoever recorded it leaves a note in odd places, of odd length
        for name, content in ((b"fmt ", header), (b"note", b"odd"), (b"data", body))
    )
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def samples(file: Path) -> array[int]:
    """Of a file as Asterisk plays it."""
    with wave.open(str(file)) as opened:
        assert (opened.getnchannels(), opened.getsampwidth(), opened.getframerate()) == (1, 2, 8000)
        return array("h", opened.readframes(opened.getnframes()))


def pitch(sound: Sequence[float]) -> float:
    """Of a tone at 8 kHz, in hertz: how often it rises through zero, between its first rise and its last."""
    rises = [at for at in range(1, len(sound)) if sound[at - 1] < 0 <= sound[at]]
    return (len(rises) - 1) * 8000 / (rises[-1] - rises[0])


def _packed(sample: float, bits: int, tag: int) -> bytes:
    if tag == 3:
        return struct.pack("<f" if bits == 32 else "<d", sample / 32_768)
    if bits == 8:
        return bytes([round(sample / 256) + 128])
    most = 2 ** (bits - 1)
    whole = max(-most, min(most - 1, round(sample * 2.0 ** (bits - 16))))
    return whole.to_bytes(bits // 8, "little", signed=True)


def speaker(folder: Path, sound: bytes, *, more: str = "", name: str = "speaker") -> str:
    """A command for `--command` that hands over this sound, whatever it is to say.

    `more` is what the script does before. Its calls are noted in the file `calls`, one a line.
    """
    script = folder / f"a {name}'s.sh"
    kept = folder / f"{name}.wav"
    kept.write_bytes(sound)
    script.write_text(f"""#!/bin/sh
language=$1 file=$2
shift 2
printf '%s|%s|%s\\n' "$language" "$*" "$(cat)" >>'{folder}/calls'
echo 'the model says  hello' >&2
{more}
exec cp '{kept}' "$file"
""")
    script.chmod(0o755)
    return f"{shlex.quote(str(script))} {{language}} {{file}}"
