"""The operators' dashboard: each number means what it says, in any window, from rows and from sums alike."""

from datetime import timedelta
from typing import Any

import pytest

from apps.accounts.models import Code, Message
from apps.accounts.providers.base import InvalidRecipient, OutcomeUnknown, Rejected, Unavailable
from apps.accounts.services import audit, statements
from apps.ops import slots
from apps.ops.dashboard import dashboard
from apps.ops.staff.situation import failures
from apps.ops.tests.conftest import OperatorApi
from apps.ops.windows import parse
from conftest import OTHER_PHONE, PHONE, Api, BuildRooms, RecordingGateway, Rooms

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "/admin/otp/dashboard"
REQUEST, RESEND, VERIFY = "/api/auth/phone/request/", "/api/auth/phone/resend/", "/api/auth/phone/verify/"
EGYPTIAN = "+201001234567"


def look(operator: OperatorApi, window: str = "1h") -> Any:
    dashboard().forget()
    answer = operator.get(f"{PATH}?window={window}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def log_in(api: Api, rooms: Rooms, phone: str) -> None:
    assert api.post(REQUEST, {"phone_number": phone}).status_code == 200
    assert api.post(VERIFY, {"phone_number": phone, "otp": rooms.gateway.last_code}).status_code == 200


def two_gateways() -> list[RecordingGateway]:
    return [RecordingGateway("twilio"), RecordingGateway("authentica")]


def test_its_members_are_those_of_the_contract(rooms: Rooms, operator: OperatorApi) -> None:
    found = look(operator)
    assert list(found) == [
        "status", "window_seconds", "counters", "conversion", "time_to_login", "providers", "countries", "series",
        "spend", "events", "audits",
    ]  # fmt: skip
    assert list(found["counters"]) == [
        "requested", "sent", "delivered", "failed", "verified", "expired", "rate_limited", "blocked",
    ]  # fmt: skip
    assert set(found["time_to_login"]) == {"p50", "p95"}
    assert set(found["providers"][0]) == {
        "name", "channel", "sent", "delivered", "failed", "verified", "latency", "weight",
    }  # fmt: skip
    assert set(found["series"][0]) == {"minute", *found["counters"]}
    assert found["status"] == operator.get("/otp/status").json()
    assert (found["window_seconds"], found["conversion"]) == (3600, None)


def test_a_gateway_that_was_not_called_after_all_has_not_failed(
    build_rooms: BuildRooms, operator: OperatorApi, api: Api
) -> None:
    rooms = build_rooms()
    health = rooms.services.health
    for _ in range(5):
        health.failed("twilio", Unavailable("connect"), channel="sms", seconds=0.0)
    stale = health.plan(["twilio"], channel="sms", region="SA", avoid=frozenset())
    assert health.claim("twilio", channel="sms")
    health.plan = lambda *_, **__: stale  # type: ignore[method-assign]  # planned before somebody took the probe
    assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 503
    assert not rooms.gateway.orders
    found = look(operator)
    assert (found["counters"]["requested"], found["counters"]["failed"]) == (1, 0)
    assert found["providers"][0]["failed"] == 0
    assert failures(dashboard().look(parse("1h")).since, statements.now()) == []
    told = operator.post("/admin/otp/explain", {"q": PHONE}).json()
    assert [one["outcome"] for one in told["timeline"] if one["event"] == "gateway"] == ["not called"]


def test_without_a_token_it_tells_nothing(rooms: Rooms, api: Api) -> None:
    assert api.get(PATH).status_code == 401
    assert api.get(PATH, x_admin_token="wrong").status_code == 401


def test_without_a_configured_token_it_is_not_there(build_rooms: BuildRooms, api: Api) -> None:
    build_rooms(ADMIN_TOKEN="")
    assert api.get(PATH).status_code == 404


@pytest.mark.parametrize(
    ("window", "seconds"), [("15m", 900), ("1h", 3600), ("6h", 21600), ("24h", 86400), ("7d", 604800)]
)
def test_a_window_is_minutes_hours_or_days(rooms: Rooms, operator: OperatorApi, window: str, seconds: int) -> None:
    found = look(operator, window)
    assert found["window_seconds"] == seconds
    assert 15 <= len(found["series"]) <= 200


@pytest.mark.parametrize(
    "window", ["", "1", "h", "0h", "-1h", "1w", "1.5h", "32d", "999999999999999999999m", "1h1m", "١h", "1 h"]
)
def test_a_malformed_window_is_400_and_names_the_parameter(rooms: Rooms, operator: OperatorApi, window: str) -> None:
    answer = operator.get(f"{PATH}?window={window}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert "window" in answer.json()["fields"]


def test_a_login_is_requested_sent_and_verified(rooms: Rooms, api: Api, operator: OperatorApi) -> None:
    log_in(api, rooms, PHONE)
    found = look(operator)
    assert found["counters"] == {
        "requested": 1, "sent": 1, "delivered": 0, "failed": 0, "verified": 1, "expired": 0, "rate_limited": 0,
        "blocked": 0,
    }  # fmt: skip
    assert found["conversion"] == 1.0
    assert 0 <= found["time_to_login"]["p50"] <= found["time_to_login"]["p95"] < 5


def test_what_happens_at_this_very_moment_is_in_it(
    rooms: Rooms, api: Api, operator: OperatorApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(api, rooms, PHONE)
    used_at = Code.objects.get().used_at
    assert used_at is not None
    Message.objects.update(created_at=used_at)
    monkeypatch.setattr(statements, "now", lambda: used_at)  # SQLite's clock ticks once a millisecond
    counters = look(operator)["counters"]
    assert (counters["requested"], counters["sent"], counters["verified"]) == (1, 1, 1)


def test_events_of_one_moment_are_told_newest_first(rooms: Rooms, operator: OperatorApi) -> None:
    now = statements.now()
    told = ("block.added", "block.changed", "block.lifted", "key.rotated")
    for event in told:
        with statements.durable():
            audit.record(event, actor="amal", now=now)
    assert [one["event"] for one in look(operator)["events"]] == list(reversed(told))


def test_a_resend_is_another_request_and_no_other_code(rooms: Rooms, api: Api, operator: OperatorApi) -> None:
    first = api.post(REQUEST, {"phone_number": PHONE}).json()
    rooms.clock.advance(seconds=61)
    assert api.post(RESEND, {"challenge_id": first["challenge_id"]}).status_code == 200
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code}).status_code == 200
    found = look(operator)
    assert (found["counters"]["requested"], found["counters"]["sent"]) == (2, 2)
    assert (found["counters"]["verified"], found["conversion"]) == (1, 1.0)


def test_a_failover_is_one_request_and_the_login_is_the_second_gateways(
    build_rooms: BuildRooms, api: Api, operator: OperatorApi
) -> None:
    gateways = two_gateways()
    gateways[0].script.append(Rejected("no"))
    rooms = build_rooms(gateways=gateways, OTP_FALLBACK_PROVIDERS="authentica", AUTHENTICA_API_KEY="k")
    assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 200
    code = rooms.gateways["authentica"].last_code
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": code}).status_code == 200
    found = look(operator)
    assert (found["counters"]["requested"], found["counters"]["sent"], found["counters"]["failed"]) == (1, 1, 1)
    rows = {one["name"]: (one["sent"], one["failed"], one["verified"]) for one in found["providers"]}
    assert rows == {"twilio": (0, 1, 0), "authentica": (1, 0, 1)}


def test_a_try_that_may_have_gone_out_is_neither_sent_nor_failed(
    build_rooms: BuildRooms, api: Api, operator: OperatorApi
) -> None:
    rooms = build_rooms()
    rooms.gateway.script.append(OutcomeUnknown("late"))
    assert api.post(REQUEST, {"phone_number": PHONE}).json()["challenge"]["delivery"] == "unknown"
    counters = look(operator)["counters"]
    assert (counters["requested"], counters["sent"], counters["failed"]) == (1, 0, 0)


def test_a_receipt_that_says_failed_leaves_the_message_sent(rooms: Rooms, api: Api, operator: OperatorApi) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    api.post(REQUEST, {"phone_number": OTHER_PHONE})
    Message.objects.filter(phone=PHONE).update(state="failed", receipt_at=statements.now())
    Message.objects.filter(phone=OTHER_PHONE).update(state="delivered", receipt_at=statements.now())
    counters = look(operator)["counters"]
    assert (counters["sent"], counters["delivered"], counters["failed"]) == (2, 1, 1)


def test_an_unused_code_is_expired_when_its_life_has_ended(rooms: Rooms, api: Api, operator: OperatorApi) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    assert look(operator)["counters"]["expired"] == 0
    rooms.clock.advance(seconds=601)
    found = look(operator)
    assert (found["counters"]["expired"], found["conversion"]) == (1, 0.0)


def test_refusals_are_counted_by_what_refused(rooms: Rooms, api: Api, operator: OperatorApi) -> None:
    operator.post("/admin/otp/blacklist", {"type": "phone", "value": OTHER_PHONE})
    api.post(REQUEST, {"phone_number": PHONE})
    assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 429
    assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 429
    assert api.post(REQUEST, {"phone_number": OTHER_PHONE}).status_code == 403
    found = look(operator)
    assert (found["counters"]["rate_limited"], found["counters"]["blocked"]) == (2, 1)
    assert found["counters"]["requested"] == 1
    assert sum(point["rate_limited"] for point in found["series"]) == 2


def test_a_test_number_is_in_no_number(rooms: Rooms, api: Api, operator: OperatorApi) -> None:
    api.post(REQUEST, {"phone_number": "+1234567890"})
    assert api.post(VERIFY, {"phone_number": "+1234567890", "otp": "123456"}).status_code == 200
    found = look(operator)
    assert set(found["counters"].values()) == {0}
    assert found["conversion"] is None


def test_countries_stand_for_themselves(rooms: Rooms, api: Api, operator: OperatorApi) -> None:
    log_in(api, rooms, PHONE)
    log_in(api, rooms, OTHER_PHONE)
    rooms.gateway.script.append(InvalidRecipient("landline"))
    assert api.post(REQUEST, {"phone_number": EGYPTIAN}).status_code == 422
    rows = {one["country"]: one for one in look(operator)["countries"]}
    assert list(rows) == ["SA", "EG"]
    assert (rows["SA"]["sent"], rows["SA"]["verified"], rows["SA"]["conversion"]) == (2, 2, 1.0)
    assert (rows["EG"]["requested"], rows["EG"]["failed"], rows["EG"]["conversion"]) == (1, 1, 0.0)


def test_the_series_adds_up_to_the_counters(rooms: Rooms, api: Api, operator: OperatorApi) -> None:
    log_in(api, rooms, PHONE)
    rooms.clock.advance(seconds=700)
    api.post(REQUEST, {"phone_number": OTHER_PHONE})
    for window in ("1h", "6h", "24h", "7d"):
        found = look(operator, window)
        for name, count in found["counters"].items():
            assert sum(point[name] for point in found["series"]) == count, (window, name)
    minutes = [point["minute"] for point in look(operator)["series"]]
    assert minutes == sorted(set(minutes))


def test_what_was_before_the_window_is_not_in_it(rooms: Rooms, api: Api, operator: OperatorApi) -> None:
    log_in(api, rooms, PHONE)
    rooms.clock.advance(seconds=1000)
    assert look(operator, "15m")["counters"]["sent"] == 0
    assert look(operator, "1h")["counters"]["sent"] == 1


def test_an_operators_choice_stands_on_the_line_of_events(build_rooms: BuildRooms, operator: OperatorApi) -> None:
    rooms = build_rooms(OTP_FALLBACK_PROVIDERS="authentica", AUTHENTICA_API_KEY="k", gateways=two_gateways())
    assert {one["name"]: one["weight"] for one in look(operator)["providers"]} == {"twilio": 1.0, "authentica": 1.0}
    rooms.services.gateway_choices.set("authentica", note="twilio is late", by="sam")
    found = look(operator)
    assert found["events"][0]["event"] == "gateway.chosen"
    assert (found["events"][0]["by"], found["events"][0]["note"]) == ("sam", "twilio is late")


def test_a_wide_window_says_the_same_from_sums_as_from_rows(rooms: Rooms, api: Api, operator: OperatorApi) -> None:
    rooms.begin_a_stretch(3600)  # both looks see the same slots
    log_in(api, rooms, PHONE)
    api.post(REQUEST, {"phone_number": EGYPTIAN})
    rooms.clock.advance(seconds=3 * 3600)
    log_in(api, rooms, OTHER_PHONE)
    before = look(operator, "24h")
    assert slots.sum_up(now=statements.now() + rooms.clock.offset) > 0
    assert look(operator, "24h") == before


def test_sums_outlive_the_rows(rooms: Rooms, api: Api, operator: OperatorApi) -> None:
    log_in(api, rooms, PHONE)
    rooms.clock.advance(seconds=3 * 3600)
    slots.sum_up(now=statements.now() + rooms.clock.offset)
    Message.objects.all().delete()
    found = look(operator, "24h")
    assert (found["counters"]["sent"], found["counters"]["verified"]) == (1, 1)
    assert found["conversion"] == 1.0


def test_a_receipt_that_comes_hours_late_is_in_the_sums_a_day_later(
    rooms: Rooms, api: Api, operator: OperatorApi
) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    start = statements.now()
    rooms.clock.advance(seconds=3 * 3600)
    slots.sum_up(now=start + timedelta(hours=3))
    Message.objects.update(state="delivered", receipt_at=start)
    assert look(operator, "24h")["counters"]["delivered"] == 0
    rooms.clock.advance(seconds=27 * 3600)
    slots.sum_up(now=start + timedelta(hours=30))
    assert look(operator, "7d")["counters"]["delivered"] == 1


def test_summing_twice_changes_nothing(rooms: Rooms, api: Api, operator: OperatorApi) -> None:
    log_in(api, rooms, PHONE)
    rooms.clock.advance(seconds=30 * 3600)
    now = statements.now() + rooms.clock.offset
    slots.sum_up(now=now)
    before = look(operator, "7d")
    assert slots.sum_up(now=now) == 0
    assert look(operator, "7d")["counters"] == before["counters"]
