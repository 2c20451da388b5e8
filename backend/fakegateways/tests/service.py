"""A stand-in for the service that the vendors post to; it keeps what came in, byte for byte."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl

from twilio.request_validator import RequestValidator


@dataclass(frozen=True, slots=True)
class Arrived:
    """One request that reached the service."""

    at: float
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """Return the body as a form."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass
class Service:
    """Answers `statuses` in turn and then 204, after `delay` seconds; GET answers with `greeting`."""

    statuses: list[int] = field(default_factory=list)
    delay: float = 0.0
    greeting: str = ""
    arrived: list[Arrived] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Return the address of the webhook."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/webhook"

    def wait(self, count: int, *, seconds: float = 60.0) -> list[Arrived]:
        """Return what arrived once there are at least `count`. Raises `TimeoutError`."""
        deadline = time.monotonic() + seconds
        while len(self.arrived) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self.arrived)} of {count} arrived")
            time.sleep(0.005)
        return list(self.arrived)


def _handler(service: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self._take("")

        def do_GET(self) -> None:
            self._take(service.greeting)

        def _take(self, text: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            service.arrived.append(Arrived(time.time(), self.command, self.path, headers, body))
            time.sleep(service.delay)
            status = service.statuses.pop(0) if service.statuses else (200 if text else 204)
            # A vendor that lost its patience is no longer there to be answered.
            with contextlib.suppress(ConnectionError):
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    return Handler


def signed_by_twilio(one: Arrived, url: str) -> bool:
    """Say whether the vendor's own library takes the signature."""
    reader = RequestValidator("fake-twilio-token")
    return bool(reader.validate(url, one.form, one.headers.get("x-twilio-signature", "")))


def meta_statuses(one: Arrived) -> list[dict[str, Any]]:
    """Return the statuses of one webhook."""
    return list(json.loads(one.body)["entry"][0]["changes"][0]["value"]["statuses"])
