"""Recycled numbers: a number that proves itself after long silence may belong to somebody else by now.

Whoever proves it chooses (choosing.py) between the old account, which opens after a hold or by a device that it knows,
and a new one. Here the choice is offered, and claims on the old account are seen, answered and judged. It must not
know HTTP or how the number was proven.

A claim opens the account to the next ordinary login once a known device has confirmed it, or once its hold has passed.
An objection closes the account to claims: for as long again as an account must be silent to be doubted (at least 30
days), only a known device opens it. An unused opening goes stale after the same time: the number may have moved again.
"""

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from apps.accounts.clock import Clock
from apps.accounts.config import Config
from apps.accounts.errors import NotFound, SessionRevoked
from apps.accounts.phones import mask
from apps.accounts.services import audit, device_tokens, numbers, session_rows, statements, tries
from apps.accounts.services.login import ChoiceRequired
from apps.accounts.services.model import Asker
from apps.accounts.services.proof import Proven
from apps.accounts.services.session_types import Person, Principal

TICKET_SECONDS: Final = 600
# A ticket that a read-out code came to is given within this time of that code.
READ_OUT_WITHIN: Final = timedelta(hours=1)
SHORTEST_MEMORY_DAYS: Final = 30
ANSWERS: Final = {"confirm": "granted", "object": "objected"}
_STANDING: Final = "('waiting', 'granted', 'objected')"


def ticket_hash(ticket: str) -> str:
    """Return what is stored of a ticket."""
    return hashlib.sha256(b"recycled-ticket\x00" + ticket.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim on an account as its owner may see it."""

    id: str
    status: str  # waiting, granted, objected
    phone: str  # masked
    created_at: datetime
    available_at: datetime
    available_in: int  # seconds

    def as_json(self) -> dict[str, Any]:
        """Return the claim as `GET /api/auth/claims/` shows it."""
        return {
            "id": self.id,
            "status": self.status,
            "phone_number": self.phone,
            "created_at": self.created_at.isoformat(),
            "available_at": self.available_at.isoformat(),
            "available_in": self.available_in,
        }


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands between a number and its silent account."""

    opens: bool  # a claim was confirmed, or its hold has passed
    waiting: tuple[str, datetime] | None  # the claim that waits and when its hold ends
    objected_until: datetime | None

    @property
    def is_contested(self) -> bool:
        """Say whether a login without a known device must choose, however lately the account was seen."""
        return self.waiting is not None or self.objected_until is not None


class Recycled:
    """Judges logins of silent accounts. One per process; thread-safe."""

    def __init__(self, *, config: Config, clock: Clock) -> None:
        self._clock = clock
        self._hold = timedelta(hours=config["RECYCLED_HOLD_HOURS"])
        self._fresh = timedelta(days=max(config["ACCOUNT_DORMANT_DAYS"], SHORTEST_MEMORY_DAYS))

    # -- at a login, in the transaction that uses the code up

    def parked(self, proven: Proven, asker: Asker) -> ChoiceRequired | None:
        """Offer a parked account to a device that it knows, if the proven number is free or was that account's."""
        if not asker.device_token or proven.code.kind != "sent" or proven.claim.lane.startswith("device:"):
            return None
        found = device_tokens.find_parked(asker.device_token, device_id=asker.device_id)
        if found is None:
            return None
        user_id, former = found
        if former != proven.phone and numbers.lock_by_phone(proven.phone) is not None:
            return None
        return self._offer(user_id, proven, asker)

    def judge(self, person: Person, proven: Proven, asker: Asker, *, dormant: bool) -> ChoiceRequired | None:
        """Offer the choice unless a claim has opened the account; `dormant` says that it was silent for long."""
        standing = self.standing(person.id, proven.phone, now=proven.now)
        if standing.opens or not (dormant or standing.is_contested):
            return None
        return self._offer(person.id, proven, asker)

    def settle(self, user_id: int, *, now: datetime) -> None:
        """End all claims on an account that is being opened."""
        close_claims(user_id, now=now)

    def _offer(self, user_id: int, proven: Proven, asker: Asker) -> ChoiceRequired:
        """Write a claim on an account and return its single-use ticket."""
        ticket = secrets.token_urlsafe(32)
        tries.forget_failure(proven.claim)
        statements.run(
            "INSERT INTO accounts_recycledclaim (id, user_id, phone, ticket_hash, device_id, channel, state, "
            "created_at, ticket_expires_at) VALUES (%s, %s, %s, %s, %s, %s, 'open', %s, %s)",
            (uuid.uuid4().hex, user_id, proven.phone, ticket_hash(ticket), asker.device_id, proven.channel, proven.now,
             proven.now + timedelta(seconds=TICKET_SECONDS)),
        )  # fmt: skip
        return ChoiceRequired(ticket=ticket, expires_in=TICKET_SECONDS)

    # -- claims

    def standing(self, user_id: int, phone: str, *, now: datetime) -> Standing:
        """Return how claims on an account by this number stand; the caller has locked the account."""
        found = statements.rows(
            f"SELECT id, state, available_at, answered_at FROM accounts_recycledclaim WHERE user_id = %s "
            f"AND phone = %s AND state IN {_STANDING} ORDER BY created_at",
            (user_id, phone),
        )
        opens, waiting, until = False, None, None
        for claim_id, state, available, answered in found:
            available_at, answered_at = statements.as_time(available), statements.as_time_or_none(answered)
            since = available_at if state == "waiting" or answered_at is None else answered_at
            if since + self._fresh <= now:
                continue
            if state == "objected":
                until = max(until or since, since + self._fresh)
            elif state == "granted" or available_at <= now:
                opens = True
            else:
                waiting = (claim_id, available_at)
        return Standing(opens=opens, waiting=waiting, objected_until=until)

    def wait(self, claim_id: str, standing: Standing, *, now: datetime) -> datetime:
        """Let a claim wait for its hold, and for the end of an objection; return when it opens."""
        available_at = max(now + self._hold, standing.objected_until or now)
        statements.run(
            "UPDATE accounts_recycledclaim SET state = 'waiting', available_at = %s WHERE id = %s",
            (available_at, claim_id),
        )
        return available_at

    def list(self, principal: Principal) -> list[Claim]:
        """Return the claims on the caller's account, newest first."""
        now = statements.now() + self._clock.offset
        return [
            _claim(row, now)
            for row in statements.rows(
                "SELECT id, state, phone, created_at, available_at FROM accounts_recycledclaim WHERE user_id = %s "
                f"AND state IN {_STANDING} ORDER BY created_at DESC LIMIT 100",
                (principal.user_id,),
            )
        ]

    def answer(self, principal: Principal, claim_id: str, answer: str) -> Claim:
        """Confirm or object from a session of the claimed account; until it is used, the answer may be changed.

        Raises:
            NotFound: the account has no such claim.
            SessionRevoked: the session ended meanwhile.
        """
        state = ANSWERS[answer]
        with statements.durable():
            numbers.lock(principal.user_id)
            if not session_rows.lock_live(principal.session_id, principal.user_id):
                raise SessionRevoked
            now = statements.now() + self._clock.offset
            row = statements.row(
                "UPDATE accounts_recycledclaim SET state = %s, answered_at = %s WHERE id = %s AND user_id = %s "
                f"AND state IN {_STANDING} RETURNING id, state, phone, created_at, available_at",
                (state, now, claim_id, principal.user_id),
            )
            if row is None:
                raise NotFound
            about = {"claim": claim_id[:8], "session": principal.session_id[:8]}
            if state == "granted":
                audit.record("claim.granted", actor="account", subject=principal.subject, now=now, detail=about)
            else:
                audit.record("claim.objected", actor="account", subject=principal.subject, now=now, detail=about)
        return _claim(row, now)


def close_claims(user_id: int, *, now: datetime) -> None:
    """End every claim and ticket on a locked account: it was opened, or the number left it."""
    statements.run(
        "UPDATE accounts_recycledclaim SET state = 'closed', answered_at = %s WHERE user_id = %s AND state <> 'closed'",
        (now, user_id),
    )


def forget_claims(*, before: datetime, limit: int = 500) -> int:
    """Delete claims that were made before `before` and stand no longer; return how many."""
    return statements.run(
        "DELETE FROM accounts_recycledclaim WHERE id IN (SELECT id FROM accounts_recycledclaim "
        "WHERE created_at < %s AND state IN ('open', 'closed') LIMIT %s)",
        (before, limit),
    )


def _claim(row: tuple[Any, ...], now: datetime) -> Claim:
    available_at = statements.as_time(row[4])
    left = available_at - now if row[1] == "waiting" else timedelta()
    return Claim(
        id=row[0], status=row[1], phone=mask(row[2]), created_at=statements.as_time(row[3]), available_at=available_at,
        available_in=max(0, round(left.total_seconds())),
    )  # fmt: skip
