"""Say what a limit, a standing and an admission are, and how a verdict follows from the counts.

This room must not know where the stamps are kept, nor what a phone, a request or a gateway is.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

KEY_PREFIX = "otp:limit:"


class Store(StrEnum):
    """Where an admission was judged."""

    REDIS = "redis"
    MEMORY = "memory"


class StoreState(StrEnum):
    """What the limiter rests on at this moment, for the status page."""

    REDIS = "redis"
    MEMORY_FALLBACK = "memory fallback"
    UNAVAILABLE = "unavailable"
    NONE = "none"


class LimiterUnavailable(Exception):
    """No store may judge now: Redis is gone and the memory fallback is switched off."""

    retry_after_ms = 1000


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit on one subject: at most `limit` admissions in any trailing `window_ms` milliseconds.

    `subject` is opaque (the caller hashes it); "" is the whole service. A scope keeps one window: the log of a
    key is trimmed by the window it is asked with. `durable_elsewhere` marks what the database judges too;
    `always_judged` what memory judges while Redis is gone even where it may not stand in for it.
    """

    scope: str
    subject: str
    limit: int
    window_ms: int
    durable_elsewhere: bool = False
    always_judged: bool = False

    def __post_init__(self) -> None:
        if self.limit < 1 or self.window_ms < 1:
            raise ValueError(f"limit and window of scope {self.scope!r} must be positive; leave out what is off")

    @property
    def key(self) -> str:
        """Name the key of the log, the same in every store."""
        return f"{KEY_PREFIX}{self.scope}:{self.subject}"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a subject stands after the call; `reset_ms` is the time until the next place frees, 0 for an empty log."""

    limit: Limit
    used: int
    remaining: int
    reset_ms: int

    def given_back(self) -> "Standing":
        """Return how the subject stands once this call's own place is free again."""
        used = max(0, self.used - 1)
        return replace(self, used=used, remaining=max(0, self.limit.limit - used))


@dataclass(frozen=True, slots=True)
class Admission:
    """The verdict on one call; `refused` is the limit with the longest wait, `retry_after_ms` that wait."""

    admitted: bool
    reservation: str
    refused: Limit | None
    retry_after_ms: int
    standings: tuple[Standing, ...]
    store: Store


@dataclass(frozen=True, slots=True)
class Reading:
    """One log before the verdict: stamps inside the window, and milliseconds until it next frees a place."""

    used: int
    frees_in_ms: int


class Limiter(Protocol):
    """Four verbs on a set of limits, each one indivisible step."""

    def admit(self, limits: Sequence[Limit]) -> Admission:
        """Take one place in every limit, or none in any."""

    def peek(self, limits: Sequence[Limit]) -> Admission:
        """Judge as `admit` would, and take nothing."""

    def refund(self, limits: Sequence[Limit], *, reservation: str) -> None:
        """Give the places of one admission back; a second refund changes nothing."""

    def clear(self, limits: Sequence[Limit]) -> None:
        """Forget every admission of these subjects."""


def new_reservation() -> str:
    """Make the unique id of one admission, so that two in one millisecond count as two."""
    return secrets.token_hex(8)


def refuse_doubles(limits: Sequence[Limit]) -> None:
    """Refuse two limits on one key: the second would overwrite the first's stamp.

    Raises ValueError.
    """
    if len({limit.key for limit in limits}) != len(limits):
        raise ValueError("two limits of one call share a key")


def index_of_next_leaver(used: int, limit: int) -> int:
    """Find the stamp, oldest first, whose leaving frees a place (later than the oldest after a limit was lowered)."""
    return max(0, used - limit)


def judge(
    limits: Sequence[Limit],
    readings: Sequence[Reading],
    *,
    reservation: str,
    taking: bool,
    store: Store,
) -> Admission:
    """Turn the readings of all limits into one verdict; the limit with the longest wait names a refusal."""
    pairs = list(zip(limits, readings, strict=True))
    full = [(reading.frees_in_ms, limit) for limit, reading in pairs if reading.used >= limit.limit]
    taken = taking and not full
    standings = tuple(_stand(limit, reading, taken=taken) for limit, reading in pairs)
    if full:
        wait, refused = max(full, key=lambda item: item[0])
        return Admission(False, "", refused, wait, standings, store)
    return Admission(True, reservation if taking else "", None, 0, standings, store)


def _stand(limit: Limit, reading: Reading, *, taken: bool) -> Standing:
    used = reading.used + taken
    frees_in_ms = limit.window_ms if taken and reading.used == 0 else reading.frees_in_ms
    return Standing(limit, used, max(0, limit.limit - used), frees_in_ms)
