"""Whether a gateway that still takes messages has become much slower than it was, as this process sees it.

It must not know what is done about a slow gateway. Half of the last ten sends decide, so the slow tail of a busy one
never does.
"""

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Final

# A send is slow when it takes half of a gateway's time and three times what is usual.
SLOW_SHARE: Final = 0.5
SLOW_FACTOR: Final = 3.0
_RECENT: Final = 10
_MANY: Final = 5
# Sends that make a usual pace, and how quickly it follows the present one.
_FEWEST: Final = 20
_FOLLOWS: Final = 0.05


@dataclass(slots=True)
class _Seen:
    usual: float = 0.0  # seconds
    count: int = 0
    recent: deque[bool] = field(default_factory=lambda: deque(maxlen=_RECENT))


class Pace:
    """Remembers how long sends took. One per process; thread-safe."""

    def __init__(self, *, timeout: float) -> None:
        """Take the seconds that a gateway has."""
        self._timeout = timeout
        self._lock = threading.Lock()
        self._seen: dict[str, _Seen] = {}

    def note(self, what: str, seconds: float) -> tuple[bool, bool]:
        """Take note of a send that was taken after `seconds`; say whether it was slow, and whether most now are."""
        with self._lock:
            seen = self._seen.setdefault(what, _Seen())
            slow = seen.count >= _FEWEST and seconds > max(self._timeout * SLOW_SHARE, seen.usual * SLOW_FACTOR)
            seen.recent.append(slow)
            if not slow:
                seen.count += 1
                weight = max(_FOLLOWS, 1 / seen.count)
                seen.usual += weight * (seconds - seen.usual)
            return slow, sum(seen.recent) >= _MANY

    def forget(self, what: str) -> None:
        """Count afresh: the gateway has shown that it is quick again."""
        with self._lock:
            if what in self._seen:
                self._seen[what].recent.clear()
