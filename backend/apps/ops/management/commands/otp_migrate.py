"""Migrate the database, one process at a time. It must not know what the migrations do."""

import io
import sys
import time
from argparse import ArgumentParser
from typing import Any, Final

import structlog
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.db.utils import OperationalError

log = structlog.get_logger("otp")

# Any number will do, as long as every release of this service uses the same one.
LOCK_KEY: Final = 0x6F74705F6D6967
_PAUSE_SECONDS: Final = 0.5


class Told(io.TextIOBase):
    """Takes what a command prints and logs each line that says something as an event of its own."""

    def __init__(self) -> None:
        self._begun = ""

    def write(self, text: str) -> int:
        """Log the lines that end with `text`."""
        *whole, self._begun = (self._begun + text).split("\n")
        for line in filter(None, map(str.strip, whole)):
            log.info("otp.migrating", line=line)
        return len(text)


class Command(BaseCommand):
    help = (
        "Wait for the database, take its migration lock (PostgreSQL) and migrate; a second caller waits for the first."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--wait", type=float, default=60.0, help="seconds to wait for the database and for the lock"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            self._migrate(time.monotonic() + options["wait"], verbosity=options["verbosity"])
        except (CommandError, DatabaseError) as error:
            if settings.DEBUG:
                raise
            # Never the driver's own words: they can hold the address and the user.
            reason = str(error) if isinstance(error, CommandError) else type(error).__name__
            log.error("otp.migration_failed", reason=reason)
            sys.exit(1)

    def _migrate(self, until: float, *, verbosity: int) -> None:
        self._reach(until)
        told = self.stdout if settings.DEBUG else Told()
        if connection.vendor != "postgresql":
            call_command("migrate", interactive=False, verbosity=verbosity, stdout=told)
            return
        self._lock(until)
        try:
            self._lift_timeouts()
            call_command("migrate", interactive=False, verbosity=verbosity, stdout=told)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK_KEY])

    def _reach(self, until: float) -> None:
        while True:
            try:
                connection.ensure_connection()
            except OperationalError as error:
                if time.monotonic() >= until:
                    # Never the driver's own words: they can hold the address and the user.
                    raise CommandError("The database of DATABASE_URL cannot be reached") from error
                connection.close()
                time.sleep(_PAUSE_SECONDS)
            else:
                return

    def _lock(self, until: float) -> None:
        # Asked again and again, and not waited for in one statement, because statement_timeout would end the wait.
        while True:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK_KEY])
                row = cursor.fetchone()
            if row and row[0]:
                return
            if time.monotonic() >= until:
                raise CommandError("Another process has held the migration lock all the while; look what it is doing")
            time.sleep(_PAUSE_SECONDS)

    def _lift_timeouts(self) -> None:
        """Let a long index build finish, but never let a statement queue behind a lock and block everybody after it."""
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            cursor.execute("SET idle_in_transaction_session_timeout = 0")
            cursor.execute("SET lock_timeout = '5s'")
