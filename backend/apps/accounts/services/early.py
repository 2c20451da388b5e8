"""Refusing a try by what is committed, without a lock: who has no chance must not queue for the rows of those who have.

It must not know what a code looks like, and counts nothing: what it lets pass is judged anew under the lock.
"""

from datetime import timedelta

from apps.accounts.errors import InvalidCode, TooManyAttempts
from apps.accounts.services import lanes, statements
from apps.accounts.services.lanes import TryRules
from apps.accounts.services.model import Purpose
from apps.accounts.services.windows import whole_seconds


def refuse_on_challenge(challenge_id: str, lane: str, *, rules: TryRules, offset: timedelta) -> None:
    """Refuse without a lock whom what is committed refuses: such calls must not queue for the rows of the others.

    Counts only grow but by a login, so whatever refuses here was a legal answer at that moment.
    """
    found = statements.row(
        "SELECT c.status, c.attempts, k.state, k.expires_at, coalesce(l.id, 0), coalesce(l.stamps, '[]'), "
        f"coalesce(l.since_login, 0), {statements.now_sql()} FROM accounts_challenge c "
        "JOIN accounts_code k ON k.id = c.code_id "
        "LEFT JOIN accounts_failurelane l ON l.phone = c.phone AND l.lane = %s WHERE c.id = %s",
        (lane, challenge_id),
    )
    if found is None:
        raise InvalidCode()
    counted = lanes.read(lane, found[4:])
    now, attempts = counted.now + offset, found[1]
    rest = statements.as_time(found[3]) - now
    left = rest if found[2] == "open" else timedelta()
    require_tries_of(found[0], attempts, left=left, rest=rest, rules=rules)
    lanes.require_try(counted, now=now, rules=rules, excused=attempts < lanes.EXCUSED_TRIES)


def refuse_on_phone(phone: str, purpose: Purpose, lane: str, *, kind: str, rules: TryRules, offset: timedelta) -> None:
    """Refuse without a lock, as `refuse_on_challenge` does."""
    found = statements.rows(
        "SELECT k.bare_attempts, k.expires_at, coalesce(l.id, 0), coalesce(l.stamps, '[]'), "
        f"coalesce(l.since_login, 0), {statements.now_sql()} FROM (SELECT 1) here "
        "LEFT JOIN accounts_failurelane l ON l.phone = %s AND l.lane = %s "
        "LEFT JOIN accounts_code k ON k.phone = %s AND k.purpose = %s AND k.scope = '' AND k.state = 'open' "
        f"AND k.kind = %s AND k.expires_at > {statements.shifted_now_sql(offset)}",
        (phone, lane, phone, purpose.value, kind),
    )
    counted = lanes.read(lane, found[0][2:])
    now = counted.now + offset
    tried = [item for item in found if item[0] is not None]
    if tried and lane == "phone" and all(item[0] >= rules.per_challenge for item in tried):
        raise used_up("phone", max(statements.as_time(item[1]) for item in tried) - now)
    lanes.require_try(counted, now=now, rules=rules, excused=False)


def require_tries_of(status: str, attempts: int, *, left: timedelta, rest: timedelta, rules: TryRules) -> None:
    """Refuse a challenge that is locked, closed or used up; `left` is its open code's life, `rest` any code's.

    Raises:
        InvalidCode, TooManyAttempts: no try of it is left.
    """
    if status == "locked" and rest > timedelta():
        raise used_up("challenge", rest)
    # `undeliverable` too: a code that arrives all the same still works.
    if status not in ("pending", "undeliverable") or left <= timedelta():
        raise InvalidCode()
    if attempts >= rules.per_challenge:
        raise used_up("challenge", rest)


def used_up(limit: str, rest: timedelta) -> TooManyAttempts:
    """Return the refusal of a `challenge`'s tries, or a code's by `phone`, that are used up while it lives on."""
    return TooManyAttempts(limit=limit, retry_after=whole_seconds(int(rest.total_seconds() * 1000)))
