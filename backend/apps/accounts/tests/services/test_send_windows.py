"""The arithmetic of a phone's window where some of its messages were nobody's wish."""

from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.services.windows import SendRule, judge_send, unasked

NOW = 1_800_000_000_000
RULE = SendRule(limit=3, window_ms=3_600_000, cooldown_ms=60_000)


def test_a_window_without_a_limit_never_says_that_no_send_is_left() -> None:
    off = SendRule(limit=0, window_ms=3_600_000, cooldown_ms=0)
    stamps = [NOW - second * 1000 for second in range(1, 200)]
    assert judge_send(stamps, now_ms=NOW, rule=off).left > 0


def test_an_unasked_message_counts_and_starts_no_cooldown() -> None:
    verdict = judge_send([unasked(NOW - 1)], now_ms=NOW, rule=RULE)
    assert (verdict.reason, verdict.wait_ms, verdict.left) == ("", 0, 2)


def test_an_unasked_message_after_an_asked_one_does_not_lengthen_its_cooldown() -> None:
    verdict = judge_send([NOW - 50_000, unasked(NOW - 1)], now_ms=NOW, rule=RULE)
    assert (verdict.reason, verdict.wait_ms) == ("cooldown", 10_000)


def test_an_unasked_message_waits_for_no_cooldown_but_for_the_window() -> None:
    fresh = [NOW - 1, NOW - 2]
    assert judge_send(fresh, now_ms=NOW, rule=RULE, cooldown=False).reason == ""
    full = judge_send([*fresh, unasked(NOW - 3_000)], now_ms=NOW, rule=RULE, cooldown=False)
    assert (full.reason, full.wait_ms) == ("phone", RULE.window_ms - 3_000)


def test_marks_stay_on_the_stamps_that_still_count() -> None:
    stamps = [unasked(NOW - 4_000_000), NOW - 3_000_000, unasked(NOW - 2_000)]
    assert judge_send(stamps, now_ms=NOW, rule=RULE).kept == (NOW - 3_000_000, unasked(NOW - 2_000))


def test_with_the_limit_off_an_unasked_message_is_always_admitted() -> None:
    rule = SendRule(limit=0, window_ms=3_600_000, cooldown_ms=60_000)
    assert judge_send([NOW - 1] * 50, now_ms=NOW, rule=rule, cooldown=False).reason == ""


STAMPS = st.lists(st.tuples(st.integers(0, 4_000_000), st.booleans()), max_size=12)


@given(STAMPS)
def test_a_retry_made_after_the_wait_is_admitted_and_none_before_it(ages: list[tuple[int, bool]]) -> None:
    stamps = [unasked(NOW - age) if quiet else NOW - age for age, quiet in ages]
    verdict = judge_send(stamps, now_ms=NOW, rule=RULE)
    assert (verdict.wait_ms == 0) == (verdict.reason == "")
    assert judge_send(stamps, now_ms=NOW + verdict.wait_ms, rule=RULE).reason == ""
    if verdict.wait_ms:
        assert judge_send(stamps, now_ms=NOW + verdict.wait_ms - 1, rule=RULE).reason != ""
