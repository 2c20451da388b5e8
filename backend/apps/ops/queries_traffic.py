"""What the rows of messages and codes say of a stretch of time: two statements, each one pass by an index on time.

It must not change a row, nor know what an answer looks like. Numbers of people never leave the database here.

Definitions, which the dashboard's numbers rest on:

    requested  a request or resend that was admitted, however many gateways it took, by the time it was asked
    sent       a message that a gateway took, notices included: accepted, or known from its receipts to have been
    codes_sent such a message that carried a code: no notice, and no audit's own
    delivered  a message of which a receipt says so
    failed     a try at a gateway that failed, refused at once or by a receipt; one that was not made is none
    unknown    a try of which nobody knows whether it went out
    verified   a code that was proven, by the time of that, on the route of the last message before it
    expired    a code whose life ended unused, by the time of that
    opened     a code that was made; `converted`: it was used since

Test numbers are in none of them: nothing is sent for them.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from apps.accounts.services import attempts, statements
from apps.ops.traffic import NOWHERE, Route, Stretch, Sums

# No code lives longer than ten minutes, so whatever ends in a stretch began at most so long before it.
_LONGEST_LIFE: Final = timedelta(minutes=11)
# The tries of one send lie within its deadline.
_LONGEST_SEND: Final = timedelta(minutes=2)
TAKEN: Final = "(state IN ('accepted', 'delivered') OR (state = 'failed' AND receipt_at IS NOT NULL))"
_FAILED: Final = f"(state = 'failed' AND error_kind <> '{attempts.NEVER_CALLED}')"


def read(since: datetime, until: datetime, *, step: int) -> list[Stretch]:
    """Return what happened from `since` to before `until`, by slots of `step` seconds and by route."""
    found: dict[tuple[int, Route], Sums] = {}
    _add_messages(found, _messages(since, until, step))
    _add_codes(found, _codes(since, until, step))
    return [Stretch(nth * step, route, found[nth, route]) for nth, route in sorted(found)]


def _messages(since: datetime, until: datetime, step: int) -> list[tuple[Any, ...]]:
    return statements.rows(
        "WITH tries AS (SELECT created_at, provider, channel, country, cause, state, receipt_at, error_kind, "
        # Within five hundredths or so: what a spread is read from must stay few numbers.
        "CASE WHEN latency_ms < 40 THEN latency_ms WHEN latency_ms < 200 THEN latency_ms / 5 * 5 "
        "WHEN latency_ms < 1000 THEN latency_ms / 25 * 25 ELSE latency_ms / 100 * 100 END AS took, "
        "row_number() OVER (PARTITION BY send_id ORDER BY created_at, id) AS nth "
        "FROM accounts_message WHERE created_at >= %s AND created_at < %s) "
        f"SELECT floor({statements.epoch_sql('created_at')} / %s), provider, channel, country, took, "
        "count(*) FILTER (WHERE nth = 1 AND cause IN ('request', 'resend')), "
        f"count(*) FILTER (WHERE {TAKEN}), count(*) FILTER (WHERE {TAKEN} AND cause NOT IN ('notice', 'audit')), "
        f"count(*) FILTER (WHERE state = 'delivered'), count(*) FILTER (WHERE {_FAILED}), "
        "count(*) FILTER (WHERE state IN ('unknown', 'sending')), count(*) "
        "FROM tries WHERE created_at >= %s GROUP BY 1, 2, 3, 4, 5",
        (since - _LONGEST_SEND, until, step, since),
    )


def _codes(since: datetime, until: datetime, step: int) -> list[tuple[Any, ...]]:
    return statements.rows(
        f"WITH codes AS MATERIALIZED (SELECT {statements.epoch_sql('c.created_at')} AS born, "
        f"{statements.epoch_sql('c.used_at')} AS used, {statements.epoch_sql('c.expires_at')} AS ends, "
        "c.created_at, c.used_at, c.expires_at, c.state, c.kind, c.purpose, "
        # A code that somebody used came by the last message before that; a refusal brought nobody anything.
        "(SELECT m.provider || '/' || m.channel || '/' || m.country FROM accounts_message m WHERE m.code_id = c.id "
        "AND (c.used_at IS NULL OR m.created_at <= c.used_at) ORDER BY "
        "CASE WHEN m.state = 'failed' AND m.receipt_at IS NULL THEN 1 ELSE 0 END, m.created_at DESC LIMIT 1) AS route "
        "FROM accounts_code c WHERE c.created_at >= %s AND c.created_at < %s AND c.kind <> 'test') "
        "SELECT 'opened', floor(born / %s), route, CASE WHEN state = 'used' THEN 1.0 ELSE 0.0 END, count(*) "
        "FROM codes WHERE created_at >= %s AND kind = 'sent' GROUP BY 1, 2, 3, 4 UNION ALL "
        "SELECT 'verified', floor(used / %s), route, CASE WHEN purpose <> 'login' OR kind <> 'sent' THEN -1.0 "
        "WHEN used - born < 10 THEN floor((used - born) * 10) WHEN used - born < 120 THEN floor(used - born) * 10 "
        "ELSE floor((used - born) / 5) * 50 END, count(*) "
        "FROM codes WHERE state = 'used' AND used_at >= %s AND used_at < %s GROUP BY 1, 2, 3, 4 UNION ALL "
        "SELECT 'expired', floor(ends / %s), route, 0.0, count(*) FROM codes WHERE state = 'open' "
        "AND kind = 'sent' AND expires_at >= %s AND expires_at < %s GROUP BY 1, 2, 3, 4",
        (since - _LONGEST_LIFE, until, step, since, step, since, until, step, since, until),
    )


def _add_messages(found: dict[tuple[int, Route], Sums], rows: Iterable[tuple[Any, ...]]) -> None:
    for nth, provider, channel, country, took, requested, sent, codes_sent, delivered, failed, unknown, tries in rows:
        sums = found.setdefault((int(nth), (provider, channel, country)), Sums())
        sums.requested += requested
        sums.sent += sent
        sums.codes_sent += codes_sent
        sums.delivered += delivered
        sums.failed += failed
        sums.unknown += unknown
        if took is not None:
            sums.latencies[int(took)] += tries


def _add_codes(found: dict[tuple[int, Route], Sums], rows: Iterable[tuple[Any, ...]]) -> None:
    for what, nth, text, detail, count in rows:
        sums = found.setdefault((int(nth), _route(text)), Sums())
        if what == "opened":
            sums.opened += count
            sums.converted += count if detail else 0
        elif what == "expired":
            sums.expired += count
        else:
            sums.verified += count
            if detail >= 0:
                sums.waits[int(detail)] += count


def carried(since: datetime, until: datetime) -> Counter[tuple[str, str]]:
    """Return how many messages to pay for went by each channel to each country; one that may have gone is one."""
    found = statements.rows(
        "SELECT channel, country, count(*) FROM accounts_message WHERE created_at >= %s AND created_at < %s "
        "AND NOT (state = 'failed' AND receipt_at IS NULL) GROUP BY 1, 2",
        (since, until),
    )
    return Counter({(channel, country): count for channel, country, count in found})


def refusals(since: datetime, until: datetime, *, step: int) -> list[tuple[int, str, int]]:
    """Return (slot in epoch seconds, `code/scope`, how many) of what was refused, by the minute it was written down."""
    found = statements.rows(
        f"SELECT floor({statements.epoch_sql('minute')} / %s), label, sum(count) FROM accounts_minutecount "
        "WHERE minute >= %s AND minute < %s AND name = 'refused' GROUP BY 1, 2 ORDER BY 1, 2",
        (step, since.replace(second=0, microsecond=0), until),
    )
    return [(int(nth) * step, str(label), int(count)) for nth, label, count in found]


def _route(text: str | None) -> Route:
    if not text:
        return NOWHERE
    provider, channel, country = text.split("/")
    return provider, channel, country
