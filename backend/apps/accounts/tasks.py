"""Work after the answer: thin functions that the background worker calls with ids and nothing else.

Each may be called again at any time, by any process: the services look at what was done before. It must not know how a
message is sent, and what goes wrong is told by its class only, because a message of a database may quote a number.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from django_tasks import task

from apps.accounts import telemetry
from apps.accounts.services.later import Work
from apps.accounts.services.wiring import services

# A code that somebody waits for goes before a notice.
_URGENT: Final = 50


class TaskFailed(Exception):
    """A task did not do its work; the sweeper will."""


@task(priority=_URGENT)
def send_on(message_ids: list[str]) -> None:
    """Send codes by another gateway whose messages a receipt called failed."""
    for message_id in message_ids:
        _do(services().sending_on.run, message_id)


@task()
def send_notices(notice_ids: list[str]) -> None:
    """Send notices."""
    for notice_id in notice_ids:
        _do(services().notices.send, notice_id)


_TASKS: Final[dict[Work, Any]] = {Work.SEND_ON: send_on, Work.NOTICE: send_notices}


def later(work: Work, ids: Sequence[str]) -> None:
    """Write the row of some work inside the caller's transaction."""
    _TASKS[work].enqueue(list(ids))


def _do(act: Callable[[str], None], one: str) -> None:
    try:
        act(one)
    except Exception as error:
        telemetry.happened("task_failed", error=type(error).__name__, subject=one[:8])
        raise TaskFailed(type(error).__name__) from None
