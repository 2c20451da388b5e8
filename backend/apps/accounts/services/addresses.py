"""What a client's address counts as. Pure; it must not know what is counted."""

from ipaddress import IPv6Address, ip_address, ip_network


def ip_networks(ip: str) -> tuple[str, str]:
    """Return what a client counts as: an IPv4 address alone, an IPv6 one as its /64 and its /48."""
    if ":" not in ip:
        return ip, ""
    address = ip_address(ip)
    assert isinstance(address, IPv6Address)
    return str(ip_network((address, 64), strict=False)), str(ip_network((address, 48), strict=False))
