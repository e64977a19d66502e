"""Values out of an engine's bytes. The same bytes always give the same values; when they are used up, the plainest come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

# What parsers trip over: other scripts' digits and blanks, signs that turn or end a line, NUL, beyond 16 bits.
_LETTERS = "a1 #*0+,;:=\"'\\/.-_{}[]()<>%&?!@|~^$\t\r\n\0\x1b\x7f\x85\xa0éßİ²٣５\u200b\u202e\u2028\ufeff\ufffd😀"
_NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    7,
    200,
    255,
    256,
    404,
    65_535,
    2**31 - 1,
    2**31,
    -(2**31),
    2**53,
    2**63,
    2**64,
    -(2**64),
    10**30,
)


class Source:
    """One case's bytes."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes are not used yet."""
        return len(self._data) - self._at

    def byte(self) -> int:
        """0 to 255."""
        if self._at >= len(self._data):
            return 0
        self._at += 1
        return self._data[self._at - 1]

    def below(self, limit: int) -> int:
        """0 to limit - 1, at most 65,535."""
        return (self.byte() if limit <= 256 else self.byte() << 8 | self.byte()) % limit

    def once_in(self, times: int) -> bool:
        """Whether what happens once in so many times happens now; not when the bytes are used up."""
        return self.left > 0 and self.below(times) == times - 1

    def pick(self, choices: Sequence[T]) -> T:
        """One of them; the first when the bytes are used up."""
        return choices[self.below(len(choices))]

    def take(self, most: int) -> bytes:
        """At most so many bytes, as they are."""
        taken = self._data[self._at : self._at + self.below(most + 1)]
        self._at += len(taken)
        return taken

    def text(self, most: int = 12) -> str:
        """A text of letters that are trouble."""
        return "".join(_LETTERS[letter % len(_LETTERS)] for letter in self.take(most))

    def digits(self, most: int = 12) -> str:
        """Decimal digits."""
        return "".join(str(letter % 10) for letter in self.take(most))

    def number(self) -> int:
        """A whole number that is trouble."""
        return self.pick(_NUMBERS)

    def value(self, depth: int = 3) -> object:
        """Anything that JSON and TOML have in common, and None."""
        match self.below(10):
            case 0:
                return self.text()
            case 1:
                return self.number()
            case 2:
                return self.once_in(2)
            case 3:
                return None
            case 4:
                return self.pick((0.0, -0.5, 1e308, -1e-308, 12.25))
            case 5 if depth:
                return [self.value(depth - 1) for _ in range(self.below(4))]
            case 6 if depth:
                return {self.text(6): self.value(depth - 1) for _ in range(self.below(4))}
            case 7:
                return self.text(6) * self.below(2000)
            case 8:
                return self.digits()
            case _:
                return ""
