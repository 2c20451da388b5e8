"""Notices: promised in the causing transaction, sent by whoever carries text, and never without a trace."""

from typing import Any

import pytest
from django.db import transaction
from django_tasks_db.models import DBTaskResult

from apps.accounts.messages import NoticeKind
from apps.accounts.models import AuditEvent, Message, Notice, User
from apps.accounts.phones import mask
from apps.accounts.providers.base import Carries, Channel, OutcomeUnknown, Rejected
from apps.accounts.services import statements
from apps.accounts.services.session_types import Event
from apps.accounts.tests.hearing import PUBLIC, HearingTwilio, Vendors
from apps.accounts.tests.working import work
from conftest import PHONE, Api, BuildRooms, RecordingGateway, Rooms

pytestmark = pytest.mark.django_db(transaction=True)
KIND = NoticeKind.PHONE_CHANGED


def codes_only(name: str) -> RecordingGateway:
    return RecordingGateway(name=name, carries=frozenset({Carries.CODE}))


@pytest.fixture
def rooms(build_rooms: BuildRooms) -> Rooms:
    return build_rooms(
        gateways=[codes_only("authentica"), HearingTwilio(), RecordingGateway(name="console")],
        OTP_PROVIDER="authentica", AUTHENTICA_API_KEY="key", OTP_FALLBACK_PROVIDERS="twilio,console",
        PUBLIC_BASE_URL=PUBLIC, APP_NAME="Salon",
    )  # fmt: skip


def tell(rooms: Rooms, **more: Any) -> None:
    with statements.durable():
        rooms.services.notices.enqueue(kind=KIND, phone=PHONE, **more)


def test_a_notice_goes_out_by_the_first_gateway_that_carries_text(rooms: Rooms) -> None:
    tell(rooms, language="en")
    assert rooms.gateway.orders == []
    work()
    (order,) = rooms.gateway.orders
    assert (order.to, order.channel, order.code) == (PHONE, Channel.SMS, None)
    assert "phone number of your Salon account was changed" in order.text
    assert rooms.gateways["authentica"].orders == []
    assert Message.objects.get().cause == "notice"


def test_a_notice_of_a_transaction_that_is_rolled_back_is_never_sent(rooms: Rooms) -> None:
    class Undone(Exception):
        pass

    def act() -> None:
        with transaction.atomic(durable=True):
            rooms.services.notices.enqueue(kind=KIND, phone=PHONE)
            raise Undone

    with pytest.raises(Undone):
        act()
    work()
    assert (rooms.gateway.orders, Notice.objects.count(), DBTaskResult.objects.count()) == ([], 0, 0)


def test_without_a_language_it_is_that_of_the_numbers_last_challenge(rooms: Rooms, api: Api) -> None:
    api.post("/api/auth/phone/request/", {"phone_number": PHONE}, accept_language="ar")
    tell(rooms)
    work()
    assert "تم تغيير رقم الجوال" in rooms.gateway.orders[-1].text


def test_the_number_is_forgotten_once_the_notice_is_out(rooms: Rooms) -> None:
    tell(rooms)
    assert PHONE not in str(DBTaskResult.objects.get().args_kwargs)
    work()
    notice = Notice.objects.get()
    assert (notice.state, notice.phone) == ("sent", "")


def test_with_nobody_to_carry_text_it_is_an_audit_event_at_once(build_rooms: BuildRooms) -> None:
    rooms = build_rooms(gateways=[codes_only("twilio")])
    tell(rooms)
    event = AuditEvent.objects.get(event="notice.unsent")
    assert (event.subject, event.note) == (mask(PHONE), "phone_changed")
    assert (Notice.objects.count(), DBTaskResult.objects.count()) == (0, 0)


def test_when_every_gateway_refuses_it_is_an_audit_event(rooms: Rooms) -> None:
    rooms.gateway.script = [Rejected("21610")]
    rooms.gateways["console"].script = [Rejected("outbox")]
    tell(rooms)
    work()
    assert AuditEvent.objects.filter(event="notice.unsent").count() == 1
    assert Notice.objects.get().state == "unsent"


def test_a_gateway_that_refuses_is_followed_by_the_next(rooms: Rooms) -> None:
    rooms.gateway.script = [Rejected("30007")]
    tell(rooms)
    work()
    assert len(rooms.gateways["console"].orders) == 1
    assert Notice.objects.get().state == "sent"


def test_an_operators_choice_gets_no_notice_that_it_cannot_carry_or_has_refused(rooms: Rooms) -> None:
    choices = rooms.services.gateway_choices
    choices.set("authentica", note="codes go by it", by="sara")
    tell(rooms)
    work()
    choices.set("twilio", note="twilio is up again", by="sara")
    rooms.gateway.always = Rejected("21408")
    tell(rooms)
    work()
    assert [len(rooms.gateways[name].orders) for name in ("authentica", "twilio", "console")] == [0, 2, 1]


def test_a_notice_that_may_have_gone_out_is_not_sent_twice(rooms: Rooms) -> None:
    rooms.gateway.script = [OutcomeUnknown("timeout")]
    tell(rooms)
    work()
    rooms.clock.advance(seconds=60)
    rooms.services.sweeper.take_up()
    assert rooms.gateways["console"].orders == []
    assert Notice.objects.get().state == "unknown"


def test_a_notice_whose_worker_was_killed_is_taken_up_once(rooms: Rooms) -> None:
    tell(rooms)
    DBTaskResult.objects.update(status="RUNNING")
    work()
    assert rooms.gateway.orders == []
    rooms.clock.advance(seconds=6)
    rooms.services.sweeper.take_up()
    rooms.services.sweeper.take_up()
    assert len(rooms.gateway.orders) == 1


def test_a_notice_takes_nothing_from_the_persons_window(rooms: Rooms, api: Api) -> None:
    tell(rooms)
    work()
    sent = api.post("/api/auth/phone/request/", {"phone_number": PHONE}).json()
    assert sent["challenge"]["sends_left"] == 2


def test_a_receipt_of_a_notice_moves_its_message_and_sends_no_code(rooms: Rooms) -> None:
    tell(rooms)
    work()
    message = Message.objects.get()
    Vendors().twilio(message.vendor_id, "undelivered", reference=message.id, error_code=30008)
    work()
    message.refresh_from_db()
    assert (message.state, message.sent_on) == ("failed", "")
    assert len(rooms.gateway.orders) == 1


def test_a_test_number_is_told_nothing(build_rooms: BuildRooms) -> None:
    rooms = build_rooms()
    with statements.durable():
        rooms.services.notices.enqueue(kind=KIND, phone="+1234567890")
    work()
    assert rooms.gateway.orders == []


def test_an_event_of_an_account_is_told_at_the_number_it_has_now(rooms: Rooms) -> None:
    from apps.accounts.services.session_events import DatabaseEvents

    user = User.objects.create_user("user_1", phone_number=PHONE)
    gone = User.objects.create_user("user_2")
    events = DatabaseEvents(notices=rooms.services.notices)
    with statements.durable():
        events.notice(Event.REFRESH_REUSED, user_id=user.pk)
        events.notice(Event.REFRESH_REUSED, user_id=gone.pk)
    work()
    (order,) = rooms.gateway.orders
    assert "was used twice" in order.text
