"""One-time codes: derived from a nonce whenever they are needed, compared in constant time, stored nowhere.

It must not know how a code travels, who asked for it, or a database.
"""

import hmac
import re
import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from apps.accounts.phones import fold_digits

LENGTH: Final = 6
_SPACE: Final = 10**LENGTH
# The largest multiple of 10^6 below 2^64: draws above it would favour small codes and are drawn again.
_UNBIASED: Final = (2**64 // _SPACE) * _SPACE
_CODE: Final = re.compile(r"[0-9]{6}\Z")


@dataclass(frozen=True, slots=True, repr=False)
class CodeKey:
    """A secret that codes are derived with, and the short id by which a row remembers which one."""

    secret: bytes

    @property
    def key_id(self) -> str:
        """Return 8 hex characters that name the key and reveal nothing of it."""
        return sha256(b"code-key-id\x00" + self.secret).hexdigest()[:8]


def new_nonce() -> str:
    """Return 128 random bits as 32 hex characters."""
    return secrets.token_hex(16)


def derive(key: CodeKey, *, nonce: str, purpose: str, phone: str) -> str:
    """Return the six digits that belong to `nonce`, `purpose` and `phone` under `key`.

    HMAC-SHA-256 as a PRF; the digest is read as 64-bit draws and the first one below the largest multiple of
    a million is reduced, so no code is likelier than another. A draw is refused once in 2^44.
    """
    block = hmac.digest(key.secret, f"otp-code\x00{nonce}\x00{purpose}\x00{phone}".encode(), "sha256")
    while True:
        for start in range(0, 32, 8):
            draw = int.from_bytes(block[start : start + 8], "big")
            if draw < _UNBIASED:
                return f"{draw % _SPACE:06d}"
        block = hmac.digest(key.secret, block, "sha256")


def equal(left: str, right: str) -> bool:
    """Compare two codes in constant time; never raises on odd characters."""
    return hmac.compare_digest(left.encode("utf-8", "surrogatepass"), right.encode("utf-8", "surrogatepass"))


def clean(text: str) -> str | None:
    """Return the six ASCII digits a person typed (digits folded, white space around dropped), or None if malformed."""
    folded = fold_digits(text.strip())
    return folded if _CODE.match(folded) else None
