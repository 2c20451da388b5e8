"""The timing comparison calls a difference by its name and a coin a coin."""

import random
from collections import Counter

from bench.findings import Kind, Probe, Samples, another, compare, shapes_differ, written


def samples(*, mean: float, seed: int, shape: tuple[int, int] = (200, 400)) -> Samples:
    rng = random.Random(seed)
    return Samples(seconds=[rng.gauss(mean, 0.001) for _ in range(400)], shapes=Counter({shape: 400}))


def verdict_of(left: Samples, right: Samples) -> str:
    table = {(Probe.REQUEST, Kind.UNKNOWN): left, (Probe.REQUEST, Kind.KNOWN): right}
    (found,) = compare(table)
    return found.verdict


def test_equal_crowds_show_no_oracle() -> None:
    assert verdict_of(samples(mean=0.01, seed=1), samples(mean=0.01, seed=2)) == "no oracle seen"


def test_a_slower_crowd_is_an_oracle() -> None:
    assert verdict_of(samples(mean=0.01, seed=1), samples(mean=0.011, seed=2)) == "ORACLE: the time tells"


def test_a_small_shift_is_faint() -> None:
    shape = Counter({(200, 400): 400})
    left = Samples(seconds=[float(value) for value in range(400)], shapes=shape)
    right = Samples(seconds=[float(value + 24) for value in range(400)], shapes=shape)
    assert verdict_of(left, right) == "a faint difference, more samples wanted"


def test_another_status_is_an_oracle_whatever_the_time() -> None:
    left, right = samples(mean=0.01, seed=1), samples(mean=0.01, seed=2, shape=(403, 400))
    assert verdict_of(left, right) == "ORACLE: the answers look different"


def test_a_digit_more_in_a_countdown_is_no_difference() -> None:
    assert not shapes_differ(Counter({(200, 400): 9}), Counter({(200, 401): 9}))
    assert shapes_differ(Counter({(200, 400): 9}), Counter({(200, 420): 9}))


def test_blocked_numbers_are_compared_among_themselves_only() -> None:
    table = {(Probe.REQUEST, kind): samples(mean=0.01, seed=number) for number, kind in enumerate(Kind)}
    pairs = {(one.left, one.right) for one in compare(table)}
    assert (Kind.BLOCKED_UNKNOWN, Kind.BLOCKED_KNOWN) in pairs
    assert all(
        {left, right} & {Kind.BLOCKED_KNOWN, Kind.BLOCKED_UNKNOWN} in (set(), {left, right}) for left, right in pairs
    )


def test_the_table_has_a_line_per_comparison() -> None:
    table = {(Probe.REQUEST, kind): samples(mean=0.01, seed=number) for number, kind in enumerate(Kind)}
    assert len(written(compare(table), table=table).splitlines()) == 4


def test_a_wrong_code_is_never_the_right_one() -> None:
    assert another("999999") == "000000"
    assert another("000009") == "000010"
