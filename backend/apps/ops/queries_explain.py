"""What the database knows of one number: read for the story that support tells. It must not judge, nor change a row."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from apps.accounts.services import statements

ROWS_AT_MOST: Final = 200
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class ChallengeRow:
    id: str
    support_code: str
    purpose: str
    status: str
    attempts: int
    channel: str
    language: str
    country: str
    by_device_token: bool
    ip: str
    device_id: str
    created_at: datetime
    closed_at: datetime | None
    code_id: str


@dataclass(frozen=True, slots=True)
class CodeRow:
    id: str
    purpose: str
    kind: str
    state: str
    bare_attempts: int
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    operator: str
    note: str


@dataclass(frozen=True, slots=True)
class MessageRow:
    cause: str
    provider: str
    channel: str
    state: str
    error_kind: str
    error_code: str
    latency_ms: int | None
    created_at: datetime
    receipt_at: datetime | None
    vendor_id: str


@dataclass(frozen=True, slots=True)
class SessionRow:
    id: str
    amr: str
    device_name: str
    note: str
    created_at: datetime
    last_used_at: datetime
    revoked_at: datetime | None
    revoked_reason: str


@dataclass(frozen=True, slots=True)
class AccountRow:
    id: int
    subject: str
    role: str
    is_active: bool
    created_at: datetime
    last_seen_at: datetime | None


@dataclass(frozen=True, slots=True)
class LaneRow:
    lane: str
    stamps: tuple[datetime, ...]
    since_login: int


@dataclass(frozen=True, slots=True)
class BlockRow:
    type: str
    value: str
    note: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    lifted_at: datetime | None


@dataclass(frozen=True, slots=True)
class RefusalRow:
    code: str
    scope: str
    count: int
    hour: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class AuditRow:
    at: datetime
    event: str
    actor: str
    note: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True, repr=False)
class Story:
    """Everything that is known of a number since `since`."""

    phone: str
    now: datetime
    since: datetime
    account: AccountRow | None
    challenges: tuple[ChallengeRow, ...]
    codes: tuple[CodeRow, ...]
    messages: tuple[MessageRow, ...]
    sends: tuple[datetime, ...]
    lanes: tuple[LaneRow, ...]
    sessions: tuple[SessionRow, ...]
    blocks: tuple[BlockRow, ...]
    refusals: tuple[RefusalRow, ...]
    audit: tuple[AuditRow, ...]


def phone_of(q: str) -> tuple[str, datetime] | None:
    """Return the number and the time of the newest challenge with this id or support code (as `K7QM-2F9D`)."""
    found = statements.row(
        "SELECT phone, created_at FROM accounts_challenge WHERE id = %s OR support_code = %s "
        "ORDER BY created_at DESC LIMIT 1",
        (q, q),
    )
    return (str(found[0]), statements.as_time(found[1])) if found else None


def story(phone: str, *, phone_key: str, since: datetime, offset: timedelta) -> Story:
    """Read what is known of `phone` since then, each kind newest first and at most 200 of it."""
    now = statements.now() + offset
    account = _account(phone)
    challenges = _challenges(phone, since)
    return Story(
        phone=phone,
        now=now,
        since=since,
        account=account,
        challenges=challenges,
        codes=_codes(phone, since),
        messages=_messages(phone, since),
        sends=_sends(phone),
        lanes=_lanes(phone),
        sessions=_sessions(account.id, since) if account else (),
        blocks=_blocks(phone, challenges),
        refusals=_refusals(phone_key, since),
        audit=_audit(account.subject, since) if account else (),
    )


def _account(phone: str) -> AccountRow | None:
    found = statements.row(
        "SELECT id, subject, role, is_active, created_at, last_seen_at FROM accounts_user WHERE phone_number = %s",
        (phone,),
    )
    if found is None:
        return None
    return _read(AccountRow, [found])[0]


def _challenges(phone: str, since: datetime) -> tuple[ChallengeRow, ...]:
    found = statements.rows(
        "SELECT id, support_code, purpose, status, attempts, channel, language, country, device_token_id IS NOT NULL, "
        "ip, device_id, created_at, closed_at, code_id FROM accounts_challenge WHERE phone = %s AND created_at > %s "
        "ORDER BY created_at DESC LIMIT %s",
        (phone, since, ROWS_AT_MOST),
    )
    return _read(ChallengeRow, found)


def _codes(phone: str, since: datetime) -> tuple[CodeRow, ...]:
    # By the challenges' index: codes have none of their own for a number that is not open any more.
    found = statements.rows(
        "SELECT id, purpose, kind, state, bare_attempts, created_at, expires_at, used_at, operator, note "
        "FROM accounts_code WHERE id IN (SELECT code_id FROM accounts_challenge WHERE phone = %s AND created_at > %s) "
        "ORDER BY created_at DESC LIMIT %s",
        (phone, since, ROWS_AT_MOST),
    )
    return _read(CodeRow, found)


def _messages(phone: str, since: datetime) -> tuple[MessageRow, ...]:
    # Within one tick of the clock a try that failed came before the one that was made because of it.
    found = statements.rows(
        "SELECT cause, provider, channel, state, error_kind, error_code, latency_ms, created_at, receipt_at, vendor_id "
        "FROM accounts_message WHERE challenge_id IN (SELECT id FROM accounts_challenge WHERE phone = %s "
        "AND created_at > %s) ORDER BY created_at DESC, CASE state WHEN 'failed' THEN 0 ELSE 1 END LIMIT %s",
        (phone, since, ROWS_AT_MOST),
    )
    return _read(MessageRow, found)


def _sends(phone: str) -> tuple[datetime, ...]:
    found = statements.row("SELECT sends FROM accounts_phoneline WHERE phone = %s AND lane = ''", (phone,))
    return _stamps(found[0]) if found else ()


def _lanes(phone: str) -> tuple[LaneRow, ...]:
    found = statements.rows(
        "SELECT lane, stamps, since_login FROM accounts_failurelane WHERE phone = %s ORDER BY lane", (phone,)
    )
    return tuple(LaneRow(item[0].partition(":")[0], _stamps(item[1]), item[2]) for item in found)


def _sessions(user_id: int, since: datetime) -> tuple[SessionRow, ...]:
    found = statements.rows(
        "SELECT id, amr, device_name, note, created_at, last_used_at, revoked_at, revoked_reason FROM accounts_session "
        "WHERE user_id = %s AND (created_at > %s OR last_used_at > %s OR revoked_at > %s) "
        "ORDER BY created_at DESC LIMIT %s",
        (user_id, since, since, since, ROWS_AT_MOST),
    )
    return _read(SessionRow, found)


def _blocks(phone: str, challenges: tuple[ChallengeRow, ...]) -> tuple[BlockRow, ...]:
    prefixes = [phone[:end] for end in range(2, len(phone) + 1)]
    devices = sorted({row.device_id for row in challenges if row.device_id})[:20]
    addresses = sorted({row.ip for row in challenges if row.ip})[:20]
    found: list[tuple[Any, ...]] = []
    for kind, values in (("phone", [phone]), ("prefix", prefixes), ("device", devices), ("ip", addresses)):
        if values:
            found += statements.rows(
                "SELECT type, value, note, created_by, created_at, expires_at, lifted_at FROM accounts_block "
                f"WHERE type = %s AND value IN ({', '.join(['%s'] * len(values))})",
                (kind, *values),
            )
    return _read(BlockRow, found)


def _refusals(phone_key: str, since: datetime) -> tuple[RefusalRow, ...]:
    found = statements.rows(
        "SELECT code, scope, count, hour, last_at FROM accounts_refusedsend WHERE phone_key = %s AND last_at > %s "
        "ORDER BY last_at DESC LIMIT %s",
        (phone_key, since, ROWS_AT_MOST),
    )
    return _read(RefusalRow, found)


def _audit(subject: str, since: datetime) -> tuple[AuditRow, ...]:
    found = statements.rows(
        "SELECT at, event, actor, note, detail FROM accounts_auditevent WHERE subject = %s AND at > %s "
        "ORDER BY at DESC LIMIT %s",
        (subject, since, ROWS_AT_MOST),
    )
    return _read(AuditRow, found)


def _stamps(text: str) -> tuple[datetime, ...]:
    return tuple(datetime.fromtimestamp(stamp / 1000, tz=UTC) for stamp in json.loads(text))


_CONVERTED: Final[Mapping[Any, Callable[[Any], Any]]] = {
    datetime: statements.as_time,
    datetime | None: statements.as_time_or_none,
    bool: bool,
    dict[str, Any]: json.loads,
}


def _read(kind: type[Row], found: Sequence[tuple[Any, ...]]) -> tuple[Row, ...]:
    """Return rows whose columns are the fields of `kind`, in their order."""
    converters = [_CONVERTED.get(one.type) for one in fields(kind)]  # type: ignore[arg-type]  # a dataclass
    return tuple(
        kind(*(convert(value) if convert else value for convert, value in zip(converters, item, strict=True)))
        for item in found
    )
