"""What only the memory store owes: bounded memory, and a lock that survives a fork.

This room must not know Redis.
"""

import os
import threading

from apps.accounts.services.limits import Limit, MemoryLimiter


class Clock:
    def __init__(self) -> None:
        self.now = 1_000

    def __call__(self) -> int:
        return self.now


def ip(number: int, *, window_ms: int = 60_000) -> Limit:
    return Limit(scope="ip", subject=str(number), limit=2, window_ms=window_ms)


def test_subjects_whose_window_has_passed_are_swept_while_new_ones_come_in() -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock=clock)
    for number in range(20_000):
        clock.now += 10
        limiter.admit([ip(number)])
    assert limiter.subjects <= 60_000 // 10 + 1


def test_a_backlog_of_dead_subjects_shrinks_with_every_admission() -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock=clock)
    for number in range(5_000):
        limiter.admit([ip(number)])
    clock.now += 60_001
    for number in range(5_000, 5_500):
        limiter.admit([ip(number)])
    assert limiter.subjects == 500


def test_a_subject_that_keeps_coming_is_not_swept_with_its_first_stamp() -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock=clock)
    limiter.admit([ip(1)])
    clock.now += 40_000
    limiter.admit([ip(1)])
    clock.now += 25_000
    limiter.admit([ip(2)])
    assert limiter.peek([ip(1)]).standings[0].used == 1


def test_refused_calls_and_peeks_hold_no_memory() -> None:
    limiter = MemoryLimiter(clock=Clock())
    whole = Limit(scope="global", subject="", limit=1, window_ms=60_000)
    limiter.admit([whole])
    for number in range(1_000):
        limiter.admit([whole, ip(number)])
        limiter.peek([ip(number)])
    assert limiter.subjects == 1


def test_full_memory_refuses_new_subjects_keeps_the_old_counts_and_takes_new_ones_after_the_stated_wait() -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock=clock, max_subjects=100)
    for number in range(100):
        limiter.admit([ip(number)])
    refused = limiter.admit([ip(100)])
    assert (refused.admitted, refused.refused) == (False, ip(100))
    assert limiter.admit([ip(0)]).standings[0].used == 2
    assert not limiter.admit([ip(0)]).admitted
    clock.now += refused.retry_after_ms
    assert limiter.admit([ip(100)]).admitted


def test_a_subject_cleared_again_and_again_does_not_grow_the_books() -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock=clock)
    for _ in range(1_000):
        limiter.admit([ip(1)])
        limiter.clear([ip(1)])
    assert len(limiter._expiries) == 1
    clock.now += 60_001
    limiter.admit([ip(2)])
    assert limiter.subjects == 1


def test_a_child_process_is_not_stopped_by_a_lock_held_at_the_fork() -> None:
    limiter = MemoryLimiter()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with limiter._lock:
            held.set()
            done.wait(timeout=30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(timeout=30)
    child = os.fork()
    if child == 0:
        os._exit(0 if limiter._lock.acquire(timeout=5) else 1)
    _, status = os.waitpid(child, 0)
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0
