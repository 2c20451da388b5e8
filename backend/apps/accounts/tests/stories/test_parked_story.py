"""Parked accounts over HTTP: never shown, never lost, and back by a device that they know."""

import pytest

from apps.accounts.models import DeviceToken, PhoneLine, User
from apps.accounts.tests.stories.people import Visitor, problem
from apps.accounts.tests.stories.silence import choose, ticket_of
from conftest import OTHER_PHONE, PHONE

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_parked_account_comes_back_by_its_known_device_with_another_number(
    owner: Visitor, stranger: Visitor
) -> None:
    stranger.tokens = choose(stranger, ticket_of(stranger), "new").json()
    known = {"x_device_token": owner.tokens["device_token"]}
    moved = Visitor(owner.rooms, owner.api, phone=OTHER_PHONE, device_id=owner.device_id)
    answer = choose(moved, ticket_of(moved, **known), "mine")
    assert answer.status_code == 200, answer.content
    user = answer.json()["user"]
    assert (user["id"], user["phone_number"]) == (owner.user_id, OTHER_PHONE)
    assert user["username"] == f"user_{OTHER_PHONE[1:]}"
    assert stranger.status().json()["user"]["phone_number"] == PHONE


def test_the_parked_account_comes_back_with_its_own_number_and_the_other_one_is_parked_in_turn(
    owner: Visitor, stranger: Visitor
) -> None:
    stranger.tokens = choose(stranger, ticket_of(stranger), "new").json()
    answer = choose(owner, ticket_of(owner, x_device_token=owner.tokens["device_token"]), "mine")
    assert answer.json()["user"]["id"] == owner.user_id
    assert problem(stranger.status()) == (401, "session_revoked")
    assert User.objects.get(pk=stranger.user_id).parked_phone == PHONE


def test_a_known_device_may_leave_the_parked_account_where_it_is(owner: Visitor, stranger: Visitor) -> None:
    choose(stranger, ticket_of(stranger), "new")
    moved = Visitor(owner.rooms, owner.api, phone=OTHER_PHONE, device_id=owner.device_id)
    answer = choose(moved, ticket_of(moved, x_device_token=owner.tokens["device_token"]), "new")
    assert (answer.status_code, answer.json()["is_new_user"]) == (200, True)
    assert User.objects.get(pk=owner.user_id).parked_at is not None


def test_a_parked_account_is_never_shown_to_the_number_or_to_another_device(owner: Visitor, stranger: Visitor) -> None:
    stranger.tokens = choose(stranger, ticket_of(stranger), "new").json()
    new = stranger.user_id
    another = Visitor(owner.rooms, owner.api, device_id="another")
    assert another.login().user_id == new
    assert another.login(x_device_token=owner.tokens["device_token"]).user_id == new


def test_the_parked_accounts_device_token_opens_no_lane_of_the_number(owner: Visitor, stranger: Visitor) -> None:
    choose(stranger, ticket_of(stranger), "new")
    ticket_of(owner, x_device_token=owner.tokens["device_token"])
    lane = DeviceToken.objects.filter(user_id=owner.user_id).get()
    assert lane.revoked_at is None
    assert not PhoneLine.objects.filter(lane=f"device:{lane.id}").exists()


def test_a_disabled_account_does_not_come_back(owner: Visitor, stranger: Visitor) -> None:
    choose(stranger, ticket_of(stranger), "new")
    moved = Visitor(owner.rooms, owner.api, phone=OTHER_PHONE, device_id=owner.device_id)
    ticket = ticket_of(moved, x_device_token=owner.tokens["device_token"])
    owner.rooms.services.ownership.disable(owner.user_id, actor="operator")
    assert problem(choose(moved, ticket, "mine")) == (403, "account_disabled")


def test_a_disabled_silent_account_is_no_way_to_a_new_one(owner: Visitor, stranger: Visitor) -> None:
    ticket = ticket_of(stranger)
    owner.rooms.services.ownership.disable(owner.user_id, actor="operator")
    assert problem(choose(stranger, ticket, "new")) == (403, "account_disabled")
    assert problem(stranger.prove()) == (403, "account_disabled")
