"""The watch on simulated people: how soon it finds a silent failure, what it leaves alone, how often it is wrong."""

import math
from itertools import pairwise
from statistics import median

import pytest

from apps.accounts.services import evidence, verdicts
from apps.accounts.services.evidence import Fate, Sighting, learn, odds
from apps.accounts.tests.services.watch_population import Population

BREAKS, HEALS = 120.0, 300.0


def broken(share: float, *names: str, breaks: float = BREAKS, heals: float = HEALS):
    return lambda gateway, at: share if gateway in names and breaks <= at < heals else 1.0


def many(seeds: int, *, until: float, step: float = 2.0, **options) -> list[Population]:
    found = [Population(seed=seed, **options) for seed in range(seeds)]
    for one in found:
        one.run(until=until, step=step)
    return found


def test_a_gateway_that_swallows_everything_is_found_and_left_within_a_minute() -> None:
    runs = many(12, until=420, delivers=broken(0.0, "a"))
    doubted = [one.states("exploring")[0] - BREAKS for one in runs]
    demoted = [one.states("demoted")[0] - BREAKS for one in runs]
    assert max(doubted) <= 30
    assert max(demoted) <= 45
    assert all(one.share("b", since=BREAKS + 60, until=HEALS) >= 0.93 for one in runs)


def test_a_gateway_that_delivers_half_is_found_within_a_minute_and_left_soon_after() -> None:
    runs = many(12, until=300, delivers=broken(0.5, "a"))
    doubted = [one.states("exploring")[0] - BREAKS for one in runs]
    demoted = [one.states("demoted")[0] - BREAKS for one in runs]
    assert max(doubted) <= 45
    assert median(demoted) <= 60
    assert max(demoted) <= 90


def test_a_minute_of_the_past_is_enough_to_know_what_is_usual() -> None:
    runs = many(6, until=150, delivers=broken(0.0, "a", breaks=60))
    assert max(one.states("demoted")[0] - 60 for one in runs) <= 50


def test_a_gateway_that_heals_gets_its_traffic_back() -> None:
    runs = many(12, until=480, delivers=broken(0.0, "a"))
    back = [next(at for at in one.states("up") if at > HEALS) - HEALS for one in runs]
    assert max(back) <= 90
    assert median(back) <= 60


def test_one_that_goes_on_delivering_half_stays_away() -> None:
    runs = many(4, until=1320, delivers=broken(0.5, "a", heals=9999))
    returns = sum(len(one.states("up")) for one in runs)
    assert returns <= 1  # 80 minutes in all


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_nothing_moves_while_all_gateways_fall_together(share: float) -> None:
    runs = many(12, until=HEALS, delivers=broken(share, "a", "b"))
    assert [one.states("demoted") for one in runs] == [[]] * 12
    assert all(one.share("a", since=0, until=HEALS) >= 0.6 for one in runs)


def test_a_fall_of_everybody_raises_an_alarm_once_in_two_minutes() -> None:
    one = Population(seed=1, delivers=broken(0.0, "a", "b"))
    one.run(until=HEALS)
    alarms = [at for at, verdict in one.told if verdict.alarm == "all_gateways_fell"]
    assert 1 <= len(alarms) <= 2


def test_of_three_gateways_the_one_that_works_is_found() -> None:
    runs = many(6, until=240, delivers=broken(0.0, "a", "b"), route=("a", "b", "c"))
    assert {one.held.candidate for one in runs} == {"c"}
    assert max(one.states("demoted")[0] - BREAKS for one in runs) <= 60


def test_where_few_people_log_in_it_takes_minutes_and_not_hours() -> None:
    runs = many(4, until=2400, delivers=broken(0.0, "a", breaks=1200, heals=9999), rate=0.2)
    assert max(one.states("demoted")[0] - 1200 for one in runs) <= 240


def test_a_gateway_that_is_good_and_bad_every_five_seconds_moves_at_most_every_half_minute() -> None:
    def flaps(gateway: str, at: float) -> float:
        return 0.0 if gateway == "a" and at >= BREAKS and int(at / 5) % 2 else 1.0

    for one in many(6, until=900, delivers=flaps):
        moves = [at for at, verdict in one.told if verdict.held.state in ("demoted", "up")]
        assert all(later - earlier >= 30 for earlier, later in pairwise(moves))
        assert one.states("demoted")


def test_a_relapse_keeps_a_gateway_away_for_longer() -> None:
    held = verdicts.Held(ratio=1.0, changed=1000.0, relapses=0)
    curve = learn([Sighting(i, Fate.VERIFIED, 5 + i % 15) for i in range(900)] + [Sighting(0, Fate.OPEN, 120)] * 80)
    silent = [Sighting(1000 + i, Fate.OPEN, 60.0) for i in range(60)]
    case = verdicts.Case(held=held, own=silent, arm=(), rivals=("b",), curve=curve)
    verdict = verdicts.decide(case, now=1120)
    assert verdict is not None
    assert (verdict.held.state, verdict.held.relapses) == ("exploring", 1)


def test_a_fall_with_nowhere_to_go_is_an_alarm_and_no_move() -> None:
    one = Population(seed=3, delivers=broken(0.0, "a"), route=("a",))
    one.run(until=HEALS)
    assert {verdict.held.state for _, verdict in one.told} == {"up"}
    assert [verdict.alarm for _, verdict in one.told] == ["conversion_fell"]


@pytest.mark.slow
def test_a_day_of_ordinary_ups_and_downs_moves_nothing() -> None:
    """People verify between 80 and 94 %, by the hour and by the minute; 43,200 log in, one every two seconds."""

    def moody(at: float) -> float:
        return 0.87 + 0.05 * math.sin(at / 3600) + 0.02 * math.sin(at / 97)

    runs = many(2, until=43_200, step=10.0, rate=0.5, verifies=moody)
    assert [one.states("demoted") for one in runs] == [[], []]
    assert sum(len(one.states("exploring")) for one in runs) == 0


# --- the arithmetic ---------------------------------------------------------------------------------------------------


def usual(size: int = 2000) -> evidence.Curve:
    """90 % verify after 5 to 20 s, 4 % ask again after 60 to 80 s."""
    people = [Sighting(0, Fate.VERIFIED, 5 + 15 * i / (size * 0.9)) for i in range(int(size * 0.9))]
    people += [Sighting(0, Fate.RESENT, 60 + i % 20) for i in range(int(size * 0.04))]
    people += [Sighting(0, Fate.OPEN, 300.0) for _ in range(size - len(people))]
    return learn(people)


def test_what_is_learned_is_what_was_seen_minus_a_caution_that_shrinks_with_the_sample() -> None:
    large, small = usual(4000), usual(60)
    assert 0.87 < large.verified[-1] <= 0.9
    assert 0.7 < small.verified[-1] < large.verified[-1]
    assert 0.04 <= large.resent[-1] < small.resent[-1]
    assert large.verified[4] == 0.0
    assert large.verified[12] == pytest.approx(large.verified[-1] * 7 / 15, abs=0.02)


def test_messages_that_are_still_young_do_not_spoil_what_is_usual() -> None:
    people = [Sighting(0, Fate.VERIFIED, 5 + 15 * (i % 90) / 90) for i in range(900)] + [
        Sighting(0, Fate.OPEN, 200.0) for _ in range(100)
    ]
    young = [Sighting(0, Fate.OPEN, 4.5) for _ in range(500)]
    assert learn(people + young).verified[-1] == pytest.approx(learn(people).verified[-1], abs=0.02)


def test_too_small_a_past_is_no_past() -> None:
    assert learn([Sighting(0, Fate.VERIFIED, 5.0)] * 39) is evidence.UNKNOWN


@pytest.mark.parametrize("fall", verdicts.FALLS)
@pytest.mark.parametrize("age", [0, 3, 8, 15, 30, 65, 90, 120])
def test_the_likelihood_ratio_has_mean_one_at_every_age(fall: float, age: int) -> None:
    curve = usual()
    table = odds(curve, now=fall, before=1.0)
    verified, resent = curve.verified[age], curve.resent[age]
    mean = (
        verified * math.exp(table.verified)
        + resent * math.exp(table.resent)
        + (1 - verified - resent) * math.exp(table.open[age])
    )
    assert mean == pytest.approx(1.0, abs=1e-9)


def test_a_resend_speaks_for_a_fall_as_nothing_else_does() -> None:
    table = odds(usual(), now=0.05, before=1.0)
    assert table.resent > 1.5
    assert table.verified < -2.9
    assert table.open[2] == pytest.approx(0.0, abs=0.01)
    assert table.open[30] > 1.0


def test_the_strongest_stretch_begins_where_the_fall_does() -> None:
    well = [Sighting(i, Fate.VERIFIED, 10.0) for i in range(50)]
    ill = [Sighting(50 + i, Fate.OPEN, 40.0) for i in range(20)]
    strength, begins = odds(usual(), now=0.05, before=1.0).strongest(well + ill)
    assert begins == 50
    assert strength > verdicts.SUSPICION


def test_a_curve_survives_being_written_and_read_and_nonsense_reads_as_unknown() -> None:
    curve = usual()
    again = evidence.curve_from_text(curve.as_text())
    assert again.size == curve.size
    assert again.verified == pytest.approx(curve.verified, abs=1e-3)
    for nonsense in ("", "[]", "[[1],[2],3]", "{}", "[[[]],[],1]"):
        assert evidence.curve_from_text(nonsense) is evidence.UNKNOWN
