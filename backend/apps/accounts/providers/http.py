"""One small bounded HTTP try: within its deadline an answer of at most 64 KiB, or one of three leaves.

It must not know vendors. What failed before the request can have left is `Unavailable`, or `HostExhausted` where this
host is out of sockets; what failed after is `OutcomeUnknown`. No redirects, no retries, no proxies, no cookies, and
nothing of the other side's words in an error.

It stands on urllib3, the transport inside requests: a Session's cookie jar, environment and redirects are what must
not happen here, and a call costs half the CPU.
"""

import errno
import json
import logging
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

import certifi
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from apps.accounts.providers.base import (
    HostExhausted,
    Misconfigured,
    OutcomeUnknown,
    OutOfCredit,
    ProviderError,
    Rejected,
    Throttled,
    Unavailable,
)
from apps.accounts.providers.sockets import CALL, Stage, dial, tls_context

BODY_LIMIT: Final = 64 * 1024
USER_AGENT: Final = "salon-api/1.0.0"
# Load balancers drop idle connections silently after a minute or more; a POST into one would end as "unknown".
IDLE_SECONDS: Final = 30.0
_RETRY_AFTER_SECONDS: Final = (1.0, 300.0)
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

# Its warnings quote header lines of the other side, its debug lines whole addresses.
logging.getLogger("urllib3").setLevel(logging.CRITICAL)

# What a status means where the vendor's own code says nothing more. RFC 9110 section 15.
STATUS_LEAVES: Final[Mapping[int, type[ProviderError]]] = {
    401: Misconfigured,
    402: OutOfCredit,
    403: Misconfigured,
    404: Misconfigured,
    405: Misconfigured,
    407: Misconfigured,
    408: OutcomeUnknown,
    410: Misconfigured,
    429: Throttled,
}


def leaf_for_status(status: int) -> type[ProviderError]:
    """Return the leaf of an answer of which only the status is understood.

    A success without the vendor's sign of success and a 5xx leave the outcome open; a redirect means that the
    configured address is not the API's; any other 4xx is this vendor's no to this message.
    """
    if 300 <= status < 400:
        return Misconfigured
    if 400 <= status < 500:
        return STATUS_LEAVES.get(status, Rejected)
    return OutcomeUnknown


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What came back. `retry_after` is in seconds, from 1 to 300; a body over the limit is cut."""

    status: int
    body: bytes
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def text(self) -> str:
        """Return the body as text, with signs of replacement where it is not UTF-8."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the parsed body, or None for whatever cannot be parsed."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def object(self) -> dict[str, Any]:
        """Return the parsed body when it is a JSON object, else an empty one."""
        found = self.json()
        return found if isinstance(found, dict) else {}


class _Connection(HTTPConnection):
    idle_since = 0.0

    def _new_conn(self) -> Any:
        return dial(self._dns_host, self.port)

    @property
    def is_connected(self) -> bool:
        return time.monotonic() - self.idle_since < IDLE_SECONDS and super().is_connected


class _TLSConnection(HTTPSConnection):
    idle_since = 0.0

    def _new_conn(self) -> Any:
        connected = dial(self._dns_host, self.port)
        CALL.stage = Stage.TLS
        connected.settimeout(CALL.seconds_left())
        return connected

    @property
    def is_connected(self) -> bool:
        return time.monotonic() - self.idle_since < IDLE_SECONDS and super().is_connected


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.idle_since = time.monotonic()
        super()._put_conn(conn)


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.idle_since = time.monotonic()
        super()._put_conn(conn)


class Http:
    """Connections to one address, kept and shared by all threads. `base_url` may hold a path before every other."""

    def __init__(self, base_url: str, *, timeout: float, connections: int = 100, ca_bundle: str = "") -> None:
        parts = urlsplit(base_url)
        self.base_url = base_url.rstrip("/")
        self.encrypted = parts.scheme == "https"
        self._prefix = parts.path.rstrip("/")
        self._timeout = timeout
        self._pool: HTTPConnectionPool
        if self.encrypted:
            context = _context(ca_bundle or certifi.where())
            self._pool = _TLSPool(parts.hostname or "", parts.port, maxsize=connections, ssl_context=context)
        else:
            self._pool = _Pool(parts.hostname or "", parts.port, maxsize=connections)

    def exchange(
        self, method: str, path: str, *, headers: Mapping[str, str], deadline: float, body: bytes | None = None
    ) -> Answer:
        """Send one request and read its answer before `deadline` (a `time.monotonic()` instant) or the own timeout.

        Raises:
            Unavailable: nothing of the request has left.
            HostExhausted: nor could it, for want of a socket of ours.
            OutcomeUnknown: some of it may have, and no whole answer came back.
        """
        CALL.begin(min(deadline, time.monotonic() + self._timeout))
        try:
            return self._once(method, self._prefix + path, headers=headers, body=body)
        except Exception as error:
            failure = _leaf(error)
        # Raised out here, so that the cause with its addresses and quoted bytes is not carried along as context.
        raise failure

    def close(self) -> None:
        """Close the kept connections."""
        self._pool.close()

    def _once(self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None) -> Answer:
        response = self._pool.urlopen(
            method,
            path,
            body=body,
            headers={"User-Agent": USER_AGENT, **headers},
            retries=False,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            decode_content=False,
            timeout=CALL.seconds_left(),
        )
        read = response.read(BODY_LIMIT + 1, decode_content=False)
        if len(read) > BODY_LIMIT:
            response.close()  # the rest is never read, so the connection cannot serve again
        response.release_conn()
        return Answer(response.status, read[:BODY_LIMIT], _retry_after(response.headers.get("Retry-After")))


@lru_cache(maxsize=8)
def _context(ca_bundle: str) -> ssl.SSLContext:
    return tls_context(ca_bundle)


def _leaf(error: Exception) -> ProviderError:
    stage = CALL.stage
    late = time.monotonic() >= CALL.deadline - 0.005 or isinstance(error, TimeoutError)
    reason = f"{stage}_timeout" if late else str(stage)
    if stage is Stage.ANSWER:
        return OutcomeUnknown(reason)
    return HostExhausted(reason) if _is_ours(error) else Unavailable(reason)


def _is_ours(error: BaseException | None) -> bool:
    """Say whether this host had no socket left; urllib3 wraps what happened."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _EXHAUSTED:
            return True
        error = error.__cause__ or error.__context__
    return False


def _retry_after(raw: str | None) -> float | None:
    """Read seconds or a date. RFC 9110 section 10.2.3."""
    if raw is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", raw.strip(), re.ASCII):
        seconds = float(raw)
    else:
        try:
            at = parsedate_to_datetime(raw)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        seconds = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    low, high = _RETRY_AFTER_SECONDS
    return min(max(seconds, low), high)
