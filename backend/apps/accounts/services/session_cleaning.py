"""Small batches of forgetting: sealed answers after their grace, sessions and device tokens long after their end.

It must not know when it is called; a caller repeats each until it returns 0.
"""

from datetime import datetime, timedelta

from apps.accounts.services import statements


def clear_successors(*, now: datetime, grace_seconds: int, limit: int = 500) -> int:
    """Forget sealed answers whose grace has passed; return how many.

    The time is asked twice: of a session that is refreshed at this moment only the outer question sees the new answer.
    """
    edge = now - timedelta(seconds=grace_seconds)
    return statements.run(
        "UPDATE accounts_session SET successor = '' WHERE id IN"
        " (SELECT id FROM accounts_session WHERE successor <> '' AND rotated_at < %s LIMIT %s) AND rotated_at < %s",
        [edge, limit, edge],
    )


def drop_ended_sessions(*, before: datetime, limit: int = 500) -> int:
    """Delete sessions whose absolute end was before `before`; device tokens outlive them. Return how many."""
    with statements.durable():
        ended = statements.rows("SELECT id FROM accounts_session WHERE expires_at < %s LIMIT %s", [before, limit])
        if not ended:
            return 0
        marks, ids = ", ".join(["%s"] * len(ended)), [row[0] for row in ended]
        for table in ("accounts_devicetoken", "accounts_challenge"):
            statements.run(f"UPDATE {table} SET session_id = NULL WHERE session_id IN ({marks})", ids)
        return statements.run(f"DELETE FROM accounts_session WHERE id IN ({marks})", ids)


def drop_dead_device_tokens(*, before: datetime, limit: int = 500) -> int:
    """Delete device tokens that were ended, or last rotated, before `before`; return how many.

    Those of an account that has been silent for as long stay: they are how its owner is told from whoever has the
    number now. One that a challenge still names stays until that is gone.
    """
    with statements.durable():
        dead = statements.rows(
            "SELECT d.id FROM accounts_devicetoken d JOIN accounts_user u ON u.id = d.user_id"
            " WHERE (d.revoked_at < %s OR (d.last_used_at < %s AND u.last_seen_at >= %s))"
            " AND NOT EXISTS (SELECT 1 FROM accounts_challenge c WHERE c.device_token_id = d.id) LIMIT %s"
            + statements.for_deletion("d"),
            [before, before, before, limit],
        )
        if not dead:
            return 0
        # Asked once more, as a challenge may have come before the lock; none can come after it.
        return statements.run(
            f"DELETE FROM accounts_devicetoken WHERE id IN ({', '.join(['%s'] * len(dead))})"
            " AND NOT EXISTS (SELECT 1 FROM accounts_challenge c WHERE c.device_token_id = accounts_devicetoken.id)",
            [row[0] for row in dead],
        )
