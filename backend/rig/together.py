"""Requests whose last byte leaves at the same moment: how a race is made over HTTP/1.1.

It must not know what the requests mean.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Shot:
    """One request of a race."""

    path: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back; `status` 0 for a connection that broke."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def code(self) -> str:
        """Return the problem's code, or empty."""
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""


def race(url: str, shots: Sequence[Shot], *, seconds: float = 30.0) -> list[Answered]:
    """Send every shot but its last byte, then all last bytes at once; return the answers in the shots' order."""
    return asyncio.run(_race(url, shots, seconds))


async def _race(url: str, shots: Sequence[Shot], seconds: float) -> list[Answered]:
    parts = urlsplit(url)
    ready, go = asyncio.Semaphore(0), asyncio.Event()
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    runners = [asyncio.create_task(_one(host, port, shot, ready, go, seconds)) for shot in shots]
    for _ in runners:
        await ready.acquire()
    await asyncio.sleep(0.2)
    go.set()
    return list(await asyncio.gather(*runners))


async def _one(
    host: str, port: int, shot: Shot, ready: asyncio.Semaphore, go: asyncio.Event, seconds: float
) -> Answered:
    body = b"" if shot.body is None else json.dumps(shot.body).encode()
    headers = {"Host": f"{host}:{port}", "Connection": "close", **shot.headers}
    if body:
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    head = f"{shot.method} {shot.path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
    raw = head.encode() + body
    try:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(raw[:-1])
        await writer.drain()
    except OSError:
        return Answered(0, None, {})
    finally:
        ready.release()
    await go.wait()
    try:
        writer.write(raw[-1:])
        await writer.drain()
        data = await asyncio.wait_for(reader.read(), seconds)
    except (OSError, TimeoutError):
        return Answered(0, None, {})
    finally:
        writer.close()
    if not data:
        return Answered(0, None, {})
    top, _, rest = data.partition(b"\r\n\r\n")
    lines = top.decode("latin-1").split("\r\n")
    found = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    try:
        parsed = json.loads(rest) if rest else None
    except ValueError:
        parsed = rest.decode("utf-8", "replace")
    return Answered(int(lines[0].split()[1]), parsed, found)
