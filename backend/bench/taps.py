"""Transparent listeners between a server and its stores that count what really goes over the wire.

They need no extension and no privilege; they must not keep a value, a parameter or a key.
"""

import asyncio
import re
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

# PostgreSQL, "Message Formats": requests that come before the startup packet and have no type byte.
_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104
_VERB = re.compile(rb"^[\s(]*(\w+)")
_TABLE = re.compile(rb"\b(?:from|into|update|table)\s+(?:only\s+)?\"?([A-Za-z_][\w.]*)", re.I)


@dataclass(slots=True)
class Tally:
    """What went by: units of work, waits for an answer, and the shape of each."""

    work: int = 0
    waits: int = 0
    connections: int = 0
    shapes: Counter[str] = field(default_factory=Counter)

    def copy(self) -> "Tally":
        """Return the count as it is now."""
        return Tally(work=self.work, waits=self.waits, connections=self.connections, shapes=Counter(self.shapes))

    def since(self, earlier: "Tally") -> "Tally":
        """Return what went by after an earlier copy."""
        return Tally(
            work=self.work - earlier.work,
            waits=self.waits - earlier.waits,
            connections=self.connections - earlier.connections,
            shapes=self.shapes - earlier.shapes,
        )


class PostgresReader:
    """Counts statements (Query, Execute) and waits (Query, Sync) in one client's stream."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._buffer = bytearray()
        self._started = False
        self._prepared: dict[bytes, str] = {}
        self._bound: dict[bytes, str] = {}

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take the client's bytes; return (what goes on to the server, what goes straight back)."""
        self._buffer += data
        back = b""
        onward = bytearray()
        while True:
            message = self._cut()
            if message is None:
                return bytes(onward), back
            if not self._started and _is_encryption_request(message):
                back += b"N"
                continue
            if not self._started:
                self._started = True
            else:
                self._count(message)
            onward += message

    def _cut(self) -> bytes | None:
        skip = 1 if self._started else 0
        if len(self._buffer) < skip + 4:
            return None
        (length,) = struct.unpack_from("!I", self._buffer, skip)
        if len(self._buffer) < skip + length:
            return None
        message = bytes(self._buffer[: skip + length])
        del self._buffer[: skip + length]
        return message

    def _count(self, message: bytes) -> None:
        kind, body = message[:1], message[5:]
        if kind == b"Q":
            self._add(shape_of(body))
            self._tally.waits += 1
        elif kind == b"P":
            name, query, *_ = body.split(b"\0", 2)
            self._prepared[name] = shape_of(query)
        elif kind == b"B":
            portal, name, *_ = body.split(b"\0", 2)
            self._bound[portal] = self._prepared.get(name, "?")
        elif kind == b"E":
            self._add(self._bound.get(body.split(b"\0", 1)[0], "?"))
        elif kind == b"S":
            self._tally.waits += 1

    def _add(self, shape: str) -> None:
        self._tally.work += 1
        self._tally.shapes[shape] += 1


def _is_encryption_request(message: bytes) -> bool:
    return len(message) == 8 and struct.unpack_from("!I", message, 4)[0] in (_SSL_REQUEST, _GSS_REQUEST)


def shape_of(query: bytes) -> str:
    """Return a statement's verb and first table, never a value: parameters may stand in the text itself."""
    verb, table = _VERB.match(query), _TABLE.search(query)
    words = [found.group(1).decode(errors="replace").lower() for found in (verb, table) if found]
    return " ".join(words) or "(empty)"


class RedisReader:
    """Counts commands in one client's RESP stream; commands that arrive together share one wait."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._buffer = bytearray()

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take the client's bytes; return (what goes on to the server, nothing)."""
        self._buffer += data
        seen = 0
        while (name := self._cut()) is not None:
            seen += 1
            self._tally.work += 1
            self._tally.shapes[name] += 1
        if seen:
            self._tally.waits += 1
        return data, b""

    def _cut(self) -> str | None:
        line = self._line(0)
        if line is None:
            return None
        text, at = line
        name = ""
        for place in range(int(text[1:])):
            head = self._line(at)
            if head is None:
                return None
            size_text, start = head
            stop = start + int(size_text[1:]) + 2
            if len(self._buffer) < stop:
                return None
            if place == 0:
                name = bytes(self._buffer[start : stop - 2]).decode(errors="replace").lower()
            at = stop
        del self._buffer[:at]
        return name

    def _line(self, at: int) -> tuple[bytes, int] | None:
        end = self._buffer.find(b"\r\n", at)
        return None if end < 0 else (bytes(self._buffer[at:end]), end + 2)


Reader = PostgresReader | RedisReader


class Tap:
    """A loopback port in front of a store."""

    def __init__(self, *, host: str, port: int, reader: Callable[[Tally], Reader]) -> None:
        self._host = host
        self._behind = port
        self._reader = reader
        self.tally = Tally()
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and cut the connections."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self.tally.connections += 1
        far, onward = await asyncio.open_connection(self._host, self._behind)
        reader = self._reader(self.tally)
        both = [asyncio.create_task(_copy(far, back)), asyncio.create_task(_watch(near, onward, back, reader))]
        self._tasks.update(both)
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
                self._tasks.discard(task)
            onward.close()
            back.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        sink.write(data)


async def _watch(
    near: asyncio.StreamReader, onward: asyncio.StreamWriter, back: asyncio.StreamWriter, reader: Reader
) -> None:
    while data := await near.read(65536):
        forward, answer = reader.feed(data)
        if answer:
            back.write(answer)
        if forward:
            onward.write(forward)
