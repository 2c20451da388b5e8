"""A Redis that was flushed or restarted empty gives nobody a place: the processes tell it again what they know."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial

import pytest
from redis import Redis

from apps.accounts.services.limits import Limit, MemoryLimiter, RedisLimiter, ResilientLimiter, Store, prompt_pool
from apps.accounts.services.limits.own_places import OwnPlaces

from .limits_bench import Subjects
from .limits_rig import PrivateRedis, eventually

HOUR_MS = 3_600_000
Subject = Callable[[str, int], Limit]


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateRedis]:
    running = PrivateRedis()
    yield running
    running.stop()


@pytest.fixture
def subject() -> Subject:
    """Make limits of an hour on subjects that no other test knows."""
    return partial(Subjects(), window_ms=HOUR_MS)


@pytest.fixture
def patient_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for a moment is no Redis that is gone."""
    for name in ("CONNECT_TIMEOUT_SECONDS", "READ_TIMEOUT_SECONDS", "BUDGET_SECONDS"):
        monkeypatch.setattr(f"apps.accounts.services.limits.redis_connection.{name}", 20.0)


pytestmark = pytest.mark.usefixtures("patient_redis")


@contextmanager
def processes(server: PrivateRedis, count: int = 2) -> Iterator[list[ResilientLimiter]]:
    """As many limiters as processes of one host; each has looked at Redis once."""
    with ExitStack() as held:
        found = []
        for _ in range(count):
            redis = RedisLimiter(Redis(connection_pool=prompt_pool(server.url)))
            one = ResilientLimiter(redis, MemoryLimiter(), processes=count, memory_fallback=True)
            held.callback(one.close)
            assert one.health is not None
            assert one.health.settled(timeout_s=60)
            found.append(one)
        yield found


def flush(server: PrivateRedis) -> None:
    with closing(server.operator()) as client:
        client.flushall()


def admitted(limiter: ResilientLimiter, *limits: Limit) -> bool:
    verdict = limiter.admit(limits)
    assert verdict.store is Store.REDIS
    return verdict.admitted


def judged_by_redis(limiter: ResilientLimiter, limit: Limit) -> bool:
    return limiter.peek([limit]).store is Store.REDIS


def kept(server: PrivateRedis, limit: Limit) -> int:
    with closing(server.operator()) as client:
        return int(client.zcard(limit.key))


def test_a_flush_gives_nobody_a_place(server: PrivateRedis, subject: Subject) -> None:
    limit = subject("ip", 5)
    with processes(server) as (one, other):
        assert [admitted(by, limit) for by in (one, one, one, other, other)] == [True] * 5
        flush(server)
        refused = [by.admit([limit]) for by in (one, other)]
        assert [(verdict.admitted, verdict.store) for verdict in refused] == [(False, Store.REDIS)] * 2
        assert all(HOUR_MS - 600_000 < verdict.retry_after_ms <= HOUR_MS for verdict in refused)
        assert kept(server, limit) == 5


def test_what_nobody_asks_about_is_told_again_by_itself(server: PrivateRedis, subject: Subject) -> None:
    limit = subject("device", 5)
    with processes(server) as (one, other):
        assert [admitted(by, limit) for by in (one, other, other)] == [True] * 3
        flush(server)
        assert eventually(lambda: kept(server, limit) == 3, within_s=60)


def test_a_redis_that_was_restarted_empty_is_told_before_it_judges(server: PrivateRedis, subject: Subject) -> None:
    limit = subject("ip", 2)
    with processes(server) as (one, other):
        assert [admitted(by, limit) for by in (one, other)] == [True] * 2
        server.kill()
        server.start()
        for by in (one, other):
            assert eventually(partial(judged_by_redis, by, limit), within_s=60)
        assert eventually(lambda: kept(server, limit) == 2, within_s=60)
        assert not admitted(one, limit)
        assert not admitted(other, limit)


def test_a_look_sees_the_loss_too(server: PrivateRedis, subject: Subject) -> None:
    limit = subject("failures", 2)
    with processes(server, 1) as (one,):
        assert [admitted(one, limit) for _ in range(2)] == [True] * 2
        flush(server)
        assert not one.peek([limit]).admitted


def test_a_place_that_was_given_back_stays_free(server: PrivateRedis, subject: Subject) -> None:
    limit = subject("ip", 2)
    with processes(server, 1) as (one,):
        assert admitted(one, limit)
        one.refund([limit], reservation=one.admit([limit]).reservation)
        flush(server)
        assert eventually(lambda: kept(server, limit) == 1, within_s=60)
        assert admitted(one, limit)
        assert not admitted(one, limit)


def test_one_evicted_key_is_told_again(server: PrivateRedis, subject: Subject) -> None:
    limit, beside = subject("ip", 2), subject("global", 9)
    with processes(server, 1) as (one,):
        assert [admitted(one, limit, beside) for _ in range(2)] == [True] * 2
        with closing(server.operator()) as client:
            client.delete(limit.key)
        refused = one.admit([limit, beside])
        assert (refused.admitted, refused.refused) == (False, limit)
        assert (kept(server, limit), kept(server, beside)) == (2, 2)


def test_every_key_expires(server: PrivateRedis, subject: Subject) -> None:
    with processes(server, 1) as (one,):
        assert admitted(one, subject("ip", 2))
        flush(server)
        with closing(server.operator()) as client:
            assert eventually(lambda: any(b":here:" in key for key in client.scan_iter()), within_s=60)
            assert all(client.pttl(key) != -1 for key in client.scan_iter())
            assert all(key.startswith(b"otp:") for key in client.scan_iter())


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> int:
        return self.now


def test_what_leaves_within_a_second_is_not_told() -> None:
    clock, limit = Clock(), Limit("ip", "a", 5, 60_000)
    own = OwnPlaces(clock=clock)
    own.note([limit], reservation="r1")
    clock.now += 58_999
    own.note([limit], reservation="r2")
    assert own.of([limit]) == [(limit, [(58_999, "r1"), (0, "r2")])]
    clock.now += 1
    assert own.of([limit]) == [(limit, [(1, "r2")])]


def test_what_the_database_judges_and_short_windows_are_not_remembered() -> None:
    own = OwnPlaces()
    own.note([Limit("phone", "a", 5, HOUR_MS, durable_elsewhere=True), Limit("probe", "", 5, 1_000)], reservation="r")
    assert list(own.all()) == []


def test_memory_is_bounded_and_empties_itself() -> None:
    clock = Clock()
    own = OwnPlaces(clock=clock, max_subjects=3)
    limits = [Limit("ip", str(n), 5, 60_000) for n in range(5)]
    for limit in limits:
        own.note([limit], reservation="r")
    assert [limit for places in own.all() for limit, _ in places] == limits[:3]
    clock.now += 60_000
    own.note(limits[3:], reservation="s")
    assert [limit for places in own.all() for limit, _ in places] == limits[3:]
