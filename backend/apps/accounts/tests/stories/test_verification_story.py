"""Verification, step-up and change of number over HTTP: bound to one account and one session of it."""

import pytest

from apps.accounts.models import AuditEvent, Code, DeviceToken, FailureLane, Notice, User
from apps.accounts.tests.stories.people import OTP_REQUEST, OTP_RESEND, OTP_VERIFY, VERIFY, Visitor, problem, wrong
from conftest import OTHER_PHONE, PHONE, Api, BuildRooms, Rooms

pytestmark = pytest.mark.django_db(transaction=True)
THIRD_PHONE = "+966501234569"


@pytest.fixture
def sara(build_rooms: BuildRooms, api: Api) -> Visitor:
    rooms = build_rooms(OTP_MAX_PER_WINDOW="20", PHONE_AUTH_IP_MAX_PER_WINDOW="100")
    return Visitor(rooms, api).login()


def test_a_person_verifies_their_own_number_again(sara: Visitor) -> None:
    User.objects.update(phone_verified=False)
    sent = sara.ask()
    assert sent.status_code == 200, sent.content
    assert sent.json()["challenge"]["purpose"] == "verify_phone"
    assert sara.rooms.gateway.orders[-1].to == PHONE
    done = sara.api.post(OTP_VERIFY, {"otp": sara.code(), "purpose": "verify_phone"}, **sara.bearer)
    assert done.status_code == 200, done.content
    assert done.json()["user"]["phone_verified"] is True
    assert sara.status().json()["phone_verified"] is True


def test_a_step_up_token_is_of_the_same_session_and_lives_five_minutes(sara: Visitor) -> None:
    sara.ask({"purpose": "step_up"})
    done = sara.api.post(OTP_VERIFY, {"otp": sara.code(), "purpose": "step_up"}, **sara.bearer)
    assert done.status_code == 200, done.content
    assert done.json()["access_expires_in"] == 300
    principal = sara.rooms.services.sessions.authenticate(done.json()["access"])
    assert (principal.step_up, principal.session_id) == (True, sara.tokens["session_id"])
    sara.rooms.clock.advance(seconds=301)
    again = sara.api.get("/api/auth/status/", authorization=f"Bearer {done.json()['access']}")
    assert problem(again) == (401, "token_expired")


@pytest.mark.parametrize("path", [OTP_REQUEST, OTP_RESEND, OTP_VERIFY, "/api/mobile/auth/production/resend/"])
def test_nobody_gets_here_without_a_token(rooms: Rooms, api: Api, path: str) -> None:
    assert problem(api.post(path, {"otp": "123456"})) == (401, "not_authenticated")
    assert rooms.gateway.orders == []


def test_a_change_without_a_step_up_token_is_refused_before_anything_is_sent(sara: Visitor) -> None:
    sent = len(sara.rooms.gateway.orders)
    assert problem(sara.ask({"purpose": "change_phone", "phone_number": OTHER_PHONE})) == (403, "step_up_required")
    assert problem(sara.ask({"purpose": "change_phone"})) == (403, "step_up_required")
    assert len(sara.rooms.gateway.orders) == sent


def test_a_change_names_the_new_number(sara: Visitor) -> None:
    answer = sara.ask({"purpose": "change_phone"}, access=sara.step_up())
    assert problem(answer) == (400, "invalid_request")
    assert list(answer.json()["fields"]) == ["phone_number"]


def test_the_new_number_is_proven_before_anything_changes(sara: Visitor) -> None:
    sara.ask_to_change(OTHER_PHONE)
    assert sara.rooms.gateway.orders[-1].to == OTHER_PHONE
    assert sara.status().json()["user"]["phone_number"] == PHONE
    refused = sara.api.post(OTP_VERIFY, {"purpose": "change_phone", "otp": wrong(sara.code())}, **sara.bearer)
    assert problem(refused) == (400, "invalid_otp")
    assert sara.status().json()["user"]["phone_number"] == PHONE
    done = sara.api.post(OTP_VERIFY, {"purpose": "change_phone", "otp": sara.code()}, **sara.bearer)
    assert done.status_code == 200, done.content
    assert done.json()["user"]["phone_number"] == OTHER_PHONE
    assert sara.status().json()["user"] == done.json()["user"]


def test_the_name_goes_with_the_number_and_the_old_number_opens_a_new_account(sara: Visitor) -> None:
    assert sara.change(OTHER_PHONE).json()["user"]["username"] == f"user_{OTHER_PHONE[1:]}"
    other = Visitor(sara.rooms, sara.api).login()
    assert other.tokens["is_new_user"] is True
    assert other.tokens["user"]["username"] == f"user_{PHONE[1:]}"
    assert other.user_id != sara.user_id


def test_a_name_that_staff_chose_stays_when_the_number_changes(sara: Visitor) -> None:
    User.objects.update(username="boss")
    User.objects.create_user(f"user_{OTHER_PHONE[1:]}")
    assert sara.change(OTHER_PHONE).json()["user"]["username"] == "boss"


def test_a_taken_name_gets_four_letters_when_the_number_changes(sara: Visitor) -> None:
    User.objects.create_user(f"user_{OTHER_PHONE[1:]}")
    name = sara.change(OTHER_PHONE).json()["user"]["username"]
    assert name[:-4] == f"user_{OTHER_PHONE[1:]}_"


def test_the_old_number_is_told_of_the_change_and_the_new_one_is_not(sara: Visitor) -> None:
    sara.change(OTHER_PHONE)
    assert list(Notice.objects.values_list("kind", "phone")) == [("phone_changed", PHONE)]


def test_sessions_stay_and_device_tokens_of_the_old_number_die(sara: Visitor) -> None:
    second = Visitor(sara.rooms, sara.api, device_id="second").login()
    assert sara.change(OTHER_PHONE).status_code == 200
    assert second.status().status_code == 200
    assert DeviceToken.objects.filter(revoked_at=None).count() == 0
    assert sara.change(PHONE).status_code == 200
    assert DeviceToken.objects.filter(revoked_at=None).count() == 0


def test_a_number_in_use_is_said_only_after_proof_and_the_code_is_used_up(sara: Visitor) -> None:
    Visitor(sara.rooms, sara.api, phone=OTHER_PHONE).login()
    sent = sara.ask_to_change(OTHER_PHONE)
    assert sent["challenge"]["status"] == "pending"
    code = sara.code()
    guess = sara.api.post(OTP_VERIFY, {"purpose": "change_phone", "otp": wrong(code)}, **sara.bearer)
    assert problem(guess) == (400, "invalid_otp")
    refused = sara.api.post(OTP_VERIFY, {"purpose": "change_phone", "otp": code}, **sara.bearer)
    assert problem(refused) == (409, "phone_in_use")
    assert "challenge" not in refused.json()
    again = sara.api.post(OTP_VERIFY, {"purpose": "change_phone", "otp": code}, **sara.bearer)
    assert problem(again) == (400, "invalid_otp")
    assert sara.status().json()["user"]["phone_number"] == PHONE
    assert Notice.objects.count() == 0


def test_the_answer_to_a_free_and_a_taken_number_is_the_same_until_the_code_is_proven(sara: Visitor) -> None:
    Visitor(sara.rooms, sara.api, phone=OTHER_PHONE).login()
    taken, free = sara.ask_to_change(OTHER_PHONE), sara.ask_to_change(THIRD_PHONE)
    assert taken.keys() == free.keys()
    assert taken["challenge"].keys() == free["challenge"].keys()


def test_a_resend_carries_the_same_code_on_the_same_challenge(sara: Visitor) -> None:
    first = sara.ask({"purpose": "step_up"}).json()
    code = sara.code()
    sara.rooms.clock.advance(seconds=61)
    again = sara.api.post(OTP_RESEND, {"purpose": "step_up"}, **sara.bearer)
    assert again.status_code == 200, again.content
    assert (again.json()["challenge_id"], sara.code()) == (first["challenge_id"], code)
    sara.rooms.clock.advance(seconds=61)
    named = sara.api.post(OTP_RESEND, {"challenge_id": first["challenge_id"]}, **sara.bearer)
    assert (named.status_code, named.json()["challenge_id"]) == (200, first["challenge_id"])


def test_a_repeated_request_keeps_the_tries_of_the_sessions_challenge(sara: Visitor) -> None:
    first = sara.ask({"purpose": "step_up"}).json()
    for _ in range(2):
        sara.api.post(OTP_VERIFY, {"purpose": "step_up", "otp": wrong(sara.code())}, **sara.bearer)
    second = sara.ask({"purpose": "step_up"}).json()
    assert second["challenge_id"] == first["challenge_id"]
    assert second["challenge"]["attempts_left"] == 3


def test_a_resend_without_an_open_code_is_invalid_otp(sara: Visitor) -> None:
    sent = len(sara.rooms.gateway.orders)
    for body in ({}, {"purpose": "step_up"}, {"challenge_id": "0" * 32}):
        assert problem(sara.api.post(OTP_RESEND, body, **sara.bearer)) == (400, "invalid_otp")
    assert len(sara.rooms.gateway.orders) == sent


def test_a_challenge_is_shown_to_a_verify_that_names_it_and_to_no_other(sara: Visitor) -> None:
    first = sara.ask({"purpose": "step_up"}).json()
    body = {"otp": wrong(sara.code())}
    unnamed = sara.api.post(OTP_VERIFY, {**body, "purpose": "step_up"}, **sara.bearer)
    named = sara.api.post(OTP_VERIFY, {**body, "challenge_id": first["challenge_id"]}, **sara.bearer)
    assert "challenge" not in unnamed.json()
    assert named.json()["challenge"]["attempts_left"] == 3


def test_a_code_is_good_for_its_own_purpose_only(sara: Visitor) -> None:
    challenge = sara.ask({"purpose": "verify_phone"}).json()["challenge_id"]
    code = sara.code()
    for body in (
        {"purpose": "step_up"},
        {"purpose": "change_phone"},
        {"purpose": "step_up", "challenge_id": challenge},
    ):
        assert problem(sara.api.post(OTP_VERIFY, {**body, "otp": code}, **sara.bearer)) == (400, "invalid_otp")
    assert problem(sara.api.post(VERIFY, {"phone_number": PHONE, "otp": code})) == (400, "invalid_otp")
    assert problem(sara.api.post(VERIFY, {"challenge_id": challenge, "otp": code})) == (400, "invalid_otp")
    done = sara.api.post(OTP_VERIFY, {"challenge_id": challenge, "otp": code}, **sara.bearer)
    assert done.status_code == 200, done.content


def test_a_login_code_is_good_for_nothing_within_the_account(sara: Visitor) -> None:
    sara.rooms.clock.advance(seconds=61)
    challenge = sara.api.post("/api/auth/phone/request/", {"phone_number": PHONE}).json()["challenge_id"]
    for body in ({"purpose": "step_up"}, {"challenge_id": challenge}, {}):
        answer = sara.api.post(OTP_VERIFY, {**body, "otp": sara.code()}, **sara.bearer)
        assert problem(answer) == (400, "invalid_otp")


def test_another_session_of_the_same_account_cannot_use_the_code(sara: Visitor) -> None:
    second = Visitor(sara.rooms, sara.api, device_id="second").login()
    challenge = sara.ask({"purpose": "step_up"}).json()["challenge_id"]
    for body in ({"purpose": "step_up"}, {"challenge_id": challenge}):
        refused = second.api.post(OTP_VERIFY, {**body, "otp": sara.code()}, **second.bearer)
        assert problem(refused) == (400, "invalid_otp")
    assert problem(second.api.post(OTP_RESEND, {"challenge_id": challenge}, **second.bearer)) == (400, "invalid_otp")


def test_another_account_cannot_use_the_code_the_number_or_the_challenge(sara: Visitor) -> None:
    """R11: a code for B's number is worth nothing in A's hands, whatever A names."""
    omar = Visitor(sara.rooms, sara.api, phone=OTHER_PHONE).login()
    challenge = sara.ask_to_change(THIRD_PHONE)["challenge_id"]
    code = sara.code()
    for body in ({"purpose": "change_phone"}, {"challenge_id": challenge}):
        assert problem(omar.api.post(OTP_VERIFY, {**body, "otp": code}, **omar.bearer)) == (400, "invalid_otp")
    omar.ask_to_change(THIRD_PHONE)
    if omar.code() != code:
        refused = omar.api.post(OTP_VERIFY, {"purpose": "change_phone", "otp": code}, **omar.bearer)
        assert problem(refused) == (400, "invalid_otp")
    assert sara.api.post(OTP_VERIFY, {"challenge_id": challenge, "otp": code}, **sara.bearer).status_code == 200


def test_a_foreign_challenge_loses_no_try_to_whoever_names_it(sara: Visitor) -> None:
    omar = Visitor(sara.rooms, sara.api, phone=OTHER_PHONE).login()
    challenge = sara.ask({"purpose": "step_up"}).json()["challenge_id"]
    for _ in range(6):
        omar.api.post(OTP_VERIFY, {"challenge_id": challenge, "otp": "000000"}, **omar.bearer)
    done = sara.api.post(OTP_VERIFY, {"challenge_id": challenge, "otp": sara.code()}, **sara.bearer)
    assert done.status_code == 200, done.content


def test_each_number_that_was_typed_has_a_challenge_of_its_own(sara: Visitor) -> None:
    """The number cannot be swapped after its code went out."""
    first = sara.ask_to_change(OTHER_PHONE)["challenge_id"]
    code = sara.code()
    sara.ask_to_change(THIRD_PHONE)
    if sara.code() != code:
        refused = sara.api.post(OTP_VERIFY, {"purpose": "change_phone", "otp": code}, **sara.bearer)
        assert problem(refused) == (400, "invalid_otp")
    done = sara.api.post(OTP_VERIFY, {"challenge_id": first, "otp": code}, **sara.bearer)
    assert done.json()["user"]["phone_number"] == OTHER_PHONE


def test_a_code_to_the_old_number_steps_nobody_up_after_the_change(sara: Visitor) -> None:
    step_up = sara.ask({"purpose": "step_up"}).json()["challenge_id"]
    code = sara.code()
    User.objects.filter(pk=sara.user_id).update(phone_number=OTHER_PHONE)
    refused = sara.api.post(OTP_VERIFY, {"challenge_id": step_up, "otp": code}, **sara.bearer)
    assert problem(refused) == (400, "invalid_otp")


def test_a_session_that_ended_while_the_code_was_on_its_way_gets_nothing(sara: Visitor) -> None:
    sara.ask_to_change(OTHER_PHONE)
    code = sara.code()
    sara.api.post("/api/auth/logout/", **sara.bearer)
    refused = sara.api.post(OTP_VERIFY, {"purpose": "change_phone", "otp": code}, **sara.bearer)
    assert problem(refused) == (401, "session_revoked")
    assert User.objects.get().phone_number == PHONE


def test_five_wrong_codes_lock_the_sessions_challenge(sara: Visitor) -> None:
    sara.ask({"purpose": "step_up"})
    for _ in range(5):
        sara.api.post(OTP_VERIFY, {"purpose": "step_up", "otp": wrong(sara.code())}, **sara.bearer)
    locked = sara.api.post(OTP_VERIFY, {"purpose": "step_up", "otp": sara.code()}, **sara.bearer)
    assert problem(locked) == (429, "too_many_attempts")


def test_a_right_code_leaves_no_failure_behind(sara: Visitor) -> None:
    sara.step_up()
    lane = FailureLane.objects.get(phone=PHONE, lane="challenge")
    assert (lane.stamps, lane.since_login) == ("[]", 0)


def test_a_repeat_with_the_same_key_gets_the_same_step_up_token(sara: Visitor) -> None:
    sara.ask({"purpose": "step_up"})
    body = {"purpose": "step_up", "otp": sara.code()}
    first, again = (
        sara.api.post(OTP_VERIFY, body, idempotency_key="step-up-once-0001", **sara.bearer) for _ in range(2)
    )
    assert first.status_code == 200, first.content
    assert again["Idempotency-Replayed"] == "true"
    assert again.json() == first.json()


def test_the_old_resend_opens_a_code_where_none_is_open_and_takes_an_empty_body(sara: Visitor) -> None:
    sara.rooms.clock.advance(seconds=61)
    first = sara.api.post("/api/mobile/auth/production/resend/", **sara.bearer)
    assert first.status_code == 200, first.content
    assert first["Deprecation"]
    assert first.json()["challenge"]["purpose"] == "verify_phone"
    code = sara.code()
    sara.rooms.clock.advance(seconds=61)
    again = sara.api.post("/api/mobile/auth/production/resend", {"channel": "sms"}, **sara.bearer)
    assert again.json()["challenge_id"] == first.json()["challenge_id"]
    assert Code.objects.filter(purpose="verify_phone").count() == 1
    assert sara.code() == code
    assert sara.api.post(OTP_VERIFY, {"otp": code}, **sara.bearer).status_code == 200


def test_every_change_is_in_the_audit_trail_without_a_full_number(sara: Visitor) -> None:
    sara.change(OTHER_PHONE)
    record = AuditEvent.objects.get(event="phone.changed")
    assert record.subject == User.objects.get().subject
    assert PHONE not in record.detail
    assert OTHER_PHONE not in record.detail
