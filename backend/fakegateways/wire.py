"""HTTP/1.1 on a socket, and the many ways in which an answer can fail to arrive; knows no vendor.

Written by hand because a framework repairs exactly what has to be broken here: it would not send half an answer,
stop between two bytes, or reset the connection after the request has been read.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, cast

HEAD_LIMIT: Final = 64 * 1024
BODY_LIMIT: Final = 1024 * 1024
_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in; header names are lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    peer: str


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer before it travels."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Manner:
    """How an answer travels: at once unless told otherwise. Times in seconds, `cut_at` in bytes of the whole answer."""

    wait_before: float = 0.0
    wait_after_headers: float = 0.0
    bytes_per_second: float = 0.0
    drip_headers: bool = False
    cut_at: int | None = None
    cut_gently: bool = False


AT_ONCE: Final = Manner()


@dataclass(frozen=True, slots=True)
class Exchange:
    """A reply, its manner, and what must have happened before its first byte leaves."""

    reply: Reply
    manner: Manner = AT_ONCE
    first: Callable[[], Awaitable[None]] | None = None


@dataclass(slots=True)
class Traffic:
    """Counters of the socket layer, and the switch that drops new connections before a request is read."""

    connections: int = 0
    open: int = 0
    requests: int = 0
    refuse_until: float = 0.0
    live: set[Connection] = field(default_factory=set)


Answer = Callable[[Request], Exchange]
AnswerLater = Callable[[Request], Awaitable[Reply]]


class Malformed(Exception):
    """What came in is not HTTP/1.1 as this server reads it."""


class Connection(asyncio.Protocol):
    """One client connection with keep-alive; requests are answered strictly one after the other."""

    __slots__ = ("_answer", "_buffer", "_head", "_later", "_need", "_peer", "_task", "_traffic", "_transport")

    def __init__(self, answer: Answer, *, later: AnswerLater, traffic: Traffic) -> None:
        self._answer = answer
        self._later = later
        self._traffic = traffic
        self._buffer = bytearray()
        self._head: tuple[str, str, str, dict[str, str]] | None = None
        self._need = 0
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if peer else ""
        self._traffic.connections += 1
        self._traffic.open += 1
        self._traffic.live.add(self)
        if asyncio.get_running_loop().time() < self._traffic.refuse_until:
            self.reset()

    def connection_lost(self, exc: Exception | None) -> None:
        self._traffic.open -= 1
        self._traffic.live.discard(self)
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._task is None:
            self._advance()

    def reset(self) -> None:
        """End the connection with a TCP reset, so that the client sees a broken connection and not an end of file."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def close(self) -> None:
        """Drop the connection and whatever was still on its way."""
        if self._task is not None:
            self._task.cancel()
        self._transport.abort()

    def _advance(self) -> None:
        try:
            while self._task is None and not self._transport.is_closing():
                request = self._next_request()
                if request is None:
                    return
                self._traffic.requests += 1
                self._serve(request)
        except Malformed as problem:
            self._transport.write(render(Reply(400, str(problem).encode(), "text/plain"), keep_alive=False))
            self._transport.close()

    def _serve(self, request: Request) -> None:
        if request.path.startswith("/_control/"):
            self._task = asyncio.ensure_future(self._perform_later(request))
            return
        exchange = self._answer(request)
        if exchange.manner is AT_ONCE and exchange.first is None:
            self._write_whole(request, exchange.reply)
        else:
            self._task = asyncio.ensure_future(self._perform(request, exchange))

    def _write_whole(self, request: Request, reply: Reply) -> None:
        keep = request.headers.get("connection", "").lower() != "close"
        self._transport.write(render(reply, keep_alive=keep))
        if not keep:
            self._transport.close()

    async def _perform_later(self, request: Request) -> None:
        self._write_whole(request, await self._later(request))
        self._finish()

    async def _perform(self, request: Request, exchange: Exchange) -> None:
        if exchange.first is not None:
            await exchange.first()
        manner = exchange.manner
        if manner.wait_before:
            await asyncio.sleep(manner.wait_before)
        raw = render(exchange.reply, keep_alive=True)
        if manner.cut_at is not None:
            self._cut(raw, manner)
            return
        head, body = raw[: len(raw) - len(exchange.reply.body)], exchange.reply.body
        if manner.drip_headers:
            head, body = b"", raw
        self._transport.write(head)
        if manner.wait_after_headers:
            await asyncio.sleep(manner.wait_after_headers)
        await self._drip(body, manner.bytes_per_second)
        if request.headers.get("connection", "").lower() == "close":
            self._transport.close()
        self._finish()

    def _cut(self, raw: bytes, manner: Manner) -> None:
        self._transport.write(raw[: manner.cut_at])
        if manner.cut_gently:
            self._transport.close()
        else:
            self.reset()

    async def _drip(self, body: bytes, bytes_per_second: float) -> None:
        if not bytes_per_second:
            self._transport.write(body)
            return
        for position in range(len(body)):
            self._transport.write(body[position : position + 1])
            await asyncio.sleep(1.0 / bytes_per_second)

    def _finish(self) -> None:
        self._task = None
        self._advance()

    def _next_request(self) -> Request | None:
        if self._head is None and not self._read_head():
            return None
        assert self._head is not None
        method, path, query, headers = self._head
        if headers.get("transfer-encoding", "").lower() == "chunked":
            chunked = _take_chunks(self._buffer)
            if chunked is None:
                return None
            body = chunked
        else:
            if len(self._buffer) < self._need:
                return None
            body = bytes(self._buffer[: self._need])
            del self._buffer[: self._need]
        self._head = None
        return Request(method, path, query, headers, body, self._peer)

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_LIMIT:
                raise Malformed("the header is too long")
            return False
        self._head = parse_head(bytes(self._buffer[:end]))
        del self._buffer[: end + 4]
        headers = self._head[3]
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > BODY_LIMIT:
            raise Malformed("the content length is not acceptable")
        self._need = int(length)
        if headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True


def parse_head(head: bytes) -> tuple[str, str, str, dict[str, str]]:
    """Read a request line and its header lines into method, path, raw query and headers. Raises `Malformed`."""
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise Malformed("the request line is not HTTP/1.x")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise Malformed("a header line has no colon")
        headers[name.strip().lower()] = value.strip()
    path, _, query = parts[1].partition("?")
    return parts[0], path, query, headers


def render(reply: Reply, *, keep_alive: bool) -> bytes:
    """Write an answer as the bytes that go on the wire."""
    lines = [f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Unknown')}"]
    if reply.content_type:
        lines.append(f"Content-Type: {reply.content_type}")
    lines.append(f"Content-Length: {len(reply.body)}")
    lines.append(f"Connection: {'keep-alive' if keep_alive else 'close'}")
    lines.extend(f"{name}: {value}" for name, value in reply.headers)
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + reply.body


def _take_chunks(buffer: bytearray) -> bytes | None:
    """Cut one complete chunked body off the front of the buffer, or return None while it is not complete."""
    body, position = bytearray(), 0
    while True:
        line_end = buffer.find(b"\r\n", position)
        if line_end < 0:
            return None
        try:
            size = int(bytes(buffer[position:line_end]).split(b";")[0], 16)
        except ValueError as problem:
            raise Malformed("a chunk size is not hexadecimal") from problem
        start = line_end + 2
        if size > BODY_LIMIT or len(body) + size > BODY_LIMIT:
            raise Malformed("the body is too long")
        if len(buffer) < start + size + 2:
            return None
        body += buffer[start : start + size]
        position = start + size + 2
        if size == 0:
            del buffer[:position]
            return bytes(body)
