"""Few calls of this process about one subject at a time: a crowd on one phone waits here, not in the database.

Calls that wait for a row lock hold a connection each; without this, a hundred calls for one phone hold them all, and
who comes last in the row's queue passes `lock_timeout`. It must not know what a subject is.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db import OperationalError

from apps.accounts.errors import ServiceUnavailable
from apps.accounts.services import statements

AT_ONCE: Final = 3
PATIENCE_SECONDS: Final = 3.5
_LOCK_NOT_AVAILABLE: Final = "55P03"


class _Crowd:
    """Those who are inside, those who wait, and whether somebody inside found the row locked for too long."""

    __slots__ = ("inside", "moved", "stuck", "waiting")

    def __init__(self, lock: threading.Lock) -> None:
        self.moved = threading.Condition(lock)
        self.inside = self.waiting = 0
        self.stuck = False


class Turnstile:
    """Lets `at_once` calls about a subject pass together. Thread-safe."""

    def __init__(self, *, at_once: int = AT_ONCE, patience: float = PATIENCE_SECONDS) -> None:
        """Take how many pass together and the seconds that one more waits for its turn."""
        self._at_once = at_once
        self._patience = patience
        self._lock = threading.Lock()
        self._crowds: dict[str, _Crowd] = {}

    @contextmanager
    def turn(self, subject: str) -> Iterator[None]:
        """Wait for a turn without holding a connection, and have it while the block runs.

        Raises:
            ServiceUnavailable: the wait was too long, or who had a turn found the subject's row locked by somebody
                who does not let go: the others are told at once, as they would wait for the same.
        """
        crowd = self._enter(subject)
        stuck = False
        try:
            yield
        except OperationalError as error:
            stuck = getattr(error.__cause__, "sqlstate", "") == _LOCK_NOT_AVAILABLE
            raise
        finally:
            self._leave(subject, crowd, stuck=stuck)

    def _enter(self, subject: str) -> _Crowd:
        with self._lock:
            crowd = self._crowd(subject)
            if crowd.inside < self._at_once and not crowd.waiting:
                crowd.inside += 1
                return crowd
        statements.give_back_connection()
        with self._lock:
            crowd = self._crowd(subject)
            crowd.waiting += 1
            passed = crowd.moved.wait_for(lambda: crowd.stuck or crowd.inside < self._at_once, self._patience)
            crowd.waiting -= 1
            if not passed or crowd.stuck:
                self._forget(subject, crowd)
                raise ServiceUnavailable(retry_after=1)
            crowd.inside += 1
            return crowd

    def _crowd(self, subject: str) -> _Crowd:
        found = self._crowds.get(subject)
        if found is None:
            found = self._crowds[subject] = _Crowd(self._lock)
        return found

    def _leave(self, subject: str, crowd: _Crowd, *, stuck: bool) -> None:
        with self._lock:
            crowd.inside -= 1
            # Who waits now is told; whoever comes later tries anew, once the others are gone.
            crowd.stuck = crowd.waiting > 0 and (crowd.stuck or stuck)
            self._forget(subject, crowd)
            if crowd.waiting:
                crowd.moved.notify_all() if crowd.stuck else crowd.moved.notify()

    def _forget(self, subject: str, crowd: _Crowd) -> None:
        if not crowd.waiting:
            crowd.stuck = False
            if not crowd.inside:
                self._crowds.pop(subject, None)
