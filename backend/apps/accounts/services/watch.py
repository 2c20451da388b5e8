"""The watch over silent failures: reads what became of messages, judges each route, and moves traffic by a row.

One process at a time holds the watch, by a lease in the database; any other takes over within seconds. It must not know
how verdicts are reached, nor how traffic follows them.
"""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from apps.accounts import telemetry
from apps.accounts.clock import Clock
from apps.accounts.services import evidence, gateway_events, statements, verdicts
from apps.accounts.services.evidence import Curve, Fate, Sighting
from apps.accounts.services.verdicts import Case, Held

ROUND_SECONDS: Final = 2.0
LEASE_SECONDS: Final = 6.0
WINDOW_SECONDS: Final = 900.0
MOST_MESSAGES: Final = 1500
# With fewer seconds than this in so many messages, a share of the codes is enough.
_LEAST_SPAN: Final = 90.0
_LEAST_SHARE: Final = 1 / 256
PAST_SECONDS: Final = 6 * 3600.0
PAST_MESSAGES: Final = 4000
# What is younger may belong to a fall that has not shown yet.
PAST_ENDS_SECONDS: Final = 40.0
_WELL_KNOWN: Final = 1000
_RECENT_ENOUGH: Final = 300

Place = tuple[str, str, str]  # provider, channel, country


@dataclass(frozen=True, slots=True)
class Traffic:
    """What left by one gateway on one route: every message, and those of first requests."""

    all: Sequence[Sighting]
    requests: Sequence[Sighting]


class Watch:
    """Judges. One per process; only the holder of the lease reads messages."""

    def __init__(
        self,
        *,
        clock: Clock,
        rivals: Callable[[str, str, str], Sequence[str]],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """Take who could take a gateway's traffic: `rivals(provider, channel, country)`, all of them up, in order."""
        self._clock = clock
        self._rivals = rivals
        self._changed = changed
        self._id = uuid.uuid4().hex
        self._share = 1.0
        self._curves: dict[Place, Curve] = {}
        self._learned_at = float("-inf")

    def round(self) -> bool:
        """Judge every route once if this process holds the watch; say whether it does."""
        if not self._hold():
            return False
        now = statements.now() + self._clock.offset
        held = _read_held()
        traffic = self._traffic(now)
        self._learn(now)
        for place in sorted({*traffic, *(at for at, one in held.items() if one.state != "up")}):
            self._judge(place, held, traffic, now)
        return True

    def _hold(self) -> bool:
        now = statements.now() + self._clock.offset
        found = statements.row(
            "INSERT INTO accounts_gatewaylease (name, holder, until) VALUES ('watch', %s, %s) ON CONFLICT (name) "
            "DO UPDATE SET holder = excluded.holder, until = excluded.until "
            "WHERE accounts_gatewaylease.holder = excluded.holder OR accounts_gatewaylease.until < %s RETURNING holder",
            (self._id, now + timedelta(seconds=LEASE_SECONDS), now),
        )
        return found is not None

    def _still_holds(self) -> bool:
        """Say whether nobody took over since the round began, and let nobody do so before the transaction ends."""
        found = statements.row(
            f"SELECT 1 FROM accounts_gatewaylease WHERE name = 'watch' AND holder = %s{statements.for_update()}",
            (self._id,),
        )
        return found is not None

    def _judge(self, place: Place, held: Mapping[Place, Held], traffic: Mapping[Place, Traffic], now: datetime) -> None:
        provider, channel, country = place
        at = now.timestamp()
        standing = held.get(place, Held())
        since = verdicts.since(standing, now=at, window=WINDOW_SECONDS)
        own = [one for one in traffic.get(place, _NOTHING).all if one.at >= since]
        arm = [one for one in traffic.get((standing.candidate, channel, country), _NOTHING).requests if one.at >= since]
        rivals = [
            name
            for name in self._rivals(provider, channel, country)
            if held.get((name, channel, country), Held()).state != "demoted"
        ]
        case = Case(held=standing, own=own, arm=arm, rivals=rivals, curve=self._curve(place, standing))
        verdict = verdicts.decide(case, now=at)
        if verdict is None:
            return
        with statements.durable():
            if not self._still_holds():
                return
            _write_held(place, verdict.held, now)
            if verdict.held.state != standing.state:
                gateway_events.record(
                    provider, channel=channel, country=country, before=shown(standing.state),
                    after=shown(verdict.held.state), reason=verdict.held.reason, clock=self._clock,
                )  # fmt: skip
        self._changed()
        telemetry.happened(
            "watch_decided", provider=provider, channel=channel, country=country, state=verdict.held.state,
            candidate=verdict.held.candidate, reason=verdict.held.reason,
        )  # fmt: skip
        if verdict.alarm:
            telemetry.alarm(verdict.alarm, provider=provider, channel=channel, country=country)

    def _curve(self, place: Place, standing: Held) -> Curve:
        """Return what is usual, from before the last fall until enough has been seen after it."""
        learned = self._curves.get(place, evidence.UNKNOWN)
        was_down = standing.changed > 0 and standing.curve.size >= evidence.FEWEST_FOR_A_CURVE
        return standing.curve if was_down and learned.size < _RECENT_ENOUGH else learned

    def _learn(self, now: datetime) -> None:
        best = max((curve.size for curve in self._curves.values()), default=0)
        age = time.monotonic() - self._learned_at
        if age < (60.0 if best >= _WELL_KNOWN else 10.0):
            return
        held = _read_held()
        until = now - timedelta(seconds=PAST_ENDS_SECONDS)
        rows = _read_messages(now - timedelta(seconds=PAST_SECONDS), until, share=self._share, limit=PAST_MESSAGES)
        learned: dict[Place, Curve] = {}
        for place, traffic in sort_out(rows, now=now).items():
            standing = held.get(place, Held())
            if standing.state == "up":
                past = [one for one in traffic.all if one.at >= standing.changed]
                learned[place] = evidence.learn(past)
        self._curves = learned
        self._learned_at = time.monotonic()

    def _traffic(self, now: datetime) -> dict[Place, Traffic]:
        rows = _read_messages(now - timedelta(seconds=WINDOW_SECONDS), now, share=self._share, limit=MOST_MESSAGES)
        if rows:
            span = (now - statements.as_time(rows[0][7])).total_seconds()
            if len(rows) >= MOST_MESSAGES and span < _LEAST_SPAN:
                self._share = max(_LEAST_SHARE, self._share / 2)
            elif len(rows) < MOST_MESSAGES / 4:
                self._share = min(1.0, self._share * 2)
        return sort_out(rows, now=now)


_NOTHING: Final = Traffic((), ())


def shown(state: str) -> str:
    """Return a standing as the line of events names it; the status calls a gateway in doubt up."""
    return "doubted" if state == "exploring" else state


def sort_out(rows: Sequence[Sequence[Any]], *, now: datetime) -> dict[Place, Traffic]:
    """Return what became of the messages in `rows` (see `_read_messages`), oldest first, by route.

    A code that was used counts for the last message before its use, and against those before it; of several messages of
    one code by one gateway the first one counts, for the same person's luck is no second witness.
    """
    by_code: dict[str, list[Sequence[Any]]] = {}
    for row in rows:
        by_code.setdefault(row[3], []).append(row)
    found: dict[Place, list[tuple[Sighting, str]]] = {}
    for messages in by_code.values():
        used_at = statements.as_time_or_none(messages[0][8])
        times = [statements.as_time(row[7]) for row in messages]
        seen: set[str] = set()
        for index, (provider, channel, country, _, cause, state, receipt_at, _, _) in enumerate(messages):
            by_receipt = state == "failed" and receipt_at is not None
            if provider in seen or not (state in ("accepted", "delivered") or by_receipt):
                continue
            seen.add(provider)
            following = times[index + 1] if index + 1 < len(times) else None
            sighting = _fate(times[index], used_at, following, now)
            found.setdefault((provider, channel, country), []).append((sighting, cause))
    return {place: _ordered(sightings) for place, sightings in found.items()}


def _ordered(found: list[tuple[Sighting, str]]) -> Traffic:
    found.sort(key=lambda item: item[0].at)
    return Traffic([one for one, _ in found], [one for one, cause in found if cause == "request"])


def _fate(sent: datetime, used: datetime | None, following: datetime | None, now: datetime) -> Sighting:
    at = sent.timestamp()
    if used is not None and sent <= used <= now and (following is None or used < following):
        return Sighting(at, Fate.VERIFIED, (used - sent).total_seconds())
    if following is not None and following <= now:
        return Sighting(at, Fate.RESENT, (following - sent).total_seconds())
    return Sighting(at, Fate.OPEN, max(0.0, (now - sent).total_seconds()))


def _read_messages(since: datetime, until: datetime, *, share: float, limit: int) -> list[tuple[Any, ...]]:
    """Return messages with their codes' use, oldest first, the newest `limit` of them.

    `share` picks codes at random. What a gateway definitely did not take is the breaker's matter.
    """
    below = "g" if share >= 1 else f"{int(share * 0x10000):04x}"  # ids are random hex digits
    rows = statements.rows(
        "SELECT m.provider, m.channel, m.country, m.code_id, m.cause, m.state, m.receipt_at, m.created_at, k.used_at "
        "FROM accounts_message m JOIN accounts_code k ON k.id = m.code_id "
        "WHERE m.created_at > %s AND m.created_at <= %s AND m.cause IN ('request', 'resend', 'receipt') "
        "AND NOT (m.state = 'failed' AND m.receipt_at IS NULL) AND m.code_id < %s "
        "ORDER BY m.created_at DESC LIMIT %s",
        (since, until, below, limit),
    )
    rows.reverse()
    return rows


def _read_held() -> dict[Place, Held]:
    found = statements.rows(
        "SELECT provider, channel, country, state, candidate, refused, ratio, relapses, changed_at, hold_until, curve, "
        "reason FROM accounts_gatewaystanding WHERE state <> 'misconfigured'"
    )
    return {
        (item[0], item[1], item[2]): Held(
            state=item[3], candidate=item[4], refused=tuple(filter(None, item[5].split(","))), ratio=item[6],
            relapses=item[7], changed=statements.as_time(item[8]).timestamp(),
            hold_until=statements.as_time(item[9]).timestamp() if item[9] else 0.0,
            curve=evidence.curve_from_text(item[10]), reason=item[11],
        )
        for item in found
    }  # fmt: skip


def _write_held(place: Place, held: Held, now: datetime) -> None:
    until = datetime.fromtimestamp(held.hold_until, UTC) if held.hold_until else None
    statements.run(
        "INSERT INTO accounts_gatewaystanding (provider, channel, country, state, candidate, refused, ratio, relapses, "
        "reason, curve, changed_at, hold_until) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (provider, channel, country) DO UPDATE SET state = excluded.state, "
        "candidate = excluded.candidate, refused = excluded.refused, ratio = excluded.ratio, "
        "relapses = excluded.relapses, reason = excluded.reason, "
        "curve = excluded.curve, changed_at = excluded.changed_at, hold_until = excluded.hold_until",
        (
            *place, held.state, held.candidate, ",".join(held.refused)[:80], held.ratio, held.relapses,
            held.reason[:64], held.curve.as_text() if held.curve.size else "", now, until,
        ),
    )  # fmt: skip
