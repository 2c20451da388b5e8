"""A number's opaque id: the same for one number wherever operators meet it, and worthless to whoever has no key.

It must not know what is stored under it.
"""

import hmac
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class NumberIds:
    """Makes ids under a key that is derived from the server's secret."""

    key: bytes

    @classmethod
    def build(cls, secret_key: str) -> "NumberIds":
        """Return the ids of a service."""
        return cls(hmac.digest(secret_key.encode(), b"number-ids", "sha256"))

    def of(self, e164: str) -> str:
        """Return 32 hex characters that stand for the number."""
        return hmac.digest(self.key, e164.encode(), "sha256").hex()[:32]
