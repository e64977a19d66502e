"""Where a gateway may be: public addresses, and the private ones that the settings name."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

from aiohttp.abc import AbstractResolver, ResolveResult

Address: TypeAlias = IPv4Address | IPv6Address

# RFC 6052 2.1: the IPv4 internet as an IPv6-only network sees it.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# RFC 4291 2.4: all of IPv6 that is the internet. What lies outside is local, or has an old meaning.
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
# RFC 6890: for protocols, in all releases of Python.
_PROTOCOLS = ipaddress.ip_network("192.0.0.0/24")


class AddressError(OSError):
    """A name leads to no address that may be connected to."""


class Addresses:
    """Which addresses may be connected to: those of the internet, and those that are named."""

    def __init__(self, named: Iterable[Address] = ()) -> None:
        self._named = frozenset(map(_plain, named))

    def allows(self, address: Address) -> bool:
        """Whether a gateway may be there. An address that wraps another is judged by the one inside."""
        plain = _plain(address)
        return plain in self._named or _public(plain)

    def names(self, address: Address) -> bool:
        """Whether the settings name it, and it is one of a network of one's own."""
        plain = _plain(address)
        return plain in self._named and not _public(plain)


class Resolver(AbstractResolver):
    """Leads to addresses that may be connected to, and to no others.

    What it answers is what is connected to: a name that is asked for again, and leads elsewhere by then, gains nothing.
    """

    def __init__(self, inner: AbstractResolver, addresses: Addresses) -> None:
        self._inner = inner
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The good ones among the name's addresses; raises `AddressError` where there are none."""
        found = await self._inner.resolve(host, port, family)
        good = [one for one in found if self._addresses.allows(ipaddress.ip_address(one["host"]))]
        if not good:
            raise AddressError("no address that may be connected to")
        return good

    async def close(self) -> None:
        """End what is open inside."""
        await self._inner.close()


def _plain(address: Address) -> Address:
    """The IPv4 address inside of one of IPv6 that wraps it, by whichever way."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _public(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        return address in _GLOBAL_UNICAST and address.is_global
    # is_global: neither private, loopback, link-local, nor shared by a carrier (100.64.0.0/10)
    return address.is_global and not address.is_multicast and address not in _PROTOCOLS
