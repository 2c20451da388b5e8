"""Who asked for a login code between two times, and what became of it. It must not judge, nor change a row."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from apps.accounts.services import attempts, statements


@dataclass(frozen=True, slots=True, repr=False)
class Asked:
    """One number's requests between two times. `in_at` is its first login after the first of them."""

    phone: str
    first_at: datetime
    in_at: datetime | None
    language: str
    wrong: bool
    taken: bool  # a gateway took a message, or may have
    delivered: bool


@dataclass(frozen=True, slots=True, repr=False)
class Refused:
    """A number that we refused for want of a gateway."""

    phone: str
    at: datetime


# Each number's first login is found by its own challenges (an index on number and time), not by all used codes.
_ASKED: Final = """
WITH asked AS (
    SELECT c.phone AS phone, min(c.created_at) AS first_at, max(c.language) AS language,
        max(CASE WHEN c.attempts > 0 OR c.status = 'locked' THEN 1 ELSE 0 END) AS wrong
    FROM accounts_challenge c JOIN accounts_code k ON k.id = c.code_id
    WHERE c.created_at >= %s AND c.created_at < %s AND c.purpose = 'login' AND k.kind = 'sent' GROUP BY c.phone
), sent AS (
    SELECT c.phone AS phone, max(CASE WHEN m.state <> 'failed' THEN 1 ELSE 0 END) AS taken,
        max(CASE WHEN m.state = 'delivered' THEN 1 ELSE 0 END) AS delivered
    FROM accounts_challenge c JOIN accounts_message m ON m.challenge_id = c.id
    WHERE c.created_at >= %s AND c.created_at < %s AND c.purpose = 'login' GROUP BY c.phone
)
SELECT a.phone, a.first_at, (
        SELECT min(k.used_at) FROM accounts_challenge o JOIN accounts_code k ON k.id = o.code_id
        WHERE o.phone = a.phone AND k.state = 'used' AND k.purpose = 'login' AND k.used_at >= a.first_at
    ), a.language, a.wrong, coalesce(s.taken, 0), coalesce(s.delivered, 0)
FROM asked a LEFT JOIN sent s ON s.phone = a.phone ORDER BY a.first_at, a.phone
"""


def asked(since: datetime, until: datetime) -> list[Asked]:
    """Return every number that asked for a login code in [since, until), by its first request."""
    found = statements.rows(_ASKED, (since, until, since, until))
    return [
        Asked(
            phone=item[0],
            first_at=statements.as_time(item[1]),
            in_at=statements.as_time_or_none(item[2]),
            language=item[3],
            wrong=bool(item[4]),
            taken=bool(item[5]),
            delivered=bool(item[6]),
        )
        for item in found
    ]


def refused(since: datetime, until: datetime) -> list[Refused]:
    """Return every number that was refused in [since, until) because of us, at the last time that it was."""
    found = statements.rows(
        "SELECT phone, min(last_at) FROM accounts_refusedsend WHERE phone <> '' AND last_at >= %s AND last_at < %s "
        "GROUP BY phone",
        (since, until),
    )
    return [Refused(phone=item[0], at=statements.as_time(item[1])) for item in found]


def first_login(phone: str, since: datetime) -> datetime | None:
    """Return when this number first logged in after `since`."""
    found = statements.row(
        "SELECT min(k.used_at) FROM accounts_challenge c JOIN accounts_code k ON k.id = c.code_id "
        "WHERE c.phone = %s AND k.state = 'used' AND k.purpose = 'login' AND k.used_at >= %s",
        (phone, since),
    )
    return statements.as_time_or_none(found[0]) if found else None


def vendor_tries(vendor: str, since: datetime, until: datetime) -> list[tuple[object, ...]]:
    """Return what a gateway's support needs of each try: ids, times and error classes, and no number."""
    return [
        (
            item[0],
            item[1],
            statements.as_time(item[2]).isoformat(timespec="milliseconds"),
            *item[3:8],
            statements.as_time(item[8]).isoformat(timespec="milliseconds") if item[8] else "",
        )
        for item in statements.rows(
            "SELECT id, vendor_id, created_at, channel, state, error_kind, error_code, latency_ms, receipt_at "
            "FROM accounts_message WHERE provider = %s AND created_at >= %s AND created_at < %s AND error_kind <> %s "
            "ORDER BY created_at",
            (vendor, since, until, attempts.NEVER_CALLED),
        )
    ]
