"""Whose address counts: what a forged header would change, and how many people share one. It must not know HTTP."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from apps.accounts.api.client_ip import client_ip
from apps.accounts.config import Config
from apps.ops.doctor import queries
from apps.ops.doctor.findings import Finding, error, note, warning

# Documentation addresses (RFC 5737, RFC 3849): nobody's proxy, so they stand for callers from outside.
OUTSIDE: Final = ("203.0.113.7", "198.51.100.23", "192.0.2.77", "2001:db8:77::1", "8.8.8.8")
FORGED: Final = "198.51.100.99"
# Carrier-grade NAT gives each customer a block of an address' 64,512 ports, commonly 512 to 2,048 (RFC 6888 leaves the
# number to the operator): 32 to 126 customers behind one address.
CUSTOMERS: Final = 64
LEAST_FOR_A_CARRIER: Final = 50
_WIDE: Final = {4: 16, 6: 48}


def look(config: Config) -> Iterator[Finding]:
    """Say whether a header changes who a caller is, and whom the limit per address will refuse."""
    yield from _forged(config)
    yield from _shared(config)


def _forged(config: Config) -> Iterator[Finding]:
    trusted = config.trusted_proxies
    moved = [peer for peer in OUTSIDE if client_ip(peer, FORGED, trusted) != client_ip(peer, "", trusted)]
    everybody = [network for network in trusted if network.prefixlen == 0]
    if moved or everybody:
        yield error(
            "forged_forwarded_for",
            "A forged X-Forwarded-For changes a caller's bucket: TRUSTED_PROXY_CIDRS trusts the internet, so every "
            "limit by address can be dodged and every block by address escaped. List your proxies' own addresses.",
            *(f"a caller from {peer} who claims to be {FORGED} counts as {FORGED}" for peer in moved),
            networks=[str(network) for network in everybody or trusted],
        )
    elif not trusted:
        yield from _no_proxy(config)
    else:
        yield note(
            "forged_forwarded_for",
            "A forged X-Forwarded-For changes nothing for callers from outside TRUSTED_PROXY_CIDRS, and a proxy's own "
            "entry goes before a forged one.",
            f"{OUTSIDE[0]} who claims to be {FORGED} counts as {client_ip(OUTSIDE[0], FORGED, trusted)}",
            _behind_proxy(config),
        )
        wide = [network for network in trusted if network.prefixlen < _WIDE[network.version]]
        if wide:
            yield note(
                "wide_trusted_proxies",
                "Whoever can reach this service from one of these wide networks can choose an address; name the "
                "proxies more closely where others live there too.",
                networks=[str(network) for network in wide],
            )
    yield note(
        "underscored_headers",
        "X_Forwarded_For (with underscores) has the same name as X-Forwarded-For in WSGI. The server that `make serve` "
        "starts drops headers with underscores; another server, or a proxy before it, must do so too.",
    )


def _no_proxy(config: Config) -> Iterator[Finding]:
    if config.public_base_url.startswith("https://"):
        yield warning(
            "no_trusted_proxy",
            "PUBLIC_BASE_URL is https, so a proxy ends TLS before this service, but TRUSTED_PROXY_CIDRS is empty: "
            f"every client counts as that proxy, and all of them share {config.ip_limit} sends.",
        )
    else:
        yield note(
            "forged_forwarded_for",
            "X-Forwarded-For is never read (TRUSTED_PROXY_CIDRS is empty): a caller's address is its connection's.",
        )


def _behind_proxy(config: Config) -> str:
    proxy = _an_address(config.trusted_proxies[0])
    found = client_ip(proxy, f"{FORGED}, {OUTSIDE[0]}", config.trusted_proxies)
    return f"{OUTSIDE[0]} behind the proxy {proxy}, claiming to be {FORGED}, counts as {found}"


def _an_address(network: IPv4Network | IPv6Network) -> str:
    return str(ip_network(network).network_address)


def _shared(config: Config) -> Iterator[Finding]:
    if not config.ip_limit:
        return
    busiest, refused = queries.busiest_address(), queries.refused_by_address()
    figure = max(LEAST_FOR_A_CARRIER, 2 * busiest)
    window = config.risk_window_seconds // 60
    lines = (
        f"a carrier's address serves about {CUSTOMERS} customers at a time; an office, a hotel or a campus as many",
        f"most people verified from one address in an hour of the last 30 days: {busiest}",
        f"sends refused for their address in the last day: {refused}",
        f"max({LEAST_FOR_A_CARRIER}, 2 x {busiest}) = {figure}",
    )
    figures = {"limit": config.ip_limit, "figure": figure, "busiest": busiest, "refused": refused}
    if config.ip_limit < max(LEAST_FOR_A_CARRIER, busiest):
        yield warning(
            "address_limit_refuses_carriers",
            f"PHONE_AUTH_IP_MAX_PER_WINDOW={config.ip_limit} in {window} minutes refuses people of mobile carriers, "
            f"who share one address with many others (CGNAT). Set it to {figure}: the limits per phone and device, "
            "the guard and the budgets hold attacks back.",
            *lines,
            **figures,
        )
    else:
        yield note("address_limit", f"{config.ip_limit} sends per address in {window} minutes.", *lines, **figures)
