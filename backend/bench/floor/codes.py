"""The floor's codes: derived, so that a driver without a gateway can know them too; it must not import Django."""

import hmac


def derive(key: bytes, *, phone: str) -> str:
    """Return six digits out of the key and the number."""
    return f"{int.from_bytes(hmac.digest(key, phone.encode(), 'sha256')[:8], 'big') % 1_000_000:06d}"


def digest(key: bytes, *, phone: str, code: str) -> bytes:
    """Return what the challenge row keeps instead of the code."""
    return hmac.digest(key, f"{phone}:{code}".encode(), "sha256")
