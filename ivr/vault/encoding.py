"""How several texts become one sequence of bytes that no other texts become."""

from __future__ import annotations


def joined(*parts: str) -> bytes:
    """Each part with its length before it, in bytes: ("ab", "c") and ("a", "bc") differ."""
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
