"""Telephone numbers, as E.164."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import phonenumbers

from ivr.secret import Personal

# What texts are not sent to, wherever it is: whoever is texted there is paid for it, or has no telephone at all.
_BARRED = {
    phonenumbers.PhoneNumberType.PREMIUM_RATE: "premium rate",
    phonenumbers.PhoneNumberType.SHARED_COST: "shared cost",
    phonenumbers.PhoneNumberType.TOLL_FREE: "toll free",
    phonenumbers.PhoneNumberType.PERSONAL_NUMBER: "personal number",
    phonenumbers.PhoneNumberType.UAN: "company number",
    phonenumbers.PhoneNumberType.PAGER: "pager",
    phonenumbers.PhoneNumberType.VOICEMAIL: "voicemail",
}


def e164(text: str, country: str) -> Personal | None:
    """`+46701234567` of what a person or a trunk wrote; None where it is no possible number.

    `country` (ISO 3166) is how a number without + is read.
    """
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return Personal(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def calling(text: str, country: str) -> Personal | None:
    """The same of what a caller presents; None, as where it is withheld, also where anything in it does not print.

    No telephone writes a line break into its number: whoever does means to deceive what reads lines.
    """
    return e164(text, country) if text.isprintable() else None


@dataclass(frozen=True, slots=True)
class Range:
    """Where a number belongs: its `country` (ISO 3166), and the `prefix`, + and the digits that it begins with."""

    country: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Barred:
    """Why no text goes to a number: its `country` (ISO 3166; 001: satellites and the like, ZZ: not known), or its kind."""

    country: str
    why: str


_NO_NUMBER = Barred(phonenumbers.UNKNOWN_REGION, "no number")


def range_of(number: Personal, countries: Collection[str], digits: int) -> Range | Barred:
    """The range of an E.164 number: its prefix is the country's code and so many digits behind it; or as `barred`."""
    known = _parsed(number)
    if known is None:
        return _NO_NUMBER
    if (bar := _barred(known, countries)) is not None:
        return bar
    begins = phonenumbers.national_significant_number(known)[:digits]
    return Range(_country(known), f"+{known.country_code}{begins}")


def barred(number: Personal, countries: Collection[str]) -> Barred | None:
    """Whether texts may go to this E.164 number; None where they may.

    A number belongs to the country of its range: +1 876 is Jamaica's, whatever else begins with +1. Of a range that is
    not known, where many countries share the code, it is nobody's.
    """
    known = _parsed(number)
    return _NO_NUMBER if known is None else _barred(known, countries)


def landline(number: Personal) -> bool:
    """Whether this E.164 number is of a telephone in a house. False where the country's numbers do not tell."""
    known = _parsed(number)
    return known is not None and phonenumbers.number_type(known) == phonenumbers.PhoneNumberType.FIXED_LINE


def _parsed(number: Personal) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(number.reveal())
    except phonenumbers.NumberParseException:
        return None


def _country(known: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.region_code_for_number(known) or phonenumbers.UNKNOWN_REGION


def _barred(known: phonenumbers.PhoneNumber, countries: Collection[str]) -> Barred | None:
    country = _country(known)
    if country not in countries:
        return Barred(country, "country")
    kind = _BARRED.get(phonenumbers.number_type(known))
    return None if kind is None else Barred(country, kind)
