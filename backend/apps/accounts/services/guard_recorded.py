"""What was sent in days gone by, one message at a time, as the replay needs it. It must not know a policy."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from apps.accounts.prices import PriceTable
from apps.accounts.services import guard_stats, statements
from apps.accounts.services.guard_policy import GuardPolicy


@dataclass(frozen=True, slots=True, repr=False)
class Sent:
    """One recorded message; times are epoch seconds, `verified_at` is when its code was used."""

    at: float
    code: str
    country: str
    prefix: str
    tail: int
    network: str
    cost: int  # micro-units
    verified_at: float | None
    trusted: bool = False  # a known device asked, or nobody did: only budgets stop it


def recorded(since: datetime, until: datetime, prices: PriceTable) -> list[Sent]:
    """Return what gateways took, or may have taken, between two times, oldest first; read day by day."""
    found: list[Sent] = []
    while since < until:
        end = min(until, since + timedelta(days=1))
        found += _recorded(since, end, prices)
        since = end
    return found


def _recorded(since: datetime, until: datetime, prices: PriceTable) -> list[Sent]:
    rows = statements.rows(
        "SELECT m.created_at, m.code_id, m.country, m.phone, m.channel, m.cause, m.id, c.ip, c.device_token_id, "
        "k.state, k.used_at FROM accounts_message m LEFT JOIN accounts_code k ON k.id = m.code_id "
        "LEFT JOIN accounts_challenge c ON c.id = m.challenge_id WHERE m.created_at > %s AND m.created_at <= %s "
        "AND NOT (m.state = 'failed' AND m.vendor_id = '') ORDER BY m.created_at",
        (since, until),
    )
    return [_sent(row, prices) for row in rows]


def _sent(row: tuple[Any, ...], prices: PriceTable) -> Sent:
    at, code, country, phone, channel, cause, message_id, ip, device_token, state, used_at = row
    sent_at = statements.as_time(at).timestamp()
    used = statements.as_time(used_at).timestamp() if state == "used" and used_at is not None else None
    return Sent(
        at=sent_at,
        code=code or message_id,
        country=country,
        prefix=phone[:-4],
        tail=int(phone[-4:]),
        network=guard_stats.network_of(ip or ""),
        cost=prices.of(country, channel),
        verified_at=None if used is None else max(used, sent_at),
        trusted=device_token is not None or cause not in ("request", "resend"),
    )


def hours_before(at: datetime, policy: GuardPolicy) -> dict[str, list[tuple[float, int, int]]]:
    """Return the hours that were counted before `at`, by country."""
    found: dict[str, list[tuple[float, int, int]]] = defaultdict(list)
    for country, hour, codes, verified in statements.rows(
        "SELECT country, hour, codes, verified FROM accounts_guardhour WHERE country <> '' AND hour >= %s "
        "AND hour < %s",
        (at - timedelta(days=policy.history_days), at.replace(minute=0, second=0, microsecond=0)),
    ):
        found[country].append((statements.as_time(hour).timestamp(), codes, verified))
    return found
