"""What a client's address counts as."""

from apps.accounts.services.addresses import ip_networks


def test_an_ipv4_client_counts_by_itself() -> None:
    assert ip_networks("198.51.100.1") == ("198.51.100.1", "")


def test_an_ipv6_client_counts_by_its_64_and_its_48() -> None:
    assert ip_networks("2001:db8:1:2:3:4:5:6") == ("2001:db8:1:2::/64", "2001:db8:1::/48")
    assert ip_networks("2001:db8:1:2:ffff::1") == ip_networks("2001:db8:1:2::9")
    assert ip_networks("2001:db8:1:3::1")[0] != ip_networks("2001:db8:1:2::1")[0]
    assert ip_networks("2001:db8:1:3::1")[1] == ip_networks("2001:db8:1:2::1")[1]
