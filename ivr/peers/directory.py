"""Who another organisation is: what its domain publishes now, held against the key that it was known by before."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from structlog.typing import FilteringBoundLogger

from ivr.call.ports.peers import Pin, Pinned
from ivr.errors import PeerError
from ivr.peers import wellknown
from ivr.peers.fetch import Fetcher
from ivr.peers.keys import led_to
from ivr.peers.names import resembles
from ivr.peers.wellknown import Published

# Seconds for which a document is not asked for again; and a fault, so that nobody has us knock at a door all the time.
_KEPT = 3600
_FAULT_KEPT = 30
# Seconds between two looks for a key that we have not seen: anybody can make one up.
_AGAIN = 30
_MOST = 1000
# Domains that were asked for the first time in a minute, where anybody may be named.
_NEW_PER_MINUTE = 30


class Standing(StrEnum):
    """What its key is to us."""

    NEW = "new"
    """Seen for the first time."""
    KNOWN = "known"
    """The one from before, or one that it has led to."""
    CHANGED = "changed"
    """Another, and the one from before has not named it: whoever answers for the domain may be somebody else now."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another organisation. `first_seen`: seconds since the epoch; `like`: a known domain that this one looks like, and is not."""

    published: Published
    standing: Standing
    first_seen: int
    agreed: bool = False
    like: str | None = None


@dataclass(slots=True)
class _Kept:
    at: float
    said: Published | str
    asked: float


class Directory:
    """Use one for a process: it keeps what it has read for an hour."""

    def __init__(
        self, fetcher: Fetcher, pinned: Pinned, log: FilteringBoundLogger, *, clock: Callable[[], float] = time.time
    ) -> None:  # fmt: skip
        self._fetcher = fetcher
        self._pinned = pinned
        self._log = log
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._news: list[float] = []

    async def look(self, domain: str, *, key: str | None = None) -> Peer:
        """Who answers for this domain. `key`: the identifier of one that is asked about, for which the document is read anew where it lacks it.

        Raises `PeerError` where nothing that is signed can be had there; `StoreError`.
        """
        published = await self._published(domain, key)
        now, signed_by = int(self._clock()), published.key["kid"]
        pin = await self._pinned.of(domain)
        if pin is None:
            mine = Pin(domain, signed_by, published.key, now, now)
            pin = await self._pinned.first(mine)
            if pin == mine:
                self._log.info("peer.seen", domain=domain, key=signed_by)
                return Peer(published, Standing.NEW, now, like=await self._like(pin))
        if pin.key != signed_by:
            if led_to(pin.public, published.succession, domain) != signed_by:
                self._log.warning("peer.changed", domain=domain, key=signed_by, before=pin.key)
                return Peer(published, Standing.CHANGED, pin.first_seen)
            pin, before = replace(pin, key=signed_by, public=published.key, since=now), pin.key
            if await self._pinned.follow(pin, before):
                self._log.info("peer.followed", domain=domain, key=signed_by)
        return Peer(published, Standing.KNOWN, pin.first_seen, pin.agreed, await self._like(pin))

    async def _like(self, pin: Pin) -> str | None:
        """One that was there before, which this one looks like; whoever was compared is taken for nobody else."""
        return None if pin.agreed else resembles(pin.domain, await self._pinned.domains(pin.first_seen))

    async def _published(self, domain: str, key: str | None) -> Published:
        now, kept = self._clock(), self._kept.get(domain)
        if kept is None:
            if key is not None:
                # somebody's letter names it; what our own people ask for is not kept back by a flood of these
                self._pace(now)
        elif isinstance(kept.said, str):
            if 0 <= now - kept.at < _FAULT_KEPT:
                raise PeerError(kept.said)
        elif 0 <= now - kept.at < _KEPT and (key is None or _has(kept.said, key) or 0 <= now - kept.asked < _AGAIN):
            return kept.said
        said: Published | str
        try:
            said = wellknown.read(await self._fetcher.document(domain), domain, self._clock())
            if isinstance(said, str):
                said = f"peers: {domain}: {said}"
        except PeerError as error:
            said = str(error)
        if (
            isinstance(said, str)
            and kept is not None
            and isinstance(kept.said, Published)
            and 0 <= now - kept.at < _KEPT
        ):
            # it was good a moment ago: whoever has us look while the other is away takes nothing from it
            kept.asked = now
            return kept.said
        self._kept[domain] = _Kept(now, said, now)
        self._kept.move_to_end(domain)
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        if isinstance(said, str):
            raise PeerError(said)
        return said

    def _pace(self, now: float) -> None:
        self._news = [at for at in self._news if now - at < 60]
        if len(self._news) >= _NEW_PER_MINUTE:
            raise PeerError("peers: too many new domains were asked for in this minute")
        self._news.append(now)


def _has(published: Published, key: str) -> bool:
    return any(one.public["kid"] == key for one in published.keys)
