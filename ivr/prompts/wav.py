"""WAV files: any that a studio or a voice hands over is read; what Asterisk plays is written.

The standard library's reader knows neither floats nor the header that sound programs give to 24 bits.
"""

from __future__ import annotations

import io
import struct
import sys
import wave
from array import array
from collections.abc import Iterator
from math import isfinite

from ivr.prompts.sound import RATE

# Formats are 1 for PCM and 3 for floats; with this one, a longer header says which.
_EXTENSIBLE = 0xFFFE
_SUBFORMAT = 24

Channels = list[list[float]]
"""Samples of each channel, in the units of 16-bit ones."""


def read(data: bytes) -> tuple[Channels, int]:
    """The channels, and the samples a second; raises `ValueError`, which says what is wrong with the file."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError("is no WAV file")
    chunks = dict(_chunks(data))
    try:
        header, body = chunks[b"fmt "], chunks[b"data"]
        tag, channels, rate, _, width, bits = struct.unpack_from("<HHIIHH", header)
        if tag == _EXTENSIBLE:
            (tag,) = struct.unpack_from("<H", header, _SUBFORMAT)
    except (KeyError, struct.error):
        raise ValueError("is a WAV file that was cut short") from None
    if not channels or not rate or width * 8 != channels * bits:
        raise ValueError("is a WAV file with a header that makes no sense")
    samples = _samples(body[: len(body) // width * width], tag, bits)
    return [samples[channel::channels] for channel in range(channels)], rate


def written(samples: array[int]) -> bytes:
    """The file for Asterisk: 8 kHz, 16 bit, mono."""
    file = io.BytesIO()
    with wave.open(file, "wb") as opened:
        opened.setnchannels(1)
        opened.setsampwidth(2)
        opened.setframerate(RATE)
        opened.writeframes(_little("h", samples.tobytes()).tobytes())
    return file.getvalue()


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, at)
        # A program that writes before it knows the length gives one that is far too long.
        yield name, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _samples(body: bytes, tag: int, bits: int) -> list[float]:
    match tag, bits:
        case (1, 16):
            return [float(sample) for sample in _little("h", body)]
        case (1, 24):
            wide = bytearray(len(body) // 3 * 4)
            for byte in range(3):
                wide[byte + 1 :: 4] = body[byte::3]
            return [sample / 65_536 for sample in _little("i", bytes(wide))]
        case (1, 32):
            return [sample / 65_536 for sample in _little("i", body)]
        case (3, 32 | 64):
            samples = [sample * 32_768 for sample in _little("f" if bits == 32 else "d", body)]
            if not all(map(isfinite, samples)):
                raise ValueError("has samples that are no numbers")
            return samples
        case _:
            kind = {1: f"{bits} bit", 3: f"{bits} bit float"}.get(tag, f"format {tag}")
            raise ValueError(f"is a WAV file of {kind}; save it as PCM of 16 or 24 bit")


def _little(kind: str, body: bytes) -> array[int] | array[float]:
    """An array of what a file has: the lowest byte first."""
    values: array[int] | array[float] = array(kind, body)
    if sys.byteorder == "big":
        values.byteswap()
    return values
