"""What the guard decides about a subject, rule by rule, without a database."""

from dataclasses import replace

import pytest

from apps.accounts.services.guard_evidence import Asked, Hour, Past, chance, longest_sweep, past_of, weigh
from apps.accounts.services.guard_policy import BadGuardPolicy, GuardPolicy, Kind, Rank, State, proposed
from apps.accounts.services.guard_rules import Ruling, Standing, Subject, judge

NOW = 1_000_000.0
POLICY = GuardPolicy()
HOME = Past(rank=Rank.KNOWN, conversion=0.9, usual=50.0, recent=5000, recent_verified=4500)
SMALL = Past(rank=Rank.KNOWN, conversion=0.9, usual=0.5, recent=60, recent_verified=54)
POOR = Past(rank=Rank.KNOWN, conversion=0.4, usual=20.0, recent=900, recent_verified=360)


def codes(
    count: int,
    *,
    verified: int = 0,
    age: float = 200.0,
    country: str = "SA",
    prefix: str = "",
    gap: int = 300,
    network: str = "",
    frauds: int = 0,
) -> list[Asked]:
    """Return codes first sent `age` seconds ago; without a prefix each has its own."""
    return [
        Asked(
            country=country, prefix=prefix or f"+9665{n:05d}", tail=(n * gap) % 10_000,
            network=network or f"10.0.{n}.1", sent=(NOW - age,), verified=n < verified, frauds=frauds,
        )
        for n in range(count)
    ]  # fmt: skip


def rule(
    *asked: list[Asked], past: Past | None = None, held: Standing | None = None, country: str = "SA", now: float = NOW
) -> dict[Subject, Ruling]:
    pasts = {country: past} if past else {}
    standings = {(held.kind, held.subject): held} if held else {}
    return judge([one for side in asked for one in side], pasts, standings, now=now, policy=POLICY)


def of_country(rulings: dict[Subject, Ruling], country: str = "SA") -> Standing:
    return rulings[Kind.COUNTRY, country].standing


def test_a_country_nobody_knows_is_paused_after_enough_codes_without_one_verified() -> None:
    assert of_country(rule(codes(13))).state is not State.PAUSED
    assert of_country(rule(codes(14))).state is State.PAUSED


def test_codes_that_are_too_young_are_no_evidence() -> None:
    assert of_country(rule(codes(19, age=30))).state is State.OPEN


def test_an_unknown_country_in_which_people_verify_is_left_alone() -> None:
    assert of_country(rule(codes(40, verified=25))).state is State.OPEN


def test_what_an_unknown_country_did_last_week_counts_too() -> None:
    silent = Past(rank=Rank.STRANGER, recent=12)
    assert of_country(rule(codes(2), past=silent)).state is State.PAUSED


def test_a_known_country_is_not_blamed_for_its_usual_traffic_in_an_outage() -> None:
    assert of_country(rule(codes(150), past=HOME)).state is State.OPEN


def test_a_known_country_that_sends_many_times_its_usual_and_verifies_nothing_is_paused() -> None:
    assert of_country(rule(codes(200), past=SMALL)).state is State.PAUSED


def test_a_known_country_in_which_people_still_get_in_is_slowed_and_never_paused() -> None:
    standing = of_country(rule(codes(2000, verified=60), past=HOME))
    assert (standing.state, standing.reason) == (State.SLOW, "conversion")
    assert standing.cap is not None
    assert standing.cap >= 250


def test_the_line_is_a_countrys_own_where_that_is_lower_than_the_published_one() -> None:
    assert of_country(rule(codes(300, verified=90), past=POOR)).state is State.OPEN
    assert of_country(rule(codes(300, verified=90), past=replace(POOR, conversion=0.9))).state is State.SLOW


def test_three_swept_prefixes_do_not_speak_against_a_healthy_country() -> None:
    sweeps = [codes(15, prefix=f"+96650{n:04d}", gap=1) for n in range(3)]
    rulings = rule(codes(60, verified=54), *sweeps, past=HOME)
    assert of_country(rulings).state is State.OPEN
    assert [rulings[Kind.PREFIX, f"+96650{n:04d}"].standing.reason for n in range(3)] == ["sweep"] * 3


def test_many_flagged_prefixes_of_a_small_country_are_its_own_matter() -> None:
    sweeps = [codes(8, prefix=f"+99450{n:04d}", gap=1, country="AZ") for n in range(3)]
    assert of_country(rule(*sweeps, past=SMALL, country="AZ"), "AZ").state is State.PAUSED


def test_numbers_in_a_row_pause_their_prefix_and_scattered_ones_do_not() -> None:
    people = codes(100, verified=90)
    near, far = codes(5, prefix="+96650123", gap=10), codes(5, prefix="+96650123", gap=900)
    assert rule(people, near, past=HOME)[Kind.PREFIX, "+96650123"].standing.state is State.PAUSED
    assert rule(people, far, past=HOME)[Kind.PREFIX, "+96650123"].standing.state is State.OPEN


def test_a_company_that_signs_up_number_by_number_is_no_sweep() -> None:
    colleagues = codes(12, verified=9, prefix="+96650123", gap=1)
    assert rule(codes(50, verified=45), colleagues, past=HOME)[Kind.PREFIX, "+96650123"].standing.state is State.OPEN


def test_scattered_numbers_of_one_prefix_are_judged_by_what_the_country_verifies_now() -> None:
    busy = codes(12, prefix="+96650123", gap=700)
    healthy = rule(codes(100, verified=90), busy, past=HOME)
    outage = rule(codes(100, verified=0), busy, past=HOME)
    assert healthy[Kind.PREFIX, "+96650123"].standing.state is State.PAUSED
    assert outage[Kind.PREFIX, "+96650123"].standing.state is State.OPEN


def test_a_vendor_that_says_fraud_twice_is_believed() -> None:
    refused = codes(5, prefix="+96650123", gap=900, age=5, frauds=1)
    assert rule(refused, past=HOME)[Kind.PREFIX, "+96650123"].standing.reason == "vendor"


def test_one_address_that_asks_for_many_countries_is_paused() -> None:
    asked = [one for c in ("SL", "AZ", "UZ", "TJ") for one in codes(1, country=c, network="203.0.113.9")]
    standing = rule(asked)[Kind.IP, "203.0.113.9"].standing
    assert (standing.state, standing.reason, standing.until) == (State.PAUSED, "many_countries", NOW + POLICY.ip_pause)


def test_a_hostel_whose_guests_verify_is_not_paused() -> None:
    asked = [one for c in ("SL", "AZ", "UZ", "TJ") for one in codes(1, country=c, network="203.0.113.9")]
    asked.append(replace(asked[0], verified=True))
    assert (Kind.IP, "203.0.113.9") not in rule(asked)


def test_one_client_that_sweeps_is_blamed_itself_and_not_the_prefix() -> None:
    alone = codes(5, prefix="+96650123", gap=1, network="203.0.113.9")
    rulings = rule(codes(50, verified=45), alone, past=HOME)
    assert rulings[Kind.PREFIX, "+96650123"].standing.state is State.OPEN
    assert rulings[Kind.IP, "203.0.113.9"].standing.reason == "sweep"


def test_a_prefix_is_never_paused_for_more_than_two_hours() -> None:
    assert POLICY.pause_seconds(0, prefix=True) == 1800
    assert POLICY.pause_seconds(5, prefix=True) == 7200


def test_a_prefix_on_probation_takes_five_unverified_codes_to_be_paused_again() -> None:
    held = Standing(Kind.PREFIX, "+96650123", State.PROBATION, since=NOW - 500, until=NOW + 80_000)
    four, five = (rule(codes(n, prefix="+96650123"), past=HOME, held=held) for n in (4, 5))
    assert four[Kind.PREFIX, "+96650123"].standing.state is State.PROBATION
    assert five[Kind.PREFIX, "+96650123"].standing.state is State.PAUSED


def test_an_addresss_pause_ends_by_itself() -> None:
    held = Standing(Kind.IP, "203.0.113.9", State.PAUSED, until=NOW - 1)
    assert rule(held=held)[Kind.IP, "203.0.113.9"].standing.state is State.OPEN


def paused(**changes: object) -> Standing:
    standing = Standing(Kind.COUNTRY, "SA", State.PAUSED, until=NOW - 1, changed=NOW - 4000)
    return replace(standing, **changes)  # type: ignore[arg-type]


def test_a_pause_that_is_not_over_stays_whatever_happens() -> None:
    assert of_country(rule(codes(40, verified=40), held=paused(until=NOW + 5))).state is State.PAUSED


def test_after_a_pause_very_few_are_let_through_and_the_past_is_forgiven() -> None:
    standing = of_country(rule(codes(100), held=paused()))
    assert (standing.state, standing.cap, standing.since) == (State.PROBATION, POLICY.probation_cap, NOW)


def test_two_unverified_codes_in_probation_pause_again_and_for_longer() -> None:
    held = paused(state=State.PROBATION, since=NOW - 500, until=NOW + 80_000)
    standing = of_country(rule(codes(2), held=held))
    assert (standing.state, standing.reason, standing.strikes) == (State.PAUSED, "relapse", 1)
    assert standing.until == NOW + POLICY.pause * POLICY.pause_growth


def test_people_who_verify_in_probation_open_the_country_again() -> None:
    held = paused(state=State.PROBATION, since=NOW - 500, until=NOW + 80_000)
    assert of_country(rule(codes(3, verified=3), held=held)).state is State.OPEN


def test_a_day_of_probation_without_trouble_forgives_all_strikes() -> None:
    held = paused(state=State.PROBATION, since=NOW - 90_000, strikes=3)
    standing = of_country(rule(held=held))
    assert (standing.state, standing.strikes) == (State.OPEN, 0)


def test_no_pause_is_longer_than_a_day() -> None:
    assert POLICY.pause_seconds(0) == 3600
    assert POLICY.pause_seconds(9) == POLICY.pause_seconds(10**6) == 86_400


def test_each_verified_code_gives_room_for_three_more() -> None:
    assert of_country(rule(codes(10, verified=8))).cap == POLICY.stranger_cap + 24


def test_a_busy_known_country_has_no_cap_and_a_quiet_one_has() -> None:
    assert of_country(rule(past=HOME)).cap is None
    assert of_country(rule(past=SMALL)).cap == POLICY.known_cap


def test_a_full_cap_is_written_down_as_slowing_and_ends_by_itself() -> None:
    full = of_country(rule(codes(20, age=10)))
    assert (full.state, full.reason, full.cap) == (State.SLOW, "volume", POLICY.stranger_cap)
    later = NOW + 2 * POLICY.window
    held = replace(full, since=NOW)
    assert of_country(rule(held=held, now=later)).state is State.OPEN


def test_hours_of_an_attack_teach_nothing_about_what_is_normal() -> None:
    good = [Hour(day, 100, 90, False) for day in range(10)]
    attack = [Hour(5, 5000, 8, False)] * 6
    assert past_of(good + attack, POLICY).conversion == pytest.approx(0.9)
    assert past_of(good + attack, POLICY).usual < 25


@pytest.mark.parametrize(
    ("hours", "rank"),
    [
        ([], Rank.STRANGER),
        ([Hour(1, 50, 0, True)], Rank.STRANGER),
        ([Hour(1, 50, 40, True)], Rank.NEWCOMER),
        ([Hour(1, 20, 15, True), Hour(2, 20, 15, True)], Rank.KNOWN),
    ],
)
def test_a_country_is_known_after_thirty_verified_codes_on_two_days(hours: list[Hour], rank: Rank) -> None:
    assert past_of(hours, POLICY).rank is rank


def test_the_chance_is_the_binomial_tail() -> None:
    assert chance(0, 10, 0.5) == pytest.approx(0.5**10)
    assert chance(1, 10, 0.5) == pytest.approx(11 * 0.5**10)
    assert chance(5, 10, 0.5) == chance(0, 0, 0.5) == 1.0
    assert chance(100, 40_000, 0.5) == pytest.approx(0.0)


def test_a_person_who_asked_three_times_and_verified_is_one_success() -> None:
    one = Asked("SA", "+96650123", 1, "10.0.0.1", (NOW - 300, NOW - 200, NOW - 100), True)
    weight = weigh([one], now=NOW, policy=POLICY)
    assert (weight.sends, weight.mature, weight.verified, weight.conversion) == (3, 1, 1, 1.0)


def test_a_sweep_counts_numbers_and_not_messages() -> None:
    same = [Asked("SA", "+96650123", 7, "10.0.0.1", (NOW - 300,), False)] * 9
    assert longest_sweep(same, now=NOW, policy=POLICY) == 1


def test_a_proposed_policy_changes_what_it_names() -> None:
    made = proposed("stranger_cap=7, pause=60")
    assert (made.stranger_cap, made.pause, made.window) == (7, 60.0, POLICY.window)
    with pytest.raises(BadGuardPolicy, match="there is no 'cap'"):
        proposed("cap=3")
