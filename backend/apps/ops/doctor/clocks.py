"""Whether the clocks of this host, the database and Redis agree, measured. It must not know what goes by them."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from redis import Redis

from apps.accounts.services import statements
from apps.ops.doctor.findings import Finding, error, note, warning

ROUNDS: Final = 5
# Tokens carry the host's time: beyond this other services refuse new ones. A minute breaks windows that both count.
WARN_SECONDS: Final = 2.0
ERROR_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Skew:
    """How far another clock is ahead of this host's, in seconds, give or take half the quickest round trip."""

    name: str
    seconds: float
    give_or_take: float

    @property
    def at_least(self) -> float:
        """Return the part of it that the round trip cannot explain."""
        return max(0.0, abs(self.seconds) - self.give_or_take)


def measure(name: str, read: Callable[[], float], *, host: Callable[[], float] = time.time) -> Skew:
    """Read another clock several times and keep the quickest answer."""
    best: Skew | None = None
    for _ in range(ROUNDS):
        before = host()
        there = read()
        after = host()
        found = Skew(name, there - (before + after) / 2, (after - before) / 2)
        if best is None or found.give_or_take < best.give_or_take:
            best = found
    assert best is not None
    return best


def look(client: Redis | None) -> Iterator[Finding]:
    """Measure the database's clock and Redis'."""
    statements.now()  # the connection must not be part of the first round trip
    yield judge(measure("the database", lambda: statements.now().timestamp()))
    if client is not None:
        yield judge(measure("Redis", lambda: _redis_time(client)))


def judge(skew: Skew) -> Finding:
    """Say what a difference means."""
    figures = {"clock": skew.name, "seconds": round(skew.seconds, 4), "give_or_take": round(skew.give_or_take, 4)}
    way = "ahead of" if skew.seconds >= 0 else "behind"
    says = (
        f"The clock of {skew.name} is {abs(skew.seconds):.3f} s {way} this host's (measured to "
        f"±{max(skew.give_or_take, 0.001):.3f} s)."
    )
    if skew.at_least > ERROR_SECONDS:
        return error("clock_skew", f"{says} Tokens are refused elsewhere and windows differ: set up NTP.", **figures)
    if skew.at_least > WARN_SECONDS:
        return warning("clock_skew", f"{says} Set up NTP: tokens carry this host's time.", **figures)
    return note("clock_skew", says, **figures)


def _redis_time(client: Redis) -> float:
    seconds, micros = client.time()
    return int(seconds) + int(micros) / 1e6
