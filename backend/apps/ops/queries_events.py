"""The line of events: what changed by itself, by an operator's hand or by a deployment, newest first.

It must not change a row, nor know how an event is shown.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from apps.accounts.services import gateway_events, statements
from apps.ops import releases

MOST: Final = 200
# An operator's choice of a gateway is told by its own event, which knows who and why.
_HANDS: Final = ("gateway.chosen", "gateway.lifted", "block.added", "block.changed", "block.lifted", "key.rotated")
_MARKS: Final = ", ".join(["%s"] * len(_HANDS))


@dataclass(frozen=True, slots=True)
class Event:
    """One change. `kind`: gateway, operator, guard, release; `what` is the event's name within it."""

    at: datetime
    kind: str
    what: str
    subject: str
    who: str = ""
    note: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


def since(at: datetime, *, until: datetime) -> list[Event]:
    """Return what changed after `at` and, of what ends by itself, until `until`; newest first."""
    found = [*_gateways(at), *_hands(at), *_expired(at, until), *_guard(at), *_releases(at)]
    return sorted(found, key=lambda event: event.at, reverse=True)[:MOST]


def _gateways(at: datetime) -> list[Event]:
    return [
        Event(
            one.at, "gateway", one.after, one.provider,
            detail={"from": one.before, "channel": one.channel, "country": one.country, "reason": one.reason},
        )
        for one in gateway_events.since(at, limit=MOST)
        if "forced" not in (one.before, one.after)
    ]  # fmt: skip


def _hands(at: datetime) -> list[Event]:
    rows = statements.rows(
        "SELECT at, event, actor, subject, note, detail FROM accounts_auditevent WHERE at > %s "
        f"AND event IN ({_MARKS}) ORDER BY at DESC, id DESC LIMIT %s",
        (at, *_HANDS, MOST),
    )
    return [
        _hand(statements.as_time(when), event, subject, who=actor, note=note, detail=json.loads(detail))
        for when, event, actor, subject, note, detail in rows
    ]


def _hand(at: datetime, event: str, subject: str, *, who: str, note: str, detail: dict[str, Any]) -> Event:
    """Return what an operator did; of a choice that ends by itself, also when."""
    if event == "gateway.chosen":
        ends = _end(at, detail)
        detail["until"] = ends.isoformat() if ends else None
    return Event(at, "operator", event, subject, who=who, note=note, detail=detail)


def _expired(at: datetime, until: datetime) -> list[Event]:
    """Return when choices of a gateway ended by themselves: their time was up before another hand ended them.

    Nobody writes that down, as nobody need be there. Such records are few, and found by their names' index.
    """
    rows = statements.rows(
        "SELECT at, event, actor, subject, note, detail FROM accounts_auditevent "
        "WHERE event IN ('gateway.chosen', 'gateway.lifted') ORDER BY id"
    )
    hands = [(statements.as_time(row[0]), *row[1:5], json.loads(row[5])) for row in rows]
    found = []
    for nth, (when, event, actor, subject, note, detail) in enumerate(hands):
        ends = _end(when, detail) if event == "gateway.chosen" else None
        following = hands[nth + 1][0] if nth + 1 < len(hands) else until
        if ends is not None and at < ends <= min(until, following):
            found.append(Event(ends, "operator", "gateway.expired", subject, who=actor, note=note))
    return found


def _end(at: datetime, detail: dict[str, Any]) -> datetime | None:
    seconds = detail.get("expires_in")
    return at + timedelta(seconds=seconds) if seconds else None


def _guard(at: datetime) -> list[Event]:
    rows = statements.rows(
        "SELECT at, kind, subject, before, after, mode, reason, until, stopped FROM accounts_guarddecision "
        "WHERE at > %s ORDER BY at DESC, id DESC LIMIT %s",
        (at, MOST),
    )
    return [
        Event(
            statements.as_time(when), "guard", after, subject,
            detail={
                "of": kind, "from": before, "mode": mode, "reason": reason, "stopped": stopped,
                "until": statements.as_time(until).isoformat() if until else None,
            },
        )
        for when, kind, subject, before, after, mode, reason, until, stopped in rows
    ]  # fmt: skip


def _releases(at: datetime) -> list[Event]:
    return [Event(one.at, "release", "started", one.version, detail={"from": one.before}) for one in releases.since(at)]
