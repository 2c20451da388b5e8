"""Opening a send: the phone's own limit is judged where it cannot be lost; code, challenge and attempt are committed.

It must not know the limits of the cache, how a message travels, or HTTP.
"""

import uuid
from datetime import timedelta
from typing import Final

from apps.accounts import codes, telemetry
from apps.accounts.clock import Clock
from apps.accounts.config import Config
from apps.accounts.errors import AccountsError, Blocked, InvalidCode, RateLimited, ResendCooldown
from apps.accounts.phones import Phone
from apps.accounts.providers.base import Channel
from apps.accounts.services import challenges, fused, statements
from apps.accounts.services.challenges import Claimant, NewChallenge
from apps.accounts.services.courier import Courier
from apps.accounts.services.fused import NewSend
from apps.accounts.services.model import Ask, OpenCode, Opened, support_code
from apps.accounts.services.turnstile import Turnstile
from apps.accounts.services.windows import SendRule, judge_send, whole_seconds

# A test number has a quota of its own and never costs anybody a message.
TEST_SENDS: Final = 30
TEST_LANE: Final = "test"


class Opening:
    """Opens sends. One per process; thread-safe."""

    def __init__(self, *, config: Config, courier: Courier, clock: Clock) -> None:
        self._config = config
        self._courier = courier
        self._clock = clock
        self._turns = Turnstile()
        window_ms = config.send_window_seconds * 1000
        self.rule = SendRule(limit=config.send_limit, window_ms=window_ms, cooldown_ms=config.cooldown_seconds * 1000)
        self.test_rule = SendRule(limit=TEST_SENDS, window_ms=window_ms, cooldown_ms=0)
        self._key_ids = frozenset(key.key_id for key in config.code_keys)
        # After that long no send of a phone can count any more and none of its codes can be open.
        self._quiet_ms = max(window_ms, self.rule.cooldown_ms, config.expiry_seconds * 1000) + 1

    def open(self, phone: Phone, ask: Ask, *, channel: Channel, lane: str, first: str, device: str) -> Opened:
        """Open a send by the gateway `first`; `device` is the id of the device token that was shown, if any.

        Raises:
            InvalidCode: a resend, and nothing is open.
            Blocked: a vendor said fraud for a code that is open.
            ResendCooldown, RateLimited: the phone's own limit is used up.
        """
        opened = None
        with self._turns.turn(phone.e164):
            if not ask.resend and not lane and fused.available():
                opened = self._open_at_once(phone, ask, channel=channel, first=first)
            if opened is None:
                opened = self._open_under_lock(phone, ask, channel=channel, lane=lane, first=first, device=device)
        telemetry.requested(
            phone=phone, purpose=ask.purpose.value, channel=channel.value, kind="resend" if ask.resend else "request",
            challenge_id=opened.challenge_id, provider=first,
        )  # fmt: skip
        return opened

    def _open_at_once(self, phone: Phone, ask: Ask, *, channel: Channel, first: str) -> Opened | None:
        """Open it in one statement if the phone is quiet: then there is nothing to join, to move or to refuse."""
        key, challenge_id = self._config.code_keys[0], uuid.uuid4().hex
        new = NewSend(
            phone=phone.e164, country=phone.region, purpose=ask.purpose.value, scope=ask.scope,
            nonce=codes.new_nonce(), key_id=key.key_id, life=timedelta(seconds=self._config.expiry_seconds),
            code_id=uuid.uuid4().hex, challenge_id=challenge_id,
            account_id=ask.bound.user_id if ask.bound else None, session_id=ask.bound.session_id if ask.bound else None,
            device_id=ask.asker.device_id, channel=channel.value, language=ask.asker.language,
            support_code=support_code(challenge_id), ip=ask.asker.ip, message_id=uuid.uuid4().hex,
            send_id=uuid.uuid4().hex, provider=first,
        )  # fmt: skip
        found = fused.open_send(new, quiet_ms=self._quiet_ms, offset=self._clock.offset)
        if found is None:
            return None
        stamp, now = found
        code = OpenCode(
            id=new.code_id, nonce=new.nonce, key_id=new.key_id, kind="sent", created_at=now, expires_at=now + new.life
        )
        return Opened(
            phone=phone, purpose=ask.purpose, code=code, challenge_id=challenge_id, support_code=new.support_code,
            attempts=0, new_challenge=True, new_code=True, send_id=new.send_id, message_id=new.message_id, stamp=stamp,
            lane="", now=now, sends=(stamp,),
        )  # fmt: skip

    def _open_under_lock(
        self, phone: Phone, ask: Ask, *, channel: Channel, lane: str, first: str, device: str
    ) -> Opened:
        """Open it while the phone's line is locked: a new code or the open one, a new challenge or the asker's own."""
        test = lane == TEST_LANE
        rule = self.test_rule if test else self.rule
        who = Claimant(challenge_id=ask.challenge_id, device_id=ask.asker.device_id, device_token_id=device)
        with statements.durable():
            line = challenges.lock_line(phone.e164, lane, offset=self._clock.offset)
            verdict = judge_send(line.sends, now_ms=line.now_ms, rule=rule)
            if verdict.reason:
                raise self._too_soon(verdict.reason, verdict.wait_ms, phone)
            kind = "test" if test else "sent"
            found, own = challenges.open_codes(phone.e164, ask.purpose, ask.scope, kind=kind, now=line.now, who=who)
            if ask.resend and (not found or (ask.challenge_id and (own is None or own.id != ask.challenge_id))):
                raise InvalidCode()
            _require_unsuspected(found, phone)
            code = challenges.pick(self._derivable(found), now=line.now, life=self._config.expiry_seconds)
            if code is None:
                code = challenges.insert_code(
                    phone.e164, ask.purpose, ask.scope, kind=kind, key=self._config.code_keys[0], now=line.now,
                    seconds=self._config.expiry_seconds,
                )  # fmt: skip
            carried = challenges.carry_over(own, code, channel=channel.value) if own else None
            if carried is None and ask.resend and ask.challenge_id:
                raise InvalidCode()
            own = carried or challenges.insert_challenge(code, _asked(phone, ask, who, channel), now=line.now)
            sends = (*verdict.kept, line.now_ms)
            challenges.write_sends(line, sends)
            send_id = uuid.uuid4().hex
            message_id = "" if test else self._courier.open_row(
                phone, provider=first, channel=channel, send_id=send_id, cause="resend" if ask.resend else "request",
                challenge_id=own.id, code_id=code.id, now=line.now,
            )  # fmt: skip
        return Opened(
            phone=phone, purpose=ask.purpose, code=code, challenge_id=own.id, support_code=own.support_code,
            attempts=own.attempts, new_challenge=carried is None, new_code=code not in found, send_id=send_id,
            message_id=message_id, stamp=line.now_ms, lane=lane, now=line.now, sends=sends,
        )  # fmt: skip

    def _derivable(self, found: list[OpenCode]) -> list[OpenCode]:
        """Return the codes whose secret this process has: another one's cannot be sent, so a new one is opened."""
        known = [code for code in found if code.kind == "test" or code.key_id in self._key_ids]
        if len(known) < len(found):
            telemetry.alarm("code_key_unknown")
        return known

    def _too_soon(self, reason: str, wait_ms: int, phone: Phone) -> AccountsError:
        telemetry.send_refused(limit=reason)
        if reason == "cooldown":
            telemetry.refused(code="resend_cooldown", phone=phone)
            return ResendCooldown(retry_after=whole_seconds(wait_ms))
        telemetry.refused(code="rate_limited", scope="phone", phone=phone)
        return RateLimited(retry_after=whole_seconds(wait_ms), scope="phone")


def _require_unsuspected(found: list[OpenCode], phone: Phone) -> None:
    if any(code.suspected for code in found):
        telemetry.refused(code="blocked", scope="fraud", phone=phone)
        raise Blocked()


def _asked(phone: Phone, ask: Ask, who: Claimant, channel: Channel) -> NewChallenge:
    return NewChallenge(
        phone=phone, purpose=ask.purpose, scope=ask.scope, bound=ask.bound, who=who, channel=channel.value,
        language=ask.asker.language, ip=ask.asker.ip,
    )  # fmt: skip
