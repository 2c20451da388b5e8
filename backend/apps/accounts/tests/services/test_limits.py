"""What every store of limits does, and the proof against a brute-force reading of the rule.

This room must not know which store it is testing.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.accounts.services.limits import Admission, Limit, Limiter

from .limits_bench import BENCHES, Bench, Subjects


@pytest.fixture(params=list(BENCHES))
def bench(request: pytest.FixtureRequest, patient_redis: None) -> Bench:
    return BENCHES[request.param]()


@pytest.fixture
def subject() -> Subjects:
    return Subjects()


def take(limiter: Limiter, limits: list[Limit], *, times: int) -> list[Admission]:
    return [limiter.admit(limits) for _ in range(times)]


def test_admits_exactly_the_limit(bench: Bench, subject: Subjects) -> None:
    verdicts = take(bench.limiter, [subject("ip", 3)], times=5)
    assert [verdict.admitted for verdict in verdicts] == [True, True, True, False, False]


def test_admissions_in_one_millisecond_count_separately(bench: Bench, subject: Subjects) -> None:
    limit = subject("ip", 50)
    names = {verdict.reservation for verdict in take(bench.limiter, [limit], times=50)}
    assert len(names) == 50
    assert bench.limiter.peek([limit]).standings[0].used == 50


def test_a_refused_call_consumes_nothing_in_any_limit(bench: Bench, subject: Subjects) -> None:
    wide, narrow = subject("global", 10), subject("ip", 1)
    take(bench.limiter, [wide, narrow], times=4)
    assert [standing.used for standing in bench.limiter.peek([wide, narrow]).standings] == [1, 1]


def test_a_refusal_in_the_first_limit_leaves_the_second_alone(bench: Bench, subject: Subjects) -> None:
    narrow, wide = subject("ip", 1), subject("global", 10)
    take(bench.limiter, [narrow, wide], times=4)
    assert bench.limiter.peek([wide]).standings[0].used == 1


def test_a_refused_call_names_the_limit_with_the_longest_wait(bench: Bench, subject: Subjects) -> None:
    short, long = subject("cooldown", 1, window_ms=10_000), subject("phone", 1, window_ms=100_000)
    bench.limiter.admit([short, long])
    verdict = bench.limiter.admit([short, long])
    assert verdict.refused == long
    assert 90_000 < verdict.retry_after_ms <= 100_000


def test_a_retry_after_the_stated_wait_is_admitted_and_one_well_before_it_is_not(
    bench: Bench, subject: Subjects
) -> None:
    limits = [subject("cooldown", 1, window_ms=60_000), subject("phone", 2, window_ms=3_600_000)]
    bench.limiter.admit(limits)
    first = bench.limiter.admit(limits)
    bench.advance(first.retry_after_ms - 5_000)
    assert not bench.limiter.admit(limits).admitted
    bench.advance(5_000)
    assert bench.limiter.admit(limits).admitted
    bench.advance(bench.limiter.admit(limits).retry_after_ms)
    assert bench.limiter.admit(limits).admitted


def test_the_window_slides_and_does_not_begin_anew(bench: Bench, subject: Subjects) -> None:
    limit = subject("ip", 2, window_ms=60_000)
    bench.limiter.admit([limit])
    bench.advance(40_000)
    bench.limiter.admit([limit])
    bench.advance(25_000)
    assert [verdict.admitted for verdict in take(bench.limiter, [limit], times=2)] == [True, False]


def test_the_standings_say_used_remaining_and_when_a_place_frees(bench: Bench, subject: Subjects) -> None:
    limit = subject("ip", 3, window_ms=60_000)
    bench.limiter.admit([limit])
    bench.advance(20_000)
    standing = bench.limiter.admit([limit]).standings[0]
    assert (standing.limit, standing.used, standing.remaining) == (limit, 2, 1)
    assert 35_000 < standing.reset_ms <= 40_000


def test_an_untouched_subject_has_all_places_and_nothing_to_wait_for(bench: Bench, subject: Subjects) -> None:
    standing = bench.limiter.peek([subject("ip", 3)]).standings[0]
    assert (standing.used, standing.remaining, standing.reset_ms) == (0, 3, 0)


def test_the_first_admission_frees_its_place_after_one_window(bench: Bench, subject: Subjects) -> None:
    assert bench.limiter.admit([subject("ip", 3, window_ms=60_000)]).standings[0].reset_ms == 60_000


def test_peek_judges_like_admit_and_takes_nothing(bench: Bench, subject: Subjects) -> None:
    limit = subject("ip", 1)
    assert [bench.limiter.peek([limit]).admitted for _ in range(3)] == [True, True, True]
    bench.limiter.admit([limit])
    verdict = bench.limiter.peek([limit])
    assert (verdict.admitted, verdict.refused, verdict.reservation) == (False, limit, "")


def test_a_refund_gives_back_that_admission_and_no_other(bench: Bench, subject: Subjects) -> None:
    limits = [subject("phone", 2), subject("ip", 5)]
    first, second = take(bench.limiter, limits, times=2)
    bench.limiter.refund(limits[:1], reservation=first.reservation)
    bench.limiter.refund(limits[:1], reservation=first.reservation)
    assert [standing.used for standing in bench.limiter.peek(limits).standings] == [1, 2]
    bench.limiter.refund(limits, reservation=second.reservation)
    assert [standing.used for standing in bench.limiter.peek(limits).standings] == [0, 1]


def test_a_refund_of_something_never_admitted_changes_nothing(bench: Bench, subject: Subjects) -> None:
    limit = subject("ip", 1)
    bench.limiter.refund([limit], reservation="never-was")
    bench.limiter.admit([limit])
    bench.limiter.refund([limit], reservation="")
    assert not bench.limiter.admit([limit]).admitted


def test_clear_forgets_the_named_subjects_only(bench: Bench, subject: Subjects) -> None:
    one, other = subject("ip", 1), subject("device", 1)
    bench.limiter.admit([one, other])
    bench.limiter.clear([one])
    assert bench.limiter.admit([one]).admitted
    assert not bench.limiter.admit([other]).admitted


def test_a_lowered_limit_refuses_until_enough_places_are_free(bench: Bench, subject: Subjects) -> None:
    for _ in range(3):
        bench.limiter.admit([subject("ip", 3, window_ms=60_000)])
        bench.advance(10_000)
    lowered = subject("ip", 1, window_ms=60_000)
    verdict = bench.limiter.admit([lowered])
    assert 45_000 < verdict.retry_after_ms <= 50_000
    assert (verdict.standings[0].used, verdict.standings[0].remaining) == (3, 0)
    bench.advance(verdict.retry_after_ms)
    assert bench.limiter.admit([lowered]).admitted


def test_a_clock_set_back_resets_nothing_and_keeps_nobody_out_for_more_than_a_window(
    bench: Bench, subject: Subjects
) -> None:
    limit = subject("ip", 2, window_ms=60_000)
    take(bench.limiter, [limit], times=2)
    bench.advance(-3_600_000)
    verdict = bench.limiter.admit([limit])
    assert not verdict.admitted
    assert verdict.retry_after_ms <= 60_000
    bench.advance(verdict.retry_after_ms)
    assert bench.limiter.admit([limit]).admitted


def test_no_limits_at_all_admit(bench: Bench) -> None:
    verdict = bench.limiter.admit([])
    assert verdict.admitted
    assert verdict.standings == ()


def test_two_limits_on_one_key_are_a_mistake_of_the_caller(bench: Bench, subject: Subjects) -> None:
    with pytest.raises(ValueError, match="share a key"):
        bench.limiter.admit([subject("ip", 1), subject("ip", 2)])


def test_a_limit_of_zero_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Limit(scope="ip", subject="", limit=0, window_ms=1000)


def test_a_hundred_threads_together_get_exactly_the_limit(bench: Bench, subject: Subjects) -> None:
    limits = [subject("ip", 37), subject("global", 1_000), subject("device", 60)]
    together = threading.Barrier(100)

    def knock(_: int) -> bool:
        together.wait(timeout=30)
        return bench.limiter.admit(limits).admitted

    with ThreadPoolExecutor(100) as pool:
        admitted = sum(pool.map(knock, range(100)))
    assert admitted == 37
    assert [standing.used for standing in bench.limiter.peek(limits).standings] == [37, 37, 37]


def test_a_hundred_threads_with_refunds_never_overshoot(bench: Bench, subject: Subjects) -> None:
    limit = subject("ip", 5)
    together = threading.Barrier(100)

    def knock(number: int) -> int:
        together.wait(timeout=30)
        verdict = bench.limiter.admit([limit])
        if verdict.admitted and number % 2:
            bench.limiter.refund([limit], reservation=verdict.reservation)
            return 0
        return int(verdict.admitted)

    with ThreadPoolExecutor(100) as pool:
        kept = sum(pool.map(knock, range(100)))
    assert kept <= 5
    assert bench.limiter.peek([limit]).standings[0].used == kept


SHAPES = ((1, 4_000), (2, 10_000), (3, 25_000))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("advance"), st.integers(1, 12_000)),
        st.tuples(st.just("wait as told"), st.just(0)),
        st.tuples(st.just("admit"), st.integers(1, 7)),
        st.tuples(st.just("peek"), st.integers(1, 7)),
        st.tuples(st.just("refund"), st.integers(0, 30)),
        st.tuples(st.just("clear"), st.integers(1, 7)),
    ),
    max_size=40,
)


class Oracle:
    """The rule read word for word: every admission ever made, counted anew for each question."""

    def __init__(self) -> None:
        self.admissions: list[tuple[int, str, list[Limit]]] = []

    def used(self, limit: Limit, at: int) -> int:
        return sum(at - limit.window_ms < stamp <= at for stamp, _, taken in self.admissions if limit in taken)

    def admits(self, limits: list[Limit], at: int) -> bool:
        return all(self.used(limit, at) < limit.limit for limit in limits)

    def forget(self, limits: list[Limit], reservation: str | None = None) -> None:
        self.admissions = [
            (stamp, name, [kept for kept in taken if kept not in limits or reservation not in (None, name)])
            for stamp, name, taken in self.admissions
        ]


@pytest.mark.parametrize("store", list(BENCHES))
def test_any_history_agrees_with_the_brute_force_count_of_the_trailing_window(store: str, patient_redis: None) -> None:
    BENCHES[store]()

    @settings(
        max_examples=400 if store == "memory" else 80,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(steps=STEPS)
    def history(steps: list[tuple[str, int]]) -> None:
        replay(BENCHES[store](), steps)

    history()


def replay(bench: Bench, steps: list[tuple[str, int]]) -> None:
    subject, oracle = Subjects(), Oracle()
    limits = [subject(f"model{index}", limit, window_ms=window) for index, (limit, window) in enumerate(SHAPES)]
    told = 0
    for verb, number in steps:
        chosen = [limit for index, limit in enumerate(limits) if number >> index & 1]
        if verb == "advance":
            bench.advance(number)
        elif verb == "wait as told":
            bench.advance(told)
        elif verb in ("admit", "peek"):
            told = check(bench, oracle, chosen, taking=verb == "admit")
        elif verb == "clear":
            bench.limiter.clear(chosen)
            oracle.forget(chosen)
        elif number < len(oracle.admissions):
            name = oracle.admissions[number][1]
            bench.limiter.refund(limits[:2], reservation=name)
            oracle.forget(limits[:2], reservation=name)


def check(bench: Bench, oracle: Oracle, limits: list[Limit], *, taking: bool) -> int:
    before = bench.now()
    verdict = bench.limiter.admit(limits) if taking else bench.limiter.peek(limits)
    after = bench.now()
    if not verdict.admitted:
        # Places only come free as time passes: what is refused now was refused when the call began.
        assert not oracle.admits(limits, before)
        assert oracle.admits(limits, after + verdict.retry_after_ms)
        assert not oracle.admits(limits, before + verdict.retry_after_ms - 1)
        return verdict.retry_after_ms
    stamp = bench.stamps(limits[0])[-1] if taking else after
    assert before <= stamp <= after
    assert oracle.admits(limits, stamp)
    if taking:
        oracle.admissions.append((stamp, verdict.reservation, limits))
        assert [standing.used for standing in verdict.standings] == [oracle.used(limit, stamp) for limit in limits]
    return 0
