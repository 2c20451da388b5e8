"""Codes and challenges as rows: open, join, move, read, cancel, close. Each function runs in its caller's transaction.

It must not know limits of the cache, gateways or HTTP.
"""

import json
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from apps.accounts import codes
from apps.accounts.codes import CodeKey
from apps.accounts.phones import Phone
from apps.accounts.services import attempts, statements
from apps.accounts.services.model import Bound, OpenCode, Purpose, support_code
from apps.accounts.services.windows import HOUR_MS, REFUNDS_PER_HOUR

# With less than this left, a resend opens a new code beside the old one.
FRESH_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class Line:
    """A phone's sends in one lane, locked until the transaction ends."""

    id: int
    sends: list[int]
    refunds: list[int]
    now: datetime

    @property
    def now_ms(self) -> int:
        """Return the database's clock in epoch milliseconds."""
        return int(self.now.timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class OwnChallenge:
    """The asker's own open challenge on a code."""

    id: str
    attempts: int
    support_code: str
    code_id: str


@dataclass(frozen=True, slots=True)
class Claimant:
    """How an asker can be known again: any of these, else the asker is new."""

    challenge_id: str = ""
    device_id: str = ""
    device_token_id: str = ""


def lock_line(phone: str, lane: str, *, offset: timedelta) -> Line:
    """Lock the phone's line of `lane`, making it where there is none; everything that sends to a phone passes here."""
    if lane:
        # Codes are shared between lanes: the common line is the phone's one lock.
        _upsert_line(phone, "", offset=offset)
    found = _upsert_line(phone, lane, offset=offset)
    return Line(
        id=found[0],
        sends=json.loads(found[1]),
        refunds=json.loads(found[2]),
        now=statements.as_time(found[3]) + offset,
    )


def _upsert_line(phone: str, lane: str, *, offset: timedelta) -> tuple[Any, ...]:
    """Lock one line and note that it was touched; a transaction that sends nothing rolls that back."""
    touched = statements.shifted_ms_sql(offset)
    found = statements.row(
        "INSERT INTO accounts_phoneline AS held (phone, lane, sends, refunds, touched_ms) "
        f"VALUES (%s, %s, '[]', '[]', {touched}) ON CONFLICT (phone, lane) DO UPDATE SET touched_ms = "
        f"CASE WHEN held.touched_ms > {touched} THEN held.touched_ms ELSE {touched} END "
        f"RETURNING id, sends, refunds, {statements.now_sql()}",
        (phone, lane),
    )
    assert found is not None
    return found


def write_sends(line: Line, stamps: tuple[int, ...]) -> None:
    """Store the stamps of a locked line."""
    statements.run("UPDATE accounts_phoneline SET sends = %s WHERE id = %s", (json.dumps(stamps), line.id))


def take_back(line: Line, stamp: int, *, free: bool) -> bool:
    """Remove one send from a locked line; at most three an hour unless it was `free`. Say whether it was removed."""
    refunds = [at for at in line.refunds if at > line.now_ms - HOUR_MS]
    if stamp not in line.sends or (not free and len(refunds) >= REFUNDS_PER_HOUR):
        return False
    sends = list(line.sends)
    sends.remove(stamp)
    refunds = refunds if free else [*refunds, line.now_ms]
    statements.run(
        "UPDATE accounts_phoneline SET sends = %s, refunds = %s WHERE id = %s",
        (json.dumps(sends), json.dumps(refunds), line.id),
    )
    return True


def open_codes(
    phone: str, purpose: Purpose, scope: str, *, kind: str, now: datetime, who: Claimant
) -> tuple[list[OpenCode], OwnChallenge | None]:
    """Lock the phone's open codes and return them, newest first, with the asker's own open challenge if there is one.

    Whoever uses a code up or ends it has locked it: what is returned here stays open until the transaction ends.
    """
    found = statements.rows(
        "SELECT k.id, k.nonce, k.key_id, k.kind, k.created_at, k.expires_at, k.minted_by, k.own_code_sent, "
        "c.id, c.attempts, c.support_code, EXISTS (SELECT 1 FROM accounts_message m WHERE m.code_id = k.id "
        "AND m.error_kind IN (%s, %s)) FROM accounts_code k "
        "LEFT JOIN accounts_challenge c ON c.code_id = k.id AND c.status IN ('pending', 'undeliverable') "
        "AND (c.id = %s OR (c.device_id = %s AND c.device_id <> '') OR c.device_token_id = %s) "
        "WHERE k.phone = %s AND k.purpose = %s AND k.scope = %s AND k.state = 'open' AND k.kind = %s "
        f"AND k.expires_at > %s ORDER BY k.expires_at DESC, c.created_at DESC{statements.for_update('k')}",
        (
            *attempts.FRAUD, who.challenge_id, who.device_id, who.device_token_id or None, phone, purpose.value, scope,
            kind, now,
        ),
    )  # fmt: skip
    seen: dict[str, OpenCode] = {}
    own: OwnChallenge | None = None
    for item in found:
        seen.setdefault(item[0], replace(read_code(item[:8]), suspected=bool(item[11])))
        if item[8] and (own is None or (item[8] == who.challenge_id and own.id != who.challenge_id)):
            own = OwnChallenge(id=item[8], attempts=item[9], support_code=item[10], code_id=item[0])
    return list(seen.values()), own


def read_code(columns: tuple[Any, ...]) -> OpenCode:
    """Return a code from its columns id, nonce, key_id, kind, created_at, expires_at, minted_by, own_code_sent."""
    return OpenCode(
        id=columns[0],
        nonce=columns[1],
        key_id=columns[2],
        kind=columns[3],
        created_at=statements.as_time(columns[4]),
        expires_at=statements.as_time(columns[5]),
        minted_by=columns[6],
        own_code_sent=bool(columns[7]),
    )


def pick(found: list[OpenCode], *, now: datetime, life: int) -> OpenCode | None:
    """Return the open code that a send carries, or None when a new one is due; `life` is that of a new one, in seconds.

    Of a code that lives no longer than that time the last half counts: else each resend would open one more.
    """
    fresh = FRESH_SECONDS if life > FRESH_SECONDS else life / 2
    if found and found[0].expires_at - now >= timedelta(seconds=fresh):
        return found[0]
    return None


def insert_code(
    phone: str,
    purpose: Purpose,
    scope: str,
    *,
    kind: str,
    key: CodeKey,
    now: datetime,
    seconds: int,
    operator: str = "",
    note: str = "",
) -> OpenCode:
    """Open a new code that lives for `seconds`."""
    code = OpenCode(
        id=uuid.uuid4().hex,
        nonce=codes.new_nonce(),
        key_id=key.key_id,
        kind=kind,
        created_at=now,
        expires_at=now + timedelta(seconds=seconds),
    )
    statements.run(
        "INSERT INTO accounts_code (id, phone, purpose, scope, kind, nonce, key_id, state, bare_attempts, created_at, "
        "expires_at, minted_by, own_code_sent, operator, note) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, 'open', 0, %s, %s, '', %s, %s, %s)",
        (
            code.id,
            phone,
            purpose.value,
            scope,
            kind,
            code.nonce,
            code.key_id,
            now,
            code.expires_at,
            True,
            operator,
            note,
        ),
    )
    return code


@dataclass(frozen=True, slots=True)
class NewChallenge:
    """What a challenge remembers of its asker."""

    phone: Phone
    purpose: Purpose
    scope: str
    bound: Bound | None
    who: Claimant
    channel: str
    language: str
    ip: str


def insert_challenge(code: OpenCode, new: NewChallenge, *, now: datetime) -> OwnChallenge:
    """Give an asker a challenge of their own on `code`."""
    own = uuid.uuid4().hex
    made = OwnChallenge(id=own, attempts=0, support_code=support_code(own), code_id=code.id)
    # A token that is forgotten at this moment is none; one that is held cannot be forgotten before this is committed.
    hold = " FOR KEY SHARE" if statements.is_postgres() else ""
    statements.run(
        "INSERT INTO accounts_challenge (id, code_id, phone, purpose, scope, account_id, session_id, device_id, "
        "device_token_id, status, attempts, vendor_retries, channel, language, support_code, ip, country, created_at) "
        f"VALUES (%s, %s, %s, %s, %s, %s, %s, %s, (SELECT id FROM accounts_devicetoken WHERE id = %s{hold}), "
        "'pending', 0, 0, %s, %s, %s, %s, %s, %s)",
        (
            made.id, code.id, new.phone.e164, new.purpose.value, new.scope,
            new.bound.user_id if new.bound else None, new.bound.session_id if new.bound else None,
            new.who.device_id, new.who.device_token_id or None, new.channel, new.language,
            made.support_code, new.ip, new.phone.region, now,
        ),
    )  # fmt: skip
    return made


def carry_over(own: OwnChallenge, code: OpenCode, *, channel: str) -> OwnChallenge | None:
    """Keep the asker's challenge for this send; on another code it moves there and starts its tries afresh.

    One that a receipt called undeliverable is pending again: its asker wants another try at the number. None where it
    was closed at this moment.
    """
    kept = statements.row(
        "UPDATE accounts_challenge SET attempts = CASE WHEN code_id = %s THEN attempts ELSE 0 END, code_id = %s, "
        "channel = %s, status = 'pending', closed_at = NULL WHERE id = %s AND status IN ('pending', 'undeliverable') "
        "RETURNING attempts",
        (code.id, code.id, channel, own.id),
    )
    return replace(own, code_id=code.id, attempts=kept[0]) if kept else None


def close(challenge_id: str, status: str, *, now: datetime, of_send: str = "") -> str | None:
    """Close an open challenge; its code dies with its last one. Return the code's id, or None if it was closed before.

    Another one that a receipt called undeliverable keeps the code alive: a message that arrives all the same still
    works. Where the send `of_send` came to nothing, the challenge stays open for another send of it that did not, and
    the code lives on while some gateway took it, or may have. The code is locked first, as everywhere: of two
    challenges that are closed at once the second sees the first closed.
    """
    statements.row(
        "SELECT k.id FROM accounts_code k JOIN accounts_challenge c ON c.code_id = k.id WHERE c.id = %s"
        + statements.for_update("k"),
        (challenge_id,),
    )
    closable = "status IN ('pending', 'undeliverable')" if status == "locked" else "status = 'pending'"
    found = statements.row(
        f"UPDATE accounts_challenge SET status = %s, closed_at = %s WHERE id = %s AND {closable} AND EXISTS "
        "(SELECT 1 FROM accounts_code k WHERE k.id = code_id AND k.expires_at > %s) AND (%s = '' OR NOT EXISTS "
        "(SELECT 1 FROM accounts_message m WHERE m.challenge_id = accounts_challenge.id AND m.send_id <> %s "
        "AND m.state <> 'failed')) RETURNING code_id",
        (status, now, challenge_id, now, of_send, of_send),
    )
    if found is None:
        return None
    sent = (
        "AND NOT EXISTS (SELECT 1 FROM accounts_message m WHERE m.code_id = accounts_code.id AND m.state <> 'failed')"
        if of_send
        else ""
    )
    statements.run(
        f"UPDATE accounts_code SET state = 'dead' WHERE id = %s AND {statements.unindexed_sql('state')} = 'open' "
        "AND NOT EXISTS (SELECT 1 FROM accounts_challenge WHERE code_id = %s AND id <> %s "
        f"AND status IN ('pending', 'undeliverable')) {sent}",
        (found[0], found[0], challenge_id),
    )
    return str(found[0])


def mark_minted(code: OpenCode, *, by: str, seconds: int, offset: timedelta) -> datetime:
    """Note that gateway `by` made a code of its own, which lives `seconds`; return when the code ends now."""
    ends = min(code.expires_at, statements.now() + offset + timedelta(seconds=seconds))
    statements.run(
        "UPDATE accounts_code SET minted_by = %s, expires_at = %s, own_code_sent = EXISTS (SELECT 1 FROM "
        "accounts_message m WHERE m.code_id = accounts_code.id AND m.provider <> %s AND m.state <> 'failed') "
        "WHERE id = %s",
        (by, ends, by, code.id),
    )
    return ends
