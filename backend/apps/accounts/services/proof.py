"""Proving a code: a try is claimed and committed, compared, and the first winner consumes the code.

What a proven code is good for is the caller's: `then` runs in the consuming transaction. It knows no HTTP, no session.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from apps.accounts import codes, telemetry
from apps.accounts.clock import Clock
from apps.accounts.codes import CodeKey
from apps.accounts.config import Config
from apps.accounts.errors import AccountsError, InvalidCode, ServiceUnavailable
from apps.accounts.phones import Phone, mask
from apps.accounts.providers.base import Channel, Checker, CheckOutcome, Provider, ProviderError
from apps.accounts.services import fused, fused_sql, minting, statements, tries
from apps.accounts.services.lanes import TryRules
from apps.accounts.services.model import READ_OUT, Asker, OpenCode, Purpose
from apps.accounts.services.policy import Policy
from apps.accounts.services.tries import Claim
from apps.accounts.services.turnstile import Turnstile

T = TypeVar("T")
AtOnce = Callable[[Claim, OpenCode], T | AccountsError | None]
MAX_VENDOR_RETRIES = 2


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of verify. Either `challenge_id` is named, or the call is by phone.

    `read_out_first`: it is by phone, of a device whose own challenge was found, and a read-out code is open.
    """

    typed: str
    asker: Asker
    purpose: Purpose
    phone: Phone | None = None
    challenge_id: str = ""
    scope: str = ""
    device_token_id: str = ""
    kind: str = "sent"
    read_out_first: bool = False

    def __repr__(self) -> str:
        return "Attempt(…)"


@dataclass(frozen=True, slots=True)
class Proven:
    """A code that was right and is used up, in a transaction that is still open. `now` is the database's clock."""

    claim: Claim
    code: OpenCode
    phone: str
    now: datetime
    channel: str


class Prover:
    """Claims, compares, consumes. One per process; thread-safe."""

    def __init__(self, *, config: Config, policy: Policy, providers: Mapping[str, Provider], clock: Clock) -> None:
        self._config = config
        self._policy = policy
        self._checkers = {name: one for name, one in providers.items() if isinstance(one, Checker)}
        self._clock = clock
        self._turns = Turnstile()
        self._keys: dict[str, CodeKey] = {key.key_id: key for key in config.code_keys}
        self._rules = TryRules(per_challenge=config.max_attempts, per_day=config.max_failures_per_day)
        self._fixed = {number.e164: number.code for number in config.test_numbers}

    def code_of(self, code: OpenCode, *, phone: str, purpose: Purpose) -> str | None:
        """Derive the digits of an open code; None, and an alarm, when the secret it was made with is not ours."""
        if code.kind == "test":
            return self._fixed.get(phone)
        key = self._keys.get(code.key_id)
        if key is None:
            telemetry.alarm("code_key_unknown")
            return None
        return codes.derive(key, nonce=code.nonce, purpose=purpose.value, phone=phone)

    def prove(
        self, attempt: Attempt, then: Callable[[Proven], T | AccountsError], at_once: AtOnce[T] | None = None
    ) -> T:
        """Compare what was typed and, if it is right, run `then` in the transaction that uses the code up.

        `then` may return an AccountsError: the code stays used and the error is raised after the commit. `at_once` does
        all of that in one statement, or returns None and has changed nothing.

        Raises:
            InvalidCode: wrong, expired, used or never requested.
            TooManyAttempts, RateLimited: the lane, the address or the service may not guess now.
            Blocked: the code was right, and the challenge's number is on the block list.
            ServiceUnavailable: the vendor that knows the code cannot be asked.
        """
        typed = codes.clean(attempt.typed)
        if typed is None:
            raise InvalidCode()
        subject = attempt.challenge_id or (attempt.phone.e164 if attempt.phone else "")
        with self._turns.turn(subject):
            claim, matched = self._claim_any(attempt, typed)
        if matched is None:
            if self._checkers and claim.codes:
                claim = minting.with_all_carried(claim, offset=self._clock.offset)
            matched = self._match(claim, typed) or self._ask_vendor(attempt, claim, typed)
        if matched is None:
            self._count_wrong(attempt, claim)
            raise InvalidCode()
        if attempt.phone is None:
            self._policy.require_unblocked_number(claim.phone)
        with self._turns.turn(claim.phone):
            result = at_once(claim, matched) if at_once and not claim.moved else None
            if result is None:
                result = statements.retried(lambda: self._consume(claim, matched, then))
        self._policy.note_proven(claim.phone)
        telemetry.verified(phone=mask(claim.phone), purpose=claim.purpose.value)
        if isinstance(result, AccountsError):
            raise result
        return result

    def _claim_any(self, attempt: Attempt, typed: str) -> tuple[Claim, OpenCode | None]:
        """Claim a try in the lane that the call may use; with the code where that was compared already."""
        at_once = not attempt.read_out_first and self._may_claim_at_once(attempt)
        claim = self._claim_at_once(attempt) if at_once else None
        if claim is not None:
            return claim, None
        if attempt.read_out_first or not attempt.challenge_id:
            claim = self._claim_read_out(attempt, typed)
            if claim is not None:
                return claim, claim.codes[0]
        if not at_once:  # else the cache was asked a moment ago
            self._policy.require_tries_left(attempt.asker, by_phone_alone=not attempt.challenge_id)
        return self._claim(attempt), None

    def _may_claim_at_once(self, attempt: Attempt) -> bool:
        if not fused.available() or attempt.kind != "sent" or attempt.device_token_id:
            return False
        return self._policy.has_tries_left(attempt.asker, by_phone_alone=not attempt.challenge_id)

    def _claim_at_once(self, attempt: Attempt) -> Claim | None:
        """Claim in one statement where nothing is out of the ordinary."""
        if attempt.challenge_id:
            claim = fused.claim_on_challenge(attempt.challenge_id, rules=self._rules, offset=self._clock.offset)
            return self._fitting(claim, attempt) if claim else None
        if attempt.phone is None or attempt.purpose is not Purpose.LOGIN:
            return None
        return fused.claim_on_phone(attempt.phone.e164, rules=self._rules, offset=self._clock.offset)

    def _claim_read_out(self, attempt: Attempt, typed: str) -> Claim | None:
        if attempt.purpose is not Purpose.LOGIN or attempt.phone is None or attempt.kind != "sent":
            return None
        open_one = statements.row(
            "SELECT 1 FROM accounts_code WHERE phone = %s AND purpose = 'login' AND scope = '' AND state = 'open' "
            "AND kind = 'readout'",
            (attempt.phone.e164,),
        )
        if open_one is None or not self._policy.read_out_try_allowed(attempt.phone, attempt.asker):
            return None
        claim = tries.claim_read_out(attempt.phone.e164, offset=self._clock.offset)
        if claim is None or self._match(claim, typed) is None:
            telemetry.wrong_code(phone=attempt.phone, lane="readout")
            return None
        return claim

    def _claim(self, attempt: Attempt) -> Claim:
        lane = f"device:{attempt.device_token_id}" if attempt.device_token_id else ""
        if attempt.challenge_id:
            claim = tries.claim_on_challenge(
                attempt.challenge_id, device_lane=lane, rules=self._rules, offset=self._clock.offset
            )
            return self._fitting(claim, attempt)
        assert attempt.phone is not None
        return tries.claim_on_phone(
            attempt.phone.e164, attempt.purpose, kind=attempt.kind, device_lane=lane, rules=self._rules,
            offset=self._clock.offset,
        )  # fmt: skip

    @staticmethod
    def _fitting(claim: Claim, attempt: Attempt) -> Claim:
        """Return a claim on the challenge that the caller meant.

        Raises:
            InvalidCode: it is of another number, purpose or session; the try was counted.
        """
        fits = claim.purpose is attempt.purpose and claim.scope == attempt.scope
        if not fits or (attempt.phone is not None and attempt.phone.e164 != claim.phone):
            raise InvalidCode()
        return claim

    def _match(self, claim: Claim, typed: str) -> OpenCode | None:
        found = None
        for code in claim.codes:
            derived = self.code_of(code, phone=claim.phone, purpose=claim.purpose) if code.is_ours else None
            if derived is not None and codes.equal(derived, typed):
                found = found or code
        return found

    def _ask_vendor(self, attempt: Attempt, claim: Claim, typed: str) -> OpenCode | None:
        """Ask the gateway that made the code itself, outside any transaction."""
        for name in dict.fromkeys(code.minted_by for code in claim.codes):
            checker = self._checkers.get(name)
            code = minting.known_to(name, claim) if checker else None
            if checker is None or code is None:
                continue
            statements.give_back_connection()
            try:
                outcome = checker.check(
                    to=claim.phone, channel=Channel.SMS, code=typed,
                    deadline=time.monotonic() + self._config.provider_timeout,
                )  # fmt: skip
            except ProviderError as error:
                self._vendor_out_of_reach(attempt, claim)
                raise ServiceUnavailable(retry_after=2) from error
            if outcome is CheckOutcome.RIGHT:
                return code
        return None

    def _vendor_out_of_reach(self, attempt: Attempt, claim: Claim) -> None:
        """Give the try back while that may be; one that stays claimed was a wrong guess where ours was compared."""
        given_back = tries.give_back(claim, at_most=MAX_VENDOR_RETRIES)
        if not given_back and any(code.is_ours for code in claim.codes):
            self._count_wrong(attempt, claim)

    def _count_wrong(self, attempt: Attempt, claim: Claim) -> None:
        """Count a wrong code.

        Raises:
            RateLimited: the address or the service had too many meanwhile.
        """
        tries.lock_if_used_up(claim, rules=self._rules, offset=self._clock.offset)
        telemetry.wrong_code(phone=attempt.phone, lane=claim.lane.partition(":")[0])
        self._policy.count_wrong(attempt.asker, by_phone_alone=not attempt.challenge_id)

    def _consume(self, claim: Claim, code: OpenCode, then: Callable[[Proven], T | AccountsError]) -> T | AccountsError:
        with statements.durable():
            tries.lock_lanes(claim.phone)
            if claim.moved:
                minting.lock(claim.codes)
            moment = statements.shifted_now_sql(self._clock.offset)
            used = statements.row(
                f"UPDATE accounts_code SET state = 'used', used_at = {moment} WHERE id = %s "
                f"AND {statements.unindexed_sql('state')} = 'open' AND expires_at > {moment} RETURNING used_at",
                (code.id,),
            )
            if used is None:
                raise InvalidCode()
            now = statements.as_time(used[0])
            channel = self._close_challenge(claim, code, now)
            proven = Proven(claim=claim, code=code, phone=claim.phone, now=now, channel=channel)
            return then(proven)

    def _close_challenge(self, claim: Claim, code: OpenCode, now: datetime) -> str:
        """Mark the challenge that was proven and return its channel.

        By phone alone that is known only where the code has a single one; the channel, where all have the same.
        """
        if code.kind == "readout":
            statements.run(
                "UPDATE accounts_challenge SET status = 'verified', closed_at = %s WHERE code_id = %s", (now, code.id)
            )
            return READ_OUT
        if claim.challenge_id:
            found = statements.row(
                "UPDATE accounts_challenge SET status = 'verified', closed_at = %s WHERE id = %s RETURNING channel",
                (now, claim.challenge_id),
            )
            if claim.moved:
                minting.end_others(claim, code)
                return minting.channel_of(claim.challenge_id, code) or "sms"
        elif claim.moved:
            found = minting.close_carrier(claim.phone, code, now)
            minting.end_others(claim, code)
        else:
            found = statements.row(
                "UPDATE accounts_challenge SET status = 'verified', closed_at = %s WHERE code_id = %s "
                "AND NOT EXISTS (SELECT 1 FROM accounts_challenge o WHERE o.code_id = %s "
                "AND o.id <> accounts_challenge.id) RETURNING channel",
                (now, code.id, code.id),
            ) or statements.row(fused_sql.ONE_CHANNEL, {"code_id": code.id})
        return str(found[0]) if found else "sms"
