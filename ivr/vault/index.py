"""Blind indexes: finding a customer by a number that is stored only encrypted.

HMAC-SHA-256 with a key derived from the hash key, another one for each kind of number: without the hash key the few
possible numbers cannot be tried out against a stolen database, and a customer number's index never equals a telephone
number's.
"""

from __future__ import annotations

import hashlib
import hmac

from ivr.secret import Personal, Secret
from ivr.vault.encoding import joined
from ivr.vault.keys import Key


class Index:
    """Indexes of customer numbers, of telephone numbers, and of whoever signs in: 64 hexadecimal digits."""

    def __init__(self, hash_key: Key) -> None:
        self.__customer_number = hash_key.derive("index/customer-number")
        self.__phone = hash_key.derive("index/phone")
        self.__sign_in = hash_key.derive("index/sign-in")

    def customer_number(self, number: Secret) -> str:
        """The index of a customer number, as it was keyed."""
        return hmac.new(self.__customer_number, number.reveal().encode(), hashlib.sha256).hexdigest()

    def phone(self, number: Personal) -> str:
        """The index of a telephone number in E.164."""
        return hmac.new(self.__phone, number.reveal().encode(), hashlib.sha256).hexdigest()

    def sign_in(self, kind: str, *parts: str) -> str:
        """The index of what tries to sign in are counted by: a login, which may be a password in the wrong field, or an address."""
        text = joined(kind, *(part.encode(errors="replace").decode() for part in parts))
        return hmac.new(self.__sign_in, text, hashlib.sha256).hexdigest()
