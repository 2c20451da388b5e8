"""Refusals, remembered without paying for them: counted in memory, and written together every two seconds.

An attacker who is refused a million times costs one statement every two seconds and process, of at most `MOST_PHONES`
rows; what is beyond that is in the sums of the minute and in no row of a number. So the sums are exact but for a
process that is killed, and the rows of a number are a sample: enough to explain to a person why no code came.
It must not know HTTP, nor why anything is refused.
"""

import atexit
import threading
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from django.db import DatabaseError, InterfaceError, connection

from apps.accounts.clock import Clock
from apps.accounts.phones import Phone
from apps.accounts.services import statements
from apps.accounts.services.number_ids import NumberIds

log = structlog.get_logger("otp")

EVERY_SECONDS: Final = 2.0
MOST_PHONES: Final = 500
# Refused by our own failure: these people are told when it is over.
OUR_FAILURES: Final = frozenset({"delivery_failed", "service_unavailable"})
_COUNTED_AS: Final = "refused"
_LABEL_MAX, _CODE_MAX, _SCOPE_MAX = 48, 24, 16


@dataclass(frozen=True, slots=True, repr=False)
class _Refused:
    phone: str
    code: str
    scope: str


class Refusals:
    """Takes note of refusals. One per process; thread-safe."""

    def __init__(self, *, ids: NumberIds, clock: Clock, by_itself: bool = True) -> None:
        """Take what names a number; without `by_itself` only `flush` writes."""
        self._ids = ids
        self._clock = clock
        self._by_itself = by_itself
        self._lock = threading.Lock()
        self._sums: Counter[str] = Counter()
        self._phones: Counter[_Refused] = Counter()
        self._due: threading.Timer | None = None
        if by_itself:  # what is in memory when the process ends in peace
            atexit.register(self._flush_on_a_thread)

    def note(self, code: str, scope: str, phone: Phone | None) -> None:
        """Count one refusal; costs no statement."""
        label = f"{code}/{scope}" if scope else code
        refused = _Refused(phone.e164, code[:_CODE_MAX], scope[:_SCOPE_MAX]) if phone else None
        with self._lock:
            self._sums[label[:_LABEL_MAX]] += 1
            if refused is not None and (refused in self._phones or len(self._phones) < MOST_PHONES):
                self._phones[refused] += 1
            if self._by_itself and self._due is None:
                self._begin()

    def flush(self) -> None:
        """Write what was counted. What cannot be written now is kept for the next time."""
        with self._lock:
            sums, self._sums = self._sums, Counter()
            noted, self._phones = self._phones, Counter()
            self._due = None
        if not sums:
            return
        try:
            with statements.durable():
                now = statements.now() + self._clock.offset
                self._write_sums(sums, now)
                self._write_phones(noted, now)
        except (DatabaseError, InterfaceError) as error:
            log.warning("otp.refusals_not_written", error=type(error).__name__)
            with self._lock:
                self._sums.update(sums)
                self._phones.update(noted)

    def _begin(self) -> None:
        self._due = threading.Timer(EVERY_SECONDS, self._flush_on_a_thread)
        self._due.daemon = True
        try:
            self._due.start()
        except RuntimeError:  # no thread to spare: the next refusal tries again
            self._due = None

    def _flush_on_a_thread(self) -> None:
        try:
            self.flush()
        finally:
            connection.close()

    def _write_sums(self, sums: Counter[str], now: datetime) -> None:
        minute = now.replace(second=0, microsecond=0)
        values = [value for label in sorted(sums) for value in (minute, _COUNTED_AS, label, sums[label])]
        statements.run(
            "INSERT INTO accounts_minutecount (minute, name, label, count) VALUES "
            + ", ".join(["(%s, %s, %s, %s)"] * len(sums))
            + " ON CONFLICT (minute, name, label) DO UPDATE SET count = accounts_minutecount.count + excluded.count",
            values,
        )

    def _write_phones(self, noted: Counter[_Refused], now: datetime) -> None:
        hour = now.replace(minute=0, second=0, microsecond=0)
        rows = sorted(
            (self._ids.of(item.phone), item.code, item.scope, count, item.phone if item.code in OUR_FAILURES else "")
            for item, count in noted.items()
        )
        if not rows:
            return
        values = [
            value for key, code, scope, count, phone in rows for value in (key, hour, code, scope, count, now, phone)
        ]
        statements.run(
            "INSERT INTO accounts_refusedsend (phone_key, hour, code, scope, count, last_at, phone) VALUES "
            + ", ".join(["(%s, %s, %s, %s, %s, %s, %s)"] * len(rows))
            + " ON CONFLICT (phone_key, hour, code, scope) DO UPDATE SET "
            "count = accounts_refusedsend.count + excluded.count, last_at = excluded.last_at",
            values,
        )
