"""What only the Redis store owes: its keys, their lives, the count of round trips, and the pool.

This room must not know what happens after Redis has failed.
"""

import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest
from redis import Redis

from apps.accounts.services.limits import RedisLimiter, prompt_pool, redis_connection, redis_connection_options
from apps.accounts.services.limits.redis_connection import PromptPool, PromptSSLConnection

from .limits_bench import Subjects
from .limits_rig import REDIS_URL, PrivateRedis, shared_client

pytestmark = pytest.mark.usefixtures("patient_redis")


@pytest.fixture
def client() -> Redis:
    return shared_client()


@pytest.fixture
def subject() -> Subjects:
    return Subjects()


@pytest.fixture(scope="module")
def private() -> Iterator[PrivateRedis]:
    server = PrivateRedis()
    yield server
    server.stop()


def limiter_on(server: PrivateRedis) -> RedisLimiter:
    server.operator().flushall()
    return RedisLimiter(Redis(connection_pool=prompt_pool(server.url)))


def test_every_key_begins_with_otp_and_lives_hardly_longer_than_its_window(
    private: PrivateRedis, subject: Subjects
) -> None:
    limiter, operator = limiter_on(private), private.operator()
    limits = [subject("ip", 2, window_ms=30_000), subject("global", 9, window_ms=90_000)]
    for _ in range(3):
        verdict = limiter.admit(limits)
        limiter.peek(limits)
    limiter.refund(limits[1:], reservation=verdict.reservation)
    lives = {str(key, "ascii"): operator.pttl(key) for key in cast(list[bytes], operator.keys("*"))}
    assert set(lives) == {limit.key for limit in limits}
    assert all(key.startswith("otp:limit:") for key in lives)
    assert all(0 < lives[limit.key] <= limit.window_ms + 1_000 for limit in limits)


def test_the_probe_leaves_one_key_that_begins_with_otp_and_dies_by_itself(private: PrivateRedis) -> None:
    limiter, operator = limiter_on(private), private.operator()
    limiter.open_probe()(cold=False)
    keys = operator.keys("*")
    assert keys == [b"otp:limit:probe:"]
    assert 0 < operator.pttl(keys[0]) <= 2_000


def test_an_emptied_log_leaves_no_key(private: PrivateRedis, subject: Subjects) -> None:
    limiter, limit = limiter_on(private), subject("ip", 2)
    verdict = limiter.admit([limit])
    limiter.refund([limit], reservation=verdict.reservation)
    assert private.operator().keys("*") == []


def test_a_clock_set_back_leaves_no_key_without_a_life(client: Redis, subject: Subjects) -> None:
    limit, offset = subject("ip", 1, window_ms=20_000), [0]
    limiter = RedisLimiter(client, offset_ms=lambda: offset[0])
    limiter.admit([limit])
    offset[0] = -3_600_000
    limiter.admit([limit])
    assert 0 < client.pttl(limit.key) <= 21_000


def test_one_call_is_one_round_trip_whatever_the_number_of_limits(client: Redis, subject: Subjects) -> None:
    limiter = RedisLimiter(client)
    limits = [subject(f"scope{number}", 2) for number in range(6)]
    limiter.peek(limits)
    seen: list[str] = []
    limiter.on_round_trip = seen.append
    verdict = limiter.admit(limits)
    limiter.peek(limits)
    limiter.refund(limits, reservation=verdict.reservation)
    limiter.clear(limits)
    assert seen == ["admit", "peek", "refund", "clear"]


def test_the_counted_round_trips_are_what_the_server_saw(private: PrivateRedis, subject: Subjects) -> None:
    limiter, operator = limiter_on(private), private.operator()
    limiter.admit([subject("warm", 1)])
    operator.config_resetstat()
    before = limiter.round_trips
    for number in range(10):
        limiter.admit([subject("ip", 5), subject(f"device{number}", 5)])
    calls = {name: stat["calls"] for name, stat in operator.info("commandstats").items()}
    assert limiter.round_trips - before == 10
    assert calls["cmdstat_evalsha"] == 10
    assert not {"cmdstat_eval", "cmdstat_script|load", "cmdstat_hello", "cmdstat_client|setinfo"} & set(calls)


def test_no_limits_cost_no_round_trip(client: Redis) -> None:
    limiter = RedisLimiter(client)
    limiter.admit([])
    limiter.refund([], reservation="none")
    limiter.clear([])
    assert limiter.round_trips == 0


def test_a_forgotten_script_costs_one_more_round_trip_and_no_admission(
    private: PrivateRedis, subject: Subjects
) -> None:
    limiter, limit = limiter_on(private), subject("ip", 2)
    limiter.admit([limit])
    private.operator().script_flush()
    before = limiter.round_trips
    assert limiter.admit([limit]).standings[0].used == 2
    assert limiter.round_trips - before == 2
    assert not limiter.admit([limit]).admitted
    assert limiter.round_trips - before == 3


def test_flushed_keys_start_afresh_without_an_error(private: PrivateRedis, subject: Subjects) -> None:
    limiter, limit = limiter_on(private), subject("ip", 1)
    limiter.admit([limit])
    private.operator().flushall()
    assert [limiter.admit([limit]).admitted for _ in range(2)] == [True, False]
    assert private.operator().pttl(limit.key) > 0


def test_an_evicting_redis_gives_no_error_and_no_key_without_a_life(private: PrivateRedis) -> None:
    limiter, operator = limiter_on(private), private.operator()
    used = int(operator.info("memory")["used_memory"])
    operator.config_set("maxmemory-policy", "allkeys-lru")
    operator.config_set("maxmemory", used + 400_000)
    try:
        for _ in range(4_000):
            limiter.admit([Subjects()("ip", 3), Subjects()("device", 3)])
        assert operator.info("stats")["evicted_keys"] > 0
        assert all(operator.pttl(key) != -1 for key in operator.keys("*"))
    finally:
        operator.config_set("maxmemory", 0)
        operator.config_set("maxmemory-policy", "noeviction")


def test_two_limiters_share_their_counts(client: Redis, subject: Subjects) -> None:
    limit = subject("ip", 3)
    one, other = RedisLimiter(client), RedisLimiter(shared_client())
    assert [limiter.admit([limit]).admitted for limiter in (one, other, one, other)] == [True, True, True, False]


def test_the_client_may_be_given_as_the_way_to_get_one(subject: Subjects) -> None:
    asked: list[int] = []

    def connect() -> Redis:
        asked.append(1)
        return shared_client()

    limiter = RedisLimiter(connect)
    assert asked == []
    limiter.admit([subject("ip", 1)])
    assert not limiter.admit([subject("ip", 1)]).admitted
    assert asked == [1]


def test_128_threads_find_a_connection_each(subject: Subjects) -> None:
    limiter, limit = RedisLimiter(shared_client()), subject("global", 1_000)
    together = threading.Barrier(128)

    def knock(_: int) -> int:
        together.wait(timeout=30)
        return sum(limiter.admit([limit]).admitted for _ in range(10))

    with ThreadPoolExecutor(128) as pool:
        assert sum(pool.map(knock, range(128))) == 1_000


def test_the_cache_options_make_django_redis_use_the_prompt_pool(subject: Subjects) -> None:
    from django_redis.pool import ConnectionFactory

    shared_client()
    mark = f"limits-{secrets.token_hex(4)}"
    client = ConnectionFactory(redis_connection_options()).connect(f"{REDIS_URL}?client_name={mark}")
    pool = client.connection_pool
    assert isinstance(pool, PromptPool)
    limit = subject("ip", 1)
    assert [RedisLimiter(client).admit([limit]).admitted for _ in range(2)] == [True, False]
    pool.disconnect()


def test_the_cache_options_bound_every_wait_and_try_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from django_redis.pool import ConnectionFactory

    monkeypatch.undo()  # the bounds as they are
    pool = ConnectionFactory(redis_connection_options()).connect(REDIS_URL).connection_pool
    connection = pool.make_connection()
    assert 0 < (connection.socket_timeout or 0) <= 0.2
    assert 0 < (connection.socket_connect_timeout or 0) <= 0.1
    assert connection.retry.get_retries() == 0
    assert redis_connection.BUDGET_SECONDS <= 0.25  # what is promised; connecting and reading share it


def test_a_tls_address_gets_the_bounded_tls_connection() -> None:
    assert prompt_pool("rediss://127.0.0.1:1/0").connection_class is PromptSSLConnection
