"""Judge by Redis while it is well and by process memory while it is not, without a request waiting for a dead Redis.

This room must not know what the limits protect, nor how either store keeps its stamps.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .health import StoreHealth
from .memory import MemoryLimiter
from .model import Admission, Limit, LimiterUnavailable, StoreState, new_reservation
from .redis_store import RedisLimiter

# More refunds than this in one outage are forgotten: their places come back when the window has passed.
OWED_AT_MOST = 10_000
_FAILURES = (RedisError, OSError)
_T = TypeVar("_T")


class ResilientLimiter:
    """The limiter that the service uses.

    While Redis is gone, each process admits ceil(limit / `processes`) in its own memory; a limit that the database
    judges as well is left to it. With `memory_fallback=False` the calls raise `LimiterUnavailable` instead, but for
    limits that are always judged. Without a Redis at all (`redis=None`) memory is the store, by the same arithmetic.

    A call that timed out may still be carried out by Redis. It is then judged in memory under the same reservation;
    when memory refuses it, or it is refunded later, the refund is owed to Redis and paid when Redis is back, before
    any call is judged there again.
    """

    def __init__(
        self,
        redis: RedisLimiter | None,
        memory: MemoryLimiter,
        *,
        processes: int,
        memory_fallback: bool,
        health: StoreHealth | None = None,
    ) -> None:
        """Take both stores; `processes` counts those of this host that share the limits. Connects to nothing yet."""
        if processes < 1:
            raise ValueError("processes must be at least 1")
        self._redis = redis
        self._memory = memory
        self._processes = processes
        self._memory_fallback = memory_fallback
        self._owed: deque[tuple[tuple[Limit, ...], str]] = deque(maxlen=OWED_AT_MOST)
        self.health: StoreHealth | None = None
        if redis is not None:
            self.health = health or StoreHealth(redis.open_probe())
            self.health.on_recovery = self._settle_debts

    @property
    def state(self) -> StoreState:
        """Say what the limits rest on now, true within a second; waits at most 0.3 s, and only in a new process."""
        if self.health is None:
            return StoreState.NONE
        if self.health.settled():
            return StoreState.REDIS
        return StoreState.MEMORY_FALLBACK if self._memory_fallback else StoreState.UNAVAILABLE

    def admit(self, limits: Sequence[Limit]) -> Admission:
        """Take one place in every limit, or none in any.

        Raises LimiterUnavailable when Redis is gone and memory may not stand in; nothing is taken then.
        """
        reservation = new_reservation()
        tried, verdict = self._ask_redis(lambda redis: redis.admit(limits, reservation=reservation))
        if verdict is not None:
            return verdict
        try:
            self._require_memory(limits)
            verdict = self._memory.admit(self._share(limits), reservation=reservation)
        except LimiterUnavailable:
            if tried:
                self._owe(limits, reservation)
            raise
        if tried and not verdict.admitted:
            self._owe(limits, reservation)
        return verdict

    def peek(self, limits: Sequence[Limit]) -> Admission:
        """Judge as `admit` would, and take nothing. Raises LimiterUnavailable."""
        _, verdict = self._ask_redis(lambda redis: redis.peek(limits))
        if verdict is not None:
            return verdict
        self._require_memory(limits)
        return self._memory.peek(self._share(limits))

    def refund(self, limits: Sequence[Limit], *, reservation: str) -> None:
        """Give the places of one admission back, wherever they were taken; never raises for a missing store."""
        self._memory.refund(limits, reservation=reservation)

        def pay(redis: RedisLimiter) -> bool:
            redis.refund(limits, reservation=reservation)
            return True

        _, paid = self._ask_redis(pay)
        if not paid:
            self._owe(limits, reservation)

    def clear(self, limits: Sequence[Limit]) -> None:
        """Forget every admission of these subjects, in memory and, if it is there, in Redis; never raises for that."""
        self._memory.clear(limits)
        self._ask_redis(lambda redis: redis.clear(limits))

    def close(self) -> None:
        """End the prober of this process; the next call starts another."""
        if self.health is not None:
            self.health.stop()

    def _ask_redis(self, call: Callable[[RedisLimiter], _T]) -> tuple[bool, _T | None]:
        if self._redis is None or self.health is None or not self.health.usable:
            return False, None
        epoch = self.health.epoch
        try:
            return True, call(self._redis)
        except _FAILURES as error:
            self.health.record_failure(error, epoch=epoch)
            return True, None

    def _require_memory(self, limits: Sequence[Limit]) -> None:
        may = self._redis is None or self._memory_fallback
        if not may and not all(limit.always_judged for limit in limits):
            raise LimiterUnavailable

    def _share(self, limits: Sequence[Limit]) -> list[Limit]:
        return [
            replace(limit, limit=-(-limit.limit // self._processes)) for limit in limits if not limit.durable_elsewhere
        ]

    def _owe(self, limits: Sequence[Limit], reservation: str) -> None:
        if self._redis is not None:
            self._owed.append((tuple(limits), reservation))

    def _settle_debts(self) -> None:
        if self._redis is None:
            return
        self._redis.drop_idle()
        while self._owed:
            limits, reservation = self._owed.popleft()
            try:
                self._redis.refund(limits, reservation=reservation)
            except (RedisConnectionError, RedisTimeoutError, OSError):
                self._owed.appendleft((limits, reservation))
                raise
