"""Verify an access token by the public keys alone (needs PyJWT and cryptography, and nothing of this service).

    verify = Verifier(jwks_url=..., issuer=..., audience=...)
    claims = verify(token)                          # raises jwt.InvalidTokenError

    echo "$TOKEN" | python verify.py JWKS_URL ISSUER AUDIENCE    prints the claims, or says why not and exits with 1

What this cannot tell: whether the session was ended in the last ten minutes. Only the service itself knows; ask it
(POST /api/auth/token/verify/) before anything that cannot be undone.
"""

import json
import sys
import threading
import time
from typing import Any
from urllib.request import urlopen

import jwt

REQUIRED: dict[str, type] = {
    "sub": str,
    "sid": str,
    "jti": str,
    "role": str,
    "acr": str,
    "iat": int,
    "exp": int,
    "auth_time": int,
    "phone_verified": bool,
}
LEEWAY = 60  # seconds that clocks may differ
KEEP_KEYS_FOR = 300.0  # seconds; the service announces the same
ASK_AGAIN_AFTER = 10.0  # seconds; forged key ids must not become a flood of requests


class Verifier:
    """Verifies access tokens; keeps the public keys for five minutes."""

    def __init__(self, *, jwks_url: str, issuer: str, audience: str) -> None:
        self._url, self._issuer, self._audience = jwks_url, issuer, audience
        self._keys: dict[str, Any] = {}
        self._read_at = float("-inf")
        self._lock = threading.Lock()

    def __call__(self, token: str) -> dict[str, Any]:
        """Return the claims of a good token.

        Raises:
            jwt.InvalidTokenError: it is not one.
        """
        if len(token) > 4096:
            raise jwt.DecodeError("too long")
        header = jwt.get_unverified_header(token)
        # The algorithm is ours to choose, never the token's; keys come from the address that was configured, never
        # from the token (jwk, jku, x5u are not read).
        if header.get("alg") != "ES256" or header.get("typ") != "at+jwt":
            raise jwt.InvalidAlgorithmError("not an access token of this service")
        if "crit" in header:
            raise jwt.DecodeError("unknown critical header")
        claims: dict[str, Any] = jwt.decode(
            token,
            self._key(header.get("kid")),
            algorithms=["ES256"],
            issuer=self._issuer,
            audience=self._audience,
            # A future `iat` or `nbf` may be a clock; the end of a token is the end, so no leeway for `exp`.
            options={"strict_aud": True, "require": ["iss", "aud", "exp"], "verify_iat": False, "verify_nbf": False},
        )
        for name, kind in REQUIRED.items():
            if type(claims.get(name)) is not kind:
                raise jwt.MissingRequiredClaimError(name)
        if max(claims["iat"], claims.get("nbf", 0)) > time.time() + LEEWAY:
            raise jwt.ImmatureSignatureError("from the future")
        return claims

    def _key(self, kid: object) -> Any:
        with self._lock:
            age = time.monotonic() - self._read_at
            if age > KEEP_KEYS_FOR or (kid not in self._keys and age > ASK_AGAIN_AFTER):
                with urlopen(self._url, timeout=5) as answer:
                    document = json.load(answer)
                found = document.get("keys") if isinstance(document, dict) else None
                if not isinstance(found, list):
                    raise ValueError("the key document holds no keys")
                self._keys = {
                    jwk["kid"]: jwt.PyJWK(jwk, algorithm="ES256").key
                    for jwk in found
                    if (jwk.get("kty"), jwk.get("crv"), jwk.get("alg"), jwk.get("use"))
                    == ("EC", "P-256", "ES256", "sig")
                }
                self._read_at = time.monotonic()
            if not isinstance(kid, str) or kid not in self._keys:
                raise jwt.InvalidKeyError("unknown key")
            return self._keys[kid]


def main() -> int:
    """Verify the token on standard input."""
    if len(sys.argv) != 4:
        sys.stderr.write("usage: echo TOKEN | python verify.py JWKS_URL ISSUER AUDIENCE\n")
        return 2
    verify = Verifier(jwks_url=sys.argv[1], issuer=sys.argv[2], audience=sys.argv[3])
    try:
        sys.stdout.write(json.dumps(verify(sys.stdin.read().strip())) + "\n")
    except jwt.PyJWTError as error:
        sys.stderr.write(f"invalid: {error}\n")
        return 1
    except (OSError, ValueError) as error:
        sys.stderr.write(f"cannot verify: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
