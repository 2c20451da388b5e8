"""What Redis admitted this process to, so that a Redis that was emptied can be told again.

All processes together hold every stamp that counts; each remembers its own. It must not know Redis.
"""

import os
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence

from .memory import monotonic_ms
from .model import Admission, Limit

# A stamp of ours is a little younger than the one in Redis: what would leave within this time is left out, so that no
# place is held for longer than its window.
_SLACK_MS = 1_000
_SHORTEST_WINDOW_MS = 10 * _SLACK_MS
_SWEPT_PER_LIMIT = 4
_SUBJECTS_AT_ONCE = 100

# A limit, and its stamps as (age in ms, reservation).
Places = list[tuple[Limit, list[tuple[int, str]]]]


class OwnPlaces:
    """A log per subject; thread-safe. Subjects beyond `max_subjects` are not remembered."""

    def __init__(self, *, clock: Callable[[], int] = monotonic_ms, max_subjects: int = 100_000) -> None:
        self._clock = clock
        self._max_subjects = max_subjects
        self._logs: OrderedDict[str, tuple[Limit, deque[tuple[int, str]]]] = OrderedDict()
        self._lock = threading.Lock()
        _alive.add(self)

    def note(self, limits: Sequence[Limit], *, reservation: str) -> None:
        """Remember an admission."""
        with self._lock:
            now = self._clock()
            for limit in limits:
                if limit.durable_elsewhere or limit.window_ms < _SHORTEST_WINDOW_MS:
                    continue
                self._sweep(now)
                known = self._logs.get(limit.key)
                if known is None:
                    if len(self._logs) >= self._max_subjects:
                        continue
                    known = self._logs[limit.key] = (limit, deque())
                known[1].append((now, reservation))

    def forget(self, limits: Sequence[Limit], *, reservation: str) -> None:
        """Forget one admission."""
        with self._lock:
            for limit in limits:
                known = self._logs.get(limit.key)
                if known is not None:
                    self._logs[limit.key] = (known[0], deque(place for place in known[1] if place[1] != reservation))

    def clear(self, limits: Sequence[Limit]) -> None:
        """Forget all admissions of these subjects."""
        with self._lock:
            for limit in limits:
                self._logs.pop(limit.key, None)

    def are_more_than(self, verdict: Admission) -> bool:
        """Say whether the store counted fewer places before this call than we alone were given: it has lost some."""
        taken = bool(verdict.reservation)
        with self._lock:
            now = self._clock()
            return any(
                len(self._living(one.limit.key, now)) > one.used - taken
                for one in verdict.standings
                if one.limit.key in self._logs
            )

    def of(self, limits: Sequence[Limit]) -> Places:
        """Return what is remembered of these subjects."""
        with self._lock:
            return self._places([limit.key for limit in limits])

    def all(self) -> Iterator[Places]:
        """Return everything, some subjects at a time."""
        with self._lock:
            keys = list(self._logs)
        for first in range(0, len(keys), _SUBJECTS_AT_ONCE):
            with self._lock:
                places = self._places(keys[first : first + _SUBJECTS_AT_ONCE])
            if places:
                yield places

    def _places(self, keys: Sequence[str]) -> Places:
        now = self._clock()
        found = []
        for key in keys:
            living = self._living(key, now)
            if living:
                found.append((self._logs[key][0], [(now - stamp, name) for stamp, name in living]))
        return found

    def _living(self, key: str, now: int) -> Sequence[tuple[int, str]]:
        known = self._logs.get(key)
        if known is None:
            return ()
        limit, places = known
        while places and places[0][0] <= now - limit.window_ms + _SLACK_MS:
            places.popleft()
        return places

    def _sweep(self, now: int) -> None:
        for _ in range(min(_SWEPT_PER_LIMIT, len(self._logs))):
            key = next(iter(self._logs))
            if self._living(key, now):
                self._logs.move_to_end(key)
            else:
                del self._logs[key]

    def _after_fork(self) -> None:
        self._lock = threading.Lock()


_alive: "weakref.WeakSet[OwnPlaces]" = weakref.WeakSet()


def _renew_locks() -> None:
    for one in list(_alive):
        one._after_fork()


# A lock that another thread held at the moment of a fork would never be released in the child.
os.register_at_fork(after_in_child=_renew_locks)
