"""Whose number is it: a number comes to an account and leaves it, and its name goes with it.

Each function runs in its caller's transaction. It must not know why a number moves, or HTTP.
"""

import re
import secrets
import string
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import IntegrityError, transaction

from apps.accounts.services import statements
from apps.accounts.services.session_types import Person

_HOLDER: Final = (
    "id, username, phone_number, role, phone_verified, subject, is_test, is_active, deleted_at, parked_at, parked_phone"
)
_FROM_NUMBER: Final = re.compile(r"user_[0-9]+(_[a-z]{4})?\Z")
_NAME_TRIES: Final = 5


@dataclass(frozen=True, slots=True, repr=False)
class Holder:
    """An account, locked until the transaction ends."""

    person: Person
    is_active: bool
    is_deleted: bool
    is_parked: bool
    former_phone: str  # the number it had when it was parked or deleted

    @property
    def is_open(self) -> bool:
        """Say whether its owner may use it."""
        return self.is_active and not self.is_deleted and not self.is_parked


def lock(user_id: int) -> Holder | None:
    """Lock an account and return it as it is now."""
    return _lock("id", user_id)


def lock_by_phone(phone: str) -> Holder | None:
    """Lock the account that holds `phone` (E.164), if one does."""
    return _lock("phone_number", phone)


def _lock(column: str, value: int | str) -> Holder | None:
    row = statements.row(f"SELECT {_HOLDER} FROM accounts_user WHERE {column} = %s{statements.for_update()}", (value,))
    if row is None:
        return None
    return Holder(
        person=Person(row[0], row[1], row[2], row[3], bool(row[4]), row[5], bool(row[6])),
        is_active=bool(row[7]),
        is_deleted=row[8] is not None,
        is_parked=row[9] is not None,
        former_phone=row[10],
    )


def take(holder: Holder, phone: str, *, now: datetime, is_test: bool = False) -> Person | None:
    """Give a proven number to a locked account, whatever it had before; return it as it is now.

    None says that another account holds the number: of two that take one at the same time, one wins.
    """
    person = holder.person
    for attempt in range(_NAME_TRIES):
        name = _name_of(phone, with_letters=attempt > 0) if _is_ours(person.username) else person.username
        moved = Person(person.id, name, phone, person.role, True, person.subject, is_test)
        taken = _write(moved, now=now)
        if taken != "name":
            return None if taken else moved
    raise RuntimeError("no free username")


def _write(moved: Person, *, now: datetime) -> str:
    """Write an account's name and number; return which of them another account has, or empty.

    In this order, in which a first login's one INSERT takes them too: in the other, the two would wait for each other.
    """
    step = "name"
    try:
        with transaction.atomic():  # safe: a savepoint: the caller's transaction is the durable one
            statements.run("UPDATE accounts_user SET username = %s WHERE id = %s", (moved.username, moved.id))
            step = "number"
            statements.run(
                "UPDATE accounts_user SET phone_number = %s, phone_verified = %s, is_test = %s, last_seen_at = %s, "
                "parked_at = NULL, parked_phone = '' WHERE id = %s",
                (moved.phone_number, True, moved.is_test, now, moved.id),
            )
    except IntegrityError:
        return step
    return ""


def park(holder: Holder, *, now: datetime) -> None:
    """Take the number from a locked account and set the account aside with all it has."""
    _leave(holder, "parked_at", now)


def delete(holder: Holder, *, now: datetime) -> None:
    """Take the number from a locked account and put the account out of use; its data waits for erasure."""
    _leave(holder, "deleted_at", now)


def _leave(holder: Holder, column: str, now: datetime) -> None:
    person = holder.person
    name = former_name() if _is_ours(person.username) else person.username
    statements.run(
        f"UPDATE accounts_user SET phone_number = NULL, parked_phone = %s, username = %s, {column} = %s WHERE id = %s",
        (person.phone_number or holder.former_phone, name, now, person.id),
    )


def former_name() -> str:
    """Return a name that says nothing of a number."""
    return f"former_{secrets.token_hex(8)}"


def _is_ours(username: str) -> bool:
    """Say whether the name was made by this service; staff choose their own."""
    return bool(_FROM_NUMBER.match(username)) or username.startswith("former_")


def _name_of(phone: str, *, with_letters: bool) -> str:
    """Return the name that goes with a number; it may be taken by a name that somebody chose."""
    letters = "_" + "".join(secrets.choice(string.ascii_lowercase) for _ in range(4))
    return f"user_{phone[1:]}{letters if with_letters else ''}"
