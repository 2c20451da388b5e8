"""The arithmetic of measurements is right where it can be checked by hand."""

import random

import pytest

from bench.stats import auc_interval, median_difference, median_of, paired_ratio, percentile, rank_auc, spread


def test_a_percentile_is_the_nearest_rank() -> None:
    ordered = [float(value) for value in range(1, 101)]
    assert percentile(ordered, share=0.5) == 50
    assert percentile(ordered, share=0.95) == 95
    assert percentile(ordered, share=0.99) == 99
    assert percentile(ordered, share=1) == 100
    assert percentile(ordered, share=0) == 1


def test_a_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        percentile([], share=0.5)


def test_a_share_above_one_is_refused() -> None:
    with pytest.raises(ValueError, match="share"):
        percentile([1.0], share=95)


def test_a_spread_takes_samples_in_any_order() -> None:
    samples = [float(value) for value in range(1, 1001)]
    random.Random(7).shuffle(samples)
    found = spread(samples)
    assert found is not None
    assert (found.p50, found.p95, found.p99, found.count) == (500, 950, 990, 1000)


def test_no_samples_have_no_spread() -> None:
    assert spread([]) is None


def test_a_median_leaves_out_what_could_not_be_measured() -> None:
    assert median_of([3.0, None, 1.0]) == 2.0
    assert median_of([None]) is None


def test_a_ratio_is_taken_round_by_round() -> None:
    # Medians of each side would give 30 / 20 = 1.5; every single round says 2 or 3.
    assert paired_ratio([20.0, 30.0, 60.0], under=[10.0, 10.0, 30.0]) == 2.0


def test_a_ratio_skips_a_round_without_a_figure() -> None:
    assert paired_ratio([20.0, None, 30.0], under=[10.0, 5.0, 0.0]) == 2.0


def test_the_rank_area_tells_apart_what_is_apart() -> None:
    assert rank_auc([1, 2, 3], right=[4, 5, 6]) == 1.0
    assert rank_auc([4, 5, 6], right=[1, 2, 3]) == 0.0


def test_the_rank_area_counts_ties_half() -> None:
    assert rank_auc([1, 1], right=[1, 1]) == 0.5
    assert rank_auc([1, 2], right=[2, 3]) == 0.875


def test_the_area_of_two_equal_crowds_covers_the_coin() -> None:
    rng = random.Random(3)
    found = auc_interval([rng.gauss(5, 1) for _ in range(400)], right=[rng.gauss(5, 1) for _ in range(400)])
    assert found.contains(0.5)


def test_the_area_of_a_shifted_crowd_does_not_cover_the_coin() -> None:
    rng = random.Random(3)
    found = auc_interval([rng.gauss(5, 1) for _ in range(400)], right=[rng.gauss(5.5, 1) for _ in range(400)])
    assert not found.contains(0.5)
    assert found.value > 0.5


def test_a_bootstrap_interval_covers_the_true_difference() -> None:
    rng = random.Random(5)
    found = median_difference([rng.gauss(5, 1) for _ in range(300)], right=[rng.gauss(6, 1) for _ in range(300)])
    assert found.contains(1.0)
    assert not found.contains(0.0)
