"""Signing in and out at the desk: throttled, counted before compared, and an audit row before each effect."""

from __future__ import annotations

from ivr.secret import Secret
from ivr.staff import Denied, SignedIn
from ivr.store.sessions import Session


class Door:
    """What the desk's pages ask. `address` is that of the browser, as text. Raises `StoreError`, `VaultError`."""

    async def sign_in(self, tenant: str, login: str, password: Secret, code: Secret, address: str) -> SignedIn | Denied:
        """Who this is, where password and code are right; a code is accepted once. Takes as long for a login that nobody has."""
        raise NotImplementedError

    async def sign_out(self, token: Secret, session: Session) -> None:
        """End this session."""
        raise NotImplementedError

    async def sign_out_everywhere(self, session: Session) -> None:
        """End all sessions of this person."""
        raise NotImplementedError
