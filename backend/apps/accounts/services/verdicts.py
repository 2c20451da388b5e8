"""What the watch decides about one gateway on one route: leave it, explore, demote, bring back. Pure.

It must not know a database or how traffic is moved. Rules and error rates are derived in docs/adr/.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from apps.accounts.services import evidence
from apps.accounts.services.evidence import Curve, Fate, Sighting, odds

# The falls that are looked for, as shares of the usual verifications that still happen.
FALLS: Final = (0.05, 0.25, 0.5)
# A false suspicion at most once in e^15 messages (3 million), whichever message it begins with.
SUSPICION: Final = 15.0 + math.log(len(FALLS))
# The rival is taken for well at an error of one in 200, for no better at one in a hundred.
WELL: Final = (1.0, 0.8)
RIVAL_WELL: Final = math.log(200) + math.log(len(WELL))
RIVAL_NO_BETTER: Final = -math.log(100)
# A demoted gateway comes back wrongly at most once in e^7 probes (1,100).
HEALED: Final = 7.0 + math.log(len(WELL))
# The other half must still fare badly, at an error of one in ten, and worse than the rival's half, at five in a
# thousand: otherwise everybody is better off, and not for the rival's sake.
STILL_FALLEN: Final = -math.log(10)
WORSE: Final = 0.005
_MANY: Final = 1000
HEALED_WHILE_EXPLORING: Final = math.log(100)
# What is still seen of a fall is never taken for less or more than this.
_WORST_WHEN_HEALING: Final = 0.2
_MILDEST: Final = 0.7
# Between two moves of one gateway; a relapse within ten minutes doubles how long it stays away.
DWELL_SECONDS: Final = 30.0
LONGEST_DWELL_SECONDS: Final = 600.0
RELAPSE_SECONDS: Final = 600.0
LONGEST_EXPLORING_SECONDS: Final = 900.0
# After a fall that no other gateway is spared, and after one that has nowhere to go.
COMMON_HOLD_SECONDS: Final = 120.0
LONELY_HOLD_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Held:
    """What is held against a gateway on one route; times are epoch seconds, `curve` is what was usual when it began."""

    state: str = "up"  # up, exploring, demoted
    candidate: str = ""
    refused: tuple[str, ...] = ()
    ratio: float = 1.0
    relapses: int = 0
    changed: float = 0.0
    hold_until: float = 0.0
    curve: Curve = evidence.UNKNOWN
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The standing to write, and the alarm to raise, if any."""

    held: Held
    alarm: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One gateway on one route.

    `arm` is the candidate's share of first requests since exploring began: every second person, so that whatever
    befalls a country befalls both alike.
    """

    held: Held
    own: Sequence[Sighting]  # oldest first, since the last move
    arm: Sequence[Sighting]
    rivals: Sequence[str]  # who could take its traffic, in order of preference
    curve: Curve


def decide(case: Case, *, now: float) -> Verdict | None:
    """Return the new standing of the gateway, or None where it stays as it is."""
    if case.held.state == "demoted":
        return _heal(case, now)
    if case.held.state == "exploring":
        return _explore(case, now)
    return None if now < case.held.hold_until else _suspect(case, now)


def since(held: Held, *, now: float, window: float) -> float:
    """Return the time from which on messages bear on this standing."""
    return max(now - window, held.changed)


def _suspect(case: Case, now: float) -> Verdict | None:
    strength, begins = 0.0, len(case.own)
    for fall in FALLS:
        found, at = odds(case.curve, now=fall, before=1.0).strongest(case.own)
        if found > strength:
            strength, begins = found, at
    if strength < SUSPICION:
        return None
    seen = evidence.ratio(case.own[begins:], case.curve, now=now)
    if not case.rivals:
        lonely = _up(case, now, ratio=seen, hold=LONELY_HOLD_SECONDS, reason="fell, no other gateway")
        return Verdict(lonely, "conversion_fell")
    was_back = case.held.ratio >= 1.0 and 0 < case.held.changed > now - RELAPSE_SECONDS
    held = Held(
        state="exploring",
        candidate=case.rivals[0],
        ratio=seen,
        relapses=case.held.relapses + 1 if was_back else 0,
        changed=now,
        curve=case.curve,
        reason=f"verified {seen:.0%} of the usual",
    )
    return Verdict(held, "conversion_fell")


def _explore(case: Case, now: float) -> Verdict | None:
    held, explored = case.held, now - case.held.changed
    worst = min(_MILDEST, held.ratio)
    if held.candidate not in case.rivals:  # it cools, or was demoted itself
        return _next_candidate(case, now, also=())
    well = [odds(held.curve, now=share, before=worst) for share in WELL]
    rival = [one.total(case.arm) for one in well]
    healed = well[0].total(case.own)
    if max(rival) >= RIVAL_WELL and healed <= STILL_FALLEN and _is_worse(case.own, case.arm):
        return Verdict(_demoted(case, now), "gateway_demoted")
    if explored >= DWELL_SECONDS and healed >= HEALED_WHILE_EXPLORING:
        return Verdict(_up(case, now, ratio=1.0, hold=0.0, reason="verifies as usual again"))
    if max(rival) <= RIVAL_NO_BETTER:
        return _next_candidate(case, now, also=(held.candidate,))
    if explored >= LONGEST_EXPLORING_SECONDS:
        return Verdict(_up(case, now, ratio=held.ratio, hold=COMMON_HOLD_SECONDS, reason="too little traffic to tell"))
    return None


def _is_worse(own: Sequence[Sighting], arm: Sequence[Sighting]) -> bool:
    """Say whether so few verifications on our side would be odd if both sides were alike (Fisher's exact test).

    Both sides began together and grow alike, so the messages of one are as old as those of the other.
    """
    ours, theirs = (sum(one.fate is Fate.VERIFIED for one in side) for side in (own, arm))
    total, everyone = ours + theirs, len(own) + len(arm)
    if everyone > _MANY:
        # Beyond this the tail of any difference that matters is far below the bound.
        return ours * len(arm) < 0.75 * theirs * len(own)
    ways = sum(
        math.comb(len(own), k) * math.comb(len(arm), total - k) for k in range(max(0, total - len(arm)), ours + 1)
    )
    return ways <= WORSE * math.comb(everyone, total)


def _next_candidate(case: Case, now: float, *, also: Sequence[str]) -> Verdict | None:
    held = case.held
    refused = (*held.refused, *also)
    left = [name for name in case.rivals if name not in refused]
    if left:
        return Verdict(replace(held, candidate=left[0], refused=refused, changed=now))
    if now - held.changed < DWELL_SECONDS:
        return None
    return Verdict(
        _up(case, now, ratio=held.ratio, hold=COMMON_HOLD_SECONDS, reason="fell, and the others with it"),
        "all_gateways_fell",
    )


def _heal(case: Case, now: float) -> Verdict | None:
    held = case.held
    if now - held.changed < min(LONGEST_DWELL_SECONDS, DWELL_SECONDS * 2**held.relapses):
        return None
    worst = min(_MILDEST, max(_WORST_WHEN_HEALING, held.ratio))
    strength = max(odds(held.curve, now=share, before=worst).strongest(case.own)[0] for share in WELL)
    if strength < HEALED:
        return None
    return Verdict(_up(case, now, ratio=1.0, hold=DWELL_SECONDS, reason="verifies again"))


def _up(case: Case, now: float, *, ratio: float, hold: float, reason: str) -> Held:
    curve = case.curve if case.held.state == "up" else case.held.curve
    return Held(
        ratio=ratio, relapses=case.held.relapses, changed=now, hold_until=now + hold, curve=curve, reason=reason
    )


def _demoted(case: Case, now: float) -> Held:
    # The stretch that raised the suspicion was chosen for looking worst; what came after it was not.
    seen = max(case.held.ratio, evidence.ratio(case.own, case.held.curve, now=now))
    return replace(case.held, state="demoted", refused=(), ratio=seen, changed=now)
