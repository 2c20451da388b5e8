"""Empties the tables after a test that commits, as `flush` does and many times as fast. For the suite only.

Django truncates every table and has content types and permissions made anew: half a second for a test of ten
milliseconds. Here the few tables that hold something are emptied, and what migrations made stays.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

_KEPT = frozenset({"django_content_type", "auth_permission"})
# Where the database refuses DELETE: the audit trail is append-only.
_TRUNCATED = frozenset({"accounts_auditevent", "accounts_auditseal"})


def statements_for(connection: BaseDatabaseWrapper) -> list[str]:
    """Return what empties the tables that hold anything."""
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    tables = sorted(set(names) - _KEPT)
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(f"EXISTS (SELECT 1 FROM {quote(table)})" for table in tables))
        holding = [table for table, held in zip(tables, cursor.fetchone(), strict=True) if held]
    truncates = connection.vendor == "postgresql"
    return [f"{'TRUNCATE' if truncates and table in _TRUNCATED else 'DELETE FROM'} {quote(table)}" for table in holding]


@contextmanager
def quick_flush() -> Iterator[None]:
    """Let the `flush` command do it this way."""
    flush: Any = importlib.import_module("django.core.management.commands.flush")
    before = flush.sql_flush, flush.emit_post_migrate_signal

    def sql_flush(style: Any, connection: BaseDatabaseWrapper, **options: Any) -> list[str]:
        return statements_for(connection)

    def nothing(*args: Any, **options: Any) -> None:
        """Content types and permissions were kept."""

    flush.sql_flush, flush.emit_post_migrate_signal = sql_flush, nothing
    try:
        yield
    finally:
        flush.sql_flush, flush.emit_post_migrate_signal = before
