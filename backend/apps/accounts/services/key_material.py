"""The public shape of an ES256 key: its JWK, its `kid`, and the header of the tokens it signs.

It must not know where a key is kept.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

HEADER_TYPE: Final = "at+jwt"  # an explicit type keeps tokens of other kinds out (RFC 8725 section 3.11)
_SIZE: Final = 32  # bytes of a P-256 coordinate


def jwk(public: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """Return the key as a JWK whose `kid` is its shortened RFC 7638 thumbprint."""
    numbers = public.public_numbers()
    point = {"crv": "P-256", "kty": "EC", "x": _coordinate(numbers.x), "y": _coordinate(numbers.y)}
    thumbprint = sha256(json.dumps(point, separators=(",", ":"), sort_keys=True).encode()).digest()
    return {**point, "kid": encoded(thumbprint[:16]), "alg": "ES256", "use": "sig"}


def public_key(jwk: Mapping[str, str]) -> ec.EllipticCurvePublicKey:
    """Return the key that a JWK of ours describes."""
    x, y = (int.from_bytes(urlsafe_b64decode(jwk[name] + "=="), "big") for name in ("x", "y"))
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def header(kid: str) -> str:
    """Return the first part of every token that the key `kid` signs."""
    return encoded_header({"alg": "ES256", "kid": kid, "typ": HEADER_TYPE})


def encoded_header(members: Mapping[str, str]) -> str:
    """Return a JOSE header as PyJWT writes it: members in order of their names, no blanks."""
    return encoded(json.dumps(dict(members), separators=(",", ":"), sort_keys=True).encode())


def encoded(raw: bytes) -> str:
    """Return base64url without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _coordinate(number: int) -> str:
    return encoded(number.to_bytes(_SIZE, "big"))
