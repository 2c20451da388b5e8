"""The smallest gateway that both targets can pay: it accepts Authentica's send-otp and remembers the code.

It runs inside the driver's event loop, so its CPU is never counted as the server's. It must not know who calls it.
"""

import asyncio
import json
from typing import cast

BASE_PATH = "/api/v2"
_ACCEPTED = b'{"success":true,"data":null,"message":"OTP send successfully"}'
_BALANCE = b'{"success":true,"data":{"balance":21934},"message":"Balance retrieved successfully"}'
_UNKNOWN = b'{"success":false,"message":"Not found"}'


class GatewaySink:
    """Codes by phone number, each handed out once."""

    def __init__(self, *, latency: float = 0.0) -> None:
        self.latency = latency
        self.accepted = 0
        self.connections = 0
        self.port = 0
        self._codes: dict[str, str] = {}
        self._waiting: dict[str, asyncio.Future[str]] = {}
        self._server: asyncio.Server | None = None

    @property
    def base_url(self) -> str:
        """Return the address that a gateway client is configured with."""
        return f"http://127.0.0.1:{self.port}{BASE_PATH}"

    async def start(self) -> None:
        """Listen on a free loopback port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _SinkProtocol(self), "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    def accept(self, phone: str, *, code: str) -> None:
        """Remember a code, or give it to the one who already waits for it."""
        self.accepted += 1
        waiting = self._waiting.pop(phone, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(code)
        else:
            self._codes[phone] = code

    async def take(self, phone: str, *, timeout: float = 5.0) -> str:
        """Return the code sent to a number and forget it.

        Raises TimeoutError when none comes in time.
        """
        code = self._codes.pop(phone, None)
        if code is not None:
            return code
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[phone] = waiting
        try:
            return await asyncio.wait_for(waiting, timeout)
        finally:
            self._waiting.pop(phone, None)

    def forget(self) -> None:
        """Drop the codes that nobody will ask for."""
        self._codes.clear()


class _SinkProtocol(asyncio.Protocol):
    def __init__(self, sink: GatewaySink) -> None:
        self._sink = sink
        self._buffer = bytearray()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._sink.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (call := self._next_call()) is not None:
            self._answer(*call)

    def _next_call(self) -> tuple[bytes, bytes] | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(self._buffer[:end])
        lowered = head.lower()
        at = lowered.find(b"\r\ncontent-length:")
        length = int(lowered[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        stop = end + 4 + length
        if len(self._buffer) < stop:
            return None
        body = bytes(self._buffer[end + 4 : stop])
        del self._buffer[:stop]
        return head.split(b"\r\n", 1)[0], body

    def _answer(self, line: bytes, body: bytes) -> None:
        if line.startswith(b"POST ") and b"/send-otp" in line:
            order = json.loads(body)
            self._sink.accept(order["phone"], code=order.get("otp", ""))
            if self._sink.latency:
                asyncio.get_running_loop().call_later(self._sink.latency, self._write, b"200 OK", _ACCEPTED)
            else:
                self._write(b"200 OK", _ACCEPTED)
        elif line.startswith(b"GET ") and b"/balance" in line:
            self._write(b"200 OK", _BALANCE)
        else:
            self._write(b"404 Not Found", _UNKNOWN)

    def _write(self, status: bytes, body: bytes) -> None:
        if self._transport is not None:
            self._transport.write(
                b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (status, len(body), body)
            )
