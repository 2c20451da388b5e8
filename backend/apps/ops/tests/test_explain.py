"""A person's story: everything that happened, masked, and the next safe action."""

from typing import Any

import pytest

from apps.accounts.models import Message, User
from apps.accounts.phones import Phone
from apps.accounts.providers.base import Rejected, Unavailable
from apps.ops.tests.conftest import OperatorApi
from conftest import PHONE, Api, BuildRooms, RecordingGateway, Rooms

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "/admin/otp/explain"
REQUEST, RESEND, VERIFY = "/api/auth/phone/request/", "/api/auth/phone/resend/", "/api/auth/phone/verify/"


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


def ask(api: Api) -> dict[str, Any]:
    return dict(api.post(REQUEST, {"phone_number": PHONE}).json())


def told(operator: OperatorApi, q: str = PHONE) -> dict[str, Any]:
    answer = operator.post(PATH, {"q": q})
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def events(story: dict[str, Any]) -> list[tuple[str, str]]:
    return [(entry["event"], entry["outcome"]) for entry in story["timeline"]]


def limits(story: dict[str, Any], event: str = "limit") -> list[tuple[str, str]]:
    return [(entry["event"], entry["detail"]) for entry in story["timeline"] if entry["event"] == event]


def test_a_support_code_tells_the_whole_story(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    sent = ask(api)
    code = rooms.gateway.last_code
    api.post(VERIFY, {"challenge_id": sent["challenge_id"], "otp": wrong(code)})
    api.post(REQUEST, {"phone_number": PHONE})
    rooms.services.refusals.flush()
    api.post(VERIFY, {"challenge_id": sent["challenge_id"], "otp": code})
    answer = operator.get(f"{PATH}?q={sent['challenge']['support_code']}")
    assert answer.status_code == 200, answer.content
    story = answer.json()
    assert story["phone_number"] == "+966*****567"
    assert story["id"] == rooms.services.number_ids.of(PHONE)[:16]
    found = events(story)
    for entry in [
        ("request", "admitted"),
        ("gateway", "accepted"),
        ("limit", "open"),
        ("refused", "resend_cooldown"),
        ("challenge", "verified"),
        ("code", "proven"),
        ("session", "opened"),
    ]:
        assert entry in found, entry
    assert story["next_action"].startswith("Nothing: the person logged in at")
    times = [entry["at"] for entry in story["timeline"]]
    assert times == sorted(times)


@pytest.mark.parametrize("shape", ["id", "code", "lower", "without hyphen"])
def test_the_code_may_be_typed_as_people_type(rooms: Rooms, operator: OperatorApi, api: Api, shape: str) -> None:
    challenge = ask(api)["challenge"]
    code = challenge["support_code"]
    q = {"id": challenge["id"], "code": code, "lower": code.lower(), "without hyphen": code.replace("-", "")}[shape]
    assert operator.get(f"{PATH}?q={q}").status_code == 200
    assert operator.post(PATH, {"q": q}).status_code == 200


def test_an_unknown_code_is_404(rooms: Rooms, operator: OperatorApi) -> None:
    assert operator.get(f"{PATH}?q=AAAA-2222").status_code == 404
    assert operator.get(f"{PATH}?q={'0' * 32}").status_code == 404


@pytest.mark.parametrize("q", ["", "x", "%2B966501234567", "AAAA-OOOO"])
def test_a_number_has_no_place_in_an_address(rooms: Rooms, operator: OperatorApi, q: str) -> None:
    answer = operator.get(f"{PATH}?q={q}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert operator.get(PATH).status_code == 400


def test_nothing_in_it_is_a_code_or_a_full_number(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    ask(api)
    code = rooms.gateway.last_code
    read_out = operator.post("/admin/otp/sessions", {"phone_number": PHONE, "note": "Incident #123"}).json()["code"]
    operator.post("/admin/otp/blacklist", {"type": "phone", "value": PHONE})
    text = operator.post(PATH, {"q": PHONE}).content.decode()
    assert PHONE not in text
    assert PHONE[1:] not in text
    for secret in (code, read_out):
        assert f'"{secret}"' not in text
        assert f" {secret}" not in text


def test_an_unknown_number_has_an_empty_story(rooms: Rooms, operator: OperatorApi) -> None:
    story = told(operator)
    assert story["timeline"] == []
    assert story["next_action"].startswith("Nothing is known of this number")


def test_wrong_codes_are_counted_by_lane(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    sent = ask(api)
    bad = wrong(rooms.gateway.last_code)
    for _ in range(2):
        api.post(VERIFY, {"challenge_id": sent["challenge_id"], "otp": bad})
    api.post(VERIFY, {"phone_number": PHONE, "otp": bad})
    details = [entry["detail"] for entry in told(operator)["timeline"] if entry["event"] == "wrong_code"]
    assert len(details) == 3
    assert "lane challenge: 2 of 20 in 24 hours" in details
    assert "lane phone: 1 of 20 in 24 hours" in details


def test_each_gateway_is_told_with_its_error(build_rooms: BuildRooms, operator: OperatorApi, api: Api) -> None:
    gateways = [
        RecordingGateway(name="twilio", always=Rejected("30007")),
        RecordingGateway(name="authentica"),
    ]
    build_rooms(gateways=gateways, OTP_FALLBACK_PROVIDERS="authentica", AUTHENTICA_API_KEY="key")
    ask(api)
    tries = [entry for entry in told(operator)["timeline"] if entry["event"] == "gateway"]
    assert [entry["outcome"] for entry in tries] == ["failed", "accepted"]
    assert "30007" in tries[0]["detail"]
    assert "ms" in tries[0]["detail"]


def test_a_receipt_is_told_at_its_own_time(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    ask(api)
    message = Message.objects.get()
    message.state, message.receipt_at = "delivered", message.created_at
    message.save()
    assert ("receipt", "delivered") in events(told(operator))
    assert told(operator)["next_action"].startswith("The newest code was delivered")


def test_a_block_comes_first(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    ask(api)
    operator.post("/admin/otp/blacklist", {"type": "prefix", "value": "+96650", "note": "sweep"})
    story = told(operator)
    assert story["next_action"].startswith("A block of this prefix by operator is in force (sweep)")
    operator.delete("/admin/otp/blacklist", {"type": "prefix", "value": "+96650"})
    assert "A block of" not in told(operator)["next_action"]
    assert ("block", "lifted") in events(told(operator))


def test_a_disabled_account_is_said(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    User.objects.create(username="gone", phone_number=PHONE, is_active=False)
    ask(api)
    assert told(operator)["next_action"].startswith("The account is disabled")


def test_used_up_sends_point_to_the_read_out_code(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    for _ in range(3):
        ask(api)
        rooms.clock.advance(seconds=61)
    rooms.clock.advance(seconds=600)
    story = told(operator)
    assert ("limit", "full") in events(story)
    assert "sends are used up" in story["next_action"]
    assert "read-out code" in story["next_action"]


def test_a_spent_lane_says_when_it_opens(build_rooms: BuildRooms, operator: OperatorApi, api: Api) -> None:
    build_rooms(OTP_MAX_FAILURES_PER_DAY="1")
    api.post(VERIFY, {"phone_number": PHONE, "otp": "123456"})
    assert "Too many wrong codes in the phone lane" in told(operator)["next_action"]


def test_wrong_codes_without_a_request_are_not_called_nothing(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    for _ in range(5):
        assert api.post(VERIFY, {"phone_number": PHONE, "otp": "123456"}).status_code == 400
    story = told(operator)
    assert events(story) == [("wrong_code", "counted")] * 5
    assert story["next_action"].startswith("5 wrong codes were typed for this number, and no code was sent to it")


def test_a_request_that_was_refused_is_not_called_nothing(rooms: Rooms, operator: OperatorApi) -> None:
    rooms.services.refusals.note("proof_required", "proof", Phone(PHONE, "SA"))
    rooms.services.refusals.flush()
    assert "was refused (proof required) at" in told(operator)["next_action"]


def test_the_lane_by_phone_alone_is_shown_and_named_when_it_is_spent(
    rooms: Rooms, operator: OperatorApi, api: Api
) -> None:
    ask(api)
    bad = wrong(rooms.gateway.last_code)
    for _ in range(4):
        api.post(VERIFY, {"phone_number": PHONE, "otp": bad})
    story = told(operator)
    assert ("limit", "4 of 5 tries of the code by phone alone") in limits(story)
    assert "by phone alone" not in story["next_action"]
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": bad}).status_code == 400
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": bad}).status_code == 429
    rooms.services.refusals.flush()
    story = told(operator)
    assert ("limit", "5 of 5 tries of the code by phone alone") in limits(story)
    assert ("refused", "5 of 5 tries of the code by phone alone, once") in limits(story, "refused")
    assert story["next_action"].startswith(
        "Wrong codes by phone alone used up the open code's tries in that lane (5 of"
    )
    rooms.clock.advance(seconds=601)
    assert "by phone alone" not in told(operator)["next_action"]


def test_a_spent_challenge_is_told_with_its_count(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    sent = ask(api)
    for _ in range(7):
        api.post(VERIFY, {"challenge_id": sent["challenge_id"], "otp": wrong(rooms.gateway.last_code)})
    rooms.services.refusals.flush()
    assert ("refused", "5 of 5 tries of the challenge, 2 times within the hour") in limits(told(operator), "refused")


def test_a_pause_and_a_spent_day_are_told_with_their_limits(
    build_rooms: BuildRooms, operator: OperatorApi, api: Api
) -> None:
    rooms = build_rooms(OTP_MAX_FAILURES_PER_DAY="6")
    for _ in range(6):
        api.post(VERIFY, {"phone_number": PHONE, "otp": "123456"})
    rooms.clock.advance(seconds=90)
    for _ in range(2):
        api.post(VERIFY, {"phone_number": PHONE, "otp": "123456"})
    rooms.services.refusals.flush()
    found = limits(told(operator), "refused")
    assert ("refused", "lane phone: a pause after 5 or more wrong codes, once") in found
    assert ("refused", "lane phone: 6 of 6 in 24 hours, once") in found


def test_a_gateway_that_was_not_called_is_not_the_last_that_refused(
    build_rooms: BuildRooms, operator: OperatorApi, api: Api
) -> None:
    rooms = build_rooms(OTP_RESEND_COOLDOWN_SECONDS="0")
    sent, health = ask(api), rooms.services.health
    for _ in range(5):
        health.failed("twilio", Unavailable("connect"), channel="sms", seconds=0.0)
    stale = health.plan(["twilio"], channel="sms", region="SA", avoid=frozenset())
    assert health.claim("twilio", channel="sms")
    health.plan = lambda *_, **__: stale  # type: ignore[method-assign]  # planned before somebody took the probe
    assert api.post(RESEND, {"challenge_id": sent["challenge_id"]}).status_code == 503
    story = told(operator)
    assert ("gateway", "not called") in events(story)
    assert story["next_action"] == "The message is on its way: wait a minute."


@pytest.mark.parametrize("method", ["get", "post"])
def test_strangers_are_told_nothing(rooms: Rooms, api: Api, method: str) -> None:
    assert getattr(api, method)(PATH).status_code == 401
