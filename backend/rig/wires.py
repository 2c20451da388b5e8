"""A wire between the service and a store that can be made slow or dead, and that remembers what went through it.

It must not know the protocol that is spoken over it.
"""

import asyncio
import contextlib
import threading
import time
from typing import Self


class Wire:
    """Forwards TCP connections to a port of 127.0.0.1. A context manager.

    `delay` seconds are added to whatever the store says. While `dead`, nothing passes either way, and nobody is told.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.delay = 0.0
        self.dead = False
        self.said: list[tuple[float, bytes]] = []  # when, and what the service said
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire", daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=512), self._loop
        ).result(5)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        async def end() -> None:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            await asyncio.sleep(0.05)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def heard_since(self, moment: float) -> list[bytes]:
        """Return what the service said since `moment` of the monotonic clock."""
        return [data for at, data in list(self.said) if at >= moment]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, onward = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, onward}
        tasks = [
            asyncio.create_task(self._carry(reader, onward, outward=True)),
            asyncio.create_task(self._carry(there, writer, outward=False)),
        ]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for end in (writer, onward):
            end.transport.abort()
            self._writers.discard(end)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, outward: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if outward:
                    self.said.append((time.monotonic(), data))
                elif self.delay:
                    await asyncio.sleep(self.delay)
                while self.dead:
                    await asyncio.sleep(0.02)
                sink.write(data)
                await sink.drain()
