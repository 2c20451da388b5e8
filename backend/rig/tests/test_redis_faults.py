"""Redis breaks in mid-run in every way it can: nobody's login fails or waits for it, and no limit moves."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from fakegateways.handle import FakeGateways
from rig.around import eventually
from rig.crowds import Crowd
from rig.faults import PrivateRedis
from rig.ground import (
    REQUEST,
    STATUS,
    VERIFY,
    ask,
    by_twilio,
    new_phone,
    one,
    outcomes,
    require_stores,
    shot,
    wrong_codes,
)
from rig.service import RunningService
from rig.together import race
from rig.wires import Wire

pytestmark = pytest.mark.servers
FAULT_SECONDS = 2.5
# An added wait may be 0.25 s; the rest is what two busy cores need for a call under load: for some of them longer.
USUAL_CALL_SECONDS, LONGEST_CALL_SECONDS = 1.5, 12.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A service whose Redis is at the other end of a wire."""

    service: RunningService
    fake: FakeGateways
    redis: PrivateRedis
    wire: Wire

    def store(self) -> str:
        """Return what the status says of Redis."""
        return str(one(self.service, shot(STATUS, method="GET")).body["redis"])


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    require_stores()
    redis = PrivateRedis()
    redis.start()
    try:
        with FakeGateways() as fake, Wire(redis.port) as wire:
            environ = by_twilio(
                fake,
                REDIS_URL=f"redis://127.0.0.1:{wire.port}/0",
                OTP_GLOBAL_MAX_PER_MINUTE="0",
                PHONE_AUTH_IP_MAX_FAILURES_PER_WINDOW="1000",
                OTP_GLOBAL_MAX_FAILURES_PER_MINUTE="100000",
            )
            with RunningService(environ=environ) as service:
                yield Stage(service=service, fake=fake, redis=redis, wire=wire)
    finally:
        redis.kill()


@contextlib.contextmanager
def killed(on: Stage) -> Iterator[None]:
    on.redis.kill()
    yield
    on.redis.start()


@contextlib.contextmanager
def frozen(on: Stage) -> Iterator[None]:
    on.redis.freeze()
    yield
    on.redis.thaw()


@contextlib.contextmanager
def black_holed(on: Stage) -> Iterator[None]:
    on.wire.dead = True
    yield
    on.wire.dead = False


@contextlib.contextmanager
def slow(on: Stage) -> Iterator[None]:
    on.wire.delay = 0.3
    yield
    on.wire.delay = 0.0


@contextlib.contextmanager
def read_only(on: Stage) -> Iterator[None]:
    on.redis.client().replicaof("127.0.0.1", 1)
    yield
    on.redis.client().replicaof("NO", "ONE")


@contextlib.contextmanager
def out_of_memory(on: Stage) -> Iterator[None]:
    client = on.redis.client()
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", "1")  # byte: an empty Redis is not always larger than a megabyte
    yield
    client.config_set("maxmemory", "0")


@contextlib.contextmanager
def asking_for_a_password(on: Stage) -> Iterator[None]:
    client = on.redis.client()
    client.config_set("requirepass", "nobody-told-the-service")
    # An open connection stays trusted; a new one is asked.
    for one_of_them in client.client_list():
        with contextlib.suppress(Exception):
            client.client_kill_filter(_id=one_of_them["id"], skipme=True)
    yield
    client.config_set("requirepass", "")


@contextlib.contextmanager
def emptied_again_and_again(on: Stage) -> Iterator[None]:
    on.redis.client().flushall()
    yield
    on.redis.kill()
    on.redis.start()


@contextlib.contextmanager
def evicting(on: Stage) -> Iterator[None]:
    client = on.redis.client()
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("maxmemory", int(client.info("memory")["used_memory"]) + 300_000)
    for n in range(500):
        client.set(f"somebody-elses:{n}", "x" * 4096, ex=60)
    assert client.info("stats")["evicted_keys"] > 0
    yield
    client.config_set("maxmemory", "0")


Fault = Callable[[Stage], contextlib.AbstractContextManager[None]]
GONE: tuple[Fault, ...] = (killed, frozen, black_holed, slow, read_only, out_of_memory, asking_for_a_password)


def named(fault: Fault) -> str:
    return fault.__name__


def require_exact_limits(on: Stage) -> None:
    """Race requests and wrong codes of one number: one message and five compares, whatever Redis does."""
    phone = new_phone()
    found = outcomes(race(on.service.url, [shot(REQUEST, {"phone_number": phone}) for _ in range(20)]))
    assert found == {(200, ""): 1, (429, "resend_cooldown"): 19}
    (message,) = on.fake.messages(phone=phone)
    bodies = [{"phone_number": phone, "otp": typed} for typed in wrong_codes(message.code, 20)]
    found = outcomes(race(on.service.url, [shot(VERIFY, body) for body in bodies]))
    assert found == {(400, "invalid_otp"): 5, (429, "too_many_attempts"): 15}


def require_nobody_was_hurt(crowd: Crowd) -> None:
    assert not crowd.errors(), crowd.errors()
    assert not crowd.lost
    assert crowd.usual(share=0.9) < USUAL_CALL_SECONDS
    assert crowd.slowest() < LONGEST_CALL_SECONDS


@pytest.mark.parametrize("fault", GONE, ids=named)
def test_logins_go_on_without_redis_and_nobody_waits_for_it(stage: Stage, fault: Fault) -> None:
    on = stage
    eventually(on.store, "redis connected")
    with Crowd(on.service, on.fake) as crowd:
        time.sleep(0.7)
        began = time.monotonic()
        with fault(on):
            eventually(on.store, "memory fallback")
            left_alone = time.monotonic() + 2  # by every process, one of which may be late on a busy machine
            require_exact_limits(on)
            time.sleep(max(0.0, max(began + FAULT_SECONDS, left_alone + 1) - time.monotonic()))
            ended = time.monotonic()
            asked = [data for data in on.wire.heard_since(left_alone) if b"EVAL" in data and b"probe" not in data]
        eventually(on.store, "redis connected")
        crowd.live(0.3, calls=21)
    print(
        f"{named(fault)}: {len(crowd.calls)} calls, median {crowd.usual():.3f} s, in the fault "
        f"{crowd.usual(since=began, until=ended):.3f} s, slowest {crowd.slowest():.3f} s"
    )
    require_nobody_was_hurt(crowd)
    assert asked == []  # after the first moments, nobody but the prober talks to a Redis that is gone


@pytest.mark.parametrize("fault", [emptied_again_and_again, evicting], ids=named)
def test_a_redis_that_forgets_gives_nobody_a_send_or_a_guess(stage: Stage, fault: Fault) -> None:
    on = stage
    eventually(on.store, "redis connected")
    phone = new_phone()
    ask(on.service, phone)
    (message,) = on.fake.messages(phone=phone)
    bodies = [{"phone_number": phone, "otp": typed} for typed in wrong_codes(message.code, 10)]
    race(on.service.url, [shot(VERIFY, body) for body in bodies])
    with Crowd(on.service, on.fake) as crowd:
        with fault(on):
            require_exact_limits(on)
            assert one(on.service, shot(REQUEST, {"phone_number": phone})).code == "resend_cooldown"
        assert one(on.service, shot(REQUEST, {"phone_number": phone})).code == "resend_cooldown"
        assert one(on.service, shot(VERIFY, bodies[0])).code == "too_many_attempts"
        assert len(on.fake.messages(phone=phone)) == 1
        crowd.live(0.5, calls=21)
    require_nobody_was_hurt(crowd)
    eventually(on.store, "redis connected")


def test_no_key_of_the_service_is_without_an_end(stage: Stage) -> None:
    eventually(stage.store, "redis connected")
    ask(stage.service, new_phone())
    client = stage.redis.client()
    keys = list(client.scan_iter("otp:*"))
    assert keys
    assert [key for key in keys if client.ttl(key) == -1] == []
    assert [key for key in client.scan_iter("*") if not key.startswith((b"otp:", b"somebody-elses:"))] == []


def test_of_two_groups_of_processes_one_sees_no_redis_and_a_phone_has_one_limit(stage: Stage) -> None:
    on = stage
    eventually(on.store, "redis connected")
    with Wire(1) as cut:
        own = {"REDIS_URL": f"redis://127.0.0.1:{cut.port}/0", "DATABASE_URL": on.service.database_url}
        other = RunningService(environ={**on.service.environ, **own}, workers=2)
        try:
            other.start()
            eventually(lambda: one(other, shot(STATUS, method="GET")).body["redis"], "memory fallback")
            phone = new_phone()
            urls = [on.service.url, other.url]
            found = [
                race(url, [shot(REQUEST, {"phone_number": phone}) for _ in range(15)]) for url in urls
            ]  # one after the other: the second group knows of the first only by the database
            total = outcomes([*found[0], *found[1]])
            assert total == {(200, ""): 1, (429, "resend_cooldown"): 29}
            (message,) = on.fake.messages(phone=phone)
            typed = wrong_codes(message.code, 20)
            halves = [
                race(url, [shot(VERIFY, {"phone_number": phone, "otp": one_of}) for one_of in half])
                for url, half in zip(urls, (typed[:3], typed[3:]), strict=True)
            ]
            compared = outcomes([*halves[0], *halves[1]])
            assert compared == {(400, "invalid_otp"): 5, (429, "too_many_attempts"): 15}
        finally:
            other.stop()
