"""HS256 tokens by PyJWT, the plainest there are; it must not know the database."""

import secrets
from typing import Any

import jwt

from bench.floor import settings

ACCESS_SECONDS = 600
REFRESH_SECONDS = 30 * 86400


def mint(subject: int, *, now: int, kind: str, life: int) -> str:
    """Return one signed token that lives `life` seconds."""
    claims = {"sub": str(subject), "typ": kind, "jti": secrets.token_hex(16), "iat": now, "exp": now + life}
    return jwt.encode(claims, settings.SECRET_KEY, algorithm="HS256")


def pair(subject: int, *, now: int) -> dict[str, str]:
    """Return an access and a refresh token."""
    return {
        "access": mint(subject, now=now, kind="access", life=ACCESS_SECONDS),
        "refresh": mint(subject, now=now, kind="refresh", life=REFRESH_SECONDS),
    }


def read(token: str, *, kind: str) -> dict[str, Any]:
    """Return the claims of a valid token of that kind.

    Raises jwt.InvalidTokenError otherwise.
    """
    claims: dict[str, Any] = jwt.decode(token, settings.SECRET_KEY, algorithms=["HS256"])
    if claims["typ"] != kind:
        raise jwt.InvalidTokenError(kind)
    return claims
