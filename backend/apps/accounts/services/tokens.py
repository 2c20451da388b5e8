"""Access and refresh tokens as text: made and read here, by simplejwt.

It must not know a database: whether a token's session lives is its row's word, and expiry is judged by the database's
time, which the caller brings.
"""

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from rest_framework_simplejwt.exceptions import TokenError

from apps.accounts.errors import TokenExpired, TokenInvalid
from apps.accounts.services.keys import Key, Keys
from apps.accounts.services.session_types import ACCESS_SECONDS, Person
from apps.accounts.services.token_backends import AccessBackend, RefreshBackend, SealedRefresh, SignedAccess

ASSURANCE: Final = "aal1"  # a texted code is no more (NIST SP 800-63B-4)
LEEWAY: Final = timedelta(seconds=60)  # for `iat` and `nbf`: two databases' clocks around a failover
_LONGEST: Final = 4096
_REMEMBERED: Final = 4096  # verified access tokens per process, about 4 MB


@dataclass(frozen=True, slots=True)
class Grant:
    """What an access token is to say. Times are the database's."""

    person: Person
    session_id: str
    generation: int
    amr: tuple[str, ...]
    auth_time: datetime
    now: datetime
    seconds: int = ACCESS_SECONDS
    is_test: bool = False
    step_up: bool = False


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a verified access token says. `generation` counts its session's refreshes; times are epoch seconds."""

    session_id: str
    subject: str
    generation: int
    auth_time: int
    issued_at: int
    not_before: int
    expires_at: int
    step_up: bool

    def judge(self, now: datetime) -> None:
        """Check the token's times against the database's.

        Raises:
            TokenExpired: its end has come.
            TokenInvalid: it is from the future.
        """
        stamp = now.timestamp()
        if max(self.issued_at, self.not_before) > stamp + LEEWAY.total_seconds():
            raise TokenInvalid
        if stamp >= self.expires_at:
            raise TokenExpired


@dataclass(frozen=True, slots=True, repr=False)
class RefreshClaims:
    """What an authentic refresh token says. Its id is a secret: rows hold only `digest`."""

    session_id: str
    token_id: str

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the token's id, as rows know it."""
        return sha256(self.token_id.encode()).hexdigest()


class Tokens:
    """Makes and reads all tokens of the service."""

    def __init__(self, *, keys: Keys, secret_key: str, issuer: str, audience: str) -> None:
        self._access = AccessBackend(keys=keys, issuer=issuer, audience=audience)
        self._refresh = RefreshBackend(secret_key=secret_key)
        self._keys = keys
        self._verified: OrderedDict[bytes, tuple[Key, AccessClaims]] = OrderedDict()

    def access(self, grant: Grant) -> str:
        """Return an access token with the claims of contract section 4 and no others; never a phone number."""
        issued = int(grant.now.timestamp())
        payload: dict[str, Any] = {
            "sub": grant.person.subject,
            "sid": grant.session_id,
            "jti": f"{grant.generation:x}.{secrets.token_hex(16)}",
            "iat": issued,
            "exp": issued + grant.seconds,
            "auth_time": int(grant.auth_time.timestamp()),
            "amr": list(grant.amr),
            "acr": ASSURANCE,
            "role": grant.person.role,
            "phone_verified": grant.person.phone_verified,
        }
        if grant.is_test:
            payload["test"] = True
        if grant.step_up:
            payload["step_up"] = True
        return str(SignedAccess(self._access, payload=payload))

    def require_signer(self) -> None:
        """Make sure that access tokens can be signed, before something is committed that ends in one."""
        self._keys.signer()

    def refresh(self, *, session_id: str, expires_at: datetime) -> tuple[str, RefreshClaims]:
        """Return a new refresh token of a session and what it will be known by."""
        claims = new_refresh(session_id)
        return self.refresh_of(claims, expires_at=expires_at), claims

    def refresh_of(self, claims: RefreshClaims, *, expires_at: datetime) -> str:
        """Return the refresh token that says what was drawn before its session's end was known."""
        payload = {"sid": claims.session_id, "jti": claims.token_id, "exp": int(expires_at.timestamp())}
        return str(SealedRefresh(self._refresh, payload=payload))

    def read_access(self, raw: str) -> AccessClaims:
        """Return the claims of an access token that we signed; its times are not judged yet.

        Raises:
            TokenInvalid: it is not ours, or not an access token.
        """
        digest = _digest(raw)
        remembered = self._verified.get(digest)
        if remembered is not None and self._keys.by_header(remembered[0].header) is not None:
            return remembered[1]
        try:
            token = SignedAccess(self._access, raw=raw)
            claims = _access_claims(token.payload)
        except (TokenError, ValueError, OverflowError) as error:
            raise TokenInvalid from error
        key = self._keys.by_header(raw.partition(".")[0])
        if key is not None:
            self._remember(digest, key, claims)
        return claims

    def read_refresh(self, raw: str) -> RefreshClaims:
        """Return the claims of a refresh token that we made; its session's row judges times and order.

        Raises:
            TokenInvalid: it is not ours, or not a refresh token.
        """
        _digest(raw)
        try:
            token = SealedRefresh(self._refresh, raw=raw)
        except (TokenError, ValueError, OverflowError) as error:
            raise TokenInvalid from error
        return RefreshClaims(token["sid"], token["jti"])

    def is_refresh(self, raw: str) -> bool:
        """Say whether a token claims to be a refresh token."""
        return raw.partition(".")[0] == self._refresh.header

    def _remember(self, digest: bytes, key: Key, claims: AccessClaims) -> None:
        # The same bytes verify the same way while their key is trusted: 60 µs saved on every further call.
        self._verified[digest] = (key, claims)
        while len(self._verified) > _REMEMBERED:
            try:
                self._verified.popitem(last=False)
            except KeyError:  # another thread emptied it meanwhile
                return


def new_refresh(session_id: str) -> RefreshClaims:
    """Draw what a session's next refresh token will say."""
    return RefreshClaims(session_id, secrets.token_hex(16))


def seconds_left(until: datetime, *, now: datetime) -> int:
    """Return whole seconds from `now` to `until`, never negative."""
    return max(0, int((until - now).total_seconds()))


def as_utc(stamp: int) -> datetime:
    """Return epoch seconds as an aware time."""
    return datetime.fromtimestamp(stamp, UTC)


def _digest(raw: str) -> bytes:
    if not raw or len(raw) > _LONGEST or not raw.isascii():
        raise TokenInvalid
    return sha256(raw.encode("ascii")).digest()


def _access_claims(payload: dict[str, Any]) -> AccessClaims:
    not_before = payload.get("nbf", 0)
    return AccessClaims(
        session_id=payload["sid"],
        subject=payload["sub"],
        generation=int(payload["jti"].partition(".")[0], 16),
        auth_time=payload["auth_time"],
        issued_at=payload["iat"],
        not_before=not_before if isinstance(not_before, int) else payload["exp"],
        expires_at=payload["exp"],
        step_up=payload.get("step_up") is True,
    )
