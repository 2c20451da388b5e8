"""The HTTP layer: whole requests however they are cut, and nothing else."""

from __future__ import annotations

import socket
import time

import pytest

from fakegateways.handle import FakeGateways
from fakegateways.wire import HEAD_LIMIT

_BALANCE = b"GET /authentica/api/v2/balance HTTP/1.1\r\nHost: x\r\nX-Authorization: fake-authentica-key\r\n\r\n"


def _connect(fake: FakeGateways) -> socket.socket:
    return socket.create_connection(("127.0.0.1", fake.port), timeout=5)


def _read_until(sock: socket.socket, mark: bytes, times: int = 1) -> bytes:
    data = b""
    while data.count(mark) < times:
        chunk = sock.recv(65536)
        assert chunk, data
        data += chunk
    return data


def test_a_request_may_come_byte_by_byte(fake: FakeGateways) -> None:
    with _connect(fake) as sock:
        for position in range(len(_BALANCE)):
            sock.sendall(_BALANCE[position : position + 1])
        assert b'"91.00"' in _read_until(sock, b"retrieved")


def test_requests_in_one_packet_are_answered_in_their_order(fake: FakeGateways) -> None:
    with _connect(fake) as sock:
        fake.script("authentica", "low_balance", balance="1.00", times=1, latency_ms=100)
        sock.sendall(_BALANCE * 3)
        data = _read_until(sock, b"retrieved", 3)
    assert data.index(b'"1.00"') < data.index(b'"91.00"')
    assert data.count(b"HTTP/1.1 200 OK") == 3


def test_a_chunked_body_is_read(fake: FakeGateways) -> None:
    body = b'{"method":"sms","phone":"+966551234567","otp":"012345"}'
    head = b"POST /authentica/api/v2/send-otp HTTP/1.1\r\nX-Authorization: fake-authentica-key\r\n"
    with _connect(fake) as sock:
        sock.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        sock.sendall(b"5\r\n" + body[:5] + b"\r\n")
        time.sleep(0.05)
        sock.sendall(b"%x;note=1\r\n" % len(body[5:]) + body[5:] + b"\r\n0\r\n\r\n" + _BALANCE)
        data = _read_until(sock, b"retrieved")
    assert b'"success":true,"data":null' in data
    assert fake.messages()[0].code == "012345"


def test_a_client_that_asks_first_is_told_to_go_on(fake: FakeGateways) -> None:
    with _connect(fake) as sock:
        sock.sendall(b"POST /authentica/api/v2/send-otp HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 100 ")
        sock.sendall(b"{}")
        assert b"401" in sock.recv(100)


def test_a_connection_closes_when_the_client_says_so(fake: FakeGateways) -> None:
    with _connect(fake) as sock:
        sock.sendall(_BALANCE.replace(b"Host: x", b"Connection: close"))
        data = b""
        while chunk := sock.recv(65536):
            data += chunk
    assert b"Connection: close" in data


@pytest.mark.parametrize(
    "nonsense",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
        b"x" * (HEAD_LIMIT + 1),
    ],
)
def test_nonsense_gets_400_and_an_end(fake: FakeGateways, nonsense: bytes) -> None:
    with _connect(fake) as sock:
        sock.sendall(nonsense)
        assert sock.recv(100).startswith(b"HTTP/1.1 400 ")


def test_a_client_that_leaves_during_a_hang_leaves_nothing_behind(fake: FakeGateways) -> None:
    _wait_for(fake, "connections_open", 0)  # those of earlier tests have left
    fake.script("authentica", "hang", on="any", seconds=600)
    asked = fake.stats()["requests"]
    sock = _connect(fake)
    sock.sendall(_BALANCE)
    _wait_for(fake, "requests", asked + 1)
    assert fake.stats()["connections_open"] == 1
    sock.close()
    _wait_for(fake, "connections_open", 0)


def _wait_for(fake: FakeGateways, name: str, count: int) -> None:
    until = time.monotonic() + 60
    while fake.stats()[name] != count:
        assert time.monotonic() < until, fake.stats()
        time.sleep(0.005)
