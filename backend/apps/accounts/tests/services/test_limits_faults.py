"""What the service's limiter does while Redis is gone in each of the ways in which it goes.

Long because every way of going shares one private server and one meter. This room must not know how a store keeps its
stamps. The exact claims are counts: how many calls tried Redis at all. Times are upper bounds with room for a machine
that stands still for seconds.
"""

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
from redis import Redis
from redis.exceptions import BusyLoadingError, RedisError

from apps.accounts.services.limits import (
    Admission,
    Limit,
    LimiterUnavailable,
    MemoryLimiter,
    RedisLimiter,
    ResilientLimiter,
    Store,
    StoreState,
    prompt_pool,
)

from .limits_bench import Subjects
from .limits_rig import FaultProxy, PrivateRedis, deaf_port, eventually

GENEROUS_S = 5.0


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateRedis]:
    running = PrivateRedis()
    yield running
    running.stop()


@pytest.fixture
def proxy(server: PrivateRedis) -> Iterator[FaultProxy]:
    if server.process is None:
        server.start()
    standing = FaultProxy(server.port)
    yield standing
    standing.close()


@pytest.fixture
def subject() -> Subjects:
    return Subjects()


class Calls:
    """Count the calls of requests that reached for Redis, the prober's left out."""

    def __init__(self, redis: RedisLimiter) -> None:
        self.tried = 0
        reach = redis._run

        def run(verb: str, limits: list[Limit], reservation: str) -> object:
            self.tried += 1
            return reach(verb, limits, reservation)

        redis._run = run  # type: ignore[method-assign, assignment]


@contextmanager
def service(url: str, *, processes: int = 2, memory_fallback: bool = True) -> Iterator[tuple[ResilientLimiter, Calls]]:
    redis = RedisLimiter(Redis(connection_pool=prompt_pool(url)))
    calls = Calls(redis)
    limiter = ResilientLimiter(redis, MemoryLimiter(), processes=processes, memory_fallback=memory_fallback)
    try:
        yield limiter, calls
    finally:
        limiter.close()


def slowest(limiter: ResilientLimiter, limit: Limit, *, calls: int) -> float:
    longest = 0.0
    for _ in range(calls):
        began = time.monotonic()
        limiter.admit([limit])
        longest = max(longest, time.monotonic() - began)
    return longest


def in_use(limiter: ResilientLimiter, limit: Limit) -> bool:
    """Say whether Redis judges, after a busy machine's pauses; takes nothing."""
    return eventually(lambda: limiter.peek([limit]).store is Store.REDIS)


FAULTS: dict[str, Callable[[FaultProxy], None]] = {
    "frozen": FaultProxy.swallow,
    "refusing": FaultProxy.refuse,
    "slower than the budget": lambda proxy: setattr(proxy, "delay_s", 0.4),
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_few_calls_wait_for_a_lost_redis_and_then_none_even_tries(
    proxy: FaultProxy, subject: Subjects, fault: str
) -> None:
    limit = subject("ip", 1_000)
    with service(proxy.url) as (limiter, calls):
        assert in_use(limiter, limit)
        FAULTS[fault](proxy)
        before = calls.tried
        assert slowest(limiter, limit, calls=40) < GENEROUS_S
        assert calls.tried - before <= 3
        assert limiter.admit([limit]).store is Store.MEMORY
        assert limiter.state is StoreState.MEMORY_FALLBACK


@pytest.mark.parametrize("fault", list(FAULTS))
def test_redis_is_used_again_by_itself_after_it_returns(proxy: FaultProxy, subject: Subjects, fault: str) -> None:
    limit = subject("ip", 1_000)
    with service(proxy.url) as (limiter, _):
        limiter.admit([limit])
        FAULTS[fault](proxy)
        limiter.admit([limit])
        assert eventually(lambda: limiter.state is StoreState.MEMORY_FALLBACK)
        proxy.heal()
        assert eventually(lambda: limiter.state is StoreState.REDIS)
        assert in_use(limiter, limit)


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_loss_shows_without_any_traffic(proxy: FaultProxy, fault: str) -> None:
    with service(proxy.url) as (limiter, calls):
        assert eventually(lambda: limiter.state is StoreState.REDIS)
        FAULTS[fault](proxy)
        assert eventually(lambda: limiter.state is StoreState.MEMORY_FALLBACK)
        assert calls.tried == 0


def test_a_slow_redis_within_the_budget_stays_in_use(proxy: FaultProxy, subject: Subjects) -> None:
    limit = subject("ip", 1_000)
    proxy.delay_s = 0.015
    with service(proxy.url) as (limiter, _):
        assert eventually(lambda: {limiter.admit([limit]).store for _ in range(10)} == {Store.REDIS})


def test_a_redis_that_was_never_there_delays_the_first_call_only(subject: Subjects) -> None:
    with deaf_port() as port, service(f"redis://127.0.0.1:{port}/0") as (limiter, calls):
        assert slowest(limiter, subject("ip", 1_000), calls=40) < GENEROUS_S
        assert calls.tried <= 3
        assert limiter.state is StoreState.MEMORY_FALLBACK


def test_connect_login_and_command_share_one_budget(proxy: FaultProxy, subject: Subjects) -> None:
    """A client name and a database number cost an exchange each: with the command, three waits of 150 ms."""
    proxy.delay_s = 0.075
    took = []
    for _ in range(5):  # three waits would be too long every time
        pool = prompt_pool(f"redis://127.0.0.1:{proxy.port}/3?client_name=budget")
        began = time.monotonic()
        with pytest.raises(Exception, match="Timeout"):
            RedisLimiter(Redis(connection_pool=pool)).admit([subject("ip", 1)])
        took.append(time.monotonic() - began)
    assert min(took) < 0.4


def test_a_stopped_server_process_is_a_lost_redis_and_a_continued_one_is_not(
    server: PrivateRedis, subject: Subjects
) -> None:
    limit = subject("ip", 1_000)
    with service(server.url) as (limiter, calls):
        limiter.admit([limit])
        assert server.process is not None
        server.process.send_signal(signal.SIGSTOP)
        try:
            before = calls.tried
            assert slowest(limiter, limit, calls=40) < GENEROUS_S
            assert calls.tried - before <= 3
        finally:
            server.process.send_signal(signal.SIGCONT)
        assert eventually(lambda: limiter.state is StoreState.REDIS)
        assert in_use(limiter, limit)


def test_a_killed_and_empty_restarted_server_is_used_again_without_an_error(
    server: PrivateRedis, subject: Subjects
) -> None:
    limit = subject("ip", 1_000)
    with service(server.url) as (limiter, _):
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda _: limiter.admit([limit]), range(64)))
        server.kill()
        assert limiter.admit([limit]).store is Store.MEMORY
        server.start()
        assert eventually(lambda: limiter.state is StoreState.REDIS)
        with ThreadPoolExecutor(16) as pool:

            def stores() -> set[Store]:
                return {verdict.store for verdict in pool.map(lambda _: limiter.admit([limit]), range(64))}

            assert eventually(lambda: stores() == {Store.REDIS})


def read_only(operator: Redis) -> Callable[[], object]:
    operator.execute_command("REPLICAOF", "127.0.0.1", "1")
    return lambda: operator.execute_command("REPLICAOF", "NO", "ONE")


def out_of_memory(operator: Redis) -> Callable[[], object]:
    operator.config_set("maxmemory-policy", "noeviction")
    operator.config_set("maxmemory", 100_000)
    return lambda: operator.config_set("maxmemory", 0)


def locked(operator: Redis) -> Callable[[], object]:
    operator.config_set("requirepass", "test-only")
    operator.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    return lambda: operator.config_set("requirepass", "")


def busy(operator: Redis) -> Callable[[], object]:
    operator.config_set("busy-reply-threshold", 1)
    endless = operator.connection_pool.make_connection()
    endless.connect()
    endless.send_command("EVAL", "while true do end", 0)
    assert eventually(lambda: says_busy(operator))
    return operator.script_kill


def says_busy(operator: Redis) -> bool:
    try:
        operator.ping()
    except RedisError as error:
        return "BUSY" in str(error)
    return False


STATES = {"read-only": read_only, "out of memory": out_of_memory, "asking for a password": locked, "busy": busy}


@pytest.mark.parametrize("state", list(STATES))
def test_a_redis_that_takes_no_writes_counts_as_gone_until_it_does(
    server: PrivateRedis, subject: Subjects, state: str
) -> None:
    limit, operator = subject("ip", 1_000), server.operator()
    with service(server.url) as (limiter, calls):
        assert in_use(limiter, limit)
        undo = STATES[state](operator)
        try:
            before = calls.tried
            assert slowest(limiter, limit, calls=40) < GENEROUS_S
            assert calls.tried - before <= 3
            assert limiter.state is StoreState.MEMORY_FALLBACK
            time.sleep(1.2)
            assert limiter.state is StoreState.MEMORY_FALLBACK
            assert calls.tried - before <= 3
        finally:
            undo()
        assert eventually(lambda: limiter.state is StoreState.REDIS)
        assert in_use(limiter, limit)
        assert all(operator.pttl(key) != -1 for key in operator.keys("*"))  # -2: its life has just ended


def test_a_loading_redis_counts_as_gone_until_it_has_loaded(subject: Subjects) -> None:
    server, limit = PrivateRedis(), subject("ip", 1_000)
    try:
        server.operator().execute_command("DEBUG", "POPULATE", "4000", "ballast")
        server.operator().save()
        server.kill()
        server.start("--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024", wait=False)
        operator = server.operator()
        assert eventually(lambda: says_loading(operator))
        with service(server.url) as (limiter, calls):
            assert limiter.admit([limit]).store is Store.MEMORY
            assert limiter.state is StoreState.MEMORY_FALLBACK
            assert calls.tried <= 3
            assert says_loading(operator)
            operator.config_set("key-load-delay", 0)  # seen for as long as it took, and waited for no longer
            assert eventually(lambda: limiter.state is StoreState.REDIS)
            assert not says_loading(operator)
    finally:
        server.stop()


def says_loading(operator: Redis) -> bool:
    try:
        operator.ping()
    except BusyLoadingError:
        return True
    except RedisError:
        return False
    return False


def test_each_process_admits_its_share_rounded_up_while_redis_is_gone(proxy: FaultProxy, subject: Subjects) -> None:
    proxy.refuse()
    with service(proxy.url, processes=4) as (limiter, _):
        verdicts = [limiter.admit([subject("ip", 5)]) for _ in range(4)]
    assert [verdict.admitted for verdict in verdicts] == [True, True, False, False]
    assert verdicts[-1].refused == subject("ip", 2)


@pytest.mark.usefixtures("patient_redis")
def test_what_the_database_judges_is_left_to_it_while_redis_is_gone(proxy: FaultProxy, subject: Subjects) -> None:
    phone, ip = subject("phone", 1, durable_elsewhere=True), subject("ip", 4)
    with service(proxy.url, processes=1) as (limiter, _):
        assert [limiter.admit([phone, ip]).admitted for _ in range(2)] == [True, False]
        proxy.refuse()
        assert [limiter.admit([phone, ip]).admitted for _ in range(5)] == [True, True, True, True, False]


@pytest.mark.usefixtures("patient_redis")
def test_without_the_fallback_a_lost_redis_stops_admissions_and_takes_nothing(
    proxy: FaultProxy, subject: Subjects
) -> None:
    limit = subject("ip", 2)
    with service(proxy.url, memory_fallback=False) as (limiter, _):
        limiter.admit([limit])
        proxy.refuse()
        for _ in range(5):
            with pytest.raises(LimiterUnavailable):
                limiter.admit([limit])
        with pytest.raises(LimiterUnavailable):
            limiter.peek([limit])
        wrong_codes = replace(subject("ip_failures", 4), always_judged=True)
        assert [limiter.admit([wrong_codes]).admitted for _ in range(3)] == [True, True, False]
        assert limiter.state is StoreState.UNAVAILABLE
        proxy.heal()
        assert eventually(lambda: limiter.state is StoreState.REDIS)
        assert [limiter.admit([limit]).admitted for _ in range(2)] == [True, False]


def test_a_refund_made_while_redis_is_gone_is_paid_when_it_returns(proxy: FaultProxy, subject: Subjects) -> None:
    limit = subject("phone", 1)
    with service(proxy.url) as (limiter, _):
        verdict = limiter.admit([limit])
        proxy.refuse()
        limiter.refund([limit], reservation=verdict.reservation)
        proxy.heal()
        assert eventually(lambda: limiter.state is StoreState.REDIS)
        assert limiter.admit([limit]).admitted


def test_a_call_that_redis_carried_out_too_late_and_memory_refused_consumes_nothing(
    proxy: FaultProxy, subject: Subjects
) -> None:
    full, other = subject("ip", 1), subject("device", 3)
    with service(proxy.url, processes=1) as (limiter, _):
        proxy.refuse()
        limiter.admit([full])
        proxy.heal()
        assert eventually(lambda: limiter.state is StoreState.REDIS)
        proxy.delay_s = 0.3
        assert limiter.admit([full, other]).store is Store.MEMORY
        time.sleep(0.5)
        proxy.heal(cut=False)
        assert eventually(lambda: limiter.state is StoreState.REDIS)
        seen: list[Admission] = []

        def redis_judges() -> bool:
            seen.append(limiter.peek([full, other]))
            return seen[-1].store is Store.REDIS

        assert eventually(redis_judges)
        assert [standing.used for standing in seen[-1].standings] == [0, 0]


def test_a_refund_in_memory_frees_the_place_there(proxy: FaultProxy, subject: Subjects) -> None:
    limit = subject("ip", 1)
    proxy.refuse()
    with service(proxy.url) as (limiter, _):
        verdict = limiter.admit([limit])
        assert not limiter.admit([limit]).admitted
        limiter.refund([limit], reservation=verdict.reservation)
        assert limiter.admit([limit]).admitted
        limiter.clear([limit])
        assert limiter.peek([limit]).admitted


def test_without_a_redis_memory_is_the_store_and_the_state_says_none(subject: Subjects) -> None:
    limiter = ResilientLimiter(None, MemoryLimiter(), processes=1, memory_fallback=False)
    limit = subject("ip", 1)
    assert [limiter.admit([limit]).admitted for _ in range(2)] == [True, False]
    assert limiter.state is StoreState.NONE
    assert limiter.peek([limit]).store is Store.MEMORY


def test_a_number_of_processes_below_one_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ResilientLimiter(None, MemoryLimiter(), processes=0, memory_fallback=True)


def test_128_threads_meet_a_freezing_redis_and_none_waits_long_or_fails(proxy: FaultProxy, subject: Subjects) -> None:
    limit = subject("ip", 100_000)

    def knock(number: int) -> float:
        if number == 300:
            proxy.swallow()
        began = time.monotonic()
        limiter.admit([limit])
        return time.monotonic() - began

    with service(proxy.url) as (limiter, _), ThreadPoolExecutor(128) as pool:
        assert max(pool.map(knock, range(2_000))) < 2 * GENEROUS_S
        assert limiter.state is StoreState.MEMORY_FALLBACK
