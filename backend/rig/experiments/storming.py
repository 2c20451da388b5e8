"""A process that posts ready-made calls over open connections, as fast as they are answered or at a pace.

It reads one JSON object and prints one: how many answers of which status. It must not know what the calls mean.
"""

import asyncio
import json
import sys
import time
from collections import Counter


async def _connection(port: int, calls: list[bytes], first: int, until: float, pause: float) -> Counter[str]:
    found: Counter[str] = Counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    turn = first
    while time.monotonic() < until:
        began = time.monotonic()
        writer.write(calls[turn % len(calls)])
        turn += 1
        head = await reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        await reader.readexactly(length)
        found[head[9:12].decode()] += 1
        await asyncio.sleep(max(0.0, began + pause - time.monotonic()))
    writer.close()
    return found


async def storm(port: int, calls: list[bytes], *, seconds: float, connections: int, pause: float) -> dict[str, int]:
    """Post for so long; return the answers by status."""
    until = time.monotonic() + seconds
    runs = [_connection(port, calls, n * 7, until, pause) for n in range(connections)]
    total: Counter[str] = Counter()
    for found in await asyncio.gather(*runs, return_exceptions=True):
        total += found if isinstance(found, Counter) else Counter({type(found).__name__: 1})
    return dict(total)


def main() -> None:
    """Do what standard input says."""
    order = json.load(sys.stdin)
    calls = [call.encode("latin-1") for call in order.pop("calls")]
    print(json.dumps(asyncio.run(storm(order.pop("port"), calls, **order))))


if __name__ == "__main__":
    main()
