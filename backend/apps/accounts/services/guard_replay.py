"""The recorded past, played once more under a proposed policy: who would have been stopped, and was that right?

It changes nothing. What a past guard stopped is not in the record, so a past that was guarded shows less than there
was. Whoever is stopped here is taken out of the evidence, as it would have been; whether people would have come back
later is not known, and each of their messages counts for itself.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from apps.accounts.prices import as_money
from apps.accounts.services import guard_rules
from apps.accounts.services.guard_evidence import Asked, Hour, Past, past_of
from apps.accounts.services.guard_policy import GuardPolicy, Kind, Rank, State
from apps.accounts.services.guard_recorded import Sent
from apps.accounts.services.guard_rules import Standing, Subject, is_spacious
from apps.accounts.services.spend import EVERYWHERE, Budgets

JUDGED_EVERY: Final = 5.0
# With many codes in an hour it is judged less often: the answer hardly changes, and the wait does.
CODES_A_SECOND: Final = 150
_WEEK: Final = 7 * 86400.0

Counted = Mapping[str, list[tuple[float, int, int]]]  # by country: begin of the hour, codes, verified


@dataclass(slots=True)
class Line:
    """What one subject would have met."""

    first_at: float
    reason: str
    stopped: int = 0
    saved: int = 0
    codes: set[str] = field(default_factory=set)
    verified: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a policy would have done. Money in micro-units."""

    sends: int
    codes: int
    verified: int
    spent: int
    lines: Mapping[tuple[str, str], Line]

    @property
    def stopped(self) -> int:
        """Return the messages that would not have been sent."""
        return sum(line.stopped for line in self.lines.values())

    @property
    def stopped_codes(self) -> set[str]:
        """Return the codes of which a message would have been stopped."""
        return {code for line in self.lines.values() for code in line.codes}

    @property
    def false_alarms(self) -> int:
        """Return how many of those were verified later: people who would have been in the way."""
        return len({code for line in self.lines.values() for code in line.verified})

    @property
    def saved(self) -> int:
        """Return what those messages cost."""
        return sum(line.saved for line in self.lines.values())

    def as_json(self) -> dict[str, Any]:
        """Return it for programs; money as amounts."""
        return {
            "messages": self.sends,
            "codes": self.codes,
            "verified": self.verified,
            "spent": as_money(self.spent),
            "stopped_messages": self.stopped,
            "stopped_codes": len(self.stopped_codes),
            "false_alarms": self.false_alarms,
            "saved": as_money(self.saved),
            "subjects": [
                {
                    "kind": kind,
                    "subject": subject,
                    "reason": line.reason,
                    "first_at": datetime.fromtimestamp(line.first_at, UTC).isoformat(timespec="seconds"),
                    "stopped_messages": line.stopped,
                    "stopped_codes": len(line.codes),
                    "false_alarms": len(line.verified),
                    "saved": as_money(line.saved),
                }
                for (kind, subject), line in sorted(self.lines.items(), key=lambda item: -item[1].stopped)
            ],
        }


def replay(sent: Sequence[Sent], hours: Counted, policy: GuardPolicy, budgets: Budgets) -> Replayed:
    """Play messages, oldest first. `hours` maps a country to its counted hours before them: begin, codes, verified."""
    stage = _Stage(policy, budgets, hours)
    for message in sent:
        stage.play(message)
    codes = {message.code: message.verified_at is not None for message in sent}
    return Replayed(
        sends=len(sent),
        codes=len(codes),
        verified=sum(codes.values()),
        spent=sum(message.cost for message in sent),
        lines=stage.lines,
    )


class _Stage:
    """The guard in miniature: the same rules, with windows and standings in memory."""

    def __init__(
        self, policy: GuardPolicy, budgets: Budgets, hours: Mapping[str, list[tuple[float, int, int]]]
    ) -> None:
        self.lines: dict[tuple[str, str], Line] = {}
        self._policy = policy
        self._budgets = budgets
        self._hours: dict[str, dict[float, list[int]]] = defaultdict(dict)
        for country, counted in hours.items():
            for begin, codes, verified in counted:
                self._hours[country][begin] = [codes, verified]
        self._pasts: Mapping[str, Past] = {}
        self._past_until = float("-inf")
        self._admitted: deque[Sent] = deque()
        self._windows: dict[tuple[str, str], deque[float]] = defaultdict(deque)
        self._held: dict[Subject, Standing] = {}
        self._judged_at = float("-inf")
        self._money: Counter[tuple[str, str]] = Counter()
        self._seen: set[str] = set()

    def play(self, message: Sent) -> None:
        """Admit or stop one message."""
        if message.at - self._judged_at >= max(JUDGED_EVERY, len(self._admitted) / CODES_A_SECOND):
            self._judge(message.at)
        reason = self._broke(message) or ("" if message.trusted else self._paused(message) or self._full(message))
        self._count_hour(message)
        if reason:
            self._stop(message, *reason)
            return
        day = str(datetime.fromtimestamp(message.at, UTC).date())
        for subject in (EVERYWHERE, message.country):
            self._money[day, subject] += message.cost
        if message.trusted:
            return
        self._admitted.append(message)
        for key in self._caps(message):
            self._windows[key].append(message.at)

    def _judge(self, now: float) -> None:
        policy = self._policy
        while self._admitted and self._admitted[0].at <= now - policy.evidence:
            self._admitted.popleft()
        hour = now // 3600 * 3600
        if hour != self._past_until:
            self._pasts = self._learn(hour)
            self._past_until = hour
        rulings = guard_rules.judge(_as_asked(self._admitted, now), self._pasts, self._held, now=now, policy=policy)
        self._held = {subject: ruling.standing for subject, ruling in rulings.items()}
        self._judged_at = now

    def _learn(self, hour: float) -> dict[str, Past]:
        policy = self._policy
        since, until = hour - policy.history_days * 86400, hour - policy.evidence - 3600
        return {
            country: past_of(
                [
                    Hour(int(begin // 86400), codes, verified, begin > hour - _WEEK)
                    for begin, (codes, verified) in counted.items()
                    if since < begin <= until
                ],
                policy,
            )
            for country, counted in self._hours.items()
        }

    def _count_hour(self, message: Sent) -> None:
        if message.trusted or message.code in self._seen:
            return
        self._seen.add(message.code)
        counted = self._hours[message.country].setdefault(message.at // 3600 * 3600, [0, 0])
        counted[0] += 1
        counted[1] += message.verified_at is not None

    def _broke(self, message: Sent) -> tuple[str, str, str] | None:
        day = str(datetime.fromtimestamp(message.at, UTC).date())
        for subject in (EVERYWHERE, message.country):
            budget = self._budgets.of(subject)
            if budget and self._money[day, subject] + message.cost > budget:
                return Kind.BUDGET.value, subject, "budget_gone"
        return None

    def _paused(self, message: Sent) -> tuple[str, str, str] | None:
        subjects = ((Kind.IP, message.network), (Kind.COUNTRY, message.country), (Kind.PREFIX, message.prefix))
        for subject in subjects:
            held = self._held.get(subject)
            if held is not None and held.state is State.PAUSED:
                return held.kind.value, held.subject, held.reason
        return None

    def _full(self, message: Sent) -> tuple[str, str, str] | None:
        for (kind, subject), cap in self._caps(message).items():
            window = self._windows[kind, subject]
            while window and window[0] <= message.at - self._policy.window:
                window.popleft()
            if len(window) >= cap:
                return kind, subject, "cap"
        return None

    def _caps(self, message: Sent) -> dict[tuple[str, str], int]:
        policy, country = self._policy, self._held.get((Kind.COUNTRY, message.country))
        rank, cap = (country.rank, country.cap) if country else (Rank.STRANGER, policy.stranger_cap)
        caps = {} if cap is None else {(Kind.COUNTRY.value, message.country): cap}
        if rank is Rank.STRANGER:
            return {**caps, (Kind.COUNTRY.value, EVERYWHERE): policy.strangers_cap}
        prefix = self._held.get((Kind.PREFIX, message.prefix))
        usual = policy.prefix_cap if is_spacious(rank, cap, policy) else policy.small_prefix_cap
        most = usual if prefix is None or prefix.cap is None else prefix.cap
        return {**caps, (Kind.PREFIX.value, message.prefix): most}

    def _stop(self, message: Sent, kind: str, subject: str, reason: str) -> None:
        line = self.lines.setdefault((kind, subject), Line(first_at=message.at, reason=reason))
        line.stopped += 1
        line.saved += message.cost
        line.codes.add(message.code)
        if message.verified_at is not None:
            line.verified.add(message.code)


def _as_asked(sent: Iterable[Sent], now: float) -> list[Asked]:
    stories: dict[str, list[Sent]] = defaultdict(list)
    for message in sent:
        stories[message.code].append(message)
    return [
        Asked(
            country=story[0].country,
            prefix=story[0].prefix,
            tail=story[0].tail,
            network=story[0].network,
            sent=tuple(message.at for message in story),
            verified=story[0].verified_at is not None and story[0].verified_at <= now,
        )
        for story in stories.values()
    ]
