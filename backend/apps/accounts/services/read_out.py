"""Read-out codes: support makes a code for a person who cannot receive one, and reads it out after checking who calls.

The code is a row like any other and derived like any other; nothing is sent. Who may make one, for whom and how often
is decided here. It must not know HTTP.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from apps.accounts import phones
from apps.accounts.clock import Clock
from apps.accounts.config import Config
from apps.accounts.errors import (
    AccountDisabled,
    Blocked,
    InvalidRequest,
    NotPermitted,
    RateLimited,
    ServiceUnavailable,
    UserNotFound,
)
from apps.accounts.phones import Phone, mask
from apps.accounts.services import audit, challenges, statements
from apps.accounts.services.blocklist import BlockList
from apps.accounts.services.challenges import Claimant, NewChallenge
from apps.accounts.services.model import READ_OUT, Purpose
from apps.accounts.services.proof import Prover
from apps.accounts.services.recycled import READ_OUT_WITHIN
from apps.accounts.services.sessions import Sessions
from apps.accounts.services.windows import HOUR_MS, SendRule, judge_send, whole_seconds

LIFE_SECONDS: Final = 600
SHORTEST_REASON: Final = 10
LISTED_AT_MOST: Final = 500
# Whose line it is that counts an operator's codes; no phone is spelled like this.
_COUNTED_AS: Final = "operator"

Tell = Callable[[Phone], None]


@dataclass(frozen=True, slots=True)
class ReadOut:
    """A code to be read out. It never prints itself."""

    code: str = field(repr=False)
    expires_in: int
    challenge_id: str


@dataclass(frozen=True, slots=True)
class _Account:
    role: str
    is_active: bool
    subject: str


class ReadOuts:
    """Makes, lists and revokes. One per process; thread-safe."""

    def __init__(
        self, *, config: Config, clock: Clock, prover: Prover, blocklist: BlockList, sessions: Sessions, tell: Tell
    ) -> None:
        """Take the rooms it needs; `tell(phone)` promises the number a notice, in the transaction of the act."""
        self._config = config
        self._clock = clock
        self._prover = prover
        self._blocklist = blocklist
        self._sessions = sessions
        self._tell = tell
        self._rule = SendRule(limit=config["ADMIN_READOUT_MAX_PER_HOUR"], window_ms=HOUR_MS, cooldown_ms=0)

    def make(self, number: str, *, operator: str, note: str) -> ReadOut:
        """Make a code for `number` that lives ten minutes and opens one session; an earlier one dies.

        Raises:
            InvalidRequest: no reason of ten characters, or not a number that can have an account.
            Blocked, AccountDisabled, UserNotFound: a login would be refused anyway.
            NotPermitted: the account has another role than a new one would get.
            RateLimited: this operator made enough of them within the hour.
        """
        if len(note.strip()) < SHORTEST_REASON:
            raise InvalidRequest(fields={"note": ["too_short"]})
        phone = phones.parse(number, min_digits=self._config.phone_min_digits)
        if self._blocklist.match(phone=phone.e164, ip="", device_id=""):
            raise Blocked
        with statements.durable():
            now = self._count(operator)
            account = _find(phone.e164)
            self._require_permitted(account)
            self._tell(phone)
            made = self._open(phone, operator=operator, note=note, now=now)
            detail = {"challenge": made.challenge_id[:8], "phone": mask(phone.e164)}
            subject = account.subject if account else mask(phone.e164)
            audit.record("readout.made", actor=operator, subject=subject, note=note, detail=detail, now=now)
        return made

    def _count(self, operator: str) -> datetime:
        """Count one code of this operator under its own row's lock; return the database's clock."""
        lane = "readout:" + hashlib.sha256(operator.encode()).hexdigest()[:32]
        line = challenges.lock_line(_COUNTED_AS, lane, offset=self._clock.offset)
        verdict = judge_send(line.sends, now_ms=line.now_ms, rule=self._rule)
        if verdict.reason:
            raise RateLimited(retry_after=whole_seconds(verdict.wait_ms), detail_key="read_outs")
        challenges.write_sends(line, (*verdict.kept, line.now_ms))
        return line.now

    def _require_permitted(self, account: _Account | None) -> None:
        if account is None:
            if not self._config.allow_signup:
                raise UserNotFound
            return
        if account.role != self._config["ACCOUNT_DEFAULT_ROLE"]:
            raise NotPermitted(detail_key="not_for_this_account")
        if not account.is_active:
            raise AccountDisabled

    def _open(self, phone: Phone, *, operator: str, note: str, now: datetime) -> ReadOut:
        end_open_codes(phone.e164, now=now)
        code = challenges.insert_code(
            phone.e164, Purpose.LOGIN, "", kind="readout", key=self._config.code_keys[0], now=now, seconds=LIFE_SECONDS,
            operator=operator[:64], note=note[:255],
        )  # fmt: skip
        nobody = Claimant()
        new = NewChallenge(
            phone=phone, purpose=Purpose.LOGIN, scope="", bound=None, who=nobody, channel="sms", language="en", ip=""
        )
        challenge = challenges.insert_challenge(code, new, now=now)
        digits = self._prover.code_of(code, phone=phone.e164, purpose=Purpose.LOGIN)
        if digits is None:
            raise ServiceUnavailable
        return ReadOut(code=digits, expires_in=LIFE_SECONDS, challenge_id=challenge.id)

    def list(self) -> dict[str, Any]:
        """Return the codes and the sessions that were opened with one, newest first; numbers masked."""
        now = statements.now() + self._clock.offset
        codes = statements.rows(
            "SELECT k.phone, k.operator, k.note, k.created_at, k.expires_at, k.state, c.id FROM accounts_code k "
            "LEFT JOIN accounts_challenge c ON c.code_id = k.id WHERE k.kind = 'readout' ORDER BY k.created_at DESC "
            "LIMIT %s",
            (LISTED_AT_MOST,),
        )
        sessions = statements.rows(
            "SELECT s.id, u.phone_number, s.note, s.created_at, s.last_used_at, s.revoked_at FROM accounts_session s "
            "JOIN accounts_user u ON u.id = s.user_id WHERE s.amr = 'manual' ORDER BY s.created_at DESC LIMIT %s",
            (LISTED_AT_MOST,),
        )
        return {
            "codes": [_code_json(item, now) for item in codes],
            "sessions": [_session_json(item) for item in sessions],
        }

    def revoke_session(self, session_id: str, *, operator: str, note: str = "") -> int:
        """End one session; return 1 if it lived, else 0."""
        return self._sessions.revoke_by_operator(session_id, actor=operator, note=note)

    def revoke_noted(self, note: str, *, operator: str) -> int:
        """End every open code, open ticket and living session that carries exactly this note; return how many."""
        with statements.durable():
            now = statements.now() + self._clock.offset
            codes = statements.rows(
                "UPDATE accounts_code SET state = 'dead' WHERE kind = 'readout' AND state = 'open' AND note = %s "
                "AND expires_at > %s RETURNING id, phone",
                (note, now),
            )
            for code_id, phone in codes:
                _cancel_challenges(code_id, now)
                audit.record("readout.revoked", actor=operator, subject=mask(phone), note=note, now=now)
            # A code of a silent number was used for a ticket, which has not become a session yet.
            tickets = statements.rows(
                "UPDATE accounts_recycledclaim SET state = 'closed', answered_at = %s WHERE state = 'open' "
                "AND ticket_expires_at > %s AND channel = %s AND phone IN (SELECT phone FROM accounts_code "
                "WHERE kind = 'readout' AND state = 'used' AND note = %s AND created_at > %s) RETURNING phone",
                (now, now, READ_OUT, note, now - READ_OUT_WITHIN),
            )
            for (phone,) in tickets:
                audit.record("readout.revoked", actor=operator, subject=mask(phone), note=note, now=now)
            living = statements.rows(
                "SELECT id FROM accounts_session WHERE amr = 'manual' AND note = %s AND revoked_at IS NULL", (note,)
            )
            ended = sum(self._sessions.revoke_by_operator(item[0], actor=operator, note=note) for item in living)
        return len(codes) + len(tickets) + ended


def end_open_codes(phone: str, *, now: datetime) -> None:
    """End the read-out codes that are open for `phone`, in the caller's transaction."""
    ended = statements.rows(
        "UPDATE accounts_code SET state = 'dead' WHERE phone = %s AND purpose = 'login' AND scope = '' "
        "AND state = 'open' AND kind = 'readout' RETURNING id",
        (phone,),
    )
    for (code_id,) in ended:
        _cancel_challenges(code_id, now)


def _cancel_challenges(code_id: str, now: datetime) -> None:
    statements.run(
        "UPDATE accounts_challenge SET status = 'canceled', closed_at = %s WHERE code_id = %s AND status = 'pending'",
        (now, code_id),
    )


def _find(phone: str) -> _Account | None:
    found = statements.row(
        "SELECT role, is_active, subject FROM accounts_user WHERE phone_number = %s AND deleted_at IS NULL",
        (phone,),
    )
    return _Account(found[0], bool(found[1]), found[2]) if found else None


def _code_json(item: tuple[Any, ...], now: datetime) -> dict[str, Any]:
    phone, operator, note, created_at, expires_at, state, challenge_id = item
    ends = statements.as_time(expires_at)
    return {
        "challenge_id": challenge_id,
        "phone_number": mask(phone),
        "operator": operator,
        "note": note,
        "created_at": statements.as_time(created_at).isoformat(),
        "expires_at": ends.isoformat(),
        "status": {"used": "used", "dead": "revoked"}.get(state, "open" if ends > now else "expired"),
    }


def _session_json(item: tuple[Any, ...]) -> dict[str, Any]:
    session_id, phone, note, created_at, last_used_at, revoked_at = item
    ended = statements.as_time_or_none(revoked_at)
    return {
        "session_id": session_id,
        "phone_number": mask(phone or ""),
        "note": note,
        "created_at": statements.as_time(created_at).isoformat(),
        "last_used_at": statements.as_time(last_used_at).isoformat(),
        "revoked_at": ended.isoformat() if ended else None,
    }
