"""A proof that a person, or a genuine app, asks for a code: when it is asked for, and what the answer means.

Off unless a proof service is configured. It must not know HTTP or a service's wire format; the call is made outside any
transaction, holds no database connection, and has places of its own, so that a slow proof service delays nobody else.
"""

import hmac
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from apps.accounts import telemetry
from apps.accounts.config import Config
from apps.accounts.errors import ProofRequired, RateLimited, ServiceUnavailable
from apps.accounts.phones import Phone
from apps.accounts.providers.siteverify import ProofUnavailable, ProofVerdict
from apps.accounts.services import statements
from apps.accounts.services.addresses import ip_networks
from apps.accounts.services.guard import Guard
from apps.accounts.services.limits import Limit, Limiter, LimiterUnavailable
from apps.accounts.services.model import Asker
from apps.accounts.services.windows import whole_seconds

TIMEOUT_SECONDS: Final = 3.0
PLACES: Final = 32
# Turnstile's longest token has 2048 characters; reCAPTCHA's are usually shorter and not bounded by its documents.
LONGEST_TOKEN: Final = 4096
# Proofs that one client may have judged in a minute: junk must not fill the places.
TRIES: Final = 20
MINUTE_MS: Final = 60_000
# After a failure of the service, a client that could not get a token is not blamed for so long.
DOWN_SECONDS: Final = 15.0


class ProofService(Protocol):
    """Judges tokens. Raises ProofUnavailable."""

    name: str

    def judge(self, token: str) -> ProofVerdict: ...


class Humanity:
    """Asks for proofs. One per process; thread-safe."""

    def __init__(
        self,
        *,
        config: Config,
        service: ProofService | None,
        guard: Guard,
        limiter: Limiter,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._guard = guard
        self._limiter = limiter
        self._monotonic = monotonic
        self._always = config["OTP_PROOF_WHEN"] == "always"
        self._countries = frozenset(config["OTP_PROOF_COUNTRIES"])
        self._lenient = config["OTP_PROOF_ON_ERROR"] == "allow"
        self._key = hmac.digest(config.secret_key.encode(), b"proof-subjects", "sha256")
        self._places = threading.BoundedSemaphore(PLACES)
        self._down_until = float("-inf")

    def require(self, phone: Phone, asker: Asker, *, trusted: bool) -> bool:
        """Ask for a proof where one is due; say whether a good one was given.

        Raises:
            ProofRequired: none came along, or it is not good. RateLimited: this client had too many judged.
            ServiceUnavailable: the service is down and that means no, or all places are taken.
        """
        service = self._service
        if service is None or not self._is_due(phone, asker, trusted=trusted):
            return False
        if not asker.proof:
            if self._monotonic() < self._down_until:
                return self._unavailable("down", phone)
            raise self._required(service, "missing", phone)
        if len(asker.proof) > LONGEST_TOKEN:
            raise self._required(service, "too_long", phone)
        self._take_try(asker, phone)
        try:
            verdict = self._judge(service, asker.proof)
        except ProofUnavailable as error:
            self._down_until = self._monotonic() + DOWN_SECONDS
            telemetry.alarm("proof_service_down", service=service.name, reason=error.reason)
            return self._unavailable(error.reason, phone)
        if not verdict.good:
            raise self._required(service, verdict.reason, phone)
        return True

    def _is_due(self, phone: Phone, asker: Asker, *, trusted: bool) -> bool:
        if self._countries and phone.region not in self._countries:
            return False
        return self._always or (not trusted and self._guard.is_risky(phone, asker.ip))

    def _judge(self, service: ProofService, token: str) -> ProofVerdict:
        # A full house is no failure of the service: if it let people through, junk tokens would be the way in.
        if not self._places.acquire(blocking=False):
            raise ServiceUnavailable(retry_after=2)
        try:
            statements.give_back_connection()
            return service.judge(token)
        finally:
            self._places.release()

    def _take_try(self, asker: Asker, phone: Phone) -> None:
        near, _ = ip_networks(asker.ip)
        subject = hmac.digest(self._key, near.encode(), "sha256").hex()[:32]
        try:
            admission = self._limiter.admit([Limit("proof", subject, TRIES, MINUTE_MS)])
        except LimiterUnavailable as error:
            telemetry.send_refused(limit="store")
            raise ServiceUnavailable(retry_after=5) from error
        if not admission.admitted:
            telemetry.send_refused(limit="proof")
            telemetry.refused(code="rate_limited", scope="proof", phone=phone)
            raise RateLimited(retry_after=whole_seconds(admission.retry_after_ms), scope="ip")

    def _unavailable(self, reason: str, phone: Phone) -> bool:
        if self._lenient:
            return False
        telemetry.refused(code="service_unavailable", scope="proof", phone=phone)
        raise ServiceUnavailable(retry_after=5)

    def _required(self, service: ProofService, reason: str, phone: Phone) -> ProofRequired:
        telemetry.refused(code="proof_required", scope="proof", phone=phone)
        telemetry.happened("proof_refused", service=service.name, reason=reason)
        return ProofRequired(provider=service.name)
