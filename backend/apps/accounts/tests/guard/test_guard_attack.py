"""A real attack beside normal traffic, against the real services: what it costs, and whom it hurts."""

from collections.abc import Iterator

import pytest
from django.db import connection

from apps.accounts.models import GuardDecision, GuardStanding, Message
from apps.accounts.tests.guard.world import (
    AZERBAIJAN,
    HOME,
    NEIGHBOUR,
    SIERRA_LEONE,
    World,
    past,
    people,
    sweep,
)
from conftest import BuildRooms, on_postgres

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE = 60.0


def attack(world: World, *, minutes: float = 20, far: tuple[str, str] = (SIERRA_LEONE, AZERBAIJAN)) -> list:
    """Two far countries, adjacent numbers, a number a second each, from the sixth minute on."""
    start = 5 * MINUTE
    count = int((minutes * MINUTE - start) / 2)
    return [
        event
        for number, prefix in enumerate(far)
        for event in sweep(world.chance, prefix=prefix, start=start + number, count=count, every=2.0)
    ]


@pytest.fixture(autouse=True)
def _quick_commits() -> Iterator[None]:
    """Thousands of commits that no test reads after a crash; the database is as it was afterwards."""
    _set("SET synchronous_commit = off")
    yield
    _set("RESET synchronous_commit")


def _set(what: str) -> None:
    if on_postgres():
        with connection.cursor() as cursor:
            cursor.execute(f'ALTER DATABASE "{connection.settings_dict["NAME"]}" {what}')
        connection.close()


@pytest.fixture
def world(build_rooms: BuildRooms) -> World:
    """A home country with a past, the guard enforcing, and gateways that take everything."""
    past("SA", days=14, an_hour=300)
    return World(build_rooms(OTP_GUARD_MODE="enforce", PHONE_AUTH_IP_MAX_PER_WINDOW="5"))


def test_an_attack_on_two_far_countries_costs_at_most_fifty_messages_and_refuses_no_person(world: World) -> None:
    events = [*people(world.chance, until=20 * MINUTE, every=5), *attack(world)]
    tallies = world.play(events)
    assert tallies["attack"].asked > 800
    assert tallies["attack"].sent <= 50
    assert tallies["people"].asked > 200
    assert tallies["people"].refused == {}
    assert tallies["people"].verified > 0.8 * tallies["people"].asked
    states = dict(GuardStanding.objects.filter(kind="country").values_list("subject", "state"))
    assert states == {"SA": "open", "SL": "paused", "AZ": "paused"}


def test_without_the_guard_the_same_attack_costs_hundreds(build_rooms: BuildRooms) -> None:
    past("SA", days=14, an_hour=300)
    world = World(build_rooms(OTP_GUARD_MODE="observe"), judge_every=10)
    tallies = world.play([*people(world.chance, until=10 * MINUTE, every=5), *attack(world, minutes=10)])
    assert tallies["attack"].sent == tallies["attack"].asked > 250
    assert tallies["people"].refused == {}
    decided = GuardDecision.objects.filter(after="paused", kind="country")
    assert set(decided.values_list("subject", "mode")) == {("SL", "observe"), ("AZ", "observe")}
    assert sum(decided.values_list("stopped", flat=True)) > 100


def test_an_attack_on_two_small_countries_with_customers_costs_at_most_fifty_messages(world: World) -> None:
    past("SL", days=14, an_hour=2)
    past("AZ", days=14, an_hour=2)
    events = [*people(world.chance, until=20 * MINUTE, every=6), *attack(world)]
    tallies = world.play(events)
    assert tallies["attack"].sent <= 50
    assert tallies["people"].refused == {}


def test_an_attack_that_jumps_through_prefixes_costs_at_most_fifty_messages(world: World) -> None:
    past("AZ", days=14, an_hour=2)
    events = [
        event
        for jump in range(40)
        for event in sweep(
            world.chance, prefix=AZERBAIJAN, start=60 + jump * 30, count=15, every=2.0, first=1_000_000 + jump * 10_000
        )
    ]
    tallies = world.play([*people(world.chance, until=20 * MINUTE, every=10), *events])
    assert tallies["attack"].asked == 600
    assert tallies["attack"].sent <= 50
    assert tallies["people"].refused == {}


def test_an_attack_that_waits_out_the_pause_gets_two_messages_more(world: World) -> None:
    first = list(sweep(world.chance, prefix=SIERRA_LEONE, start=0, count=200, every=2.0))
    later = list(sweep(world.chance, prefix=SIERRA_LEONE, start=90 * MINUTE, count=200, every=5.0, first=5000))
    world._judge_every = 20.0
    before = world.play(first)["attack"].sent
    assert before <= 20
    assert world.play(later)["attack"].sent - before <= 4


def test_a_sweep_at_home_pauses_its_prefixes_and_never_the_country(world: World) -> None:
    events = [
        event
        for number in range(3)
        for event in sweep(
            world.chance, prefix=HOME, start=MINUTE, count=150, every=3.0, first=2_000_000 + number * 10_000
        )
    ]
    tallies = world.play([*people(world.chance, until=10 * MINUTE, every=3), *events])
    assert tallies["people"].refused == {}
    assert tallies["attack"].sent <= 3 * 15 + 3 * 2
    assert GuardStanding.objects.get(kind="country", subject="SA").state == "open"
    assert GuardStanding.objects.filter(kind="prefix", state="paused").count() == 3


def test_an_outage_of_the_gateways_pauses_nobody(world: World) -> None:
    events = list(people(world.chance, until=20 * MINUTE, every=4, verified=0.0))
    tallies = world.play(events)
    assert tallies["people"].refused == {}
    assert not GuardStanding.objects.exclude(state="open").exists()


def test_a_launch_in_a_new_country_is_not_taken_for_an_attack(world: World) -> None:
    events = list(people(world.chance, until=10 * MINUTE, every=2, prefix=NEIGHBOUR, who="launch"))
    tallies = world.play(events)
    assert tallies["launch"].asked > 250
    assert tallies["launch"].refused == {}


def test_a_fresh_service_without_any_past_lets_its_first_people_in(build_rooms: BuildRooms) -> None:
    world = World(build_rooms(OTP_GUARD_MODE="enforce"))
    tallies = world.play([*people(world.chance, until=10 * MINUTE, every=3), *attack(world, minutes=10)])
    assert tallies["people"].refused == {}
    assert tallies["attack"].sent <= 50


def test_the_same_seed_gives_the_same_world(build_rooms: BuildRooms) -> None:
    worlds = []
    for _ in range(2):
        world = World(build_rooms(OTP_GUARD_MODE="enforce"))
        worlds.append([*people(world.chance, until=60, every=3)])
    assert worlds[0] == worlds[1]
    assert Message.objects.count() == 0


def test_an_attack_dressed_as_home_traffic_slows_the_country_and_never_pauses_it(world: World) -> None:
    spread = people(world.chance, until=15 * MINUTE, every=0.8, who="attack", verified=0.0)
    tallies = world.play([*people(world.chance, until=15 * MINUTE, every=10), *spread])
    assert set(tallies["attack"].refused) == {"rate_limited"}
    assert tallies["attack"].sent < 0.8 * tallies["attack"].asked
    assert GuardStanding.objects.get(kind="country", subject="SA").state == "slow"
