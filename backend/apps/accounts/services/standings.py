"""What the database holds against gateways, as this process knows it: an operator's choice, the watch, the audit.

One statement at most every half second, so that a change is in force within a second, with or without Redis. It must
not know how a standing comes about.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from django.db import DatabaseError, InterfaceError

from apps.accounts import telemetry
from apps.accounts.clock import Clock
from apps.accounts.services import gateway_events, statements

FRESH_SECONDS: Final = 0.5
# Whoever finds another thread reading goes on with what is known, but never with anything older than this.
STALE_SECONDS: Final = 0.8
# A gateway that the audit found misconfigured is asked again so often, over all processes: it is to be back within ten
# seconds. After ten minutes of it a vendor's API is asked less often, as a circuit's is.
REAUDIT_SECONDS: Final = 5.0
PATIENT_REAUDIT_SECONDS: Final = 10.0
PATIENT_AFTER_SECONDS: Final = 600.0

Place = tuple[str, str, str]  # provider, channel, country


@dataclass(frozen=True, slots=True)
class Standing:
    """What the watch holds against a gateway on one route."""

    state: str  # up, exploring, demoted
    candidate: str = ""


@dataclass(frozen=True, slots=True)
class Shot:
    """Everything at one moment. `forced` is the operator's gateway, or empty."""

    chosen: str = ""
    chosen_until: datetime | None = None
    standings: Mapping[Place, Standing] = field(default_factory=dict)
    misconfigured: Mapping[str, str] = field(default_factory=dict)  # gateway and why

    def demoted(self, provider: str) -> bool:
        """Say whether the watch has moved traffic away from `provider` on any route."""
        return any(at[0] == provider and one.state == "demoted" for at, one in self.standings.items())


class Standings:
    """Answers from memory. One per process; thread-safe."""

    def __init__(self, *, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._shot = Shot()
        self._clocks: tuple[datetime | None, float] = (None, 0.0)  # the database's clock and ours at one moment

    def look(self) -> Shot:
        """Return what is known; a database that is gone leaves what was known before."""
        age = self._monotonic() - self._read_at
        if age >= FRESH_SECONDS and self._lock.acquire(blocking=age >= STALE_SECONDS):
            try:
                if self._monotonic() - self._read_at >= FRESH_SECONDS:
                    self._refresh()
            finally:
                self._lock.release()
        return self._shot

    def forced(self) -> str:
        """Return the gateway that an operator's choice in force puts first, or empty."""
        shot = self.look()
        if not shot.chosen or shot.chosen_until is None:
            return shot.chosen
        then, at = self._clocks
        if then is None:
            return ""
        now = then + timedelta(seconds=self._monotonic() - at) + self._clock.offset
        return shot.chosen if shot.chosen_until > now else ""

    def forget(self) -> None:
        """Read anew at the next question: this process just changed something."""
        self._read_at = float("-inf")

    def _refresh(self) -> None:
        asked_at = self._monotonic()
        try:
            found = statements.rows(
                "SELECT provider, channel, country, state, candidate, reason, CAST(NULL AS timestamptz), "
                f"{statements.now_sql()} FROM accounts_gatewaystanding UNION ALL "
                f"SELECT provider, '', '', 'chosen', '', '', expires_at, {statements.now_sql()} "
                "FROM accounts_gatewaychoice"
            )
        except (DatabaseError, InterfaceError) as error:
            telemetry.happened("standings_unread", error=type(error).__name__)
            self._read_at = asked_at
            return
        self._shot = self._shoot(found)
        self._read_at = asked_at

    def _shoot(self, found: list[tuple[object, ...]]) -> Shot:
        standings: dict[Place, Standing] = {}
        misconfigured: dict[str, str] = {}
        chosen, until = "", None
        for provider, channel, country, state, candidate, reason, expires_at, now in found:
            self._clocks = (statements.as_time(now), self._monotonic())
            if state == "chosen":
                chosen, until = str(provider), statements.as_time_or_none(expires_at)
            elif state == "misconfigured":
                misconfigured[str(provider)] = str(reason)
            else:
                standings[str(provider), str(channel), str(country)] = Standing(str(state), str(candidate))
        return Shot(chosen=chosen, chosen_until=until, standings=standings, misconfigured=misconfigured)


def write_audit_word(provider: str, *, well: bool, reason: str, clock: Clock) -> bool:
    """Keep what the audit says of a whole gateway; say whether that is news."""
    with statements.durable():
        now = statements.now() + clock.offset
        if well:
            gone = statements.run(
                "DELETE FROM accounts_gatewaystanding WHERE provider = %s AND state = 'misconfigured'", (provider,)
            )
            before, after, news = "misconfigured", "up", gone > 0
        else:
            put = (
                "INSERT INTO accounts_gatewaystanding (provider, channel, country, state, candidate, refused, ratio, "
                "relapses, reason, curve, changed_at) VALUES (%s, '', '', 'misconfigured', '', '', 1, 0, %s, '', %s) "
                "ON CONFLICT (provider, channel, country) DO "
            )
            made = statements.run(f"{put} NOTHING", (provider, reason[:64], now))
            if not made:
                statements.run(f"{put} UPDATE SET reason = excluded.reason", (provider, reason[:64], now))
            before, after, news = "up", "misconfigured", made > 0
        if news:
            gateway_events.record(provider, before=before, after=after, reason=reason, clock=clock)
    return news


def claim_reaudit(provider: str, *, clock: Clock) -> bool:
    """Take the next free look at a misconfigured gateway for this process; say whether it is due and not taken."""
    now = statements.shifted_now_sql(clock.offset)
    long_ago = statements.shifted_now_sql(clock.offset - timedelta(seconds=PATIENT_AFTER_SECONDS))
    soon = statements.shifted_now_sql(clock.offset + timedelta(seconds=REAUDIT_SECONDS))
    later = statements.shifted_now_sql(clock.offset + timedelta(seconds=PATIENT_REAUDIT_SECONDS))
    claimed = statements.run(
        "UPDATE accounts_gatewaystanding SET hold_until = "
        f"CASE WHEN changed_at < {long_ago} THEN {later} ELSE {soon} END "
        "WHERE provider = %s AND channel = '' AND country = '' AND state = 'misconfigured' "
        f"AND (hold_until IS NULL OR hold_until <= {now})",
        (provider,),
    )
    return claimed > 0
