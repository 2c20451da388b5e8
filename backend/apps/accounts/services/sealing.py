"""Keys derived from secrets, and small texts sealed under them (AES-256-GCM).

It must not know what is sealed, or where a sealed text is kept.
"""

import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE: Final = 12


class Unsealable(ValueError):
    """The text was sealed under another key, for another place, or is damaged; the message tells nothing else."""


def derive(secret: str | bytes, *, purpose: str) -> bytes:
    """Return the 32-byte key that belongs to `secret` and `purpose` (HMAC-SHA-256 as a PRF, NIST SP 800-108)."""
    raw = secret.encode() if isinstance(secret, str) else secret
    return hmac.digest(raw, b"derived-key\x00" + purpose.encode(), "sha256")


def seal(key: bytes, plaintext: bytes, *, bound_to: str) -> str:
    """Return `plaintext` encrypted under `key`; it opens only where `bound_to` is the same again."""
    nonce = os.urandom(_NONCE)
    return urlsafe_b64encode(nonce + AESGCM(key).encrypt(nonce, plaintext, bound_to.encode())).decode("ascii")


def unseal(key: bytes, sealed: str, *, bound_to: str) -> bytes:
    """Return what `seal` was given.

    Raises:
        Unsealable: wrong key, wrong place or damaged text.
    """
    try:
        raw = urlsafe_b64decode(sealed.encode("ascii"))
        return AESGCM(key).decrypt(raw[:_NONCE], raw[_NONCE:], bound_to.encode())
    except (InvalidTag, ValueError) as error:
        raise Unsealable("cannot be opened") from error
