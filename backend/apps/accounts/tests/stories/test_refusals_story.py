"""What refusals say: how near the caller is to its limits, and how the challenge stands that it named."""

import pytest

from apps.accounts.providers.base import Rejected
from apps.accounts.services.block_values import BlockType, Target
from apps.accounts.services.blocklist import BlockList
from apps.accounts.services.blocks import Actor, Blocks
from conftest import OTHER_PHONE, PHONE, Api, BuildRooms, Rooms

pytestmark = pytest.mark.django_db(transaction=True)
REQUEST, RESEND, VERIFY = "/api/auth/phone/request/", "/api/auth/phone/resend/", "/api/auth/phone/verify/"


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


def test_every_answer_to_a_send_says_how_near_the_caller_is_to_its_own_limit(rooms: Rooms, api: Api) -> None:
    admitted = api.post(REQUEST, {"phone_number": PHONE})
    assert admitted["RateLimit-Policy"] == '"ip";q=5;w=3600'
    assert admitted["RateLimit"] == '"ip";r=4;t=3600'
    cooling = api.post(REQUEST, {"phone_number": PHONE})
    assert (cooling.status_code, cooling["RateLimit"].split(";")[1]) == (429, "r=4")
    rooms.gateway.script = [Rejected("21408")]
    failed = api.post(REQUEST, {"phone_number": OTHER_PHONE})
    assert (failed.status_code, failed["RateLimit"].split(";")[1]) == (503, "r=3")
    for last in range(3):
        assert api.post(REQUEST, {"phone_number": f"+96650555000{last}"}).status_code == 200
    full = api.post(REQUEST, {"phone_number": "+966505550009"})
    assert (full.status_code, full.json()["scope"]) == (429, "ip")
    assert full["RateLimit"] == f'"ip";r=0;t={full["Retry-After"]}'


def test_a_send_to_a_test_number_shows_the_callers_limits_and_uses_none(rooms: Rooms, api: Api) -> None:
    for _ in range(2):
        sent = api.post(REQUEST, {"phone_number": "+1234567890"})
        assert (sent.status_code, sent["RateLimit"]) == (200, '"ip";r=5;t=0')


def test_a_device_s_share_that_is_given_back_is_shown_so(build_rooms: BuildRooms, api: Api) -> None:
    rooms = build_rooms(PHONE_AUTH_DEVICE_MAX_PER_WINDOW="2")
    rooms.gateway.script = [Rejected("21408")]
    failed = api.post(REQUEST, {"phone_number": PHONE, "device_id": "d-1"})
    assert (failed.status_code, failed["RateLimit"].split(";")[:2]) == (503, ['"ip"', "r=4"])
    admitted = api.post(REQUEST, {"phone_number": PHONE, "device_id": "d-1"})
    assert (admitted.status_code, admitted["RateLimit"].split(";")[:2]) == (200, ['"device"', "r=1"])


def test_a_device_that_locked_its_only_challenge_is_told_so_and_leaves_the_other_lane_alone(
    build_rooms: BuildRooms, api: Api
) -> None:
    rooms = build_rooms(OTP_RESEND_COOLDOWN_SECONDS="0")
    api.post(REQUEST, {"phone_number": PHONE, "device_id": "d-1"})
    body = {"phone_number": PHONE, "otp": wrong(rooms.gateway.last_code), "device_id": "d-1"}
    answers = [api.post(VERIFY, body) for _ in range(8)]
    assert [answer.status_code for answer in answers] == [400] * 5 + [429] * 3
    assert 590 <= int(answers[-1]["Retry-After"]) <= 600
    api.post(REQUEST, {"phone_number": PHONE})
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code}).status_code == 200


def test_every_refusal_of_a_call_that_names_a_challenge_shows_it(rooms: Rooms, api: Api) -> None:
    named = {"challenge_id": api.post(REQUEST, {"phone_number": PHONE}).json()["challenge_id"]}
    cooling = api.post(RESEND, named)
    assert (cooling.status_code, cooling.json()["challenge"]["status"]) == (429, "pending")
    assert "challenge" not in api.post(RESEND, {"phone_number": PHONE}).json()
    api.delete(f"/api/auth/phone/challenge/{named['challenge_id']}/")
    closed = api.post(RESEND, named)
    assert (closed.status_code, closed.json()["challenge"]["status"]) == (400, "canceled")
    rooms.services.blocks.add(Target(BlockType.IP, "127.0.0.1/32"), actor=Actor(name="test"))
    blocked = api.post(VERIFY, {**named, "otp": "123456"})
    assert (blocked.status_code, blocked.json()["challenge"]["status"]) == (403, "canceled")


@pytest.mark.parametrize("target", [Target(BlockType.PHONE, PHONE), Target(BlockType.PREFIX, PHONE[:8])])
def test_a_blocked_number_gets_in_by_no_challenge_that_a_late_process_opened(
    rooms: Rooms, api: Api, monkeypatch: pytest.MonkeyPatch, target: Target
) -> None:
    late = rooms.services.blocklist
    late.match(phone=PHONE, ip="", device_id="")
    with monkeypatch.context() as frozen:
        frozen.setattr(late, "_read_at", float("inf"))  # it has just asked, and hears of nothing newer
        elsewhere = Blocks(config=rooms.services.config, clock=rooms.clock, blocklist=BlockList(clock=rooms.clock))
        elsewhere.add(target, actor=Actor(name="test"))
        asked = api.post(REQUEST, {"phone_number": PHONE})
        assert asked.status_code == 200
    late.forget()
    named = {"challenge_id": asked.json()["challenge_id"]}
    refused = api.post(VERIFY, {**named, "otp": rooms.gateway.last_code})
    assert (refused.status_code, refused.json()["code"]) == (403, "blocked")


def test_an_expired_challenge_stays_expired_when_it_is_canceled(rooms: Rooms, api: Api) -> None:
    path = f"/api/auth/phone/challenge/{api.post(REQUEST, {'phone_number': PHONE}).json()['challenge_id']}/"
    rooms.clock.advance(seconds=601)
    assert api.delete(path).status_code == 204
    assert api.get(path).json()["status"] == "expired"
