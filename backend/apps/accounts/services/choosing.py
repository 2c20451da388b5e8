"""The choice after long silence: the old account, or a new one; and a parked account for the device that it knows.

It must not know HTTP or how the number was proven: the ticket is the proof, once and for ten minutes.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from apps.accounts import phones
from apps.accounts.clock import Clock
from apps.accounts.errors import AccountDisabled, AccountsError, InvalidRequest
from apps.accounts.messages import NoticeKind
from apps.accounts.phones import mask
from apps.accounts.services import audit, device_tokens, numbers, recycled, session_rows, statements, tries
from apps.accounts.services.login import ChoiceRequired, LoggedIn, Login
from apps.accounts.services.model import READ_OUT, Asker, OpenCode, Purpose
from apps.accounts.services.notices import Notices
from apps.accounts.services.numbers import Holder
from apps.accounts.services.policy import Policy
from apps.accounts.services.proof import Proven
from apps.accounts.services.recycled import Recycled
from apps.accounts.services.session_types import Ended
from apps.accounts.services.tries import Claim

CHOICES: Final = ("mine", "new")


@dataclass(frozen=True, slots=True)
class Waiting:
    """The old account opens to an ordinary login in `available_in` seconds, or when a known device confirms."""

    available_in: int

    def as_json(self) -> dict[str, Any]:
        """Return the answer of contract section 3."""
        return {"available_in": self.available_in}


@dataclass(frozen=True, slots=True, repr=False)
class _Ticket:
    claim_id: str
    user_id: int
    phone: str
    device_id: str
    channel: str
    offered_at: datetime
    now: datetime


class Choosing:
    """Turns a ticket and a choice into a session or a wait. One per process; thread-safe."""

    def __init__(
        self, *, login: Login, recycled_numbers: Recycled, policy: Policy, notices: Notices, clock: Clock
    ) -> None:
        self._login = login
        self._recycled = recycled_numbers
        self._policy = policy
        self._notices = notices
        self._clock = clock

    def choose(self, ticket: str, choice: str, asker: Asker) -> LoggedIn | ChoiceRequired | Waiting:
        """Use a ticket up for `mine` or `new`.

        Raises:
            InvalidRequest: the ticket is unknown, used, expired, or its number has moved on: one answer for all.
            Blocked, AccountDisabled, UserNotFound: a login would be refused too; the ticket stays good.
        """
        digest = recycled.ticket_hash(ticket)
        found = statements.row(
            "SELECT user_id, phone FROM accounts_recycledclaim WHERE ticket_hash = %s AND state = 'open'", (digest,)
        )
        if found is None:
            raise _no_ticket()
        self._policy.require_unblocked(phones.of_stored(found[1]), asker)
        return statements.retried(lambda: self._choose(found[0], found[1], digest, choice, asker))

    def _choose(
        self, user_id: int, phone: str, digest: str, choice: str, asker: Asker
    ) -> LoggedIn | ChoiceRequired | Waiting:
        with statements.durable():
            tries.lock_lanes(phone)  # a login clears them, and has locked them before it locks an account
            holder = numbers.lock(user_id)  # before the claim: every other room locks them in this order
            ticket = self._use_up(digest)
            if holder is None or holder.is_deleted:
                raise _no_ticket()
            if not holder.is_active:
                raise AccountDisabled
            if holder.is_parked:
                return self._parked(holder, ticket, choice, asker)
            if holder.person.phone_number != ticket.phone:
                raise _no_ticket()
            return self._anew(holder, ticket, asker) if choice == "new" else self._wait(holder, ticket, asker)

    def _use_up(self, digest: str) -> _Ticket:
        now = statements.now() + self._clock.offset
        row = statements.row(
            "UPDATE accounts_recycledclaim SET state = 'closed', answered_at = %s WHERE ticket_hash = %s "
            "AND state = 'open' AND ticket_expires_at > %s "
            "RETURNING id, user_id, phone, device_id, channel, created_at",
            (now, digest, now),
        )
        if row is None:
            raise _no_ticket()
        claim_id, user_id, phone, device_id, channel, offered_at = row
        return _Ticket(claim_id, user_id, phone, device_id, channel, statements.as_time(offered_at), now)

    def _anew(self, holder: Holder, ticket: _Ticket, asker: Asker) -> LoggedIn | ChoiceRequired:
        """Set the old account aside and open a new one for the number."""
        self._set_aside(holder, ticket)
        return self._enter(ticket, asker)

    def _wait(self, holder: Holder, ticket: _Ticket, asker: Asker) -> Waiting:
        """Let the claim wait; one that waits already, or was confirmed, is not made to wait any longer."""
        standing = self._recycled.standing(holder.person.id, ticket.phone, now=ticket.now)
        if standing.opens:
            return Waiting(available_in=0)
        if standing.waiting is not None:
            return Waiting(available_in=_seconds(standing.waiting[1], ticket.now))
        available_at = self._recycled.wait(ticket.claim_id, standing, now=ticket.now)
        self._record("claim.made", holder, ticket)
        self._notices.enqueue(kind=NoticeKind.NUMBER_CLAIMED, phone=ticket.phone, language=asker.language)
        return Waiting(available_in=_seconds(available_at, ticket.now))

    def _parked(self, holder: Holder, ticket: _Ticket, choice: str, asker: Asker) -> LoggedIn | ChoiceRequired:
        """A device that a parked account knows has proven a number: `mine` brings the account back with it, at once."""
        if choice == "mine":
            present = numbers.lock_by_phone(ticket.phone)
            if present is not None and not present.is_active:
                raise AccountDisabled
            if present is not None:
                if holder.former_phone != ticket.phone:  # somebody opened an account with it since
                    raise _no_ticket()
                self._set_aside(present, ticket)
            if numbers.take(holder, ticket.phone, now=ticket.now) is None:
                raise _no_ticket()
            device_tokens.revoke_of_other_numbers(holder.person.id, keep=ticket.phone)
            recycled.close_claims(holder.person.id, now=ticket.now)
            self._record("account.restored", holder, ticket)
        return self._enter(ticket, asker)

    def _set_aside(self, holder: Holder, ticket: _Ticket) -> None:
        """Park an account: its sessions end at once; its devices stay known, for it alone and for nothing else."""
        numbers.park(holder, now=ticket.now)
        session_rows.revoke_all(holder.person.id, reason=Ended.NUMBER_MOVED)
        recycled.close_claims(holder.person.id, now=ticket.now)
        self._record("account.parked", holder, ticket)

    def _enter(self, ticket: _Ticket, asker: Asker) -> LoggedIn | ChoiceRequired:
        entered = self._login.enter(_proof(ticket), _same_device(asker, ticket))
        if isinstance(entered, AccountsError):
            raise entered
        return entered

    @staticmethod
    def _record(event: str, holder: Holder, ticket: _Ticket) -> None:
        audit.record(
            event, actor="number", subject=holder.person.subject, now=ticket.now,
            detail={"claim": ticket.claim_id[:8], "phone": mask(ticket.phone)},
        )  # fmt: skip


def _proof(ticket: _Ticket) -> Proven:
    """Return the proof that the ticket stands for; its code was used up and its try forgiven when it was offered."""
    claim = Claim(
        phone=ticket.phone, purpose=Purpose.LOGIN, scope="", lane="", stamp=0, codes=(), challenge_id="", attempts=0,
        expires_at=ticket.now,
    )  # fmt: skip
    by_support = ticket.channel == READ_OUT
    code = OpenCode(
        id=_read_out_code(ticket) if by_support else "", nonce="", key_id="", kind="readout" if by_support else "sent",
        created_at=ticket.now, expires_at=ticket.now,
    )  # fmt: skip
    return Proven(claim=claim, code=code, phone=ticket.phone, now=ticket.now, channel=ticket.channel)


def _read_out_code(ticket: _Ticket) -> str:
    """Return the id of the read-out code that a ticket was given for: its reason is the session's, too."""
    used = statements.rows(
        "SELECT id, used_at FROM accounts_code WHERE phone = %s AND kind = 'readout' AND used_at IS NOT NULL "
        "AND created_at > %s ORDER BY used_at DESC",
        (ticket.phone, ticket.offered_at - recycled.READ_OUT_WITHIN),
    )
    return next((str(code_id) for code_id, used_at in used if statements.as_time(used_at) <= ticket.offered_at), "")


def _same_device(asker: Asker, ticket: _Ticket) -> Asker:
    """The login is the call that proved the number: where this one names no device, that one's counts."""
    if asker.device_id:
        return asker
    return Asker(
        ip=asker.ip, device_id=ticket.device_id, device_name=asker.device_name, device_token=asker.device_token,
        user_agent=asker.user_agent, language=asker.language,
    )  # fmt: skip


def _seconds(until: datetime, now: datetime) -> int:
    return max(0, round((until - now).total_seconds()))


def _no_ticket() -> InvalidRequest:
    return InvalidRequest(fields={"ticket": ["not_valid"]})
