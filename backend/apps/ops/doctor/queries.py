"""What the doctor reads from the database: counts that no configuration can tell. It must not change a row."""

from datetime import timedelta
from typing import Final

from apps.accounts.services import statements

_SETTINGS: Final = "'fsync', 'synchronous_commit', 'full_page_writes', 'max_connections', 'server_version'"


def busiest_address() -> int:
    """Return the most people whom one client address verified in one hour of the last 30 days."""
    hour = "date_trunc('hour', created_at)" if statements.is_postgres() else "strftime('%%Y%%m%%d%%H', created_at)"
    found = statements.row(
        "SELECT MAX(people) FROM (SELECT COUNT(DISTINCT phone) AS people FROM accounts_challenge "
        f"WHERE status = 'verified' AND ip <> '' AND created_at > %s GROUP BY ip, {hour}) AS hours",
        (statements.now() - timedelta(days=30),),
    )
    return int(found[0] or 0) if found else 0


def refused_by_address() -> int:
    """Return how many sends were refused in the last day because their address had used up its limit."""
    found = statements.row(
        "SELECT SUM(count) FROM accounts_minutecount WHERE name = 'refused' AND label = 'rate_limited/ip' "
        "AND minute > %s",
        (statements.now() - timedelta(days=1),),
    )
    return int(found[0] or 0) if found else 0


def server_settings() -> dict[str, str]:
    """Return what PostgreSQL says of how it keeps promises; nothing for SQLite."""
    if not statements.is_postgres():
        return {}
    return dict(statements.rows(f"SELECT name, setting FROM pg_settings WHERE name IN ({_SETTINGS})"))
