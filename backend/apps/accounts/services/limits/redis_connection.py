"""Bound how long one use of a Redis connection may take, from connecting to the last answer.

This room must not know which commands are sent, nor what happens after one has failed.
"""

import time
from typing import Any

from redis.backoff import NoBackoff
from redis.connection import (
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.retry import Retry

CONNECT_TIMEOUT_SECONDS = 0.1
READ_TIMEOUT_SECONDS = 0.2
BUDGET_SECONDS = 0.2
POOL_SIZE = 512
_LAST_LOOK_SECONDS = 0.002


def redis_connection_options() -> dict[str, Any]:
    """Give the OPTIONS of a django-redis cache with which no single use of Redis waits longer than 200 ms.

    Connect and read timeouts alone add up (connect, SELECT, command: three waits); `PromptPool` puts one budget over
    all of them. No retry, no health check and no client-info commands: each would be another wait. RESP 2, because
    RESP 3 begins with HELLO and a maintenance handshake. The pool is a plain `ConnectionPool` (a thread never queues
    for a connection, as it would in `BlockingConnectionPool`), large enough for several hundred threads per process.
    """
    return {
        "CONNECTION_POOL_CLASS": f"{__name__}.PromptPool",
        "SOCKET_CONNECT_TIMEOUT": CONNECT_TIMEOUT_SECONDS,
        "SOCKET_TIMEOUT": READ_TIMEOUT_SECONDS,
        "CONNECTION_POOL_KWARGS": prompt_connection_kwargs(),
    }


def prompt_connection_kwargs() -> dict[str, Any]:
    """Give the keyword arguments of a pool or connection that tries once and says nothing it need not say."""
    return {
        "max_connections": POOL_SIZE,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
        "health_check_interval": 0,
        "protocol": 2,
        "driver_info": None,
    }


def prompt_pool(url: str) -> "PromptPool":
    """Open a pool with the same bounds as the cache's, for a process without Django; `url` as redis-py reads it."""
    return PromptPool.from_url(
        url,
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        socket_timeout=READ_TIMEOUT_SECONDS,
        **prompt_connection_kwargs(),
    )


class _Prompt:
    """Give one budget to all waits between taking a connection from the pool and the last answer read."""

    _ends_at: float | None = None

    def connect(self) -> None:
        # The pool calls this each time it hands the connection out, whether it is open or not.
        self._ends_at = time.monotonic() + BUDGET_SECONDS
        super().connect()  # type: ignore[misc]

    @property
    def socket_connect_timeout(self) -> float:
        return self._shorten(self._socket_connect_timeout)

    @socket_connect_timeout.setter
    def socket_connect_timeout(self, value: float | None) -> None:
        self._socket_connect_timeout = value

    @property
    def socket_timeout(self) -> float:
        return self._shorten(self._socket_timeout)

    @socket_timeout.setter
    def socket_timeout(self, value: float | None) -> None:
        self._socket_timeout = value

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        self._apply()
        super().send_packed_command(command, check_health)  # type: ignore[misc]

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        self._apply()
        return super().read_response(*args, **kwargs)  # type: ignore[misc]

    def _apply(self) -> None:
        sock = getattr(self, "_sock", None)
        if sock is not None:
            sock.settimeout(self.socket_timeout)

    def _shorten(self, configured: float | None) -> float:
        if self._ends_at is None:
            return BUDGET_SECONDS if configured is None else configured
        # Never 0: a busy process may come back late to an answer that has long arrived, and that is no failure.
        left = max(_LAST_LOOK_SECONDS, self._ends_at - time.monotonic())
        return left if configured is None else min(configured, left)


class PromptConnection(_Prompt, Connection):  # type: ignore[misc]
    """A TCP connection under one budget."""


class PromptSSLConnection(_Prompt, SSLConnection):  # type: ignore[misc]
    """A TLS connection under one budget, its handshake included."""


class PromptUnixConnection(_Prompt, UnixDomainSocketConnection):  # type: ignore[misc]
    """A connection through a Unix socket under one budget."""


_PROMPT_CLASSES = {
    Connection: PromptConnection,
    SSLConnection: PromptSSLConnection,
    UnixDomainSocketConnection: PromptUnixConnection,
}


class PromptPool(ConnectionPool):
    """A pool that grows up to `POOL_SIZE` without queueing, and whose connections are under one budget each."""

    def __init__(self, connection_class: type = Connection, **kwargs: Any) -> None:
        """Take what `ConnectionPool` takes; the class that the URL's scheme chose is replaced by its prompt twin."""
        super().__init__(
            connection_class=_PROMPT_CLASSES.get(connection_class, connection_class),
            **kwargs,
        )
