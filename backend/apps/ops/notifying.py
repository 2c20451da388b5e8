"""Telling people that an incident is over: each at most once in a week, however often and by whomever it is begun.

Who was told is written in the transaction that promises the notice; the worker sends it, by the first gateway that
carries text. So a run that is killed is simply begun again. It must not know HTTP, nor print a number.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from apps.accounts import phones
from apps.accounts.messages import NoticeKind
from apps.accounts.providers.base import Carries, Channel
from apps.accounts.services import audit, statements
from apps.accounts.services.wiring import Services
from apps.ops.affected import Person

QUIET: Final = timedelta(days=7)
# Notices take at most this share of what the service may send in a minute: logins come first.
_SHARE: Final = 4
_DEFAULT_PER_MINUTE: Final = 60


@dataclass(slots=True)
class Tally:
    """How many were told, and why others were not."""

    told: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


class Notifier:
    """Tells people, or says whom it would tell."""

    def __init__(self, services: Services, *, by: str, per_minute: int = 0) -> None:
        """Take who does it; `per_minute` 0 is a quarter of what the service may send in a minute."""
        self._services = services
        self._by = by[:64]
        limit = services.config.global_per_minute
        self.per_minute = per_minute or (max(1, limit // _SHARE) if limit else _DEFAULT_PER_MINUTE)
        self._sleep: Callable[[float], None] = time.sleep

    def tell(self, people: Iterable[Person], *, send: bool, step: Callable[[Tally], None] = lambda _: None) -> Tally:
        """Tell everybody in `people` that may be told, or only count them; `step` is called after each."""
        tally = Tally()
        for person in people:
            reason = self._why_not(person)
            if not reason and send and not self._promise(person):
                reason = "told already"
            if reason:
                tally.left_out[reason] += 1
            else:
                tally.told += 1
                if send:
                    self._sleep(60 / self.per_minute)
            step(tally)
        return tally

    def _why_not(self, person: Person) -> str:
        services = self._services
        if person.outcome == "in_later":
            return "logged in meanwhile"
        phone = phones.of_stored(person.phone)
        if services.blocklist.match(phone=person.phone, ip="", device_id=""):
            return "blocked"
        allowed = services.config.allowed_countries
        if allowed and phone.region not in allowed:
            return "country not allowed"
        if not services.courier.route(phone.region, Channel.SMS, carries=Carries.TEXT):
            return "no gateway carries text there"
        return "told already" if self._was_told(person) else ""

    def _was_told(self, person: Person) -> bool:
        edge = statements.now() + self._services.clock.offset - QUIET
        found = statements.row(
            "SELECT 1 FROM accounts_incidentnotice WHERE phone_key = %s AND told_at > %s",
            (self._services.number_ids.of(person.phone), edge),
        )
        return found is not None

    def _promise(self, person: Person) -> bool:
        """Write down that the person is told and promise the notice, together; False where somebody else just did."""
        with statements.durable():
            now = statements.now() + self._services.clock.offset
            taken = statements.row(
                "INSERT INTO accounts_incidentnotice (phone_key, told_at, by) VALUES (%s, %s, %s) "
                "ON CONFLICT (phone_key) DO UPDATE SET told_at = excluded.told_at, by = excluded.by "
                "WHERE accounts_incidentnotice.told_at <= %s RETURNING 1",
                (self._services.number_ids.of(person.phone), now, self._by, now - QUIET),
            )
            if taken is None:
                return False
            self._services.notices.enqueue(kind=NoticeKind.INCIDENT_OVER, phone=person.phone, language=person.language)
        return True


def write_down(*, by: str, note: str, people: int) -> None:
    """Record in the audit trail that people are told."""
    with statements.durable():
        audit.record("incident.notified", actor=by, note=note, detail={"people": people})
