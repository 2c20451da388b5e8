"""An operator's hand: in force in every process within a second, audited, ending by the database's clock."""

import time

import pytest

from apps.accounts.errors import InvalidRequest
from apps.accounts.models import AuditEvent, GatewayChoice
from apps.accounts.services.gateway_choice import GatewayChoices
from apps.accounts.services.standings import Standings
from apps.accounts.tests.meeting import meet
from apps.accounts.tests.services.health_rig import Service, service
from conftest import BuildRooms, needs_postgres

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def made(build_rooms: BuildRooms) -> Service:
    return service(build_rooms)


@pytest.fixture
def choices(made: Service) -> GatewayChoices:
    return made.rooms.services.gateway_choices


def test_a_choice_moves_the_next_message(made: Service, choices: GatewayChoices) -> None:
    assert made.many(1) == {"authentica": 1}
    choices.set("twilio", note="authentica is slow", by="sara")
    assert made.many(3) == {"twilio": 3}
    assert choices.lift(by="sara")
    assert made.many(1) == {"authentica": 1}


def test_another_process_follows_within_a_second(made: Service) -> None:
    elsewhere = GatewayChoices(known=made.names, clock=made.rooms.clock)
    assert made.many(1) == {"authentica": 1}
    elsewhere.set("twilio", note="x", by="sara")
    time.sleep(0.55)
    assert made.many(1) == {"twilio": 1}
    elsewhere.lift(by="sara")
    time.sleep(0.55)
    assert made.many(1) == {"authentica": 1}


def test_between_two_looks_nothing_is_read(made: Service, django_assert_num_queries) -> None:
    now = [100.0]
    standings = Standings(clock=made.rooms.clock, monotonic=lambda: now[0])
    with django_assert_num_queries(1):
        for _ in range(50):
            standings.look()
            now[0] += 0.009
    with django_assert_num_queries(1):
        now[0] += 0.1
        standings.look()


def test_a_choice_ends_by_itself(made: Service, choices: GatewayChoices) -> None:
    choices.set("twilio", note="x", by="sara", expires_in=600)
    made.rooms.clock.advance(seconds=540)
    assert made.state("twilio") == "forced"
    made.rooms.clock.advance(seconds=61)
    assert made.state("twilio") == "up"
    assert choices.current() is None
    assert not choices.lift(by="sara")


def test_a_choice_ends_on_time_between_two_looks_at_the_database(made: Service, choices: GatewayChoices) -> None:
    now = [100.0]
    standings = Standings(clock=made.rooms.clock, monotonic=lambda: now[0])
    choices.set("twilio", note="x", by="sara", expires_in=60)
    assert standings.forced() == "twilio"
    standings._read_at = 1e9
    now[0] += 60.1
    assert standings.forced() == ""


def test_the_second_choice_takes_the_place_of_the_first(choices: GatewayChoices) -> None:
    choices.set("twilio", note="one", by="sara")
    choices.set("authentica", note="two", by="omar", expires_in=60)
    found = choices.current()
    assert found is not None
    assert (found.provider, found.note, found.by) == ("authentica", "two", "omar")
    assert found.expires_at is not None
    assert GatewayChoice.objects.count() == 1


def test_an_unknown_gateway_is_refused_and_changes_nothing(choices: GatewayChoices) -> None:
    choices.set("twilio", note="x", by="sara")
    with pytest.raises(InvalidRequest) as caught:
        choices.set("pigeon", note="x", by="sara")
    assert caught.value.fields == {"provider": ["unknown"]}
    found = choices.current()
    assert found is not None
    assert found.provider == "twilio"


def test_every_change_is_in_the_audit_trail_with_who_and_why(choices: GatewayChoices) -> None:
    choices.set("twilio", note="outage", by="sara")
    choices.lift(by="omar", note="over")
    choices.lift(by="omar")
    trail = list(AuditEvent.objects.order_by("id").values_list("event", "actor", "subject", "note"))
    assert trail == [("gateway.chosen", "sara", "twilio", "outage"), ("gateway.lifted", "omar", "twilio", "over")]


@needs_postgres()
@pytest.mark.parametrize("before", ["", "authentica"])
def test_of_two_operators_who_choose_at_once_the_later_one_has_chosen(
    made: Service, choices: GatewayChoices, before: str
) -> None:
    if before:
        choices.set(before, note="x", by="sara")
    meet(
        lambda: choices.set("twilio", note="x", by="sara"),
        lambda: choices.set("authentica", note="y", by="omar", expires_in=60),
    )
    assert [(one.provider, one.created_by) for one in GatewayChoice.objects.all()] == [("authentica", "omar")]
    made.rooms.clock.advance(seconds=61)
    assert choices.current() is None
    assert Standings(clock=made.rooms.clock).forced() == ""


@needs_postgres()
def test_a_choice_that_is_made_while_another_is_lifted_is_not_lifted_with_it(
    made: Service, choices: GatewayChoices
) -> None:
    choices.set("authentica", note="x", by="sara")
    meet(lambda: choices.set("twilio", note="x", by="sara"), lambda: choices.lift(by="omar"))
    assert not GatewayChoice.objects.exists()
    assert AuditEvent.objects.filter(event="gateway.lifted", subject="twilio").exists()
