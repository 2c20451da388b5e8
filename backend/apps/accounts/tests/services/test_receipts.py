"""Receipts against messages: any order, any number of times, before and after, and what they may never do."""

import itertools
import random
import threading
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Challenge, Code, Message, ReceiptInbox
from apps.accounts.providers.base import DeliveryEvent, DeliveryStatus, FailureKind, Order, OutcomeUnknown, Receipt
from apps.accounts.tests.hearing import PUBLIC, HearingTwilio, HearingWhatsApp, Vendors
from conftest import OTHER_PHONE, PHONE, Api, BuildRooms, Rooms, needs_postgres

pytestmark = pytest.mark.django_db(transaction=True)
REQUEST, VERIFY = "/api/auth/phone/request/", "/api/auth/phone/verify/"
SENT, DELIVERED, FAILED = DeliveryStatus.SENT, DeliveryStatus.DELIVERED, DeliveryStatus.FAILED


@pytest.fixture
def rooms(build_rooms: BuildRooms) -> Rooms:
    return build_rooms(gateways=[HearingTwilio(), HearingWhatsApp()], PUBLIC_BASE_URL=PUBLIC)


@pytest.fixture
def message(rooms: Rooms, api: Api) -> Message:
    api.post(REQUEST, {"phone_number": PHONE})
    return Message.objects.get()


def says(vendor_id: str, status: DeliveryStatus, *, reference: str = "", code: str = "") -> DeliveryEvent:
    failure = FailureKind.GATEWAY if status is FAILED else FailureKind.NONE
    return DeliveryEvent(vendor_id=vendor_id, status=status, failure=failure, reference=reference, error_code=code)


def state_of(message: Message) -> str:
    message.refresh_from_db()
    return message.state


ORDERS = list(itertools.permutations([SENT, FAILED, DELIVERED]))


@pytest.mark.parametrize("order", ORDERS)
def test_any_order_of_the_same_receipts_ends_in_the_same_state(
    rooms: Rooms, message: Message, order: tuple[DeliveryStatus, ...]
) -> None:
    for status in order:
        rooms.services.receipts.apply("twilio", [says(message.vendor_id, status)])
    assert state_of(message) == "delivered"


def test_a_status_never_moves_backwards(rooms: Rooms, message: Message) -> None:
    apply = rooms.services.receipts.apply
    assert apply("twilio", [says(message.vendor_id, DELIVERED)]) == 1
    first = Message.objects.get().receipt_at
    for status in (SENT, FAILED, DeliveryStatus.UNKNOWN, DELIVERED):
        assert apply("twilio", [says(message.vendor_id, status)]) == 0
    assert (state_of(message), message.receipt_at) == ("delivered", first)


def test_a_hundred_shuffled_copies_change_the_state_once_each(rooms: Rooms, message: Message) -> None:
    copies = [says(message.vendor_id, status) for status in (SENT, DELIVERED) for _ in range(100)]
    random.Random(7).shuffle(copies)
    moved = sum(rooms.services.receipts.apply("twilio", [one]) for one in copies)
    assert moved == 1  # the message was accepted before, so `sent` says nothing new
    assert state_of(message) == "delivered"
    assert ReceiptInbox.objects.count() == 0


def test_a_receipt_that_is_a_day_late_still_tells_the_truth(rooms: Rooms, message: Message) -> None:
    rooms.clock.advance(seconds=86_400)
    rooms.services.receipts.apply("twilio", [says(message.vendor_id, FAILED)])
    assert (state_of(message), message.sent_on) == ("failed", "")
    rooms.services.receipts.apply("twilio", [says(message.vendor_id, DELIVERED)])
    assert state_of(message) == "delivered"


def test_another_gateways_receipt_with_the_same_id_moves_nothing(rooms: Rooms, message: Message) -> None:
    rooms.services.receipts.apply("whatsapp", [says(message.vendor_id, DELIVERED, reference=message.id)])
    assert state_of(message) == "accepted"


def test_a_reference_that_belongs_to_another_vendor_id_moves_nothing(rooms: Rooms, message: Message) -> None:
    rooms.services.receipts.apply("twilio", [says("SM-another", DELIVERED, reference=message.id)])
    assert state_of(message) == "accepted"


class Early(HearingTwilio):
    """Reports while its own send has not returned."""

    def __init__(self, reports: list[tuple[str, bool]], outcome: Receipt | OutcomeUnknown) -> None:
        super().__init__()
        self.reports, self.outcome = reports, outcome
        self.seen: list[str] = []

    def send(self, order: Order) -> Receipt:
        self.orders.append(order)
        for status, by_reference in self.reports:
            answer = Vendors().twilio("SM-early", status, reference=order.reference if by_reference else "")
            assert answer.status_code == 204
            self.seen.append(Message.objects.get(id=order.reference).state)
        if isinstance(self.outcome, OutcomeUnknown):
            raise self.outcome
        return self.outcome


def test_a_receipt_before_our_send_returned_finds_its_message_by_our_reference(
    build_rooms: BuildRooms, api: Api
) -> None:
    early = Early([("sent", True), ("delivered", True)], Receipt(vendor_id="SM-early"))
    build_rooms(gateways=[early], PUBLIC_BASE_URL=PUBLIC)
    body = api.post(REQUEST, {"phone_number": PHONE}).json()
    assert early.seen == ["accepted", "delivered"]
    assert Message.objects.get().state == "delivered"
    assert body["challenge"]["delivery"] == "delivered"


def test_a_receipt_without_a_reference_waits_until_our_send_has_returned(build_rooms: BuildRooms, api: Api) -> None:
    early = Early([("sent", False), ("delivered", False)], Receipt(vendor_id="SM-early"))
    build_rooms(gateways=[early], PUBLIC_BASE_URL=PUBLIC)
    body = api.post(REQUEST, {"phone_number": PHONE}).json()
    assert early.seen == ["sending", "sending"]
    assert Message.objects.get().state == "delivered"
    assert body["challenge"]["delivery"] == "delivered"
    assert ReceiptInbox.objects.count() == 0


def test_a_receipt_of_a_send_that_timed_out_proves_that_it_went_out(build_rooms: BuildRooms, api: Api) -> None:
    early, spare = Early([("sent", True)], OutcomeUnknown("timeout")), HearingTwilio(name="authentica")
    build_rooms(gateways=[early, spare], PUBLIC_BASE_URL=PUBLIC, OTP_FALLBACK_PROVIDERS="authentica",
                AUTHENTICA_API_KEY="key")  # fmt: skip
    body = api.post(REQUEST, {"phone_number": PHONE}).json()
    assert body["challenge"]["delivery"] == "accepted"
    assert spare.orders == []
    assert Message.objects.get().vendor_id == "SM-early"


def test_a_receipt_for_a_message_whose_sender_was_killed_is_applied_by_our_reference(
    rooms: Rooms, message: Message
) -> None:
    Message.objects.update(state="sending", vendor_id="", finished_at=None)
    Vendors().twilio("SM-of-the-dead", "delivered", reference=message.id)
    assert (state_of(message), message.vendor_id) == ("delivered", "SM-of-the-dead")


def test_a_receipt_that_raced_past_our_outcome_is_found_on_the_next_round(rooms: Rooms, message: Message) -> None:
    ReceiptInbox.objects.create(
        provider="twilio", vendor_id=message.vendor_id, status="delivered", received_at=message.created_at
    )
    rooms.services.sweeper.settle()
    assert state_of(message) == "delivered"
    assert ReceiptInbox.objects.count() == 0


def test_a_receipt_between_whose_two_looks_our_send_returned_is_found_on_the_next_round(
    rooms: Rooms, message: Message
) -> None:
    Message.objects.update(state="sending", vendor_id="")

    def return_first(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith("INSERT INTO accounts_receiptinbox"):
            Message.objects.update(state="accepted", vendor_id="SM-late")
        return execute(sql, *rest)

    with connection.execute_wrapper(return_first):
        rooms.services.receipts.apply("twilio", [says("SM-late", DELIVERED)])
    rooms.services.sweeper.settle()
    assert state_of(message) == "delivered"
    assert ReceiptInbox.objects.count() == 0


def test_receipts_of_strangers_are_kept_once_and_forgotten(rooms: Rooms) -> None:
    for _ in range(5):
        rooms.services.receipts.apply("twilio", [says("SM-stranger", DELIVERED)])
    assert ReceiptInbox.objects.count() == 1
    rooms.services.sweeper.settle()
    assert ReceiptInbox.objects.count() == 1
    rooms.clock.advance(seconds=901)
    rooms.services.sweeper.settle()
    assert ReceiptInbox.objects.count() == 0


def test_an_attempt_whose_process_died_is_unknown_and_its_late_outcome_still_counts(
    rooms: Rooms, message: Message, api: Api
) -> None:
    Message.objects.update(state="sending", finished_at=None)
    rooms.services.sweeper.settle()
    assert state_of(message) == "sending"
    rooms.clock.advance(seconds=13)
    challenge = Challenge.objects.get().id
    assert api.get(f"/api/auth/phone/challenge/{challenge}/").json()["delivery"] == "unknown"
    rooms.services.sweeper.settle()
    assert (state_of(message), message.error_code) == ("unknown", "lost")
    rooms.services.receipts.apply("twilio", [says(message.vendor_id, DELIVERED)])
    assert state_of(message) == "delivered"


def test_a_receipt_opens_consumes_and_revives_nothing(rooms: Rooms, message: Message, api: Api) -> None:
    code = rooms.gateway.last_code
    challenge = Challenge.objects.get().id
    api.delete(f"/api/auth/phone/challenge/{challenge}/")
    for status in (SENT, FAILED, DELIVERED):
        rooms.services.receipts.apply("twilio", [says(message.vendor_id, status)])
    assert (Challenge.objects.get().status, Code.objects.get().state) == ("canceled", "dead")
    assert api.post(VERIFY, {"challenge_id": challenge, "otp": code}).status_code == 400


def test_a_thousand_receipts_in_one_call_take_few_statements(rooms: Rooms, message: Message) -> None:
    template = Message.objects.values().get()
    many = [Message(**{**template, "id": f"{n:032x}", "vendor_id": f"wamid.{n}"}) for n in range(1000)]
    Message.objects.bulk_create(many)
    statuses = [{"id": f"wamid.{n}", "status": "delivered"} for n in range(1000)]
    Message.objects.update(provider="whatsapp")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert Vendors().meta(statuses).status_code == 200
    assert Message.objects.filter(state="delivered").count() == 1000
    assert len(queries) <= 6, [query["sql"][:80] for query in queries]


def test_one_receipt_takes_one_statement_and_a_repeat_takes_two(rooms: Rooms, message: Message) -> None:
    for expected in (1, 2):
        with CaptureQueriesContext(connection) as queries:
            rooms.services.receipts.apply("twilio", [says(message.vendor_id, DELIVERED)])
        assert len(queries) == expected, [query["sql"] for query in queries]


def test_a_batch_of_many_numbers_moves_each_by_its_own_status(rooms: Rooms, api: Api) -> None:
    for number in (PHONE, OTHER_PHONE):
        api.post(REQUEST, {"phone_number": number, "channel": "whatsapp"})
    first, second = Message.objects.order_by("created_at")
    second_id = "wamid.second"
    Message.objects.filter(id=second.id).update(vendor_id=second_id)
    Vendors().meta(
        [
            {"id": first.vendor_id, "status": "sent"},
            {"id": second_id, "status": "delivered"},
            {"id": first.vendor_id, "status": "read"},
            {"id": second_id, "status": "sent"},
            {"id": "wamid.stranger", "status": "delivered"},
        ]
    )
    assert {state_of(first), state_of(second)} == {"delivered"}
    assert ReceiptInbox.objects.get().vendor_id == "wamid.stranger"


@needs_postgres()
def test_overlapping_batches_at_the_same_moment_end_well(rooms: Rooms, message: Message) -> None:
    template = Message.objects.values().get()
    Message.objects.bulk_create(
        Message(**{**template, "id": f"{n:032x}", "vendor_id": f"wamid.{n}", "provider": "whatsapp"})
        for n in range(200)
    )
    moved: list[int] = []
    faults: list[BaseException] = []

    def post(seed: int) -> None:
        events = [says(f"wamid.{n}", FAILED, code="131000") for n in range(200)]
        random.Random(seed).shuffle(events)
        try:
            moved.append(rooms.services.receipts.apply("whatsapp", events))
        except BaseException as error:
            faults.append(error)
        finally:
            connection.close()

    threads: list[Any] = [threading.Thread(target=post, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert faults == []
    assert sum(moved) == 200
    assert Message.objects.filter(state="failed", sent_on="due").count() == 200
