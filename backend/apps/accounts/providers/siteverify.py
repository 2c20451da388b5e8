"""Human proofs judged by those who gave them out: Cloudflare Turnstile and Google reCAPTCHA, one HTTP call each.

It must not know when a proof is asked for. Both take a form with the site's secret and the client's token and answer
JSON with `success` and `error-codes`; what goes wrong between us and them is `ProofUnavailable`, never a verdict.

Turnstile: developers.cloudflare.com/turnstile/get-started/server-side-validation (a token lives 300 seconds, works
once, has at most 2048 characters). reCAPTCHA: developers.google.com/recaptcha/docs/verify (v2, two minutes, once) and
developers.google.com/recaptcha/docs/v3 (the same call, with a score from 0 to 1).
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode, urlsplit

from apps.accounts.providers.base import ProviderError
from apps.accounts.providers.http import Http

ADDRESSES: Final[Mapping[str, str]] = {
    "turnstile": "https://challenges.cloudflare.com/turnstile/v0/siteverify",
    "recaptcha": "https://www.google.com/recaptcha/api/siteverify",
}
# reCAPTCHA v3 advises this as the first threshold; v2 answers carry no score.
LOWEST_SCORE: Final = 0.5
# Their words for faults that no token can be blamed for. Everything else is the token's.
OUR_FAULTS: Final = frozenset({"missing-input-secret", "invalid-input-secret", "bad-request", "internal-error"})
CONNECTIONS: Final = 16
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}


class ProofUnavailable(Exception):
    """The service cannot be asked, or does not know us; `reason` is a short word of ours or theirs."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ProofVerdict:
    """Whether the token is good; `reason` says why not."""

    good: bool
    reason: str = ""


class Siteverify:
    """Asks one proof service. Thread-safe."""

    def __init__(self, name: str, *, secret: str, address: str = "", timeout: float) -> None:
        """Take `turnstile` or `recaptcha`, the site's secret, and an address in place of the public one."""
        parts = urlsplit(address or ADDRESSES[name])
        self.name = name
        self._secret = secret
        self._timeout = timeout
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._http = Http(f"{parts.scheme}://{parts.netloc}", timeout=timeout, connections=CONNECTIONS)

    def judge(self, token: str) -> ProofVerdict:
        """Ask once whether `token` is good; the client's address is not handed on.

        Raises:
            ProofUnavailable: no answer in time, none that can be read, or one that is about us.
        """
        body = urlencode({"secret": self._secret, "response": token}).encode()
        try:
            answer = self._http.exchange(
                "POST", self._path, headers=_FORM, body=body, deadline=time.monotonic() + self._timeout
            )
        except ProviderError as error:
            raise ProofUnavailable(error.vendor_code or error.kind) from None
        members = answer.object()
        success = members.get("success")
        if not isinstance(success, bool):
            raise ProofUnavailable(f"status_{answer.status}")
        if success and answer.ok:
            return _scored(members.get("score"))
        reasons = [word for word in _listed(members.get("error-codes")) if isinstance(word, str)]
        ours = [word for word in reasons if word in OUR_FAULTS]
        if ours or (not answer.ok and not reasons):
            raise ProofUnavailable(ours[0] if ours else f"status_{answer.status}")
        return ProofVerdict(good=False, reason=(reasons or ["refused"])[0][:32])

    def close(self) -> None:
        """Close the kept connections."""
        self._http.close()


def _scored(score: object) -> ProofVerdict:
    if isinstance(score, (int, float)) and not isinstance(score, bool) and score < LOWEST_SCORE:
        return ProofVerdict(good=False, reason="low_score")
    return ProofVerdict(good=True)


def _listed(found: object) -> list[object]:
    return found if isinstance(found, list) else []
