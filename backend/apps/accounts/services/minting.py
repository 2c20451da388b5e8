"""Codes that a vendor made itself: which codes a try is compared with, and about which one the vendor can be asked.

It must not know how tries are counted, nor a vendor.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from apps.accounts.services import challenges, statements
from apps.accounts.services.model import OpenCode
from apps.accounts.services.tries import Claim


def with_all_carried(claim: Claim, *, offset: timedelta) -> Claim:
    """Return a claim with every open code that messages of its challenge carried, its present one first.

    Each message may have carried another code, and each is good while the challenge is open (contract section 10). Of
    each code is read anew whether a gateway carried our own digits: a resend after the vendor's message may have.
    """
    places = ", ".join(["%s"] * len(claim.codes))
    found = statements.rows(
        "SELECT k.id, k.nonce, k.key_id, k.kind, k.created_at, k.expires_at, k.minted_by, k.minted_by = '' "
        "OR EXISTS (SELECT 1 FROM accounts_message o WHERE o.code_id = k.id AND o.provider <> k.minted_by "
        "AND (o.state <> 'failed' OR o.receipt_at IS NOT NULL)) FROM accounts_code k "
        "WHERE k.phone = %s AND k.purpose = %s AND k.scope = %s AND k.state = 'open' "
        f"AND k.expires_at > {statements.shifted_now_sql(offset)} AND (k.id IN ({places}) "
        "OR k.id IN (SELECT m.code_id FROM accounts_message m WHERE m.challenge_id = %s)) ORDER BY k.expires_at DESC",
        (claim.phone, claim.purpose.value, claim.scope, *(code.id for code in claim.codes), claim.challenge_id),
    )
    claimed = {code.id for code in claim.codes}
    carried = sorted((challenges.read_code(item) for item in found), key=lambda code: code.id not in claimed)
    return replace(claim, codes=tuple(carried) or claim.codes)


def known_to(vendor: str, claim: Claim) -> OpenCode | None:
    """Return the claimed code about which `vendor` can be asked, or None.

    It is asked by number alone and judges the last code that it made for the number: one for another purpose or
    session would prove that, and not this.
    """
    minted = [code for code in claim.codes if code.minted_by == vendor]
    if not minted:
        return None
    last = statements.row(
        "SELECT k.id, k.purpose, k.scope FROM accounts_challenge c JOIN accounts_message m ON m.challenge_id = c.id "
        "JOIN accounts_code k ON k.id = m.code_id WHERE c.phone = %s AND m.provider = %s AND m.state <> 'failed' "
        "ORDER BY m.created_at DESC LIMIT 1",
        (claim.phone, vendor),
    )
    if last is None or (last[1], last[2]) != (claim.purpose.value, claim.scope):
        return None
    return next((code for code in minted if code.id == last[0]), minted[0])


def lock(codes: Sequence[OpenCode]) -> None:
    """Lock several codes before one of them is used up and the others end, in the order in which tries lock them."""
    if statements.is_postgres():
        statements.rows(
            f"SELECT id FROM accounts_code WHERE id IN ({', '.join(['%s'] * len(codes))}) "
            f"ORDER BY expires_at DESC{statements.for_update()}",
            [code.id for code in codes],
        )


def end_others(claim: Claim, used: OpenCode) -> None:
    """End the claim's other codes unless another open challenge is on them; its own challenge is closed by now."""
    others = [code.id for code in claim.codes if code.id != used.id]
    statements.run(
        f"UPDATE accounts_code SET state = 'dead' WHERE id IN ({', '.join(['%s'] * len(others))}) "
        f"AND {statements.unindexed_sql('state')} = 'open' "
        "AND NOT EXISTS (SELECT 1 FROM accounts_challenge c WHERE c.code_id = accounts_code.id "
        "AND c.status IN ('pending', 'undeliverable'))",
        others,
    )


def close_carrier(phone: str, used: OpenCode, now: datetime) -> tuple[Any, ...] | None:
    """Mark the one challenge whose messages carried `used` as proven; return its channel, or None where several did.

    A call by phone alone does not name it, and it may be on another code by now.
    """
    carried = (
        "({0}.phone = %s AND ({0}.code_id = %s OR EXISTS "
        "(SELECT 1 FROM accounts_message m WHERE m.challenge_id = {0}.id AND m.code_id = %s)))"
    )
    subject = (phone, used.id, used.id)
    return statements.row(
        "UPDATE accounts_challenge SET status = 'verified', closed_at = %s "
        f"WHERE {carried.format('accounts_challenge')} AND status IN ('pending', 'undeliverable', 'locked') "
        "AND NOT EXISTS (SELECT 1 FROM accounts_challenge o WHERE o.id <> accounts_challenge.id "
        f"AND {carried.format('o')}) RETURNING channel",
        (now, *subject, *subject),
    )


def channel_of(challenge_id: str, code: OpenCode) -> str:
    """Return the channel by which the challenge's last message with this code went, or empty."""
    found = statements.row(
        "SELECT channel FROM accounts_message WHERE challenge_id = %s AND code_id = %s "
        "ORDER BY created_at DESC LIMIT 1",
        (challenge_id, code.id),
    )
    return str(found[0]) if found else ""
