"""The database at its barest: short durable transactions of hand-written statements, the same text on both databases.

Hot paths use this instead of the ORM (about 210 µs a query against 40); everything else stays ORM. It must not know a
rule. Text uses `%s`; times go in and come out as aware datetimes; JSON is text; ids are text.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from operator import attrgetter, methodcaller
from typing import Any, Final, TypeVar

from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections, transaction
from django.utils.dateparse import parse_datetime

# By name only where a statement is PostgreSQL's own: times are put into SQLite's words only by position.
Params = Sequence[Any] | Mapping[str, Any]

T = TypeVar("T")
# Serialization failure and deadlock: nothing was done, and the same again may well succeed.
_CONFLICTS: Final = frozenset({"40001", "40P01"})
_PAUSES: Final = (0.05, 0.2)  # seconds before the second and the third try


@contextmanager
def durable() -> Iterator[None]:
    """Run a short transaction that is committed when the block ends; it can never be nested inside another."""
    with transaction.atomic(durable=True):
        yield


def after_commit(act: Callable[[], None]) -> None:
    """Run `act` once the transaction at work is committed, or now where there is none."""
    transaction.on_commit(act)


def retried(act: Callable[[], T]) -> T:
    """Run a whole transaction, again where the database picked it to end a deadlock: at most three times.

    After a pause: at once it could take its first row again before the other one has woken up, and meet it as before.
    """
    for pause in _PAUSES:
        try:
            return act()
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") not in _CONFLICTS:
                raise
        time.sleep(pause)
    return act()


@cache
def is_postgres() -> bool:
    """Say whether row locks and `clock_timestamp()` are to be had; a process has one database."""
    return bool(connection.vendor == "postgresql")


def run(sql: str, params: Params = ()) -> int:
    """Execute one statement; return how many rows it touched."""
    return int(_execute(sql, params, _ROWCOUNT))


def row(sql: str, params: Params = ()) -> tuple[Any, ...] | None:
    """Execute one statement; return its first row, or None."""
    found: tuple[Any, ...] | None = _execute(sql, params, _FETCHONE)
    return found


def rows(sql: str, params: Params = ()) -> list[tuple[Any, ...]]:
    """Execute one statement; return all of its rows."""
    return list(_execute(sql, params, _FETCHALL))


def unindexed_sql(column: str) -> str:
    """Return a text column in words that no partial index has, for a row that is found by its key.

    A plan is kept for as long as a connection lives. On a quiet day the index of all open codes is a page, and to walk
    it for one id costs no more than the primary key; under attack the kept plan would walk a hundred thousand.
    """
    return f"({column} || '')"


_ROWCOUNT: Final = attrgetter("rowcount")
_FETCHONE: Final = methodcaller("fetchone")
_FETCHALL: Final = methodcaller("fetchall")


def _execute(sql: str, params: Params, take: Callable[[Any], Any]) -> Any:
    """Execute one statement and return what is to be taken from its cursor.

    Outside any transaction a pool may lend a connection for just this statement. Where somebody counts or wraps
    statements, or a connection is held already, Django's own cursor is used.
    """
    wrapper: Any = connections[DEFAULT_DB_ALIAS]
    borrow = getattr(wrapper, "borrow", None)
    if borrow is None or wrapper.connection is not None or wrapper.execute_wrappers or wrapper.force_debug_cursor:
        with wrapper.cursor() as cursor:
            cursor.execute(sql, _adapt(params))
            return take(cursor)
    with wrapper.wrap_database_errors:
        lent = borrow()
        try:
            return take(lent.execute(sql, params))
        finally:
            wrapper.give_back(lent)


def now_sql() -> str:
    """Return the SQL that reads the database's clock at this very moment, not at the transaction's start.

    SQLite knows milliseconds and compares times as text: it gets the six digits of a time that is handed in, or the two
    would differ within one tick.
    """
    return "clock_timestamp()" if is_postgres() else "strftime('%%Y-%%m-%%d %%H:%%M:%%f000', 'now')"


def shifted_now_sql(offset: timedelta) -> str:
    """Return the SQL of the database's clock moved by `offset`, in the form in which times are stored."""
    seconds = float(offset.total_seconds())
    if not seconds:
        return now_sql()
    if is_postgres():
        return f"({now_sql()} + interval '{seconds:.6f} seconds')"
    return f"strftime('%%Y-%%m-%%d %%H:%%M:%%f000', 'now', '{seconds:+.6f} seconds')"


def epoch_sql(column: str) -> str:
    """Return the SQL of a time as seconds since 1970, with its fraction; `column` is a name of ours."""
    if is_postgres():
        return f"extract(epoch FROM {column})"
    whole, second = f"CAST(strftime('%%s', {column}) AS REAL)", f"CAST(strftime('%%S', {column}) AS REAL)"
    return f"({whole} + CAST(strftime('%%f', {column}) AS REAL) - {second})"


def shifted_ms_sql(offset: timedelta) -> str:
    """Return the SQL of the same moment in whole epoch milliseconds."""
    if is_postgres():
        return f"floor(extract(epoch FROM {shifted_now_sql(offset)}) * 1000)::bigint"
    return f"CAST((julianday({shifted_now_sql(offset)}) - 2440587.5) * 86400000 AS INTEGER)"


def now() -> datetime:
    """Read the database's clock."""
    found = row(f"SELECT {now_sql()}")
    assert found is not None
    return as_time(found[0])


def for_update(alias: str = "") -> str:
    """Return the row lock; nothing on SQLite, whose IMMEDIATE transactions come one at a time anyway.

    It is the lock of an UPDATE: rows that merely refer to the locked one can still be inserted.
    """
    if not is_postgres():
        return ""
    return f" FOR NO KEY UPDATE OF {alias}" if alias else " FOR NO KEY UPDATE"


def for_deletion(alias: str = "") -> str:
    """Return the lock of rows that are about to be deleted, which passes over those that somebody else holds.

    What was changed meanwhile is judged anew by the query that has this lock, and not by a statement around it.
    """
    if not is_postgres():
        return ""
    return f" FOR UPDATE OF {alias} SKIP LOCKED" if alias else " FOR UPDATE SKIP LOCKED"


def as_time(value: Any) -> datetime:
    """Return a stored time as an aware datetime (SQLite hands it out as text)."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    parsed = parse_datetime(value)
    if parsed is None:
        raise ValueError("not a time")
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def as_time_or_none(value: Any) -> datetime | None:
    """Return a stored time, or None where there is none."""
    return None if value is None else as_time(value)


def stamps(value: str) -> list[int]:
    """Return a stored JSON list of epoch milliseconds."""
    return list(json.loads(value))


def give_back_connection() -> None:
    """Hand the connection back to the pool: what follows may wait long for somebody else.

    The pool keeps a connection until the request ends otherwise, and a 200 ms gateway would pin it.
    """
    if is_postgres() and not connection.in_atomic_block:
        connection.close()


def _adapt(params: Params) -> Params:
    if is_postgres() or isinstance(params, Mapping):
        return params
    return [
        value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else value
        for value in params
    ]
