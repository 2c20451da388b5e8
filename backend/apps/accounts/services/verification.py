"""Proving a number from within an account: its own once more, a new one, or the person before something weighty.

A challenge here belongs to one account and one session of it, not to a number: whoever else knows the code, the number
or the challenge's id gets nowhere with it. It must not know HTTP or how a code travels.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from apps.accounts import phones
from apps.accounts.clock import Clock
from apps.accounts.errors import (
    AccountsError,
    InvalidCode,
    InvalidRequest,
    PhoneInUse,
    SessionRevoked,
    StepUpRequired,
)
from apps.accounts.messages import NoticeKind
from apps.accounts.phones import Phone, mask
from apps.accounts.services import audit, device_tokens, numbers, recycled, session_rows, statements, tries
from apps.accounts.services.login import Keep, person_json
from apps.accounts.services.model import Ask, Asker, Bound, Purpose, Sent
from apps.accounts.services.notices import Notices
from apps.accounts.services.numbers import Holder
from apps.accounts.services.otp import OtpService
from apps.accounts.services.proof import Proven
from apps.accounts.services.session_types import Person, Principal
from apps.accounts.services.sessions import Sessions

_MESSAGES: Final = {
    Purpose.VERIFY_PHONE: "Phone number verified",
    Purpose.CHANGE_PHONE: "Phone number changed",
    Purpose.STEP_UP: "Identity confirmed",
}


class Done(Protocol):
    """What a proven code came to."""

    def as_json(self) -> dict[str, Any]:
        """Return the answer of contract section 3."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A number was proven for the account: `person` is the account as it is now."""

    message: str
    person: Person

    def as_json(self) -> dict[str, Any]:
        """Return the answer of contract section 3."""
        return {"message": self.message, "user": person_json(self.person)}


@dataclass(frozen=True, slots=True, repr=False)
class SteppedUp:
    """The person was proven a moment ago: a token for payment, deletion and phone change. Life in seconds."""

    message: str
    access: str
    expires_in: int

    def as_json(self) -> dict[str, Any]:
        """Return the answer of contract section 3."""
        return {"message": self.message, "access": self.access, "access_expires_in": self.expires_in}


KeepError = Callable[[AccountsError], None]


@dataclass(frozen=True, slots=True)
class _Own:
    """The session's own challenge that a call means."""

    id: str
    phone: str
    purpose: Purpose


class Verification:
    """Request, resend and verify for a logged-in person. One per process; thread-safe."""

    def __init__(self, *, otp: OtpService, sessions: Sessions, notices: Notices, clock: Clock) -> None:
        self._otp = otp
        self._sessions = sessions
        self._notices = notices
        self._clock = clock

    # -- codes that go out

    def request(
        self, principal: Principal, asker: Asker, *, purpose: Purpose, number: str = "", channel: str = ""
    ) -> Sent:
        """Send a code for `purpose`: to the account's own number, or for a change to the new one, `number`.

        Raises:
            StepUpRequired: a change without a step-up token.
            InvalidRequest: there is no number to send to.
            AccountsError: as for a login's code.
        """
        if purpose is Purpose.CHANGE_PHONE:
            if not principal.step_up:
                raise StepUpRequired
            if not number:
                raise InvalidRequest(fields={"phone_number": ["required"]})
            phone = self._otp.parse_phone(number)
        else:
            phone = self._own_number(principal)
        ask = self._ask(principal, asker, purpose, channel)
        own = self._find(principal, purpose=purpose, phone=phone.e164, only_open=True)
        return self._otp.request(phone, replace(ask, challenge_id=own.id if own else ""))

    def resend(
        self, principal: Principal, asker: Asker, *, purpose: Purpose | None, challenge_id: str, channel: str = ""
    ) -> Sent:
        """Send this session's open code again: of the challenge that is named, else the newest of the purpose.

        Raises:
            InvalidCode: this session has none open.
            AccountsError: as for a login's code.
        """
        own = self._require(principal, purpose=purpose, challenge_id=challenge_id)
        ask = self._ask(principal, asker, own.purpose, channel)
        return self._otp.resend(replace(ask, challenge_id=own.id, resend=True))

    def resend_or_open(
        self, principal: Principal, asker: Asker, *, purpose: Purpose | None, challenge_id: str, channel: str = ""
    ) -> Sent:
        """Send the open code again; where the account's own number has none, open one (first mobile API).

        Raises:
            InvalidCode: a challenge or another purpose was named, and nothing of it is open.
            AccountsError: as for a login's code.
        """
        meant = purpose or Purpose.VERIFY_PHONE
        if challenge_id or meant is not Purpose.VERIFY_PHONE or self._find(principal, purpose=meant, only_open=True):
            return self.resend(principal, asker, purpose=purpose, challenge_id=challenge_id, channel=channel)
        return self.request(principal, asker, purpose=meant, channel=channel)

    @staticmethod
    def _ask(principal: Principal, asker: Asker, purpose: Purpose, channel: str) -> Ask:
        bound = Bound(user_id=principal.user_id, session_id=principal.session_id)
        return Ask(asker=asker, purpose=purpose, channel=channel, bound=bound)

    def _own_number(self, principal: Principal) -> Phone:
        number = principal.person.phone_number
        if not number:
            raise InvalidRequest(fields={"phone_number": ["unknown"]})
        return self._otp.parse_phone(number)

    # -- whose challenge it is

    def _require(self, principal: Principal, *, purpose: Purpose | None, challenge_id: str) -> _Own:
        meant = purpose if challenge_id else purpose or Purpose.VERIFY_PHONE
        own = self._find(principal, purpose=meant, challenge_id=challenge_id)
        if own is None:
            raise InvalidCode
        return own

    def _find(
        self,
        principal: Principal,
        *,
        purpose: Purpose | None,
        challenge_id: str = "",
        phone: str = "",
        only_open: bool = False,
    ) -> _Own | None:
        """Return the newest challenge of this account and session that fits; no other is ever looked at."""
        statuses = ("pending", "pending", "pending") if only_open else ("pending", "locked", "undeliverable")
        wanted = purpose.value if purpose else ""
        found = statements.row(
            "SELECT c.id, c.phone, c.purpose FROM accounts_challenge c JOIN accounts_code k ON k.id = c.code_id "
            "WHERE c.session_id = %s AND c.account_id = %s AND c.scope = %s AND (c.purpose = %s OR %s = '') "
            "AND (c.id = %s OR %s = '') AND (c.phone = %s OR %s = '') AND c.status IN (%s, %s, %s) "
            "AND k.expires_at > %s ORDER BY c.created_at DESC LIMIT 1",
            (
                principal.session_id, principal.user_id, principal.session_id, wanted, wanted,
                challenge_id, challenge_id, phone, phone, *statuses, statements.now() + self._clock.offset,
            ),
        )  # fmt: skip
        return _Own(id=found[0], phone=found[1], purpose=Purpose(found[2])) if found else None

    # -- codes that come back

    def verify(
        self,
        principal: Principal,
        typed: str,
        asker: Asker,
        *,
        purpose: Purpose | None,
        challenge_id: str,
        keep: Keep,
        keep_error: KeepError,
    ) -> Done:
        """Prove this session's code, and do what it was asked for in the transaction that uses it up.

        Raises:
            InvalidCode: wrong, expired, used, or another session's, account's or purpose's: one answer for all.
            PhoneInUse: the new number belongs to another account; the code is used up.
            SessionRevoked: session or account ended meanwhile; the code is used up.
            TooManyAttempts, RateLimited, Blocked, ServiceUnavailable: as for a login.
        """
        own = self._require(principal, purpose=purpose, challenge_id=challenge_id)

        def then(proven: Proven) -> Done | AccountsError:
            result = self._finish(proven, principal, asker, own.purpose)
            tries.forget_failure(proven.claim)  # after accounts and numbers: a login locks them in this order
            if isinstance(result, AccountsError):
                keep_error(result)
            else:
                keep(200, result.as_json())
            return result

        try:
            return self._otp.verify(
                typed, asker=asker, then=then, phone=phones.of_stored(own.phone), challenge_id=own.id,
                purpose=own.purpose, scope=principal.session_id,
            )  # fmt: skip
        except AccountsError as error:
            if not challenge_id:  # a challenge is shown to callers that name it, and to no others
                error.challenge = None
            raise

    def _finish(self, proven: Proven, principal: Principal, asker: Asker, purpose: Purpose) -> Done | AccountsError:
        holder = numbers.lock(principal.user_id)
        alive = session_rows.lock_live(principal.session_id, principal.user_id)
        if holder is None or not holder.is_open or not alive:
            return SessionRevoked()
        if purpose is Purpose.CHANGE_PHONE:
            return self._change(holder, proven, principal, asker)
        if holder.person.phone_number != proven.phone:  # the number left the account while its code was on the way
            return InvalidCode()
        if purpose is Purpose.STEP_UP:
            access, seconds = self._sessions.step_up(replace(principal, person=holder.person), now=proven.now)
            self._record("step_up.granted", principal, proven)
            return SteppedUp(message=_MESSAGES[purpose], access=access, expires_in=seconds)
        statements.run("UPDATE accounts_user SET phone_verified = %s WHERE id = %s", (True, principal.user_id))
        self._record("phone.verified", principal, proven)
        return Verified(message=_MESSAGES[purpose], person=replace(holder.person, phone_verified=True))

    def _change(self, holder: Holder, proven: Proven, principal: Principal, asker: Asker) -> Verified | PhoneInUse:
        """Put the proven number in the old one's place. Sessions stay; the devices' trust went with the old number."""
        old = holder.person.phone_number
        person = numbers.take(holder, proven.phone, now=proven.now, is_test=proven.code.kind == "test")
        if person is None:
            self._record("phone.change_refused", principal, proven)
            return PhoneInUse()
        if old != proven.phone:
            device_tokens.revoke_of_other_numbers(principal.user_id, keep=proven.phone)
            recycled.close_claims(principal.user_id, now=proven.now)
            self._record("phone.changed", principal, proven, old=mask(old or ""))
            if old and not holder.person.is_test:
                self._notices.enqueue(kind=NoticeKind.PHONE_CHANGED, phone=old, language=asker.language)
        return Verified(message=_MESSAGES[Purpose.CHANGE_PHONE], person=person)

    @staticmethod
    def _record(event: str, principal: Principal, proven: Proven, **detail: str) -> None:
        audit.record(
            event, actor="account", subject=principal.subject, now=proven.now,
            detail={"session": principal.session_id[:8], "phone": mask(proven.phone), **detail},
        )  # fmt: skip
