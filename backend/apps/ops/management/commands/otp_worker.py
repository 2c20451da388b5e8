"""The background worker: the tasks' worker with the duties that nobody asks for beside it."""

import time
from typing import Any, Final

from django.core.management import CommandError
from django_tasks_db.management.commands.db_worker import Command as TasksWorker

from apps.accounts.services import audit_chain, session_cleaning, statements
from apps.accounts.services.wiring import services
from apps.ops import hands, slots
from apps.ops.forgetting import forget
from apps.ops.hands import Hands
from apps.ops.housekeeping import Duty, Housekeeping

SEAL_EVERY_SECONDS: Final = 3.0
LEFTOVERS_EVERY_SECONDS: Final = 2.0
TEMPLATES_EVERY_SECONDS: Final = 10.0
SUM_EVERY_SECONDS: Final = 60.0
SUCCESSORS_EVERY_SECONDS: Final = 300.0
PURGE_EVERY_SECONDS: Final = 3600.0
PURGE_FOR_SECONDS: Final = 60.0
# Tasks at a time: one gateway that hangs must not hold up what goes to another. SQLite has one writer anyway.
HANDS: Final = 4


def duties() -> list[Duty]:
    """Return what is done again and again."""
    return [
        Duty("seal", SEAL_EVERY_SECONDS, audit_chain.seal),
        Duty("settle", LEFTOVERS_EVERY_SECONDS, _settle),
        Duty("take-up", LEFTOVERS_EVERY_SECONDS, _take_up),
        Duty("templates", TEMPLATES_EVERY_SECONDS, _read_templates),
        Duty("sum-up", SUM_EVERY_SECONDS, slots.sum_up),
        Duty("successors", SUCCESSORS_EVERY_SECONDS, _clear_successors),
        Duty("purge", PURGE_EVERY_SECONDS, _purge),
    ]


def _settle() -> None:
    services().sweeper.settle()


def _take_up() -> None:
    services().sweeper.take_up()


def _read_templates() -> None:
    rooms = services()
    rooms.templates.refresh(timeout=rooms.config.provider_timeout)


def _clear_successors() -> None:
    rooms = services()
    now, grace = statements.now() + rooms.clock.offset, rooms.config["REFRESH_REUSE_GRACE_SECONDS"]
    while session_cleaning.clear_successors(now=now, grace_seconds=grace):
        pass


def _purge() -> None:
    forget(services(), max_seconds=PURGE_FOR_SECONDS)


class Command(TasksWorker):
    help = "Run the tasks that requests left behind, seal the audit trail and purge what is old."

    def handle(self, **options: Any) -> None:
        """Work until told to stop."""
        beside = Housekeeping(duties())
        more = Hands(HANDS - 1 if statements.is_postgres() else 0, interval=options["interval"])
        beside.start()
        more.start()
        try:
            self._work(options)
        finally:
            more.stop()
            beside.stop()

    def _work(self, options: dict[str, Any]) -> None:
        """Run the tasks' own worker; what makes it stumble, such as a database that is gone, is waited for."""
        while True:
            try:
                super().handle(**options)
                return
            except CommandError:
                raise
            except Exception as error:
                hands.stumbled(error)
                time.sleep(hands.PAUSE_SECONDS)
