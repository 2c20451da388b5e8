"""Erasure of deleted accounts once their time has come: nothing personal stays but a keyed hash in the audit trail.

It must not know when it is called; a caller repeats it until it returns 0. The row of the account stays, empty, for
whatever else refers to it: its opaque subject is what audit records name.
"""

import hmac
from datetime import datetime, timedelta
from typing import Final

from apps.accounts.clock import Clock
from apps.accounts.config import Config
from apps.accounts.services import audit, statements
from apps.accounts.services.sealing import derive

_DAY_MS: Final = 86_400_000


class Erasure:
    """Erases what deleted accounts leave behind. One per process; thread-safe."""

    def __init__(self, *, config: Config, clock: Clock) -> None:
        self._after = timedelta(days=config["ACCOUNT_ERASURE_DAYS"])
        self._key = derive(config.secret_key, purpose="erased-numbers")
        self._clock = clock

    def erase_due(self, batch: int = 100) -> int:
        """Erase up to `batch` accounts that were deleted ACCOUNT_ERASURE_DAYS ago, each by itself; return how many."""
        now = statements.now() + self._clock.offset
        due = statements.rows(
            "SELECT id FROM accounts_user WHERE deleted_at <= %s AND erased_at IS NULL ORDER BY deleted_at LIMIT %s",
            (now - self._after, batch),
        )
        return sum(self._erase(user_id, now) for (user_id,) in due)

    def number_hash(self, phone: str) -> str:
        """Return the keyed hash by which an erased account's number (E.164) is known again, if somebody shows it."""
        return hmac.digest(self._key, phone.encode(), "sha256").hex()

    def _erase(self, user_id: int, now: datetime) -> int:
        with statements.durable():
            row = statements.row(
                "SELECT subject, parked_phone, deleted_at FROM accounts_user WHERE id = %s AND erased_at IS NULL"
                f"{statements.for_update()}",
                (user_id,),
            )
            if row is None:  # another process was faster
                return 0
            subject, phone, deleted_at = row[0], row[1], statements.as_time(row[2])
            numbers = _numbers_of(user_id, last=phone, deleted_at=deleted_at)
            _erase_account(user_id, now)
            for number, until in numbers.items():
                _erase_number(number, until=until, now=now)
            detail = {"number": self.number_hash(phone)} if phone else {}
            audit.record("account.erased", actor="service", subject=subject, now=now, detail=detail)
        return 1


def _numbers_of(user_id: int, *, last: str, deleted_at: datetime) -> dict[str, datetime]:
    """Return every number that logged in to the account, and until when it was the account's."""
    known = statements.rows(
        "SELECT phone, max(COALESCE(revoked_at, last_used_at)) FROM accounts_devicetoken WHERE user_id = %s "
        "GROUP BY phone",
        (user_id,),
    )
    found = {number: statements.as_time(until) for number, until in known}
    return found | ({last: deleted_at} if last else {})


def _erase_account(user_id: int, now: datetime) -> None:
    """Delete what is the account's own, and empty its row."""
    own = "IN (SELECT id FROM accounts_{} WHERE user_id = %s)"
    tokens, sessions = own.format("devicetoken"), own.format("session")
    lanes = "lane IN (SELECT 'device:' || id FROM accounts_devicetoken WHERE user_id = %s)"
    _delete_challenges("account_id = %s", (user_id,))
    for sql in (
        f"DELETE FROM accounts_phoneline WHERE {lanes}",
        f"DELETE FROM accounts_failurelane WHERE {lanes}",
        "DELETE FROM accounts_recycledclaim WHERE user_id = %s",
        f"UPDATE accounts_challenge SET device_token_id = NULL WHERE device_token_id {tokens}",
        f"UPDATE accounts_challenge SET session_id = NULL WHERE session_id {sessions}",
        "DELETE FROM accounts_devicetoken WHERE user_id = %s",
        "DELETE FROM accounts_session WHERE user_id = %s",
    ):
        statements.run(sql, (user_id,))
    statements.run(
        "UPDATE accounts_user SET username = %s, password = '!', phone_number = NULL, parked_phone = '', "
        "phone_verified = %s, is_active = %s, is_staff = %s, is_superuser = %s, last_login = NULL, "
        "last_seen_at = NULL, erased_at = %s WHERE id = %s",
        (f"erased_{user_id}", False, False, False, False, now, user_id),
    )


def _erase_number(phone: str, *, until: datetime, now: datetime) -> None:
    """Delete what was kept under the number while it was the account's; what came later is somebody else's."""
    _delete_challenges("phone = %s AND created_at <= %s", (phone, until))
    statements.run("DELETE FROM accounts_message WHERE phone = %s AND created_at <= %s", (phone, until))
    statements.run(
        "DELETE FROM accounts_code WHERE phone = %s AND created_at <= %s "
        "AND NOT EXISTS (SELECT 1 FROM accounts_challenge c WHERE c.code_id = accounts_code.id)",
        (phone, until),
    )
    held = statements.row("SELECT 1 FROM accounts_user WHERE phone_number = %s", (phone,))
    if held is not None:
        return
    # Counts that still bind are kept: erasing them would give somebody a send or a guess.
    for table, column in (("accounts_phoneline", "sends"), ("accounts_failurelane", "stamps")):
        for line_id, stamps in statements.rows(f"SELECT id, {column} FROM {table} WHERE phone = %s", (phone,)):
            newest = max(statements.stamps(stamps), default=0)
            if newest < int(now.timestamp() * 1000) - _DAY_MS:
                statements.run(f"DELETE FROM {table} WHERE id = %s AND {column} = %s", (line_id, stamps))


def _delete_challenges(which: str, params: tuple[object, ...]) -> None:
    found = f"(SELECT id FROM accounts_challenge WHERE {which})"
    statements.run(f"DELETE FROM accounts_message WHERE challenge_id IN {found}", params)
    statements.run(f"DELETE FROM accounts_challenge WHERE {which}", params)
