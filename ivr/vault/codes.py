"""Keyed hashes of one-time codes: what is stored of a code while it waits for its answer. And codes that are stored nowhere."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from ivr.secret import Secret
from ivr.vault.encoding import joined
from ivr.vault.keys import Key


class CodeMacs:
    """Implements `call.ports.Codes`."""

    def __init__(self, hash_key: Key) -> None:
        self.__key = hash_key.derive("code")
        self.__digits = hash_key.derive("digits")

    def mac(self, code: Secret, *, bound_to: Sequence[str]) -> str:
        """HMAC-SHA-256 of the code over what it is bound to: 64 hexadecimal digits.

        A million codes are soon tried out, so only the key keeps a stolen MAC from telling its code.
        """
        return hmac.new(self.__key, joined(*bound_to, code.reveal()), hashlib.sha256).hexdigest()

    def digits(self, count: int, *, bound_to: Sequence[str]) -> Secret:
        """So many decimal digits, the same each time for what they are bound to: whoever has the hash key need not be told them."""
        made = int.from_bytes(hmac.new(self.__digits, joined(*bound_to), hashlib.sha256).digest())
        return Secret(f"{made % 10**count:0{count}}")
