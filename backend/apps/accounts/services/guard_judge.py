"""The judge: every few seconds one process weighs what was sent, rules, and writes what changed.

It must not know how a ruling is reached nor how a send is refused. It reads the last hour, and rests five times as
long as that took, so that it never costs more than a sixth of one core.
"""

import time
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from django.db import DatabaseError, InterfaceError

from apps.accounts.clock import Clock
from apps.accounts.prices import PriceTable
from apps.accounts.services import guard_rows, guard_rules, guard_stats, spend, statements
from apps.accounts.services.guard import Guard
from apps.accounts.services.guard_evidence import Asked, Past
from apps.accounts.services.guard_policy import GuardPolicy, Kind, State
from apps.accounts.services.guard_rows import Change
from apps.accounts.services.guard_rules import Ruling, Standing, Subject
from apps.accounts.services.spend import EVERYWHERE, Account, Budgets

TURN_SECONDS: Final = 2.0
REST: Final = 5.0
HOURS_EVERY_SECONDS: Final = 60.0
PURGE_EVERY_SECONDS: Final = 3600.0
# An attack on ten thousand prefixes is its country's matter; the worst of them get a row of their own.
MOST_PREFIXES: Final = 200


class GuardJudge:
    """Judges when it holds the lease. One per process."""

    def __init__(
        self,
        *,
        guard: Guard,
        budgets: Budgets,
        prices: PriceTable,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._guard = guard
        self._budgets = budgets
        self._prices = prices
        self._clock = clock
        self._monotonic = monotonic
        self._id = uuid.uuid4().hex
        self._pasts: Mapping[str, Past] = {}
        self._counted_at: datetime | None = None
        self._purged_at = float("-inf")
        self._seen_until = 0.0
        self._due_at = float("-inf")

    @property
    def policy(self) -> GuardPolicy:
        """Return the numbers that are gone by."""
        return self._guard.policy

    def turn(self, *, patience_seconds: float = 0.0) -> bool:
        """Write what this process stopped; judge, if that is due and the lease is ours. Say whether it judged."""
        now = statements.now() + self._clock.offset
        self._write_stopped(now)
        started = self._monotonic()
        if started < self._due_at or not guard_rows.hold_lease(self._id, now=now, patience_seconds=patience_seconds):
            return False
        self.judge(now)
        self._due_at = self._monotonic() + max(TURN_SECONDS / 2, REST * (self._monotonic() - started))
        return True

    def judge(self, now: datetime | None = None) -> list[Change]:
        """Weigh, rule and write; return what changed."""
        now = now or statements.now() + self._clock.offset
        self._count_hours(now)
        asked = guard_stats.recent(now - timedelta(seconds=self.policy.evidence))
        held = guard_rows.held()
        rulings = guard_rules.judge(asked, self._pasts, held, now=now.timestamp(), policy=self.policy)
        rulings.update(self._rule_on_money(held, now))
        made = guard_rows.save(changes_of(rulings, held, self.policy), mode=self._guard.mode, now=now)
        if not self._guard.enforcing:
            self._count_would_be_stopped(asked, held, now)
        if made:
            self._guard.forget()
        return made

    def _write_stopped(self, now: datetime) -> None:
        stopped = self._guard.take_stopped()
        if not stopped:
            return
        try:
            guard_rows.count_stopped(stopped, mode=self._guard.mode, now=now)
        except (DatabaseError, InterfaceError):
            self._guard.put_back_stopped(stopped)
            raise

    def _count_hours(self, now: datetime) -> None:
        before = self._counted_at
        fresh = before is not None and timedelta() <= now - before < timedelta(seconds=HOURS_EVERY_SECONDS)
        if fresh and before is not None and before.hour == now.hour:
            return
        guard_stats.count_hours(now, days=self.policy.history_days, prices=self._prices)
        self._pasts = guard_stats.pasts(now, self.policy)
        self._counted_at = now
        if self._monotonic() - self._purged_at > PURGE_EVERY_SECONDS:
            guard_stats.purge(now)
            self._purged_at = self._monotonic()

    def _rule_on_money(self, held: Mapping[Subject, Standing], now: datetime) -> dict[Subject, Ruling]:
        if not self._budgets.any:
            return {}
        money, messages = guard_stats.spent_today(now, self._prices)
        rulings: dict[Subject, Ruling] = {}
        dearest = max((self._prices.dearest(country) for country in money), default=0)
        for subject in (EVERYWHERE, *sorted(money)):
            before = held.get((Kind.BUDGET, subject))
            whole = subject == EVERYWHERE
            account = Account(
                spent=sum(money.values()) if whole else money[subject],
                messages=sum(messages.values()) if whole else messages[subject],
                since_counted=_since_counted(before, subject),
                dearest=max(1, dearest if whole else self._prices.dearest(subject)),
            )
            ruling = spend.budget_ruling(before, subject, account, self._budgets.of(subject), now=now)
            if ruling is not None:
                rulings[Kind.BUDGET, subject] = ruling
        return rulings

    def _count_would_be_stopped(self, asked: list[Asked], held: Mapping[Subject, Standing], now: datetime) -> None:
        """In observe mode: count the sends since the last look whose road was held to be paused."""
        until = now.timestamp()
        since, self._seen_until = self._seen_until or until, until
        counts: dict[tuple[str, str], int] = {}
        for one in asked:
            new = sum(since < at <= until for at in one.sent)
            subjects = ((Kind.COUNTRY, one.country), (Kind.PREFIX, one.prefix), (Kind.IP, one.network))
            paused = [key for key in subjects if key in held and held[key].state is State.PAUSED] if new else []
            if paused:
                counts[paused[0][0].value, paused[0][1]] = counts.get((paused[0][0].value, paused[0][1]), 0) + new
        if counts:
            guard_rows.count_stopped(counts, mode=self._guard.mode, now=now)


def changes_of(
    rulings: Mapping[Subject, Ruling], held: Mapping[Subject, Standing], policy: GuardPolicy
) -> list[Change]:
    """Return what is worth a row: a state that changed, or a cap that moved by a tenth."""
    made = [
        Change(held.get(subject), ruling)
        for subject, ruling in rulings.items()
        if _is_news(held.get(subject), ruling, policy)
    ]
    prefixes = [change for change in made if change.ruling.standing.kind is Kind.PREFIX]
    if len(prefixes) > MOST_PREFIXES:
        prefixes.sort(key=lambda change: -int(change.ruling.evidence.get("sends", 0)))
        left_out = {change.ruling.standing.subject for change in prefixes[MOST_PREFIXES:]}
        made = [
            c for c in made if c.ruling.standing.kind is not Kind.PREFIX or c.ruling.standing.subject not in left_out
        ]
    return made


def _is_news(before: Standing | None, ruling: Ruling, policy: GuardPolicy) -> bool:
    after = ruling.standing
    if before is None:
        if after.kind is not Kind.PREFIX or after.state is not State.OPEN:
            return True
        # A prefix that nothing is held against gets a row only where its verified codes give it room that it needs.
        used = int(ruling.evidence.get("sends", 0))
        return (after.cap or 0) > policy.prefix_cap and used >= policy.small_prefix_cap / 2
    if (before.state, before.rank, before.reason, before.strikes, before.until) != (
        after.state, after.rank, after.reason, after.strikes, after.until,
    ):  # fmt: skip
        return True
    if (before.cap is None) != (after.cap is None):
        return True
    return abs((before.cap or 0) - (after.cap or 0)) > 0.1 * (before.cap or 0)


def _since_counted(held: Standing | None, subject: str) -> int:
    if held is None or held.state is not State.SLOW:
        return 0
    sent = guard_stats.sent_since(guard_rows.time_of(held.since))
    return sum(sent.values()) if subject == EVERYWHERE else sent.get(subject, 0)
