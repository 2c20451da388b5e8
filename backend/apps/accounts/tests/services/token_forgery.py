"""Forged tokens by name: what an attacker with our public keys, or with a key of another kind, could send."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from apps.accounts.services.keys import Keys


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def compact(header: dict[str, Any], claims: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    body = b64(json.dumps(header).encode()) + "." + b64(json.dumps(claims).encode())
    return body + "." + b64(sign(body.encode()))


class Forger:
    """Makes tokens that must be refused, from one good access token and one good refresh token."""

    def __init__(self, keys: Keys, *, access: str, refresh: str) -> None:
        self.access, self.refresh = access, refresh
        self.key, self._private = keys.signer()
        self.claims: dict[str, Any] = jwt.decode(access, options={"verify_signature": False})
        self.header: dict[str, Any] = dict(jwt.get_unverified_header(access))
        self.own = ec.generate_private_key(ec.SECP256R1())

    def ours(self, claims: Any = None, **header: Any) -> str:
        """Return a token that our own key did sign, with another header or other claims."""
        members = {"kid": self.key.kid, "typ": "at+jwt", **header}
        return jwt.encode(self.claims if claims is None else claims, self._private, "ES256", headers=members)

    def theirs(self, **header: Any) -> str:
        """Return a token that a stranger's key signed."""
        members = {"kid": self.key.kid, "typ": "at+jwt", **header}
        return jwt.encode(self.claims, self.own, "ES256", headers=members)

    def with_claims(self, **changes: Any) -> str:
        merged = {**self.claims, **changes}
        return self.ours({name: value for name, value in merged.items() if value is not None})

    def confused(self, form: serialization.PublicFormat, encoding: serialization.Encoding) -> str:
        """Return a token MACed with our public key, as a verifier that lets the token choose would accept it."""
        public = self.key.public.public_bytes(encoding, form)
        header = {"alg": "HS256", "kid": self.key.kid, "typ": "at+jwt"}
        return compact(header, self.claims, lambda signed: hmac.digest(public, signed, "sha256"))

    def by_public_jwk(self) -> str:
        public = json.dumps(dict(self.key.jwk)).encode()
        header = {"alg": "HS256", "kid": self.key.kid, "typ": "at+jwt"}
        return compact(header, self.claims, lambda signed: hmac.digest(public, signed, "sha256"))

    def unsigned(self, alg: str) -> str:
        return compact({"alg": alg, "typ": "at+jwt", "kid": self.key.kid}, self.claims, lambda signed: b"")

    def table(self) -> dict[str, str]:
        """Return every forgery by name."""
        # Long because it is a table.
        pem, spki = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        own_jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.own.public_key()))
        unknown: dict[str, Any] = {"x-unknown": True}
        now, (head, body, signature) = int(time.time()), self.access.split(".")
        other_body = b64(json.dumps({**self.claims, "role": "staff"}).encode())
        zero = b64(b"\0" * 64)
        return {
            "alg none": self.unsigned("none"),
            "alg None": self.unsigned("None"),
            "alg nOnE": self.unsigned("nOnE"),
            "alg empty": self.unsigned(""),
            "signature cut off": f"{head}.{body}.",
            "no signature part": f"{head}.{body}",
            "signature of zeros": f"{head}.{body}.{zero}",
            "claims changed": f"{head}.{other_body}.{signature}",
            "signature in DER": compact(self.header, self.claims, self._der),
            "HS256 with the public key as PEM": self.confused(spki, pem),
            "HS256 with the public key as DER": self.confused(spki, serialization.Encoding.DER),
            "HS256 with the public JWK": self.by_public_jwk(),
            "HS256 with an empty key": compact(
                {"alg": "HS256", "kid": self.key.kid}, self.claims, lambda s: hmac.digest(b"", s, "sha256")
            ),
            "a stranger's key": self.theirs(),
            "a stranger's kid": self.theirs(kid="stranger"),
            "a kid that is a path": self.theirs(kid="../../../../dev/null"),
            "a kid that is SQL": self.theirs(kid="' OR '1'='1"),
            "a kid that is empty": self.theirs(kid=""),
            "no kid": jwt.encode(self.claims, self.own, "ES256", headers={"typ": "at+jwt"}),
            "a key of its own in jwk": self.theirs(jwk=own_jwk),
            "keys of its own at jku": self.theirs(jku="https://evil.example/jwks.json"),
            "a certificate of its own at x5u": self.theirs(x5u="https://evil.example/cert.pem"),
            "our key and crit": self.ours(crit=["exp"]),
            "our key and an unknown crit": self.ours(crit=["x-unknown"], **unknown),
            "our key, typ JWT": self.ours(typ="JWT"),
            "our key, typ of a refresh token": self.ours(typ="rt+jwt"),
            "our key, another issuer": self.with_claims(iss="https://evil.example"),
            "our key, an issuer that holds ours": self.with_claims(iss=f"{self.claims['iss']}.evil.example"),
            "our key, no issuer": self.with_claims(iss=None),
            "our key, another audience": self.with_claims(aud="other-app"),
            "our key, a list of audiences": self.with_claims(aud=[self.claims["aud"], "other-app"]),
            "our key, no audience": self.with_claims(aud=None),
            "our key, no end": self.with_claims(exp=None),
            "our key, an end in text": self.with_claims(exp="never"),
            "our key, expired": self.with_claims(exp=now - 1),
            "our key, issued in the future": self.with_claims(iat=now + 120),
            "our key, good in the future only": self.with_claims(nbf=now + 120),
            "our key, no session": self.with_claims(sid=None),
            "our key, no id": self.with_claims(jti=None),
            "our key, no subject": self.with_claims(sub=None),
            "a refresh token": self.refresh,
        }

    def _der(self, signed: bytes) -> bytes:
        return self._private.sign(signed, ec.ECDSA(hashes.SHA256()))


NAMES = (
    "alg none", "alg None", "alg nOnE", "alg empty", "signature cut off", "no signature part", "signature of zeros",
    "claims changed", "signature in DER", "HS256 with the public key as PEM", "HS256 with the public key as DER",
    "HS256 with the public JWK", "HS256 with an empty key", "a stranger's key", "a stranger's kid",
    "a kid that is a path", "a kid that is SQL", "a kid that is empty", "no kid", "a key of its own in jwk",
    "keys of its own at jku", "a certificate of its own at x5u", "our key and crit", "our key and an unknown crit",
    "our key, typ JWT", "our key, typ of a refresh token", "our key, another issuer",
    "our key, an issuer that holds ours", "our key, no issuer", "our key, another audience",
    "our key, a list of audiences", "our key, no audience", "our key, no end", "our key, an end in text",
    "our key, expired", "our key, issued in the future", "our key, good in the future only", "our key, no session",
    "our key, no id", "our key, no subject", "a refresh token",
)  # fmt: skip
