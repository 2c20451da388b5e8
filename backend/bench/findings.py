"""Judges answers by time and shape: do two kinds of numbers look alike to a stranger?

Pure functions over samples; it must not know how they were taken.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from bench.client import Reply
from bench.stats import Interval, auc_interval, median_difference, percentile

# An area under the curve that an attacker with a few tries cannot use (0.5 is a coin).
SMALL_REACH = 0.1


class Kind(Enum):
    """What a number is to the service."""

    UNKNOWN = "unknown"
    KNOWN = "known"
    DISABLED = "disabled"
    BLOCKED_UNKNOWN = "blocked, unknown"
    BLOCKED_KNOWN = "blocked, known"


class Probe(Enum):
    """What is asked."""

    REQUEST = "request"
    VERIFY_OPEN = "verify, wrong code, one is open"
    VERIFY_NONE = "verify, wrong code, none was sent"


# A block is announced (403), so blocked numbers are compared among themselves.
COMPARISONS = (
    (Kind.UNKNOWN, Kind.KNOWN),
    (Kind.UNKNOWN, Kind.DISABLED),
    (Kind.BLOCKED_UNKNOWN, Kind.BLOCKED_KNOWN),
)


@dataclass(slots=True)
class Samples:
    """Seconds and shapes (status and body length) of one probe on one kind of number."""

    seconds: list[float] = field(default_factory=list)
    shapes: Counter[tuple[int, int]] = field(default_factory=Counter)

    def add(self, reply: Reply) -> None:
        """Keep one answer's time and shape, not its content."""
        self.seconds.append(reply.seconds)
        self.shapes[reply.status, len(reply.body)] += 1


@dataclass(frozen=True, slots=True)
class Finding:
    """One comparison; times in seconds."""

    probe: Probe
    left: Kind
    right: Kind
    difference: Interval
    auc: Interval
    shapes_differ: bool

    @property
    def verdict(self) -> str:
        """Say in words what the figures mean for an attacker."""
        if self.shapes_differ:
            return "ORACLE: the answers look different"
        if self.auc.contains(0.5):
            return "no oracle seen"
        if abs(self.auc.value - 0.5) < SMALL_REACH:
            return "a faint difference, more samples wanted"
        return "ORACLE: the time tells"


Table = dict[tuple[Probe, Kind], Samples]


def compare(table: Table) -> list[Finding]:
    """Compare every pair that was measured."""
    findings: list[Finding] = []
    for probe in Probe:
        for left, right in COMPARISONS:
            one, other = table.get((probe, left)), table.get((probe, right))
            if one is None or other is None:
                continue
            findings.append(
                Finding(
                    probe=probe,
                    left=left,
                    right=right,
                    difference=median_difference(one.seconds, right=other.seconds),
                    auc=auc_interval(one.seconds, right=other.seconds),
                    shapes_differ=shapes_differ(one.shapes, other.shapes),
                )
            )
    return findings


def shapes_differ(left: Counter[tuple[int, int]], right: Counter[tuple[int, int]]) -> bool:
    """Tell whether statuses differ, or the usual body length does; single digits of a countdown may wander."""
    statuses = {status for status, _ in left} != {status for status, _ in right}
    usual = [counter.most_common(1)[0][0][1] for counter in (left, right)]
    return statuses or abs(usual[0] - usual[1]) > 2


def written(findings: Sequence[Finding], *, table: Table) -> str:
    """Return the findings for people."""
    lines = [f"{'probe':36}{'compared':36}{'median us':>20}{'difference us (95 %)':>30}{'AUC (95 %)':>22}  verdict"]
    for one in findings:
        medians = [
            percentile(sorted(table[one.probe, kind].seconds), share=0.5) * 1e6 for kind in (one.left, one.right)
        ]
        gap, area = one.difference, one.auc
        lines.append(
            f"{one.probe.value:36}{one.left.value + ' / ' + one.right.value:36}"
            f"{medians[0]:10.0f}{medians[1]:10.0f}"
            f"{gap.value * 1e6:12.0f} [{gap.low * 1e6:6.0f}, {gap.high * 1e6:6.0f}]"
            f"{area.value:8.3f} [{area.low:.3f}, {area.high:.3f}]  {one.verdict}"
        )
    return "\n".join(lines)


def another(code: str) -> str:
    """Return six digits that are not the code."""
    return f"{(int(code) + 1) % 1_000_000:06d}"
