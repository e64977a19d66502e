"""What may stand in the fields of a customer; the same for a command and for each row of a file."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterable, Sequence

from ivr.config import Settings
from ivr.errors import InputError
from ivr.numbers import barred, e164
from ivr.prompts import languages
from ivr.secret import Personal, Secret

_MOST_PHONES = 10
_MOST_NAME = 100
# A letter has two accents at most where names are written, each a character of its own in some files.
_MOST_WRITTEN = 3 * _MOST_NAME
# Control characters, and those that turn the direction of writing, would let a name forge what stands around it.
_BARRED = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class FieldError(InputError):
    """Names the field, what is wrong in it, and what belongs there; never what stood there."""

    def __init__(self, field: str, problem: str, cure: str) -> None:
        super().__init__(f"{field}: {problem}. {cure}")


class Fields:
    """Checks, by the settings. Each takes what was typed and raises `FieldError`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def number(self, text: str) -> Personal:
        """A customer number: digits, for the caller keys it."""
        rules = self._settings.customer_number
        if not _digits(text) or not rules.least <= len(text) <= rules.most:
            raise FieldError(
                "number", f"is not {rules.least} to {rules.most} digits", "See [customer_number] in the settings"
            )
        return Personal(text)

    def name(self, text: str) -> Personal:
        """A name, in one form of Unicode."""
        given = text.strip()
        # before it is put in order: of thousands of accents on one letter that takes seconds
        name = unicodedata.normalize("NFC", given) if len(given) <= _MOST_WRITTEN else given
        if not name:
            raise FieldError("name", "is empty", "Write the name that agents shall see")
        if len(name) > _MOST_NAME:
            raise FieldError("name", f"has more than {_MOST_NAME} characters", "Shorten it")
        if any(unicodedata.category(letter) in _BARRED or letter in _TURNING for letter in name):
            raise FieldError(
                "name", "has a character that cannot be shown", "Write it in letters, digits and punctuation"
            )
        return Personal(name)

    def phones(self, texts: Iterable[str]) -> tuple[Personal, ...]:
        """Telephone numbers as E.164; the first is the one that texts go to."""
        country = self._settings.company.country
        phones: list[Personal] = []
        for position, text in enumerate(texts, 1):
            if position > _MOST_PHONES:
                # before it is looked at: a field can hold thousands
                raise FieldError("phones", f"there are more than {_MOST_PHONES}", "Leave some out")
            phone = e164(text.strip(), country)
            if phone is None:
                problem = f"the {_nth(position)} is no telephone number"
                raise FieldError("phones", problem, f"Write it as +46701234567, or as it is dialled in {country}")
            if phone in phones:
                raise FieldError("phones", f"the {_nth(position)} is there twice", "Leave one of the two out")
            phones.append(phone)
        return tuple(phones)

    def no_text(self, phones: Sequence[Personal]) -> str | None:
        """Why a customer with these telephone numbers gets no texts; None where it does, or has no number."""
        bar = barred(phones[0], self._settings.text_countries) if phones else None
        if bar is None:
            return None
        if bar.why == "country":
            allowed = ", ".join(sorted(self._settings.text_countries))
            return f"it is a number of {bar.country}, and texts go to {allowed} ([texts] countries)"
        return f"it is of a kind that no text goes to ({bar.why})"

    def nobody_verifies(self, tenant: str) -> bool:
        """Whether no policy verifies this tenant's customers: the name may be misspelled, or the policy is still to be written."""
        return tenant not in {policy.tenant for policy in self._settings.policies.values()}

    def language(self, text: str | None) -> str | None:
        """A language that there are prompts in; None: the channel's, or the company's."""
        if not text:
            return None
        if text not in languages():
            raise FieldError(
                "language", "there are no prompts in it", f"Write one of: {', '.join(languages())}; or leave it out"
            )
        return text

    def policy(self, text: str | None) -> str | None:
        """A policy of the settings; None: the one that the dialplan names."""
        if not text:
            return None
        if text not in self._settings.policies:
            names = ", ".join(sorted(self._settings.policies))
            raise FieldError("policy", "is not in the settings", f"Write one of: {names}; or leave it out")
        return text

    def pin(self, pin: Secret, *, number: Personal | None, phones: Iterable[Personal]) -> Secret:
        """A PIN that is not among the first that someone would try who knows the customer's numbers.

        `number` is None where it is none, and said to be so elsewhere.
        """
        rules = self._settings.steps.pin
        if not _digits(pin.reveal()) or not rules.least <= len(pin) <= rules.most:
            raise FieldError("pin", f"is not {rules.least} to {rules.most} digits", "See [steps.pin] in the settings")
        if _straight(pin.reveal()):
            raise FieldError("pin", "is one digit over and over, or digits in a row", "Choose another")
        if number is not None and _inside(pin.reveal(), number.reveal()):
            raise FieldError("pin", "is part of the customer number", "Choose another")
        if any(_inside(pin.reveal(), phone.reveal()) for phone in phones):
            raise FieldError("pin", "is part of a telephone number", "Choose another")
        return pin


def _digits(text: str) -> bool:
    """Of a keypad: not those of other scripts, which isdigit() takes as well."""
    return text.isascii() and text.isdigit()


def _straight(digits: str) -> bool:
    """1111, 1234, 4321, and over the end: 7890, 2109."""
    steps = {(int(after) - int(before)) % 10 for before, after in itertools.pairwise(digits)}
    return steps in ({0}, {1}, {9})


def _inside(digits: str, number: str) -> bool:
    """Whether they stand in the number, as it is written (E.164) or as it is dialled at home, with a 0 before it."""
    if not number.startswith("+"):
        return digits in number
    # a country code has one to three digits
    return digits in number or any(digits in f"0{number[1 + code :]}" for code in (1, 2, 3))


def _nth(position: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(position, f"{position}th")
