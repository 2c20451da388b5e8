"""Certificates that are bad are refused by a client that checks; the good one is not."""

from __future__ import annotations

import socket
import ssl

import pytest
import requests

from fakegateways.handle import FakeGateways
from fakegateways.tests.clients import PHONE
from fakegateways.tls import Certificate


def _send(fake: FakeGateways, verify: str | bool) -> requests.Response:
    headers = {"X-Authorization": "fake-authentica-key"}
    body = {"method": "sms", "phone": PHONE, "otp": "012345"}
    return requests.post(f"{fake.authentica_url}/send-otp", json=body, headers=headers, verify=verify, timeout=5)


def test_a_good_certificate_is_trusted_with_its_authority() -> None:
    with FakeGateways(tls=Certificate.GOOD) as fake:
        assert _send(fake, fake.ca_file).json()["success"] is True
        with pytest.raises(requests.exceptions.SSLError):
            _send(fake, True)
        assert len(fake.messages()) == 1


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Certificate.EXPIRED, "expired"),
        (Certificate.NOT_YET_VALID, "not yet valid"),
        (Certificate.WRONG_HOST, "mismatch|doesn't match|not valid for"),
        (Certificate.SELF_SIGNED, "self.signed"),
        (Certificate.UNKNOWN_AUTHORITY, "unable to get local issuer"),
        (Certificate.OLD_PROTOCOL, "(?i)unsupported protocol|alert|version|internal error|EOF"),
    ],
)
def test_a_bad_certificate_is_refused_for_its_own_reason_and_nothing_is_sent(kind: Certificate, reason: str) -> None:
    with FakeGateways(tls=kind) as fake:
        with pytest.raises(requests.exceptions.SSLError, match=reason):
            _send(fake, fake.ca_file)
        assert fake.messages() == []


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1 is deprecated")
def test_the_old_protocol_is_really_spoken_to_a_client_that_allows_it() -> None:
    with FakeGateways(tls=Certificate.OLD_PROTOCOL) as fake:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.load_verify_locations(fake.ca_file)
        with (
            socket.create_connection(("127.0.0.1", fake.port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as wrapped,
        ):
            assert wrapped.version() == "TLSv1"


def test_faults_of_the_way_work_over_tls_too() -> None:
    with FakeGateways(tls=Certificate.GOOD) as fake:
        fake.script("authentica", "reset", times=1)
        with pytest.raises(requests.ConnectionError):
            _send(fake, fake.ca_file)
        assert _send(fake, fake.ca_file).ok
        assert [one.delivered for one in fake.messages()] == [True, True]


def test_a_callback_to_a_certificate_nobody_vouches_for_is_not_made() -> None:
    with FakeGateways(tls=Certificate.SELF_SIGNED) as service, FakeGateways() as fake:
        assert fake.send_receipt("meta", id="wamid.x", url=service.url) == [0]
    with FakeGateways(tls=Certificate.GOOD) as service, FakeGateways() as fake:
        fake.configure(house={"callback_ca_file": service.ca_file})
        assert fake.send_receipt("meta", id="wamid.x", url=f"{service.url}/elsewhere") == [404]
