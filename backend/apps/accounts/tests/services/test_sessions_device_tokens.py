"""Device tokens: who has one, how they rotate through lost answers, and when they die."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model

from apps.accounts.models import DeviceToken
from apps.accounts.services import device_tokens, session_cleaning, statements
from apps.accounts.services.session_types import Ended, Person
from apps.accounts.tests.services.session_world import World, make_person, make_world, other

pytestmark = pytest.mark.django_db(transaction=True)
NUMBER = "+966500000001"


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def person() -> Person:
    return make_person(NUMBER)


def test_a_login_gives_one_that_is_found_for_its_number(world: World, person: Person) -> None:
    token = world.login(person).device_token
    found = device_tokens.find(token, phone=NUMBER)
    assert found is not None
    assert (found.user_id, found.device_id, found.is_previous) == (person.id, "phone-1", False)
    assert device_tokens.well_formed(token)


def test_it_is_stored_as_a_hash_only(world: World, person: Person) -> None:
    token = world.login(person).device_token
    assert token[3:] not in str(DeviceToken.objects.values().get())


def test_it_is_good_for_no_other_number(world: World, person: Person) -> None:
    make_person("+966500000002")
    assert device_tokens.find(world.login(person).device_token, phone="+966500000002") is None


def test_it_is_good_for_no_other_device_but_a_caller_need_not_name_its_own(world: World, person: Person) -> None:
    token = world.login(person).device_token
    assert device_tokens.find(token, phone=NUMBER, device_id="phone-1") is not None
    assert device_tokens.find(token, phone=NUMBER, device_id="phone-2") is None
    assert device_tokens.find(token, phone=NUMBER, device_id="") is not None


@pytest.mark.parametrize("raw", ["", "dt_", "dt_" + "x" * 43, "\x00", "\ud800", "é", "'", "x" * 100_000])
def test_an_unknown_one_costs_one_statement_whatever_it_is(
    world: World, person: Person, raw: str, django_assert_num_queries: object
) -> None:
    world.login(person)
    with django_assert_num_queries(1):  # type: ignore[operator]
        assert device_tokens.find(raw, phone=NUMBER) is None


def test_a_known_one_costs_one_statement(world: World, person: Person, django_assert_num_queries: object) -> None:
    token = world.login(person).device_token
    with django_assert_num_queries(1):  # type: ignore[operator]
        assert device_tokens.find(token, phone=NUMBER) is not None


def test_a_login_that_shows_it_rotates_it_in_the_same_row(
    world: World, person: Person, django_assert_num_queries: object
) -> None:
    first = world.login(person).device_token
    with statements.durable():
        now = statements.now()
        with django_assert_num_queries(2):  # type: ignore[operator]
            opened = world.sessions.open(person, device=other(), now=now, amr=("otp", "sms"), device_token=first)
    assert opened.device_token != first
    assert DeviceToken.objects.count() == 1


def test_the_shown_one_stays_good_until_the_new_one_is_used(world: World, person: Person) -> None:
    first = world.login(person).device_token
    second = world.login(person, device_token=first).device_token
    found = device_tokens.find(first, phone=NUMBER)
    assert found is not None
    assert found.is_previous
    assert device_tokens.find(second, phone=NUMBER) is not None
    assert device_tokens.find(first, phone=NUMBER) is None


def test_after_a_lost_answer_the_former_one_gets_another_successor(world: World, person: Person) -> None:
    first = world.login(person).device_token
    lost = world.login(person, device_token=first).device_token
    third = world.login(person, device_token=first).device_token
    assert device_tokens.find(lost, phone=NUMBER) is None
    assert device_tokens.find(third, phone=NUMBER) is not None
    assert DeviceToken.objects.count() == 1


def test_showing_it_from_another_device_gives_that_device_one_of_its_own(world: World, person: Person) -> None:
    first = world.login(person).device_token
    second = world.login(person, device=other(device_id="phone-2"), device_token=first).device_token
    assert device_tokens.find(first, phone=NUMBER, device_id="phone-1") is not None
    assert device_tokens.find(second, phone=NUMBER, device_id="phone-2") is not None


def test_showing_somebody_elses_takes_nothing_from_them(world: World, person: Person) -> None:
    theirs = world.login(make_person("+966500000002")).device_token
    world.login(person, device_token=theirs)
    assert device_tokens.find(theirs, phone="+966500000002") is not None


def test_it_dies_with_a_logout_everywhere(world: World, person: Person) -> None:
    opened = world.login(person)
    world.sessions.logout_all(world.sessions.authenticate(opened.access))
    assert device_tokens.find(opened.device_token, phone=NUMBER) is None


def test_a_dead_one_cannot_be_rotated_back_to_life(world: World, person: Person) -> None:
    dead = world.login(person).device_token
    world.sessions.revoke_user(person.id, Ended.NUMBER_MOVED)
    world.login(person, device_token=dead)
    assert device_tokens.find(dead, phone=NUMBER) is None


@pytest.mark.parametrize(
    "fields",
    [{"is_active": False}, {"deleted_at": "2026-01-01T00:00:00Z"}, {"phone_number": None}],
    ids=["disabled", "deleted", "the number left"],
)
def test_it_is_worth_nothing_once_its_account_is_out_of_use(
    world: World, person: Person, fields: dict[str, object]
) -> None:
    token = world.login(person).device_token
    get_user_model().objects.update(**fields)
    assert device_tokens.find(token, phone=NUMBER) is None


def test_it_is_worth_nothing_once_the_number_is_somebody_elses(world: World, person: Person) -> None:
    token = world.login(person).device_token
    get_user_model().objects.update(phone_number=None)
    make_person(NUMBER[:-1] + "9")
    get_user_model().objects.filter(phone_number=NUMBER[:-1] + "9").update(phone_number=NUMBER)
    assert device_tokens.find(token, phone=NUMBER) is None


def test_the_cleaner_drops_those_unused_for_long_and_no_others(world: World, person: Person) -> None:
    old = world.login(person).device_token
    world.clock.advance(seconds=86_400)
    new = world.login(person).device_token
    between = statements.now() + world.clock.offset / 2
    get_user_model().objects.update(last_seen_at=between - timedelta(hours=1))
    assert session_cleaning.drop_dead_device_tokens(before=between) == 0  # the account itself was silent for as long
    get_user_model().objects.update(last_seen_at=between)
    assert session_cleaning.drop_dead_device_tokens(before=between) == 1
    assert device_tokens.find(old, phone=NUMBER) is None
    assert device_tokens.find(new, phone=NUMBER) is not None
