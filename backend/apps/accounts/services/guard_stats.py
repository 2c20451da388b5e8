"""What the guard reads of the past: codes of the last hour, hours that were counted, money that was spent.

It must not know what is decided. Hours are counted once they are over, so that the past costs a few rows an hour
however much was sent in it, and outlives the messages.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from apps.accounts.prices import PriceTable
from apps.accounts.services import statements
from apps.accounts.services.addresses import ip_networks
from apps.accounts.services.guard_evidence import Asked, Hour, Past, past_of
from apps.accounts.services.guard_policy import GuardPolicy

# A code of the last minute of an hour may be verified in the next one.
FINAL_AFTER: Final = timedelta(minutes=20)
HOURS_AT_ONCE: Final = 48
# Where more is sent in an hour, less than an hour says enough.
MOST_MESSAGES: Final = 12_000
KEPT_DAYS: Final = 400
_HOUR: Final = timedelta(hours=1)
_WEEK: Final = timedelta(days=7)
# What a gateway definitely did not take costs nothing and says nothing; what it refused as fraud says a lot.
_TAKEN: Final = "NOT (m.state = 'failed' AND m.vendor_id = '')"
_BY_A_PERSON: Final = "m.cause IN ('request', 'resend', 'receipt')"


def recent(since: datetime) -> list[Asked]:
    """Return the codes of the newest messages after `since`, oldest first; not those asked for by known devices."""
    rows = statements.rows(
        "SELECT m.code_id, m.created_at, m.country, m.phone, c.ip, k.state, m.error_kind FROM accounts_message m "
        "JOIN accounts_code k ON k.id = m.code_id LEFT JOIN accounts_challenge c ON c.id = m.challenge_id "
        f"WHERE m.created_at > %s AND {_BY_A_PERSON} AND k.kind = 'sent' AND c.device_token_id IS NULL "
        f"AND ({_TAKEN} OR m.error_kind = 'fraud_suspected') "
        "ORDER BY m.created_at DESC LIMIT %s",
        (since, MOST_MESSAGES),
    )
    stories: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for row in reversed(rows):
        stories[row[0]].append(row)
    return [_asked(messages) for messages in stories.values()]


def _asked(messages: Sequence[tuple[Any, ...]]) -> Asked:
    _, _, country, phone, ip, state, _ = messages[0]
    return Asked(
        country=country,
        prefix=phone[:-4],
        tail=int(phone[-4:]),
        network=network_of(ip or ""),
        sent=tuple(statements.as_time(message[1]).timestamp() for message in messages),
        verified=state == "used",
        frauds=sum(message[6] == "fraud_suspected" for message in messages),
    )


@lru_cache(maxsize=4096)
def network_of(ip: str) -> str:
    """Return what a client counts as; empty for none."""
    return ip_networks(ip)[0] if ip else ""


def pasts(now: datetime, policy: GuardPolicy) -> dict[str, Past]:
    """Return what was usual in each country, from the hours before the present evidence."""
    until = now - timedelta(seconds=policy.evidence) - _HOUR
    rows = statements.rows(
        "SELECT country, hour, codes, verified FROM accounts_guardhour WHERE country <> '' AND hour > %s "
        "AND hour <= %s",
        (now - timedelta(days=policy.history_days), until),
    )
    hours: dict[str, list[Hour]] = defaultdict(list)
    for country, hour, codes, verified in rows:
        at = statements.as_time(hour)
        hours[country].append(Hour(at.date().toordinal(), codes, verified, at > now - _WEEK))
    return {country: past_of(found, policy) for country, found in hours.items()}


def count_hours(now: datetime, *, days: int, prices: PriceTable) -> int:
    """Count the present hour, and those of the last `days` that were not counted for good; return how many."""
    current = now.replace(minute=0, second=0, microsecond=0)
    earliest = _earliest(current - timedelta(days=days))
    if earliest is None:
        return 0
    final = {
        statements.as_time(hour)
        for (hour,) in statements.rows(
            "SELECT hour FROM accounts_guardhour WHERE country = '' AND final AND hour >= %s", (earliest,)
        )
    }
    due: list[datetime] = []
    hour = current
    while hour >= earliest and len(due) < HOURS_AT_ONCE:
        if hour not in final:
            due.append(hour)
        hour -= _HOUR
    for hour in due:
        _count(hour, final=now >= hour + _HOUR + FINAL_AFTER, prices=prices)
    return len(due)


def _earliest(at_most: datetime) -> datetime | None:
    found = statements.row("SELECT MIN(created_at) FROM accounts_message WHERE created_at >= %s", (at_most,))
    if found is None or found[0] is None:
        return None
    return statements.as_time(found[0]).replace(minute=0, second=0, microsecond=0)


def _count(hour: datetime, *, final: bool, prices: PriceTable) -> None:
    rows = statements.rows(
        "SELECT m.country, m.channel, COUNT(*), "
        f"COUNT(DISTINCT CASE WHEN k.kind = 'sent' AND {_BY_A_PERSON} THEN m.code_id END), "
        f"COUNT(DISTINCT CASE WHEN k.kind = 'sent' AND {_BY_A_PERSON} AND k.state = 'used' THEN m.code_id END) "
        "FROM accounts_message m LEFT JOIN accounts_code k ON k.id = m.code_id "
        f"WHERE m.created_at >= %s AND m.created_at < %s AND {_TAKEN} GROUP BY m.country, m.channel",
        (hour, hour + _HOUR),
    )
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for country, channel, messages, codes, verified in rows:
        for place, value in enumerate((codes, verified, messages, messages * prices.of(country, channel))):
            sums[country][place] += value
    with statements.durable():
        for country, found in {**sums, "": [0, 0, 0, 0]}.items():
            statements.run(
                "INSERT INTO accounts_guardhour (hour, country, codes, verified, messages, spent, final) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (hour, country) DO UPDATE SET codes = excluded.codes, "
                "verified = excluded.verified, messages = excluded.messages, spent = excluded.spent, "
                "final = excluded.final",
                (hour, country, *found, final),
            )


def spent_today(now: datetime, prices: PriceTable) -> tuple[dict[str, int], dict[str, int]]:
    """Return the micro-units spent and the messages sent since midnight (UTC, the database's clock), by country."""
    current = now.replace(minute=0, second=0, microsecond=0)
    money: dict[str, int] = defaultdict(int)
    messages: dict[str, int] = defaultdict(int)
    for country, spent, count in statements.rows(
        "SELECT country, SUM(spent), SUM(messages) FROM accounts_guardhour WHERE hour >= %s AND hour < %s "
        "AND country <> '' GROUP BY country",
        (midnight(now), current),
    ):
        money[country] += int(spent)
        messages[country] += int(count)
    for country, channel, count in statements.rows(
        f"SELECT m.country, m.channel, COUNT(*) FROM accounts_message m WHERE m.created_at >= %s AND {_TAKEN} "
        "GROUP BY m.country, m.channel",
        (current,),
    ):
        money[country] += count * prices.of(country, channel)
        messages[country] += count
    return money, messages


def sent_since(at: datetime) -> Mapping[str, int]:
    """Return the messages that gateways took or may have taken after `at`, by country."""
    rows = statements.rows(
        f"SELECT m.country, COUNT(*) FROM accounts_message m WHERE m.created_at > %s AND {_TAKEN} GROUP BY m.country",
        (at,),
    )
    return {country: int(count) for country, count in rows}


def midnight(now: datetime) -> datetime:
    """Return when the day of `now` began, in UTC: budgets are of calendar days."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def purge(now: datetime, *, decisions_days: int = 90) -> None:
    """Forget hours and decisions of long ago, and standings that hold nothing any more."""
    statements.run("DELETE FROM accounts_guardhour WHERE hour < %s", (now - timedelta(days=KEPT_DAYS),))
    statements.run("DELETE FROM accounts_guarddecision WHERE at < %s", (now - timedelta(days=decisions_days),))
    statements.run(
        "DELETE FROM accounts_guardstanding WHERE kind IN ('prefix', 'ip') AND state = 'open' AND changed_at < %s",
        (now - timedelta(days=1),),
    )
