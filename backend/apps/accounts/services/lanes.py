"""The lanes in which a phone's wrong codes are counted: one row each, locked while a try is judged.

It must not know codes or challenges.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from apps.accounts.errors import TooManyAttempts
from apps.accounts.services import statements
from apps.accounts.services.windows import judge_try, whole_seconds

# A challenge's first tries are compared whatever its lane's limit or wait says (contract section 2).
EXCUSED_TRIES: Final = 2


@dataclass(frozen=True, slots=True)
class TryRules:
    """`per_challenge` tries of a challenge and of a code by phone alone; `per_day` failures of a lane."""

    per_challenge: int
    per_day: int


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane of a phone's failures as it stands; `now` is the database's clock."""

    name: str
    id: int
    stamps: list[int]
    since_login: int
    now: datetime


def lock(phone: str, lane: str) -> Lane:
    """Lock a lane of a phone, making it where there is none."""
    found = statements.row(
        "INSERT INTO accounts_failurelane (phone, lane, stamps, since_login) VALUES (%s, %s, '[]', 0) "
        "ON CONFLICT (phone, lane) DO UPDATE SET lane = excluded.lane "
        f"RETURNING id, stamps, since_login, {statements.now_sql()}",
        (phone, lane),
    )
    assert found is not None
    return read(lane, found)


def lock_of(challenge_id: str, lane: str) -> Lane | None:
    """Lock the lane of a challenge's phone, making it where there is none; None where there is no such challenge."""
    found = statements.row(
        "INSERT INTO accounts_failurelane (phone, lane, stamps, since_login) "
        "SELECT phone, %s, '[]', 0 FROM accounts_challenge WHERE id = %s "
        "ON CONFLICT (phone, lane) DO UPDATE SET lane = excluded.lane "
        f"RETURNING id, stamps, since_login, {statements.now_sql()}",
        (lane, challenge_id),
    )
    return None if found is None else read(lane, found)


def read(lane: str, found: tuple[Any, ...]) -> Lane:
    """Return a lane from its id, stamps, count since the last login and the present time."""
    number, stamps, since_login, now = found
    return Lane(lane, id=number, stamps=json.loads(stamps), since_login=since_login, now=statements.as_time(now))


def require_try(counted: Lane, *, now: datetime, rules: TryRules, excused: bool) -> tuple[int, ...]:
    """Return the failures that still count in a lane that may take another try.

    Raises:
        TooManyAttempts: the lane is spent, waiting or shut.
    """
    verdict = judge_try(
        counted.stamps, since_login=counted.since_login, now_ms=int(now.timestamp() * 1000), limit=rules.per_day,
        excused=excused,
    )  # fmt: skip
    if verdict.reason:
        limit = f"{counted.name.partition(':')[0]}_{verdict.reason}"  # a device's lane names its token
        raise TooManyAttempts(limit=limit, retry_after=whole_seconds(verdict.wait_ms), detail_key=verdict.reason)
    return verdict.kept


def count(counted: Lane, *, now: datetime, rules: TryRules, excused: bool) -> int:
    """Count a failure in a locked lane and return its stamp.

    Raises:
        TooManyAttempts: the lane may not take it.
    """
    now_ms = int(now.timestamp() * 1000)
    kept = require_try(counted, now=now, rules=rules, excused=excused)
    statements.run(
        "UPDATE accounts_failurelane SET stamps = %s, since_login = since_login + 1 WHERE id = %s",
        (json.dumps([*kept, now_ms]), counted.id),
    )
    return now_ms
