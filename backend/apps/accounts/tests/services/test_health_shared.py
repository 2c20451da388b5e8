"""Circuits over several processes: two instances on one Redis, and each alone when Redis is gone."""

import signal
import threading
import time
from collections.abc import Iterator

import pytest
from redis import Redis

from apps.accounts.clock import Clock
from apps.accounts.providers.base import Cooling
from apps.accounts.services import breaker
from apps.accounts.services.breaker import Circuit
from apps.accounts.services.breaker_state import FRESH_SECONDS, Circuits, SharedHash, Step
from apps.accounts.services.limits import RedisLimiter, StoreHealth, prompt_pool, redis_connection
from apps.accounts.tests.services.limits_rig import PrivateRedis, eventually

AT = "twilio:sms"
PROMPT_SECONDS = redis_connection.BUDGET_SECONDS
pytestmark = pytest.mark.usefixtures("patient_redis")


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateRedis]:
    made = PrivateRedis()
    yield made
    made.stop()


class Process:
    """What one process holds: circuits of its own, with its own pool and its own idea of Redis' health."""

    def __init__(self, server: PrivateRedis) -> None:
        pool = prompt_pool(server.url)
        self.shared = SharedHash(lambda: pool)
        self.health = StoreHealth(RedisLimiter(Redis(connection_pool=pool)).open_probe(), interval_s=0.05)
        self._later = 0.0
        self.circuits = Circuits(self.shared, self.health, clock=Clock(), monotonic=self._monotonic)

    def fail(self, cooling: Cooling = Cooling.COUNTS, *, times: int = 1) -> None:
        for _ in range(times):
            self.circuits.change(AT, failure(cooling))

    def cools(self) -> bool:
        return breaker.is_cooling(self.circuits.look().get(AT, Circuit()), self.circuits.now())

    def at_its_next_look(self) -> "Process":
        """Let the time between two looks pass."""
        self._later += FRESH_SECONDS
        return self

    def stop(self) -> None:
        self.health.stop()

    def _monotonic(self) -> float:
        return time.monotonic() + self._later


def failure(cooling: Cooling) -> Step:
    return lambda circuit, now: breaker.fail(circuit, cooling, cause="x", retry_after=None, started=now, now=now)


@pytest.fixture
def pair(server: PrivateRedis) -> Iterator[tuple[Process, Process]]:
    if server.process is None:
        server.start()
    server.operator().flushall()
    made = Process(server), Process(server)
    assert all(one.health.settled(timeout_s=60) for one in made)
    yield made
    for one in made:
        one.stop()


def test_the_fifth_failure_over_all_processes_opens_the_circuit_in_each(pair: tuple[Process, Process]) -> None:
    one, other = pair
    one.fail(times=3)
    other.fail()
    assert not one.cools()
    other.fail()
    assert other.cools()
    assert one.at_its_next_look().cools()


def test_exactly_one_of_many_threads_and_processes_sees_the_circuit_open(pair: tuple[Process, Process]) -> None:
    opened: list[Circuit] = []

    def fail(process: Process) -> None:
        before, after = process.circuits.change(AT, failure(Cooling.COUNTS))
        if after.kind and not before.kind:
            opened.append(after)

    threads = [threading.Thread(target=fail, args=(pair[n % 2],)) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 1


def test_a_success_in_one_process_ends_the_cooling_in_the_other(pair: tuple[Process, Process]) -> None:
    one, other = pair
    one.fail(Cooling.LONG)
    assert other.at_its_next_look().cools()
    other.circuits.change(AT, lambda circuit, now: breaker.succeed(circuit, started=now, now=now))
    assert not one.at_its_next_look().cools()


def test_one_probe_every_two_seconds_is_one_over_all_processes(
    pair: tuple[Process, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "PROBE_SPACING_MS", 60_000)  # longer than any machine is busy
    pair[0].fail(Cooling.LONG)
    assert pair[1].at_its_next_look().cools()
    won: list[int] = []

    def claim(process: Process) -> None:
        before, after = process.circuits.change(
            AT, lambda circuit, now: breaker.claim(circuit, now) if breaker.may_probe(circuit, now) else circuit
        )
        if after.claimed > before.claimed:
            won.append(after.claimed)

    threads = [threading.Thread(target=claim, args=(pair[n % 2],)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_healthy_sends_cost_no_round_trip_but_the_quarterly_read(pair: tuple[Process, Process]) -> None:
    one = pair[0]
    one.circuits.look()
    before, started = one.shared.round_trips, time.monotonic()
    for _ in range(500):
        one.circuits.look()
        one.circuits.change(AT, lambda circuit, now: breaker.succeed(circuit, started=now, now=now))
    spent = time.monotonic() - started
    assert one.shared.round_trips - before <= 1 + int(spent / FRESH_SECONDS)


def test_every_key_has_the_prefix_and_an_end(pair: tuple[Process, Process], server: PrivateRedis) -> None:
    pair[0].fail()
    client = server.operator()
    keys = [key for key in client.scan_iter() if b"limit" not in key]
    assert keys == [b"otp:breaker:circuits"]
    assert 0 < client.ttl(keys[0]) <= 86_400


def test_without_redis_each_process_counts_alone(server: PrivateRedis, pair: tuple[Process, Process]) -> None:
    one, other = pair
    server.kill()
    one.fail(times=3)
    other.fail(times=2)
    assert not one.cools()
    assert not other.cools()
    one.fail(times=2)
    assert one.cools()
    assert not other.cools()


def test_a_dead_redis_is_waited_for_once_and_then_no_more(
    server: PrivateRedis, pair: tuple[Process, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = pair[0]
    monkeypatch.setattr(redis_connection, "BUDGET_SECONDS", PROMPT_SECONDS)
    server.process.send_signal(signal.SIGSTOP)  # type: ignore[union-attr]
    try:
        before = one.shared.round_trips
        for _ in range(4):
            one.at_its_next_look().circuits.look()
            one.fail()
        assert one.shared.round_trips - before <= 1
    finally:
        server.process.send_signal(signal.SIGCONT)  # type: ignore[union-attr]


def test_what_opened_while_redis_was_gone_is_told_when_it_is_back_empty(
    server: PrivateRedis, pair: tuple[Process, Process]
) -> None:
    one, other = pair
    server.kill()
    one.fail(Cooling.LONG)
    assert one.cools()
    server.start()
    assert eventually(lambda: one.cools() and other.cools(), within_s=60)


def test_a_field_that_is_no_circuit_reads_as_closed(pair: tuple[Process, Process], server: PrivateRedis) -> None:
    server.operator().hset("otp:breaker:circuits", AT, "not json")
    assert not pair[0].cools()
    pair[0].fail(Cooling.LONG)
    assert pair[0].cools()


def test_a_circuit_that_is_new_while_another_thread_looks_disturbs_nobody(
    pair: tuple[Process, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = pair

    class Busy(dict[str, str]):
        """What Redis holds; while it is read, another thread's send by another gateway fails."""

        def __contains__(self, name: object) -> bool:
            one.circuits.change(f"new-{len(one.circuits.look())}:sms", failure(Cooling.COUNTS))
            return super().__contains__(name)

    one.fail()
    eventually(lambda: time.monotonic() - one.circuits._read_at >= FRESH_SECONDS)
    monkeypatch.setattr(one.shared, "read", lambda: (int(time.time() * 1000), Busy()))
    assert AT in one.circuits.look()
