"""Values that must not be shown: secrets, and a person's own data."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from typing import NoReturn, Self


class Secret:
    """A text that cannot be shown, stored, hashed or compared by accident.

    `reveal()` is for adapters, inside the arguments of the call that needs the text.
    A test lists the files that may call it.
    """

    __slots__ = ("__text",)
    __hash__ = None  # type: ignore[assignment]  # a hash would let it be a key, and a key is shown

    def __init__(self, text: str) -> None:
        self.__text = text

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be stored")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        self.__reduce__()

    def __len__(self) -> int:
        return len(self.__text)

    def __bool__(self) -> bool:
        return bool(self.__text)

    def __eq__(self, other: object) -> bool:
        """Whether the texts are the same, in time that does not depend on where they differ."""
        if not isinstance(other, Secret):
            return NotImplemented
        # what was sent may be no text
        mine, theirs = self.__text.encode(errors="surrogatepass"), other.__text.encode(errors="surrogatepass")
        return hmac.compare_digest(mine, theirs)

    @classmethod
    def join(cls, parts: Iterable[Secret]) -> Self:
        """One secret of many, in their order."""
        return cls("".join(part.__text for part in parts))

    @classmethod
    def random_digits(cls, count: int) -> Self:
        """So many decimal digits, each equally likely, from the system's source for secrets."""
        # the leading 1 keeps the zeros
        return cls(str(10**count + secrets.randbelow(10**count))[1:])

    @classmethod
    def random_token(cls) -> Self:
        """256 random bits; nothing that can be keyed is ever equal to it."""
        return cls(secrets.token_hex(32))

    def lines(self) -> tuple[Self, ...]:
        """Each line that is not empty, as a secret of its own."""
        return tuple(type(self)(line.strip()) for line in self.__text.splitlines() if line.strip())

    def within(self, template: str, placeholder: str) -> Self:
        """The template with this text in the placeholder's stead."""
        return type(self)(template.replace(placeholder, self.__text))

    def is_ascii(self) -> bool:
        """Whether it is of printable ASCII alone."""
        return self.__text.isascii() and self.__text.isprintable()

    def is_digit(self) -> bool:
        """Whether it is one decimal digit."""
        return len(self.__text) == 1 and self.__text in "0123456789"

    def reveal(self) -> str:
        """The text itself; never bind it to a name."""
        return self.__text


class Personal(Secret):
    """A person's name or number: not a secret to the person, but not for logs either."""

    __slots__ = ()

    @property
    def masked(self) -> str:
        """Enough to recognise it by, not enough to use it: `+46…67`, `A…`."""
        text = self.reveal()
        # of a number, five digits of at least nine; of anything else its beginning alone
        if len(text) > 8 and text.removeprefix("+").isdecimal():
            return f"{text[:3]}…{text[-2:]}"
        return f"{text[:1]}…"

    @property
    def short(self) -> Personal:
        """A person's name as it fits a phone's display: `Anna A.` of `Anna Maria Andersson`."""
        words = self.reveal().split()
        return Personal(" ".join([*words[:1], *(f"{word[0]}." for word in words[1:][-1:])]))
