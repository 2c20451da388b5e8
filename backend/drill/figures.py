"""What a record says: logins lost, delay added, seconds to detection, to 95% moved, to come back. Pure arithmetic.

It must not know how the record came about.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from drill.people import Life
from drill.run import OUR_NAME, Record
from drill.scenarios import Kind

MOVED_SHARE = 0.95
_WINDOW_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one scenario; None where there is nothing to measure. Times in seconds."""

    logins: int
    lost: int
    resends: int
    delay_most: float  # the longest wait for the first answer during the fault, beyond the calm median
    delay_after_detection: float
    detected_after: float | None
    moved_after: float | None
    messages_per_login: float
    back_after: float | None
    honest_refusals: int
    retry_after_most: int


def figures_of(record: Record) -> Figures:
    """Return the figures of a scenario."""
    lives = record.lives
    during = [life for life in lives if record.fault_at <= life.began < record.healed_at]
    calm = sorted(life.waited_for_answer for life in lives if life.began < record.fault_at)
    usual = calm[len(calm) // 2] if calm else 0.0
    detected = detected_after(record)
    late = [
        life for life in during if detected is not None and life.began > record.fault_at + detected + _WINDOW_SECONDS
    ]
    refused = [life for life in during if life.refusals]
    return Figures(
        logins=len(lives),
        lost=sum(life.lost for life in lives),
        resends=sum(life.resent is not None for life in lives),
        delay_most=max((life.waited_for_answer - usual for life in during), default=0.0),
        delay_after_detection=max((life.waited_for_answer - usual for life in late), default=0.0),
        detected_after=detected,
        moved_after=moved_after(record),
        messages_per_login=len([m for m in record.messages if m["accepted"]]) / max(1, len(lives)),
        back_after=back_after(record),
        honest_refusals=len(refused),
        retry_after_most=max((wait for life in refused for wait in life.retry_afters), default=0),
    )


def broken_gateways(record: Record) -> set[str]:
    """Return our names of the gateways that the scenario breaks."""
    return {OUR_NAME[fault.vendor] for fault in record.scenario.faults}


def detected_after(record: Record) -> float | None:
    """Return when the status first said that a broken gateway is not up."""
    broken = broken_gateways(record)
    for sighting in record.sightings:
        if sighting.at >= record.fault_at and any(sighting.states.get(name) != "up" for name in broken):
            return sighting.at - record.fault_at
    return None


def moved_after(record: Record) -> float | None:
    """Return from when on at least 95% of the tries until the healing went to gateways that work."""
    broken = broken_gateways(record)
    tries = [
        (at, provider in broken) for at, provider, _, _ in record.attempts if record.fault_at <= at < record.healed_at
    ]
    moment = 0.0
    length = record.healed_at - record.fault_at
    while moment + _WINDOW_SECONDS <= length:
        start = record.fault_at + moment
        rest = [bad for at, bad in tries if at >= start]
        if rest and 1 - sum(rest) / len(rest) >= MOVED_SHARE:
            return moment
        moment += 0.5
    return None


def back_after(record: Record) -> float | None:
    """Return when, after the healing, a login first went well by a gateway that had been broken."""
    broken = broken_gateways(record)
    for at, provider, state, _ in record.attempts:
        if at >= record.healed_at and provider in broken and state in ("accepted", "delivered"):
            return at - record.healed_at
    return None


def kept(record: Record, figures: Figures) -> Sequence[str]:
    """Return the promises of the scenario that were not kept, in words; empty when all were."""
    kind, timeout, faults = record.scenario.kind, 4.0, []
    if kind is Kind.SILENT:
        pressed = [life for life in record.lives if life.resent is not None and life.lost]
        if pressed:
            faults.append(f"{len(pressed)} people pressed resend and never got in")
        if figures.detected_after is None or figures.detected_after > 60:
            faults.append("the silence was not noticed within 60 s")
    elif kind is Kind.HARD:
        if figures.delay_most > timeout + 1.0:
            faults.append(f"somebody waited {figures.delay_most:.1f} s longer than one gateway timeout allows")
        if figures.delay_after_detection > 1.0:
            faults.append(f"a wait of {figures.delay_after_detection:.1f} s after the fault was known")
    else:
        if not figures.honest_refusals or figures.retry_after_most > 5:
            faults.append("no honest 503 with a Retry-After of 5 s at most")
        if figures.back_after is None or figures.back_after > 5:
            faults.append("not back within 5 s of the first gateway's return")
    if figures.lost:
        faults.append(f"{figures.lost} logins lost")
    return faults


def lost_lives(record: Record) -> list[Life]:
    """Return the people who never got in."""
    return [life for life in record.lives if life.lost]
