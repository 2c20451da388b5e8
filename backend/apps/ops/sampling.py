"""A look at something slow, taken at most every so often and never waited for longer than a set time.

It must not know what is looked at.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T")
# Looks that hang are left behind, no more of them than this: each may hold a connection.
_MOST_HANGING: Final = 3


@dataclass(slots=True)
class _Look(Generic[T]):
    started_at: float
    done: threading.Event


class Sampler(Generic[T]):
    """Takes looks on a thread beside the asker's, one at a time; thread-safe.

    `read` gives the newest look if it is younger than `fresh_seconds`, else takes one and waits `patience_seconds` for
    it. A look that takes longer is absent until it ends; one that hangs for `hopeless_seconds` gets a successor, so
    that a connection that will never answer cannot hide that the store is back.
    """

    def __init__(
        self,
        look: Callable[[], T],
        *,
        absent: Callable[[], T],
        fresh_seconds: float = 0.5,
        patience_seconds: float = 0.7,
        hopeless_seconds: float = 2.0,
        inline: Callable[[], bool] = lambda: False,
    ) -> None:
        """Take the look, what is said when there is none, and whether it can be taken on the asker's own thread."""
        self._look, self._absent, self._inline = look, absent, inline
        self._fresh, self._patience, self._hopeless = fresh_seconds, patience_seconds, hopeless_seconds
        self._lock = threading.Lock()
        self._running: _Look[T] | None = None
        self._hanging = 0
        self._value: T | None = None
        self._looked_at = float("-inf")

    def read(self) -> T:
        """Return a look that is young enough, or what stands for none."""
        now = time.monotonic()
        value = self._value
        if value is not None and now - self._looked_at < self._fresh:
            return value
        if self._inline():
            self._keep(self._look(), now)
        else:
            running = self._begin(now)
            if running is not None:
                running.done.wait(max(0.0, running.started_at + self._patience - time.monotonic()))
        value = self._value
        if value is None or time.monotonic() - self._looked_at > self._fresh + self._patience:
            return self._absent()
        return value

    def forget(self) -> None:
        """Take a new look at the next question."""
        self._looked_at = float("-inf")

    def _begin(self, now: float) -> "_Look[T] | None":
        with self._lock:
            running = self._running
            if running is not None and not running.done.is_set():
                if now - running.started_at < self._hopeless or self._hanging >= _MOST_HANGING:
                    return running
                self._hanging += 1
            running = _Look[T](started_at=now, done=threading.Event())
            thread = threading.Thread(target=self._take, args=(running,), name="ops-look", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no thread to spare: what is known stands until it is too old
                return None
            self._running = running
            return running

    def _take(self, running: "_Look[T]") -> None:
        try:
            self._keep(self._look(), running.started_at)
        finally:
            running.done.set()
            with self._lock:
                if self._running is not running:
                    self._hanging -= 1

    def _keep(self, value: T, started_at: float) -> None:
        # A look that hung tells what is true now, not what was when it began.
        self._value, self._looked_at = value, max(started_at, time.monotonic() - self._fresh / 2)
