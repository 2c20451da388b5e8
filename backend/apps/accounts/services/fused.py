"""An ordinary login on PostgreSQL: to open a send, to claim a try and to use a code up are one statement each.

Each statement is committed by itself and does all of its work or none. It answers None where the case is not an
ordinary one, and then nothing was changed: the portable path (opening, tries, proof, login) decides, as on SQLite. What
a case means is decided there and must not be decided here a second time; docs/adr/0009-one-statement-a-step.md says why
there are two paths at all.

Locks are taken everywhere in this order, so that no two calls wait for each other:
phone line ▸ failure lanes ▸ code ▸ challenge ▸ account ▸ session ▸ device token.
The parts of a statement run in the order in which they ask for each other's rows (`FROM line`, `EXISTS (… lane)`); all
of them read the tables as they were when it began, and a row that somebody changed meanwhile is judged anew.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from apps.accounts.services import challenges, fused_sql, statements
from apps.accounts.services.lanes import TryRules
from apps.accounts.services.model import Purpose
from apps.accounts.services.session_types import Person
from apps.accounts.services.tries import Claim, forget_stamp


def available() -> bool:
    """Say whether one statement can do it here: it commits by itself, so never inside somebody's transaction."""
    return statements.is_postgres() and not connection.in_atomic_block


# --- open -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewSend:
    """The columns of a code, a challenge on it and the first try at a gateway; the caller draws ids and nonce."""

    phone: str
    country: str
    purpose: str
    scope: str
    nonce: str
    key_id: str
    life: timedelta
    code_id: str
    challenge_id: str
    account_id: int | None
    session_id: str | None
    device_id: str
    channel: str
    language: str
    support_code: str
    ip: str
    message_id: str
    send_id: str
    provider: str


def open_send(new: NewSend, *, quiet_ms: int, offset: timedelta) -> tuple[int, datetime] | None:
    """Open a send to a phone that was not touched for `quiet_ms`; return its stamp and time, None if it was.

    A phone that is quiet for longer than window, cooldown and a code's life has no send that counts and no open code.
    """
    row = statements.row(fused_sql.open_send(offset), {**_columns(new), "quiet_ms": quiet_ms})
    return None if row is None else (row[0], row[1])


# --- claim ------------------------------------------------------------------------------------------------------------


def claim_on_phone(phone: str, *, rules: TryRules, offset: timedelta) -> Claim | None:
    """Count a try of a login by phone alone where its lane is fresh, a sent code is open and no read-out code is."""
    found = statements.rows(fused_sql.claim_on_phone(offset), {"phone": phone, "most": rules.per_challenge})
    if not found:
        return None
    (stamp,) = statements.stamps(found[0][0])
    if found[0][1] is None:
        _undo(phone, "phone", stamp)
        return None
    codes = tuple(challenges.read_code(row[1:]) for row in found)
    return Claim(
        phone=phone, purpose=Purpose.LOGIN, scope="", lane="phone", stamp=stamp, codes=codes, challenge_id="",
        attempts=0, expires_at=codes[0].expires_at,
    )  # fmt: skip


def claim_on_challenge(challenge_id: str, *, rules: TryRules, offset: timedelta) -> Claim | None:
    """Count a try of a challenge that is open and has tries left, where the lane of its phone's challenges is fresh."""
    row = statements.row(
        fused_sql.claim_on_challenge(offset), {"challenge_id": challenge_id, "most": rules.per_challenge}
    )
    if row is None:
        return None
    phone, stamps, purpose, scope, account_id, attempts = row[:6]
    (stamp,) = statements.stamps(stamps)
    if purpose is None:
        _undo(phone, "challenge", stamp)
        return None
    code = challenges.read_code(row[6:])
    return Claim(
        phone=phone, purpose=Purpose(purpose), scope=scope, lane="challenge", stamp=stamp, codes=(code,),
        challenge_id=challenge_id, attempts=attempts, expires_at=code.expires_at, account_id=account_id,
    )  # fmt: skip


def _undo(phone: str, lane: str, stamp: int) -> None:
    """Take the failure back that was counted before it was seen that nothing could be claimed."""
    with statements.durable():
        forget_stamp(phone, lane, stamp)


# --- use up -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewLogin:
    """What a login writes: the account it makes if the number has none, a session, a device token, an audit record."""

    phone: str
    code_id: str
    challenge_id: str
    lane: str
    username: str
    subject: str
    role: str
    dormant_after: timedelta
    session_id: str
    session_life: timedelta
    refresh_hash: str
    device_id: str
    device_name: str
    ip: str
    user_agent: str
    token_id: str
    token_hash: str
    request_id: str
    detail_of_new: str
    detail_of_known: str


@dataclass(frozen=True, slots=True)
class UsedUp:
    """A code that is used up at `now`. No person: its account may not log in just so, and nothing else was written."""

    now: datetime
    channel: str
    person: Person | None
    is_new: bool


def log_in(new: NewLogin, *, offset: timedelta) -> UsedUp | None:
    """Use an open code up and open a session for its number's account; None if the code is no longer good.

    Raises:
        IntegrityError: the account's name is taken; nothing was done.
    """
    row = statements.row(fused_sql.log_in(offset, by_challenge=bool(new.challenge_id)), _columns(new))
    if row is None:
        return None
    now, channel, user_id, username, role, subject, is_test = row
    person = None
    if user_id is not None:
        person = Person(
            id=user_id, username=username, phone_number=new.phone, role=role, phone_verified=True, subject=subject,
            is_test=is_test,
        )  # fmt: skip
    return UsedUp(now=now, channel=channel or "sms", person=person, is_new=subject == new.subject)


def _columns(row: NewSend | NewLogin) -> dict[str, Any]:
    """Return the fields as a statement's parameters."""
    return {name: getattr(row, name) for name in row.__slots__}
