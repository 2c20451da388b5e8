"""A crowd on one subject waits its turn in memory; a stuck one is sent away at once, and nobody else notices."""

import threading
from collections.abc import Callable

import psycopg
import pytest
from django.db import OperationalError

from apps.accounts.errors import ServiceUnavailable
from apps.accounts.services.turnstile import Turnstile

pytestmark = pytest.mark.django_db


# Longer than any machine is busy: what is waited for ends as soon as it happens.
LONG_SECONDS = 60.0


def together(count: int, act: Callable[[], None]) -> list[BaseException]:
    raised: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except Exception as error:
            raised.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * LONG_SECONDS)
    return raised


def test_no_more_than_the_given_number_pass_at_once_and_all_pass_in_the_end() -> None:
    turnstile, inside, most, passed = Turnstile(at_once=3, patience=LONG_SECONDS), 0, 0, 0
    lock, three = threading.Lock(), threading.Barrier(3)

    def pass_through() -> None:
        nonlocal inside, most, passed
        with turnstile.turn("a phone"):
            with lock:
                inside += 1
                most = max(most, inside)
            three.wait(LONG_SECONDS)  # nobody leaves before three are inside
            with lock:
                inside -= 1
                passed += 1

    assert together(30, pass_through) == []
    assert (most, passed) == (3, 30)
    assert turnstile._crowds == {}


def test_who_waits_too_long_is_sent_away_and_another_subject_is_free() -> None:
    turnstile = Turnstile(at_once=1, patience=0.05)
    with turnstile.turn("a phone"):
        (error,) = together(1, lambda: turnstile.turn("a phone").__enter__())
        assert isinstance(error, ServiceUnavailable)
        with turnstile.turn("another phone"):
            pass
    with turnstile.turn("a phone"):
        pass


def test_who_waits_for_a_row_that_is_held_is_sent_away_with_the_one_who_found_out() -> None:
    turnstile = Turnstile(at_once=1, patience=LONG_SECONDS)
    found_out = threading.Event()

    def find_it_locked() -> None:
        with turnstile.turn("a phone"):
            for _ in range(12_000):
                if turnstile._crowds["a phone"].waiting == 9 or found_out.wait(0.005):
                    break
            found_out.set()
            raise OperationalError("held") from psycopg.errors.LockNotAvailable("held")

    raised = together(10, find_it_locked)
    # Each of the nine would have found out for itself, had it been let in.
    assert sorted(type(error).__name__ for error in raised) == ["OperationalError"] + ["ServiceUnavailable"] * 9
    with turnstile.turn("a phone"):
        pass
    assert turnstile._crowds == {}
