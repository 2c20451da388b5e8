"""The dashboard's facts: read at most every two seconds and window in a process, wide windows from sums that are kept.

It must not know HTTP, nor the words in which a person is told.
"""

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from apps.accounts.services import statements
from apps.accounts.services.gateway_choice import Choice
from apps.accounts.services.wiring import Services, services
from apps.ops import queries_events, queries_traffic, slots
from apps.ops.queries_events import Event
from apps.ops.remembering import Remembered
from apps.ops.spend import Spend, spend
from apps.ops.traffic import Stretch
from apps.ops.windows import FINE_SECONDS, Window

FRESH_SECONDS: Final = 2.0
SPEND_FRESH_SECONDS: Final = 10.0
_MOST_WINDOWS: Final = 16
# A look's end is exclusive, and what happens at this very moment belongs to it: SQLite's clock ticks in milliseconds.
_TICK: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that one look found. `refusals` are (slot in epoch seconds, `code/scope`, how many)."""

    at: datetime
    since: datetime
    window: Window
    stretches: tuple[Stretch, ...]
    refusals: tuple[tuple[int, str, int], ...]
    events: tuple[Event, ...]
    choice: Choice | None
    spend: Spend
    audits: tuple[dict[str, Any], ...] = ()  # the last of each gateway


class Dashboard:
    """Looks, and remembers for a moment what it saw. One per process; thread-safe."""

    def __init__(self, made: Services) -> None:
        self.services = made
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, Remembered[Facts]] = OrderedDict()
        self._today = Remembered(self._spend_today, fresh_seconds=SPEND_FRESH_SECONDS)

    def look(self, window: Window) -> Facts:
        """Return the facts of a window, at most two seconds old, or ten times as old as reading them took.

        Raises:
            DatabaseError, InterfaceError: the database is gone.
        """
        with self._lock:
            remembered = self._seen.setdefault(
                window.text, Remembered(lambda: self._read(window), fresh_seconds=FRESH_SECONDS)
            )
            self._seen.move_to_end(window.text)
            while len(self._seen) > _MOST_WINDOWS:
                self._seen.popitem(last=False)
        return remembered.get()

    def spend_today(self) -> Spend:
        """Return what was spent since midnight, a few seconds old. Raises as `look`."""
        return self._today.get()

    def forget(self) -> None:
        """Look anew at the next question: an operator just changed something."""
        with self._lock:
            self._seen.clear()
        self._today.forget()

    def _now(self) -> datetime:
        return statements.now() + self.services.clock.offset + _TICK

    def _spend_today(self) -> Spend:
        now = self._now()
        return spend(window={}, today=carried(_midnight(now), now), config=self.services.config)

    def _read(self, window: Window) -> Facts:
        made = self.services
        made.refusals.flush()  # this process' own; the others' are in within two seconds
        now = self._now()
        since = now - timedelta(seconds=window.seconds)
        if not window.is_fine:  # whole slots, so that the first point is no part of one
            since = slots.floor(since)
        stretches = stretches_of(since, now, step=window.step if window.is_fine else slots.STEP)
        return Facts(
            at=now,
            since=since,
            window=window,
            stretches=tuple(stretches),
            refusals=tuple(queries_traffic.refusals(since, now, step=window.step)),
            events=tuple(queries_events.since(since, until=now)),
            choice=made.gateway_choices.current(),
            spend=spend(window=_carried(stretches), today=carried(_midnight(now), now), config=made.config),
            audits=tuple(made.gateway_audits.last()),
        )


def stretches_of(since: datetime, until: datetime, *, step: int) -> list[Stretch]:
    """Return what happened: from the rows where it is recent, else from the sums as far as they reach."""
    if (until - since).total_seconds() <= FINE_SECONDS:
        return queries_traffic.read(since, until, step=step)
    summed = slots.kept()
    if summed is None or summed.until <= since:
        return queries_traffic.read(since, until, step=slots.STEP)
    edge = min(summed.until, until)
    found = slots.read(slots.floor(since), edge)
    return [*found, *queries_traffic.read(edge, until, step=slots.STEP)] if edge < until else found


def carried(since: datetime, until: datetime) -> Counter[tuple[str, str]]:
    """Return how many messages to pay for went by each channel to each country, from the sums as far as they reach."""
    summed = slots.kept()
    edge = min(max(since, summed.until), until) if summed else since
    return slots.carried(since, edge) + queries_traffic.carried(edge, until)


def _carried(stretches: Iterable[Stretch]) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for one in stretches:
        _, channel, country = one.route
        if channel:
            found[channel, country] += one.sums.sent + one.sums.unknown
    return found


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def beginning(at: datetime) -> int:
    """Return a time as whole epoch seconds."""
    return int(at.astimezone(UTC).timestamp())


_lock = threading.Lock()
_dashboard: Dashboard | None = None


def dashboard() -> Dashboard:
    """Return this process' dashboard for the present services."""
    global _dashboard
    made, known = services(), _dashboard
    if known is not None and known.services is made:
        return known
    with _lock:
        if _dashboard is None or _dashboard.services is not made:
            _dashboard = Dashboard(made)
        return _dashboard
