"""How Twilio and Meta sign what they post to us; knows no message, no socket and no SDK.

Computed here and not with the vendor's SDK, so that a mistake of the SDK's reader cannot hide in its own writer.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from enum import StrEnum
from urllib.parse import urlsplit

TWILIO_HEADER = "X-Twilio-Signature"
TWILIO_SETTINGS_HEADER = "X-Twilio-Webhooks-Signature-Settings"
META_HEADER = "X-Hub-Signature-256"


class Forgery(StrEnum):
    """In which way a receipt is not genuine."""

    NONE = "none"
    WRONG = "wrong"
    """Well formed, made with a secret that nobody has."""
    MISSING = "missing"
    """No signature header at all."""
    EMPTY = "empty"
    """The header is there and says nothing."""
    TAMPERED = "tampered"
    """Signed rightly, changed on the way."""
    UNKNOWN_KEY = "unknown_key"
    """Twilio: names a shared key that is not ours. Meta: as WRONG."""
    UNKNOWN_ALGORITHM = "unknown_algorithm"
    """Twilio: names an algorithm that does not exist. Meta: an old `sha1=` value."""


FORGERS_SECRET = "a-secret-that-belongs-to-nobody"


def without_fragment(url: str) -> str:
    """Return the URL as Twilio signs it: everything but the fragment.

    Source: twilio.com/docs/usage/webhooks/webhooks-security and the connection-override page (fragment unsigned).
    """
    return url.partition("#")[0]


def twilio(secret: str, *, url: str, fields: Iterable[tuple[str, str]], sha256: bool = False) -> str:
    """Sign a form post as Twilio does and return the base64 text of the header.

    The URL without fragment, then every name and each distinct value, both sorted, with nothing between them.
    Source: twilio.com/docs/usage/webhooks/webhooks-security.
    """
    pairs = sorted(set(fields))
    text = without_fragment(url) + "".join(name + value for name, value in pairs)
    digest = hashlib.sha256 if sha256 else hashlib.sha1
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), digest).digest()).decode()


def meta(secret: str, *, body: bytes) -> str:
    """Sign the raw bytes of a webhook as Meta does and return the header's value.

    Source: developers.facebook.com, Webhooks, "Validating payloads".
    """
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def origin_of(url: str) -> str:
    """Return scheme and authority of a URL, such as `https://otp.example.test`."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
