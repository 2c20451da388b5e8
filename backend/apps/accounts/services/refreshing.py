"""Refreshing: how a session goes from one refresh token to the next, and what a token that is not the live one means.

It must not know HTTP, nor how a session is opened or ended: it says that a token was reused, others end the session.
"""

import hmac
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

from apps.accounts.clock import Clock
from apps.accounts.errors import SessionRevoked, TokenExpired, TokenInvalid
from apps.accounts.services import session_rows, statements
from apps.accounts.services.sealing import Unsealable, derive, seal, unseal
from apps.accounts.services.session_rows import Rotation, State, Turn
from apps.accounts.services.session_types import ACCESS_SECONDS, IDLE_SECONDS, Refreshed
from apps.accounts.services.tokens import Grant, RefreshClaims, Tokens, seconds_left

SAME_ACCESS_SECONDS: Final = 60  # a kept access token with less life than this is not handed out again
_DAY: Final = 86_400

Keep = Callable[[int, dict[str, Any]], None]


class _Verdict(Enum):
    LIVE = "live"
    AGAIN = "again"  # one step behind, and its answer was lost
    REUSED = "reused"


@dataclass(frozen=True, slots=True, repr=False)
class _Pair:
    access: str
    access_ends: int  # epoch seconds
    refresh: str


class Refreshing:
    """The rules of contract section 4 for refresh tokens."""

    def __init__(self, *, tokens: Tokens, clock: Clock, grace_seconds: int, dormant_days: int) -> None:
        self._tokens = tokens
        self._clock = clock
        self._grace = timedelta(seconds=grace_seconds)
        # Silence counts in days: refreshes move its end forward now and then, not each time.
        self._touch_after = timedelta(seconds=min(_DAY, dormant_days * _DAY / 100))

    def turn(self, refresh: str, *, device_id: str, keep: Keep | None) -> tuple[State, Refreshed | None]:
        """Return the session and the answer to its refresh token; no answer means that the token was reused.

        Raises:
            TokenInvalid, TokenExpired, SessionRevoked: there is nothing to carry on.
        """
        claims = self._tokens.read_refresh(refresh)
        transaction: AbstractContextManager[Any] = statements.durable() if keep else nullcontext()
        with transaction:
            rotation, answer = self._turn(claims, device_id)
            if answer is not None and keep is not None:
                keep(200, answer.body())
        state, seen = rotation.state, rotation.last_seen_at
        if answer is not None and (seen is None or self._now(state) - seen >= self._touch_after):
            session_rows.touch_account(state.person.id, self._now(state))
        return state, answer

    def live(self, refresh: str) -> State:
        """Return the session whose live refresh token this is.

        Raises:
            TokenInvalid, TokenExpired, SessionRevoked: it is no session's live token.
        """
        claims = self._tokens.read_refresh(refresh)
        rotation = self._living(claims)
        if not _is_live(rotation, claims):
            raise TokenInvalid
        return rotation.state

    def _turn(self, claims: RefreshClaims, device_id: str) -> tuple[Rotation, Refreshed | None]:
        rotation = self._living(claims)
        if self._judge(rotation, claims) is _Verdict.LIVE:
            answer = self._rotate(rotation.state, claims)
            if answer is not None:
                return rotation, answer
            # Another call with the same token was faster. Ours was live when we looked, so it gets the live child too.
            rotation = self._living(claims)
            return rotation, self._again(rotation, claims, device_id) if _is_former(rotation, claims) else None
        if self._judge(rotation, claims) is _Verdict.AGAIN:
            return rotation, self._again(rotation, claims, device_id)
        return rotation, None

    def _living(self, claims: RefreshClaims) -> Rotation:
        rotation = session_rows.read_rotation(claims.session_id)
        if rotation is None:
            raise SessionRevoked
        check_alive(rotation.state, self._now(rotation.state))
        return rotation

    def _judge(self, rotation: Rotation, claims: RefreshClaims) -> _Verdict:
        if _is_live(rotation, claims):
            return _Verdict.LIVE
        state, rotated_at = rotation.state, rotation.rotated_at
        lost = (
            _is_former(rotation, claims)
            and rotated_at is not None
            and state.used_generation < state.generation
            and self._now(state) - rotated_at <= self._grace
        )
        return _Verdict.AGAIN if lost else _Verdict.REUSED

    def _rotate(self, state: State, claims: RefreshClaims) -> Refreshed | None:
        now = self._now(state)
        seconds = min(ACCESS_SECONDS, seconds_left(state.expires_at, now=now))
        access = self._access(state, generation=state.generation + 1, now=now, seconds=seconds)
        refresh, child = self._tokens.refresh(session_id=state.id, expires_at=state.expires_at)
        pair = {"access": access, "ends": int(now.timestamp()) + seconds, "refresh": refresh}
        sealed = seal(_successor_key(claims), json.dumps(pair).encode(), bound_to=state.id)
        if not session_rows.rotate(state, Turn(claims.digest, child.digest, sealed), now=now):
            return None
        return Refreshed(access, refresh, seconds, seconds_left(state.expires_at, now=now))

    def _again(self, rotation: Rotation, claims: RefreshClaims, device_id: str) -> Refreshed | None:
        state = rotation.state
        pair = _kept_pair(rotation, claims)
        if pair is None or state.device_id != device_id:
            return None
        now = self._now(state)
        access, seconds = pair.access, pair.access_ends - int(now.timestamp())
        if seconds < SAME_ACCESS_SECONDS:
            seconds = min(ACCESS_SECONDS, seconds_left(state.expires_at, now=now))
            access = self._access(state, generation=state.generation, now=now, seconds=seconds)
        return Refreshed(access, pair.refresh, seconds, seconds_left(state.expires_at, now=now))

    def _access(self, state: State, *, generation: int, now: datetime, seconds: int) -> str:
        return self._tokens.access(
            Grant(
                state.person,
                state.id,
                generation,
                state.amr,
                auth_time=state.auth_time,
                now=now,
                seconds=seconds,
                is_test=state.is_test,
            )
        )

    def _now(self, state: State) -> datetime:
        return state.now + self._clock.offset


def check_alive(state: State, now: datetime) -> None:
    """Check that a session was not ended and has not come to its absolute or idle end.

    Raises:
        SessionRevoked: revoked, or its account is disabled or deleted.
        TokenExpired: 30 days since login, or 14 without use.
    """
    if state.ended:
        raise SessionRevoked
    if now >= state.expires_at or now - state.last_used_at >= timedelta(seconds=IDLE_SECONDS):
        raise TokenExpired


def _is_live(rotation: Rotation, claims: RefreshClaims) -> bool:
    return hmac.compare_digest(rotation.refresh_hash, claims.digest)


def _is_former(rotation: Rotation, claims: RefreshClaims) -> bool:
    return bool(rotation.previous_hash) and hmac.compare_digest(rotation.previous_hash, claims.digest)


def _successor_key(claims: RefreshClaims) -> bytes:
    """Rows hold only a hash of the old token's id, so only who has the token can open what followed it."""
    return derive(claims.token_id, purpose="refresh-successor")


def _kept_pair(rotation: Rotation, claims: RefreshClaims) -> _Pair | None:
    try:
        kept = json.loads(unseal(_successor_key(claims), rotation.successor, bound_to=rotation.state.id))
    except (Unsealable, ValueError):
        return None
    return _Pair(access=kept["access"], access_ends=kept["ends"], refresh=kept["refresh"])
