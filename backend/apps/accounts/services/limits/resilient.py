"""Judge by Redis while it is well and by process memory while it is not, without a request waiting for a dead Redis.

This room must not know what the limits protect, nor how either store keeps its stamps.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .health import StoreHealth
from .memory import MemoryLimiter
from .model import Admission, Limit, LimiterUnavailable, StoreState, new_reservation
from .own_places import OwnPlaces, Places
from .redis_store import RedisLimiter

# More refunds than this in one outage are forgotten: their places come back when the window has passed.
OWED_AT_MOST = 10_000
# So often each process looks whether Redis is well and was not emptied; no call may wait longer than 0.25 s for that.
_LOOKS_EVERY_SECONDS = 0.2
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

    A Redis that was flushed or restarted empty gives nobody a place: each process remembers what it was admitted to,
    and tells Redis again as soon as its prober or a call sees that Redis has lost it. Who sees it waits until the
    other processes' probers must have done the same.
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
        self._own = OwnPlaces()
        self._settled_at = 0.0  # by time.monotonic(): when every process has told an emptied Redis what it knows
        self._looked = False
        if redis is not None:
            self.health = health or StoreHealth(redis.open_probe(known=self._known), interval_s=_LOOKS_EVERY_SECONDS)
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
        tried, verdict = self._judged_by_redis(lambda redis: redis.admit(limits, reservation=reservation))
        if verdict is not None:
            if verdict.admitted:
                self._own.note(limits, reservation=reservation)
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
        _, verdict = self._judged_by_redis(lambda redis: redis.peek(limits))
        if verdict is not None:
            return verdict
        self._require_memory(limits)
        return self._memory.peek(self._share(limits))

    def refund(self, limits: Sequence[Limit], *, reservation: str) -> None:
        """Give the places of one admission back, wherever they were taken; never raises for a missing store."""
        self._memory.refund(limits, reservation=reservation)
        self._own.forget(limits, reservation=reservation)

        def pay(redis: RedisLimiter) -> bool:
            redis.refund(limits, reservation=reservation)
            return True

        _, paid = self._ask_redis(pay)
        if not paid:
            self._owe(limits, reservation)

    def clear(self, limits: Sequence[Limit]) -> None:
        """Forget every admission of these subjects, in memory and, if it is there, in Redis; never raises for that."""
        self._memory.clear(limits)
        self._own.clear(limits)
        self._ask_redis(lambda redis: redis.clear(limits))

    def close(self) -> None:
        """End the prober of this process; the next call starts another."""
        if self.health is not None:
            self.health.stop()

    def _known(self) -> Iterator[Places]:
        """Give what a Redis is told in which the mark of this process is missing: a new one's, or lost."""
        if self._looked:
            self._settled_at = time.monotonic() + _LOOKS_EVERY_SECONDS
        self._looked = True
        return self._own.all()

    def _judged_by_redis(self, call: Callable[[RedisLimiter], Admission]) -> tuple[bool, Admission | None]:
        """Have Redis judge; where it has lost what we know, tell it, wait for the others, and have it judge anew."""
        unsettled = self._settled_at - time.monotonic()
        if unsettled > 0 and self.health is not None and self.health.usable:
            time.sleep(unsettled)
        tried, verdict = self._ask_redis(call)
        if verdict is None or not self._own.are_more_than(verdict):
            return tried, verdict
        lost, reservation = [one.limit for one in verdict.standings], verdict.reservation

        def tell_again(redis: RedisLimiter) -> bool:
            redis.restore(self._own.of(lost))
            if reservation:
                redis.refund(lost, reservation=reservation)
            return True

        _, told = self._ask_redis(tell_again)
        if not told:
            return True, None
        time.sleep(_LOOKS_EVERY_SECONDS)
        return self._ask_redis(call)

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
