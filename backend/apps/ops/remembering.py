"""A value that is dear to find, found anew only so often that finding it stays a small share of the time.

It must not know what the value is.
"""

import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")
# Finding may take at most this share of the time.
LARGEST_SHARE: Final = 0.1


class Remembered(Generic[T]):
    """Finds a value at most every `fresh_seconds`, and less often where finding it takes long. Thread-safe."""

    def __init__(
        self, find: Callable[[], T], *, fresh_seconds: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._find = find
        self._fresh = fresh_seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._found: tuple[float, T] | None = None  # good until, value

    def get(self) -> T:
        """Return the value. Raises whatever finding it raises; nothing is remembered then."""
        with self._lock:  # whoever waits here gets what the one before found
            started = self._monotonic()
            if self._found is not None and started < self._found[0]:
                return self._found[1]
            value = self._find()
            took = self._monotonic() - started
            self._found = (started + max(self._fresh, took / LARGEST_SHARE), value)
            return value

    def forget(self) -> None:
        """Find it anew at the next question."""
        with self._lock:
            self._found = None
