"""Two things break at the same time: Redis with the main gateway, and Redis with the database. No limit fails open."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from fakegateways.handle import FakeGateways
from rig.around import eventually
from rig.faults import PrivateRedis
from rig.ground import REQUEST, STATUS, VERIFY, by_twilio, log_in, new_phone, one, outcomes, require_stores, shot
from rig.service import RunningService
from rig.together import race

pytestmark = pytest.mark.servers
PEOPLE = 10
# The service is back within ten seconds after the faults end; a busy machine has more time.
WELL_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A service with a Redis of its own and two gateways, Authentica before Twilio."""

    service: RunningService
    fake: FakeGateways
    redis: PrivateRedis

    def status(self) -> dict[str, object]:
        return dict(one(self.service, shot(STATUS, method="GET")).body)

    def sent_to(self, phone: str) -> list[str]:
        """Return the gateways that were handed a message for `phone`, in order."""
        return [message.vendor for message in self.fake.messages(phone=phone)]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    require_stores()
    redis = PrivateRedis()
    redis.start()
    try:
        with FakeGateways() as fake:
            environ = by_twilio(
                fake,
                OTP_PROVIDER="authentica",
                OTP_FALLBACK_PROVIDERS="twilio",
                AUTHENTICA_API_KEY="fake-authentica-key",
                AUTHENTICA_BASE_URL=fake.authentica_url,
                REDIS_URL=redis.url,
            )
            with RunningService(environ=environ) as service:
                yield Stage(service=service, fake=fake, redis=redis)
    finally:
        redis.kill()


def require_well(on: Stage) -> None:
    """Wait until every process has its stores again: each finds its former connections broken and makes new ones."""

    def answers() -> set[int]:
        return {one(on.service, shot(REQUEST, {"phone_number": new_phone()})).status for _ in range(8)}

    eventually(lambda: on.status()["redis"], "redis connected", seconds=WELL_SECONDS)
    eventually(answers, {200}, seconds=WELL_SECONDS)
    log_in(on.service, on.fake, new_phone())


def test_without_redis_and_with_a_main_gateway_that_hangs_everybody_logs_in(stage: Stage) -> None:
    on = stage
    on.redis.kill()
    on.fake.script("authentica", "hang", seconds=30, accepted=False)
    phones = [new_phone() for _ in range(PEOPLE)]
    asked = race(on.service.url, [shot(REQUEST, {"phone_number": phone}) for phone in phones])
    assert outcomes(asked) == {(200, ""): PEOPLE}
    for phone in phones:
        sent = on.sent_to(phone)
        assert sent.count("twilio") == 1
        assert sent.count("authentica") <= 1
        body = {"phone_number": phone, "otp": on.fake.wait_for_message(phone).code}
        assert one(on.service, shot(VERIFY, body)).status == 200
    crowded = new_phone()
    found = outcomes(race(on.service.url, [shot(REQUEST, {"phone_number": crowded}) for _ in range(20)]))
    assert found == {(200, ""): 1, (429, "resend_cooldown"): 19}
    assert on.sent_to(crowded).count("twilio") == 1
    assert on.status()["redis"] == "memory fallback"
    on.fake.lift("authentica")
    on.redis.start()
    require_well(on)


def test_without_redis_and_database_nothing_is_sent_and_everybody_is_told_to_come_back(stage: Stage) -> None:
    on = stage
    on.redis.kill()
    on.service.shut_database()
    phones = [new_phone() for _ in range(PEOPLE)]
    try:
        asked = race(on.service.url, [shot(REQUEST, {"phone_number": phone}) for phone in phones])
        guessed = race(on.service.url, [shot(VERIFY, {"phone_number": phone, "otp": "123456"}) for phone in phones])
        assert {(answer.status, answer.code) for answer in (*asked, *guessed)} == {(503, "service_unavailable")}
        assert all(answer.body["retry_after"] >= 1 for answer in (*asked, *guessed))
        assert on.status()["status"] == "down"
    finally:
        on.service.open_database()
        on.redis.start()
    require_well(on)
    assert not any(on.sent_to(phone) for phone in phones)
