"""People on a route with a good and a bad gateway, in simulated seconds, judged as the watch judges."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from apps.accounts.services import evidence, verdicts
from apps.accounts.services.evidence import Curve, Fate, Sighting
from apps.accounts.services.ordering import PROBE_EVERY
from apps.accounts.services.verdicts import Case, Held, Verdict


@dataclass
class Sent:
    at: float
    cause: str
    verified_at: float | None = None
    next_at: float | None = None


@dataclass
class Population:
    """Logins at `rate` a second; `delivers(gateway, time)` is the chance that a message arrives.

    A share `verifies` of those who get a code type it after `types` seconds; of those who would have and got none, a
    share `resends` asks again once the minute is over.
    """

    seed: int
    delivers: Callable[[str, float], float] = lambda gateway, time: 1.0
    verifies: Callable[[float], float] = lambda time: 0.92
    rate: float = 5.0
    types: tuple[float, float] = (5.0, 20.0)
    resends: float = 0.85
    route: tuple[str, ...] = ("a", "b")
    sent: dict[str, list[Sent]] = field(default_factory=dict)
    held: Held = field(default_factory=Held)
    told: list[tuple[float, Verdict]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.sent = {name: [] for name in self.route}
        self.now = 0.0
        self._people = 0
        self._later: list[tuple[float, int, str, Sent]] = []
        self._order = count()
        self._curve: Curve = evidence.UNKNOWN
        self._learned_at = float("-inf")

    def run(self, *, until: float, step: float = 2.0) -> None:
        """Live until then, judged every `step` seconds."""
        while self.now < until:
            self._live(self.now + step)
            self._judge()

    def states(self, state: str) -> list[float]:
        """Return when the main gateway came into a state."""
        return [at for at, verdict in self.told if verdict.held.state == state]

    def share(self, gateway: str, *, since: float, until: float) -> float:
        """Return the share of first requests that left by `gateway`."""
        counts = {
            name: sum(since <= one.at < until and one.cause == "request" for one in found)
            for name, found in self.sent.items()
        }
        return counts[gateway] / max(1, sum(counts.values()))

    def _live(self, end: float) -> None:
        while True:
            at = self.now + self.random.expovariate(self.rate)
            if at > end:
                break
            self.now = at
            self._send(self._pick(), "request", None)
        self.now = end
        while self._later and self._later[0][0] <= end:
            at, _, gateway, before = heapq.heappop(self._later)
            others = [name for name in self.route if name != gateway and not self._is_demoted(name)]
            self._send(others[0] if others else gateway, "resend", before, at=at)

    def _pick(self) -> str:
        self._people += 1
        if self.held.state == "exploring":
            return self.held.candidate if self._people % 2 else self.route[0]
        if self.held.state == "demoted" and self._people % PROBE_EVERY:
            return self.held.candidate
        return self.route[0]

    def _is_demoted(self, name: str) -> bool:
        return name == self.route[0] and self.held.state == "demoted"

    def _send(self, gateway: str, cause: str, before: Sent | None, *, at: float | None = None) -> None:
        at = self.now if at is None else at
        one = Sent(at, cause)
        if before is not None:
            before.next_at = at
        self.sent[gateway].append(one)
        would = self.random.random() < self.verifies(at)
        if self.random.random() < self.delivers(gateway, at):
            one.verified_at = at + self.random.uniform(*self.types) if would else None
        elif would and cause == "request" and self.random.random() < self.resends:
            heapq.heappush(self._later, (at + 60 + self.random.uniform(0, 8), next(self._order), gateway, one))

    def _seen(self, gateway: str, since: float, *, requests: bool = False) -> list[Sighting]:
        found = []
        for one in reversed(self.sent[gateway]):
            if one.at < since:
                break
            if not requests or one.cause == "request":
                found.append(self._fate(one))
        return found[::-1]

    def _fate(self, one: Sent) -> Sighting:
        used = one.verified_at is not None and one.verified_at <= self.now
        if used and one.verified_at is not None and (one.next_at is None or one.verified_at < one.next_at):
            return Sighting(one.at, Fate.VERIFIED, one.verified_at - one.at)
        if one.next_at is not None and one.next_at <= self.now:
            return Sighting(one.at, Fate.RESENT, one.next_at - one.at)
        return Sighting(one.at, Fate.OPEN, self.now - one.at)

    def _judge(self) -> None:
        main, held = self.route[0], self.held
        if held.state == "up" and self.now - self._learned_at > (10 if self._curve.size < 1000 else 60):
            past = [one for one in self._seen(main, max(held.changed, self.now - 3600)) if one.at < self.now - 40]
            learned = evidence.learn(past[-6000:])
            self._curve = held.curve if held.changed and learned.size < 300 else learned
            self._learned_at = self.now
        since = verdicts.since(held, now=self.now, window=900)
        arm = self._seen(held.candidate, since, requests=True) if held.state == "exploring" else []
        case = Case(held, self._seen(main, since)[-3000:], arm, self.route[1:], self._curve)
        verdict = verdicts.decide(case, now=self.now)
        if verdict is not None:
            self.held = verdict.held
            self.told.append((self.now, verdict))
