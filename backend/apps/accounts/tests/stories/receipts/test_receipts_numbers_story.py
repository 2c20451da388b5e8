"""A receipt that speaks about the number, or of fraud: what is told, and what still works."""

import pytest
from django_tasks_db.models import DBTaskResult

from apps.accounts.models import Code, Message
from apps.accounts.providers.base import DeliveryEvent, DeliveryStatus, FailureKind, FraudSuspected
from apps.accounts.tests.hearing import Vendors, all_orders
from apps.accounts.tests.stories.failing import REQUEST, RESEND, VERIFY, ask, challenge_of, fail, first_message
from apps.accounts.tests.working import work
from conftest import PHONE, Api, Rooms

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("code", [21610, 21614, 30004, 30005, 30006])
def test_a_bad_number_makes_the_challenge_undeliverable_and_sends_nothing(
    rooms: Rooms, api: Api, vendors: Vendors, code: int
) -> None:
    challenge = ask(api)
    fail(vendors, first_message(), code)
    work()
    shown = challenge_of(api, challenge)
    assert (shown["status"], shown["delivery"]) == ("undeliverable", "failed")
    assert len(all_orders(rooms)) == 1
    assert Code.objects.get().state == "open"


def test_a_code_that_arrives_all_the_same_still_works(rooms: Rooms, api: Api, vendors: Vendors) -> None:
    challenge = ask(api)
    fail(vendors, first_message(), 30005)
    done = api.post(VERIFY, {"challenge_id": challenge, "otp": rooms.gateway.last_code})
    assert done.status_code == 200, done.content
    assert challenge_of(api, challenge)["status"] == "verified"


def test_a_code_that_arrives_all_the_same_works_by_phone_and_by_device(
    rooms: Rooms, api: Api, vendors: Vendors
) -> None:
    ask(api, device_id="dev-1")
    fail(vendors, first_message(), 30005)
    body = {"phone_number": PHONE, "otp": rooms.gateway.last_code, "device_id": "dev-1"}
    assert api.post(VERIFY, body).status_code == 200


def test_an_undeliverable_challenge_locks_after_its_tries_like_any_other(
    rooms: Rooms, api: Api, vendors: Vendors
) -> None:
    challenge = ask(api)
    fail(vendors, first_message(), 30005)
    wrong = f"{(int(rooms.gateway.last_code) + 1) % 1_000_000:06d}"
    for _ in range(5):
        assert api.post(VERIFY, {"challenge_id": challenge, "otp": wrong}).status_code == 400
    locked = api.post(VERIFY, {"challenge_id": challenge, "otp": rooms.gateway.last_code})
    assert (locked.status_code, challenge_of(api, challenge)["status"]) == (429, "locked")
    assert Code.objects.get().state == "dead"


def test_a_resend_by_an_undeliverable_challenge_tries_the_number_once_more(
    rooms: Rooms, api: Api, vendors: Vendors
) -> None:
    challenge = ask(api)
    code = rooms.gateway.last_code
    fail(vendors, first_message(), 30005)
    rooms.clock.advance(seconds=61)
    again = api.post(RESEND, {"challenge_id": challenge})
    assert again.status_code == 200, again.content
    assert again.json()["challenge_id"] == challenge
    assert challenge_of(api, challenge)["status"] == "pending"
    assert {order[2] for order in all_orders(rooms)} == {code}


def test_canceling_another_challenge_leaves_an_undeliverable_ones_code_alive(
    rooms: Rooms, api: Api, vendors: Vendors
) -> None:
    first = ask(api)
    code = rooms.gateway.last_code
    fail(vendors, first_message(), 30005)
    rooms.clock.advance(seconds=61)
    other = ask(api)
    assert other != first
    api.delete(f"/api/auth/phone/challenge/{other}/")
    assert api.post(VERIFY, {"challenge_id": first, "otp": code}).status_code == 200


@pytest.mark.parametrize("code", [30450, 30453, 60410])
def test_fraud_sends_nothing_more(rooms: Rooms, api: Api, vendors: Vendors, code: int) -> None:
    challenge = ask(api)
    fail(vendors, first_message(), code)
    work()
    assert len(all_orders(rooms)) == 1
    shown = challenge_of(api, challenge)
    assert (shown["status"], shown["delivery"]) == ("pending", "failed")
    assert DBTaskResult.objects.count() == 0


def test_after_fraud_a_later_failure_of_another_message_sends_nothing_either(
    rooms: Rooms, api: Api, vendors: Vendors
) -> None:
    challenge = ask(api)
    rooms.clock.advance(seconds=61)
    assert api.post(RESEND, {"challenge_id": challenge}).status_code == 200
    fail(vendors, first_message(), 30450)
    later = Message.objects.filter(state="accepted").get()
    event = DeliveryEvent(vendor_id=later.vendor_id, status=DeliveryStatus.FAILED, failure=FailureKind.GATEWAY)
    before = len(all_orders(rooms))
    rooms.services.receipts.apply(later.provider, [event])
    work()
    assert len(all_orders(rooms)) == before


@pytest.mark.parametrize("how", ["resend", "request", "anew", "late", "another asker"])
def test_after_fraud_nobody_has_the_open_code_sent_again(rooms: Rooms, api: Api, vendors: Vendors, how: str) -> None:
    challenge = ask(api, device_id="device-1")
    fail(vendors, first_message(), 30450)
    rooms.clock.advance(seconds=500 if how == "late" else 61)
    path, body = {
        "resend": (RESEND, {"challenge_id": challenge}),
        "late": (RESEND, {"challenge_id": challenge}),
        "anew": (RESEND, {"phone_number": PHONE}),
        "request": (REQUEST, {"phone_number": PHONE, "device_id": "device-1"}),
        "another asker": (REQUEST, {"phone_number": PHONE, "device_id": "device-2"}),
    }[how]
    for _ in range(4):  # what is refused takes nothing from the window
        refused = api.post(path, body)
        assert (refused.status_code, refused.json()["code"]) == (403, "blocked")
    assert len(all_orders(rooms)) == 1
    assert challenge_of(api, challenge)["sends_left"] == 2
    code = rooms.gateway.last_code
    assert api.post(VERIFY, {"challenge_id": challenge, "otp": code}).status_code == 200


def test_fraud_is_over_with_its_code(rooms: Rooms, api: Api, vendors: Vendors) -> None:
    ask(api)
    fail(vendors, first_message(), 30450)
    rooms.clock.advance(seconds=601)
    ask(api)
    assert len(all_orders(rooms)) == 2


def test_fraud_that_a_gateway_saw_at_once_ends_resends_too(rooms: Rooms, api: Api) -> None:
    rooms.gateways["authentica"].script = [FraudSuspected("60410")]
    challenge = ask(api)
    for _ in range(3):
        rooms.clock.advance(seconds=61)
        refused = api.post(RESEND, {"challenge_id": challenge})
        assert (refused.status_code, refused.json()["code"]) == (403, "blocked")
    assert [order[0] for order in all_orders(rooms)] == ["twilio", "authentica"]
