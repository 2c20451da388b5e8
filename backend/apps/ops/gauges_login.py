"""How login stands, as values for a scrape: conversion, money, weights, the guard, audits, the key, the version.

It must not know Prometheus, nor what an alert makes of a value. What is dear to find is found every half minute.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

import structlog
from django.db import DatabaseError, InterfaceError

from apps.accounts.providers.base import Channel
from apps.accounts.services import statements
from apps.ops import present, slots
from apps.ops.board import Board, Standing
from apps.ops.dashboard import dashboard
from apps.ops.gauges import Reading
from apps.ops.remembering import Remembered

log = structlog.get_logger("otp")
# People who asked two to seventeen minutes ago: the younger ones may still be typing.
_BEGIN: Final = timedelta(minutes=17)
_END: Final = timedelta(minutes=2)
_FEWEST: Final = 5
_MOST_COUNTRIES: Final = 30
_FINDINGS: Final = {"ok": 0, "note": 1, "warning": 2, "fault": 3}


def readings(board: Board, standing: Standing) -> Iterator[Reading]:
    """Return what can be read now; what cannot is left out."""
    yield from _weights(board, standing)
    approved = float(standing.templates_approved)
    yield Reading("otp_whatsapp_templates_approved", "Whether no WhatsApp template is known to be refused.", approved)
    reads: tuple[Callable[[], list[Reading]], ...] = (
        _spend, _remembered_conversion.get, _guard, _audits, _signing_key, _sums
    )  # fmt: skip
    for read in reads:
        try:
            yield from read()
        except (DatabaseError, InterfaceError, OSError) as error:
            log.warning("otp.gauge_not_read", error=type(error).__name__)


def _weights(board: Board, standing: Standing) -> Iterator[Reading]:
    about = "Share of its usual traffic that a gateway gets now, on its worst route."
    for channel in Channel:
        for name, weight in present.weights(board, standing.gateways, channel=channel.value).items():
            yield Reading("otp_gateway_weight", about, weight, (("provider", name), ("channel", channel.value)))


def _spend() -> list[Reading]:
    spent = dashboard().spend_today()
    found = [
        Reading("otp_spend_today", "Money spent since midnight, UTC.", spent.today, (("country", "all"),)),
        Reading("otp_spend_daily_limit", "Money that may be spent in a day; 0 is no limit.", spent.limit, _all()),
    ]
    for country, today, limit in spent.countries[:_MOST_COUNTRIES]:
        label = (("country", country),)
        found.append(Reading("otp_spend_today", "", today, label))
        found.append(Reading("otp_spend_daily_limit", "", limit, label))
    return found


def _conversion() -> list[Reading]:
    now = statements.now() + dashboard().services.clock.offset
    rows = statements.rows(
        "SELECT country, count(*), count(*) FILTER (WHERE state = 'used') FROM (SELECT c.state, "
        "(SELECT m.country FROM accounts_message m WHERE m.code_id = c.id LIMIT 1) AS country FROM accounts_code c "
        "WHERE c.created_at >= %s AND c.created_at < %s AND c.kind = 'sent') codes GROUP BY 1 ORDER BY 2 DESC",
        (now - _BEGIN, now - _END),
    )
    counts = {"all": (sum(row[1] for row in rows), sum(row[2] for row in rows))}
    counts |= {country: (asked, used) for country, asked, used in rows[:_MOST_COUNTRIES] if country}
    about = "Share of the codes asked for 2 to 17 minutes ago that were used, where 5 or more were."
    return [
        Reading("otp_conversion_ratio", about, used / asked, (("country", country),))
        for country, (asked, used) in counts.items()
        if asked >= _FEWEST
    ]


_remembered_conversion: Final = Remembered(_conversion, fresh_seconds=25.0)


def _guard() -> list[Reading]:
    rows = statements.rows(
        "SELECT kind, state, count(*) FROM accounts_guardstanding WHERE state <> 'open' AND (until IS NULL OR until > "
        f"{statements.now_sql()}) GROUP BY 1, 2"
    )
    found = {(str(kind), str(state)): int(count) for kind, state, count in rows}
    about = (
        "Countries, prefixes, addresses and budgets that the pumping guard holds back (or would, if it only observes)."
    )
    return [
        Reading("otp_guard_held", about, found.get((kind, state), 0), (("kind", kind), ("state", state)))
        for kind in ("country", "prefix", "ip", "budget")
        for state in ("slow", "paused", "probation")
    ]


def _audits() -> list[Reading]:
    now = statements.now()
    found = []
    for provider, at, finding, _ in dashboard().services.gateway_audits.newest():
        label = (("provider", provider),)
        worst = "Worst finding of the last audit of a gateway: 0 ok, 1 note, 2 warning, 3 fault."
        found.append(Reading("otp_gateway_audit_finding", worst, _FINDINGS.get(finding, 3), label))
        age = max(0.0, (now - at).total_seconds())
        found.append(Reading("otp_gateway_audit_age_seconds", "Since the last audit of a gateway.", age, label))
    return found


def _signing_key() -> list[Reading]:
    row = statements.row(
        f"SELECT max(signs_from), {statements.now_sql()} FROM accounts_signingkey WHERE retired_at IS NULL "
        f"AND signs_from <= {statements.now_sql()}"
    )
    if row is None or row[0] is None:
        return []
    age = (statements.as_time(row[1]) - statements.as_time(row[0])).total_seconds()
    return [Reading("otp_signing_key_age_seconds", "Since when the present key signs tokens.", max(0.0, age))]


def _sums() -> list[Reading]:
    summed = slots.kept()
    behind = (statements.now() - summed.until).total_seconds() if summed else 0.0
    about = "How far back the sums of the dashboard end; an hour and a little is usual."
    return [Reading("otp_sums_behind_seconds", about, max(0.0, behind))]


def _all() -> tuple[tuple[str, str], ...]:
    return (("country", "all"),)
