"""Who is calling: the peer, or the client that a trusted proxy names. No other header is ever read for it.

It must not know limits or requests beyond the two values it is given.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# What a server behind a unix socket says of its peer is nothing: such a peer is on this host.
LOOPBACK: Final = "127.0.0.1"


def client_ip(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """Return the client's address in its one spelling (IPv4-mapped IPv6 as IPv4).

    `peer` is `REMOTE_ADDR`, `forwarded_for` the whole `X-Forwarded-For`. Read from the right, the first entry that is
    no trusted proxy is the client; an entry that is no IP address ends the search, and the last proxy is the client.
    """
    last = _peer(peer)
    if not forwarded_for or not trusted or not _trusts(trusted, last):
        return str(last)
    rest = forwarded_for
    while rest:
        rest, _, entry = rest.rpartition(",")
        address = _address(entry.strip(" \t"))
        if address is None:
            break
        last = address
        if not _trusts(trusted, address):
            break
    return str(last)


@lru_cache(maxsize=4096)
def _peer(text: str) -> Address:
    # A link-local peer comes with the zone it was seen in; the zone is ours, not the client's.
    return _address(text.partition("%")[0]) or ip_address(LOOPBACK)


def _address(text: str) -> Address | None:
    # `ip_address` would take a zone id; ports and brackets it refuses by itself.
    if "%" in text or len(text) > 45:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _trusts(trusted: Sequence[Network], address: Address) -> bool:
    return any(address.version == network.version and address in network for network in trusted)
