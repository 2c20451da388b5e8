"""What happened on the routes in stretches of time: sums and spreads that can be added up. Pure.

It must not know a database, nor how any of it is shown.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Final

Route = tuple[str, str, str]  # gateway, channel, country; all empty for what belongs to no gateway
NOWHERE: Final[Route] = ("", "", "")


@dataclass(slots=True)
class Sums:
    """Counts of one stretch. `converted` of the codes `opened` in it were used; `verified` codes were used in it, and
    `codes_sent` of the messages `sent` carried a code: the others were notices and audits.

    `latencies` counts milliseconds of gateways' answers, `waits` tenths of a second from asking to login.
    """

    requested: int = 0
    sent: int = 0
    codes_sent: int = 0
    delivered: int = 0
    failed: int = 0
    unknown: int = 0
    verified: int = 0
    expired: int = 0
    opened: int = 0
    converted: int = 0
    latencies: Counter[int] = field(default_factory=Counter)
    waits: Counter[int] = field(default_factory=Counter)

    def add(self, other: "Sums") -> None:
        """Add another stretch, or another route, to this one."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.latencies.update(other.latencies)
        self.waits.update(other.waits)

    @property
    def conversion(self) -> float | None:
        """Return the share of the codes asked for that were used; None where none was asked for."""
        return round(self.converted / self.opened, 4) if self.opened else None


COUNTS: Final = tuple(one.name for one in fields(Sums) if one.name not in {"latencies", "waits"})


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one route brought from `at` (epoch seconds) on, for as long as the asker's step says."""

    at: int
    route: Route
    sums: Sums


def total(stretches: Iterable[Stretch]) -> Sums:
    """Add everything up."""
    found = Sums()
    for one in stretches:
        found.add(one.sums)
    return found


def by_time(stretches: Iterable[Stretch], *, step: int) -> dict[int, Sums]:
    """Add up by slots of `step` seconds."""
    found: dict[int, Sums] = {}
    for one in stretches:
        found.setdefault(one.at // step * step, Sums()).add(one.sums)
    return found


def by_gateway(stretches: Iterable[Stretch]) -> dict[tuple[str, str], Sums]:
    """Add up by gateway and channel, leaving out what belongs to none."""
    found: dict[tuple[str, str], Sums] = {}
    for one in stretches:
        if one.route[0]:
            found.setdefault(one.route[:2], Sums()).add(one.sums)
    return found


def by_country(stretches: Iterable[Stretch]) -> dict[str, Sums]:
    """Add up by country, leaving out what belongs to none."""
    found: dict[str, Sums] = {}
    for one in stretches:
        if one.route[2]:
            found.setdefault(one.route[2], Sums()).add(one.sums)
    return found


def percentile(counts: Mapping[int, int], share: float) -> int | None:
    """Return the least value that `share` of what was counted does not exceed; None where nothing was counted."""
    wanted = share * sum(counts.values())
    seen = 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= wanted:
            return value
    return None


def spread(counts: Mapping[int, int], *, units_per_second: int) -> dict[str, float | None]:
    """Return the median and the 95th percentile in seconds."""
    found: dict[str, float | None] = {}
    for name, share in (("p50", 0.50), ("p95", 0.95)):
        value = percentile(counts, share)
        found[name] = None if value is None else value / units_per_second
    return found
