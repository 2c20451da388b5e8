"""Notices: what a person is told without having asked, by the first gateway that carries free text.

A notice is a row, written in the transaction that causes it; the worker sends it. With no gateway that carries text it
is an audit event and counted as unsent (contract section 3). It must not know HTTP, nor why a person is told.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from apps.accounts import messages, phones, telemetry
from apps.accounts.clock import Clock
from apps.accounts.config import Config
from apps.accounts.errors import ServiceUnavailable
from apps.accounts.messages import Language, NoticeKind
from apps.accounts.models.people import opaque_id
from apps.accounts.phones import Phone
from apps.accounts.providers.base import Carries, Channel
from apps.accounts.services import audit, statements
from apps.accounts.services.courier import Courier
from apps.accounts.services.later import Later, Work
from apps.accounts.services.parcel import Handover, Parcel, patience

# A notice that comes hours later is a riddle: after that it is given up.
LIFE_SECONDS: Final = 900
_TOOK_IT: Final = frozenset({"accepted", "delivered"})


@dataclass(frozen=True, slots=True, repr=False)
class _Due:
    """A notice whose row is locked, and the gateways that had it, with how that ended."""

    id: str
    kind: NoticeKind
    phone: Phone
    language: Language
    created_at: datetime
    now: datetime
    tried: tuple[tuple[str, str, datetime], ...]  # gateway, state, when


class Notices:
    """Promises and sends notices. One per process; thread-safe."""

    def __init__(self, *, config: Config, courier: Courier, clock: Clock, later: Later) -> None:
        self._config = config
        self._courier = courier
        self._clock = clock
        self._later = later
        self._test_numbers = frozenset(number.e164 for number in config.test_numbers)

    def enqueue(self, *, kind: NoticeKind, phone: str, language: str = "") -> None:
        """Promise a notice to `phone` (E.164) inside the caller's transaction.

        Without a `language` ("en", "ar") it is that of the number's last challenge.
        """
        if phone in self._test_numbers:
            telemetry.notice(kind=kind, outcome="test")
            return
        if not self._route(phones.of_stored(phone)):
            self._unsent(kind, phone)
            return
        notice_id = opaque_id()
        statements.run(
            "INSERT INTO accounts_notice (id, kind, phone, language, state, created_at) "
            f"VALUES (%s, %s, %s, %s, 'due', {statements.shifted_now_sql(self._clock.offset)})",
            (notice_id, kind.value, phone, language or _last_language(phone)),
        )
        self._later(Work.NOTICE, [notice_id])

    def send(self, notice_id: str) -> None:
        """Send one notice as far as that is possible now; without a gateway that is up it stays due."""
        try:
            with self._courier.slot():
                while self._step(notice_id):
                    pass
        except ServiceUnavailable:
            return

    def sweep(self, *, older_than_seconds: float, limit: int = 20) -> int:
        """Take up notices that nobody sent; return how many."""
        edge = statements.shifted_now_sql(self._clock.offset - timedelta(seconds=older_than_seconds))
        due = statements.rows(
            f"SELECT id FROM accounts_notice WHERE state = 'due' AND created_at < {edge} ORDER BY created_at LIMIT %s",
            (limit,),
        )
        for (notice_id,) in due:
            self.send(notice_id)
        return len(due)

    # --- one step -------------------------------------------------------------------------------------------------

    def _route(self, phone: Phone) -> tuple[str, ...]:
        return self._courier.route(phone.region, Channel.SMS, carries=Carries.TEXT)

    def _step(self, notice_id: str) -> bool:
        """Give the notice to the next gateway that has not had it; say whether to go on."""
        with statements.durable():
            due = self._lock(notice_id)
        if due is None:
            return False
        left = tuple(name for name in self._route(due.phone) if name not in {name for name, _, _ in due.tried})
        plan = self._courier.next_of(left, channel=Channel.SMS, region=due.phone.region)
        with statements.durable():
            due = self._lock(notice_id)
            if due is None:
                return False
            outcome = self._known_outcome(due, left=left)
            if outcome:
                self._finish(due, outcome)
                return False
            if self._is_with_a_gateway(due) or plan is None:
                return False
            name = plan.names[0]
            if name in {tried for tried, _, _ in due.tried}:
                return True
            message_id = self._courier.open_row(
                due.phone, provider=name, channel=Channel.SMS, send_id=due.id, cause="notice", challenge_id=None,
                code_id=None, now=due.now,
            )  # fmt: skip
        handover = self._courier.deliver(self._parcel(due), plan, first_message_id=message_id)
        return self._goes_on(due, handover)

    def _lock(self, notice_id: str) -> _Due | None:
        row = statements.row(
            f"SELECT kind, phone, language, created_at, {statements.now_sql()} FROM accounts_notice "
            f"WHERE id = %s AND state = 'due'{statements.for_update()}",
            (notice_id,),
        )
        if row is None:
            return None
        tried = statements.rows(
            "SELECT provider, state, created_at FROM accounts_message WHERE send_id = %s AND cause = 'notice'",
            (notice_id,),
        )
        return _Due(
            id=notice_id, kind=NoticeKind(row[0]), phone=phones.of_stored(row[1]), language=Language(row[2]),
            created_at=statements.as_time(row[3]), now=statements.as_time(row[4]) + self._clock.offset,
            tried=tuple((name, state, statements.as_time(at)) for name, state, at in tried),
        )  # fmt: skip

    def _is_with_a_gateway(self, due: _Due) -> bool:
        return any(state == "sending" and self._is_young(at, due) for _, state, at in due.tried)

    def _is_young(self, at: datetime, due: _Due) -> bool:
        return (due.now - at).total_seconds() <= patience(self._config)

    def _known_outcome(self, due: _Due, *, left: tuple[str, ...]) -> str:
        """Return how the notice ended, or empty while there is something left to try."""
        states = {
            "unknown" if state == "sending" and not self._is_young(at, due) else state for _, state, at in due.tried
        }
        if states & _TOOK_IT:
            return "sent"
        if "unknown" in states:
            return "unknown"  # it may have arrived, and one notice is enough
        if "sending" in states:
            return ""
        too_old = (due.now - due.created_at).total_seconds() > LIFE_SECONDS
        return "unsent" if too_old or not left else ""

    def _goes_on(self, due: _Due, handover: Handover) -> bool:
        if handover.state == "refused":
            return True
        outcome = {"accepted": "sent", "unknown": "unknown"}.get(handover.state, "unsent")
        with statements.durable():
            self._finish(due, outcome)
        return False

    def _finish(self, due: _Due, outcome: str) -> None:
        """Write the end and forget the number."""
        done = statements.run(
            "UPDATE accounts_notice SET state = %s, phone = '' WHERE id = %s AND state = 'due'", (outcome, due.id)
        )
        if done and outcome == "unsent":
            self._unsent(due.kind, due.phone.e164)
        elif done:
            telemetry.notice(kind=due.kind, outcome=outcome)

    def _unsent(self, kind: NoticeKind, phone: str) -> None:
        audit.record("notice.unsent", actor="service", subject=phones.mask(phone), note=kind.value)
        telemetry.notice(kind=kind, outcome="unsent")

    def _parcel(self, due: _Due) -> Parcel:
        text = messages.notice_text(due.kind, language=due.language, options=self._config.texts)
        return Parcel(
            phone=due.phone, channel=Channel.SMS, code=None, text=text, language=due.language.value, send_id=due.id,
            cause="notice", challenge_id=None, code_id=None, valid_seconds=LIFE_SECONDS,
        )  # fmt: skip


def _last_language(phone: str) -> str:
    found = statements.row(
        "SELECT language FROM accounts_challenge WHERE phone = %s ORDER BY created_at DESC LIMIT 1", (phone,)
    )
    return str(found[0]) if found else Language.EN.value
