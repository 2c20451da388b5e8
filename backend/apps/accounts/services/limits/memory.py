"""Keep the sliding log in this process: the store of development, and the one that is left when Redis is gone.

This room must not know Redis, nor how many processes share a limit.
"""

import heapq
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count

from .model import (
    Admission,
    Limit,
    Reading,
    Store,
    index_of_next_leaver,
    judge,
    new_reservation,
    refuse_doubles,
)

SWEEP_PER_CALL = 16


def monotonic_ms() -> int:
    """Read the process' monotonic clock in whole milliseconds: a wall clock set back would prolong every wait."""
    return time.monotonic_ns() // 1_000_000


class _Log:
    """The stamps of one subject, oldest first, each with the reservation it belongs to."""

    __slots__ = ("entries", "window_ms")

    def __init__(self, window_ms: int) -> None:
        self.entries: deque[tuple[int, str]] = deque()
        self.window_ms = window_ms

    def expires_at(self) -> int:
        return self.entries[-1][0] + self.window_ms if self.entries else 0

    def read(self, now: int, limit: Limit) -> Reading:
        self.window_ms = limit.window_ms
        entries = self.entries
        while entries and entries[0][0] <= now - limit.window_ms:
            entries.popleft()
        if not entries:
            return Reading(0, 0)
        leaver = entries[index_of_next_leaver(len(entries), limit.limit)][0]
        if leaver > now:
            # The clock stepped back: stamps from the future would hold the place for longer than a window.
            self.entries = deque((min(stamp, now), name) for stamp, name in entries)
            leaver = now
        return Reading(len(entries), leaver + limit.window_ms - now)


class MemoryLimiter:
    """A lock and a log per subject; exact for the threads of one process.

    Subjects whose windows have passed are swept a few per call, always more than a call can add. When
    `max_subjects` logs are alive, a call that would open another is refused: forgetting a live log instead
    would let an attacker buy his own counts back by filling the memory.
    """

    def __init__(self, *, clock: Callable[[], int] = monotonic_ms, max_subjects: int = 100_000) -> None:
        self._clock = clock
        self._max_subjects = max_subjects
        self._logs: dict[str, _Log] = {}
        self._expiries: list[tuple[int, int, str, _Log]] = []
        self._ticket = count()
        self._lock = threading.Lock()
        _alive.add(self)

    @property
    def subjects(self) -> int:
        """Count the subjects that are held in memory."""
        return len(self._logs)

    def admit(self, limits: Sequence[Limit], *, reservation: str | None = None) -> Admission:
        """Take one place in every limit, or none in any. Raises ValueError for two limits on one key."""
        refuse_doubles(limits)
        name = reservation or new_reservation()
        with self._lock:
            now = self._clock()
            self._sweep(now, at_most=SWEEP_PER_CALL + len(limits))
            verdict = judge(
                limits,
                self._read(limits, now),
                reservation=name,
                taking=True,
                store=Store.MEMORY,
            )
            if not verdict.admitted:
                return verdict
            if not self._has_room(limits):
                self._sweep(now, at_most=len(self._expiries))
                if not self._has_room(limits):
                    return self._refuse_for_room(limits, now)
            for limit in limits:
                self._stamp(limit, now, name)
            return verdict

    def peek(self, limits: Sequence[Limit]) -> Admission:
        """Judge as `admit` would, and take nothing."""
        refuse_doubles(limits)
        with self._lock:
            readings = self._read(limits, self._clock())
        return judge(limits, readings, reservation="", taking=False, store=Store.MEMORY)

    def refund(self, limits: Sequence[Limit], *, reservation: str) -> None:
        """Give the places of one admission back; a second refund changes nothing."""
        with self._lock:
            for limit in limits:
                log = self._logs.get(limit.key)
                if log is not None:
                    log.entries = deque(entry for entry in log.entries if entry[1] != reservation)

    def clear(self, limits: Sequence[Limit]) -> None:
        """Forget every admission of these subjects."""
        with self._lock:
            for limit in limits:
                log = self._logs.get(limit.key)
                if log is not None:
                    log.entries.clear()

    def _read(self, limits: Sequence[Limit], now: int) -> list[Reading]:
        logs = ((limit, self._logs.get(limit.key)) for limit in limits)
        return [Reading(0, 0) if log is None else log.read(now, limit) for limit, log in logs]

    def _stamp(self, limit: Limit, now: int, name: str) -> None:
        log = self._logs.get(limit.key)
        if log is None:
            log = self._logs[limit.key] = _Log(limit.window_ms)
            heapq.heappush(
                self._expiries,
                (now + limit.window_ms, next(self._ticket), limit.key, log),
            )
        log.entries.append((now, name))

    def _sweep(self, now: int, *, at_most: int) -> None:
        for _ in range(at_most):
            if not self._expiries or self._expiries[0][0] > now:
                return
            _, ticket, key, log = heapq.heappop(self._expiries)
            if self._logs.get(key) is not log:
                continue
            if log.expires_at() > now:
                heapq.heappush(self._expiries, (log.expires_at(), ticket, key, log))
            else:
                del self._logs[key]

    def _has_room(self, limits: Sequence[Limit]) -> bool:
        return len(self._logs) + sum(limit.key not in self._logs for limit in limits) <= self._max_subjects

    def _refuse_for_room(self, limits: Sequence[Limit], now: int) -> Admission:
        crowded = next(limit for limit in limits if limit.key not in self._logs)
        wait = max(1, self._expiries[0][0] - now)
        verdict = judge(
            limits,
            self._read(limits, now),
            reservation="",
            taking=False,
            store=Store.MEMORY,
        )
        return Admission(False, "", crowded, wait, verdict.standings, Store.MEMORY)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()


_alive: "weakref.WeakSet[MemoryLimiter]" = weakref.WeakSet()


def _renew_locks() -> None:
    for limiter in list(_alive):
        limiter._after_fork()


# A lock that another thread held at the moment of a fork would never be released in the child.
os.register_at_fork(after_in_child=_renew_locks)
