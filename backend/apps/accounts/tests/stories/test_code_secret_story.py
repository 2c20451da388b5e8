"""The secret that codes are derived with is changed while people log in: nobody meets an error of ours."""

import pytest
from prometheus_client import REGISTRY

from conftest import PHONE, Api, BuildRooms, Rooms

pytestmark = pytest.mark.django_db(transaction=True)
REQUEST, RESEND, VERIFY = "/api/auth/phone/request/", "/api/auth/phone/resend/", "/api/auth/phone/verify/"
OLD = "an-older-secret-of-codes-with-more-than-thirty-two-characters"
NEW = "a-newer-secret-of-codes-with-more-than-thirty-two-characters"


def rooms_with(build_rooms: BuildRooms, secret: str, previous: str = "") -> Rooms:
    return build_rooms(OTP_SECRET=secret, OTP_SECRET_PREVIOUS=previous, OTP_RESEND_COOLDOWN_SECONDS="0")


def alarms() -> float:
    return REGISTRY.get_sample_value("otp_alarms_total", {"alarm": "code_key_unknown"}) or 0.0


def test_a_code_of_the_former_secret_is_good_while_that_is_named(build_rooms: BuildRooms, api: Api) -> None:
    code = ask(rooms_with(build_rooms, OLD), api)
    made = rooms_with(build_rooms, NEW, OLD)
    assert api.post(RESEND, {"phone_number": PHONE}).status_code == 200
    assert made.gateway.last_code == code
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": code}).status_code == 200


def test_processes_that_know_both_secrets_know_each_others_codes(build_rooms: BuildRooms, api: Api) -> None:
    code = ask(rooms_with(build_rooms, NEW, OLD), api)
    before = alarms()
    rooms_with(build_rooms, OLD, NEW)
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": code}).status_code == 200
    assert alarms() == before


@pytest.mark.parametrize("path", [REQUEST, RESEND])
@pytest.mark.parametrize("by_challenge", [False, True])
def test_whoever_asks_again_after_a_change_in_one_step_gets_a_code_that_works(
    build_rooms: BuildRooms, api: Api, path: str, by_challenge: bool
) -> None:
    first = rooms_with(build_rooms, OLD)
    asked = api.post(REQUEST, {"phone_number": PHONE, "device_id": "phone-1"}).json()
    old = first.gateway.last_code
    made, before = rooms_with(build_rooms, NEW), alarms()
    body = {"phone_number": PHONE, **({"device_id": "phone-1"} if by_challenge else {})}
    answer = api.post(path, body)
    assert answer.status_code == 200
    assert (answer.json()["challenge_id"] == asked["challenge_id"]) is by_challenge
    assert alarms() > before
    named = {"challenge_id": answer.json()["challenge_id"]}
    assert api.post(VERIFY, {**named, "otp": old}).json()["code"] == "invalid_otp"
    assert api.post(VERIFY, {**named, "otp": made.gateway.last_code}).status_code == 200


def test_a_code_whose_secret_is_not_ours_is_an_alarm_and_not_only_wrong(build_rooms: BuildRooms, api: Api) -> None:
    code = ask(rooms_with(build_rooms, OLD), api)
    before = alarms()
    rooms_with(build_rooms, NEW)
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": code}).json()["code"] == "invalid_otp"
    assert alarms() == before + 1


def ask(made: Rooms, api: Api) -> str:
    assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 200
    return made.gateway.last_code
