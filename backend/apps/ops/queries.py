"""What operations reads from the database to know whether the service can serve.

It must not change a row, nor know what an answer looks like.
"""

import json
from datetime import datetime
from functools import cache
from typing import Any

from django.db.migrations.loader import MigrationLoader

from apps.accounts.services import statements


def migrations_applied() -> bool:
    """Say whether the database has every migration of this release; a newer release's are no hindrance."""
    found = statements.rows("SELECT app, name FROM django_migrations")
    return _wanted() <= set(found)


@cache
def _wanted() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None, ignore_no_migrations=True).graph.nodes)


def newest_keys(limit: int) -> list[tuple[str, datetime]]:
    """Return the id of the secret and the time of birth of the newest codes."""
    found = statements.rows("SELECT key_id, created_at FROM accounts_code ORDER BY created_at DESC LIMIT %s", (limit,))
    return [(key_id, statements.as_time(at)) for key_id, at in found]


def audit_records(
    *, event: str = "", subject: str = "", actor: str = "", after: int = 0, limit: int = 100
) -> list[dict[str, Any]]:
    """Return audit records, newest first and at most `limit`; an empty filter lets all through."""
    found = statements.rows(
        "SELECT id, at, event, actor, subject, note, request_id, detail FROM accounts_auditevent WHERE id > %s "
        "AND event LIKE %s AND subject LIKE %s AND actor LIKE %s ORDER BY id DESC LIMIT %s",
        (after, event or "%", subject or "%", actor or "%", limit),
    )
    return [
        {
            "id": item[0],
            "at": statements.as_time(item[1]).isoformat(),
            "event": item[2],
            "actor": item[3],
            "subject": item[4],
            "note": item[5],
            "request_id": item[6],
            "detail": json.loads(item[7]),
        }
        for item in found
    ]
