"""Telephone numbers, as E.164."""

from __future__ import annotations

import phonenumbers

from ivr.secret import Personal


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
