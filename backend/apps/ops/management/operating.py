"""The base of the operators' commands: a database that is gone is one sentence and exit status 2.

It must not know what a command does.
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError


class OperatorCommand(BaseCommand):
    """Raises CommandError where a command let the database's own error through, without the driver's words."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command."""
        try:
            return super().execute(*args, **options)
        except (DatabaseError, InterfaceError) as error:
            raise CommandError(f"The database does not answer: {type(error).__name__}", returncode=2) from error
