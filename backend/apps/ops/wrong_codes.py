"""How a person stands with the limits on wrong codes (contract section 2): counts, what they refused, what to do. Pure.

It must not know where the rows were read from.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from apps.accounts.config import Config
from apps.accounts.services.windows import FREE_FAILURES, SHUT_AFTER
from apps.ops.queries_explain import CodeRow, LaneRow, Story

REFUSALS: Final = frozenset({"too_many_attempts"})
_DAY: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Failure:
    """One wrong code; `counted` is how many stand against the lane now, and 0 but for the newest of them."""

    at: datetime
    lane: str
    counted: int


@dataclass(frozen=True, slots=True)
class Bare:
    """The tries of one code by phone alone, up to the newest of them."""

    at: datetime
    tries: int
    limit: int

    @property
    def is_spent(self) -> bool:
        """Say whether calls by phone alone are refused for the rest of the code's life."""
        return self.tries >= self.limit


def recent(lane: LaneRow, now: datetime) -> list[datetime]:
    """Return the wrong codes that count in a lane now, oldest first."""
    return sorted(at for at in lane.stamps if at > now - _DAY)


def failures(story: Story) -> Iterator[Failure]:
    """Give every wrong code that is known, lane by lane."""
    for lane in story.lanes:
        counting = recent(lane, story.now)
        for at in lane.stamps:
            yield Failure(at, lane.lane, len(counting) if counting and at == counting[-1] else 0)


def bare(story: Story, config: Config) -> list[Bare]:
    """Return how the codes stand that were tried by phone alone and not used."""
    by_phone = [at for lane in story.lanes if lane.lane == "phone" for at in lane.stamps]
    return [
        Bare(_newest(by_phone, code), code.bare_attempts, config.max_attempts)
        for code in story.codes
        if code.kind != "readout" and code.bare_attempts and code.state != "used"
    ]


def spent_until(story: Story, config: Config) -> datetime | None:
    """Return until when calls by phone alone are refused because the open code's tries are used up; None: they aren't.

    Two codes may be open beside each other; while one of them has a try left, such a call is compared with it.
    """
    alive = [code for code in story.codes if code.kind != "readout" and _is_open_for_login(code, story.now)]
    if not alive or any(code.bare_attempts < config.max_attempts for code in alive):
        return None
    return max(code.expires_at for code in alive)


def refusal(limit: str, config: Config) -> str:
    """Return what refused a try (`too_many_attempts`): the limit's name with its count."""
    lane, _, reason = limit.partition("_")
    most, a_day = config.max_attempts, config.max_failures_per_day
    return {
        "": f"{most} of {most} tries of {'the code by phone alone' if lane == 'phone' else 'the challenge'}",
        "early": f"lane {lane}: a pause after {FREE_FAILURES} or more wrong codes",
        "day": f"lane {lane}: {a_day} of {a_day} in 24 hours",
        "shut": f"lane {lane}: {SHUT_AFTER} of {SHUT_AFTER} since the last login",
    }.get(reason, limit)


def _newest(by_phone: Sequence[datetime], code: CodeRow) -> datetime:
    within = [at for at in by_phone if code.created_at <= at <= code.expires_at]
    return max(within, default=code.created_at)


def _is_open_for_login(code: CodeRow, now: datetime) -> bool:
    return code.purpose == "login" and code.state == "open" and code.expires_at > now
