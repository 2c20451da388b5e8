"""May this go on? Country, block list and the limits of the cache, each a question that raises when the answer is no.

It must not know codes, tries, gateways or HTTP.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from apps.accounts import phones, telemetry
from apps.accounts.config import Config
from apps.accounts.errors import (
    AccountsError,
    Blocked,
    CountryNotAllowed,
    RateLimited,
    ResendCooldown,
    ServiceUnavailable,
)
from apps.accounts.phones import Phone
from apps.accounts.services import guard as pumping
from apps.accounts.services.addresses import ip_networks
from apps.accounts.services.blocklist import BlockList
from apps.accounts.services.guard import Guard
from apps.accounts.services.humanity import Humanity
from apps.accounts.services.limits import Admission, Limit, Limiter, LimiterUnavailable, Standing
from apps.accounts.services.model import Asker
from apps.accounts.services.windows import whole_seconds

MINUTE_MS: Final = 60_000
WIDE_NETWORK_FACTOR: Final = 4
READ_OUT_TRIES_PER_IP: Final = 5
READ_OUT_WINDOW_MS: Final = 600_000
# The cache's stamp is a little older than the database's: what it says of a phone's wait is rounded towards later.
_CACHE_LAG_MS: Final = 250
_PHONE_SCOPES: Final = frozenset({"phone", "cooldown"})
_OWN_SCOPES: Final = frozenset({"ip", "ip48", "device"})


@dataclass(frozen=True, slots=True)
class Ticketed:
    """Limits that were taken together, so that they can be given back together."""

    limits: tuple[Limit, ...]
    reservation: str
    standings: tuple[Standing, ...]


class Policy:
    """Judges a call. One per process; thread-safe."""

    def __init__(
        self,
        *,
        config: Config,
        limiter: Limiter,
        blocklist: BlockList,
        guard: Guard | None = None,
        humanity: Humanity | None = None,
    ) -> None:
        self._config = config
        self._guard = guard
        self._humanity = humanity
        self._limiter = limiter
        self._blocklist = blocklist
        self._key = hmac.digest(config.secret_key.encode(), b"limit-subjects", "sha256")

    def require_unblocked(self, phone: Phone | None, asker: Asker) -> None:
        """Ask the block list.

        Raises:
            Blocked: the phone, its prefix, the client's address or the device is on it.
        """
        found = self._blocklist.match(phone=phone.e164 if phone else "", ip=asker.ip, device_id=asker.device_id)
        if found:
            telemetry.refused(code="blocked", scope=found, phone=phone)
            raise Blocked()

    def require_unblocked_number(self, e164: str) -> None:
        """Ask the block list about a number that the door did not know: the call named a challenge.

        A block ends the challenges it finds. A process that had not taken note of it yet may have opened one since.

        Raises:
            Blocked: the number or its prefix is on the list.
        """
        found = self._blocklist.match(phone=e164, ip="", device_id="")
        if found:
            telemetry.refused(code="blocked", scope=found, phone=phones.of_stored(e164))
            raise Blocked()

    def require_country(self, phone: Phone) -> None:
        """Ask whether numbers of this region may be texted; by region, as +1 is many countries.

        Raises:
            CountryNotAllowed: not in OTP_ALLOWED_COUNTRIES.
        """
        allowed = self._config.allowed_countries
        if allowed and phone.region not in allowed:
            telemetry.refused(code="country_not_allowed", scope=phone.region, phone=phone)
            raise CountryNotAllowed()

    def admit_send(self, phone: Phone, asker: Asker, *, lane: str, test: bool) -> Ticketed:
        """Ask the guard and for a proof where one is due, then take every limit of a send in one step, or none.

        Raises:
            CountryNotAllowed: paused by the pumping guard. ProofRequired: no good proof came along.
            ResendCooldown, RateLimited: one of them is used up; nothing was taken.
            ServiceUnavailable: Redis is gone and the memory fallback is switched off, or the budget is gone.
        """
        if test:
            return Ticketed(limits=(), reservation="", standings=self._untouched(phone, asker, lane))
        limits = (*self._send_limits(phone, asker, lane=lane), *self._guarded(phone, asker, trusted=bool(lane)))
        if not limits:
            return Ticketed(limits=(), reservation="", standings=())
        try:
            admission = self._ask(limits, take=True)
        except ServiceUnavailable:
            telemetry.send_refused(limit="store")
            raise
        own = tuple(standing for standing in admission.standings if standing.limit.scope in _OWN_SCOPES)
        if not admission.admitted:
            refusal = self._refusal(admission, phone)
            telemetry.send_refused(limit=admission.refused.scope if admission.refused else "")
            refusal.standings = own
            raise refusal
        return Ticketed(limits=limits, reservation=admission.reservation, standings=own)

    def _untouched(self, phone: Phone, asker: Asker, lane: str) -> tuple[Standing, ...]:
        """Return how the caller's own limits stand after a send to a test number, which counts in none of them."""
        own = [limit for limit in self._send_limits(phone, asker, lane=lane) if limit.scope in _OWN_SCOPES]
        try:
            return self._limiter.peek(own).standings if own else ()
        except LimiterUnavailable:
            return ()

    def _guarded(self, phone: Phone, asker: Asker, *, trusted: bool) -> tuple[Limit, ...]:
        if self._guard is not None:
            self._guard.require_open(phone, asker.ip, trusted=trusted)
        human = self._humanity is not None and self._humanity.require(phone, asker, trusted=trusted)
        if self._guard is None:
            return ()
        return tuple(self._guard.limits(phone, trusted=trusted, human=human))

    def note_proven(self, e164: str) -> None:
        """Take note that a code was verified."""
        if self._guard is not None:
            self._guard.proved(e164)

    def give_back(self, taken: Ticketed, *, everything: bool) -> tuple[Standing, ...]:
        """Give a send's limits back: all of them, or only the phone's, the device's and the cooldown.

        Return how the caller's own limits stand then.
        """
        limits = [limit for limit in taken.limits if everything or limit.scope in {"phone", "cooldown", "device"}]
        if limits:
            try:
                self._limiter.refund(limits, reservation=taken.reservation)
            except LimiterUnavailable:
                return taken.standings
        return tuple(one.given_back() if one.limit in limits else one for one in taken.standings)

    def require_tries_left(self, asker: Asker, *, by_phone_alone: bool) -> None:
        """Ask whether this address, and for calls by phone alone the whole service, may still guess.

        Raises:
            RateLimited: scope `ip` or `global`.
        """
        admission = self._tries_left(asker, by_phone_alone)
        if not admission.admitted:
            raise self._refusal(admission, None)

    def has_tries_left(self, asker: Asker, *, by_phone_alone: bool) -> bool:
        """Say what `require_tries_left` would, for a caller that has another way to go."""
        return self._tries_left(asker, by_phone_alone).admitted

    def _tries_left(self, asker: Asker, by_phone_alone: bool) -> Admission:
        limits = [self._ip_failures(asker)]
        if by_phone_alone:
            limits.append(self._global_failures())
        return self._ask(limits, take=False)

    def count_wrong(self, asker: Asker, *, by_phone_alone: bool) -> None:
        """Count one wrong code against this address and the service.

        Raises:
            RateLimited: parallel guesses filled the count meanwhile: the answer must not say what this one was.
        """
        ip, everybody = self._ip_failures(asker), self._global_failures()
        if self._ask([ip, everybody], take=True).admitted:
            return
        # One of them is full: together neither counted, so each for itself.
        alarm = self._ask([everybody], take=True)
        if not alarm.admitted:
            telemetry.alarm("wrong_codes_spray")
        admission = self._ask([ip], take=True)
        if not admission.admitted:
            raise self._refusal(admission, None)
        if not alarm.admitted and by_phone_alone:
            raise self._refusal(alarm, None)

    def read_out_try_allowed(self, phone: Phone, asker: Asker) -> bool:
        """Take one of this address' tries at the phone's read-out code."""
        subject = self._subject("readout", phone.e164, asker.ip)
        limit = Limit(
            scope="readout_ip",
            subject=subject,
            limit=READ_OUT_TRIES_PER_IP,
            window_ms=READ_OUT_WINDOW_MS,
            always_judged=True,
        )
        return self._ask([limit], take=True).admitted

    def _send_limits(self, phone: Phone, asker: Asker, *, lane: str) -> Sequence[Limit]:
        config, window = self._config, self._config.risk_window_seconds * 1000
        found: list[Limit] = []
        subject = self._subject("phone", phone.e164, lane)
        if config.cooldown_seconds:
            found.append(Limit("cooldown", subject, 1, config.cooldown_seconds * 1000, durable_elsewhere=True))
        if config.send_limit:
            found.append(
                Limit("phone", subject, config.send_limit, config.send_window_seconds * 1000, durable_elsewhere=True)
            )
        if config.ip_limit:
            near, wide = ip_networks(asker.ip)
            found.append(Limit("ip", self._subject("ip", near), config.ip_limit, window))
            if wide:
                found.append(Limit("ip48", self._subject("ip48", wide), config.ip_limit * WIDE_NETWORK_FACTOR, window))
        if config.device_limit and asker.device_id:
            found.append(Limit("device", self._subject("device", asker.device_id), config.device_limit, window))
        if config.global_per_minute:
            found.append(Limit("global", "", config.global_per_minute, MINUTE_MS))
        return found

    def _ip_failures(self, asker: Asker) -> Limit:
        near, _ = ip_networks(asker.ip)
        return Limit(
            "ip_failures",
            self._subject("ip", near),
            self._config.ip_failures_limit,
            self._config.risk_window_seconds * 1000,
            always_judged=True,
        )

    def _global_failures(self) -> Limit:
        return Limit("global_failures", "", self._config.global_failures_per_minute, MINUTE_MS, always_judged=True)

    def _ask(self, limits: Sequence[Limit], *, take: bool) -> Admission:
        try:
            return self._limiter.admit(limits) if take else self._limiter.peek(limits)
        except LimiterUnavailable as error:
            raise ServiceUnavailable(retry_after=5) from error

    def _refusal(self, admission: Admission, phone: Phone | None) -> AccountsError:
        limit = admission.refused
        assert limit is not None
        wait = admission.retry_after_ms
        if limit.scope in pumping.SCOPES:
            assert self._guard is not None
            assert phone is not None
            return self._guard.refusal(limit, wait, phone)
        if limit.scope in _PHONE_SCOPES:
            wait = min(wait + _CACHE_LAG_MS, limit.window_ms)
        if limit.scope == "cooldown":
            telemetry.refused(code="resend_cooldown", phone=phone)
            return ResendCooldown(retry_after=whole_seconds(wait))
        scope = {"ip48": "ip", "ip_failures": "ip", "global_failures": "global"}.get(limit.scope, limit.scope)
        telemetry.refused(code="rate_limited", scope=scope, phone=phone)
        return RateLimited(retry_after=whole_seconds(wait), scope=scope)

    def _subject(self, *parts: str) -> str:
        return hmac.digest(self._key, "\x00".join(parts).encode(), "sha256").hex()[:32]
