"""Device tokens: proof that this device has logged in to this account before, the key to the trusted lane.

It must not know sessions' tokens or HTTP. Opaque, bound to account, number and device; rows hold only hashes. A login
that shows one gets a new one, and the shown one stays good until the new one is used: answers get lost.
"""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from apps.accounts.services import statements
from apps.accounts.services.session_types import DeviceFacts, Person

_SHAPE: Final = re.compile(r"dt_[A-Za-z0-9_-]{43}\Z")
_LONGEST: Final = 256


@dataclass(frozen=True, slots=True)
class DeviceTokenRow:
    """A device token that was found: whose it is and which login it came from."""

    id: str
    user_id: int
    device_id: str
    session_id: str | None
    created_at: datetime
    is_previous: bool  # its successor was made and not used yet


def find(raw: str, *, phone: str, device_id: str = "") -> DeviceTokenRow | None:
    """Return the device token that `raw` is, if it is good for `phone` (E.164).

    A caller that names itself as another device than the token was given to has copied it; one that names none passes.

    One statement, the same for every unknown token. The first time that a new token is seen a second one ends its
    predecessor.
    """
    digest = _digest(raw)
    row = statements.row(
        "SELECT d.id, d.user_id, d.device_id, d.session_id, d.created_at, d.secret_hash, d.previous_hash"
        " FROM accounts_devicetoken d JOIN accounts_user u ON u.id = d.user_id"
        " WHERE (d.secret_hash = %s OR d.previous_hash = %s) AND d.revoked_at IS NULL AND d.phone = %s"
        " AND u.phone_number = d.phone AND u.is_active AND u.deleted_at IS NULL",
        [digest, digest, phone],
    )
    if row is None or (device_id and row[2] and row[2] != device_id):
        return None
    is_previous = row[5] != digest  # safe: the row was found by this very hash
    if not is_previous and row[6]:
        statements.run(
            "UPDATE accounts_devicetoken SET previous_hash = '' WHERE id = %s AND secret_hash = %s", [row[0], digest]
        )
    return DeviceTokenRow(row[0], row[1], row[2], row[3], statements.as_time(row[4]), is_previous)


def draw() -> str:
    """Return a device token that nobody has yet."""
    return "dt_" + secrets.token_urlsafe(32)


def issue(person: Person, *, shown: str, device: DeviceFacts, session_id: str, now: datetime) -> str:
    """Return the device token of a login, in the caller's transaction: the shown one's successor, else a first one.

    The shown one counts only if it is this person's, for this number and device.
    """
    raw = draw()
    digest, phone, device_id = _digest(raw), person.phone_number or "", device.device_id[:128]
    if shown:
        former = _digest(shown)
        if statements.run(
            "UPDATE accounts_devicetoken SET secret_hash = %s, previous_hash = %s, session_id = %s, last_used_at = %s"
            " WHERE (secret_hash = %s OR previous_hash = %s) AND user_id = %s AND phone = %s AND device_id = %s"
            " AND revoked_at IS NULL",
            [digest, former, session_id, now, former, former, person.id, phone, device_id],
        ):
            return raw
    statements.run(
        "INSERT INTO accounts_devicetoken (id, user_id, phone, device_id, secret_hash, previous_hash, session_id,"
        " created_at, last_used_at) VALUES (%s, %s, %s, %s, %s, '', %s, %s, %s)",
        [secrets.token_hex(16), person.id, phone, device_id, digest, session_id, now, now],
    )
    return raw


def revoke_all(user_id: int, *, except_session: str = "") -> int:
    """End every device token of an account but that of `except_session`; return how many."""
    return statements.run(
        f"UPDATE accounts_devicetoken SET revoked_at = {statements.now_sql()}"
        " WHERE user_id = %s AND revoked_at IS NULL AND (session_id IS NULL OR session_id <> %s)",
        [user_id, except_session],
    )


def revoke_of_session(session_id: str) -> int:
    """End the device token that a session's login got; return how many."""
    return statements.run(
        f"UPDATE accounts_devicetoken SET revoked_at = {statements.now_sql()}"
        " WHERE session_id = %s AND revoked_at IS NULL",
        [session_id],
    )


def revoke_of_other_numbers(user_id: int, *, keep: str) -> int:
    """End an account's device tokens for every number but `keep` (E.164); return how many."""
    return statements.run(
        f"UPDATE accounts_devicetoken SET revoked_at = {statements.now_sql()}"
        " WHERE user_id = %s AND phone <> %s AND revoked_at IS NULL",
        [user_id, keep],
    )


def find_parked(raw: str, *, device_id: str) -> tuple[int, str] | None:
    """Return the parked account that knows this device, and its former number; its token is good for nothing else."""
    digest = _digest(raw)
    return statements.row(
        "SELECT u.id, u.parked_phone FROM accounts_devicetoken d JOIN accounts_user u ON u.id = d.user_id"
        " WHERE (d.secret_hash = %s OR d.previous_hash = %s) AND d.device_id = %s AND d.revoked_at IS NULL"
        " AND d.phone = u.parked_phone AND u.phone_number IS NULL AND u.parked_at IS NOT NULL"
        " AND u.deleted_at IS NULL AND u.is_active",
        [digest, digest, device_id],
    )


def well_formed(raw: str) -> bool:
    """Say whether a text looks like a device token."""
    return bool(_SHAPE.match(raw))


def hash_of(raw: str) -> str:
    """Return what a row holds of a device token."""
    return _digest(raw)


def _digest(raw: str) -> str:
    return sha256(raw[:_LONGEST].encode("utf-8", "surrogatepass")).hexdigest()


def id_of(shown: str, *, phone: str, device_id: str) -> str:
    """Return the id of the device token that a caller shows for this number, or empty."""
    found = find(shown, phone=phone, device_id=device_id) if shown else None
    return found.id if found else ""
