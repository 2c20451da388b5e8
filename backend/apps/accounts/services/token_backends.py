"""How simplejwt signs, authenticates and reads our tokens: its token and backend classes over our keys.

It must not know what a token is for, or the time: expiry is judged elsewhere, by the database's clock. A token is read
only if its header is byte for byte one that we write, so the algorithm, `kid`, `jku`, `x5u`, `jwk` and `crit` of a
forged one are never even looked at (RFC 8725 sections 3.1 and 3.10).
"""

from typing import Any, Final

import jwt
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from apps.accounts.services import key_material
from apps.accounts.services.keys import ALGORITHM, Keys
from apps.accounts.services.sealing import derive

_REFRESH_TYPE: Final = "rt+jwt"


class AccessBackend(TokenBackend):
    """Signs with the key that signs now, verifies with the key that the header names."""

    def __init__(self, *, keys: Keys, issuer: str, audience: str) -> None:
        super().__init__(ALGORITHM, issuer=issuer, audience=audience)
        self._keys = keys

    def encode(self, payload: dict[str, Any]) -> str:
        """Return the signed token."""
        key, private = self._keys.signer()
        headers = {"kid": key.kid, "typ": key_material.HEADER_TYPE}
        body = {"iss": self.issuer, "aud": self.audience, **payload}
        return jwt.encode(body, private, algorithm=ALGORITHM, headers=headers)

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        """Return the claims of a token that is ours; `verify=False` is refused by verifying all the same."""
        key = self._keys.by_header(str(token).partition(".")[0])
        if key is None:
            raise TokenBackendError("Token is invalid")
        return _decode(
            str(token),
            key.public,
            ALGORITHM,
            require=("iss", "aud", "exp", "iat", "jti"),
            issuer=self.issuer,
            audience=str(self.audience),
        )


class RefreshBackend(TokenBackend):
    """Authenticates what only this service reads: a MAC is enough and five times cheaper than a signature."""

    def __init__(self, *, secret_key: str) -> None:
        super().__init__("HS256")
        self._mac_key = derive(secret_key, purpose="refresh-tokens")
        self.header = key_material.encoded_header({"alg": "HS256", "typ": _REFRESH_TYPE})

    def encode(self, payload: dict[str, Any]) -> str:
        """Return the authenticated token."""
        return jwt.encode(payload, self._mac_key, algorithm="HS256", headers={"typ": _REFRESH_TYPE})

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        """Return the claims of a token that is ours; `verify=False` is refused by verifying all the same."""
        if str(token).partition(".")[0] != self.header:
            raise TokenBackendError("Token is invalid")
        return _decode(str(token), self._mac_key, "HS256", require=("exp", "jti"))


def _decode(
    token: str,
    key: Any,
    algorithm: str,
    *,
    require: tuple[str, ...],
    issuer: str | None = None,
    audience: str | None = None,
) -> dict[str, Any]:
    try:
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=issuer,
            audience=audience,
            options={
                "require": list(require),
                "strict_aud": True,
                # Times go by the database's clock, which the caller has; the host's has no say.
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except (jwt.InvalidTokenError, ValueError) as error:
        raise TokenBackendError("Token is invalid") from error


class _Sealed(Token):
    """A simplejwt token over one of our backends, without a say of its own on time, type claim or settings."""

    _members: tuple[tuple[str, type], ...] = ()

    def __init__(self, backend: TokenBackend, *, raw: str | None = None, payload: dict[str, Any] | None = None) -> None:
        self._backend = backend
        if raw is None:
            self.token, self.payload = None, dict(payload or {})
        else:
            super().__init__(raw, verify=True)  # type: ignore[arg-type]

    def get_token_backend(self) -> TokenBackend:
        return self._backend

    def verify(self) -> None:
        """Check that the members we rely on are there and of their type; the backend has checked the rest."""
        for name, kind in self._members:
            value = self.payload.get(name)
            if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
                raise TokenError("Token is invalid")


class SignedAccess(_Sealed, AccessToken):
    _members = (("sub", str), ("sid", str), ("jti", str), ("iat", int), ("exp", int), ("auth_time", int))


class SealedRefresh(_Sealed, RefreshToken):  # type: ignore[misc]
    _members = (("sid", str), ("jti", str), ("exp", int))
