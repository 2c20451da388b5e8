"""Two acts that meet in the database, in a set order: for tests of what one of them must not overlook.

It must not know what the acts are.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from django.db import connection, transaction

_LONGEST_SECONDS: Final = 20.0
_LOOK_AGAIN_SECONDS: Final = 0.01


class Aside:
    """An act on a thread of its own; `result` is what it returned, or the error that it raised."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self.result: Any = None
        self._act = act
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Say whether the act is over."""
        return not self._thread.is_alive()

    def wait(self) -> Any:
        """Wait until the act is over and return its result."""
        self._thread.join(_LONGEST_SECONDS)
        assert self.ended, "the act never ended"
        return self.result

    def _run(self) -> None:
        try:
            self.result = self._act()
        except Exception as error:
            self.result = error
        finally:
            connection.close()


def meet(first: Callable[[], Any], second: Callable[[], Any], then: Callable[[], Any] = lambda: None) -> Any:
    """Do `first`, begin `second` before that is committed, and commit once `second` waits for it, or is over.

    Before the commit `then` goes on with what `first` began. What `first` does in a transaction of its own is committed
    with everything else. Return what came of `second`.
    """
    around = transaction.atomic()
    around._from_testcase = True  # type: ignore[attr-defined]  # or no durable transaction could be begun inside it
    with around:
        first()
        aside = Aside(second)
        until = time.monotonic() + _LONGEST_SECONDS
        while not aside.ended and not _somebody_waits_for_us() and time.monotonic() < until:
            time.sleep(_LOOK_AGAIN_SECONDS)
        then()
    return aside.wait()


def _somebody_waits_for_us() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)) LIMIT 1"
        )
        return cursor.fetchone() is not None
