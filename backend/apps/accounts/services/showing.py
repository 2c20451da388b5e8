"""How a challenge looks to its asker: what is left, what to wait for, where else to try. It cannot open one."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from apps.accounts import phones, telemetry
from apps.accounts.clock import Clock
from apps.accounts.config import Config
from apps.accounts.errors import AccountsError, ServiceUnavailable, TooManyAttempts
from apps.accounts.phones import Phone
from apps.accounts.providers.base import Channel
from apps.accounts.services import reading
from apps.accounts.services.courier import Courier
from apps.accounts.services.model import ChallengeView, ChannelOffer, Opened
from apps.accounts.services.opening import TEST_LANE, Opening
from apps.accounts.services.parcel import patience
from apps.accounts.services.reading import Known
from apps.accounts.services.windows import judge_send, whole_seconds


class Showing:
    """Turns a challenge into what its asker may see. One per process; thread-safe."""

    def __init__(self, *, config: Config, courier: Courier, opening: Opening, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._courier = courier
        self._rule, self._test_rule = opening.rule, opening.test_rule

    def opened(self, opened: Opened, channel: Channel, delivery: str) -> ChallengeView:
        """Show a challenge that was opened, or joined, just now."""
        left, wait = self._sends(list(opened.sends), now_ms=opened.stamp, test=opened.lane == TEST_LANE)
        return ChallengeView(
            id=opened.challenge_id,
            status="pending",
            purpose=opened.purpose.value,
            phone=str(opened.phone),
            channel=channel.value,
            delivery=delivery,
            expires_in=_seconds_until(opened.code.expires_at, opened.now),
            resend_in=wait,
            attempts_left=max(0, self._config.max_attempts - opened.attempts),
            sends_left=left,
            channels=self._offers(opened.phone.region, wait),
            support_code=opened.support_code,
        )

    def of(self, known: Known) -> ChallengeView:
        """Show a challenge as it was read."""
        test, phone = known.code.kind == "test", _number_of(known)
        left, wait = self._sends(known.sends, now_ms=int(known.now.timestamp() * 1000), test=test)
        return ChallengeView(
            id=known.id,
            status=known.shown_status,
            purpose=known.purpose.value,
            phone=str(phone),
            channel=known.channel,
            delivery=reading.delivery(known.messages, now=known.now, patience=patience(self._config), test=test),
            expires_in=_seconds_until(known.code.expires_at, known.now) if known.is_open else 0,
            resend_in=wait,
            attempts_left=max(0, self._config.max_attempts - known.attempts),
            sends_left=left,
            channels=self._offers(phone.region, wait),
            support_code=known.support_code,
        )

    @contextmanager
    def telling_of(self, challenge_id: str, phone: Phone | None) -> Iterator[None]:
        """Let every refusal of a call that names a challenge say how that stands, and count refused tries."""
        try:
            yield
        except ServiceUnavailable:  # nothing can be read now
            raise
        except AccountsError as error:
            known = reading.read(challenge_id, offset=self._clock.offset) if challenge_id else None
            if known is not None:
                error.challenge, phone = self.of(known).as_json(), _number_of(known)
            if isinstance(error, TooManyAttempts):
                telemetry.refused(code=error.code, scope=error.limit, phone=phone)
            raise

    def _sends(self, sends: list[int], *, now_ms: int, test: bool) -> tuple[int, int]:
        """Return how many sends are left and the seconds until the next."""
        verdict = judge_send(sends, now_ms=now_ms, rule=self._test_rule if test else self._rule)
        return verdict.left, whole_seconds(verdict.wait_ms) if verdict.wait_ms else 0

    def _offers(self, region: str, wait: int) -> tuple[ChannelOffer, ...]:
        channels = self._courier.channels(region) or (Channel.SMS,)
        return tuple(ChannelOffer(name=channel.value, available_in=wait) for channel in channels)


def _number_of(known: Known) -> Phone:
    return phones.plausible(known.phone) if known.code.kind == "test" else phones.of_stored(known.phone)


def _seconds_until(end: datetime, now: datetime) -> int:
    return max(0, round((end - now).total_seconds()))
