"""Keep the sliding log in Redis, shared by all processes: one script, one round trip, Redis' own clock.

This room must not know what to do when Redis fails; it raises what redis-py raises.

On a Redis Cluster the keys of one call lie in different hash slots, and a script may touch one slot only. The service
is meant for a single primary (with replicas or Sentinel). On a cluster, either give all keys one slot by a hash tag
in `KEY_PREFIX` ("otp:{limit}:"), which puts the limiter on one shard, or run one script per slot and refund the
earlier ones when a later one refuses; the second is not built here.
"""

import hashlib
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import NoScriptError, RedisError

from .model import (
    Admission,
    Limit,
    Reading,
    Store,
    judge,
    new_reservation,
    refuse_doubles,
)

_SCRIPT = (Path(__file__).parent / "sliding_log.lua").read_bytes()
_SHA = hashlib.sha1(_SCRIPT, usedforsecurity=False).hexdigest()

# Large enough that all processes of all hosts may probe twice a second.
PROBE = Limit(scope="probe", subject="", limit=1_000_000, window_ms=1000)


class RedisLimiter:
    """A sorted set per subject; exact over all processes that share the Redis.

    `offset_ms` shifts Redis' clock for tests. `round_trips` counts the exchanges with Redis, and `on_round_trip` is
    called with the verb of each: tests state the cost of a call by them.
    """

    def __init__(
        self,
        client: Redis | Callable[[], Redis],
        *,
        offset_ms: int | Callable[[], int] = 0,
    ) -> None:
        """Take a client, or how to get one at the first call; its pool should be a `PromptPool`."""
        self._client = client
        self._offset_ms = offset_ms
        self.round_trips = 0
        self.on_round_trip: Callable[[str], None] | None = None

    @classmethod
    def from_cache(cls, alias: str = "default") -> "RedisLimiter":
        """Rest on the Redis of a Django cache (django-redis), connecting at the first call."""

        def connection() -> Redis:
            from django_redis import get_redis_connection

            client: Redis = get_redis_connection(alias)
            return client

        return cls(connection)

    def admit(self, limits: Sequence[Limit], *, reservation: str | None = None) -> Admission:
        """Take one place in every limit, or none in any.

        Raises redis.exceptions.RedisError, after which the outcome is unknown: the places may have been taken.
        Raises ValueError for two limits on one key.
        """
        return self._judge("admit", limits, reservation or new_reservation())

    def peek(self, limits: Sequence[Limit]) -> Admission:
        """Judge as `admit` would, and take nothing. Raises redis.exceptions.RedisError."""
        return self._judge("peek", limits, "")

    def refund(self, limits: Sequence[Limit], *, reservation: str) -> None:
        """Give the places of one admission back; a second refund changes nothing. Raises RedisError."""
        if limits:
            self._run("refund", limits, reservation)

    def clear(self, limits: Sequence[Limit]) -> None:
        """Forget every admission of these subjects. Raises redis.exceptions.RedisError."""
        if limits:
            self._run("clear", limits, "")

    def drop_idle(self) -> None:
        """Close the idle connections: after an outage they may be dead without anybody having said so."""
        self.pool.disconnect(inuse_connections=False)

    def open_probe(self) -> "RedisProbe":
        """Make a probe with a connection of its own, so that a full pool never reads as a dead Redis."""
        return RedisProbe(self)

    @property
    def pool(self) -> Any:
        """Give the connection pool of the client."""
        if callable(self._client) and not isinstance(self._client, Redis):
            self._client = self._client()
        return self._client.connection_pool

    def _judge(self, verb: str, limits: Sequence[Limit], reservation: str) -> Admission:
        refuse_doubles(limits)
        answer = self._run(verb, limits, reservation) if limits else [1]
        readings = [Reading(used, frees) for used, frees in zip(answer[1::2], answer[2::2], strict=True)]
        return judge(
            limits,
            readings,
            reservation=reservation,
            taking=verb == "admit",
            store=Store.REDIS,
        )

    def _run(self, verb: str, limits: Sequence[Limit], reservation: str) -> Any:
        pool = self.pool
        connection = pool.get_connection()
        try:
            return self.exchange(connection, verb, limits, reservation)
        finally:
            pool.release(connection)

    def exchange(self, connection: Any, verb: str, limits: Sequence[Limit], reservation: str) -> Any:
        """Run the script on this connection; both tries share the connection's one budget.

        The client's own `evalsha` is passed by: it takes a connection per command, each with a wait of its own, and
        repeats a timed-out command when the client was built with retries.
        """
        offset = self._offset_ms() if callable(self._offset_ms) else self._offset_ms
        numbers = chain.from_iterable((limit.limit, limit.window_ms) for limit in limits)
        arguments = (
            len(limits),
            *(limit.key for limit in limits),
            verb,
            reservation,
            offset,
            *numbers,
        )
        try:
            return self._ask(connection, verb, "EVALSHA", _SHA, *arguments)
        except NoScriptError:
            # EVAL runs and keeps the script in one go, where SCRIPT LOAD would cost a third round trip.
            return self._ask(connection, verb, "EVAL", _SCRIPT, *arguments)

    def _ask(self, connection: Any, verb: str, *command: Any) -> Any:
        # Threads may race here only at a switch between the load and the store; a test counts one thread at a time.
        self.round_trips += 1
        if self.on_round_trip is not None:
            self.on_round_trip(verb)
        connection.send_command(*command)
        return connection.read_response()


class RedisProbe:
    """Ask Redis whether it lives and takes writes, on a connection of its own that is new after each failure."""

    def __init__(self, limiter: RedisLimiter) -> None:
        self._limiter = limiter
        self._connection: Any = None

    def __call__(self, *, cold: bool) -> None:
        """Send one admission that expires within two seconds; `cold` connects anew first.

        It is the limiter's own script, so that whatever stops a call stops the probe too: dead, frozen, read-only,
        out of memory, loading, no access. Raises redis.exceptions.RedisError or OSError.
        """
        if cold or self._is_stale():
            self.close()
        if self._connection is None:
            pool = self._limiter.pool
            self._connection = pool.connection_class(**pool.connection_kwargs)
        try:
            self._connection.connect()
            self._limiter.exchange(self._connection, "admit", [PROBE], new_reservation())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; the next probe opens another."""
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None

    def _is_stale(self) -> bool:
        # Redis closes idle connections and may have restarted since: that alone is no failure.
        if self._connection is None:
            return False
        try:
            return bool(self._connection.can_read())
        except (RedisError, OSError):
            return True
