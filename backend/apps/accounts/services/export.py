"""One's own data as one document: all that is kept about an account, and nothing of anybody else or secret.

It must not know HTTP. A number's challenges before the account had it, and who asked for codes to it, are other
people's: a stranger may ask for a code to any number, so no address or device of an asker is told here.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from apps.accounts.errors import StepUpRequired
from apps.accounts.services import statements
from apps.accounts.services.session_types import Principal

_SESSIONS: Final = (
    "id", "device_id", "device_name", "ip", "user_agent", "amr", "created_at", "last_used_at", "expires_at",
    "revoked_at", "revoked_reason",
)  # fmt: skip
_DEVICES: Final = ("phone", "device_id", "created_at", "last_used_at", "revoked_at")
_CLAIMS: Final = ("phone", "state", "created_at", "available_at", "answered_at")
_CHALLENGES: Final = ("id", "phone", "purpose", "status", "channel", "language", "created_at", "closed_at")
_MESSAGES: Final = ("channel", "cause", "state", "created_at", "finished_at", "receipt_at")
_EVENTS: Final = ("at", "event")
_ACCOUNT: Final = (
    "id", "username", "phone_number", "role", "phone_verified", "is_test", "created_at", "last_seen_at",
)  # fmt: skip
_TIMES: Final = frozenset(
    {
        "at", "created_at", "last_used_at", "expires_at", "revoked_at", "available_at", "answered_at", "closed_at",
        "finished_at", "receipt_at", "last_seen_at",
    }
)  # fmt: skip
_FLAGS: Final = frozenset({"phone_verified", "is_test"})
# What is an account's among a number's: bound to it, or not over when it got the number (by one of them, at its birth).
_OWN_CHALLENGES: Final = (
    "(c.account_id = %s OR (c.account_id IS NULL AND c.phone = %s AND COALESCE(c.closed_at, c.created_at) >= %s))"
)


def export(principal: Principal) -> dict[str, Any]:
    """Return the caller's account, sessions, devices, challenges, messages, claims and events as JSON.

    Raises:
        StepUpRequired: the token is no step-up token.
    """
    if not principal.step_up:
        raise StepUpRequired
    user_id = principal.user_id
    account = _table(_ACCOUNT, "FROM accounts_user WHERE id = %s", (user_id,))[0]
    mine = (user_id, account["phone_number"] or "", _since(user_id))
    return {
        "exported_at": statements.now().isoformat(),
        "account": account,
        "sessions": _table(_SESSIONS, "FROM accounts_session WHERE user_id = %s ORDER BY created_at", (user_id,)),
        "devices": _table(_DEVICES, "FROM accounts_devicetoken WHERE user_id = %s ORDER BY created_at", (user_id,)),
        "challenges": _table(
            _CHALLENGES, f"FROM accounts_challenge c WHERE {_OWN_CHALLENGES} ORDER BY c.created_at", mine, prefix="c."
        ),
        "messages": _table(
            _MESSAGES,
            "FROM accounts_message m JOIN accounts_challenge c ON c.id = m.challenge_id "
            f"WHERE {_OWN_CHALLENGES} ORDER BY m.created_at",
            mine,
            prefix="m.",
        ),
        "claims": _table(
            _CLAIMS,
            "FROM accounts_recycledclaim WHERE user_id = %s AND state <> 'open' ORDER BY created_at",
            (user_id,),
        ),
        "events": _table(_EVENTS, "FROM accounts_auditevent WHERE subject = %s ORDER BY id", (principal.subject,)),
    }


def _since(user_id: int) -> datetime:
    """Return when the account got the number that it has: at its birth, or at its last change."""
    row = statements.row(
        "SELECT u.created_at, (SELECT MAX(c.closed_at) FROM accounts_challenge c WHERE c.account_id = u.id "
        "AND c.purpose = 'change_phone' AND c.status = 'verified') FROM accounts_user u WHERE u.id = %s",
        (user_id,),
    )
    assert row is not None
    return statements.as_time(row[1] or row[0])


def _table(columns: Sequence[str], rest: str, params: Sequence[Any], *, prefix: str = "") -> list[dict[str, Any]]:
    names = ", ".join(prefix + column for column in columns)
    return [
        {column: _plain(column, value) for column, value in zip(columns, row, strict=True)}
        for row in statements.rows(f"SELECT {names} {rest}", params)
    ]


def _plain(column: str, value: Any) -> Any:
    if column in _FLAGS:
        return bool(value)
    if column in _TIMES:
        found = statements.as_time_or_none(value)
        return found.isoformat() if found else None
    return value
