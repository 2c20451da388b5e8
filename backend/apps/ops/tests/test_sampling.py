"""A sampler never makes its asker wait, and is right again as soon as what it looks at is."""

import threading
import time
from collections.abc import Callable

import pytest

from apps.ops import sampling
from apps.ops.sampling import Sampler

# Longer than any machine is busy: what is waited for is an event, and ends as soon as it comes.
LONG_SECONDS = 60.0


class Clock:
    """The sampler's clock, which only a test moves."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(sampling, "time", found)
    return found


def until(condition: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + LONG_SECONDS
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.005)


def test_a_look_that_hangs_is_absent_within_its_patience() -> None:
    release = threading.Event()
    sampler: Sampler[str] = Sampler(
        lambda: str(release.wait(LONG_SECONDS)), absent=lambda: "absent", patience_seconds=0.1
    )
    assert sampler.read() == "absent"  # whoever had waited for the look would have been told what it found
    release.set()


def test_a_known_value_is_given_up_when_later_looks_hang(clock: Clock) -> None:
    release, hangs, answers = threading.Event(), threading.Event(), iter(["well"])

    def look() -> str:
        found = next(answers, None)
        if found is None:
            hangs.set()
            release.wait(LONG_SECONDS)
            return "back"
        return found

    sampler: Sampler[str] = Sampler(look, absent=lambda: "absent", fresh_seconds=0.5, patience_seconds=LONG_SECONDS)
    assert sampler.read() == "well"
    sampler._patience = 0.1
    clock.now += 0.5
    assert sampler.read() == "well"
    assert hangs.wait(LONG_SECONDS)
    clock.now += 0.2
    assert sampler.read() == "absent"
    release.set()
    until(lambda: sampler._value == "back")
    assert sampler.read() == "back"


def test_a_hopeless_look_gets_a_successor(clock: Clock) -> None:
    release, calls = threading.Event(), []

    def look() -> str:
        calls.append(1)
        if len(calls) == 1:
            release.wait(LONG_SECONDS)
        return "well"

    sampler: Sampler[str] = Sampler(look, absent=lambda: "absent", patience_seconds=0.05, hopeless_seconds=2.0)
    assert sampler.read() == "absent"
    until(lambda: len(calls) == 1)
    clock.now += 1.9
    assert sampler.read() == "absent"
    assert len(calls) == 1
    clock.now += 0.1
    sampler._patience = LONG_SECONDS
    assert sampler.read() == "well"
    release.set()


def test_hanging_looks_are_few(clock: Clock) -> None:
    release, calls = threading.Event(), []

    def look() -> str:
        calls.append(1)
        release.wait(LONG_SECONDS)
        return "well"

    sampler: Sampler[str] = Sampler(look, absent=lambda: "absent", patience_seconds=0.0, hopeless_seconds=2.0)
    for _ in range(20):
        assert sampler.read() == "absent"
        clock.now += 2.1
    until(lambda: len(calls) == 4)
    assert sampler._hanging == 3  # and the one that is not given up
    release.set()


def test_parallel_askers_share_one_look() -> None:
    calls: list[int] = []
    release = threading.Event()

    def look() -> str:
        calls.append(1)
        release.wait(LONG_SECONDS)
        return "well"

    sampler: Sampler[str] = Sampler(
        look, absent=lambda: "absent", fresh_seconds=LONG_SECONDS, patience_seconds=LONG_SECONDS
    )
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(sampler.read())) for _ in range(20)]
    for thread in threads:
        thread.start()
    until(lambda: len(calls) == 1)
    release.set()
    for thread in threads:
        thread.join()
    assert found == ["well"] * 20
    assert len(calls) == 1
