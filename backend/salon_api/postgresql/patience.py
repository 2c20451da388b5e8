"""How long a call waits for a database that says nothing at all: frozen, full, or behind a dead network.

The server's own `statement_timeout` ends every wait while the server lives, and a dead one's connections break; neither
helps where the other side is there and silent. It must not know what is waited for.
"""

import threading
import time
from typing import Final

# Longer than `statement_timeout`, so that a server that lives answers first; a call has 5 s in all.
CALL_SECONDS: Final = 4.4
POOL_SECONDS: Final = 3.0
# A call that has used its time up may still look whether the database is back.
LEAST_SECONDS: Final = 0.1
# Once a call has met silence, those after it do not wait as long to find the same.
DOUBTFUL_SECONDS: Final = 0.5
DOUBT_LASTS_SECONDS: Final = 1.0
# Connections are short while the database answers others: that is a crowd and no silence.
SILENT_SECONDS: Final = 2.5


class Patience:
    """The waits of one process. Without `bound` they have no end: a migration may take its time. Thread-safe."""

    def __init__(self) -> None:
        self._bounded = False
        self._doubtful_until = self._heard_at = 0.0
        self._call = threading.local()

    def bound(self) -> None:
        """Bound the waits from now on: this process answers requests."""
        self._bounded = True
        self._heard_at = time.monotonic()

    def begin_call(self) -> None:
        """Give this thread's next call its whole time."""
        self._call.spent = 0.0

    def seconds(self, longest: float = CALL_SECONDS) -> float | None:
        """Return how long the next wait of this thread may be, None for without end."""
        if not self._bounded:
            return None
        if self._doubtful_until and time.monotonic() < self._doubtful_until:
            longest = min(longest, DOUBTFUL_SECONDS)
        return max(LEAST_SECONDS, min(longest, CALL_SECONDS - self._spent()))

    def heard(self) -> None:
        """Take note that the database has answered."""
        self._heard_at = time.monotonic()
        self._doubtful_until = 0.0

    def met_silence(self, seconds: float) -> None:
        """Take note of a statement that was not answered in `seconds`."""
        self.waited(seconds)
        self._doubtful_until = time.monotonic() + DOUBT_LASTS_SECONDS

    def met_a_queue(self) -> None:
        """Take note that no connection was to be had."""
        now = time.monotonic()
        if now - self._heard_at > SILENT_SECONDS:
            self._doubtful_until = now + DOUBT_LASTS_SECONDS

    def waited(self, seconds: float) -> None:
        """Charge a wait to this thread's call."""
        self._call.spent = self._spent() + seconds

    def _spent(self) -> float:
        spent: float = getattr(self._call, "spent", 0.0)
        return spent


patience: Final = Patience()
"""This process' own."""
