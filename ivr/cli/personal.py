"""Whether a text that the audit trail would keep for good names the customer whom it is about."""

from __future__ import annotations

import re
import unicodedata

from ivr.store.register import Customer

# What is shorter stands inside of many a word by chance: it is looked for as a word of its own.
_SHORTEST = 4
_LAST_DIGITS = 7


def names(text: str, customer: Customer) -> bool:
    """Whether it has one of the customer's numbers, or a word of the name, with or without accents."""
    digits = "".join(filter(str.isdecimal, text))
    if any(_ends(digits, number.reveal()) for number in (customer.number, *customer.phones)):
        return True
    bare, parts = _bare(text), _words(customer.name.reveal())
    return not parts.isdisjoint(_words(text)) or any(len(part) >= _SHORTEST and part in bare for part in parts)


def _ends(digits: str, number: str) -> bool:
    """Whether the number's end is in them."""
    return len(number) >= _SHORTEST and number[-_LAST_DIGITS:] in digits


def _words(text: str) -> set[str]:
    """Those of two letters and more."""
    return {word for word in re.split(r"[\W_]+", _bare(text)) if len(word) > 1}


def _bare(text: str) -> str:
    """In small letters, without accents."""
    return "".join(
        letter for letter in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(letter)
    )
