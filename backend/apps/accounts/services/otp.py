"""The story: a person asks for a code, gets it, proves it. Read it top to bottom.

It decides in which order things happen and must not know HTTP, a vendor, or how any of the rooms below does its part.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from apps.accounts import messages, phones, telemetry
from apps.accounts.clock import Clock
from apps.accounts.config import Config, TestNumber
from apps.accounts.errors import (
    AccountsError,
    Blocked,
    ChannelUnavailable,
    DeliveryFailed,
    InvalidCode,
    InvalidRequest,
    NotFound,
    PhoneUnreachable,
    ServiceUnavailable,
)
from apps.accounts.phones import Phone
from apps.accounts.providers.base import Channel
from apps.accounts.services import challenges, device_tokens, reading, statements, tries
from apps.accounts.services.courier import Courier
from apps.accounts.services.health import Plan
from apps.accounts.services.model import Ask, Asker, ChallengeView, Opened, Purpose, Sent
from apps.accounts.services.opening import TEST_LANE, Opening
from apps.accounts.services.parcel import Handover, Parcel
from apps.accounts.services.policy import Policy, Ticketed
from apps.accounts.services.proof import AtOnce, Attempt, Proven, Prover
from apps.accounts.services.showing import Showing

T = TypeVar("T")


class OtpService:
    """Request, resend, verify, read and cancel. One per process; thread-safe."""

    def __init__(self, *, config: Config, policy: Policy, courier: Courier, prover: Prover, clock: Clock) -> None:
        self._config = config
        self._policy = policy
        self._courier = courier
        self._prover = prover
        self._clock = clock
        self._test_numbers = {number.e164: number for number in config.test_numbers}
        self._opening = Opening(config=config, courier=courier, clock=clock)
        self._showing = Showing(config=config, courier=courier, opening=self._opening, clock=clock)

    # --- the door -------------------------------------------------------------------------------------------------

    def parse_phone(self, text: str) -> Phone:
        """Return the number that `text` spells; a live test number needs only to be plausible.

        Raises:
            InvalidPhoneNumber: it cannot receive a code.
        """
        if self._test_numbers and self._test_number(phones.fold_digits(text)):
            return phones.plausible(text)
        return phones.parse(text, min_digits=self._config.phone_min_digits)

    def _test_number(self, e164: str) -> TestNumber | None:
        number = self._test_numbers.get(e164)
        if number is None or (number.until is not None and datetime.now(UTC).date() > number.until):
            return None
        return number

    # --- request and resend ---------------------------------------------------------------------------------------

    def request(self, phone: Phone, ask: Ask) -> Sent:
        """Send a code to `phone`: a new one, or the one that is open.

        Raises:
            AccountsError: blocked, country_not_allowed, channel_unavailable, resend_cooldown, rate_limited,
                phone_unreachable, delivery_failed or service_unavailable.
        """
        self._policy.require_unblocked(phone, ask.asker)
        test = self._test_number(phone.e164) is not None
        if not test:
            self._policy.require_country(phone)
        device_token_id = device_tokens.id_of(ask.asker.device_token, phone=phone.e164, device_id=ask.asker.device_id)
        channel = Channel(ask.channel or "sms")
        route = ("console",) if ask.only_gateway else self._courier.route(phone.region, channel)
        if not route and not test:
            raise ChannelUnavailable()
        plan = self._plan(phone, ask, channel, route) if not test else Plan(names=("test",))
        if not plan.names:
            telemetry.refused(code="delivery_failed", scope="cooling", phone=phone)
            raise DeliveryFailed(retry_after=plan.retry_after)
        with self._courier.slot():
            lane = TEST_LANE if test else (f"device:{device_token_id}" if device_token_id else "")
            taken = self._policy.admit_send(phone, ask.asker, lane=lane, test=test)
            try:
                opened = self._opening.open(
                    phone, ask, channel=channel, lane=lane, first=plan.names[0], device=device_token_id
                )
            except BaseException as error:
                standings = self._policy.give_back(taken, everything=True)
                if isinstance(error, AccountsError):
                    error.standings = standings
                raise
            if test:
                return self._sent(opened, channel, "delivered", taken)
            return self._hand_over(opened, ask, channel, plan, taken)

    def resend(self, ask: Ask, *, phone: Phone | None = None) -> Sent:
        """Send the open code again, to `phone` or by the challenge that `ask` names.

        Raises:
            InvalidCode: nothing is open.
            AccountsError: as request.
        """
        with self._showing.telling_of(ask.challenge_id, phone):
            return self._resend(ask, phone)

    def _resend(self, ask: Ask, phone: Phone | None) -> Sent:
        if ask.challenge_id:
            known = reading.require_open(reading.read(ask.challenge_id, offset=self._clock.offset))
            fits = known.purpose is ask.purpose and known.scope == ask.scope
            if not fits or (phone is not None and phone.e164 != known.phone):
                raise InvalidCode()
            phone = self._stored_phone(known.phone)
            # Who names no channel wants the code: where the first one has no road any more, it goes out by SMS.
            gone = not self._courier.route(phone.region, Channel(known.channel))
            ask = replace(ask, channel=ask.channel or ("sms" if gone else known.channel))
        elif phone is None:
            raise InvalidRequest(fields={"phone_number": ["required"]})
        else:
            self._policy.require_unblocked(phone, ask.asker)
            kind = "test" if self._test_number(phone.e164) else "sent"
            if not reading.has_open_code(phone.e164, ask.purpose, ask.scope, kind=kind, offset=self._clock.offset):
                raise InvalidCode()
        return self.request(phone, replace(ask, resend=True))

    def _stored_phone(self, e164: str) -> Phone:
        return phones.plausible(e164) if self._test_number(e164) else phones.of_stored(e164)

    def _plan(self, phone: Phone, ask: Ask, channel: Channel, route: tuple[str, ...]) -> Plan:
        """A resend leaves by a gateway that this code has not tried yet, where one is up."""
        avoid: frozenset[str] = frozenset()
        if ask.resend and len(route) > 1:
            tried = statements.rows(
                "SELECT m.provider FROM accounts_message m JOIN accounts_code k ON k.id = m.code_id WHERE k.phone = %s "
                "AND k.purpose = %s AND k.scope = %s AND k.state = 'open' AND m.channel = %s ORDER BY m.created_at",
                (phone.e164, ask.purpose.value, ask.scope, channel.value),
            )
            names = [name for (name,) in tried]
            avoid = frozenset(names) if set(route) - set(names) else frozenset(names[-1:])
        return self._courier.plan(route, channel=channel, region=phone.region, avoid=avoid)

    def _hand_over(self, opened: Opened, ask: Ask, channel: Channel, plan: Plan, taken: Ticketed) -> Sent:
        """Give the message to the courier and turn how that ended into an answer."""
        handover = self._courier.deliver(self._parcel(opened, ask, channel), plan, first_message_id=opened.message_id)
        if handover.state == "not_on_channel":
            channel, handover = self._by_sms(opened, ask)
        if handover.state in ("accepted", "unknown"):
            if handover.minted_by:
                opened = self._minted(opened, handover)
            if handover.overtaken:
                return Sent(challenge=self.read(opened.challenge_id), standings=taken.standings)
            return self._sent(opened, channel, handover.state, taken)
        raise self._undelivered(opened, handover, taken)

    def _by_sms(self, opened: Opened, ask: Ask) -> tuple[Channel, Handover]:
        """The number is not on WhatsApp: the same code goes out by the SMS route."""
        route = self._courier.route(opened.phone.region, Channel.SMS)
        plan = self._courier.plan(route, channel=Channel.SMS, region=opened.phone.region)
        if not plan.names:  # without an SMS route nothing reaches this number; with one, all of it is cooling
            return Channel.SMS, Handover(state="refused" if route else "unreachable", retry_after=plan.retry_after)
        with statements.durable():
            now = statements.now() + self._clock.offset
            message_id = self._courier.open_row(
                opened.phone, provider=plan.names[0], channel=Channel.SMS, send_id=opened.send_id, cause="request",
                challenge_id=opened.challenge_id, code_id=opened.code.id, now=now,
            )  # fmt: skip
            statements.run("UPDATE accounts_challenge SET channel = 'sms' WHERE id = %s", (opened.challenge_id,))
        handover = self._courier.deliver(self._parcel(opened, ask, Channel.SMS), plan, first_message_id=message_id)
        return Channel.SMS, handover

    def _parcel(self, opened: Opened, ask: Ask, channel: Channel) -> Parcel:
        digits = self._prover.code_of(opened.code, phone=opened.phone.e164, purpose=opened.purpose)
        assert digits is not None
        return Parcel(
            phone=opened.phone,
            channel=channel,
            code=digits,
            text=messages.code_text(digits, language=messages.Language(ask.asker.language), options=self._config.texts),
            language=ask.asker.language,
            send_id=opened.send_id,
            cause="resend" if ask.resend else "request",
            challenge_id=opened.challenge_id,
            code_id=opened.code.id,
            valid_seconds=max(1, int((opened.code.expires_at - opened.now).total_seconds())),
        )

    def _minted(self, opened: Opened, handover: Handover) -> Opened:
        """The vendor made the code: remember whom to ask, and that its life is the shorter one."""
        ends = challenges.mark_minted(
            opened.code, by=handover.minted_by, seconds=handover.minted_for_seconds, offset=self._clock.offset
        )
        return replace(opened, code=replace(opened.code, expires_at=ends))

    def _undelivered(self, opened: Opened, handover: Handover, taken: Ticketed) -> AccountsError:
        """Nothing went out: close what this call opened, and give back what the contract gives back."""
        status = "undeliverable" if handover.state == "unreachable" else "failed"
        refund = handover.state == "refused"
        given_back = False
        with statements.durable():
            line = challenges.lock_line(opened.phone.e164, opened.lane, offset=self._clock.offset)
            if opened.new_challenge:
                challenges.close(opened.challenge_id, status, now=line.now, of_send=opened.send_id)
            if refund:
                given_back = challenges.take_back(line, opened.stamp, free=not handover.contacted)
        standings = taken.standings
        if given_back:
            standings = self._policy.give_back(taken, everything=not handover.contacted)
        telemetry.happened("undelivered", outcome=handover.state, provider=handover.provider, given_back=given_back)
        error: AccountsError = DeliveryFailed(retry_after=handover.retry_after)
        if handover.exhausted:
            error = ServiceUnavailable()
        if handover.state == "unreachable":
            error = PhoneUnreachable()
        elif handover.state == "fraud":
            error = Blocked()
        error.standings = standings
        return error

    def _sent(self, opened: Opened, channel: Channel, delivery: str, taken: Ticketed) -> Sent:
        view = self._showing.opened(opened, channel, delivery)
        is_new = self._is_new(opened.phone.e164) if self._config["OTP_DISCLOSE_NEW_USER"] else None
        return Sent(challenge=view, standings=taken.standings, is_new_user=is_new)

    @staticmethod
    def _is_new(e164: str) -> bool:
        return statements.row("SELECT 1 FROM accounts_user WHERE phone_number = %s", (e164,)) is None

    # --- the challenge --------------------------------------------------------------------------------------------

    def read(self, challenge_id: str) -> ChallengeView:
        """Return a challenge as its asker may see it.

        Raises:
            NotFound: no such challenge.
        """
        known = reading.read(challenge_id, offset=self._clock.offset)
        if known is None:
            raise NotFound()
        return self._showing.of(known)

    def cancel(self, challenge_id: str) -> None:
        """Cancel an open challenge; a closed one keeps its status.

        Raises:
            NotFound: no such challenge.
        """
        tries.cancel(challenge_id, offset=self._clock.offset)

    # --- verify ---------------------------------------------------------------------------------------------------

    def verify(
        self,
        typed: str,
        *,
        asker: Asker,
        then: Callable[[Proven], T | AccountsError],
        at_once: AtOnce[T] | None = None,
        phone: Phone | None = None,
        challenge_id: str = "",
        purpose: Purpose = Purpose.LOGIN,
        scope: str = "",
    ) -> T:
        """Prove a code and run `then` in the transaction that uses it up, or `at_once` instead of both.

        A call by phone that carries the device which asked is that device's own try.

        Raises:
            InvalidCode, TooManyAttempts, RateLimited, Blocked, ServiceUnavailable, and what `then` returns.
        """
        with self._showing.telling_of(challenge_id, phone):
            self._policy.require_unblocked(phone, asker)
            token_id, read_out_first = "", False
            if asker.device_token and (e164 := phone.e164 if phone else reading.phone_of(challenge_id)):
                token_id = device_tokens.id_of(asker.device_token, phone=e164, device_id=asker.device_id)
            if phone is not None and not challenge_id:
                challenge_id, read_out_first = tries.find_own_challenge(
                    phone.e164, device_id=asker.device_id, device_token_id=token_id, offset=self._clock.offset
                )
            kind = "test" if phone is not None and self._test_number(phone.e164) else "sent"
            attempt = Attempt(
                typed=typed, asker=asker, purpose=purpose, phone=phone, challenge_id=challenge_id, scope=scope,
                device_token_id=token_id, kind=kind, read_out_first=read_out_first,
            )  # fmt: skip
            return self._prover.prove(attempt, then, at_once)
