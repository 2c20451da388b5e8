"""The server's entry: hands each request to Django in a thread of a bounded pool, with its headers as they really came.

The server's own WSGI mode writes `X_Forwarded_For` over `X-Forwarded-For`: both have one name there, so whoever
passes a proxy that lets underscores through could choose an address. Here such headers are dropped, as web servers
commonly do. A body is read on the event loop, so a client that drips one holds no thread.
It must not know what is asked or answered.
"""

import asyncio
import io
import json
import secrets
import sys
from collections.abc import Callable
from typing import Any, Final

from django.conf import settings

from salon_api.answering import Pool, Reply
from salon_api.postgresql.patience import patience
from salon_api.wsgi import application

# A send waits inside its request: threads, not cores, bound how many people can ask at once. Beside those that wait for
# a gateway there are half as many again, for sends that wait for such a place, and for calls that never wait: a gateway
# that hangs stops no login whose code is out.
_THREADS_PER_GATEWAY_THREAD: Final = 1.5
_FEWEST_THREADS: Final = 32
# Meta's webhooks may have 3 MiB; whatever is longer is refused by its length, unread.
LONGEST_BODY: Final = 3 * 1024 * 1024 + 1
_COME_BACK_SECONDS: Final = 5
_ONE_PIECE: Final = 64 * 1024
BODY_SECONDS: Final = 12.0
_PROBLEM_HEADERS: Final = (
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
    ("server", ""),
)
_NO_PREFIX: Final = frozenset({"content-type", "content-length"})
# The server leaves out what is not ASCII; dropped, these would change what a call means instead of refusing it.
_NEVER_DROPPED: Final = ("authorization", "content-encoding", "idempotency-key", "x-admin-token", "x-device-id")
_UNREADABLE: Final = "\xff"


def _answer(environ: dict[str, Any]) -> Reply:
    started: list[tuple[int, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        started.append((int(status[:3]), headers))

    patience.begin_call()
    chunks = application(environ, start_response)
    try:
        body = b"".join(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    status, headers = started[-1]
    return status, headers, body


def _crashed(error: Exception) -> Reply:
    """Answer what struck around the views, as when a host out of files gives Django no connection to look at."""
    from apps.accounts.api.problems import report_crash
    from apps.accounts.api.unavailable import is_unavailable

    if not is_unavailable(error):
        report_crash(error)
        return _problem(500, "internal_error", "Internal error", "Something went wrong on our side.")
    detail = "The service is not available at the moment. Please try again shortly."
    status, headers, body = _problem(
        503, "service_unavailable", "Service unavailable", detail, retry_after=_COME_BACK_SECONDS
    )
    return status, [*headers, ("retry-after", str(_COME_BACK_SECONDS))], body


def _threads() -> int:
    return max(_FEWEST_THREADS, int(settings.OTP["OTP_GATEWAY_THREADS"] * _THREADS_PER_GATEWAY_THREAD))


class Entry:
    """What the server calls for each request."""

    def __init__(self, answer: Callable[[dict[str, Any]], Reply] = _answer, *, threads: int = 0) -> None:
        self._answer = answer
        self._threads = threads or _threads()
        self._pool: Pool | None = None

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        patience.bound()
        self._pool = Pool(self._answer, threads=self._threads, loop=loop, crashed=_crashed)

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Read the body within bounds, let a thread answer, send its reply in one piece."""
        assert self._pool is not None
        environ = environ_of(scope)
        body = await self._body(environ, protocol)
        if body is None:
            protocol.response_bytes(
                *_problem(408, "invalid_request", "Request timeout", "The body did not come in time.")
            )
            return
        environ["wsgi.input"] = io.BytesIO(body)
        await self._pool.submit(environ, protocol)

    async def _body(self, environ: dict[str, Any], protocol: Any) -> bytes | None:
        announced = environ.get("CONTENT_LENGTH", "")
        chunked = "HTTP_TRANSFER_ENCODING" in environ
        if not chunked and announced in ("", "0"):
            return b""
        if not announced.isdecimal() and not chunked:
            return b""
        if announced.isdecimal() and int(announced) > LONGEST_BODY:
            return b""  # refused by its length
        received = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                if not chunked and int(announced or 0) <= _ONE_PIECE:
                    return bytes(await protocol())
                async for chunk in protocol:
                    received += chunk
                    if len(received) > LONGEST_BODY:
                        break
        except TimeoutError:
            return None
        except Exception:  # whatever the server raises when the client hung up in the middle: a body that is too short
            received.clear()
        if chunked:
            environ["CONTENT_LENGTH"] = str(len(received))
        return bytes(received)


def _problem(status: int, code: str, title: str, detail: str, **more: int) -> Reply:
    """Return a problem with all its members for what Django never saw."""
    request_id = secrets.token_hex(16)
    members = {"type": f"/errors/{code}", "title": title, "status": status, "detail": detail, "code": code}
    headers = [("content-type", "application/problem+json"), ("x-request-id", request_id), *_PROBLEM_HEADERS]
    return status, headers, json.dumps({**members, "error": detail, "request_id": request_id, **more}).encode()


def environ_of(scope: Any) -> dict[str, Any]:
    """Return the WSGI environment of a request, without the process' own and without headers that have underscores."""
    host, _, port = scope.server.rpartition(":")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode("utf-8", "surrogateescape").decode("latin-1"),
        "QUERY_STRING": scope.query_string.encode("utf-8", "surrogateescape").decode("latin-1"),
        "SERVER_NAME": host.strip("[]"),
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope.headers.items():
        if "_" in name:
            continue
        key = name.upper().replace("-", "_")
        if name not in _NO_PREFIX:
            key = f"HTTP_{key}"
        # Two lines of one header are one list (RFC 9110, 5.3), so that neither hides the other.
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    came = scope.headers.keys()
    for name in _NEVER_DROPPED:
        if name in came:
            environ.setdefault("HTTP_" + name.upper().replace("-", "_"), _UNREADABLE)
    return environ


app = Entry()
