"""The words with which somebody says why. The audit trail keeps them for good."""

from __future__ import annotations

import re

from ivr.errors import InputError

_LEAST, _MOST = 5, 200
# Of a year, a ticket or a paragraph there are fewer digits; a customer's, a person's or a telephone's number has more.
_NUMBER = re.compile(r"(?:\d[\s./-]?){6,}")


def reason_of(given: str) -> str:
    """As it is kept. Raises `InputError` where it is none, or holds a number: what it is about stands beside it as a reference.

    Whether it names the customer is not looked at: who asks would learn the name by trying.
    """
    reason = " ".join(given.split())
    if not _LEAST <= len(reason) <= _MOST or not reason.isprintable():
        raise InputError(f"reason: is not {_LEAST} to {_MOST} characters of text. Nothing was done")
    if _NUMBER.search(reason):
        raise InputError("reason: has a number in it, and would stay. Say it in words. Nothing was done")
    return reason
