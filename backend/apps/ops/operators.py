"""Who operates: the named tokens of the configuration, and the count of wrong ones.

It must not know HTTP, nor what an operator may do.
"""

import hmac
import secrets
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from apps.accounts.errors import NotAuthenticated, RateLimited, TokenInvalid
from apps.accounts.services.addresses import ip_networks
from apps.accounts.services.limits import Limit
from apps.accounts.services.windows import whole_seconds
from apps.accounts.services.wiring import Services

WRONG_PER_MINUTE: Final = 10
_MINUTE_MS: Final = 60_000
# Digests are compared, under a key of this process: their length and their bytes tell nothing of a token.
_KEY: Final = secrets.token_bytes(32)


@dataclass(frozen=True, slots=True)
class Operator:
    """The name that the audit trail shows."""

    name: str


def identify(shown: str, *, ip: str, services: Services) -> Operator:
    """Return the operator whose token `shown` (a header's text, as WSGI decodes it) is.

    Raises:
        NotAuthenticated: no token. TokenInvalid: a wrong one.
        RateLimited: a wrong one, after ten in a minute from this address; a right one always passes.
    """
    if not shown:
        raise NotAuthenticated
    given = _digest(_bytes_of(shown))
    found = ""
    # Every token is compared, whatever the ones before it said.
    for name, digest in _digests(services.config.admin_tokens):
        if hmac.compare_digest(digest, given):
            found = name
    if found:
        return Operator(found)
    _count_wrong(ip, services)
    raise TokenInvalid


def _count_wrong(ip: str, services: Services) -> None:
    near, _ = ip_networks(ip)
    key = services.config.secret_key.encode()
    subject = hmac.digest(key, b"operator-tokens\x00" + near.encode(), "sha256").hex()[:32]
    limit = Limit("operator_tokens", subject, WRONG_PER_MINUTE, _MINUTE_MS, always_judged=True)
    admission = services.limiter.admit([limit])
    if not admission.admitted:
        raise RateLimited(retry_after=whole_seconds(admission.retry_after_ms), scope="ip")


@lru_cache(maxsize=4)
def _digests(tokens: tuple[tuple[str, str], ...]) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, _digest(token.encode())) for name, token in tokens)


def _digest(value: bytes) -> bytes:
    return hmac.digest(_KEY, value, "sha256")


def _bytes_of(shown: str) -> bytes:
    """Return the bytes that came over the wire: WSGI hands them out as Latin-1 (PEP 3333); nothing raises here."""
    try:
        return shown.encode("latin-1")
    except UnicodeEncodeError:
        return shown.encode("utf-8", "surrogatepass")
