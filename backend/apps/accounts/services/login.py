"""What a proven login code is good for: an account, a session, or one of the reasons why not.

Everything here runs in the transaction that uses the code up. It must not know HTTP or how the code was proven.
"""

import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from apps.accounts import telemetry
from apps.accounts.config import Config
from apps.accounts.errors import AccountDisabled, AccountsError, UserNotFound
from apps.accounts.phones import mask
from apps.accounts.services import audit, device_tokens, statements, tries
from apps.accounts.services.model import Asker
from apps.accounts.services.proof import Proven
from apps.accounts.services.session_types import DeviceFacts, Opened, Person
from apps.accounts.services.sessions import Sessions

_USER: Final = (
    "id, username, phone_number, role, phone_verified, subject, is_test, is_active, last_seen_at, deleted_at, "
    "EXISTS (SELECT 1 FROM accounts_recycledclaim c WHERE c.user_id = accounts_user.id "
    "AND c.state IN ('waiting', 'granted', 'objected'))"
)
_NAME_TRIES: Final = 5

Keep = Callable[[int, Any], None]


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A login that succeeded."""

    opened: Opened
    person: Person
    is_new_user: bool

    def as_json(self) -> dict[str, Any]:
        """Return the answer of contract section 2."""
        return {
            "message": "Authentication successful",
            "access": self.opened.access,
            "refresh": self.opened.refresh,
            "access_expires_in": self.opened.access_expires_in,
            "refresh_expires_in": self.opened.refresh_expires_in,
            "session_id": self.opened.session_id,
            "device_token": self.opened.device_token,
            "is_new_user": self.is_new_user,
            "user": person_json(self.person),
        }


@dataclass(frozen=True, slots=True)
class ChoiceRequired:
    """The number was silent so long that somebody else may own it now: the caller must say which."""

    ticket: str
    expires_in: int

    def as_json(self) -> dict[str, Any]:
        """Return the answer of contract section 3, "Recycled numbers"."""
        return {"account_choice_required": True, "ticket": self.ticket, "expires_in": self.expires_in}


def person_json(person: Person) -> dict[str, Any]:
    """Return the `user` object of the contract."""
    return {
        "id": person.id,
        "username": person.username,
        "phone_number": person.phone_number,
        "role": person.role,
        "phone_verified": person.phone_verified,
    }


@dataclass(frozen=True, slots=True)
class _Account:
    person: Person
    is_active: bool
    last_seen_at: datetime | None
    is_new: bool
    is_claimed: bool = False  # somebody proved its number after long silence and said that it is theirs


class Gate(Protocol):
    """Says when a login must choose first, because its number may have changed hands (contract section 3)."""

    def parked(self, proven: Proven, asker: Asker) -> ChoiceRequired | None:
        """Offer a parked account to a device that it knows."""

    def judge(self, person: Person, proven: Proven, asker: Asker, *, dormant: bool) -> ChoiceRequired | None:
        """Offer the choice unless a claim has opened the account."""

    def settle(self, user_id: int, *, now: datetime) -> None:
        """End all claims on an account that is being opened."""


class Login:
    """Turns a proven code into a session. One per process; thread-safe."""

    def __init__(
        self,
        *,
        config: Config,
        sessions: Sessions,
        gate: Gate,
    ) -> None:
        self._config = config
        self._sessions = sessions
        self._gate = gate

    def finish(
        self, proven: Proven, asker: Asker, *, keep: Keep, keep_error: Callable[[AccountsError], None]
    ) -> LoggedIn | ChoiceRequired | AccountsError:
        """Open a session for the number's account; return an error where the code is used up but no session is due."""
        result = self._gate.parked(proven, asker) or self.enter(proven, asker)
        if isinstance(result, AccountsError):
            keep_error(result)
        else:
            keep(200, result.as_json())
        return result

    def enter(self, proven: Proven, asker: Asker) -> LoggedIn | ChoiceRequired | AccountsError:
        """Open a session for the account that the number has now, or a first account, in the caller's transaction."""
        account = self._account(proven)
        if isinstance(account, AccountsError):
            return account
        if not account.is_active:
            audit.record(
                "login.refused", actor="account", subject=account.person.subject, note="disabled", now=proven.now
            )
            return AccountDisabled()
        return self._choice(account, proven, asker) or self._open(account, proven, asker)

    def _choice(self, account: _Account, proven: Proven, asker: Asker) -> ChoiceRequired | None:
        dormant = self._dormant(account, proven)
        if not dormant and not account.is_claimed:
            return None
        if not self._knows_device(account.person, asker):
            choice = self._gate.judge(account.person, proven, asker, dormant=dormant)
            if choice is not None:
                return choice
        self._gate.settle(account.person.id, now=proven.now)
        return None

    def _open(self, account: _Account, proven: Proven, asker: Asker) -> LoggedIn:
        manual = proven.code.kind == "readout"
        test = proven.code.kind == "test"
        if not account.is_new:
            statements.run(
                "UPDATE accounts_user SET last_seen_at = %s, phone_verified = %s WHERE id = %s",
                (proven.now, True, account.person.id),
            )
        opened = self._sessions.open(
            account.person,
            device=DeviceFacts(
                device_id=asker.device_id, device_name=asker.device_name, ip=asker.ip, user_agent=asker.user_agent
            ),
            now=proven.now,
            amr=("manual",) if manual else ("otp", proven.channel),
            test=test,
            note=_note_of(proven.code.id) if manual else "",
            device_token=asker.device_token,
        )
        tries.clear_after_login(proven.claim)
        audit.record(
            "login.succeeded", actor="account", subject=account.person.subject, now=proven.now,
            detail={"session": opened.session_id[:8], "new": account.is_new, "manual": manual, "test": test},
        )  # fmt: skip
        return LoggedIn(opened=opened, person=account.person, is_new_user=account.is_new)

    def _account(self, proven: Proven) -> _Account | AccountsError:
        found = _find(proven.phone)
        if found is not None:
            return found
        if not self._config.allow_signup:
            return UserNotFound()
        for attempt in range(_NAME_TRIES):
            made = self._create(proven, suffix=attempt > 0)
            if made is not None:
                telemetry.happened("account_opened", phone=mask(proven.phone))
                return made
            found = _find(proven.phone)  # somebody else's first login of this number won
            if found is not None:
                return found
        raise RuntimeError("no free username")

    def _create(self, proven: Proven, *, suffix: bool) -> _Account | None:
        name = f"user_{proven.phone[1:]}"
        if suffix:
            name += "_" + "".join(secrets.choice(string.ascii_lowercase) for _ in range(4))
        test = proven.code.kind == "test"
        person = Person(
            id=0, username=name, phone_number=proven.phone, role=self._config["ACCOUNT_DEFAULT_ROLE"],
            phone_verified=True, subject=secrets.token_hex(16), is_test=test,
        )  # fmt: skip
        row = statements.row(
            "INSERT INTO accounts_user (password, is_superuser, username, phone_number, subject, role, phone_verified, "
            "is_active, is_staff, is_test, created_at, last_seen_at, parked_phone) "
            "VALUES ('!', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, '') ON CONFLICT DO NOTHING RETURNING id",
            (False, name, proven.phone, person.subject, person.role, True, True, False, test, proven.now, proven.now),
        )
        if row is None:
            return None
        return _Account(
            person=Person(
                id=row[0], username=name, phone_number=proven.phone, role=person.role, phone_verified=True,
                subject=person.subject, is_test=test,
            ),
            is_active=True, last_seen_at=proven.now, is_new=True,
        )  # fmt: skip

    def _dormant(self, account: _Account, proven: Proven) -> bool:
        if account.is_new or account.last_seen_at is None or proven.code.kind == "test":
            return False
        return proven.now - account.last_seen_at > timedelta(days=self._config["ACCOUNT_DORMANT_DAYS"])

    @staticmethod
    def _knows_device(person: Person, asker: Asker) -> bool:
        if not asker.device_token or person.phone_number is None:
            return False
        found = device_tokens.find(asker.device_token, phone=person.phone_number, device_id=asker.device_id)
        return found is not None and found.user_id == person.id


def _note_of(code_id: str) -> str:
    """Return the reason that support gave when it made this code."""
    found = statements.row("SELECT note FROM accounts_code WHERE id = %s", (code_id,))
    return str(found[0]) if found else ""


def _find(phone: str) -> _Account | None:
    row = statements.row(
        f"SELECT {_USER} FROM accounts_user WHERE phone_number = %s{statements.for_update()}", (phone,)
    )
    if row is None:
        return None
    return _Account(
        person=Person(
            id=row[0], username=row[1], phone_number=row[2], role=row[3], phone_verified=True, subject=row[5],
            is_test=bool(row[6]),
        ),
        is_active=bool(row[7]) and row[9] is None,
        last_seen_at=statements.as_time_or_none(row[8]),
        is_new=False,
        is_claimed=bool(row[10]),
    )  # fmt: skip
