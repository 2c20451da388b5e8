"""The rows of signing keys. It must not know a key's inside."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from apps.accounts.services import statements

NOT_YET: Final = datetime(9000, 1, 1, tzinfo=UTC)  # `signs_from` of a standby
_LOCK: Final = 0x6F74706B  # "otpk": one maker of keys at a time
_COLUMNS: Final = "kid, algorithm, public, private, created_at, signs_from, retired_at, drops_at"


@dataclass(frozen=True, slots=True, repr=False)
class KeyRow:
    """A row; `public` is a JWK as JSON, `private` is sealed."""

    kid: str
    algorithm: str
    public: str
    private: str
    created_at: datetime
    signs_from: datetime
    retired_at: datetime | None
    drops_at: datetime | None


def usable() -> tuple[list[KeyRow], datetime]:
    """Return the rows, last to sign first, and the database's time, in one statement."""
    found = statements.rows(
        f"SELECT {_COLUMNS}, {statements.now_sql()} FROM accounts_signingkey"
        " ORDER BY signs_from DESC, created_at DESC, kid"
    )
    if not found:
        return [], datetime.now(UTC)  # nothing to judge by it
    return [_row(*row[:8]) for row in found], statements.as_time(found[0][8])


def _row(
    kid: str, algorithm: str, public: str, private: str, created: Any, signs_from: Any, retired: Any, drops: Any
) -> KeyRow:
    time, maybe = statements.as_time, statements.as_time_or_none
    return KeyRow(kid, algorithm, public, private, time(created), time(signs_from), maybe(retired), maybe(drops))


def lock() -> None:
    """Wait until no other transaction makes keys; SQLite's IMMEDIATE transactions come one at a time anyway."""
    if statements.is_postgres():
        statements.row("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def insert(*, kid: str, algorithm: str, public: str, private: str, now: datetime, signs_from: datetime) -> None:
    """Add a key."""
    statements.run(
        "INSERT INTO accounts_signingkey (kid, algorithm, public, private, created_at, signs_from)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        [kid, algorithm, public, private, now, signs_from],
    )


def retire_signing(now: datetime, *, drops_at: datetime) -> None:
    """End the signing of every key that signs; it verifies until `drops_at`."""
    statements.run(
        "UPDATE accounts_signingkey SET retired_at = %s, drops_at = %s WHERE retired_at IS NULL AND signs_from < %s",
        [now, drops_at, NOT_YET],
    )


def promote(kid: str, now: datetime) -> None:
    """Let the standby `kid` sign."""
    statements.run("UPDATE accounts_signingkey SET signs_from = %s WHERE kid = %s", [now, kid])


def drop_standbys() -> int:
    """Delete keys that never signed (standbys sealed under a former secret)."""
    return statements.run("DELETE FROM accounts_signingkey WHERE signs_from >= %s", [NOT_YET])


def drop_expired(now: datetime) -> int:
    """Delete keys that no living token was signed with."""
    return statements.run("DELETE FROM accounts_signingkey WHERE drops_at IS NOT NULL AND drops_at <= %s", [now])


def drop_all() -> int:
    """Delete every key."""
    return statements.run("DELETE FROM accounts_signingkey")
