"""Which version runs since when: a process that starts with another version than the last one writes it down.

It must not know what a version is made of. In a rolling update the old version's processes only end, so a version is
written once; one that comes back is a change again.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from django.db import DatabaseError, InterfaceError

from apps.accounts.services import statements

log = structlog.get_logger("otp")
_LONGEST: Final = 64
# Names the lock under which processes that start together look and write one after the other.
_LOCK: Final = 7_305_119_402


@dataclass(frozen=True, slots=True)
class Started:
    """A version began to run; `before` is empty for the first one."""

    version: str
    before: str
    at: datetime


def record(version: str) -> bool:
    """Write down that `version` runs, if it is news; say whether it was. Nothing is written for an unnamed version."""
    version = version.strip()[:_LONGEST]
    if not version:
        return False
    try:
        before = statements.retried(lambda: _record(version))
    except (DatabaseError, InterfaceError) as error:
        log.warning("otp.release_not_written", error=type(error).__name__)
        return False
    if before is None:
        return False
    log.info("otp.release_started", version=version, before=before)
    return True


def _record(version: str) -> str | None:
    with statements.durable():
        if statements.is_postgres():
            statements.run("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        found = statements.row("SELECT version FROM ops_release ORDER BY id DESC LIMIT 1")
        before = str(found[0]) if found else ""
        if before == version:
            return None
        statements.run(
            f"INSERT INTO ops_release (version, before, at) VALUES (%s, %s, {statements.now_sql()})", (version, before)
        )
    return before


def since(at: datetime, *, limit: int = 50) -> list[Started]:
    """Return what began to run after `at`, newest first."""
    rows = statements.rows(
        "SELECT version, before, at FROM ops_release WHERE at > %s ORDER BY id DESC LIMIT %s", (at, limit)
    )
    return [Started(version, before, statements.as_time(when)) for version, before, when in rows]
