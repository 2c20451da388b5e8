"""One bounded try: what left, what came back, and when it ends."""

import errno
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from apps.accounts.providers import http, sockets
from apps.accounts.providers.base import HostExhausted, OutcomeUnknown, ProviderError, Unavailable
from apps.accounts.providers.http import Answer, Http
from apps.accounts.tests.providers.raw_server import RawServer, Seen
from apps.accounts.tests.providers.raw_server import http as reply

# A deadline for what nothing else ends; it leaves a busy machine its time to come that far.
BRIEFLY = 1.0
KEPT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def ask(url: str, *, seconds: float = 30.0, client: Http | None = None, body: bytes | None = b"{}") -> Answer:
    one = client or Http(url, timeout=30)
    return one.exchange("POST", "/send", headers={"X-Ours": "1"}, body=body, deadline=time.monotonic() + seconds)


def failure(url: str, *, seconds: float = 30.0, client: Http | None = None) -> ProviderError:
    started = time.monotonic()
    with pytest.raises(ProviderError) as caught:
        ask(url, seconds=seconds, client=client)
    assert time.monotonic() - started < 15
    return caught.value


@contextmanager
def silent_listener() -> Iterator[str]:
    """Take connections and never say a word, not even of TLS."""
    listening = socket.create_server(("127.0.0.1", 0))
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.close()


def test_the_request_is_what_was_asked_for_and_carries_no_cookies_back() -> None:
    with RawServer(lambda request: b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\n{}") as server:
        client = Http(f"{server.url}/base/", timeout=5)
        for _ in range(2):
            ask(server.url, client=client)

        first, second = server.seen
        assert (first.method, first.path, first.body) == ("POST", "/base/send", b"{}")
        assert first.headers["x-ours"] == "1"
        assert first.headers["user-agent"] == "salon-api/1.0.0"
        assert "cookie" not in second.headers
        assert server.connections == 1


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\x00" * 100,
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n{}",
    ],
    ids=lambda raw: repr(raw[:60]),
)
def test_garbage_leaves_the_outcome_open(garbage: bytes) -> None:
    with RawServer(lambda request: garbage) as server:
        assert type(failure(server.url, seconds=BRIEFLY)) is OutcomeUnknown


def test_continue_after_continue_does_not_hold_a_call_beyond_its_deadline() -> None:
    stop = threading.Event()

    def chatter(connection: socket.socket) -> None:
        connection.recv(65536)
        while not stop.is_set():
            try:
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            except OSError:
                return
            time.sleep(0.01)

    listening = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=lambda: chatter(listening.accept()[0]), daemon=True).start()
    try:
        error = failure(f"http://127.0.0.1:{listening.getsockname()[1]}", seconds=BRIEFLY)
    finally:
        stop.set()
        listening.close()

    assert (type(error), error.vendor_code) == (OutcomeUnknown, "answer_timeout")


def test_a_body_is_cut_at_64_kib_and_the_rest_is_never_read() -> None:
    with RawServer(lambda request: reply(200, b"x" * 300_000)) as server:
        answer = ask(server.url)

    assert (answer.status, len(answer.body), answer.json()) == (200, 65_536, None)


def test_a_body_of_exactly_the_limit_is_whole_and_the_connection_serves_again() -> None:
    body = b'"' + b"x" * (http.BODY_LIMIT - 2) + b'"'
    with RawServer(lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body) as server:
        client = Http(server.url, timeout=5)
        assert [len(ask(server.url, client=client).json()) for _ in range(3)] == [len(body) - 2] * 3
        assert server.connections == 1


def test_a_connection_that_the_other_side_has_closed_is_not_used_again() -> None:
    def once(request: Seen) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: Connection: close\r\n\r\n{}"

    with RawServer(once) as server:
        client = Http(server.url, timeout=5)
        for number in range(3):
            assert ask(server.url, client=client).ok
            server.wait_until_closed(number + 1)
        assert server.connections == 3


def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "IDLE_SECONDS", 3600)
    with RawServer(lambda request: KEPT) as server:
        client = Http(server.url, timeout=5)
        ask(server.url, client=client)
        ask(server.url, client=client)
        assert server.connections == 1
        monkeypatch.setattr(http, "IDLE_SECONDS", 0.05)
        time.sleep(0.1)
        ask(server.url, client=client)
        assert server.connections == 2


def test_a_tls_handshake_that_is_never_answered_is_definite_and_ends_in_time() -> None:
    with silent_listener() as address:
        error = failure(f"https://{address}", seconds=BRIEFLY)

    assert (type(error), error.vendor_code) == (Unavailable, "tls_timeout")


def test_plain_text_where_tls_is_expected_is_definite() -> None:
    with RawServer(lambda request: KEPT) as server:
        error = failure(server.url.replace("http://", "https://"))

    assert (type(error), error.vendor_code) == (Unavailable, "tls")


def test_a_connection_that_is_never_accepted_is_definite_and_ends_in_time() -> None:
    # A full queue of pending connections swallows the next one, as a firewall does.
    listening = socket.create_server(("127.0.0.1", 0), backlog=0)
    address = listening.getsockname()
    waiting = [socket.socket() for _ in range(4)]
    try:
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        error = failure(f"http://127.0.0.1:{address[1]}", seconds=BRIEFLY)
    finally:
        for one in (*waiting, listening):
            one.close()

    assert type(error) is Unavailable
    assert error.vendor_code == "connect_timeout"


def test_a_name_server_that_does_not_answer_is_definite_and_costs_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = socket.getaddrinfo, []

    def slow(host: str, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("flags"):
            return real(host, *args, **kwargs)
        asked.append(host)
        time.sleep(5)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    client = Http("http://gateway.invalid", timeout=30)
    found: list[ProviderError] = []
    callers = [
        threading.Thread(target=lambda: found.append(failure("", client=client, seconds=BRIEFLY))) for _ in range(10)
    ]
    for one in callers:
        one.start()
    for one in callers:
        one.join()

    assert {(type(error), error.vendor_code) for error in found} == {(Unavailable, "dns_timeout")}
    assert len(found) == 10
    assert asked == ["gateway.invalid"]


def test_the_next_address_of_a_name_has_its_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(lambda request: KEPT) as server, silent_listener() as gone:
        port = int(server.url.rpartition(":")[2])
        refused = int(gone.rpartition(":")[2])

        def two(host: str, port_: int, *, seconds: float) -> list[Any]:
            kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            return [(*kind, ("127.0.0.2", refused)), (*kind, ("127.0.0.1", port))]

        monkeypatch.setattr(sockets._RESOLVER, "lookup", two)

        assert ask(f"http://gateway.invalid:{port}").ok


def test_nothing_left_means_unavailable_and_something_left_means_unknown() -> None:
    with RawServer(lambda request: None) as server:
        url = server.url
        assert type(failure(url)) is OutcomeUnknown
        assert len(server.seen) == 1
    assert type(failure(url)) is Unavailable


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("30", 30.0),
        (" 30 ", 30.0),
        ("-5", None),
        ("1e3", None),
        ("٣", None),
        ("9" * 30, None),
        ("", None),
        ("0", 1.0),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 300.0),
        ("Fri, 01 Jan 2010 00:00:00 GMT", 1.0),
        ("Fri, 99 Foo", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_within_bounds(said: str, seconds: float | None) -> None:
    with RawServer(lambda request: reply(429, b"", f"Retry-After: {said}")) as server:
        assert ask(server.url).retry_after == seconds


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[" * 60_000,
        b"\xff\xfe\x00",
        '{"a": "é"}'.encode("latin-1"),
        b'{"a": ' + b"9" * 50_000 + b"}",
        b"NaN1",
    ],
    ids=lambda raw: repr(raw[:20]),
)
def test_a_body_that_is_not_json_is_nothing(body: bytes) -> None:
    answer = Answer(200, body)

    assert (answer.json(), answer.object()) == (None, {})
    assert isinstance(answer.text(), str)
    assert body.decode("latin-1")[:10] not in repr(answer) or not body


@pytest.mark.parametrize("lack", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_a_host_out_of_sockets_says_so_of_itself_and_not_of_the_gateway(
    monkeypatch: pytest.MonkeyPatch, lack: int
) -> None:
    def none_left(*_: Any) -> None:
        raise OSError(lack, "none left")

    monkeypatch.setattr(sockets, "TimedSocket", none_left)
    assert type(failure("http://127.0.0.1:9")) is HostExhausted
