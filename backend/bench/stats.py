"""The arithmetic of measurements: percentiles, medians, rank tests and bootstrap intervals.

Pure functions over numbers; it must not know what was measured.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """The three percentiles that a table shows, in the unit of the samples."""

    p50: float
    p95: float
    p99: float
    count: int


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its confidence interval."""

    value: float
    low: float
    high: float

    def contains(self, point: float) -> bool:
        """Tell whether the interval covers the point, ends included."""
        return self.low <= point <= self.high


def percentile(ordered: Sequence[float], *, share: float) -> float:
    """Return the nearest-rank percentile of samples already in rising order; share is 0 to 1.

    Raises ValueError for no samples or a share outside 0 to 1.
    """
    if not ordered:
        raise ValueError("no samples")
    if not 0 <= share <= 1:
        raise ValueError("share must be between 0 and 1")
    rank = max(1, math.ceil(share * len(ordered)))
    return ordered[rank - 1]


def spread(samples: Sequence[float]) -> Spread | None:
    """Return p50, p95 and p99 of the samples in any order, None where there are none."""
    if not samples:
        return None
    ordered = sorted(samples)
    return Spread(
        p50=percentile(ordered, share=0.5),
        p95=percentile(ordered, share=0.95),
        p99=percentile(ordered, share=0.99),
        count=len(ordered),
    )


def median_of(values: Sequence[float | None]) -> float | None:
    """Return the median of the values that are there, None where none is."""
    present = [value for value in values if value is not None]
    return median(present) if present else None


def paired_ratio(over: Sequence[float | None], *, under: Sequence[float | None]) -> float | None:
    """Return the median of over/under round by round, so that a slow minute of the machine hits both sides."""
    pairs = zip(over, under, strict=False)
    return median_of([a / b for a, b in pairs if a is not None and b])


def rank_auc(left: Sequence[float], *, right: Sequence[float]) -> float:
    """Return the chance that a random right sample exceeds a random left one (Mann-Whitney U / nm); ties count half.

    Raises ValueError when either side has no samples.
    """
    if not left or not right:
        raise ValueError("both sides need samples")
    tagged = sorted([(value, 0) for value in left] + [(value, 1) for value in right])
    rank_sum = 0.0
    start = 0
    while start < len(tagged):
        end = start
        while end < len(tagged) and tagged[end][0] == tagged[start][0]:
            end += 1
        shared_rank = (start + 1 + end) / 2
        rank_sum += shared_rank * sum(side for _, side in tagged[start:end])
        start = end
    count = len(right)
    return (rank_sum - count * (count + 1) / 2) / (len(left) * count)


def auc_interval(left: Sequence[float], *, right: Sequence[float], z: float = 1.96) -> Interval:
    """Return the AUC with its Hanley-McNeil interval (Radiology 143:29, 1982), cut to 0..1."""
    area = rank_auc(left, right=right)
    n, m = len(left), len(right)
    q1 = area / (2 - area)
    q2 = 2 * area * area / (1 + area)
    variance = (area * (1 - area) + (m - 1) * (q1 - area * area) + (n - 1) * (q2 - area * area)) / (n * m)
    reach = z * math.sqrt(max(variance, 0.0))
    return Interval(value=area, low=max(0.0, area - reach), high=min(1.0, area + reach))


def median_difference(
    left: Sequence[float], *, right: Sequence[float], draws: int = 1000, seed: int = 1, level: float = 0.95
) -> Interval:
    """Return median(right) - median(left) with a bootstrap percentile interval."""
    rng = random.Random(seed)
    found = sorted(
        median(rng.choices(right, k=len(right))) - median(rng.choices(left, k=len(left))) for _ in range(draws)
    )
    edge = (1 - level) / 2
    return Interval(
        value=median(right) - median(left),
        low=percentile(found, share=edge),
        high=percentile(found, share=1 - edge),
    )
