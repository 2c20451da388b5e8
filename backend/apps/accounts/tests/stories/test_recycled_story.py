"""Recycled numbers over HTTP: after long silence a number chooses, and the old account's known devices have a say."""

import pytest

from apps.accounts.models import (
    AuditEvent,
    FailureLane,
    Notice,
    RecycledClaim,
    Session,
    User,
)
from apps.accounts.services import statements, tries
from apps.accounts.services.block_values import target
from apps.accounts.services.blocks import Actor
from apps.accounts.services.recycled import forget_claims
from apps.accounts.tests.meeting import meet
from apps.accounts.tests.stories.people import Visitor, problem
from apps.accounts.tests.stories.silence import (
    CHOOSE,
    CLAIMS,
    DAY,
    HOUR,
    REFRESH,
    choose,
    claim_mine,
    claims_of,
    come_back,
    say,
    ticket_of,
)
from conftest import OTHER_PHONE, PHONE, Api, BuildRooms, Rooms, needs_postgres

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_number_that_proves_itself_after_long_silence_must_choose(stranger: Visitor) -> None:
    ticket_of(stranger)
    assert Session.objects.count() == 1


def test_a_number_that_was_seen_lately_just_logs_in(world: Rooms, api: Api) -> None:
    Visitor(world, api).login()
    world.clock.advance(seconds=DAY // 2)
    assert Visitor(world, api).login().tokens["is_new_user"] is False


def test_the_accounts_own_device_just_logs_in(owner: Visitor) -> None:
    first = owner.user_id
    owner.login(x_device_token=owner.tokens["device_token"])
    assert owner.user_id == first


def test_new_opens_a_new_account_at_once_and_parks_the_old_one(owner: Visitor, stranger: Visitor) -> None:
    answer = choose(stranger, ticket_of(stranger), "new")
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert (body["is_new_user"], body["user"]["phone_number"]) == (True, PHONE)
    assert body["user"]["username"] == f"user_{PHONE[1:]}"
    assert body["user"]["id"] != owner.user_id
    stranger.tokens = body
    assert stranger.status().status_code == 200
    old = User.objects.get(pk=owner.user_id)
    assert (old.phone_number, old.parked_phone, old.deleted_at) == (None, PHONE, None)
    assert PHONE[1:] not in old.username


def test_the_old_accounts_tokens_stop_at_once(owner: Visitor, stranger: Visitor) -> None:
    ticket = ticket_of(stranger)
    assert come_back(owner).status().status_code == 200
    assert choose(stranger, ticket, "new").status_code == 200
    assert problem(owner.status()) == (401, "session_revoked")
    refused = owner.api.post(REFRESH, {"refresh": owner.tokens["refresh"]}, **owner.device)
    assert problem(refused) == (401, "session_revoked")


def test_the_new_owner_gets_in_again_without_a_choice(owner: Visitor, stranger: Visitor) -> None:
    stranger.tokens = choose(stranger, ticket_of(stranger), "new").json()
    new = stranger.user_id
    assert stranger.login().user_id == new
    assert stranger.tokens["is_new_user"] is False


def test_a_ticket_works_once(stranger: Visitor) -> None:
    ticket = ticket_of(stranger)
    assert choose(stranger, ticket, "new").status_code == 200
    for choice in ("new", "mine"):
        assert problem(choose(stranger, ticket, choice)) == (400, "invalid_request")
    assert User.objects.count() == 2


@needs_postgres()
def test_a_choice_beside_a_login_waits_before_it_holds_the_account(owner: Visitor, stranger: Visitor) -> None:
    ticket = ticket_of(stranger)

    def go_on() -> None:
        statements.row("SELECT 1 FROM accounts_user WHERE id = %s FOR NO KEY UPDATE NOWAIT", (owner.user_id,))

    answer = meet(lambda: tries.lock_lanes(PHONE), lambda: choose(stranger, ticket, "new"), go_on)
    assert answer.status_code == 200


def test_a_ticket_lives_ten_minutes(stranger: Visitor) -> None:
    ticket = ticket_of(stranger)
    stranger.rooms.clock.advance(seconds=601)
    assert problem(choose(stranger, ticket, "new")) == (400, "invalid_request")
    assert User.objects.count() == 1


def test_an_unknown_ticket_and_an_unknown_choice_change_nothing(stranger: Visitor) -> None:
    ticket = ticket_of(stranger)
    assert list(choose(stranger, "x" * 43, "new").json()["fields"]) == ["ticket"]
    assert list(choose(stranger, ticket, "both").json()["fields"]) == ["choice"]
    assert choose(stranger, ticket, "new").status_code == 200


def test_no_ticket_is_in_the_database(stranger: Visitor) -> None:
    assert ticket_of(stranger) not in str(list(RecycledClaim.objects.values()))


def test_without_signup_new_is_refused_and_nothing_is_parked(build_rooms: BuildRooms, api: Api) -> None:
    rooms = build_rooms(ACCOUNT_DORMANT_DAYS="1", OTP_MAX_PER_WINDOW="50")
    Visitor(rooms, api).login()
    offset = rooms.clock.offset_seconds + 2 * DAY
    rooms = build_rooms(ACCOUNT_DORMANT_DAYS="1", PHONE_AUTH_ALLOW_SIGNUP="False")
    rooms.clock.advance(seconds=offset)
    visitor = Visitor(rooms, api)
    ticket = ticket_of(visitor)
    assert problem(choose(visitor, ticket, "new")) == (404, "user_not_found")
    assert User.objects.get().phone_number == PHONE
    assert choose(visitor, ticket, "mine").status_code == 202


def test_mine_waits_for_the_hold_and_then_an_ordinary_login_opens_the_account(
    owner: Visitor, stranger: Visitor
) -> None:
    assert claim_mine(stranger) == 72 * HOUR
    ticket_of(stranger)
    stranger.rooms.clock.advance(seconds=71 * HOUR)
    ticket_of(stranger)
    stranger.rooms.clock.advance(seconds=HOUR)
    assert stranger.login().user_id == owner.user_id


def test_asking_again_does_not_start_the_hold_anew(stranger: Visitor) -> None:
    claim_mine(stranger)
    stranger.rooms.clock.advance(seconds=10 * HOUR)
    assert 61 * HOUR < claim_mine(stranger) <= 62 * HOUR
    assert RecycledClaim.objects.filter(state="waiting").count() == 1


def test_an_opening_that_nobody_used_goes_stale(owner: Visitor, stranger: Visitor) -> None:
    claim_mine(stranger)
    stranger.rooms.clock.advance(seconds=72 * HOUR + 31 * DAY)
    ticket_of(stranger)


def test_the_number_is_told_of_a_claim(stranger: Visitor) -> None:
    claim_mine(stranger)
    assert list(Notice.objects.values_list("kind", "phone")) == [("number_claimed", PHONE)]


def test_a_live_session_sees_the_claim_with_the_number_masked(owner: Visitor, stranger: Visitor) -> None:
    assert claims_of(come_back(owner)) == []
    owner.rooms.clock.advance(seconds=2 * DAY)
    claim_mine(stranger)
    (claim,) = claims_of(come_back(owner))
    assert (claim["status"], claim["phone_number"]) == ("waiting", "+966*****567")
    assert 0 < int(str(claim["available_in"])) <= 72 * HOUR


def test_a_known_device_that_confirms_opens_the_account_at_once(owner: Visitor, stranger: Visitor) -> None:
    claim_mine(stranger)
    said = say(come_back(owner), "confirm")
    assert (said.status_code, said.json()["status"]) == (200, "granted")
    assert stranger.login().user_id == owner.user_id


def test_a_confirmation_opens_the_account_once(owner: Visitor, stranger: Visitor) -> None:
    claim_mine(stranger)
    say(come_back(owner), "confirm")
    stranger.login()
    stranger.rooms.clock.advance(seconds=3 * DAY)
    ticket_of(Visitor(stranger.rooms, stranger.api, device_id="third"))


def test_an_objection_keeps_the_account_closed_after_the_hold(owner: Visitor, stranger: Visitor) -> None:
    claim_mine(stranger)
    said = say(come_back(owner), "object")
    assert (said.status_code, said.json()["status"]) == (200, "objected")
    for _ in range(3):
        stranger.rooms.clock.advance(seconds=80 * HOUR)
        ticket_of(stranger)


def test_a_claim_after_an_objection_waits_for_as_long_as_the_objection_binds(owner: Visitor, stranger: Visitor) -> None:
    claim_mine(stranger)
    say(come_back(owner), "object")
    assert claim_mine(stranger) > 29 * DAY
    stranger.rooms.clock.advance(seconds=80 * HOUR)
    ticket_of(stranger)


def test_a_device_that_came_back_does_not_open_the_account_to_the_numbers_new_owner(
    owner: Visitor, stranger: Visitor
) -> None:
    """The old device's refresh ends the silence; the claim that waits still binds."""
    claim_mine(stranger)
    come_back(owner)
    ticket_of(stranger)


def test_an_objection_can_be_taken_back(owner: Visitor, stranger: Visitor) -> None:
    claim_mine(stranger)
    come_back(owner)
    say(owner, "object")
    say(owner, "confirm")
    assert stranger.login().user_id == owner.user_id


def test_the_known_device_with_the_number_ends_every_claim(owner: Visitor, stranger: Visitor) -> None:
    claim_mine(stranger)
    owner.login(x_device_token=owner.tokens["device_token"])
    assert set(RecycledClaim.objects.values_list("state", flat=True)) == {"closed"}


def test_nobody_else_sees_or_answers_a_claim(owner: Visitor, stranger: Visitor) -> None:
    claim_mine(stranger)
    (claim,) = claims_of(come_back(owner))
    other = Visitor(owner.rooms, owner.api, phone=OTHER_PHONE).login()
    assert claims_of(other) == []
    path = f"{CLAIMS}{claim['id']}/"
    assert problem(other.api.post(path, {"answer": "confirm"}, **other.bearer)) == (404, "not_found")
    assert problem(other.api.post(path, {"answer": "confirm"})) == (401, "not_authenticated")
    assert problem(owner.api.post(path, {"answer": "perhaps"}, **owner.bearer)) == (400, "invalid_request")
    assert problem(owner.api.post(f"{CLAIMS}{'0' * 32}/", {"answer": "confirm"}, **owner.bearer)) == (404, "not_found")


def test_a_block_stops_the_choice_too(owner: Visitor, stranger: Visitor) -> None:
    ticket = ticket_of(stranger)
    owner.rooms.services.blocks.add(target("phone", PHONE), actor=Actor(name="operator"), note="abuse")
    assert problem(choose(stranger, ticket, "new")) == (403, "blocked")


def test_a_right_code_that_led_to_a_choice_is_no_failure(stranger: Visitor) -> None:
    for _ in range(3):
        ticket_of(stranger)
    assert set(FailureLane.objects.values_list("stamps", "since_login")) == {("[]", 0)}


def test_the_session_after_a_choice_is_of_the_device_that_proved_the_number(stranger: Visitor) -> None:
    ticket = ticket_of(stranger)
    answer = stranger.api.post(CHOOSE, {"ticket": ticket, "choice": "new"})
    assert Session.objects.get(pk=answer.json()["session_id"]).device_id == stranger.device_id


def test_old_tickets_are_forgotten_in_batches(owner: Visitor, stranger: Visitor) -> None:
    ticket_of(stranger)
    claim_mine(stranger)
    last = RecycledClaim.objects.order_by("created_at").last()
    assert last is not None
    assert forget_claims(before=last.created_at) == 1
    assert list(RecycledClaim.objects.values_list("state", flat=True)) == ["waiting"]


def test_the_audit_trail_tells_the_story_without_a_full_number(owner: Visitor, stranger: Visitor) -> None:
    claim_mine(stranger)
    say(come_back(owner), "object")
    choose(stranger, ticket_of(stranger), "new")
    events = list(AuditEvent.objects.values_list("event", flat=True))
    assert events.count("claim.made") == events.count("claim.objected") == events.count("account.parked") == 1
    assert not AuditEvent.objects.filter(detail__contains=PHONE).exists()
