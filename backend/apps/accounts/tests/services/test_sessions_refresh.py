"""Refresh: one live child, lost answers given again, real reuse ends the session."""

from typing import Any

import pytest

from apps.accounts.errors import RefreshReused, SessionRevoked, TokenExpired, TokenInvalid
from apps.accounts.models import DeviceToken, Session, User
from apps.accounts.services import session_cleaning, statements
from apps.accounts.tests.services.session_world import World, another_process, make_world, other

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world() -> World:
    return make_world()


def assert_ended_by_reuse(world: World, session_id: str) -> None:
    row = Session.objects.get(id=session_id)
    assert (row.revoked_reason, row.successor) == ("refresh_reused", "")
    assert [audit[0] for audit in world.heard.audits] == ["session.refresh_reused"]
    assert [notice[0] for notice in world.heard.notices] == ["session.refresh_reused"]


def test_a_refresh_costs_one_read_and_one_write(world: World, django_assert_num_queries: Any) -> None:
    token = world.login().refresh
    for _ in range(3):
        with django_assert_num_queries(2):
            token = world.refresh(token).refresh


def test_a_lost_answer_is_given_again_for_one_read(world: World, django_assert_num_queries: Any) -> None:
    token = world.login().refresh
    world.refresh(token)
    with django_assert_num_queries(1):
        world.refresh(token)


def test_a_refresh_gives_a_new_pair_that_works(world: World) -> None:
    opened = world.login()
    child = world.refresh(opened.refresh)
    assert child.access != opened.access
    assert child.refresh != opened.refresh
    world.sessions.authenticate(child.access)
    world.refresh(child.refresh)


def test_the_answer_counts_down_to_the_absolute_end(world: World) -> None:
    token = world.login().refresh
    world.clock.advance(seconds=86_400)
    answer = world.refresh(token)
    assert answer.access_expires_in == 600
    assert 29 * 86_400 - 60 <= answer.refresh_expires_in <= 29 * 86_400


def test_the_token_one_step_behind_gets_the_same_pair_byte_for_byte(world: World) -> None:
    token = world.login().refresh
    first = world.refresh(token)
    world.clock.advance(seconds=300)
    again = world.refresh(token)
    assert (again.access, again.refresh) == (first.access, first.refresh)
    assert again.access_expires_in <= 300


def test_it_can_be_fetched_again_by_another_process(world: World) -> None:
    token = world.login().refresh
    assert another_process(world).refresh(token).refresh == world.refresh(token).refresh


def test_a_kept_access_token_with_under_a_minute_left_is_replaced_by_one_of_its_generation(world: World) -> None:
    token = world.login().refresh
    first = world.refresh(token)
    world.clock.advance(seconds=545)
    again = world.refresh(token)
    assert again.refresh == first.refresh
    assert again.access != first.access
    assert again.access_expires_in == 600
    assert world.sessions.authenticate(again.access).generation == 1


def test_using_that_replacement_ends_the_grace_too(world: World) -> None:
    opened = world.login()
    world.refresh(opened.refresh)
    world.clock.advance(seconds=545)
    world.sessions.authenticate(world.refresh(opened.refresh).access)
    with pytest.raises(RefreshReused):
        world.refresh(opened.refresh)


def test_after_the_successors_access_token_was_used_the_old_token_is_reuse(world: World) -> None:
    opened = world.login()
    child = world.refresh(opened.refresh)
    world.sessions.authenticate(child.access)
    with pytest.raises(RefreshReused):
        world.refresh(opened.refresh)
    assert_ended_by_reuse(world, opened.session_id)


def test_use_in_another_process_counts(world: World) -> None:
    opened = world.login()
    another_process(world).sessions.authenticate(world.refresh(opened.refresh).access)
    with pytest.raises(RefreshReused):
        world.refresh(opened.refresh)


def test_showing_the_successor_to_verify_is_using_it(world: World) -> None:
    opened = world.login()
    world.sessions.check(world.refresh(opened.refresh).refresh)
    with pytest.raises(RefreshReused):
        world.refresh(opened.refresh)


def test_using_the_former_access_token_is_not_using_the_successor(world: World) -> None:
    opened = world.login()
    first = world.refresh(opened.refresh)
    world.sessions.authenticate(opened.access)
    assert world.refresh(opened.refresh).refresh == first.refresh


def test_after_the_successor_was_used_the_old_token_is_reuse(world: World) -> None:
    opened = world.login()
    child = world.refresh(opened.refresh)
    world.refresh(child.refresh)
    with pytest.raises(RefreshReused):
        world.refresh(opened.refresh)
    assert_ended_by_reuse(world, opened.session_id)


def test_reuse_ends_every_token_of_the_session_and_its_devices_trust(world: World) -> None:
    opened = world.login()
    child = world.refresh(opened.refresh)
    grandchild = world.refresh(child.refresh)
    with pytest.raises(RefreshReused):
        world.refresh(opened.refresh)
    for access in (opened.access, child.access, grandchild.access):
        with pytest.raises(SessionRevoked):
            world.sessions.authenticate(access)
    with pytest.raises(SessionRevoked):
        world.refresh(grandchild.refresh)
    assert not DeviceToken.objects.filter(revoked_at=None).exists()


def test_reuse_is_audited_once_however_often_it_is_tried(world: World) -> None:
    opened = world.login()
    world.refresh(world.refresh(opened.refresh).refresh)
    with pytest.raises(RefreshReused):
        world.refresh(opened.refresh)
    with pytest.raises(SessionRevoked):
        world.refresh(opened.refresh)
    assert_ended_by_reuse(world, opened.session_id)


def test_within_the_grace_an_hour_later_is_fine_and_after_it_reuse(world: World) -> None:
    opened = world.login()
    first = world.refresh(opened.refresh)
    world.clock.advance(seconds=3590)
    assert world.refresh(opened.refresh).refresh == first.refresh
    world.clock.advance(seconds=15)
    with pytest.raises(RefreshReused):
        world.refresh(opened.refresh)


def test_the_grace_is_a_setting() -> None:
    world = make_world(REFRESH_REUSE_GRACE_SECONDS="0")
    opened = world.login()
    world.refresh(opened.refresh)
    world.clock.advance(seconds=1)
    with pytest.raises(RefreshReused):
        world.refresh(opened.refresh)


@pytest.mark.parametrize("device_id", ["phone-2", "", "PHONE-1"])
def test_from_another_device_the_old_token_is_reuse(world: World, device_id: str) -> None:
    opened = world.login()
    world.refresh(opened.refresh)
    with pytest.raises(RefreshReused):
        world.refresh(opened.refresh, device_id=device_id)


def test_a_login_without_a_device_id_gets_its_lost_answer_without_one(world: World) -> None:
    opened = world.login(device=other(device_id=""))
    first = world.refresh(opened.refresh, device_id="")
    assert world.refresh(opened.refresh, device_id="").refresh == first.refresh
    with pytest.raises(RefreshReused):
        world.refresh(opened.refresh, device_id="phone-1")


def test_a_session_ends_thirty_days_after_login_however_busy(world: World) -> None:
    token = world.login().refresh
    for _ in range(3):
        world.clock.advance(seconds=9 * 86_400)
        token = world.refresh(token).refresh
    world.clock.advance(seconds=3 * 86_400)
    with pytest.raises(TokenExpired):
        world.refresh(token)


def test_the_last_access_token_does_not_outlive_its_session(world: World) -> None:
    token = world.login().refresh
    for days in (10, 10, 9):
        world.clock.advance(seconds=days * 86_400)
        token = world.refresh(token).refresh
    world.clock.advance(seconds=86_400 - 120)
    answer = world.refresh(token)
    assert answer.access_expires_in <= 120
    world.clock.advance(seconds=121)
    with pytest.raises(TokenExpired):
        world.sessions.authenticate(answer.access)


def test_a_session_ends_after_fourteen_idle_days(world: World) -> None:
    token = world.login().refresh
    world.clock.advance(seconds=13 * 86_400)
    token = world.refresh(token).refresh
    world.clock.advance(seconds=14 * 86_400 + 1)
    with pytest.raises(TokenExpired):
        world.refresh(token)


def test_an_access_token_is_no_refresh_token(world: World) -> None:
    with pytest.raises(TokenInvalid):
        world.refresh(world.login().access)


def test_padding_and_blanks_make_no_second_spelling_of_a_token(world: World) -> None:
    token = world.login().refresh
    for spelling in (token + " ", " " + token, token + "\n", token[:-1]):
        with pytest.raises(TokenInvalid):
            world.refresh(spelling)
    world.refresh(token)


def test_the_kept_answer_is_called_in_the_transaction_of_the_act(world: World) -> None:
    token = world.login().refresh
    kept: list[tuple[int, dict[str, Any]]] = []
    answer = world.refresh(token, keep=lambda status, body: kept.append((status, body)))
    assert kept == [(200, answer.body())]


def test_when_the_answer_cannot_be_kept_the_refresh_did_not_happen(world: World) -> None:
    opened = world.login()

    def fail(status: int, body: dict[str, Any]) -> None:
        raise RuntimeError("somebody else holds the key")

    with pytest.raises(RuntimeError):
        world.refresh(opened.refresh, keep=fail)
    assert Session.objects.get(id=opened.session_id).generation == 0
    world.refresh(opened.refresh)


def test_a_sealed_answer_cannot_be_opened_from_the_row_alone(world: World) -> None:
    opened = world.login()
    child = world.refresh(opened.refresh)
    row = Session.objects.get(id=opened.session_id)
    assert row.successor
    assert child.refresh not in row.successor
    assert child.access.split(".")[1] not in row.successor


def test_the_cleaner_forgets_sealed_answers_after_the_grace_and_not_before(world: World) -> None:
    opened = world.login()
    world.refresh(opened.refresh)
    now = statements.now()
    assert session_cleaning.clear_successors(now=now, grace_seconds=3600) == 0
    world.clock.advance(seconds=3700)
    assert session_cleaning.clear_successors(now=now + world.clock.offset, grace_seconds=3600) == 1
    assert Session.objects.get().successor == ""


def test_the_cleaner_drops_sessions_long_ended_and_their_device_token_outlives_them(world: World) -> None:
    world.login()
    now = statements.now()
    assert session_cleaning.drop_ended_sessions(before=now) == 0
    world.clock.advance(seconds=31 * 86_400)
    assert session_cleaning.drop_ended_sessions(before=now + world.clock.offset) == 1
    assert DeviceToken.objects.get().session_id is None


def test_a_refresh_moves_the_end_of_silence_forward_once_a_day(world: World, django_assert_num_queries: Any) -> None:
    token = world.login().refresh
    before = User.objects.get().last_seen_at
    world.clock.advance(seconds=86_400 + 60)
    token = world.refresh(token).refresh
    after = User.objects.get().last_seen_at
    assert before is not None
    assert after is not None
    assert (after - before).total_seconds() > 86_400
    with django_assert_num_queries(2):
        world.refresh(token)
