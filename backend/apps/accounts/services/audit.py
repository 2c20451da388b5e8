"""The audit trail's pen: one record per security event or operator action, in the transaction that causes it.

It must not know who reads it; sealing the chain is ops' work.
"""

from datetime import datetime
from typing import Any

from apps.accounts import telemetry
from apps.accounts.services import statements


def record(
    event: str,
    *,
    actor: str,
    subject: str = "",
    note: str = "",
    detail: dict[str, Any] | None = None,
    now: datetime | None = None,
) -> None:
    """Write one audit record inside the caller's transaction. `subject` is opaque or masked."""
    columns = telemetry.audit_row(event, actor=actor, subject=subject, note=note, detail=detail)
    statements.run(
        "INSERT INTO accounts_auditevent (at, event, actor, subject, note, request_id, detail) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (now or statements.now(), *columns),
    )
