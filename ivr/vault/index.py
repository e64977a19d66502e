"""Blind indexes: finding a customer by a number that is stored only encrypted.

HMAC-SHA-256 with a key derived from the hash key, another one for each kind of number: without the hash key the few
possible numbers cannot be tried out against a stolen database, and a customer number's index never equals a telephone
number's.
"""

from __future__ import annotations

import hashlib
import hmac

from ivr.secret import Personal, Secret
from ivr.vault.keys import Key


class Index:
    """Indexes of customer numbers and of telephone numbers: 64 hexadecimal digits."""

    def __init__(self, hash_key: Key) -> None:
        self.__customer_number = hash_key.derive("index/customer-number")
        self.__phone = hash_key.derive("index/phone")

    def customer_number(self, number: Secret) -> str:
        """The index of a customer number, as it was keyed."""
        return hmac.new(self.__customer_number, number.reveal().encode(), hashlib.sha256).hexdigest()

    def phone(self, number: Personal) -> str:
        """The index of a telephone number in E.164."""
        return hmac.new(self.__phone, number.reveal().encode(), hashlib.sha256).hexdigest()
