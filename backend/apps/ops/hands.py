"""More threads that run tasks, beside the one of the tasks' own worker.

It must not know what the tasks do: each claims its row first, so no two threads or processes run the same one.
"""

import threading
import time

import structlog
from django.db import connection
from django.utils.crypto import get_random_string
from django_tasks_db.management.commands.db_worker import Worker

from apps.accounts.api import problems
from apps.accounts.api.unavailable import is_unavailable

log = structlog.get_logger("otp")
PAUSE_SECONDS = 1.0


class Hands:
    """So many workers on daemon threads, until stopped; a database that is gone for a while ends none of them."""

    def __init__(self, count: int, *, interval: float) -> None:
        self._stop = threading.Event()
        self._workers = [_worker(interval) for _ in range(count)]
        self._threads = [
            threading.Thread(target=self._run, args=(worker,), name=f"tasks-{place}", daemon=True)
            for place, worker in enumerate(self._workers)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self, *, timeout_seconds: float = 15.0) -> None:
        """End after the tasks that are being done now."""
        self._stop.set()
        for worker in self._workers:
            worker.running = False
        until = time.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self, worker: Worker) -> None:
        while not self._stop.is_set():
            try:
                worker.run()
            except Exception as error:
                stumbled(error)
                self._stop.wait(PAUSE_SECONDS)
        connection.close()


def stumbled(error: Exception) -> None:
    """Log what came out of a worker, and let go of this thread's connection."""
    if is_unavailable(error):
        # The class alone: a driver's text may hold an address or a value.
        log.warning("otp.worker_stumbled", error=type(error).__name__)
    else:
        problems.report_crash(error)
    connection.close()


def _worker(interval: float) -> Worker:
    return Worker(
        queue_names=["default"],
        interval=interval,
        batch=False,
        backend_name="default",
        startup_delay=False,
        max_tasks=None,
        worker_id=get_random_string(32),
        excluded_queue_names=[],
    )
