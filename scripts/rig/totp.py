"""An authenticator app, as people have it: for whoever signs in, or calls, on the real clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pyotp

SECONDS = 30
# Longer than it takes to send a code, and a busy machine to look at it.
_ON_THE_WAY = 10.0


class App:
    """Codes that are not used yet, and still good when they arrive.

    A code counts for its own half minute, the one before and the one behind: that of the half minute before is over as soon as the next begins.
    """

    def __init__(self, key: str, clock: Callable[[], float] = time.time) -> None:
        self._totp = pyotp.TOTP(key)
        self._clock = clock
        self._used = -1

    @classmethod
    def scanned(cls, uri: str) -> App:
        """One that has read this QR code."""
        return cls(str(pyotp.parse_uri(uri).secret))

    def shown(self) -> str:
        """The next code, where there is one at once. Raises `RuntimeError` where all that are good were asked for."""
        code = self._next()
        if code is None:
            raise RuntimeError("the app shows no code that was not used")
        return code

    async def code(self) -> str:
        """The next one. Waits for it where too many were asked for in the same half minute."""
        while (code := self._next()) is None:
            await asyncio.sleep(0.2)
        return code

    def _next(self) -> str | None:
        now, into = divmod(self._clock(), SECONDS)
        step = max(int(now) - (SECONDS - into > _ON_THE_WAY), self._used + 1)
        if step > now + 1:
            return None
        self._used = step
        return str(self._totp.generate_otp(step))
