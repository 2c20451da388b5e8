"""The values that go in and out of sessions and tokens, and the events that sessions report.

It must not know a database, a key or HTTP.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

ACCESS_SECONDS: Final = 600
STEP_UP_SECONDS: Final = 300
SESSION_SECONDS: Final = 30 * 86_400
IDLE_SECONDS: Final = 14 * 86_400


class Event(StrEnum):
    """What sessions and keys report to the audit log: the whole list."""

    REFRESH_REUSED = "session.refresh_reused"
    LOGGED_OUT = "session.logged_out"
    REVOKED = "session.revoked"
    OTHERS_REVOKED = "session.others_revoked"
    ALL_REVOKED = "session.all_revoked"
    KEY_CREATED = "key.created"
    KEY_ROTATED = "key.rotated"


class Ended(StrEnum):
    """Why a session was ended; callers may give another reason of at most 32 characters."""

    LOGOUT = "logout"
    LOGOUT_ALL = "logout_all"
    REVOKED = "revoked"
    OTHERS_REVOKED = "others_revoked"
    REFRESH_REUSED = "refresh_reused"
    ACCOUNT_DISABLED = "account_disabled"
    ACCOUNT_DELETED = "account_deleted"
    NUMBER_MOVED = "number_moved"
    OPERATOR = "operator"


class Events(Protocol):
    """Where security events go. Both are called inside the transaction of the act."""

    def audit(
        self, event: str, *, actor: str, subject: str, note: str = "", detail: dict[str, Any] | None = None
    ) -> None:
        """Write one audit record about the account `subject` (opaque)."""

    def notice(self, kind: str, *, user_id: int, detail: dict[str, Any] | None = None) -> None:
        """Have the account's owner told about `kind`."""


class SilentEvents:
    """Events that nobody listens to."""

    def audit(
        self, event: str, *, actor: str, subject: str, note: str = "", detail: dict[str, Any] | None = None
    ) -> None:
        """Drop the record."""

    def notice(self, kind: str, *, user_id: int, detail: dict[str, Any] | None = None) -> None:
        """Drop the notice."""


@dataclass(frozen=True, slots=True)
class Person:
    """What tokens and answers need of an account. `subject` is the opaque `sub`."""

    id: int
    username: str = field(repr=False)  # it holds the number's digits
    phone_number: str | None = field(repr=False)
    role: str
    phone_verified: bool
    subject: str
    is_test: bool


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What a login says about the device it comes from; empty where unknown."""

    device_id: str
    device_name: str
    ip: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A new session and everything its client gets; lives in seconds."""

    session_id: str
    access: str = field(repr=False)
    refresh: str = field(repr=False)
    access_expires_in: int
    refresh_expires_in: int
    device_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The answer to a refresh; lives in seconds."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    access_expires_in: int
    refresh_expires_in: int

    def body(self) -> dict[str, Any]:
        """Return the members of the answer (contract section 4)."""
        return {
            "access": self.access,
            "refresh": self.refresh,
            "access_expires_in": self.access_expires_in,
            "refresh_expires_in": self.refresh_expires_in,
        }


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, proven by an access token whose session lives."""

    session_id: str
    user_id: int
    subject: str
    step_up: bool
    auth_time: datetime
    person: Person
    is_active: bool
    amr: tuple[str, ...]
    is_test: bool  # the session's, not the account's
    generation: int  # of the access token that was shown
    device_id: str
    session_expires_at: datetime


@dataclass(frozen=True, slots=True)
class SessionView:
    """One line of a person's list of sessions."""

    id: str
    device_name: str
    ip: str
    user_agent: str
    created_at: datetime
    last_used_at: datetime
    current: bool
