"""Every fault of the answer's way: late, slow, cut, never."""

from __future__ import annotations

import json
import socket
import time

import pytest
import requests

from fakegateways.catalogue import Fault
from fakegateways.handle import FakeGateways, Received
from fakegateways.tests.clients import PHONE, send, template

VENDORS = ("authentica", "twilio", "meta")
COVERED = {Fault.HANG, Fault.HANG_BODY, Fault.DRIP, Fault.RESET, Fault.CUT, Fault.SLOW}


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("accepted", [True, False])
@pytest.mark.parametrize("fault", [Fault.HANG, Fault.RESET, Fault.HANG_BODY])
def test_an_answer_that_does_not_come_tells_nothing_of_the_message(
    fake: FakeGateways, vendor: str, accepted: bool, fault: Fault
) -> None:
    fake.script(vendor, fault, accepted=accepted)
    with pytest.raises(requests.ConnectionError if fault is Fault.RESET else requests.exceptions.RequestException):
        send(fake, vendor, timeout=60 if fault is Fault.RESET else 0.3)
    (got,) = _messages_of_a_busy_machine(fake)
    assert (got.outcome, got.accepted, got.delivered) == (f"fault:{fault}", accepted, accepted)


def test_a_hanging_answer_comes_in_the_end(fake: FakeGateways) -> None:
    fake.script("twilio", "hang", seconds=0.3)
    begun = time.monotonic()
    assert send(fake, "twilio").status_code == 201
    assert time.monotonic() - begun >= 0.3


def test_headers_come_at_once_when_only_the_body_hangs(fake: FakeGateways) -> None:
    fake.script("meta", "hang_body", seconds=0.4)
    asked = time.monotonic()
    sock = _raw_send(fake)
    head = sock.recv(65536)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert head.endswith(b"\r\n\r\n"), "the body hangs"
    assert b"wamid" in sock.recv(65536)
    assert time.monotonic() - asked >= 0.4
    sock.close()


@pytest.mark.parametrize("headers", [False, True])
def test_a_dripping_answer_never_trips_a_timeout_between_two_reads(fake: FakeGateways, headers: bool) -> None:
    fake.script("meta", "drip", bytes_per_second=20, headers=headers)
    sock = _raw_send(fake)
    chunks = [sock.recv(65536) for _ in range(12)]
    sock.close()
    dripped = chunks if headers else chunks[1:]
    assert sum(len(one) <= 2 for one in dripped) > len(dripped) / 2  # a reader that comes late finds more at once
    assert chunks[0].startswith(b"H")


def test_the_slowest_drip_is_a_byte_a_second_by_default(fake: FakeGateways) -> None:
    fake.script("meta", "drip")
    sock = _raw_send(fake)
    sock.settimeout(60)
    begun = time.monotonic()
    sock.recv(65536)
    received = sock.recv(65536) + sock.recv(65536)
    assert 2 <= len(received) <= 2 + time.monotonic() - begun
    assert time.monotonic() - begun >= 0.9
    sock.close()


def test_a_reset_is_a_reset_and_not_an_end_of_file(fake: FakeGateways) -> None:
    fake.script("meta", "reset", times=1)
    sock = _raw_send(fake)
    with pytest.raises(ConnectionResetError):
        sock.recv(10)
    sock.close()
    fake.script("meta", "reset", gently=True)
    sock = _raw_send(fake)
    assert sock.recv(10) == b""
    sock.close()


@pytest.mark.parametrize("at", [1, 20, 120])
def test_an_answer_is_cut_at_the_ordered_byte(fake: FakeGateways, at: int) -> None:
    fake.script("meta", "cut", at=at)
    sock = _raw_send(fake)
    received = _read_until_reset(sock)
    sock.close()
    assert len(received) == at
    assert fake.messages()[0].delivered


def test_a_gentle_cut_looks_like_an_incomplete_answer(fake: FakeGateways) -> None:
    fake.script("twilio", "cut", at=400, gently=True)
    with pytest.raises(requests.exceptions.RequestException):
        send(fake, "twilio")


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_slow_answer_is_late_and_otherwise_right(fake: FakeGateways, vendor: str) -> None:
    fake.script(vendor, "slow", ms=200, jitter_ms=50)
    begun = time.monotonic()
    assert send(fake, vendor).ok
    assert time.monotonic() - begun >= 0.2
    assert fake.messages()[0].delivered


def test_latency_can_be_added_to_any_fault(fake: FakeGateways) -> None:
    fake.script("twilio", "bad_gateway", latency_ms=200)
    begun = time.monotonic()
    assert send(fake, "twilio").status_code == 502
    assert time.monotonic() - begun >= 0.2


def test_one_hanging_call_holds_up_no_other(fake: FakeGateways) -> None:
    fake.script("meta", "hang", seconds=60, prefix=PHONE)
    waiting = _raw_send(fake)
    _messages_of_a_busy_machine(fake)
    assert send(fake, "meta", phone="+966559999999").ok
    assert send(fake, "twilio").ok
    waiting.close()


def test_connections_can_be_dropped_before_a_request_is_read(fake: FakeGateways) -> None:
    fake.drop_connections(2.0)
    with pytest.raises(requests.ConnectionError):
        send(fake, "twilio")
    assert fake.messages() == []
    time.sleep(2.01)
    assert send(fake, "twilio").ok


def test_a_stopped_gateway_refuses_connections() -> None:
    gone = FakeGateways().start()
    gone.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", gone.port), timeout=1)


def _messages_of_a_busy_machine(fake: FakeGateways) -> list[Received]:
    """Return what was received, once there is something: a sender may have given up before it was read."""
    until = time.monotonic() + 60
    while not (found := fake.messages()) and time.monotonic() < until:
        time.sleep(0.01)
    return found


def _read_until_reset(sock: socket.socket) -> bytes:
    received = b""
    while True:
        try:
            chunk = sock.recv(65536)
        except ConnectionResetError:
            return received
        assert chunk, "the connection ended without a reset"
        received += chunk


def _raw_send(fake: FakeGateways) -> socket.socket:
    """Send one template on a bare socket and return the socket."""
    fields = {"messaging_product": "whatsapp", "to": PHONE[1:], "type": "template", "template": template()}
    body = json.dumps(fields)
    head = (
        "POST /meta/v23.0/100000000000001/messages HTTP/1.1\r\nHost: fake\r\nAuthorization: Bearer fake-meta-token\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    sock = socket.create_connection(("127.0.0.1", fake.port), timeout=5)
    sock.sendall((head + body).encode())
    return sock
