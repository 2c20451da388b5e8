"""The dashboard's facts in the words of contract section 6. It must not know HTTP, nor hold anything personal."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from apps.accounts.providers.base import Channel, Listener
from apps.ops import status, traffic
from apps.ops.board import Board, GatewayState, Standing
from apps.ops.dashboard import Facts, beginning
from apps.ops.queries_events import Event
from apps.ops.traffic import Sums

# `refused` labels are `code/scope`; these are the codes of a limit, and those of a block.
LIMITS: Final = frozenset({"rate_limited", "resend_cooldown", "too_many_attempts"})
BLOCKS: Final = frozenset({"blocked"})
_COUNTERS: Final = ("requested", "sent", "delivered", "failed", "verified", "expired")


def as_json(facts: Facts, board: Board, *, more: bool = False) -> dict[str, Any]:
    """Return the dashboard object. Times to login and latencies are in seconds, weights shares of usual traffic.

    With `more` each point and each gateway says what the page draws beyond the contract.
    """
    sums = traffic.total(facts.stretches)
    standing = board.standing()
    return {
        "status": status.status(board),
        "window_seconds": facts.window.seconds,
        "counters": _counters(sums, facts.refusals),
        "conversion": sums.conversion,
        "time_to_login": traffic.spread(sums.waits, units_per_second=10),
        "providers": _gateways(facts, board, standing, more=more),
        "countries": _countries(facts),
        "series": series(facts, more=more),
        "spend": facts.spend.as_json(),
        "events": [event_json(event) for event in facts.events],
        "audits": [{name: audit[name] for name in ("provider", "at", "finding", "lines")} for audit in facts.audits],
    }


def series(facts: Facts, *, more: bool = False) -> list[dict[str, Any]]:
    """Return the counters of each point in time, oldest first and without gaps; `minute` is where it begins."""
    step = facts.window.step
    sums = traffic.by_time(facts.stretches, step=step)
    refused: dict[int, list[tuple[int, str, int]]] = {}
    for item in facts.refusals:
        refused.setdefault(item[0], []).append(item)
    first = beginning(facts.since) // step * step
    points = []
    for at in range(first, beginning(facts.at) + 1, step):
        found = sums.get(at, Sums())
        points.append({"minute": _time(at), **_counters(found, refused.get(at, ())), **(_more(found) if more else {})})
    return points


def _more(sums: Sums) -> dict[str, Any]:
    waits = traffic.spread(sums.waits, units_per_second=10)
    return {"opened": sums.opened, "converted": sums.converted, "time_to_login": waits}


def event_json(event: Event) -> dict[str, Any]:
    """Return one event; numbers in it were masked where it was written."""
    return {
        "at": event.at.isoformat(),
        "kind": event.kind,
        "event": event.what,
        "subject": event.subject,
        "by": event.who,
        "note": event.note,
        "detail": event.detail,
    }


def _counters(sums: Sums, refusals: Iterable[tuple[int, str, int]]) -> dict[str, int]:
    limited = blocked = 0
    for _, label, count in refusals:
        code = label.partition("/")[0]
        limited += count if code in LIMITS else 0
        blocked += count if code in BLOCKS else 0
    return {**{name: getattr(sums, name) for name in _COUNTERS}, "rate_limited": limited, "blocked": blocked}


def _gateways(facts: Facts, board: Board, standing: Standing, *, more: bool) -> list[dict[str, Any]]:
    """Every gateway and channel that is configured or had traffic; the configured ones first, in their order."""
    found = traffic.by_gateway(facts.stretches)
    configured = [(one.name, channel) for one in standing.gateways for channel in one.channels]
    shares = {channel.value: weights(board, standing.gateways, channel=channel.value) for channel in Channel}
    rows = []
    for name, channel in dict.fromkeys([*configured, *sorted(found)]):
        sums = found.get((name, channel), Sums())
        row = _gateway(name, channel, sums, shares.get(channel, {}).get(name, 0.0))
        if more:
            reports = isinstance(board.services.providers.get(name), Listener)
            row |= {
                "unknown": sums.unknown,
                "requested": sums.requested,
                "codes_sent": sums.codes_sent,
                "reports": reports,
            }
        rows.append(row)
    return rows


def _gateway(name: str, channel: str, sums: Sums, weight: float) -> dict[str, Any]:
    return {
        "name": name,
        "channel": channel,
        "sent": sums.sent,
        "delivered": sums.delivered,
        "failed": sums.failed,
        "verified": sums.verified,
        "latency": traffic.spread(sums.latencies, units_per_second=1000),
        "weight": round(weight, 3),
    }


def weights(board: Board, gateways: Iterable[GatewayState], *, channel: str) -> dict[str, float]:
    """Return the share of its usual traffic that each gateway gets on its worst route of a channel, from 0 to 1.

    While an operator's choice is in force, the gateways that are not it get nothing unless it fails.
    """
    able = [one for one in gateways if channel in one.channels]
    shares = board.services.health.weights([one.name for one in able], channel=channel)
    if any(one.state == "forced" for one in able):
        return {one.name: shares[one.name] if one.state == "forced" else 0.0 for one in able}
    return dict(shares)


def _countries(facts: Facts) -> list[dict[str, Any]]:
    """Countries by how many messages went there, most first."""
    found = traffic.by_country(facts.stretches)
    order = sorted(found, key=lambda country: (-found[country].sent, country))
    return [
        {
            "country": country,
            "requested": found[country].requested,
            "sent": found[country].sent,
            "delivered": found[country].delivered,
            "failed": found[country].failed,
            "verified": found[country].verified,
            "conversion": found[country].conversion,
        }
        for country in order
    ]


def _time(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
