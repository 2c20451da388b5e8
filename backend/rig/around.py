"""People, receipts and processes around a running service. It must not know what is proven with them."""

import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from fakegateways.handle import FakeGateways, Received
from rig.service import RunningService

REQUEST: Final = "/api/auth/phone/request/"
_clients = iter(range(1, 1_000_000))


def call(service: RunningService, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    n = next(_clients)
    headers = {"X-Forwarded-For": f"10.{n // 65536 % 256}.{n // 256 % 256}.{n % 256}"}
    data = None if body is None else json.dumps(body).encode()
    if data:
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(service.url + path, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


def ask(service: RunningService, phone: str, **more: str) -> dict[str, Any]:
    status, body = call(service, "POST", REQUEST, {"phone_number": phone, **more})
    assert status == 200, body
    return dict(body["challenge"])


def challenge(service: RunningService, known: dict[str, Any]) -> dict[str, Any]:
    return dict(call(service, "GET", f"/api/auth/phone/challenge/{known['id']}/")[1])


def eventually(look: Callable[[], Any], wanted: Any, *, seconds: float = 90.0) -> None:
    """Wait until `look` finds what is wanted; on a busy machine that can take long, and is no promise of anybody."""
    until = time.monotonic() + seconds
    while (found := look()) != wanted:
        assert time.monotonic() < until, f"{found!r} is not {wanted!r} after {seconds} s"
        time.sleep(0.05)


def gateways(fake: FakeGateways, phone: str) -> list[str]:
    return [one.vendor for one in fake.messages(phone=phone)]


def the(fake: FakeGateways, phone: str, vendor: str) -> Received:
    (found,) = [one for one in fake.messages(phone=phone) if one.vendor == vendor]
    return found


def worker_of(service: RunningService) -> int:
    """Return the process id of this service's background worker."""
    assert service.process is not None
    (found,) = [child for child in children(service.process.pid) if b"otp_worker" in command(child)]
    return found


def web_processes(service: RunningService) -> list[int]:
    """Return the process ids of those that answer requests."""
    assert service.process is not None
    (server,) = [child for child in children(service.process.pid) if b"salon_api.succession" in command(child)]
    return children(server)


def children(parent: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def command(process: int) -> bytes:
    """Return what a process was started with; nothing for one that has ended, as it may since it was listed."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{process}/cmdline").read_bytes()
    return b""
