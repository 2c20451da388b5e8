"""Where security events go: into the audit trail, in the transaction of the act; some are told to the person, too.

It must not know how a notice is sent.
"""

from collections.abc import Mapping
from typing import Any, Final

from apps.accounts.messages import NoticeKind
from apps.accounts.services import audit, statements
from apps.accounts.services.notices import Notices
from apps.accounts.services.session_types import Event

# What an account's owner is told about; anything else is for the audit trail alone.
NOTICES: Final[Mapping[str, NoticeKind]] = {
    Event.REFRESH_REUSED.value: NoticeKind.SESSION_REUSE,
    "number.claimed": NoticeKind.NUMBER_CLAIMED,
    "phone.changed": NoticeKind.PHONE_CHANGED,
}


class DatabaseEvents:
    """Writes audit records and promises notices."""

    def __init__(self, *, notices: Notices) -> None:
        self._notices = notices

    def audit(
        self, event: str, *, actor: str, subject: str, note: str = "", detail: dict[str, Any] | None = None
    ) -> None:
        """Write one audit record."""
        audit.record(event, actor=actor, subject=subject, note=note, detail=detail)

    def notice(self, kind: str, *, user_id: int, detail: dict[str, Any] | None = None) -> None:
        """Have the account's owner told about `kind`, one of NOTICES, at the number that the account has now."""
        found = statements.row(
            "SELECT phone_number FROM accounts_user WHERE id = %s AND phone_number IS NOT NULL", (user_id,)
        )
        if found is not None:
            self._notices.enqueue(kind=NOTICES[kind], phone=found[0])
