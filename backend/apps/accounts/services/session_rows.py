"""The statements of sessions, by hand: one to open, one to read, one to rotate, one to note first use, a few to end.

It must not know a token or a rule; the same text runs on both databases.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from apps.accounts.services import statements
from apps.accounts.services.session_types import DeviceFacts, Person, SessionView

_PERSON: Final = "u.id, u.username, u.phone_number, u.role, u.phone_verified, u.subject, u.is_test"
_STATE: Final = (
    "s.revoked_at, u.is_active, u.deleted_at, s.generation, s.used_generation, s.last_used_at, s.expires_at,"
    " s.auth_time, s.amr, s.is_test, s.device_id"
)
_ROTATION: Final = "s.refresh_hash, s.previous_hash, s.rotated_at, s.successor, u.last_seen_at"
_TABLES: Final = "accounts_session s JOIN accounts_user u ON u.id = s.user_id"


@dataclass(frozen=True, slots=True, repr=False)
class State:
    """A session and its account at one moment; `now` is the database's."""

    id: str
    person: Person
    ended: bool  # revoked, or the account is disabled or deleted
    generation: int
    used_generation: int
    last_used_at: datetime
    expires_at: datetime
    auth_time: datetime
    amr: tuple[str, ...]
    is_test: bool
    device_id: str
    now: datetime


@dataclass(frozen=True, slots=True, repr=False)
class Rotation:
    """What a refresh is judged by: the hashes of the live and the former refresh token, and the sealed answer."""

    state: State
    refresh_hash: str
    previous_hash: str
    rotated_at: datetime | None
    successor: str
    last_seen_at: datetime | None


@dataclass(frozen=True, slots=True, repr=False)
class Turn:
    """One step of a session from the refresh token it has to the next."""

    old_hash: str
    new_hash: str
    successor: str


def _state(session_id: str, row: tuple[Any, ...], now: datetime) -> State:
    number, username, phone, role, verified, subject, is_test = row[:7]
    revoked_at, active, deleted_at, generation, used, last_used, expires, auth_time, amr, test, device = row[7:18]
    return State(
        id=session_id,
        person=Person(number, username, phone, role, bool(verified), subject, bool(is_test)),
        ended=revoked_at is not None or deleted_at is not None or not active,
        generation=generation,
        used_generation=used,
        last_used_at=statements.as_time(last_used),
        expires_at=statements.as_time(expires),
        auth_time=statements.as_time(auth_time),
        amr=tuple(amr.split(",")),
        is_test=bool(test),
        device_id=device,
        now=now,
    )


def read(session_id: str) -> State | None:
    """Read what an access token's session is worth now."""
    row = statements.row(
        f"SELECT {_PERSON}, {_STATE}, {statements.now_sql()} FROM {_TABLES} WHERE s.id = %s", [session_id]
    )
    return _state(session_id, row, statements.as_time(row[18])) if row else None


def read_rotation(session_id: str) -> Rotation | None:
    """Read what a refresh is judged by."""
    row = statements.row(
        f"SELECT {_PERSON}, {_STATE}, {statements.now_sql()}, {_ROTATION} FROM {_TABLES} WHERE s.id = %s", [session_id]
    )
    if row is None:
        return None
    live, former, rotated_at, successor, seen = row[19:24]
    return Rotation(
        state=_state(session_id, row, statements.as_time(row[18])),
        refresh_hash=live,
        previous_hash=former,
        rotated_at=statements.as_time_or_none(rotated_at),
        successor=successor,
        last_seen_at=statements.as_time_or_none(seen),
    )


def insert(
    session_id: str,
    *,
    user_id: int,
    device: DeviceFacts,
    amr: str,
    is_test: bool,
    note: str,
    refresh_hash: str,
    now: datetime,
    expires_at: datetime,
) -> None:
    """Add a session in the caller's transaction."""
    statements.run(
        "INSERT INTO accounts_session (id, user_id, device_id, device_name, ip, user_agent, amr, is_test, note,"
        " refresh_hash, created_at, auth_time, last_used_at, expires_at, generation, used_generation, previous_hash,"
        " successor, revoked_reason)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 0, 0, '', '', '')",
        [
            session_id, user_id, device.device_id[:128], device.device_name[:128], device.ip[:45],
            device.user_agent[:256], amr[:32], is_test, note[:255], refresh_hash, now, now, now, expires_at,
        ],
    )  # fmt: skip


def rotate(state: State, turn: Turn, *, now: datetime) -> bool:
    """Take the turn at `now` if the session still has the old refresh token and lives; say whether it was taken."""
    return bool(
        statements.run(
            "UPDATE accounts_session SET generation = %s, used_generation = %s, refresh_hash = %s, previous_hash = %s,"
            " rotated_at = %s, successor = %s, last_used_at = %s"
            " WHERE id = %s AND refresh_hash = %s AND revoked_at IS NULL",
            [
                state.generation + 1, state.generation, turn.new_hash, turn.old_hash,
                now, turn.successor, now, state.id, turn.old_hash,
            ],
        )
    )  # fmt: skip


def note_use(session_id: str, generation: int, now: datetime) -> None:
    """Record that a token of `generation` was used here: its answer did arrive. Happens once per generation."""
    statements.run(
        "UPDATE accounts_session SET used_generation = %s, last_used_at = %s"
        " WHERE id = %s AND used_generation < %s AND revoked_at IS NULL",
        [generation, now, session_id, generation],
    )


def touch_account(user_id: int, now: datetime) -> None:
    """Move the end of an account's silence forward."""
    statements.run(
        "UPDATE accounts_user SET last_seen_at = %s WHERE id = %s AND (last_seen_at IS NULL OR last_seen_at < %s)",
        [now, user_id, now],
    )


_REVOKE: Final = "UPDATE accounts_session SET revoked_at = {now}, revoked_reason = %s, successor = ''"


def revoke_one(session_id: str, *, reason: str, user_id: int | None = None) -> bool:
    """End one live session, of `user_id` only if given; say whether there was one."""
    owner, params = ("", []) if user_id is None else (" AND user_id = %s", [user_id])
    sql = _REVOKE.format(now=statements.now_sql()) + f" WHERE id = %s AND revoked_at IS NULL{owner}"
    return bool(statements.run(sql, [reason[:32], session_id, *params]))


def revoke_all(user_id: int, *, reason: str, except_id: str = "") -> int:
    """End all live sessions of an account but `except_id`; return how many there were."""
    sql = _REVOKE.format(now=statements.now_sql()) + " WHERE user_id = %s AND revoked_at IS NULL AND id <> %s"
    return statements.run(sql, [reason[:32], user_id, except_id])


def lock_live(session_id: str, user_id: int) -> bool:
    """Lock a session of this account until the transaction ends; say whether nobody has ended it."""
    sql = f"SELECT revoked_at FROM accounts_session WHERE id = %s AND user_id = %s{statements.for_update()}"
    row = statements.row(sql, [session_id, user_id])
    return row is not None and row[0] is None


def owner(session_id: str) -> tuple[int, str] | None:
    """Return the account id and subject of a session, live or not."""
    return statements.row(f"SELECT u.id, u.subject FROM {_TABLES} WHERE s.id = %s", [session_id])


def subject_of(user_id: int) -> str:
    """Return an account's subject, empty if it is gone."""
    row = statements.row("SELECT subject FROM accounts_user WHERE id = %s", [user_id])
    return str(row[0]) if row else ""


def live(user_id: int, *, current: str, now: datetime, idle_since: datetime) -> list[SessionView]:
    """Return an account's living sessions, last used first, at most 200."""
    found = statements.rows(
        "SELECT id, device_name, ip, user_agent, created_at, last_used_at FROM accounts_session"
        " WHERE user_id = %s AND revoked_at IS NULL AND expires_at > %s AND last_used_at > %s"
        " ORDER BY last_used_at DESC LIMIT 200",
        [user_id, now, idle_since],
    )
    return [
        SessionView(
            id=row[0],
            device_name=row[1],
            ip=row[2],
            user_agent=row[3],
            created_at=statements.as_time(row[4]),
            last_used_at=statements.as_time(row[5]),
            current=row[0] == current,
        )
        for row in found
    ]
