"""In which order the gateways of a route are tried. Pure: it is told who is up, demoted, set aside and tried before.

It must not know why a gateway is any of these.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

# One of so many first sends probes a demoted gateway, and where there are few: one of four, every half minute.
PROBE_EVERY: Final = 20
PROBE_AT_LEAST_EVERY: Final = 4
PROBE_SECONDS: Final = 30.0


class Turns:
    """Whose turn it is in this process: plain counting, so that a share is a share of any stretch. Thread-safe."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._halves: dict[str, int] = {}
        self._probes: dict[str, tuple[int, float]] = {}

    def half(self, what: str) -> bool:
        """Say yes every second time."""
        with self._lock:
            count = self._halves[what] = self._halves.get(what, 0) + 1
            return count % 2 == 0

    def probe(self, what: str) -> bool:
        """Say yes for the small share that keeps probing."""
        now = self._monotonic()
        with self._lock:
            count, since = self._probes.get(what, (PROBE_EVERY // 2, now))
            due = count + 1 >= PROBE_EVERY or (count + 1 >= PROBE_AT_LEAST_EVERY and now - since >= PROBE_SECONDS)
            self._probes[what] = (0, now) if due else (count + 1, since)
            return due


@dataclass(frozen=True, slots=True)
class Doubts:
    """What stands against the gateways of a route. `exploring` maps one in doubt to the one it is compared with."""

    aside: Collection[str] = ()
    demoted: Collection[str] = ()
    slow: Collection[str] = ()
    exploring: Mapping[str, str] = field(default_factory=dict)


def with_chosen_first(route: Sequence[str], chosen: str, *, able: bool) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the route with an operator's gateway first, and those that it sets aside.

    A gateway that the route does not name goes before it when it is `able` to carry the channel, and sets nobody aside.
    """
    if not chosen or (chosen not in route and not able):
        return tuple(route), frozenset()
    before = route[: route.index(chosen)] if chosen in route else ()
    return (chosen, *(name for name in route if name != chosen)), frozenset(before)


def arrange(
    up: Sequence[str], doubts: Doubts, *, avoid: Collection[str], turns: Turns, where: str = ""
) -> tuple[str, ...]:
    """Order gateways that are up: good ones, those to be avoided, demoted or slow ones, those set aside.

    A resend (`avoid` is not empty) goes by the next gateway that is neither demoted nor set aside, else by the same one
    (contract section 2), and takes no part in probing. `where` names the route to `turns`.
    """

    def rank(name: str) -> int:
        if name in avoid:
            return 1
        if name in doubts.aside:
            return 3
        return 2 if name in doubts.demoted or name in doubts.slow else 0

    ordered = sorted(up, key=rank)
    if avoid or not ordered:
        return tuple(ordered)
    return tuple(_to_front(ordered, _guest(up, ordered, doubts, turns, where)))


def _guest(up: Sequence[str], ordered: Sequence[str], doubts: Doubts, turns: Turns, where: str) -> str:
    """Return who goes before the first of the order this time, or empty."""
    first = ordered[0]
    rival = doubts.exploring.get(first, "")
    if rival in up and not any(rival in group for group in (doubts.demoted, doubts.slow, doubts.aside)):
        return rival if turns.half(f"{where}:{first}") else ""
    for name in up[: up.index(first)]:
        probing = name in doubts.demoted and name not in doubts.aside
        if probing and turns.probe(f"{where}:{name}"):
            return name
    return ""


def _to_front(ordered: Sequence[str], name: str) -> list[str]:
    return [name, *(other for other in ordered if other != name)] if name else list(ordered)
