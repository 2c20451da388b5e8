"""What was sent, weighed against what was verified. Pure arithmetic: no database, no clock of its own, no decision.

Codes are weighed and not messages: a person who asks three times and then types the code is one success and no failure.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles

from apps.accounts.services.guard_policy import GuardPolicy, Rank


@dataclass(frozen=True, slots=True, repr=False)
class Asked:
    """One code that was sent: where to, who asked, when (epoch seconds, first to last), and whether it was used."""

    country: str
    prefix: str
    tail: int  # the last four digits
    network: str  # the client, as limits count it
    sent: tuple[float, ...]
    verified: bool
    frauds: int = 0  # sends that a vendor refused as fraud

    @property
    def at(self) -> float:
        """Return when it was first sent."""
        return self.sent[0]


@dataclass(frozen=True, slots=True)
class Weight:
    """What speaks for and against a subject. `mature` codes had their time, or were verified before it was over."""

    sends: int = 0  # messages within the caps' window
    credit: int = 0  # verified codes of that window
    mature: int = 0
    verified: int = 0
    frauds: int = 0

    @property
    def unverified(self) -> int:
        """Return the codes that had their time and were not used."""
        return self.mature - self.verified

    @property
    def conversion(self) -> float:
        """Return the share of mature codes that were verified, 1 where there are none."""
        return self.verified / self.mature if self.mature else 1.0

    def plus(self, *, mature: int, verified: int) -> "Weight":
        """Return the weight with codes of longer ago added."""
        return Weight(self.sends, self.credit, self.mature + mature, self.verified + verified, self.frauds)


@dataclass(frozen=True, slots=True)
class Past:
    """What was usual in a country before the present evidence began."""

    rank: Rank = Rank.STRANGER
    conversion: float = 0.5  # normal share of verified codes
    usual: float = 0.0  # sends per window in a busy hour
    recent: int = 0  # codes of the last week
    recent_verified: int = 0


@dataclass(frozen=True, slots=True)
class Hour:
    """One counted hour of one country; `day` is any number that differs between days."""

    day: int
    codes: int
    verified: int
    recent: bool  # of the last week


def weigh(asked: Iterable[Asked], *, now: float, policy: GuardPolicy, since: float = 0.0) -> Weight:
    """Weigh the codes first sent after `since`."""
    sends = credit = mature = verified = frauds = 0
    window = now - policy.window
    for one in asked:
        frauds += one.frauds
        sends += sum(at > window for at in one.sent)
        if one.at <= since:
            continue
        if one.verified:
            mature += 1
            verified += 1
            credit += one.at > window
        elif now - one.at >= policy.mature:
            mature += 1
    return Weight(sends=sends, credit=credit, mature=mature, verified=verified, frauds=frauds)


def by_country(asked: Iterable[Asked]) -> Mapping[str, list[Asked]]:
    """Sort codes by country."""
    found: dict[str, list[Asked]] = defaultdict(list)
    for one in asked:
        found[one.country].append(one)
    return found


def by_prefix(asked: Iterable[Asked]) -> Mapping[str, list[Asked]]:
    """Sort codes by the number without its last four digits."""
    found: dict[str, list[Asked]] = defaultdict(list)
    for one in asked:
        found[one.prefix].append(one)
    return found


def by_network(asked: Iterable[Asked]) -> Mapping[str, list[Asked]]:
    """Sort codes by the client that asked."""
    found: dict[str, list[Asked]] = defaultdict(list)
    for one in asked:
        if one.network:
            found[one.network].append(one)
    return found


def longest_sweep(asked: Sequence[Asked], *, now: float, policy: GuardPolicy, since: float = 0.0) -> int:
    """Return how many numbers of one prefix lie in a row, each near the next, without one of them verified."""
    tails = sorted({one.tail for one in asked if not one.verified and one.at > since and now - one.at >= policy.mature})
    longest = run = min(1, len(tails))
    for before, after in itertools.pairwise(tails):
        run = run + 1 if after - before <= policy.sweep_gap else 1
        longest = max(longest, run)
    return longest


def chance(verified: int, mature: int, usual: float) -> float:
    """Return how likely so few verified codes, or fewer, are where a share of `usual` is normal (binomial tail)."""
    if mature == 0 or verified >= mature * usual:
        return 1.0
    usual = min(usual, 0.999)
    log_p, log_q = math.log(usual), math.log1p(-usual)
    ways = math.lgamma(mature + 1)
    total = sum(
        math.exp(ways - math.lgamma(k + 1) - math.lgamma(mature - k + 1) + k * log_p + (mature - k) * log_q)
        for k in range(verified + 1)
    )
    return min(1.0, total)


def past_of(hours: Sequence[Hour], policy: GuardPolicy) -> Past:
    """Return what was usual in these hours of one country.

    Hours weigh by what was verified in them, so that hours of an attack, in which nobody verifies, teach nothing.
    """
    verified = sum(hour.verified for hour in hours)
    days = len({hour.day for hour in hours if hour.verified})
    known = verified >= policy.known_verified and days >= policy.known_days
    rank = Rank.KNOWN if known else Rank.NEWCOMER if verified else Rank.STRANGER
    conversion = _median([(min(1.0, hour.verified / hour.codes), hour.verified) for hour in hours if hour.codes])
    busy = sorted(hour.verified for hour in hours if hour.verified)
    an_hour = quantiles(busy, n=20)[-1] if len(busy) > 1 else float(sum(busy))
    return Past(
        rank=rank,
        conversion=conversion if known else policy.presumed,
        usual=min(an_hour, busy[-1]) * policy.window / 3600 / max(conversion, 0.05) if busy else 0.0,
        recent=sum(hour.codes for hour in hours if hour.recent),
        recent_verified=sum(hour.verified for hour in hours if hour.recent),
    )


def _median(weighted: list[tuple[float, int]]) -> float:
    half = sum(weight for _, weight in weighted) / 2
    reached = 0.0
    for value, weight in sorted(weighted):
        reached += weight
        if weight and reached >= half:
            return value
    return 0.5
