"""Races on one session row, with threads and connections of their own."""

from typing import Any

import pytest

from apps.accounts.errors import AccountsError, RefreshReused, SessionRevoked
from apps.accounts.models import Session
from apps.accounts.services import session_rows
from apps.accounts.services.session_types import Refreshed
from apps.accounts.tests.services.session_world import (
    World,
    another_process,
    at_once,
    make_person,
    make_world,
    needs_threads,
)

pytestmark = [pytest.mark.django_db(transaction=True), needs_threads]


@pytest.fixture
def world() -> World:
    return make_world()


def keep_nothing(status: int, body: dict[str, Any]) -> None:
    pass


@pytest.mark.parametrize("keep", [None, keep_nothing], ids=["plain", "with an idempotency key"])
def test_fifty_parallel_refreshes_are_all_answered_with_the_one_live_child(world: World, keep: Any) -> None:
    person = make_person()
    for _ in range(5):
        opened = world.login(person)
        processes = [another_process(world) for _ in range(4)]

        def act(number: int, token: str = opened.refresh, processes: list[World] = processes) -> Any:
            return processes[number % 4].refresh(token, keep=keep)

        answers = at_once(act, count=50)
        assert all(isinstance(answer, Refreshed) for answer in answers), answers
        assert len({answer.refresh for answer in answers}) == 1
        for answer in answers[:5]:
            world.sessions.authenticate(answer.access)
        assert Session.objects.get(id=opened.session_id).generation == 1
        world.refresh(answers[0].refresh)
    assert world.heard.audits == []


def test_a_refresh_that_saw_its_token_live_is_answered_even_if_the_winner_was_already_used(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = world.login()
    rotate = session_rows.rotate

    def too_late(*args: Any, **options: Any) -> bool:
        monkeypatch.setattr(session_rows, "rotate", rotate)
        winner = another_process(world).refresh(opened.refresh)
        world.sessions.authenticate(winner.access)
        return rotate(*args, **options)

    monkeypatch.setattr(session_rows, "rotate", too_late)
    loser = world.refresh(opened.refresh)
    world.sessions.authenticate(loser.access)
    assert world.heard.audits == []


def test_parallel_refreshes_from_another_device_end_the_session(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = world.login()
    rotate = session_rows.rotate

    def too_late(*args: Any, **options: Any) -> bool:
        monkeypatch.setattr(session_rows, "rotate", rotate)
        another_process(world).refresh(opened.refresh)
        return rotate(*args, **options)

    monkeypatch.setattr(session_rows, "rotate", too_late)
    with pytest.raises(RefreshReused):
        world.refresh(opened.refresh, device_id="phone-2")


def test_a_logout_between_a_refreshs_read_and_its_write_wins(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = world.login()
    principal = world.sessions.authenticate(opened.access)
    rotate = session_rows.rotate

    def too_late(*args: Any, **options: Any) -> bool:
        world.sessions.logout(principal)
        return rotate(*args, **options)

    monkeypatch.setattr(session_rows, "rotate", too_late)
    with pytest.raises(SessionRevoked):
        world.refresh(opened.refresh)
    assert Session.objects.get().generation == 0


def test_a_logout_among_refreshes_is_never_undone(world: World) -> None:
    person = None
    for _ in range(10):
        opened = world.login(person)
        principal = world.sessions.authenticate(opened.access)
        person = principal.person

        def act(number: int, opened: Any = opened, principal: Any = principal) -> Any:
            if number == 5:
                return world.sessions.logout(principal)
            return world.refresh(opened.refresh)

        answers = at_once(act, count=12)
        assert all(answer is None or isinstance(answer, (Refreshed, SessionRevoked)) for answer in answers), answers
        assert Session.objects.get(id=opened.session_id).revoked_reason == "logout"
        for answer in answers:
            if isinstance(answer, Refreshed):
                with pytest.raises(SessionRevoked):
                    world.sessions.authenticate(answer.access)
                with pytest.raises(SessionRevoked):
                    world.refresh(answer.refresh)


def test_of_thief_and_owner_with_the_same_old_token_nobody_keeps_the_session(world: World) -> None:
    opened = world.login()
    world.refresh(world.refresh(opened.refresh).refresh)
    answers = at_once(lambda n: world.refresh(opened.refresh), count=20)
    assert all(isinstance(answer, AccountsError) for answer in answers)
    assert sum(isinstance(answer, RefreshReused) for answer in answers) >= 1
    assert Session.objects.get(id=opened.session_id).revoked_reason == "refresh_reused"
    assert [audit[0] for audit in world.heard.audits] == ["session.refresh_reused"]


def test_parallel_first_uses_of_a_generation_all_pass(world: World) -> None:
    child = world.refresh(world.login().refresh)
    answers = at_once(lambda n: world.sessions.authenticate(child.access).generation, count=20)
    assert answers == [1] * 20
    assert Session.objects.get().used_generation == 1


def test_a_logout_everywhere_beats_parallel_refreshes_of_many_sessions(world: World) -> None:
    opened = [world.login()]
    principal = world.sessions.authenticate(opened[0].access)
    opened += [world.login(principal.person) for _ in range(9)]

    def act(number: int) -> Any:
        return world.sessions.logout_all(principal) if number == 4 else world.refresh(opened[number % 10].refresh)

    at_once(act, count=20)
    assert not Session.objects.filter(revoked_at=None).exists()
