"""A keep-alive HTTP/1.1 client that costs as little CPU as Python allows, because it shares the machine.

It must not know what the calls mean.
"""

import asyncio
from dataclasses import dataclass
from time import perf_counter
from typing import cast


class ProtocolFault(Exception):
    """The peer closed the connection or sent something that is not an HTTP/1.1 answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; `seconds` runs from the write of the call to the last byte of the answer."""

    status: int
    body: bytes
    seconds: float
    head: bytes = b""


class AnswerReader:
    """Cuts answers out of a byte stream: fixed length or chunked. `head` is that of the latest answer, as it came."""

    def __init__(self) -> None:
        self.head = b""
        self._buffer = bytearray()

    def feed(self, data: bytes) -> tuple[int, bytes] | None:
        """Take more bytes; return (status, body) once an answer is whole, else None.

        Raises ProtocolFault for bytes that are no answer.
        """
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        self.head = bytes(self._buffer[:end])
        head = self.head.lower()
        if not head.startswith(b"http/1.1 "):
            raise ProtocolFault("no HTTP/1.1 status line")
        status = int(head[9:12])
        cut = self._body_at(head, end + 4)
        if cut is None:
            return None
        body, used = cut
        del self._buffer[:used]
        return status, body

    def _body_at(self, head: bytes, start: int) -> tuple[bytes, int] | None:
        at = head.find(b"\r\ncontent-length:")
        if at >= 0:
            stop = head.find(b"\r\n", at + 2)
            length = int(head[at + 17 : stop if stop > 0 else None])
            if len(self._buffer) < start + length:
                return None
            return bytes(self._buffer[start : start + length]), start + length
        if b"\r\ntransfer-encoding: chunked" in head:
            return self._chunks_at(start)
        return b"", start

    def _chunks_at(self, start: int) -> tuple[bytes, int] | None:
        parts: list[bytes] = []
        while True:
            line_end = self._buffer.find(b"\r\n", start)
            if line_end < 0:
                return None
            size = int(bytes(self._buffer[start:line_end]).split(b";")[0], 16)
            stop = line_end + 2 + size + 2
            if len(self._buffer) < stop:
                return None
            if size == 0:
                return b"".join(parts), stop
            parts.append(bytes(self._buffer[line_end + 2 : stop - 2]))
            start = stop


class Connection(asyncio.Protocol):
    """One keep-alive connection that carries one call at a time."""

    def __init__(self) -> None:
        self._reader = AnswerReader()
        self._transport: asyncio.WriteTransport | None = None
        self._answer: asyncio.Future[tuple[int, bytes, float]] | None = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; called by the event loop."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Finish the call in flight once its answer is whole; called by the event loop."""
        arrived = perf_counter()
        waiting = self._answer
        if waiting is None or waiting.done():
            return
        try:
            whole = self._reader.feed(data)
        except (ProtocolFault, ValueError) as fault:
            waiting.set_exception(ProtocolFault(str(fault)))
            return
        if whole is not None:
            waiting.set_result((*whole, arrived))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the call in flight; called by the event loop."""
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ProtocolFault("connection closed"))

    @property
    def is_open(self) -> bool:
        """Tell whether another call can be made."""
        return self._transport is not None

    async def call(self, message: bytes, *, timeout: float) -> Reply:
        """Send one whole request and return its answer.

        Raises ProtocolFault when the connection breaks, TimeoutError after `timeout` seconds.
        """
        if self._transport is None:
            raise ProtocolFault("not connected")
        self._answer = self._loop.create_future()
        begun = perf_counter()
        self._transport.write(message)
        guard = self._loop.call_later(timeout, self._give_up)
        try:
            status, body, arrived = await self._answer
        finally:
            guard.cancel()
        return Reply(status=status, body=body, seconds=arrived - begun, head=self._reader.head)

    def _give_up(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(TimeoutError())

    def close(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None


async def connect(port: int) -> Connection:
    """Open a connection to a server on the loopback."""
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(Connection, "127.0.0.1", port)
    return protocol


def http_message(
    method: str, path: str, *, body: bytes | None = None, headers: tuple[tuple[str, str], ...] = ()
) -> bytes:
    """Write one whole HTTP/1.1 request; a body is always JSON."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: application/json"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")
