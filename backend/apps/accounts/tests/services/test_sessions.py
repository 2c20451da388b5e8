"""Sessions: what a login opens, who an access token says is calling, and how sessions end."""

import pytest
from django.contrib.auth import get_user_model

from apps.accounts.errors import NotAuthenticated, NotFound, SessionRevoked, TokenExpired, TokenInvalid
from apps.accounts.models import DeviceToken, Session
from apps.accounts.services import statements
from apps.accounts.services.session_types import Ended
from apps.accounts.tests.services.session_world import (
    PHONE_DEVICE,
    World,
    another_process,
    make_person,
    make_world,
    other,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world() -> World:
    return make_world()


def test_opening_a_session_costs_two_statements(world: World, django_assert_num_queries: object) -> None:
    person = make_person()
    with statements.durable():
        now = statements.now()
        with django_assert_num_queries(2):  # type: ignore[operator]
            world.sessions.open(person, device=PHONE_DEVICE, now=now, amr=("otp", "sms"))


def test_the_announced_lives_are_ten_minutes_and_thirty_days(world: World) -> None:
    opened = world.login()
    assert (opened.access_expires_in, opened.refresh_expires_in) == (600, 2_592_000)


def test_a_session_that_was_rolled_back_is_worth_nothing(world: World) -> None:
    person = make_person()
    try:
        with statements.durable():
            opened = world.sessions.open(person, device=PHONE_DEVICE, now=statements.now(), amr=("otp", "sms"))
            raise RuntimeError("the login fails")
    except RuntimeError:
        pass
    with pytest.raises(SessionRevoked):
        world.sessions.authenticate(opened.access)


def test_no_usable_token_is_in_the_database(world: World) -> None:
    opened = world.login()
    again = world.refresh(opened.refresh)
    row = str(Session.objects.values().get()) + str(DeviceToken.objects.values().get())
    for token in (opened.access, opened.refresh, again.access, again.refresh, opened.device_token):
        assert token not in row
        assert token.split(".")[-1] not in row


def test_an_access_token_says_who_calls(world: World) -> None:
    person = make_person()
    opened = world.login(person)
    principal = world.sessions.authenticate(opened.access)
    assert principal.person == person
    assert (principal.session_id, principal.subject, principal.step_up) == (opened.session_id, person.subject, False)


def test_who_calls_costs_one_read(world: World, django_assert_num_queries: object) -> None:
    opened = world.login()
    for _ in range(3):
        with django_assert_num_queries(1):  # type: ignore[operator]
            world.sessions.authenticate(opened.access)


def test_the_first_use_of_a_generation_costs_one_write_and_the_second_none(
    world: World, django_assert_num_queries: object
) -> None:
    access = world.refresh(world.login().refresh).access
    with django_assert_num_queries(2):  # type: ignore[operator]
        world.sessions.authenticate(access)
    with django_assert_num_queries(1):  # type: ignore[operator]
        world.sessions.authenticate(access)


def test_an_access_token_of_the_generation_before_still_works(world: World) -> None:
    opened = world.login()
    world.refresh(opened.refresh)
    assert world.sessions.authenticate(opened.access).generation == 0


def test_without_a_token_nobody_calls(world: World) -> None:
    with pytest.raises(NotAuthenticated):
        world.sessions.authenticate("")


def test_an_access_token_ends_after_ten_minutes_of_the_databases_clock(world: World) -> None:
    opened = world.login()
    world.clock.advance(seconds=590)
    world.sessions.authenticate(opened.access)
    world.clock.advance(seconds=11)
    with pytest.raises(TokenExpired):
        world.sessions.authenticate(opened.access)


@pytest.mark.parametrize(
    ("fields", "error"),
    [({"is_active": False}, SessionRevoked), ({"deleted_at": "2026-01-01T00:00:00Z"}, SessionRevoked)],
    ids=["disabled", "deleted"],
)
def test_a_disabled_or_deleted_account_is_out_on_the_next_call(
    world: World, fields: dict[str, object], error: type[Exception]
) -> None:
    opened = world.login()
    get_user_model().objects.update(**fields)
    with pytest.raises(error):
        world.sessions.authenticate(opened.access)
    with pytest.raises(error):
        world.refresh(opened.refresh)


def test_the_tokens_of_an_erased_account_are_revoked_not_an_accident(world: World) -> None:
    opened = world.login()
    get_user_model().objects.all().delete()
    with pytest.raises(SessionRevoked):
        world.sessions.authenticate(opened.access)
    with pytest.raises(SessionRevoked):
        world.refresh(opened.refresh)


def test_a_logout_is_in_force_in_every_process_at_once(world: World) -> None:
    opened, second = world.login(), another_process(world)
    second.sessions.authenticate(opened.access)
    world.sessions.logout(world.sessions.authenticate(opened.access))
    with pytest.raises(SessionRevoked):
        second.sessions.authenticate(opened.access)
    with pytest.raises(SessionRevoked):
        second.refresh(opened.refresh)


def test_a_logout_ends_one_session_and_leaves_the_others_and_the_device(world: World) -> None:
    person = make_person()
    first, second = world.login(person), world.login(person, device=other(device_id="tablet"))
    world.sessions.logout(world.sessions.authenticate(first.access))
    world.sessions.authenticate(second.access)
    assert DeviceToken.objects.filter(revoked_at=None).count() == 2


def test_a_logout_is_audited_once_even_if_it_is_repeated(world: World) -> None:
    principal = world.sessions.authenticate(world.login().access)
    world.sessions.logout(principal)
    world.sessions.logout(principal)
    assert [audit[0] for audit in world.heard.audits] == ["session.logged_out"]


def test_a_logout_everywhere_ends_all_sessions_and_device_tokens(world: World) -> None:
    person = make_person()
    opened = [world.login(person) for _ in range(3)]
    assert world.sessions.logout_all(world.sessions.authenticate(opened[0].access)) == 3
    for each in opened:
        with pytest.raises(SessionRevoked):
            world.sessions.authenticate(each.access)
    assert not DeviceToken.objects.filter(revoked_at=None).exists()
    assert [audit[:1] + audit[2:] for audit in world.heard.audits] == [
        ("session.all_revoked", person.subject, {"reason": "logout_all", "count": 3})
    ]


def test_revoking_an_account_joins_the_callers_transaction(world: World) -> None:
    person = make_person()
    opened = world.login(person)
    try:
        with statements.durable():
            world.sessions.revoke_user(person.id, Ended.ACCOUNT_DELETED)
            raise RuntimeError("the deletion fails")
    except RuntimeError:
        pass
    world.sessions.authenticate(opened.access)


def test_the_list_shows_living_sessions_last_used_first_and_marks_the_callers(world: World) -> None:
    person = make_person()
    first = world.login(person)
    world.clock.advance(seconds=5)
    second = world.login(person, device=other(device_name="Tablet"))
    gone = world.login(person)
    world.sessions.logout(world.sessions.authenticate(gone.access))
    views = world.sessions.list(world.sessions.authenticate(first.access))
    assert [(view.id, view.device_name, view.current) for view in views] == [
        (second.session_id, "Tablet", False),
        (first.session_id, "Sara's phone", True),
    ]


def test_the_list_leaves_out_sessions_that_idled_away(world: World) -> None:
    person = make_person()
    world.login(person)
    world.clock.advance(seconds=14 * 86_400 + 1)
    new = world.login(person)
    views = world.sessions.list(world.sessions.authenticate(new.access))
    assert [view.id for view in views] == [new.session_id]


def test_one_session_is_revoked_with_its_devices_trust(world: World) -> None:
    person = make_person()
    mine, lost = world.login(person), world.login(person, device=other(device_id="lost"))
    world.sessions.revoke(world.sessions.authenticate(mine.access), lost.session_id)
    with pytest.raises(SessionRevoked):
        world.sessions.authenticate(lost.access)
    world.sessions.authenticate(mine.access)
    assert list(DeviceToken.objects.filter(revoked_at=None).values_list("device_id", flat=True)) == ["phone-1"]


@pytest.mark.parametrize("session_id", ["", "x" * 32, "0" * 32, "a" * 5000, "\x00" * 32, "'; DROP TABLE"])
def test_a_session_that_the_account_does_not_have_is_not_found(world: World, session_id: str) -> None:
    principal = world.sessions.authenticate(world.login().access)
    with pytest.raises(NotFound):
        world.sessions.revoke(principal, session_id)


def test_another_accounts_session_is_not_found_and_lives_on(world: World) -> None:
    theirs = world.login(make_person("+966500000002"))
    principal = world.sessions.authenticate(world.login().access)
    with pytest.raises(NotFound):
        world.sessions.revoke(principal, theirs.session_id)
    world.sessions.authenticate(theirs.access)


def test_all_other_sessions_are_revoked_at_once(world: World) -> None:
    person = make_person()
    mine, others = world.login(person), [world.login(person) for _ in range(2)]
    assert world.sessions.revoke_others(world.sessions.authenticate(mine.access)) == 2
    world.sessions.authenticate(mine.access)
    for each in others:
        with pytest.raises(SessionRevoked):
            world.sessions.authenticate(each.access)


def test_an_operator_ends_anybodys_session_and_is_named(world: World) -> None:
    opened = world.login()
    assert world.sessions.revoke_by_operator(opened.session_id, actor="nour", note="lost phone") == 1
    assert world.sessions.revoke_by_operator(opened.session_id, actor="nour", note="lost phone") == 0
    with pytest.raises(SessionRevoked):
        world.sessions.authenticate(opened.access)
    assert [audit[:2] for audit in world.heard.audits] == [("session.revoked", "nour")]


def test_a_step_up_token_is_one_for_five_minutes_and_costs_no_statement(
    world: World, django_assert_num_queries: object
) -> None:
    principal = world.sessions.authenticate(world.login().access)
    now = statements.now()
    with django_assert_num_queries(0):  # type: ignore[operator]
        token, seconds = world.sessions.step_up(principal, now=now)
    assert seconds == 300
    assert world.sessions.authenticate(token).step_up is True
    world.clock.advance(seconds=301)
    with pytest.raises(TokenExpired):
        world.sessions.authenticate(token)


def test_a_step_up_token_dies_with_its_session(world: World) -> None:
    principal = world.sessions.authenticate(world.login().access)
    token, _ = world.sessions.step_up(principal, now=statements.now())
    world.sessions.logout(principal)
    with pytest.raises(SessionRevoked):
        world.sessions.authenticate(token)


def test_a_check_passes_living_access_and_refresh_tokens(world: World) -> None:
    opened = world.login()
    world.sessions.check(opened.access)
    world.sessions.check(opened.refresh)


def test_a_check_passes_one_refresh_token_of_a_session_only(world: World) -> None:
    opened = world.login()
    child = world.refresh(opened.refresh)
    with pytest.raises(TokenInvalid):
        world.sessions.check(opened.refresh)
    world.sessions.check(child.refresh)


def test_a_check_refuses_the_tokens_of_a_revoked_session(world: World) -> None:
    opened = world.login()
    world.sessions.logout(world.sessions.authenticate(opened.access))
    for token in (opened.access, opened.refresh):
        with pytest.raises(SessionRevoked):
            world.sessions.check(token)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é" * 40, "." * 5000, "a" * 100_000, "\x00", "\ud800"])
def test_a_check_refuses_anything_else(world: World, token: str) -> None:
    with pytest.raises(TokenInvalid):
        world.sessions.check(token)
