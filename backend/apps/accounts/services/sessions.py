"""Sessions: opened at login, carried on by refresh through lost answers, ended at once for every process.

It must not know HTTP, a code or a cache: a session is a row, the row decides what its tokens are worth, and nothing
else has to be up for that.
"""

import secrets
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from apps.accounts.clock import Clock
from apps.accounts.config import Config
from apps.accounts.errors import NotAuthenticated, NotFound, RefreshReused, SessionRevoked, TokenInvalid
from apps.accounts.services import device_tokens, session_rows, statements
from apps.accounts.services.keys import Keys
from apps.accounts.services.refreshing import Keep, Refreshing, check_alive
from apps.accounts.services.session_rows import State
from apps.accounts.services.session_types import (
    ACCESS_SECONDS,
    IDLE_SECONDS,
    SESSION_SECONDS,
    STEP_UP_SECONDS,
    DeviceFacts,
    Ended,
    Event,
    Events,
    Opened,
    Person,
    Principal,
    Refreshed,
    SessionView,
    SilentEvents,
)
from apps.accounts.services.tokens import Grant, RefreshClaims, Tokens, as_utc, new_refresh, seconds_left


@dataclass(frozen=True, slots=True, repr=False)
class Prepared:
    """What a session and its device token will be known by. Rows hold only hashes of it."""

    refresh: RefreshClaims
    device_token: str


class Sessions:
    """All sessions of the service."""

    def __init__(self, *, config: Config, keys: Keys, clock: Clock, events: Events | None = None) -> None:
        self._tokens = Tokens(
            keys=keys,
            secret_key=config.secret_key,
            issuer=config["JWT_ISSUER"],
            audience=config["JWT_AUDIENCE"],
        )
        self._clock = clock
        self._events: Events = events or SilentEvents()
        self._refreshing = Refreshing(
            tokens=self._tokens,
            clock=clock,
            grace_seconds=config["REFRESH_REUSE_GRACE_SECONDS"],
            dormant_days=config["ACCOUNT_DORMANT_DAYS"],
        )

    # -- open and carry on

    def open(
        self,
        person: Person,
        *,
        device: DeviceFacts,
        now: datetime,
        amr: tuple[str, ...],
        test: bool = False,
        note: str = "",
        device_token: str = "",
    ) -> Opened:
        """Open a session in the caller's transaction: one row for it, one for its device token.

        `now` is the database's time, shifted by the clock. A valid `device_token` of this person and device is rotated.
        """
        refresh = new_refresh(secrets.token_hex(16))
        session_rows.insert(
            refresh.session_id,
            user_id=person.id,
            device=device,
            amr=",".join(amr),
            is_test=test,
            note=note,
            refresh_hash=refresh.digest,
            now=now,
            expires_at=now + timedelta(seconds=SESSION_SECONDS),
        )
        known = device_tokens.issue(person, shown=device_token, device=device, session_id=refresh.session_id, now=now)
        return self.opened(Prepared(refresh, known), person, now=now, amr=amr, test=test)

    def prepare(self) -> Prepared:
        """Draw what a session will be known by, where one statement is to write it together with everything else."""
        # Nothing may fail any more once that statement is committed.
        self._tokens.require_signer()
        return Prepared(new_refresh(secrets.token_hex(16)), device_tokens.draw())

    def opened(
        self, prepared: Prepared, person: Person, *, now: datetime, amr: tuple[str, ...], test: bool = False
    ) -> Opened:
        """Return the tokens of a session that was opened at `now` as it was prepared; no statement."""
        session_id, ends = prepared.refresh.session_id, now + timedelta(seconds=SESSION_SECONDS)
        access = self._tokens.access(Grant(person, session_id, 0, amr, auth_time=now, now=now, is_test=test))
        refresh = self._tokens.refresh_of(prepared.refresh, expires_at=ends)
        return Opened(session_id, access, refresh, ACCESS_SECONDS, SESSION_SECONDS, prepared.device_token)

    def refresh(self, refresh: str, *, device_id: str, keep: Keep | None = None) -> Refreshed:
        """Answer a refresh token with the next pair: one read and one conditional write (contract section 4).

        `device_id` is the call's `X-Device-ID`, empty if absent. `keep` is called in the transaction of the act with
        the answer's status and body. A call that loses a race for the row reads it once more.

        Raises:
            TokenInvalid, TokenExpired, SessionRevoked: there is nothing to carry on.
            RefreshReused: the token was used before by somebody else; its session is over.
        """
        state, answer = self._refreshing.turn(refresh, device_id=device_id, keep=keep)
        if answer is None:
            self._end_by_reuse(state)
            raise RefreshReused
        return answer

    def _end_by_reuse(self, state: State) -> None:
        with _joined():
            if session_rows.revoke_one(state.id, reason=Ended.REFRESH_REUSED):
                device_tokens.revoke_of_session(state.id)
                detail = {"session": state.id, "generation": state.generation}
                self._events.audit(Event.REFRESH_REUSED, actor="service", subject=state.person.subject, detail=detail)
                self._events.notice(Event.REFRESH_REUSED, user_id=state.person.id, detail=detail)

    # -- who is calling

    def authenticate(self, access: str) -> Principal:
        """Return who calls with this access token: one read; one write more when a generation is first used.

        Raises:
            NotAuthenticated: no token. TokenInvalid, TokenExpired, SessionRevoked: no good one, or its account is gone.
        """
        if not access:
            raise NotAuthenticated
        claims = self._tokens.read_access(access)
        state = session_rows.read(claims.session_id)
        if state is None:
            raise SessionRevoked
        now = self._now(state)
        claims.judge(now)
        check_alive(state, now)
        if claims.subject != state.person.subject or claims.generation > state.generation:
            raise TokenInvalid
        self._note_use(state, claims.generation)
        return Principal(
            session_id=state.id,
            user_id=state.person.id,
            subject=state.person.subject,
            step_up=claims.step_up,
            auth_time=as_utc(claims.auth_time),
            person=state.person,
            is_active=True,
            amr=state.amr,
            is_test=state.is_test,
            generation=claims.generation,
            device_id=state.device_id,
            session_expires_at=state.expires_at,
        )

    def check(self, token: str) -> None:
        """Say nothing if `token` is a living access token or a session's live refresh token. Showing one is using it.

        Raises:
            TokenInvalid, TokenExpired, SessionRevoked: anything else.
        """
        if not self._tokens.is_refresh(token):
            if not token:
                raise TokenInvalid
            self.authenticate(token)
            return
        state = self._refreshing.live(token)
        self._note_use(state, state.generation)

    def step_up(self, principal: Principal, *, now: datetime) -> tuple[str, int]:
        """Return an access token for payment, deletion and phone change, and its life in seconds; no statement."""
        seconds = min(STEP_UP_SECONDS, seconds_left(principal.session_expires_at, now=now))
        grant = Grant(
            principal.person,
            principal.session_id,
            principal.generation,
            principal.amr,
            auth_time=now,
            now=now,
            seconds=seconds,
            is_test=principal.is_test,
            step_up=True,
        )
        return self._tokens.access(grant), seconds

    # -- the list, and ends

    def list(self, principal: Principal) -> list[SessionView]:
        """Return the account's living sessions, last used first."""
        now = statements.now() + self._clock.offset
        idle_since = now - timedelta(seconds=IDLE_SECONDS)
        return session_rows.live(principal.user_id, current=principal.session_id, now=now, idle_since=idle_since)

    def logout(self, principal: Principal) -> None:
        """End the caller's own session. Its device stays known."""
        with _joined():
            if session_rows.revoke_one(principal.session_id, reason=Ended.LOGOUT):
                self._tell(Event.LOGGED_OUT, principal, {"session": principal.session_id})

    def revoke(self, principal: Principal, session_id: str) -> None:
        """End one session of the caller's account, and what its device was trusted with.

        Raises:
            NotFound: the account has no such session.
        """
        held = session_rows.owner(session_id) if _is_id(session_id) else None
        if held is None or held[0] != principal.user_id:
            raise NotFound
        with _joined():
            if session_rows.revoke_one(session_id, reason=Ended.REVOKED, user_id=principal.user_id):
                device_tokens.revoke_of_session(session_id)
                self._tell(Event.REVOKED, principal, {"session": session_id})

    def revoke_others(self, principal: Principal) -> int:
        """End all other sessions of the caller's account and their devices' trust; return how many sessions."""
        with _joined():
            count = session_rows.revoke_all(
                principal.user_id, reason=Ended.OTHERS_REVOKED, except_id=principal.session_id
            )
            device_tokens.revoke_all(principal.user_id, except_session=principal.session_id)
            self._tell(Event.OTHERS_REVOKED, principal, {"count": count})
        return count

    def logout_all(self, who: Principal | int, *, reason: str = Ended.LOGOUT_ALL) -> int:
        """End every session and device token of an account; return how many sessions."""
        if isinstance(who, Principal):
            return self.revoke_user(who.user_id, reason, actor=who.subject)
        return self.revoke_user(who, reason)

    def revoke_user(self, user_id: int, reason: str, *, actor: str = "service", note: str = "") -> int:
        """End every session and device token of an account, in the caller's transaction if there is one."""
        with _joined():
            count = session_rows.revoke_all(user_id, reason=reason)
            device_tokens.revoke_all(user_id)
            subject = session_rows.subject_of(user_id)
            detail = {"reason": str(reason), "count": count}
            self._events.audit(Event.ALL_REVOKED, actor=actor, subject=subject, note=note, detail=detail)
        return count

    def revoke_by_operator(self, session_id: str, *, actor: str, note: str) -> int:
        """End one session of anybody; return 1 if it lived, else 0."""
        held = session_rows.owner(session_id) if _is_id(session_id) else None
        if held is None:
            return 0
        with _joined():
            if not session_rows.revoke_one(session_id, reason=Ended.OPERATOR):
                return 0
            device_tokens.revoke_of_session(session_id)
            self._events.audit(Event.REVOKED, actor=actor, subject=held[1], note=note, detail={"session": session_id})
        return 1

    # -- small rules

    def _now(self, state: State) -> datetime:
        return state.now + self._clock.offset

    def _note_use(self, state: State, generation: int) -> None:
        if state.used_generation < generation:
            session_rows.note_use(state.id, generation, self._now(state))

    def _tell(self, event: Event, principal: Principal, detail: dict[str, Any]) -> None:
        self._events.audit(event, actor=principal.subject, subject=principal.subject, detail=detail)


def _joined() -> AbstractContextManager[Any]:
    """Return the caller's transaction if one is open, else a short durable one."""
    return nullcontext() if connection.in_atomic_block else statements.durable()


def _is_id(text: str) -> bool:
    return len(text) == 32 and all(char in "0123456789abcdef" for char in text)
