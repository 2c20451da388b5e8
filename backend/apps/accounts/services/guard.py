"""The pumping guard as a send meets it: what this process knows of the judgements, asked in memory, at no statement.

Judgements are made elsewhere (guard_judge.py) and reach every process within a second by a change number, as the block
list does. What must be exact under a burst is a limit, taken together with the others of the send. In observe mode
nothing is asked here at all. It must not know how a judgement is reached, nor HTTP.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from apps.accounts import phones, telemetry
from apps.accounts.clock import Clock
from apps.accounts.errors import AccountsError, CountryNotAllowed, RateLimited, ServiceUnavailable
from apps.accounts.phones import Phone
from apps.accounts.prices import PriceTable
from apps.accounts.services import changes, guard_rows, spend, statements
from apps.accounts.services.guard_policy import GuardPolicy, Kind, Rank, State
from apps.accounts.services.guard_rules import Standing, Subject, is_spacious
from apps.accounts.services.guard_stats import network_of
from apps.accounts.services.limits import Limit
from apps.accounts.services.spend import EVERYWHERE, Budgets
from apps.accounts.services.windows import DAY_MS, whole_seconds

FRESH_SECONDS: Final = 0.5
FORGETFUL_SECONDS: Final = 3600.0
# What this process saw verified counts at once, until the judgement has seen it too.
CREDIT_SECONDS: Final = 20.0
MOST_CREDITS: Final = 20_000
# Nobody is told to come back later than this: an operator may raise a budget or lift a pause before.
LONGEST_RETRY_SECONDS: Final = 3600
# The service's budget, counted to its end, may have money left: not every message is the dearest. Judged by then.
JUDGED_SECONDS: Final = 10
PREFIX, COUNTRY, STRANGERS = "guard_prefix", "guard_country", "guard_strangers"
MONEY, COUNTRY_MONEY = "guard_money", "guard_budget"
SCOPES: Final = frozenset({PREFIX, COUNTRY, STRANGERS, MONEY, COUNTRY_MONEY})
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


class Guard:
    """Answers from memory. One per process; thread-safe."""

    def __init__(
        self,
        *,
        enforcing: bool,
        budgets: Budgets,
        prices: PriceTable,
        clock: Clock,
        policy: GuardPolicy | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.enforcing = enforcing
        self.policy = policy or GuardPolicy()
        self.budgets = budgets
        self._prices = prices
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._clocks = (_NEVER, 0.0)
        self._revision = -1
        self._held: dict[Subject, Standing] = {}
        self._credits: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self._credited_at = float("-inf")
        self._stopped: Counter[tuple[str, str]] = Counter()
        self._dearest = (_NEVER.date(), 0)  # the price of the dearest message of a day

    @property
    def mode(self) -> str:
        """Return what OTP_GUARD_MODE says."""
        return "enforce" if self.enforcing else "observe"

    # --- asked by a send ------------------------------------------------------------------------------------------

    def require_open(self, phone: Phone, ip: str, *, trusted: bool) -> None:
        """Ask whether the road to this number is open; a device that is known passes everything but an empty budget.

        Raises:
            ServiceUnavailable: the budget of the whole service is gone.
            CountryNotAllowed: the number's country or prefix is paused, or its country's budget is gone.
            RateLimited: scope `ip`; this client asked for many countries and verified nothing.
        """
        if not self.enforcing:
            return
        self._refresh()
        for subject in (EVERYWHERE, phone.region):
            gone = self._in_force(Kind.BUDGET, subject, State.PAUSED)
            if gone is not None and self.budgets.of(subject):
                raise self._stop(Kind.BUDGET, subject, self._no_money(subject), phone)
        if trusted:
            return
        network = network_of(ip)
        asking = self._in_force(Kind.IP, network, State.PAUSED)
        if asking is not None:
            wait = min(LONGEST_RETRY_SECONDS, self._seconds_to(asking))
            raise self._stop(Kind.IP, network, RateLimited(retry_after=wait, scope="ip"), phone)
        for kind, subject in ((Kind.COUNTRY, phone.region), (Kind.PREFIX, phone.prefix)):
            if self._in_force(kind, subject, State.PAUSED) is not None:
                raise self._stop(kind, subject, CountryNotAllowed(), phone)

    def limits(self, phone: Phone, *, trusted: bool, human: bool = False) -> Sequence[Limit]:
        """Return the limits that this send takes besides its own; `human`: somebody has proven to be one."""
        if not self.enforcing:
            return ()
        self._refresh()
        found = list(self._money(phone)) if self.budgets.any else []
        if trusted:
            return found
        policy, factor = self.policy, self.policy.human if human else 1
        window = int(policy.window * 1000)
        country = self._held.get((Kind.COUNTRY, phone.region))
        rank = max(country.rank if country else Rank.STRANGER, self._newcomer(phone.region))
        cap = country.cap if country else policy.stranger_cap
        if cap is not None:
            room = cap + self._credit(phone.region)
            found.append(Limit(COUNTRY, phone.region, room * factor, window))
        if rank is Rank.STRANGER:
            found.append(Limit(STRANGERS, "", policy.strangers_cap * factor, window))
            return found
        prefix = self._held.get((Kind.PREFIX, phone.prefix))
        if prefix is not None and prefix.cap is not None:
            most = prefix.cap
        else:
            most = policy.prefix_cap if is_spacious(rank, cap, policy) else policy.small_prefix_cap
        found.append(Limit(PREFIX, phone.prefix, (most + self._credit(phone.prefix)) * factor, window))
        return found

    def refusal(self, limit: Limit, wait_ms: int, phone: Phone) -> AccountsError:
        """Return what a full limit of the guard answers."""
        if limit.scope in (MONEY, COUNTRY_MONEY):
            whole = limit.scope == MONEY
            error = ServiceUnavailable(retry_after=JUDGED_SECONDS) if whole else self._no_money(phone.region)
            return self._stop(Kind.BUDGET, EVERYWHERE if whole else phone.region, error, phone)
        kind = Kind.PREFIX if limit.scope == PREFIX else Kind.COUNTRY
        subject = {PREFIX: phone.prefix, COUNTRY: phone.region}.get(limit.scope, EVERYWHERE)
        # The client learns that it should come back later, and not what is being watched.
        error = RateLimited(retry_after=whole_seconds(wait_ms), scope="global", detail_key="destination")
        return self._stop(kind, subject, error, phone)

    def is_risky(self, phone: Phone, ip: str) -> bool:
        """Say whether anything is held against this country, prefix or client, or nobody ever verified there."""
        self._refresh()
        country = self._held.get((Kind.COUNTRY, phone.region))
        if max(country.rank if country else Rank.STRANGER, self._newcomer(phone.region)) is Rank.STRANGER:
            return True
        subjects = ((Kind.COUNTRY, phone.region), (Kind.PREFIX, phone.prefix), (Kind.IP, network_of(ip)))
        standings = (self._held.get(subject) for subject in subjects)
        return any(one is not None and one.state is not State.OPEN for one in standings)

    def proved(self, e164: str) -> None:
        """Take note that a code was verified: it gives its country and prefix room at once."""
        if not self.enforcing:
            return
        now = self._monotonic()
        with self._lock:
            if now - self._credited_at > CREDIT_SECONDS:
                self._credits = (Counter(), self._credits[0])
                self._credited_at = now
            if len(self._credits[0]) < MOST_CREDITS:
                self._credits[0][e164[:-4]] += 1
                self._credits[0][phones.of_stored(e164).region] += 1

    # --- the process' own -----------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Ask for changes at the next question: this process just made one."""
        self._read_at = float("-inf")

    def take_stopped(self) -> dict[tuple[str, str], int]:
        """Return how many sends were stopped by subject since the last call."""
        with self._lock:
            stopped, self._stopped = self._stopped, Counter()
        return dict(stopped)

    def put_back_stopped(self, stopped: Mapping[tuple[str, str], int]) -> None:
        """Count again what was taken and could not be written."""
        with self._lock:
            self._stopped.update(stopped)

    def _stop(self, kind: Kind, subject: str, error: AccountsError, phone: Phone) -> AccountsError:
        with self._lock:
            self._stopped[kind.value, subject] += 1
        telemetry.refused(code=error.code, scope=f"guard_{kind.value}", phone=phone)
        return error

    def _no_money(self, subject: str) -> AccountsError:
        if subject != EVERYWHERE:
            return CountryNotAllowed()
        now = self._now()
        wait = (spend.next_midnight(now) - now).total_seconds()
        return ServiceUnavailable(retry_after=max(1, min(LONGEST_RETRY_SECONDS, int(wait) + 1)))

    def _money(self, phone: Phone) -> Sequence[Limit]:
        found = []
        for subject, scope in ((EVERYWHERE, MONEY), (phone.region, COUNTRY_MONEY)):
            budget = self.budgets.of(subject)
            if not budget:
                continue
            held = self._in_force(Kind.BUDGET, subject, State.SLOW)
            if held is not None and held.cap:
                found.append(Limit(scope, f"{subject}:{held.since:.0f}", held.cap, DAY_MS))
                continue
            price = self._prices.dearest(phone.region)
            whole = spend.counted_from_the_start(budget, self._dearest_today(price) if scope == MONEY else price)
            if whole == 0:
                raise self._stop(Kind.BUDGET, subject, self._no_money(subject), phone)
            if whole is not None and self._in_force(Kind.BUDGET, subject, State.OPEN) is None:
                found.append(Limit(scope, f"{subject}:{self._now().date()}", whole, DAY_MS))
        return found

    def _dearest_today(self, price: int) -> int:
        """Return the price that each message of the service's budget is counted at: too few go out, never too many."""
        today = self._now().date()
        day, known = self._dearest
        self._dearest = (today, max(price, known) if day == today else price)
        return self._dearest[1]

    def _in_force(self, kind: Kind, subject: str, state: State) -> Standing | None:
        held = self._held.get((kind, subject))
        if held is None or held.state is not state:
            return None
        return held if held.until is None or held.until > self._now().timestamp() else None

    def _seconds_to(self, held: Standing) -> int:
        return max(1, int((held.until or 0.0) - self._now().timestamp()) + 1)

    def _newcomer(self, region: str) -> Rank:
        return Rank.NEWCOMER if self._credit(region) else Rank.STRANGER

    def _credit(self, subject: str) -> int:
        now, before = self._credits
        age = self._monotonic() - self._credited_at
        if age > 2 * CREDIT_SECONDS:
            return 0
        verified = now[subject] + (before[subject] if age <= CREDIT_SECONDS else 0)
        return round(self.policy.credit * verified)

    def _now(self) -> datetime:
        then, at = self._clocks
        return then + timedelta(seconds=self._monotonic() - at) + self._clock.offset

    def _refresh(self) -> None:
        if self._monotonic() - self._read_at < FRESH_SECONDS:
            return
        with self._lock:
            asked_at = self._monotonic()
            age = asked_at - self._read_at
            if age < FRESH_SECONDS:
                return
            latest, now = changes.latest(guard_rows.CHANGES)
            self._clocks = (now, self._monotonic())
            if latest < self._revision or age > FORGETFUL_SECONDS:
                self._held, self._revision = {}, -1
            if latest != self._revision:
                held = dict(self._held)
                held.update(_changed_since(self._revision))
                self._held, self._revision = held, latest
            self._read_at = asked_at


def _changed_since(revision: int) -> dict[Subject, Standing]:
    rows = statements.rows(f"SELECT {guard_rows.COLUMNS} FROM accounts_guardstanding WHERE revision > %s", (revision,))
    return {(one.kind, one.subject): one for one in map(guard_rows.standing_of, rows)}
