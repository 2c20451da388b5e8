"""A socket that reads one HTTP request after another and answers each with the bytes it is told: for answers that no
HTTP server would give, and for requests as they really left.

It must not know any vendor.
"""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO, Self
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Seen:
    """One request: header names in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass
class RawServer:
    """`answer` gives the bytes for a request; None leaves it without any. A context manager."""

    answer: Callable[[Seen], bytes | None]
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    closed: int = 0

    def __enter__(self) -> Self:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        # Closing alone would leave the blocked accept its socket.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self._open:
            connection.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def wait_until_closed(self, count: int) -> None:
        """Return when so many connections have been closed from this side. Raises `TimeoutError`."""
        until = time.monotonic() + 60
        while self.closed < count:
            if time.monotonic() > until:
                raise TimeoutError(f"{self.closed} of {count} were closed")
            time.sleep(0.005)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as reader:
                while True:
                    request = _read(reader)
                    if request is None:
                        return
                    self.seen.append(request)
                    reply = self.answer(request)
                    if reply is not None:
                        connection.sendall(reply)
                    if reply is None or b"Connection: close" in reply[:200]:
                        return
        except OSError:
            return
        finally:
            self.closed += 1


def http(status: int, body: bytes, *headers: str) -> bytes:
    """Return a whole answer that ends the connection."""
    lines = [f"HTTP/1.1 {status} X", "Connection: close", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _read(reader: BinaryIO) -> Seen | None:
    method, _, rest = reader.readline().decode("latin-1").partition(" ")
    target, _, version = rest.rpartition(" ")
    if not version.startswith("HTTP/"):
        return None
    headers: dict[str, str] = {}
    while (line := reader.readline().strip()) != b"":
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    body = reader.read(int(headers.get("content-length", "0"))) or b""
    parts = urlsplit(target)
    return Seen(method, parts.path, parts.query, headers, body)
