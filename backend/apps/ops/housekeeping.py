"""What is done again and again beside the worker's tasks: each duty on a thread of its own, and none can stop another.

It must not know what the duties do. Every duty is safe to run in several processes at once.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from django.db import connection

log = structlog.get_logger("otp")
_LONGEST_PAUSE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Duty:
    """Something to do every `every_seconds`; after failures the pause doubles, up to a minute more."""

    name: str
    every_seconds: float
    act: Callable[[], object]


class Housekeeping:
    """Runs duties on daemon threads until it is stopped."""

    def __init__(self, duties: Sequence[Duty]) -> None:
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._keep, args=(duty,), name=f"duty-{duty.name}", daemon=True) for duty in duties
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self, *, timeout_seconds: float = 5.0) -> None:
        """End after what is being done now."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout_seconds)

    def _keep(self, duty: Duty) -> None:
        failures = 0
        pause = duty.every_seconds
        while not self._stop.wait(pause):
            try:
                duty.act()
                failures = 0
            except Exception as error:
                failures += 1
                # The class alone: a driver's text may hold an address or a value.
                log.warning("otp.duty_failed", duty=duty.name, error=type(error).__name__, failures=failures)
            finally:
                connection.close()
            pause = min(duty.every_seconds * 2 ** min(failures, 6), duty.every_seconds + _LONGEST_PAUSE_SECONDS)
