"""The recorded past under a proposed policy: who would have been stopped, and was it right?"""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.accounts.models import GuardDecision, GuardStanding
from apps.accounts.services.guard_policy import GuardPolicy
from apps.accounts.services.guard_recorded import Sent
from apps.accounts.services.guard_replay import Replayed, replay
from apps.accounts.services.spend import Budgets
from apps.accounts.tests.guard.world import SIERRA_LEONE, World, past, people, sweep
from conftest import BuildRooms

NO_BUDGETS = Budgets(whole=0, countries={})
POLICY = GuardPolicy()


def attack(count: int = 200, *, start: float = 0.0, every: float = 2.0) -> list[Sent]:
    return [
        Sent(start + n * every, f"a{n}", "SL", "+2327600", 1000 + n, f"10.0.{n}.1", 300_000, None) for n in range(count)
    ]


def logins(count: int, *, start: float = 0.0, every: float = 7.0) -> list[Sent]:
    return [
        Sent(
            start + n * every, f"p{n}", "SA", f"+9665{n % 1000:04d}", n, f"10.1.{n % 250}.1", 200_000,
            start + n * every + 20,
        )
        for n in range(count)
    ]  # fmt: skip


def play(*sides: list[Sent], policy: GuardPolicy = POLICY, budgets: Budgets = NO_BUDGETS) -> Replayed:
    known = {"SA": [(hour * 3600.0 - 10 * 86400, 300, 270) for hour in range(200)]}
    return replay(sorted([s for side in sides for s in side], key=lambda s: s.at), known, policy, budgets)


def test_an_attack_is_stopped_after_its_cap_and_people_are_not() -> None:
    found = play(attack(), logins(60))
    assert (found.sends, found.codes, found.verified) == (260, 260, 60)
    assert found.stopped == 180
    assert found.false_alarms == 0
    assert found.saved == 180 * 300_000


def test_people_who_would_have_been_stopped_are_counted_as_false_alarms() -> None:
    crowd = [Sent(n * 1.0, f"c{n}", "BH", f"+9733{n:03d}", n, f"10.2.{n}.1", 100_000, n + 300.0) for n in range(60)]
    found = play(crowd)
    assert found.stopped == found.false_alarms == 40


def test_a_wider_policy_stops_fewer() -> None:
    wide = GuardPolicy(stranger_cap=50, strangers_cap=100)
    assert play(attack(), policy=wide).stopped < play(attack()).stopped


def test_a_budget_is_replayed_too() -> None:
    found = play(logins(50), budgets=Budgets(whole=2_000_000, countries={}))
    assert found.stopped == 40
    assert found.lines["budget", "*"].reason == "budget_gone"


def test_known_devices_are_stopped_by_a_budget_only() -> None:
    trusted = [
        Sent(n * 1.0, f"t{n}", "SL", "+2327600", n, "10.0.0.1", 300_000, n + 9.0, trusted=True) for n in range(80)
    ]
    assert play(trusted).stopped == 0
    assert play(trusted, budgets=Budgets(whole=300_000 * 10, countries={})).stopped == 70


@pytest.mark.django_db(transaction=True)
class TestTheCommand:
    def test_it_tells_what_enforcing_would_have_done_and_changes_nothing(self, build_rooms: BuildRooms) -> None:
        past("SA", days=14, an_hour=300)
        world = World(build_rooms(OTP_GUARD_MODE="observe"), judge_every=30)
        tallies = world.play(
            [
                *people(world.chance, until=300, every=5),
                *sweep(world.chance, prefix=SIERRA_LEONE, start=0, count=100, every=3.0),
            ]
        )
        assert tallies["attack"].sent == 100
        before = (GuardStanding.objects.count(), GuardDecision.objects.count())
        out = StringIO()
        call_command("otp_guard_replay", "--days", "1", "--json", stdout=out)
        told = json.loads(out.getvalue())
        assert told["messages"] == 100 + tallies["people"].sent
        assert told["stopped_messages"] == 80
        assert told["false_alarms"] == 0
        assert told["saved"] > 0
        assert {one["subject"] for one in told["subjects"]} <= {"SL", "*", "+2327600"}
        assert (GuardStanding.objects.count(), GuardDecision.objects.count()) == before

    def test_the_table_says_the_same_to_a_person(self, build_rooms: BuildRooms) -> None:
        world = World(build_rooms(OTP_GUARD_MODE="observe"), judge_every=600)
        world.play(list(sweep(world.chance, prefix=SIERRA_LEONE, start=0, count=30, every=2.0)))
        out = StringIO()
        call_command("otp_guard_replay", "--days", "1", "--policy", "stranger_cap=10", stdout=out)
        assert "would have stopped 20 messages (20 codes)" in out.getvalue()
        assert "0 of those codes were verified (false alarms)" in out.getvalue()

    @pytest.mark.parametrize("policy", ["nonsense=3", "stranger_cap=", "stranger_cap=-1", "window=nan"])
    def test_a_policy_that_cannot_be_read_is_refused(self, build_rooms: BuildRooms, policy: str) -> None:
        build_rooms()
        with pytest.raises(CommandError) as caught:
            call_command("otp_guard_replay", "--policy", policy)
        assert caught.value.returncode == 2
