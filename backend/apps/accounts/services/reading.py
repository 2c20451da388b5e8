"""What is known of a challenge: read it, say whether it is open, sum up what is known of its delivery.

It changes nothing, and must not know who asks or how an answer looks.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.accounts.errors import InvalidCode
from apps.accounts.services import statements
from apps.accounts.services.challenges import read_code
from apps.accounts.services.model import OpenCode, Purpose


@dataclass(frozen=True, slots=True)
class Known:
    """A challenge as stored, with its code and the phone's common line."""

    id: str
    phone: str
    purpose: Purpose
    scope: str
    account_id: int | None
    device_token_id: str
    status: str
    attempts: int
    channel: str
    language: str
    support_code: str
    code: OpenCode
    code_state: str
    now: datetime
    sends: list[int]
    messages: tuple[tuple[str, datetime], ...]  # state and time of each try, oldest first

    @property
    def is_open(self) -> bool:
        """Say whether a right code would still be taken."""
        alive = self.code_state == "open" and self.code.expires_at > self.now
        return alive and self.status in ("pending", "undeliverable")

    @property
    def shown_status(self) -> str:
        """Return the status of contract section 1."""
        if self.status == "failed" or (self.status == "pending" and not self.is_open):
            return "expired"
        return self.status


def read(challenge_id: str, *, offset: timedelta) -> Known | None:
    """Read one challenge with everything that its answer shows, in two statements."""
    found = statements.row(
        "SELECT c.id, c.phone, c.purpose, c.scope, c.account_id, c.device_token_id, c.status, c.attempts, c.channel, "
        "c.language, c.support_code, k.state, l.sends, "
        f"{statements.now_sql()}, k.id, k.nonce, k.key_id, k.kind, k.created_at, k.expires_at, k.minted_by, "
        "k.own_code_sent FROM accounts_challenge c JOIN accounts_code k ON k.id = c.code_id "
        "LEFT JOIN accounts_phoneline l ON l.phone = c.phone AND l.lane = "
        "CASE WHEN k.kind = 'test' THEN 'test' WHEN c.device_token_id IS NULL THEN '' "
        "ELSE 'device:' || c.device_token_id END WHERE c.id = %s",
        (challenge_id,),
    )
    if found is None:
        return None
    tries = statements.rows(
        "SELECT state, created_at FROM accounts_message WHERE challenge_id = %s ORDER BY created_at", (challenge_id,)
    )
    return Known(
        id=found[0], phone=found[1], purpose=Purpose(found[2]), scope=found[3], account_id=found[4],
        device_token_id=found[5] or "", status=found[6], attempts=found[7], channel=found[8], language=found[9],
        support_code=found[10], code_state=found[11], sends=json.loads(found[12] or "[]"),
        now=statements.as_time(found[13]) + offset, code=read_code(found[14:22]),
        messages=tuple((state, statements.as_time(at)) for state, at in tries),
    )  # fmt: skip


def phone_of(challenge_id: str) -> str:
    """Return the number of a challenge, or empty."""
    found = statements.row("SELECT phone FROM accounts_challenge WHERE id = %s", (challenge_id,))
    return str(found[0]) if found else ""


def has_open_code(phone: str, purpose: Purpose, scope: str, *, kind: str, offset: timedelta) -> bool:
    """Say whether a resend would find anything to send again."""
    found = statements.row(
        "SELECT 1 FROM accounts_code WHERE phone = %s AND purpose = %s AND scope = %s AND kind = %s AND state = 'open' "
        f"AND expires_at > {statements.shifted_now_sql(offset)}",
        (phone, purpose.value, scope, kind),
    )
    return found is not None


def delivery(messages: tuple[tuple[str, datetime], ...], *, now: datetime, patience: float, test: bool = False) -> str:
    """Sum the tries up: what is known of the code's way to the person.

    A try that was never finished reads `unknown` once `patience` seconds have passed: its process died.
    """
    if test:
        return "delivered"
    states = {
        "unknown" if state == "sending" and (now - at).total_seconds() > patience else state for state, at in messages
    }
    for state in ("delivered", "accepted", "sending", "unknown"):
        if state in states:
            return state
    return "failed" if states else "sending"


def require_open(known: Known | None) -> Known:
    """Return an open challenge.

    Raises:
        InvalidCode: unknown, closed or expired: one answer for all.
    """
    if known is None or not known.is_open:
        raise InvalidCode()
    return known
