"""When the breaker opens, when it closes, and what it owes to a process that forks.

This room must not know Redis: the probe is a switch in the test's hand.
"""

import gc
import os
import threading
import time

import pytest

from apps.accounts.services.limits import StoreHealth

from .limits_rig import eventually


class Switch:
    """A probe that fails while it is off, and notes how it was asked."""

    def __init__(self) -> None:
        self.on = True
        self.asked: list[bool] = []

    def __call__(self, *, cold: bool) -> None:
        self.asked.append(cold)
        if not self.on:
            raise ConnectionError("off")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Rig:
    """A breaker whose thread sleeps, so that the test takes each look itself."""

    def __init__(self) -> None:
        self.switch, self.clock = Switch(), Clock()
        self.health = StoreHealth(self.switch, interval_s=3600, clock=self.clock)
        assert self.health.settled(timeout_s=60)
        self.switch.asked.clear()

    def fail_a_call(self) -> None:
        # The prober would look at once; here the test decides when.
        self.health._wake = threading.Event()
        self.health.record_failure(TimeoutError("slow"), epoch=self.health.epoch)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_the_first_failed_call_closes_the_door_for_all_others(rig: Rig) -> None:
    assert rig.health.usable
    rig.fail_a_call()
    assert not rig.health.usable


def test_two_probes_on_new_connections_open_the_door_again(rig: Rig) -> None:
    rig.fail_a_call()
    assert rig.health.try_to_close()
    assert rig.health.usable
    assert rig.switch.asked == [True, True]


def test_a_store_that_still_fails_stays_out_of_use(rig: Rig) -> None:
    rig.fail_a_call()
    rig.switch.on = False
    assert not rig.health.try_to_close()
    assert not rig.health.usable


def test_a_failed_look_without_any_traffic_takes_the_store_out_of_use(rig: Rig) -> None:
    rig.switch.on = False
    rig.health.look()
    assert not rig.health.usable


def test_a_store_that_passes_probes_and_fails_calls_costs_three_calls_in_ten_seconds(rig: Rig) -> None:
    failed = 0
    for _ in range(95):
        if rig.health.usable:
            rig.fail_a_call()
            failed += 1
        rig.health.try_to_close()
        rig.clock.now += 0.1
    assert failed == 3
    rig.clock.now += 0.6
    assert rig.health.try_to_close()


def test_a_call_that_hung_through_an_outage_does_not_reopen_it(rig: Rig) -> None:
    before = rig.health.epoch
    rig.fail_a_call()
    rig.health.try_to_close()
    rig.health.record_failure(TimeoutError("late"), epoch=before)
    assert rig.health.usable


def test_many_calls_failing_together_count_as_one_outage(rig: Rig) -> None:
    for _ in range(50):
        rig.fail_a_call()
    assert rig.health.try_to_close()


def test_what_is_owed_is_paid_before_the_first_call_is_let_in(rig: Rig) -> None:
    seen: list[bool] = []
    rig.health.on_recovery = lambda: seen.append(rig.health.usable)
    rig.fail_a_call()
    rig.health.try_to_close()
    assert seen == [False]


def test_a_store_that_dies_while_debts_are_paid_stays_out_of_use(rig: Rig) -> None:
    def die() -> None:
        raise ConnectionError("gone again")

    rig.health.on_recovery = die
    rig.fail_a_call()
    assert not rig.health.try_to_close()
    assert not rig.health.usable


def test_the_thread_notices_loss_and_return_by_itself() -> None:
    switch = Switch()
    health = StoreHealth(switch, interval_s=0.05)
    assert health.settled(timeout_s=60)
    switch.on = False
    assert eventually(lambda: not health.usable)
    switch.on = True
    assert eventually(lambda: health.usable)
    health.stop()


def test_a_failed_call_is_looked_into_at_once_and_not_at_the_next_turn() -> None:
    health = StoreHealth(Switch(), interval_s=3600)
    assert health.settled(timeout_s=60)
    health.record_failure(TimeoutError("one lost packet"), epoch=health.epoch)
    assert eventually(lambda: health.usable)
    health.stop()


def test_the_first_question_in_a_process_waits_for_the_first_answer() -> None:
    switch = Switch()
    switch.on = False
    health = StoreHealth(switch, interval_s=3600)
    assert not health.settled(timeout_s=10)
    health.stop()


def test_a_forgotten_breaker_takes_its_thread_with_it() -> None:
    health = StoreHealth(Switch(), interval_s=0.02)
    assert health.settled(timeout_s=60)
    thread = health._thread
    assert thread is not None
    del health
    gc.collect()
    assert eventually(lambda: not thread.is_alive())


def test_a_stopped_breaker_starts_its_thread_again_when_used() -> None:
    switch = Switch()
    health = StoreHealth(switch, interval_s=0.02)
    assert health.settled(timeout_s=60)
    health.stop()
    switch.asked.clear()
    assert health.usable
    assert eventually(lambda: len(switch.asked) > 0)
    health.stop()


def test_a_forked_child_gets_a_prober_of_its_own() -> None:
    switch = Switch()
    health = StoreHealth(switch, interval_s=0.02)
    assert health.settled(timeout_s=60)
    child = os.fork()
    if child == 0:
        switch.asked.clear()
        started = health.usable
        ends_at = time.monotonic() + 60
        while len(switch.asked) < 2 and time.monotonic() < ends_at:
            time.sleep(0.01)
        os._exit(0 if started and len(switch.asked) >= 2 else 1)
    _, status = os.waitpid(child, 0)
    health.stop()
    assert os.waitstatus_to_exitcode(status) == 0
