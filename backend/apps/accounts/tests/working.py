"""The worker's work, done at once, for tests that ask what became of it. It must not know what the work is."""

from django.db import connection
from django_tasks_db.management.commands.db_worker import Worker


def work() -> None:
    """Do all work that waits, as the worker does."""
    assert not connection.in_atomic_block
    Worker(
        queue_names=["default"], interval=0, batch=True, backend_name="default", startup_delay=False, max_tasks=None,
        worker_id="test", excluded_queue_names=[],
    ).run()  # fmt: skip
