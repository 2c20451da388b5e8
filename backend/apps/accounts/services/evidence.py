"""How strongly the fates of messages speak: likelihood ratios over verified, resent and still open. Pure arithmetic.

It must not know a database, a gateway or what is done about it. The derivation is in docs/adr/.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

# Seconds after which nothing more is expected of a message.
HORIZON: Final = 120
# Fewer messages than this make no past to compare with.
FEWEST_FOR_A_CURVE: Final = 40
# The share of people without a code who ask again, once they may.
ASKING_AGAIN: Final = 0.5
# No message is ever so sure to be verified that one which is not would settle the matter.
_SUREST: Final = 0.97
_FEWEST_RESENT: Final = 0.005
_Z: Final = 2.58  # two-sided 99 %
# Without a past of its own a route is held to what a vendor calls an alarm: 35 % verified (Vonage, conversion monitor
# of its fraud defender), spread evenly over a minute.
_UNKNOWN_ROUTE: Final = 0.35


class Fate(StrEnum):
    OPEN = "open"
    VERIFIED = "verified"
    RESENT = "resent"  # another message was asked for, or went out, before the code was used


@dataclass(frozen=True, slots=True)
class Sighting:
    """One message: when it went out (epoch seconds), what became of it, and after how many seconds, or its age."""

    at: float
    fate: Fate
    after: float


@dataclass(frozen=True, slots=True)
class Curve:
    """What is usual: the shares verified and resent within 0, 1, … HORIZON seconds, from `size` messages."""

    verified: tuple[float, ...]
    resent: tuple[float, ...]
    size: int

    def as_text(self) -> str:
        """Return it as JSON with three digits."""
        return json.dumps([[round(x, 3) for x in self.verified], [round(x, 3) for x in self.resent], self.size])


def curve_from_text(text: str) -> Curve:
    """Return the curve that `as_text` wrote, or the one for a route without a past."""
    try:
        verified, resent, size = json.loads(text)
        read = Curve(tuple(map(float, verified)), tuple(map(float, resent)), int(size))
    except (ValueError, TypeError):
        return UNKNOWN
    return read if len(read.verified) == len(read.resent) == HORIZON + 1 else UNKNOWN


def _unknown() -> Curve:
    verified = tuple(_UNKNOWN_ROUTE * min(1.0, second / 60) for second in range(HORIZON + 1))
    return Curve(verified, tuple(0.1 * second / HORIZON for second in range(HORIZON + 1)), 0)


UNKNOWN: Final = _unknown()


def learn(sightings: Sequence[Sighting]) -> Curve:
    """Return what was usual, leaning towards fewer verified and more resent where messages are few.

    Cumulative incidence of two competing ends under censoring (Aalen and Johansen 1978), then scaled to the ends of
    Wilson's intervals, so that an unlucky sample makes the watch slower and never rash.
    """
    if len(sightings) < FEWEST_FOR_A_CURVE:
        return UNKNOWN
    ends = {Fate.VERIFIED: [0] * (HORIZON + 1), Fate.RESENT: [0] * (HORIZON + 1), Fate.OPEN: [0] * (HORIZON + 1)}
    for one in sightings:
        # An end counts from the next full second on, an open message only for the seconds it has lived through.
        second = math.ceil(one.after) if one.fate is not Fate.OPEN else math.floor(one.after)
        beyond = one.after > HORIZON
        ends[Fate.OPEN if beyond else one.fate][HORIZON if beyond else max(0, second)] += 1
    at_risk, alive = len(sightings), 1.0
    verified, resent = [0.0] * (HORIZON + 1), [0.0] * (HORIZON + 1)
    for second in range(HORIZON + 1):
        v, r = ends[Fate.VERIFIED][second], ends[Fate.RESENT][second]
        before = max(0, second - 1)
        share = alive / at_risk if at_risk else 0.0
        verified[second] = verified[before] + share * v
        resent[second] = resent[before] + share * r
        alive -= share * (v + r)
        at_risk -= v + r + ends[Fate.OPEN][second]
    return _cautious(verified, resent, len(sightings))


def _cautious(verified: Sequence[float], resent: Sequence[float], size: int) -> Curve:
    total_v, total_r = verified[-1], resent[-1]
    low = _wilson(total_v, size, sign=-1)
    high = max(_FEWEST_RESENT, _wilson(total_r, size, sign=1))
    high = min(high, max(_FEWEST_RESENT, _SUREST - low))
    low = min(low, _SUREST - high)
    scale_v = low / total_v if total_v else 0.0
    # Without a resend in the past, one is expected at any second alike.
    flat = [high * second / HORIZON for second in range(HORIZON + 1)]
    shaped = [x * high / total_r for x in resent] if total_r else flat
    return Curve(tuple(x * scale_v for x in verified), tuple(shaped), size)


def _wilson(share: float, size: int, *, sign: int) -> float:
    """Return an end of Wilson's interval (JASA 22, 1927)."""
    z2 = _Z * _Z
    middle = share + z2 / (2 * size)
    half = _Z * math.sqrt(share * (1 - share) / size + z2 / (4 * size * size))
    return min(1.0, max(0.0, (middle + sign * half) / (1 + z2 / size)))


@dataclass(frozen=True, slots=True)
class Odds:
    """Log likelihood ratios of a message's fate when the share `now` of usual verifications happens, against `before`.

    Each is a martingale in time under `before`: the ratio starts at 1 and its mean stays 1, whenever one looks.
    """

    verified: float
    resent: float
    open: tuple[float, ...]  # by age in seconds

    def of(self, one: Sighting) -> float:
        """Return the log likelihood ratio of one message."""
        if one.after >= HORIZON or one.fate is Fate.OPEN:
            return self.open[min(HORIZON, int(one.after))]
        return self.verified if one.fate is Fate.VERIFIED else self.resent

    def total(self, sightings: Iterable[Sighting]) -> float:
        """Return the log likelihood ratio of all of them."""
        return sum(map(self.of, sightings))

    def strongest(self, sightings: Sequence[Sighting]) -> tuple[float, int]:
        """Return the greatest total over all trailing stretches of `sightings`, oldest first, and where it begins."""
        best, begins, total = 0.0, len(sightings), 0.0
        for index in range(len(sightings) - 1, -1, -1):
            total += self.of(sightings[index])
            if total > best:
                best, begins = total, index
        return best, begins


@lru_cache(maxsize=512)
def odds(curve: Curve, *, now: float, before: float) -> Odds:
    """Return the table for two shares of what is usual, both above 0."""
    final_v, final_r = curve.verified[-1], max(curve.resent[-1], _FEWEST_RESENT)

    def resending(share: float) -> float:
        return 1.0 + max(0.0, 1.0 - share) * ASKING_AGAIN * final_v / final_r

    def still_open(share: float, second: int) -> float:
        left = 1.0 - share * curve.verified[second] - resending(share) * curve.resent[second]
        return max(left, 1e-3)

    return Odds(
        verified=math.log(now / before),
        resent=math.log(resending(now) / resending(before)),
        open=tuple(math.log(still_open(now, s) / still_open(before, s)) for s in range(HORIZON + 1)),
    )


def ratio(sightings: Sequence[Sighting], curve: Curve, *, now: float) -> float:
    """Return which share of the usual verifications happened, from 0.05 to 1, leaning towards 1 where they are few."""
    seen = sum(one.fate is Fate.VERIFIED and one.after < HORIZON for one in sightings)
    usual = sum(curve.verified[min(HORIZON, max(0, int(now - one.at)))] for one in sightings)
    return min(1.0, max(0.05, (seen + 0.5) / (usual + 0.5)))
