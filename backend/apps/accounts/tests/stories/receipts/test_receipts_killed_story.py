"""Processes that are killed between a receipt and what it promised, and receipts before our own answer."""

import pytest
from django_tasks_db.models import DBTaskResult

from apps.accounts.models import Message, PhoneLine
from apps.accounts.providers.base import Order, OutcomeUnknown, Receipt
from apps.accounts.services import wiring
from apps.accounts.tests.hearing import HearingTwilio, Vendors, all_orders
from apps.accounts.tests.stories.failing import REQUEST, SETTINGS, ask, challenge_of, fail, first_message
from apps.accounts.tests.working import work
from conftest import PHONE, Api, BuildRooms, RecordingGateway, Rooms

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_promise_is_written_with_the_receipt(rooms: Rooms, api: Api, vendors: Vendors) -> None:
    ask(api)
    fail(vendors, first_message())
    assert first_message().sent_on == "due"
    assert DBTaskResult.objects.get().status == "READY"
    wiring.use(None)  # the process that heard the receipt is gone


def test_a_task_that_died_with_its_worker_is_taken_up(rooms: Rooms, api: Api, vendors: Vendors) -> None:
    ask(api)
    fail(vendors, first_message())
    DBTaskResult.objects.update(status="RUNNING")  # claimed, and then the worker was killed
    work()
    rooms.services.sweeper.take_up()
    assert len(all_orders(rooms)) == 1  # it may be at it still
    rooms.clock.advance(seconds=6)
    rooms.services.sweeper.take_up()
    assert [order[0] for order in all_orders(rooms)] == ["twilio", "authentica"]


def test_a_worker_killed_in_the_call_is_followed_by_another_gateway_and_never_by_the_same(
    rooms: Rooms, api: Api, vendors: Vendors
) -> None:
    class Killed(BaseException):
        pass

    def die(order: Order) -> Receipt:
        raise Killed

    ask(api)
    failed = first_message()
    fail(vendors, failed)
    authentica = rooms.gateways["authentica"]
    authentica.send = die  # type: ignore[method-assign]
    with pytest.raises(Killed):
        rooms.services.sending_on.run(failed.id)
    assert Message.objects.get(provider="authentica").state == "sending"
    del authentica.send
    rooms.clock.advance(seconds=6)
    rooms.services.sweeper.take_up()
    assert len(all_orders(rooms)) == 1  # the killed call may still be on its way
    rooms.clock.advance(seconds=10)
    rooms.services.sweeper.settle()
    rooms.services.sweeper.take_up()
    assert [order[0] for order in all_orders(rooms)] == ["twilio", "console"]
    assert authentica.orders == []
    assert PhoneLine.objects.get().sends.count("-") == 1


def test_a_failure_before_our_send_returned_is_shown_and_sent_on_after_it(build_rooms: BuildRooms, api: Api) -> None:
    class FailsAtOnce(HearingTwilio):
        def send(self, order: Order) -> Receipt:
            self.orders.append(order)
            Vendors().twilio("SM-early", "failed", reference=order.reference, error_code=30008)
            return Receipt(vendor_id="SM-early")

    rooms = build_rooms(gateways=[FailsAtOnce(), RecordingGateway(name="authentica")], **SETTINGS)
    body = api.post(REQUEST, {"phone_number": PHONE}).json()
    assert body["challenge"]["delivery"] == "failed"
    work()
    assert [order[0] for order in all_orders(rooms)] == ["twilio", "authentica"]
    assert challenge_of(api, body["challenge_id"])["delivery"] == "accepted"


def test_a_bad_number_before_our_send_returned_is_said_in_the_answer(build_rooms: BuildRooms, api: Api) -> None:
    class KnowsAtOnce(HearingTwilio):
        def send(self, order: Order) -> Receipt:
            self.orders.append(order)
            Vendors().twilio("SM-early", "failed", reference=order.reference, error_code=30005)
            return Receipt(vendor_id="SM-early")

    build_rooms(gateways=[KnowsAtOnce(), RecordingGateway(name="authentica")], **SETTINGS)
    body = api.post(REQUEST, {"phone_number": PHONE}).json()
    assert (body["challenge"]["status"], body["challenge"]["delivery"]) == ("undeliverable", "failed")


def test_a_send_that_timed_out_after_its_receipt_said_failed_goes_on_by_one_hand_only(
    build_rooms: BuildRooms, api: Api
) -> None:
    class FailsAndHangs(HearingTwilio):
        def send(self, order: Order) -> Receipt:
            self.orders.append(order)
            Vendors().twilio("SM-early", "failed", reference=order.reference, error_code=30008)
            raise OutcomeUnknown("timeout")

    rooms = build_rooms(gateways=[FailsAndHangs(), RecordingGateway(name="authentica")], **SETTINGS)
    body = api.post(REQUEST, {"phone_number": PHONE}).json()
    assert body["challenge"]["delivery"] == "failed"
    work()
    rooms.clock.advance(seconds=6)
    rooms.services.sweeper.take_up()
    assert [order[0] for order in all_orders(rooms)] == ["twilio", "authentica"]
