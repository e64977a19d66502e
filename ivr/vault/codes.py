"""Keyed hashes of one-time codes: what is stored of a code while it waits for its answer."""

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

    def mac(self, code: Secret, *, bound_to: Sequence[str]) -> str:
        """HMAC-SHA-256 of the code over what it is bound to: 64 hexadecimal digits.

        A million codes are soon tried out, so only the key keeps a stolen MAC from telling its code.
        """
        return hmac.new(self.__key, joined(*bound_to, code.reveal()), hashlib.sha256).hexdigest()
