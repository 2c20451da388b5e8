"""Money: how much of a day's budget is left, and how many messages that is. Pure; it must not know where money went.

A budget is a calendar day's (UTC). The database says what was spent, every few seconds; so that a burst between two
looks cannot overdraw it, the last thousand messages of a budget are counted one by one with the other limits of a send.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from apps.accounts.services.guard_policy import Kind, State
from apps.accounts.services.guard_rules import Ruling, Standing

EVERYWHERE: Final = "*"
COUNTED_FROM: Final = 1000


@dataclass(frozen=True, slots=True)
class Budgets:
    """Micro-units a day; 0 is no budget. `countries` may hold `*` for every country without its own."""

    whole: int
    countries: Mapping[str, int]

    def of(self, country: str) -> int:
        """Return the budget of one country, or with `*` the service's."""
        if country == EVERYWHERE:
            return self.whole
        found = self.countries.get(country)
        return self.countries.get(EVERYWHERE, 0) if found is None else found

    @property
    def any(self) -> bool:
        """Say whether there is a budget at all."""
        return bool(self.whole or any(self.countries.values()))


@dataclass(frozen=True, slots=True)
class Account:
    """What one subject has spent and sent since midnight, and since its last messages began to be counted."""

    spent: int
    messages: int
    since_counted: int
    dearest: int  # the price of one message


def messages_left(budget: int, spent: int, price: int) -> int:
    """Return how many messages the rest of a budget pays for."""
    return max(0, budget - spent) // max(1, price)


def counted_from_the_start(budget: int, price: int) -> int | None:
    """Return how many messages a whole budget is, when it is so small that each is counted; None when it is not."""
    whole = messages_left(budget, 0, price)
    return whole if whole <= COUNTED_FROM else None


def budget_ruling(
    held: Standing | None, subject: str, account: Account, budget: int, *, now: datetime
) -> Ruling | None:
    """Return the next standing of a budget, None where nothing changes.

    OPEN: plenty is left. SLOW: each of the last `cap` messages since `since` is counted. PAUSED: gone until midnight.
    """
    if not budget:
        return None
    ends = next_midnight(now)
    today = held if held is not None and held.until == ends.timestamp() else None
    left = messages_left(budget, account.spent, account.dearest)
    evidence = {"spent": account.spent, "budget": budget, "messages": account.messages}
    if not left:
        if today is not None and today.state is State.PAUSED:
            return None
        return Ruling(_standing(subject, State.PAUSED, now, until=ends, reason="budget_gone"), evidence)
    if today is not None and today.state is State.SLOW:
        uncounted = (today.cap or 0) - account.since_counted
        if uncounted > 0 and left <= 2 * uncounted:  # much more is left where the budget was raised
            return None
    small = counted_from_the_start(budget, account.dearest)
    if today is None and small is not None and account.messages < small:
        return None  # each is counted since midnight, without any row
    if left <= COUNTED_FROM:
        ruling = _standing(subject, State.SLOW, now, until=ends, cap=left, reason="budget_ends")
        return Ruling(ruling, evidence)
    raised = today is not None and today.state is not State.OPEN
    return Ruling(_standing(subject, State.OPEN, now, until=ends, reason="budget_raised"), evidence) if raised else None


def next_midnight(now: datetime) -> datetime:
    """Return when the day of `now` ends, in UTC."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def _standing(
    subject: str,
    state: State,
    now: datetime,
    *,
    until: datetime | None = None,
    cap: int | None = None,
    reason: str = "",
) -> Standing:
    return Standing(
        kind=Kind.BUDGET,
        subject=subject,
        state=state,
        cap=cap,
        since=now.timestamp(),
        until=until.timestamp() if until else None,
        reason=reason,
        changed=now.timestamp(),
    )
