"""A message failed after it was accepted: the same code goes out by another gateway."""

import pytest
from django_tasks_db.models import DBTaskResult

from apps.accounts.models import Message, PhoneLine
from apps.accounts.providers.base import (
    DeliveryEvent,
    DeliveryStatus,
    FailureKind,
    FraudSuspected,
    InvalidRecipient,
    OutcomeUnknown,
    Rejected,
)
from apps.accounts.tests.hearing import HearingTwilio, Vendors, all_orders
from apps.accounts.tests.stories.failing import (
    REQUEST,
    RESEND,
    SETTINGS,
    VERIFY,
    ask,
    challenge_of,
    fail,
    first_message,
)
from apps.accounts.tests.working import work
from conftest import PHONE, Api, BuildRooms, RecordingGateway, Rooms

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("code", [30003, 30008, 30007, 30002, 30036])
def test_a_failure_of_the_gateway_sends_the_same_code_by_the_next_one(
    rooms: Rooms, api: Api, vendors: Vendors, code: int
) -> None:
    challenge = ask(api)
    fail(vendors, first_message(), code)
    assert challenge_of(api, challenge)["delivery"] == "failed"
    work()
    (first, second) = all_orders(rooms)
    assert (first[0], second[0]) == ("twilio", "authentica")
    assert first[2] == second[2]
    shown = challenge_of(api, challenge)
    assert (shown["status"], shown["delivery"], shown["channel"]) == ("pending", "accepted", "sms")
    assert api.post(VERIFY, {"challenge_id": challenge, "otp": second[2]}).status_code == 200


def test_the_message_that_was_sent_on_says_why_and_in_whose_stead(rooms: Rooms, api: Api, vendors: Vendors) -> None:
    ask(api)
    failed = first_message()
    fail(vendors, failed)
    work()
    failed.refresh_from_db()
    second = Message.objects.exclude(id=failed.id).get()
    assert (second.cause, second.follows, second.send_id) == ("receipt", failed.id, failed.send_id)
    assert (failed.state, failed.error_kind, failed.error_code, failed.sent_on) == (
        "failed",
        "gateway",
        "30008",
        "sent",
    )
    assert failed.sent_on_at is not None


def test_a_repeated_failure_sends_on_once(rooms: Rooms, api: Api, vendors: Vendors) -> None:
    ask(api)
    for _ in range(100):
        fail(vendors, first_message())
    assert DBTaskResult.objects.count() == 1
    work()
    for _ in range(10):
        fail(vendors, first_message())
    work()
    assert [order[0] for order in all_orders(rooms)] == ["twilio", "authentica"]


def test_work_that_is_done_twice_sends_once(rooms: Rooms, api: Api, vendors: Vendors) -> None:
    ask(api)
    fail(vendors, first_message())
    for _ in range(3):
        rooms.services.sending_on.run(first_message().id)
    work()
    assert [order[0] for order in all_orders(rooms)] == ["twilio", "authentica"]


def test_when_the_second_gateway_fails_too_the_third_one_sends(rooms: Rooms, api: Api, vendors: Vendors) -> None:
    ask(api)
    fail(vendors, first_message())
    work()
    second = Message.objects.get(provider="authentica")
    event = DeliveryEvent(vendor_id=second.vendor_id, status=DeliveryStatus.FAILED, failure=FailureKind.GATEWAY)
    rooms.services.receipts.apply("authentica", [event])
    work()
    assert [order[0] for order in all_orders(rooms)] == ["twilio", "authentica", "console"]
    third = Message.objects.get(provider="console")
    rooms.services.receipts.apply(
        "console", [DeliveryEvent(vendor_id=third.vendor_id, status=DeliveryStatus.FAILED, failure=FailureKind.GATEWAY)]
    )
    work()
    assert len(all_orders(rooms)) == 3
    third.refresh_from_db()
    assert third.sent_on == "nobody"


def test_an_operators_choice_is_not_in_the_way_of_sending_on(rooms: Rooms, api: Api, vendors: Vendors) -> None:
    rooms.services.gateway_choices.set("twilio", note="authentica is slow", by="sara")
    ask(api)
    fail(vendors, first_message())
    work()
    assert [order[0] for order in all_orders(rooms)] == ["twilio", "authentica"]
    assert first_message().sent_on == "sent"


def test_a_gateway_that_an_operator_chose_is_the_first_to_send_on(rooms: Rooms, api: Api, vendors: Vendors) -> None:
    ask(api)
    rooms.services.gateway_choices.set("console", note="authentica is slow", by="sara")
    fail(vendors, first_message())
    work()
    assert [order[0] for order in all_orders(rooms)] == ["twilio", "console"]


def test_a_gateway_that_refuses_is_passed_over(rooms: Rooms, api: Api, vendors: Vendors) -> None:
    rooms.gateways["authentica"].script = [Rejected("422")]
    ask(api)
    fail(vendors, first_message())
    work()
    assert [order[0] for order in all_orders(rooms)] == ["twilio", "authentica", "console"]
    assert Message.objects.get(provider="console").state == "accepted"


def test_a_gateway_that_does_not_answer_in_time_is_followed_by_the_next(
    rooms: Rooms, api: Api, vendors: Vendors
) -> None:
    rooms.gateways["authentica"].script = [OutcomeUnknown("timeout")]
    ask(api)
    fail(vendors, first_message())
    work()
    assert [order[0] for order in all_orders(rooms)] == ["twilio", "authentica", "console"]


def test_once_the_code_is_used_or_over_nothing_is_sent_on(rooms: Rooms, api: Api, vendors: Vendors) -> None:
    challenge = ask(api)
    assert api.post(VERIFY, {"challenge_id": challenge, "otp": rooms.gateway.last_code}).status_code == 200
    fail(vendors, first_message())
    work()
    rooms.clock.advance(seconds=61)
    ask(api)
    rooms.clock.advance(seconds=601)
    fail(vendors, Message.objects.order_by("-created_at")[0])
    work()
    assert [order[0] for order in all_orders(rooms)] == ["twilio", "twilio"]


def test_a_code_that_is_used_between_receipt_and_work_is_not_sent_on(rooms: Rooms, api: Api, vendors: Vendors) -> None:
    challenge = ask(api)
    fail(vendors, first_message())
    assert api.post(VERIFY, {"challenge_id": challenge, "otp": rooms.gateway.last_code}).status_code == 200
    work()
    assert len(all_orders(rooms)) == 1
    assert first_message().sent_on == "moot"


def test_what_a_receipt_sends_counts_in_the_window_and_starts_no_cooldown(
    rooms: Rooms, api: Api, vendors: Vendors
) -> None:
    challenge = ask(api)
    rooms.clock.advance(seconds=50)
    fail(vendors, first_message())
    work()
    shown = challenge_of(api, challenge)
    assert shown["sends_left"] == 1
    assert 9 <= int(str(shown["resend_in"])) <= 10  # what the first send started, and no more
    rooms.clock.advance(seconds=11)
    assert api.post(RESEND, {"challenge_id": challenge}).status_code == 200
    rooms.clock.advance(seconds=61)
    full = api.post(RESEND, {"challenge_id": challenge})
    assert (full.status_code, full.json()["code"], full.json()["scope"]) == (429, "rate_limited", "phone")
    rooms.clock.advance(seconds=int(full["Retry-After"]))
    assert ask(api)


def test_it_waits_for_no_cooldown(rooms: Rooms, api: Api, vendors: Vendors) -> None:
    ask(api)
    fail(vendors, first_message())
    work()
    assert len(all_orders(rooms)) == 2


def test_with_the_window_full_nothing_is_sent_on(build_rooms: BuildRooms, api: Api, vendors: Vendors) -> None:
    rooms = build_rooms(
        gateways=[HearingTwilio(), RecordingGateway(name="authentica")], **SETTINGS, OTP_MAX_PER_WINDOW="1"
    )
    ask(api)
    fail(vendors, first_message())
    work()
    assert len(all_orders(rooms)) == 1
    assert first_message().sent_on == "full"
    rooms.clock.advance(seconds=500)
    rooms.services.sweeper.take_up()
    assert len(all_orders(rooms)) == 1


def test_when_every_gateway_refuses_the_window_gets_its_place_back(rooms: Rooms, api: Api, vendors: Vendors) -> None:
    for name in ("authentica", "console"):
        rooms.gateways[name].always = Rejected("422")
    challenge = ask(api)
    fail(vendors, first_message())
    work()
    assert challenge_of(api, challenge)["sends_left"] == 2
    assert first_message().sent_on == "nobody"
    assert PhoneLine.objects.get().sends.count("-") == 0


def test_the_window_of_a_known_device_is_its_own(rooms: Rooms, api: Api, vendors: Vendors) -> None:
    ask(api)
    login = api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code}).json()
    rooms.clock.advance(seconds=61)
    sent = api.post(REQUEST, {"phone_number": PHONE}, x_device_token=login["device_token"])
    assert sent.status_code == 200, sent.content
    fail(vendors, Message.objects.order_by("-created_at")[0])
    work()
    assert len(all_orders(rooms)) == 3
    lanes = {line.lane.partition(":")[0]: line.sends.count("-") for line in PhoneLine.objects.all()}
    assert lanes == {"": 0, "device": 1}


def test_a_blocked_number_gets_nothing_more(rooms: Rooms, api: Api, vendors: Vendors) -> None:
    ask(api)
    fail(vendors, first_message())
    token = rooms.services.config["ADMIN_TOKEN"]
    assert api.post("/admin/otp/blacklist", {"type": "phone", "value": PHONE}, x_admin_token=token).status_code == 201
    work()
    assert len(all_orders(rooms)) == 1


def test_a_sync_refusal_of_the_number_while_sending_on_closes_the_challenge(
    rooms: Rooms, api: Api, vendors: Vendors
) -> None:
    rooms.gateways["authentica"].script = [InvalidRecipient("422")]
    challenge = ask(api)
    fail(vendors, first_message())
    work()
    assert challenge_of(api, challenge)["status"] == "undeliverable"
    assert [order[0] for order in all_orders(rooms)] == ["twilio", "authentica"]


def test_fraud_while_sending_on_ends_it(rooms: Rooms, api: Api, vendors: Vendors) -> None:
    rooms.gateways["authentica"].script = [FraudSuspected("60410")]
    ask(api)
    fail(vendors, first_message())
    work()
    assert [order[0] for order in all_orders(rooms)] == ["twilio", "authentica"]


def test_a_send_that_went_on_by_itself_is_not_sent_on_again(rooms: Rooms, api: Api, vendors: Vendors) -> None:
    rooms.gateway.script = [OutcomeUnknown("timeout")]
    ask(api)
    slow = Message.objects.get(provider="twilio")
    vendors.twilio("SM-slow", "undelivered", reference=slow.id, error_code=30008)
    work()
    assert [order[0] for order in all_orders(rooms)] == ["twilio", "authentica"]
    slow.refresh_from_db()
    assert (slow.state, slow.sent_on) == ("failed", "moot")
