"""The door behind the real server, spoken to byte by byte: framing, repeated headers, broken requests, the banner."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

BACKEND = Path(__file__).resolve().parents[4]
ECHO = "/api/auth/echo/"
# The service's settings with the stage in place of its paths.
SETTINGS = """
from salon_api.settings import *
ROOT_URLCONF = "apps.accounts.tests.api.stage"
MIDDLEWARE = ["apps.accounts.api.door.Door"]
"""
BODY = b'{"phone_number": "+966501234567"}'


@dataclass
class Heard:
    """What came back over the wire."""

    status: int
    headers: dict[str, list[str]] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)

    def problem(self, status: int, code: str) -> None:
        assert self.status == status, self.body
        assert self.headers["content-type"] == ["application/problem+json"]
        assert self.json()["code"] == code


Talk = Callable[..., Heard]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server with the stage behind the door, which trusts a proxy on this host."""
    with socket.socket() as held:
        # Bound for as long as the server lives, in the way in which its own socket is: nobody else gets the port.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        number = int(held.getsockname()[1])
        home = tmp_path_factory.mktemp("sockets")
        (home / "door_settings.py").write_text(SETTINGS, encoding="utf-8")
        environment = {
            **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")},
            "PYTHONPATH": f"{BACKEND}{os.pathsep}{home}",
            "DJANGO_SETTINGS_MODULE": "door_settings",
            "OTP_ENV_FILE": os.devnull,
            "DEBUG": "True",
            "TRUSTED_PROXY_CIDRS": "127.0.0.1/32",
            "DATABASE_URL": f"sqlite:///{home / 'db.sqlite3'}",
        }
        command = [sys.executable, "-m", "granian", "--interface", "rsgi", "--http", "1", "--no-ws", "--workers", "1"]
        command += ["--host", "127.0.0.1", "--port", str(number), "--log-level", "error"]
        server = subprocess.Popen(
            [*command, "salon_api.rsgi:app"],
            cwd=BACKEND,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(number, server)
            yield number
        finally:
            server.terminate()
            server.wait(timeout=120)


@pytest.fixture
def talk(port: int) -> Talk:
    """Return `talk(head, body, …)`: send bytes, read the answer."""

    def speak(head: str, body: bytes = b"", *, host: str | None = "localhost", half_close: bool = False) -> Heard:
        lines = head.split("\n") + ([f"Host: {host}"] if host is not None else []) + ["Connection: close"]
        with socket.create_connection(("127.0.0.1", port), timeout=60) as wire:
            wire.sendall("\r\n".join(lines).encode("utf-8") + b"\r\n\r\n" + body)
            if half_close:
                wire.shutdown(socket.SHUT_WR)
            raw = b""
            while part := wire.recv(65536):
                raw += part
        return _read(raw)

    return speak


def _read(raw: bytes) -> Heard:
    head, _, body = raw.partition(b"\r\n\r\n")
    if not head:
        return Heard(status=0)
    first, *rest = head.decode("latin-1").split("\r\n")
    headers: dict[str, list[str]] = {}
    for line in rest:
        name, _, value = line.partition(":")
        headers.setdefault(name.lower(), []).append(value.strip())
    return Heard(status=int(first.split()[1]), headers=headers, body=body)


def _wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server did not start"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the server did not listen in time")


def _post(path: str = ECHO, *, more: str = "", length: int | None = len(BODY), kind: str = "application/json") -> str:
    framing = f"\nContent-Length: {length}" if length is not None else ""
    return f"POST {path} HTTP/1.1\nContent-Type: {kind}{framing}{more}"


def test_a_plain_call_is_answered_without_a_banner(talk: Talk) -> None:
    heard = talk(_post(), BODY)
    assert heard.status == 200
    assert heard.headers.get("server", [""]) == [""]
    assert "granian" not in repr(heard.headers).lower()
    assert heard.json()["body"] == {"phone_number": "+966501234567"}


def test_a_chunked_body_is_read(talk: Talk) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:5], BODY[5:])) + b"0\r\n\r\n"
    heard = talk(_post(length=None, more="\nTransfer-Encoding: chunked"), chunks)
    assert heard.status == 200
    assert heard.json()["body"] == {"phone_number": "+966501234567"}


def test_a_chunked_body_over_16_kib_is_413(talk: Talk) -> None:
    chunks = b"5000\r\n" + b" " * 0x5000 + b"\r\n0\r\n\r\n"
    talk(_post(length=None, more="\nTransfer-Encoding: chunked"), chunks).problem(413, "body_too_large")


def test_a_length_over_16_kib_is_413_before_the_body_comes(talk: Talk) -> None:
    talk(_post(length=50_000_000)).problem(413, "body_too_large")


def test_a_truncated_body_never_reaches_a_view(talk: Talk) -> None:
    heard = talk(_post(length=len(BODY) + 10), BODY, half_close=True)
    assert heard.status in (0, 400)


def test_a_truncated_chunked_body_never_reaches_a_view(talk: Talk) -> None:
    heard = talk(_post(length=None, more="\nTransfer-Encoding: chunked"), b"ff\r\n" + BODY[:-3], half_close=True)
    assert heard.status in (0, 400)


def test_two_framings_at_once_are_never_two_requests(talk: Talk) -> None:
    smuggled = b"0\r\n\r\nGET /api/auth/one/smuggled/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
    heard = talk(_post(length=len(smuggled), more="\nTransfer-Encoding: chunked"), smuggled)
    assert heard.status in (0, 400)
    assert b"smuggled" not in heard.body


@pytest.mark.parametrize("more", ["\nContent-Length: 5", "\nContent-Length: -1", "\nTransfer-Encoding: gzip"])
def test_broken_framing_is_refused(talk: Talk, more: str) -> None:
    assert talk(_post(more=more), BODY).status in (0, 400, 501)


def test_a_client_that_leaves_in_the_middle_harms_nobody(talk: Talk, port: int) -> None:
    for cut in range(0, 120, 7):
        raw = (_post().replace("\n", "\r\n") + "\r\nHost: localhost\r\n\r\n").encode() + BODY
        with socket.create_connection(("127.0.0.1", port), timeout=5) as wire:
            wire.sendall(raw[:cut])
    assert talk(_post(), BODY).status == 200


def test_the_proxys_own_line_decides_among_repeated_headers(talk: Talk) -> None:
    heard = talk(f"GET {ECHO} HTTP/1.1\nX-Forwarded-For: 203.0.113.66\nX-Forwarded-For: 198.51.100.7")
    assert heard.json()["client_ip"] == "198.51.100.7"


def test_a_header_with_an_underscore_is_not_the_one_with_a_hyphen(talk: Talk) -> None:
    heard = talk(f"GET {ECHO} HTTP/1.1\nX-Forwarded-For: 198.51.100.7\nX_Forwarded_For: 203.0.113.66")
    assert heard.json()["client_ip"] == "198.51.100.7"
    heard = talk(f"GET {ECHO} HTTP/1.1\nX_Forwarded_For: 203.0.113.66")
    assert heard.json()["client_ip"] == "127.0.0.1"


def test_odd_bytes_in_headers_are_never_a_5xx(talk: Talk) -> None:
    for name in ("Authorization: Bearer", "X-Device-Token:", "X-Request-ID:", "Idempotency-Key:", "User-Agent:"):
        heard = talk(f"GET /api/auth/mine/ HTTP/1.1\n{name} é\u0661\u2028")
        assert heard.status in (400, 401)


def test_a_header_that_cannot_be_read_is_refused_and_never_dropped(talk: Talk) -> None:
    talk(_post(more="\nX-Device-ID: é"), BODY).problem(400, "invalid_request")
    counting = b'{"act": "fine"}'
    key = f"\nIdempotency-Key: {'é' * 16}"
    talk(_post("/api/auth/counting/", length=len(counting), more=key), counting).problem(400, "invalid_request")
    talk(_post(more="\nContent-Encoding: é"), BODY).problem(415, "unsupported_media_type")
    talk("GET /api/auth/mine/ HTTP/1.1\nAuthorization: Bearer é").problem(401, "not_authenticated")


def test_a_bad_host_is_a_problem(talk: Talk) -> None:
    talk(f"GET {ECHO} HTTP/1.1", host="evil.example.com").problem(400, "invalid_request")
    talk(f"GET {ECHO} HTTP/1.1\nX-Forwarded-Host: localhost", host="evil.example.com").problem(400, "invalid_request")


def test_an_absolute_target_is_no_way_around_the_host(talk: Talk) -> None:
    heard = talk(f"GET http://evil.example.com{ECHO} HTTP/1.1", host="localhost")
    assert b"evil" not in heard.body
    assert heard.status in (200, 400)


def test_head_has_no_body(talk: Talk) -> None:
    heard = talk(f"HEAD {ECHO} HTTP/1.1")
    assert heard.status == 200
    assert heard.body == b""


def test_trace_and_options_are_405_problems(talk: Talk) -> None:
    for method in ("TRACE", "OPTIONS"):
        heard = talk(f"{method} {ECHO} HTTP/1.1\nX-Secret: mirror")
        heard.problem(405, "method_not_allowed")
        assert b"mirror" not in heard.body


def test_a_form_is_415(talk: Talk) -> None:
    form = b"phone_number=%2B966501234567"
    talk(_post(length=len(form), kind="application/x-www-form-urlencoded"), form).problem(415, "unsupported_media_type")


@pytest.mark.parametrize("target", ["/%00", "/api/auth/one/%00/", "/%ff", "/api/auth/one/%0d%0aX:1/", "/a/../../etc"])
def test_an_odd_target_is_404(talk: Talk, target: str) -> None:
    talk(f"GET {target} HTTP/1.1").problem(404, "not_found")
