"""Wrong codes, counted before they are judged: a try is claimed and committed, then compared.

Each lane counts for itself (contract section 2, "Limits on wrong codes"). It must not know digits, HTTP or the cache.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from apps.accounts.errors import InvalidCode, NotFound
from apps.accounts.services import challenges, early, lanes, statements
from apps.accounts.services.lanes import TryRules
from apps.accounts.services.model import OpenCode, Purpose

READ_OUT_TRIES: Final = 50


@dataclass(frozen=True, slots=True)
class Claim:
    """A try that was counted and committed: these codes may be compared with what was typed."""

    phone: str
    purpose: Purpose
    scope: str
    lane: str
    stamp: int  # epoch milliseconds: the failure it counts as until it is proven right
    codes: tuple[OpenCode, ...]
    challenge_id: str  # empty for a call by phone alone
    attempts: int
    expires_at: datetime
    account_id: int | None = None

    @property
    def moved(self) -> bool:
        """Say whether several codes are open that messages of one challenge carried.

        By phone alone: a vendor's code is among them. Where all are ours, the earlier one lives to its end.
        """
        return len(self.codes) > 1 and (bool(self.challenge_id) or any(code.minted_by for code in self.codes))


def claim_on_challenge(challenge_id: str, *, device_lane: str, rules: TryRules, offset: timedelta) -> Claim:
    """Count a try of the asker's own challenge.

    Raises:
        InvalidCode: no such challenge, or it is closed or expired.
        TooManyAttempts: the challenge is used up, or its lane of the phone is spent, waiting or shut.
    """
    lane = device_lane or "challenge"
    early.refuse_on_challenge(challenge_id, lane, rules=rules, offset=offset)
    with statements.durable():
        counted = lanes.lock_of(challenge_id, lane)
        found = statements.row(
            "SELECT c.phone, c.purpose, c.scope, c.account_id, c.status, c.attempts, k.state, k.id, k.nonce, k.key_id, "
            "k.kind, k.created_at, k.expires_at, k.minted_by, k.own_code_sent FROM accounts_challenge c "
            f"JOIN accounts_code k ON k.id = c.code_id WHERE c.id = %s{statements.for_update('c')}",
            (challenge_id,),
        )
        if counted is None or found is None:
            raise InvalidCode()
        phone, purpose, scope, account_id, status, attempts, code_state = found[:7]
        code = challenges.read_code(found[7:15])
        now = counted.now + offset
        left = code.expires_at - now if code_state == "open" else timedelta()
        early.require_tries_of(status, attempts, left=left, rest=code.expires_at - now, rules=rules)
        stamp = lanes.count(counted, now=now, rules=rules, excused=attempts < lanes.EXCUSED_TRIES)
        statements.run("UPDATE accounts_challenge SET attempts = attempts + 1 WHERE id = %s", (challenge_id,))
    return Claim(
        phone=phone, purpose=Purpose(purpose), scope=scope, lane=lane, stamp=stamp, codes=(code,),
        challenge_id=challenge_id, attempts=attempts + 1, expires_at=code.expires_at, account_id=account_id,
    )  # fmt: skip


def claim_on_phone(
    phone: str, purpose: Purpose, *, kind: str, device_lane: str, rules: TryRules, offset: timedelta
) -> Claim:
    """Count a try that names only the phone; with or without an open code it counts in the phone's lane.

    Raises:
        InvalidCode: nothing is open (the failure was counted).
        TooManyAttempts: the codes' tries by phone alone, or the lane, are used up.
    """
    lane = device_lane or "phone"
    early.refuse_on_phone(phone, purpose, lane, kind=kind, rules=rules, offset=offset)
    with statements.durable():
        counted = lanes.lock(phone, lane)
        now = counted.now + offset
        found = statements.rows(
            "SELECT bare_attempts, id, nonce, key_id, kind, created_at, expires_at, minted_by, own_code_sent "
            "FROM accounts_code WHERE phone = %s AND purpose = %s AND scope = '' AND state = 'open' AND kind = %s "
            f"AND expires_at > %s ORDER BY expires_at DESC{statements.for_update()}",
            (phone, purpose.value, kind, now),
        )
        open_now = tuple(challenges.read_code(item[1:9]) for item in found)
        if found and not device_lane:
            if all(item[0] >= rules.per_challenge for item in found):
                raise early.used_up("phone", max(code.expires_at for code in open_now) - now)
            # Two codes may be open beside each other: a try is one try of each that has one left.
            open_now = tuple(code for code, item in zip(open_now, found, strict=True) if item[0] < rules.per_challenge)
        stamp = lanes.count(counted, now=now, rules=rules, excused=False)
        for code in open_now:
            statements.run("UPDATE accounts_code SET bare_attempts = bare_attempts + 1 WHERE id = %s", (code.id,))
    return Claim(
        phone=phone, purpose=purpose, scope="", lane=lane, stamp=stamp, codes=open_now, challenge_id="", attempts=0,
        expires_at=max((code.expires_at for code in open_now), default=now),
    )  # fmt: skip


def claim_read_out(phone: str, *, offset: timedelta) -> Claim | None:
    """Count a try of the phone's open read-out code, or return None where there is none or its tries are used up."""
    found = statements.row(
        "UPDATE accounts_code SET bare_attempts = bare_attempts + 1 WHERE phone = %s AND purpose = 'login' "
        f"AND kind = 'readout' AND state = 'open' AND expires_at > {statements.shifted_now_sql(offset)} "
        "AND bare_attempts < %s "
        "RETURNING id, nonce, key_id, kind, created_at, expires_at, minted_by, own_code_sent",
        (phone, READ_OUT_TRIES),
    )
    if found is None:
        return None
    code = challenges.read_code(found)
    return Claim(
        phone=phone, purpose=Purpose.LOGIN, scope="", lane="readout", stamp=0, codes=(code,), challenge_id="",
        attempts=0, expires_at=code.expires_at,
    )  # fmt: skip


def lock_if_used_up(claim: Claim, *, rules: TryRules, offset: timedelta) -> bool:
    """After a wrong code: lock the challenge when that was its last try. Say whether it is locked now."""
    if not claim.challenge_id or claim.attempts < rules.per_challenge:
        return False
    with statements.durable():
        challenges.close(claim.challenge_id, "locked", now=statements.now() + offset)
    return True


def give_back(claim: Claim, *, at_most: int) -> bool:
    """Undo a claimed try that could not be judged: the vendor that knows the code was out of reach.

    At most so often per challenge, and per code for calls by phone alone: our own code may have been compared. Say
    whether it was undone.
    """
    with statements.durable():
        lanes.lock(claim.phone, claim.lane)
        given = _give_back_to_challenge(claim, at_most) if claim.challenge_id else _give_back_to_codes(claim, at_most)
        if given:
            forget_failure(claim)
    return given


def _give_back_to_challenge(claim: Claim, at_most: int) -> bool:
    # A resend may have moved it to another code meanwhile, where its tries start afresh.
    undone = statements.run(
        "UPDATE accounts_challenge SET attempts = CASE WHEN attempts > 0 THEN attempts - 1 ELSE 0 END, "
        "vendor_retries = vendor_retries + 1 WHERE id = %s AND vendor_retries < %s",
        (claim.challenge_id, at_most),
    )
    return undone > 0


def _give_back_to_codes(claim: Claim, at_most: int) -> bool:
    """Give the try back to all of its codes, or to none where one of them had enough."""
    ids = [code.id for code in claim.codes]
    places = ", ".join(["%s"] * len(ids))
    found = statements.rows(
        f"SELECT vendor_retries FROM accounts_code WHERE id IN ({places}) "
        f"ORDER BY expires_at DESC{statements.for_update()}",
        ids,
    )
    if any(retries >= at_most for (retries,) in found):
        return False
    statements.run(
        "UPDATE accounts_code SET bare_attempts = bare_attempts - 1, vendor_retries = vendor_retries + 1 "
        f"WHERE id IN ({places})",
        ids,
    )
    return True


def forget_failure(claim: Claim) -> None:
    """Remove the one stamp that a claim left in its lane: the code was right. Runs in the caller's transaction."""
    if claim.stamp:
        forget_stamp(claim.phone, claim.lane, claim.stamp)


def forget_stamp(phone: str, lane: str, stamp: int) -> None:
    """Remove one failure from a lane, in the caller's transaction."""
    counted = lanes.lock(phone, lane)
    if stamp in counted.stamps:
        counted.stamps.remove(stamp)
        statements.run(
            "UPDATE accounts_failurelane SET stamps = %s, since_login = since_login - 1 WHERE id = %s",
            (json.dumps(counted.stamps), counted.id),
        )


def lock_lanes(phone: str) -> None:
    """Lock every lane of a phone: who is going to clear them does so before locking a code or an account."""
    if statements.is_postgres():
        statements.rows(
            f"SELECT id FROM accounts_failurelane WHERE phone = %s ORDER BY id{statements.for_update()}", (phone,)
        )


def clear_after_login(claim: Claim) -> None:
    """After a login: empty its lane and reopen every lane of the phone. Runs in the caller's transaction."""
    statements.run(
        "UPDATE accounts_failurelane SET since_login = 0, stamps = CASE WHEN lane = %s THEN '[]' ELSE stamps END "
        "WHERE phone = %s",
        (claim.lane, claim.phone),
    )


def find_own_challenge(phone: str, *, device_id: str, device_token_id: str, offset: timedelta) -> tuple[str, bool]:
    """Return the newest login challenge that this device asked for and that still matters, or an empty id.

    A locked one matters until its code's life is over, also where it was the code's last. With it: whether a read-out
    code is open for the number, as that is compared first.
    """
    if not device_id and not device_token_id:
        return "", False
    found = statements.row(
        "SELECT c.id, EXISTS (SELECT 1 FROM accounts_code r WHERE r.phone = c.phone AND r.purpose = 'login' "
        "AND r.scope = '' AND r.state = 'open' AND r.kind = 'readout') "
        "FROM accounts_challenge c JOIN accounts_code k ON k.id = c.code_id WHERE c.phone = %s "
        f"AND c.purpose = 'login' AND k.expires_at > {statements.shifted_now_sql(offset)} "
        "AND (c.status = 'locked' OR (k.state = 'open' AND c.status IN ('pending', 'undeliverable'))) "
        "AND ((c.device_id = %s AND c.device_id <> '') OR c.device_token_id = %s) ORDER BY c.created_at DESC",
        (phone, device_id, device_token_id or None),
    )
    return (str(found[0]), bool(found[1])) if found else ("", False)


def cancel(challenge_id: str, *, offset: timedelta) -> None:
    """Cancel an open challenge; a closed one keeps its status.

    Raises:
        NotFound: no such challenge.
    """
    with statements.durable():
        now = statements.now() + offset
        if challenges.close(challenge_id, "canceled", now=now) is not None:
            return
        known: Any = statements.row("SELECT 1 FROM accounts_challenge WHERE id = %s", (challenge_id,))
    if known is None:
        raise NotFound()
