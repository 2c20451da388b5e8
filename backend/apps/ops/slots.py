"""Sums of five minutes, kept when their rows are purged: wide windows read these and not millions of rows.

The worker sums a slot an hour after it ended, and once more a day later, when late receipts are in. Each call takes
bounded bites, any process may take one, and one that is taken twice gives the same sums. It must not know
the dashboard.
"""

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from apps.accounts.services import statements
from apps.ops import queries_traffic
from apps.ops.traffic import COUNTS, Stretch, Sums

STEP: Final = 300
BITE: Final = timedelta(hours=1)
_MOST_BITES: Final = 24
_OTHERS_TURN_SECONDS: Final = 0.05
# When a slot is summed after its end: receipts come within the hour, and a day later nothing more does.
PASSES: Final = (("settled", timedelta(hours=1)), ("final", timedelta(hours=25)))
_NAMES: Final = ("at", "provider", "channel", "country", *COUNTS, "latencies", "waits")
_COLUMNS: Final = ", ".join(_NAMES)
_MARKS: Final = f"({', '.join(['%s'] * len(_NAMES))})"


@dataclass(frozen=True, slots=True)
class Kept:
    """The stretch of which there are sums; empty when both ends are one."""

    since: datetime
    until: datetime


def kept(name: str = "settled") -> Kept | None:
    """Return the stretch that has been summed, or None before the first time."""
    found = statements.row("SELECT since, until FROM ops_slotprogress WHERE name = %s", (name,))
    return Kept(statements.as_time(found[0]), statements.as_time(found[1])) if found else None


def read(since: datetime, until: datetime) -> list[Stretch]:
    """Return the sums of slots that begin from `since` to before `until`."""
    rows = statements.rows(f"SELECT {_COLUMNS} FROM ops_slot WHERE at >= %s AND at < %s ORDER BY at", (since, until))
    return [_stretch(row) for row in rows]


def carried(since: datetime, until: datetime) -> Counter[tuple[str, str]]:
    """Return how many messages to pay for went by each channel to each country, from the sums."""
    found = statements.rows(
        "SELECT channel, country, sum(sent + unknown) FROM ops_slot WHERE at >= %s AND at < %s AND channel <> '' "
        "GROUP BY 1, 2",
        (since, until),
    )
    return Counter({(channel, country): int(count) for channel, country, count in found})


def sum_up(*, now: datetime | None = None) -> int:
    """Sum what is due; return how many slots were written."""
    now = now or statements.now()
    return sum(_pass(name, now - lag) for name, lag in PASSES)


def catch_up(edge: datetime, *, now: datetime, until: float = float("inf")) -> None:
    """Sum what is due before `edge`, as long as the monotonic clock is before `until`: its rows are about to go."""
    while time.monotonic() < until:
        before = [kept(name) for name, _ in PASSES]
        ends = [min(edge, floor(now - lag)) for _, lag in PASSES]
        if all(one is not None and one.until >= end for one, end in zip(before, ends, strict=True)):
            return
        sum_up(now=now)
        if [kept(name) for name, _ in PASSES] == before:
            time.sleep(_OTHERS_TURN_SECONDS)  # another process is at it; what it has not summed must not go


def _pass(name: str, edge: datetime) -> int:
    written, due = 0, floor(edge)
    for _ in range(_MOST_BITES):
        count = _bite(name, due)
        if count is None:
            break
        written += count
    return written


def _bite(name: str, due: datetime) -> int | None:
    """Sum at most an hour; None when nothing is due or another process is at it."""
    with statements.durable():
        begin = _begin(name, due)
        if begin is None or begin >= due:
            return None
        end = min(begin + BITE, due)
        stretches = queries_traffic.read(begin, end, step=STEP)
        statements.run("DELETE FROM ops_slot WHERE at >= %s AND at < %s", (begin, end))
        _write(stretches)
        statements.run("UPDATE ops_slotprogress SET until = %s WHERE name = %s", (end, name))
        return len(stretches)


def _begin(name: str, due: datetime) -> datetime | None:
    """Take the turn and return where this pass goes on; None while another process has the turn.

    The passes write the same slots, so there is one turn for all of them: the lock on the first pass' row.
    """
    lock = f"{statements.for_update()} SKIP LOCKED" if statements.is_postgres() else ""
    held = dict(statements.rows(f"SELECT name, until FROM ops_slotprogress{lock}"))
    turn = PASSES[0][0]
    if turn not in held and name != turn:
        return None
    if name in held:
        return statements.as_time(held[name])
    first = statements.row("SELECT min(created_at) FROM accounts_message")
    since = floor(statements.as_time(first[0])) if first and first[0] else due
    made = statements.run(
        "INSERT INTO ops_slotprogress (name, since, until) VALUES (%s, %s, %s) ON CONFLICT (name) DO NOTHING",
        (name, since, since),
    )
    return since if made else None


def floor(at: datetime) -> datetime:
    """Return the beginning of the slot that `at` lies in."""
    return datetime.fromtimestamp(int(at.timestamp()) // STEP * STEP, UTC)


def _write(stretches: Sequence[Stretch]) -> None:
    for first in range(0, len(stretches), 200):
        some = stretches[first : first + 200]
        statements.run(
            f"INSERT INTO ops_slot ({_COLUMNS}) VALUES " + ", ".join([_MARKS] * len(some)),
            [value for one in some for value in _values(one)],
        )


def _values(one: Stretch) -> list[Any]:
    counts = [getattr(one.sums, name) for name in COUNTS]
    spreads = [json.dumps(one.sums.latencies), json.dumps(one.sums.waits)]
    return [datetime.fromtimestamp(one.at, UTC), *one.route, *counts, *spreads]


def _stretch(row: Sequence[Any]) -> Stretch:
    at, provider, channel, country, *rest = row
    *counts, latencies, waits = rest
    sums = Sums(**dict(zip(COUNTS, counts, strict=True)), latencies=_counter(latencies), waits=_counter(waits))
    return Stretch(int(statements.as_time(at).timestamp()), (provider, channel, country), sums)


def _counter(text: str) -> Counter[int]:
    return Counter({int(value): count for value, count in json.loads(text).items()})
