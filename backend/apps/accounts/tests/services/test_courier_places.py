"""The places in which calls wait for a gateway: bounded, with a short queue, so that the other threads stay free."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from apps.accounts.errors import ServiceUnavailable
from apps.accounts.services import courier
from apps.accounts.services.courier import Courier
from apps.accounts.tests.services.health_rig import service
from conftest import BuildRooms

PLACES = 8
QUEUE = PLACES // courier.QUEUE_SHARE
# Longer than any machine is busy: what is waited for ends as soon as it happens.
LONG_SECONDS = 60.0


@pytest.fixture
def full(build_rooms: BuildRooms) -> Iterator[tuple[Courier, ExitStack]]:
    """A courier whose eight places are all taken, until the stack is closed."""
    made = build_rooms(OTP_GATEWAY_THREADS=str(PLACES)).services.courier
    with ExitStack() as taken:
        for _ in range(PLACES):
            taken.enter_context(made.slot())
        yield made, taken


def enter(made: Courier, count: int) -> tuple[list[threading.Thread], list[str]]:
    """Let `count` calls ask for a place, each on a thread; return the threads and what became of those that ended."""
    became: list[str] = []

    def call() -> None:
        try:
            with made.slot():
                became.append("served")
        except ServiceUnavailable as refused:
            became.append(f"retry after {refused.retry_after}")

    threads = [threading.Thread(target=call) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, became


def until(condition: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + LONG_SECONDS
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.005)


def test_a_call_waits_a_moment_for_a_place_that_comes_free(
    full: tuple[Courier, ExitStack], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, taken = full
    monkeypatch.setattr(courier, "SLOT_SECONDS", LONG_SECONDS)
    (thread,), became = enter(made, 1)
    until(lambda: made._queue._value == QUEUE - 1)
    assert became == []
    taken.close()
    thread.join()
    assert became == ["served"]


def test_a_place_that_never_comes_free_is_an_honest_503(full: tuple[Courier, ExitStack]) -> None:
    made, _ = full
    began = time.monotonic()
    with pytest.raises(ServiceUnavailable) as refused, made.slot():
        pass
    assert refused.value.retry_after == 2
    assert time.monotonic() - began >= courier.SLOT_SECONDS


def test_beyond_a_short_queue_nobody_waits_at_all(
    full: tuple[Courier, ExitStack], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, taken = full
    monkeypatch.setattr(courier, "SLOT_SECONDS", LONG_SECONDS)
    threads, became = enter(made, 10)
    until(lambda: len(became) == 10 - QUEUE)
    assert set(became) == {"retry after 2"}
    taken.close()  # those in the queue are still there
    for thread in threads:
        thread.join()
    assert became[10 - QUEUE :] == ["served"] * QUEUE


def test_all_places_are_free_again_after_a_crowd(full: tuple[Courier, ExitStack]) -> None:
    made, taken = full
    for _ in range(3):
        with pytest.raises(ServiceUnavailable), made.slot():
            pass
    taken.close()
    with ExitStack() as again:
        for _ in range(PLACES):
            again.enter_context(made.slot())


def test_a_trial_that_gets_no_thread_costs_nobody_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    courier._in_a_thread(lambda: None)


@pytest.mark.django_db(transaction=True)
def test_a_crowded_gateway_goes_behind_the_others(build_rooms: BuildRooms) -> None:
    made = service(build_rooms)
    post = made.rooms.services.courier
    for _ in range(post._crowd):
        post._count_waiting("authentica", 1)
    assert made.many(2) == {"twilio": 2}
    post._count_waiting("authentica", -1)
    assert made.many(2) == {"authentica": 2}
