"""The address that a browser comes from: what it is counted by, and how much of it is shown."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# Who has one address of the first has all of it; a home is given the second whole, and a site the third (RFC 6177).
_NETWORKS = 64, 56, 48


def network(address: str) -> str:
    """What one who asks is counted by: an IPv4 address, or the IPv6 network of a connection."""
    return networks(address)[0]


def networks(address: str) -> tuple[str, ...]:
    """What tries to sign in are counted by: an IPv4 address, or the IPv6 networks from the smallest on; one text for whatever is no address."""
    match _read(address):
        case IPv4Address() as four:
            return (str(four),)
        case IPv6Address() as six:
            return tuple(f"{IPv6Address(int(six) >> (128 - bits) << (128 - bits))}/{bits}" for bits in _NETWORKS)
        case None:
            return ("",)


def is_within(address: str, networks: Collection[IPv4Network | IPv6Network]) -> bool:
    """Whether it is in one of these."""
    read = _read(address)
    return read is not None and any(read in one for one in networks)


def masked(address: str) -> str:
    """Enough for somebody to see that it was not them: `203.0.113.*`, `2001:db8:7:*`."""
    match _read(address):
        case IPv4Address() as four:
            return f"{str(four).rpartition('.')[0]}.*"
        case IPv6Address() as six:
            return ":".join(f"{int(group, 16):x}" for group in six.exploded.split(":")[:3]) + ":*"
        case None:
            return "?"


def _read(address: str) -> IPv4Address | IPv6Address | None:
    try:
        read = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return read.ipv4_mapped or read if isinstance(read, IPv6Address) else read
