"""The audit trail's pen: one record per security event or operator action, in the transaction that causes it.

It must not know who reads it; sealing the chain is ops' work.
"""

from datetime import datetime
from functools import partial
from typing import Any, Final

from apps.accounts import telemetry
from apps.accounts.services import statements

# What operators did, and must do again where a database is restored to a moment before it.
_ACTS: Final = (
    "account.disabled", "account.enabled", "block.", "gateway.chosen", "gateway.lifted", "guard.lifted",
    "incident.notified", "key.rotated", "readout.",
)  # fmt: skip


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
    if event.startswith(_ACTS):
        statements.after_commit(partial(telemetry.operated, event, actor=actor, subject=subject))
