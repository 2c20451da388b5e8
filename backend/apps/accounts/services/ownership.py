"""The end of an account, by its owner's hand or an operator's: deleted, or switched off and on.

It must not know HTTP, or how what is left of a deleted account is erased.
"""

from datetime import datetime

from apps.accounts.clock import Clock
from apps.accounts.errors import NotFound, SessionRevoked, StepUpRequired
from apps.accounts.phones import mask
from apps.accounts.services import audit, device_tokens, numbers, recycled, session_rows, statements
from apps.accounts.services.session_types import Ended, Principal
from apps.accounts.services.sessions import Sessions


class Ownership:
    """Ends accounts and brings disabled ones back. One per process; thread-safe."""

    def __init__(self, *, sessions: Sessions, clock: Clock) -> None:
        self._sessions = sessions
        self._clock = clock

    def delete(self, principal: Principal) -> None:
        """Put the caller's account out of use for good: every session ends, the number is free, data waits for erasure.

        Whoever logs in with the number next, the same person too, gets a new account.

        Raises:
            StepUpRequired: the token is no step-up token.
            SessionRevoked: account or session ended meanwhile.
        """
        if not principal.step_up:
            raise StepUpRequired
        with statements.durable():
            holder = numbers.lock(principal.user_id)
            alive = session_rows.lock_live(principal.session_id, principal.user_id)
            if holder is None or not holder.is_open or not alive:
                raise SessionRevoked
            now = self._now()
            numbers.delete(holder, now=now)
            session_rows.revoke_all(principal.user_id, reason=Ended.ACCOUNT_DELETED)
            device_tokens.revoke_all(principal.user_id)
            recycled.close_claims(principal.user_id, now=now)
            audit.record(
                "account.deleted", actor="account", subject=principal.subject, now=now,
                detail={"session": principal.session_id[:8], "phone": mask(holder.person.phone_number or "")},
            )  # fmt: skip

    def disable(self, user_id: int, *, actor: str, note: str = "") -> int:
        """Switch an account off and end every session and device token of it; return how many sessions.

        Raises:
            NotFound: no such account.
        """
        with statements.durable():
            subject = self._switch(user_id, on=False)
            audit.record("account.disabled", actor=actor, subject=subject, note=note, now=self._now())
            return self._sessions.revoke_user(user_id, Ended.ACCOUNT_DISABLED, actor=actor, note=note)

    def enable(self, user_id: int, *, actor: str, note: str = "") -> None:
        """Switch a disabled account on; its former sessions stay ended.

        Raises:
            NotFound: no such account.
        """
        with statements.durable():
            subject = self._switch(user_id, on=True)
            audit.record("account.enabled", actor=actor, subject=subject, note=note, now=self._now())

    @staticmethod
    def _switch(user_id: int, *, on: bool) -> str:
        holder = numbers.lock(user_id)
        if holder is None or holder.is_deleted:
            raise NotFound
        statements.run("UPDATE accounts_user SET is_active = %s WHERE id = %s", (on, user_id))
        return holder.person.subject

    def _now(self) -> datetime:
        return statements.now() + self._clock.offset
