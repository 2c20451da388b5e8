"""The client is the peer, or whom a trusted proxy names; nobody else's word counts."""

from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.api.client_ip import client_ip
from apps.accounts.tests.api.conftest import Send

TRUSTED = tuple(ip_network(cidr) for cidr in ("10.0.0.0/8", "127.0.0.1/32", "fd00::/8"))
PROXY = "10.0.0.1"


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # an untrusted peer names nobody
        (PROXY, "", PROXY),
        (PROXY, "198.51.100.1", "198.51.100.1"),
        (PROXY, "1.2.3.4, 198.51.100.1", "198.51.100.1"),  # what the client itself wrote stands further left
        (PROXY, "1.2.3.4,198.51.100.1, 10.9.9.9", "198.51.100.1"),
        (PROXY, "198.51.100.1\t,\t10.9.9.9 ", "198.51.100.1"),
        (PROXY, "10.9.9.8, 10.9.9.9", "10.9.9.8"),  # proxies all the way: the farthest one
        (PROXY, "198.51.100.1, garbage", PROXY),
        (PROXY, "198.51.100.1, garbage, 10.9.9.9", "10.9.9.9"),
        (PROXY, "198.51.100.1,", PROXY),
        (PROXY, ",", PROXY),
        (PROXY, "198.51.100.1:4711", PROXY),
        (PROXY, "[2001:db8::1]", PROXY),
        (PROXY, "[2001:db8::1]:443", PROXY),
        (PROXY, "fe80::1%eth0", PROXY),
        (PROXY, "010.1.2.3", PROXY),
        (PROXY, "198.51.100", PROXY),
        (PROXY, "unknown", PROXY),
        (PROXY, "١٩٨.٥١.١٠٠.١", PROXY),
        (PROXY, "198.51.100.1\x00", PROXY),
        (PROXY, "2001:DB8:0:0::1", "2001:db8::1"),
        (PROXY, "::ffff:198.51.100.1", "198.51.100.1"),
        (PROXY, "198.51.100.1, ::ffff:10.1.1.1", "198.51.100.1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("fd00::1", "2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "198.51.100.1", "fe80::1"),
        ("", "", "127.0.0.1"),  # a unix socket
        ("", "198.51.100.1", "198.51.100.1"),
        ("unix:", "198.51.100.1", "198.51.100.1"),
    ],
)
def test_the_client_is_the_right_most_entry_that_is_no_proxy(peer: str, forwarded: str, client: str) -> None:
    assert client_ip(peer, forwarded, TRUSTED) == client


def test_without_trusted_proxies_no_header_is_read() -> None:
    assert client_ip("10.0.0.1", "198.51.100.1", ()) == "10.0.0.1"
    assert client_ip("", "198.51.100.1", ()) == "127.0.0.1"


@given(left=st.text(max_size=60), hops=st.lists(st.sampled_from(["10.1.1.1", "10.2.2.2"]), max_size=3))
def test_whatever_a_client_writes_itself_it_stays_the_same_client(left: str, hops: list[str]) -> None:
    """The first trusted proxy appends whom it saw; nothing left of that entry has any say."""
    forwarded = ", ".join([left, "198.51.100.7", *hops])
    assert client_ip(PROXY, forwarded, TRUSTED) == "198.51.100.7"


@given(forwarded=st.text(max_size=80))
def test_any_header_at_all_gives_an_address(forwarded: str) -> None:
    ip_address(client_ip(PROXY, forwarded, TRUSTED))


def test_no_other_header_is_read_for_the_client(send: Send) -> None:
    names = ("forwarded", "x_real_ip", "client_ip", "true_client_ip", "cf_connecting_ip", "x_client_ip")
    response = send("GET", "/api/auth/echo/", **dict.fromkeys(names, "198.51.100.1"), x_forwarded_for="198.51.100.1")
    assert response.json()["client_ip"] == "127.0.0.1"


def test_a_forged_header_never_changes_the_bucket_of_a_direct_caller(send: Send) -> None:
    seen = {send("GET", "/api/auth/echo/", x_forwarded_for=f"198.51.100.{n}").json()["client_ip"] for n in range(20)}
    assert seen == {"127.0.0.1"}


@given(bits=st.integers(0, 2**32 - 1))
def test_an_ipv4_client_is_the_same_in_ipv6_clothes(bits: int) -> None:
    plain = str(IPv4Address(bits))
    assert client_ip(f"::ffff:{plain}", "", ()) == plain
