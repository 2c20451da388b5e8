"""The main story over HTTP: a person asks for a code, gets it, proves it, and is logged in."""

import jwt
import pytest

from apps.accounts.models import Challenge, Code, Message, Session, User
from apps.accounts.providers.base import Channel, InvalidRecipient, OutcomeUnknown, Rejected
from conftest import OTHER_PHONE, PHONE, Api, BuildRooms, RecordingGateway, Rooms

pytestmark = pytest.mark.django_db(transaction=True)
REQUEST, RESEND, VERIFY = "/api/auth/phone/request/", "/api/auth/phone/resend/", "/api/auth/phone/verify/"


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


def test_a_person_gets_a_code_and_logs_in(rooms: Rooms, api: Api) -> None:
    sent = api.post(REQUEST, {"phone_number": PHONE})
    assert sent.status_code == 200, sent.content
    body = sent.json()
    assert body["message"] == "Verification code sent successfully"
    assert (body["expires_in"], body["resend_in"]) == (600, 60)
    assert body["challenge"]["phone_number"] == "+966*****567"
    assert body["challenge"]["delivery"] == "accepted"
    assert "is_new_user" not in body
    code = rooms.gateway.last_code
    done = api.post(VERIFY, {"phone_number": PHONE, "otp": code})
    assert done.status_code == 200, done.content
    login = done.json()
    assert login["is_new_user"] is True
    assert login["user"]["username"] == "user_966501234567"
    assert login["user"]["role"] == "customer"
    status = api.get("/api/auth/status/", authorization=f"Bearer {login['access']}")
    assert status.status_code == 200
    assert status.json()["session_id"] == login["session_id"]


def test_a_code_works_once(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    code = rooms.gateway.last_code
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": code}).status_code == 200
    again = api.post(VERIFY, {"phone_number": PHONE, "otp": code})
    assert again.status_code == 400
    assert again.json()["code"] == "invalid_otp"
    assert Session.objects.count() == 1


def test_a_resend_carries_the_same_code(rooms: Rooms, api: Api) -> None:
    first = api.post(REQUEST, {"phone_number": PHONE}).json()
    rooms.clock.advance(seconds=61)
    again = api.post(RESEND, {"challenge_id": first["challenge_id"]})
    assert again.status_code == 200, again.content
    assert again.json()["challenge_id"] == first["challenge_id"]
    assert again.json()["expires_in"] <= 540
    assert rooms.gateway.orders[0].code == rooms.gateway.orders[1].code
    assert Code.objects.count() == 1


def test_a_resend_within_the_last_two_minutes_opens_a_new_code_beside_the_old(rooms: Rooms, api: Api) -> None:
    first = api.post(REQUEST, {"phone_number": PHONE}).json()
    old = rooms.gateway.last_code
    rooms.clock.advance(seconds=500)
    again = api.post(RESEND, {"challenge_id": first["challenge_id"]}).json()
    assert again["challenge_id"] == first["challenge_id"]
    assert again["expires_in"] == 600
    assert Code.objects.filter(state="open").count() == 2
    assert rooms.gateway.last_code != old
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": old}).status_code == 200


@pytest.mark.parametrize("minutes", [1, 2])
def test_of_a_short_life_only_the_last_half_opens_a_new_code(build_rooms: BuildRooms, api: Api, minutes: int) -> None:
    half = minutes * 30
    rooms = build_rooms(
        OTP_EXPIRY_MINUTES=str(minutes), OTP_RESEND_COOLDOWN_SECONDS="0", OTP_MAX_PER_WINDOW="9",
        PHONE_AUTH_IP_MAX_PER_WINDOW="0",
    )  # fmt: skip
    api.post(REQUEST, {"phone_number": PHONE})
    for wait, opened in ((half // 3, 1), (half, 2), (half // 3, 2), (half, 3)):
        rooms.clock.advance(seconds=wait)
        assert api.post(RESEND, {"phone_number": PHONE}).status_code == 200
        assert Code.objects.count() == opened
    assert len(rooms.gateway.orders) == 5


def test_a_resend_without_an_open_code_is_invalid_otp(rooms: Rooms, api: Api) -> None:
    answer = api.post(RESEND, {"phone_number": PHONE})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_otp")
    assert rooms.gateway.orders == []


def test_two_sends_within_the_cooldown_are_refused_with_the_true_wait(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    refused = api.post(REQUEST, {"phone_number": PHONE})
    assert (refused.status_code, refused.json()["code"]) == (429, "resend_cooldown")
    wait = int(refused["Retry-After"])
    assert 58 <= wait <= 60
    assert refused.json()["retry_after"] == wait
    rooms.clock.advance(seconds=wait)
    assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 200


def test_the_fourth_send_in_an_hour_waits_for_the_window(rooms: Rooms, api: Api) -> None:
    for _ in range(3):
        assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 200
        rooms.clock.advance(seconds=61)
    refused = api.post(REQUEST, {"phone_number": PHONE})
    assert (refused.status_code, refused.json()["code"], refused.json()["scope"]) == (429, "rate_limited", "phone")
    rooms.clock.advance(seconds=int(refused["Retry-After"]))
    assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 200


def test_two_askers_have_a_challenge_each_on_the_same_code(rooms: Rooms, api: Api) -> None:
    first = api.post(REQUEST, {"phone_number": PHONE}).json()
    rooms.clock.advance(seconds=61)
    second = api.post(REQUEST, {"phone_number": PHONE}).json()
    assert first["challenge_id"] != second["challenge_id"]
    assert rooms.gateway.orders[0].code == rooms.gateway.orders[1].code
    assert api.delete(f"/api/auth/phone/challenge/{first['challenge_id']}/").status_code == 204
    done = api.post(VERIFY, {"challenge_id": second["challenge_id"], "otp": rooms.gateway.last_code})
    assert done.status_code == 200
    assert api.get(f"/api/auth/phone/challenge/{first['challenge_id']}/").json()["status"] == "canceled"
    assert api.get(f"/api/auth/phone/challenge/{second['challenge_id']}/").json()["status"] == "verified"


def test_the_device_that_asked_keeps_its_challenge(rooms: Rooms, api: Api) -> None:
    first = api.post(REQUEST, {"phone_number": PHONE, "device_id": "dev-1"}).json()
    rooms.clock.advance(seconds=61)
    assert (
        api.post(REQUEST, {"phone_number": PHONE}, x_device_id="dev-1").json()["challenge_id"] == first["challenge_id"]
    )


def test_a_challenge_whose_code_somebody_else_used_reads_expired(rooms: Rooms, api: Api) -> None:
    first = api.post(REQUEST, {"phone_number": PHONE}).json()
    rooms.clock.advance(seconds=61)
    second = api.post(REQUEST, {"phone_number": PHONE}).json()
    api.post(VERIFY, {"challenge_id": second["challenge_id"], "otp": rooms.gateway.last_code})
    assert api.get(f"/api/auth/phone/challenge/{first['challenge_id']}/").json()["status"] == "expired"


def test_five_wrong_codes_lock_the_challenge(rooms: Rooms, api: Api) -> None:
    first = api.post(REQUEST, {"phone_number": PHONE}).json()
    code = rooms.gateway.last_code
    for left in (4, 3, 2, 1, 0):
        answer = api.post(VERIFY, {"challenge_id": first["challenge_id"], "otp": wrong(code)})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_otp")
        assert answer.json()["challenge"]["attempts_left"] == left
    locked = api.post(VERIFY, {"challenge_id": first["challenge_id"], "otp": code})
    assert (locked.status_code, locked.json()["code"]) == (429, "too_many_attempts")
    assert locked.json()["challenge"]["status"] == "locked"
    assert Code.objects.get().state == "dead"


def test_a_stranger_who_burns_the_phone_lane_does_not_stop_the_challenge(rooms: Rooms, api: Api) -> None:
    first = api.post(REQUEST, {"phone_number": PHONE}).json()
    code = rooms.gateway.last_code
    for _ in range(5):
        assert api.post(VERIFY, {"phone_number": PHONE, "otp": wrong(code)}).status_code == 400
    spent = api.post(VERIFY, {"phone_number": PHONE, "otp": code})
    assert (spent.status_code, spent.json()["code"]) == (429, "too_many_attempts")
    assert 1 <= int(spent["Retry-After"]) <= 600
    done = api.post(VERIFY, {"challenge_id": first["challenge_id"], "otp": code})
    assert done.status_code == 200, done.content


def test_a_new_code_never_resets_the_count_of_the_day(build_rooms: BuildRooms, api: Api) -> None:
    rooms = build_rooms(OTP_MAX_FAILURES_PER_DAY="4")
    api.post(REQUEST, {"phone_number": PHONE})
    for _ in range(4):
        api.post(VERIFY, {"phone_number": PHONE, "otp": wrong(rooms.gateway.last_code)})
    rooms.clock.advance(seconds=700)
    api.post(REQUEST, {"phone_number": PHONE})
    refused = api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code})
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_attempts")


def test_a_wrong_code_without_any_open_code_is_counted_and_answered_alike(rooms: Rooms, api: Api) -> None:
    answer = api.post(VERIFY, {"phone_number": PHONE, "otp": "000000"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_otp")


def test_a_code_does_not_outlive_its_life(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    rooms.clock.advance(seconds=601)
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code}).status_code == 400


def test_a_code_is_good_for_its_own_number_only(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    code = rooms.gateway.last_code
    api.post(REQUEST, {"phone_number": OTHER_PHONE})
    if rooms.gateway.last_code != code:
        assert api.post(VERIFY, {"phone_number": OTHER_PHONE, "otp": code}).status_code == 400


def test_a_definite_refusal_gives_the_quota_back_and_closes_the_challenge(rooms: Rooms, api: Api) -> None:
    rooms.gateway.script = [Rejected("21408")]
    refused = api.post(REQUEST, {"phone_number": PHONE})
    assert (refused.status_code, refused.json()["code"]) == (503, "delivery_failed")
    assert Challenge.objects.get().status == "failed"
    assert api.post(REQUEST, {"phone_number": PHONE}).json()["challenge"]["sends_left"] == 2


def test_at_most_three_refusals_an_hour_are_given_back(rooms: Rooms, api: Api) -> None:
    rooms.gateway.script = [Rejected("21408")] * 5
    answers = [api.post(REQUEST, {"phone_number": PHONE}) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [503, 503, 503, 503, 429]


def test_an_unknown_outcome_is_an_honest_200_and_gives_nothing_back(rooms: Rooms, api: Api) -> None:
    rooms.gateway.script = [OutcomeUnknown("timeout")]
    answer = api.post(REQUEST, {"phone_number": PHONE})
    assert answer.status_code == 200
    assert answer.json()["challenge"]["delivery"] == "unknown"
    assert Message.objects.get().state == "unknown"
    assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 429
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code}).status_code == 200


def test_a_number_that_can_never_receive_a_code_is_said_so_and_costs_a_send(rooms: Rooms, api: Api) -> None:
    rooms.gateway.script = [InvalidRecipient("21614")]
    answer = api.post(REQUEST, {"phone_number": PHONE})
    assert (answer.status_code, answer.json()["code"]) == (422, "phone_unreachable")
    assert Challenge.objects.get().status == "undeliverable"
    assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 429


def test_a_disabled_account_is_told_only_after_proof(rooms: Rooms, api: Api) -> None:
    User.objects.create_user("user_966501234567", phone_number=PHONE, is_active=False)
    sent = api.post(REQUEST, {"phone_number": PHONE})
    assert sent.status_code == 200
    refused = api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code})
    assert (refused.status_code, refused.json()["code"]) == (403, "account_disabled")
    assert Session.objects.count() == 0


def test_without_signup_an_unknown_number_is_told_only_after_proof(build_rooms: BuildRooms, api: Api) -> None:
    rooms = build_rooms(PHONE_AUTH_ALLOW_SIGNUP="False")
    assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 200
    refused = api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code})
    assert (refused.status_code, refused.json()["code"]) == (404, "user_not_found")
    assert User.objects.count() == 0


def test_a_taken_username_gets_four_letters(rooms: Rooms, api: Api) -> None:
    User.objects.create_user("user_966501234567")
    api.post(REQUEST, {"phone_number": PHONE})
    user = api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code}).json()["user"]
    assert user["username"].startswith("user_966501234567_")
    assert len(user["username"]) == len("user_966501234567_abcd")


def test_the_sample_test_number_logs_in_and_sends_nothing(rooms: Rooms, api: Api) -> None:
    sent = api.post(REQUEST, {"phone_number": "+1234567890"})
    assert sent.status_code == 200, sent.content
    done = api.post(VERIFY, {"phone_number": "+1234567890", "otp": "123456"})
    assert done.status_code == 200, done.content
    assert rooms.gateway.orders == []


def test_an_ipv6_client_counts_by_its_network(build_rooms: BuildRooms, api: Api) -> None:
    build_rooms(TRUSTED_PROXY_CIDRS="127.0.0.1/32", PHONE_AUTH_IP_MAX_PER_WINDOW="2")
    numbers = [f"+9665012345{n:02d}" for n in range(10, 13)]
    answers = [
        api.post(REQUEST, {"phone_number": number}, x_forwarded_for=f"2001:db8:1:2::{n}")
        for n, number in enumerate(numbers, start=1)
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["scope"] == "ip"


def test_a_refused_request_consumes_nothing(build_rooms: BuildRooms, api: Api) -> None:
    rooms = build_rooms(PHONE_AUTH_IP_MAX_PER_WINDOW="2")
    assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 200
    for _ in range(5):
        assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 429
    assert api.post(REQUEST, {"phone_number": OTHER_PHONE}).status_code == 200
    assert len(rooms.gateway.orders) == 2


@pytest.mark.parametrize("channels", [["whatsapp", "whatsapp"], ["whatsapp", "sms"], ["sms", "sms"]])
def test_a_token_says_sms_only_where_the_code_may_have_come_by_sms(
    build_rooms: BuildRooms, api: Api, channels: list[str]
) -> None:
    rooms = build_rooms(gateways=[RecordingGateway(able=frozenset(Channel))])
    for channel in channels:  # two askers by phone alone: whose challenge it was is not known
        assert api.post(REQUEST, {"phone_number": PHONE, "channel": channel}).status_code == 200
        rooms.clock.advance(seconds=61)
    done = api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code}).json()
    amr = ["otp", "sms" if "sms" in channels else "whatsapp"]
    assert jwt.decode(done["access"], options={"verify_signature": False})["amr"] == amr
    assert Session.objects.get().amr.split(",") == amr
