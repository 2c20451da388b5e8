"""The rules of one circuit: what each error leaf does to it, and when it may be probed. No clock but a number."""

import pytest

from apps.accounts.providers.base import LEAVES, Cooling, Misconfigured, OutcomeUnknown, ProviderError, Unavailable
from apps.accounts.services import breaker
from apps.accounts.services.breaker import Circuit

T = 1_700_000_000_000


def failing(circuit: Circuit, leaf: type[ProviderError], at: int, *, times: int = 1, took: int = 0) -> Circuit:
    for _ in range(times):
        circuit = breaker.fail(circuit, leaf.cooling, cause=leaf.kind, retry_after=None, started=at - took, now=at)
    return circuit


# How many failures of each leaf open a circuit, and for how many seconds the first cooling lasts; 0 failures: never.
TABLE = {
    "invalid_recipient": (0, 0),
    "rejected": (0, 0),
    "fraud_suspected": (0, 0),
    "throttled": (1, 5),
    "out_of_credit": (1, 30),
    "misconfigured": (1, 30),
    "unavailable": (5, 10),
    "host_exhausted": (0, 0),
    "outcome_unknown": (5, 10),
}


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.kind)
def test_each_leaf_cools_as_the_table_says(leaf: type[ProviderError]) -> None:
    needed, seconds = TABLE[leaf.kind]
    if not needed:
        assert failing(Circuit(), leaf, T, times=100) == Circuit()
        return
    assert not breaker.is_cooling(failing(Circuit(), leaf, T, times=needed - 1), T)
    opened = failing(Circuit(), leaf, T, times=needed)
    assert breaker.is_cooling(opened, T)
    assert opened.until == T + seconds * 1000


def test_the_table_of_leaves_is_complete() -> None:
    assert {leaf.kind for leaf in LEAVES} == set(TABLE)


def test_a_throttling_lasts_as_long_as_the_gateway_says_and_ends_by_itself() -> None:
    circuit = breaker.fail(Circuit(), Cooling.SHORT, cause="throttled", retry_after=17.0, started=T, now=T)
    assert breaker.is_cooling(circuit, T + 16_999)
    assert not breaker.is_cooling(circuit, T + 17_000)
    assert not breaker.may_try(circuit, T + 16_999)


def test_a_throttled_gateway_does_not_become_fragile() -> None:
    circuit = breaker.fail(Circuit(), Cooling.SHORT, cause="throttled", retry_after=1.0, started=T, now=T)
    circuit = breaker.succeed(circuit, started=T + 2000, now=T + 2100)
    assert circuit.kind == ""
    assert not breaker.is_cooling(failing(circuit, Unavailable, T + 2200), T + 2200)


def test_five_failures_count_only_within_thirty_seconds() -> None:
    circuit = Circuit()
    for second in (0, 7, 14, 21, 31):
        circuit = failing(circuit, Unavailable, T + second * 1000)
    assert not breaker.is_cooling(circuit, T + 31_000)
    circuit = failing(circuit, Unavailable, T + 32_000)
    assert breaker.is_cooling(circuit, T + 32_000)


def test_failures_of_both_counted_leaves_count_together() -> None:
    circuit = failing(failing(Circuit(), Unavailable, T, times=3), OutcomeUnknown, T + 1, times=2)
    assert breaker.is_cooling(circuit, T + 1)


def test_sends_that_were_under_way_when_it_opened_do_not_prolong_the_cooling() -> None:
    circuit = failing(Circuit(), OutcomeUnknown, T, times=5)
    later = failing(circuit, OutcomeUnknown, T + 3_900, times=50, took=4_000)
    assert later == circuit


def test_each_failed_trial_doubles_the_cooling_up_to_a_minute() -> None:
    circuit = failing(Circuit(), Unavailable, T, times=5)
    lengths, now = [], T
    for _ in range(6):
        lengths.append((circuit.until - now) // 1000)
        now = circuit.until
        circuit = failing(circuit, Unavailable, now)
    assert lengths == [10, 20, 40, 60, 60, 60]


def test_a_long_cooling_doubles_up_to_five_minutes() -> None:
    circuit = failing(Circuit(), Misconfigured, T)
    lengths, now = [], T
    for _ in range(5):
        lengths.append((circuit.until - now) // 1000)
        now = circuit.until
        circuit = failing(circuit, Misconfigured, now)
    assert lengths == [30, 60, 120, 240, 300]


def test_a_success_ends_any_cooling_if_it_began_after_it() -> None:
    circuit = failing(Circuit(), Misconfigured, T)
    assert breaker.succeed(circuit, started=T - 1, now=T + 3000) == circuit
    assert not breaker.is_cooling(breaker.succeed(circuit, started=T + 1, now=T + 300), T + 300)


def test_an_answer_about_the_message_proves_life_but_no_credit() -> None:
    counted, long = failing(Circuit(), Unavailable, T, times=5), failing(Circuit(), Misconfigured, T)
    after = [
        breaker.fail(one, Cooling.NONE, cause="rejected", retry_after=None, started=T + 1, now=T + 2)
        for one in (counted, long)
    ]
    assert [breaker.is_cooling(one, T + 2) for one in after] == [False, True]


def test_after_closing_one_counted_failure_opens_it_again_for_twice_as_long() -> None:
    circuit = breaker.succeed(failing(Circuit(), Unavailable, T, times=5), started=T + 1, now=T + 10_000)
    again = failing(circuit, OutcomeUnknown, T + 20_000)
    assert breaker.is_cooling(again, T + 20_000)
    assert again.until == T + 40_000


def test_a_failure_of_a_send_from_before_the_closing_is_no_relapse() -> None:
    circuit = breaker.succeed(failing(Circuit(), Unavailable, T, times=5), started=T + 1, now=T + 10_000)
    assert failing(circuit, OutcomeUnknown, T + 11_000, took=4_000) == circuit


def test_half_a_minute_after_closing_it_takes_five_failures_again() -> None:
    circuit = breaker.succeed(failing(Circuit(), Unavailable, T, times=5), started=T + 1, now=T + 10_000)
    assert not breaker.is_cooling(failing(circuit, Unavailable, T + 41_000, times=4), T + 41_000)


def test_a_probe_is_free_every_two_seconds_long_cooling_included() -> None:
    circuit = failing(Circuit(), Misconfigured, T)
    assert breaker.may_probe(circuit, T)
    circuit = breaker.claim(circuit, T)
    assert not breaker.may_probe(circuit, T + 1_999)
    assert breaker.seconds_to_probe(circuit, T + 500) == 1.5
    assert breaker.may_probe(circuit, T + 2_000)


def test_a_trial_waits_for_the_end_of_the_cooling() -> None:
    circuit = failing(Circuit(), Unavailable, T, times=5)
    assert not breaker.may_try(circuit, T + 9_999)
    assert breaker.may_try(circuit, T + 10_000)
    assert not breaker.may_try(breaker.claim(circuit, T + 10_000), T + 14_999)


def test_a_free_call_closes_only_where_one_had_failed_before() -> None:
    circuit = failing(Circuit(), Unavailable, T, times=5)
    blind = breaker.asked(circuit, well=True, opened=circuit.opened, now=T + 2_000)
    assert breaker.is_cooling(blind, T + 2_000)
    told = breaker.asked(circuit, well=False, opened=circuit.opened, now=T + 2_000)
    assert not breaker.is_cooling(breaker.asked(told, well=True, opened=circuit.opened, now=T + 4_000), T + 4_000)


def test_a_free_call_of_an_earlier_episode_tells_nothing() -> None:
    circuit = failing(Circuit(), Unavailable, T, times=5)
    assert breaker.asked(circuit, well=False, opened=T - 60_000, now=T + 1) == circuit


def test_after_a_relapse_free_calls_are_not_believed() -> None:
    circuit = failing(Circuit(), Unavailable, T, times=5)
    circuit = breaker.asked(circuit, well=False, opened=T, now=T + 1_000)
    circuit = breaker.asked(circuit, well=True, opened=T, now=T + 3_000)
    again = failing(circuit, Unavailable, T + 4_000)
    again = breaker.asked(again, well=False, opened=T + 4_000, now=T + 6_000)
    assert breaker.is_cooling(breaker.asked(again, well=True, opened=T + 4_000, now=T + 8_000), T + 8_000)


def test_a_vendor_is_asked_every_two_seconds_and_after_ten_minutes_every_ten() -> None:
    circuit = breaker.ask(failing(Circuit(), Unavailable, T, times=5), T)
    assert [breaker.may_ask(circuit, T + ms) for ms in (1_999, 2_000)] == [False, True]
    late = T + 700_000
    circuit = breaker.ask(circuit, late)
    assert [breaker.may_ask(circuit, late + ms) for ms in (2_000, 9_999, 10_000)] == [False, False, True]


def test_a_circuit_survives_being_written_and_read() -> None:
    circuit = breaker.claim(failing(failing(Circuit(), Unavailable, T, times=5), Unavailable, T + 11_000), T + 12_000)
    assert breaker.from_json(circuit.as_json()) == circuit
    assert breaker.from_json({**circuit.as_json(), "of_a_later_version": 1}) == circuit
    assert Circuit().as_json() == {}


def slow_sends(circuit: Circuit, at: int, *, many: bool = True, took: int = 3_000) -> Circuit:
    return breaker.drag(circuit, many=many, started=at - took, now=at)


def test_a_gateway_that_became_slow_is_not_cooling_and_not_opened_by_one_slow_send() -> None:
    assert slow_sends(Circuit(), T, many=False) == Circuit()
    circuit = slow_sends(Circuit(), T)
    assert circuit.kind == breaker.SLOW
    assert not breaker.is_cooling(circuit, T)


def test_a_quick_trial_ends_the_slowness_and_a_slow_one_doubles_the_wait() -> None:
    circuit = slow_sends(Circuit(), T)
    assert not breaker.may_try(circuit, T + 9_999)
    assert breaker.may_try(circuit, T + 10_000)
    assert breaker.succeed(circuit, started=T + 10_000, now=T + 10_200).kind == ""
    assert slow_sends(circuit, T + 13_000).until == T + 33_000


def test_a_slow_gateway_that_then_fails_cools_like_any_other() -> None:
    circuit = failing(slow_sends(Circuit(), T), Unavailable, T + 100, times=5)
    assert breaker.is_cooling(circuit, T + 100)


def test_a_slow_answer_from_a_gateway_that_was_down_is_an_answer() -> None:
    circuit = failing(Circuit(), Misconfigured, T)
    assert breaker.drag(circuit, many=False, started=T + 1, now=T + 3_000).kind == ""


def test_a_green_audit_ends_a_cooling_for_credentials_begun_before_it() -> None:
    circuit = failing(Circuit(), Misconfigured, T)
    assert breaker.is_cooling(breaker.vouched(circuit, started=T - 1, now=T + 1_000), T + 1_000)
    assert not breaker.is_cooling(breaker.vouched(circuit, started=T + 1, now=T + 1_000), T + 1_000)


def test_a_green_audit_says_nothing_of_a_gateway_that_hung() -> None:
    circuit = failing(Circuit(), OutcomeUnknown, T, times=5)
    assert breaker.vouched(circuit, started=T + 1, now=T + 1_000) == circuit
