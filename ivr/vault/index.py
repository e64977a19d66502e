"""Blind indexes: finding a customer by a number that is stored only encrypted; and what calls are called outside.

HMAC-SHA-256 with a key derived from the hash key, another one for each kind of number: without the hash key the few
possible numbers cannot be tried out against a stolen database, and a customer number's index never equals a telephone
number's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from ivr.secret import Personal, Secret
from ivr.vault.encoding import joined
from ivr.vault.keys import Key


class Index:
    """Indexes of customer numbers, of telephone numbers, and of whoever signs in: 64 hexadecimal digits. And names of calls."""

    def __init__(self, hash_key: Key) -> None:
        self.__customer_number = hash_key.derive("index/customer-number")
        self.__phone = hash_key.derive("index/phone")
        self.__sign_in = hash_key.derive("index/sign-in")
        self.__call = hash_key.derive("index/call")
        self.__letter = hash_key.derive("index/letter")
        self.__identity = hash_key.derive("index/identity")

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

    def letter(self, code: Secret) -> str:
        """What a letter waits under until its code is keyed: Redis alone does not tell which code that is."""
        return hmac.new(self.__letter, code.reveal().encode(errors="replace"), hashlib.sha256).hexdigest()

    def identity(self, kind: str, who: Secret) -> str:
        """What it is known by that a person, so called at providers of this kind, is being asked."""
        return hmac.new(self.__identity, joined(kind, who.reveal()), hashlib.sha256).hexdigest()

    def call(self, node: str, channel: str) -> str:
        """What the API and webhooks call this channel of this node: 22 letters of base64url, which nobody makes without the hash key.

        It opens nothing; whose call it is, is asked each time.
        """
        text = joined(*(part.encode(errors="replace").decode() for part in (node, channel)))
        # 128 bits: more than can be tried
        made = hmac.new(self.__call, text, hashlib.sha256).digest()[:16]
        return base64.urlsafe_b64encode(made).rstrip(b"=").decode()
