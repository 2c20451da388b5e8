"""A switch on the wire between the service and a gateway: pass, refuse, or lead elsewhere.

It must not know what travels through it.
"""

import asyncio
from dataclasses import dataclass, field


@dataclass
class Switch:
    """Listens on a port of its own; `target` is where connections lead now, None refuses them."""

    target: int | None
    port: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def turn(self, target: int | None) -> None:
        """Lead to `target` from now on; connections that are open end, as the gateway's own restart would end them."""
        self.target = target
        for writer in list(self._open):
            writer.transport.abort()
        if target is None and self._server is not None:
            self._server.close()
            self._server = None
        elif target is not None and self._server is None:
            await self.start()

    async def stop(self) -> None:
        """Stop listening."""
        for writer in list(self._open):
            writer.transport.abort()
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = self.target
        if target is None:
            writer.transport.abort()
            return
        self._open.add(writer)
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.transport.abort()
            self._open.discard(writer)
            return
        self._open.add(up_writer)
        await asyncio.gather(_pump(reader, up_writer), _pump(up_reader, writer))
        self._open.discard(writer)
        self._open.discard(up_writer)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
