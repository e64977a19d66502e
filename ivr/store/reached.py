"""Whom calls that somebody has begun at the desk have reached, for the worker that verifies them."""

from __future__ import annotations

from ivr.call.ports import Subject
from ivr.store.customers import Customers
from ivr.store.dials import RedisDials


class StoredReached:
    """Implements `call.ports.Reached`. Raises `StoreError` or `VaultError`."""

    def __init__(self, dials: RedisDials, customers: Customers) -> None:
        self._dials = dials
        self._customers = customers

    async def by_call(self, node: str, channel: str, tenant: str) -> Subject | None:
        """As of the port."""
        called = await self._dials.of(node, channel)
        if called is None or called.tenant != tenant:
            return None
        return await self._customers.by_ref(called.ref, tenant)
