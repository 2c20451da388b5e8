"""WhatsApp fails, and the code comes by SMS."""

import pytest

from apps.accounts.models import Challenge, Message
from apps.accounts.providers.base import InvalidRecipient
from apps.accounts.tests.hearing import PUBLIC, HearingTwilio, HearingWhatsApp, Vendors, all_orders
from apps.accounts.tests.stories.failing import BOTH, REQUEST, RESEND, SETTINGS, ask, challenge_of, fail, first_message
from apps.accounts.tests.working import work
from conftest import PHONE, Api, BuildRooms, RecordingGateway, Rooms

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("code", [131026])
def test_a_number_that_is_not_on_whatsapp_gets_the_sms_route(
    rooms: Rooms, api: Api, vendors: Vendors, code: int
) -> None:
    challenge = ask(api, channel="whatsapp")
    assert challenge_of(api, challenge)["channel"] == "whatsapp"
    message = first_message()
    vendors.meta([{"id": message.vendor_id, "status": "failed", "errors": [{"code": code}]}])
    work()
    assert [(name, channel) for name, channel, _ in all_orders(rooms)] == [("twilio", "sms"), ("whatsapp", "whatsapp")]
    assert len({code for _, _, code in all_orders(rooms)}) == 1
    shown = challenge_of(api, challenge)
    assert (shown["channel"], shown["delivery"], shown["status"]) == ("sms", "accepted", "pending")


def test_twilios_63024_sends_by_sms_even_by_twilio_itself(build_rooms: BuildRooms, api: Api, vendors: Vendors) -> None:
    rooms = build_rooms(gateways=[HearingTwilio(able=BOTH)], PUBLIC_BASE_URL=PUBLIC)
    challenge = ask(api, channel="whatsapp")
    fail(vendors, first_message(), 63024)
    work()
    assert [(name, channel) for name, channel, _ in all_orders(rooms)] == [("twilio", "whatsapp"), ("twilio", "sms")]
    assert challenge_of(api, challenge)["channel"] == "sms"


def test_a_failure_of_whatsapps_gateway_goes_to_the_next_of_its_route_and_then_to_sms(
    build_rooms: BuildRooms, api: Api, vendors: Vendors
) -> None:
    gateways = [HearingTwilio(able=BOTH), HearingWhatsApp(), RecordingGateway(name="authentica")]
    rooms = build_rooms(gateways=gateways, **{**SETTINGS, "OTP_ROUTES": "SA/whatsapp=whatsapp,twilio;SA=authentica"})
    challenge = ask(api, channel="whatsapp")
    meta = first_message()
    vendors.meta([{"id": meta.vendor_id, "status": "failed", "errors": [{"code": 131000}]}])
    work()
    assert challenge_of(api, challenge)["channel"] == "whatsapp"
    fail(vendors, Message.objects.get(provider="twilio"), 63010)
    work()
    made = [(one.provider, one.channel) for one in Message.objects.order_by("created_at")]
    assert made == [("whatsapp", "whatsapp"), ("twilio", "whatsapp"), ("authentica", "sms")]
    assert challenge_of(api, challenge)["channel"] == "sms"
    assert len({order[2] for order in all_orders(rooms)}) == 1


def test_the_sms_that_a_person_asked_for_meanwhile_is_enough(rooms: Rooms, api: Api, vendors: Vendors) -> None:
    challenge = ask(api, channel="whatsapp")
    message = first_message()
    rooms.clock.advance(seconds=61)
    assert api.post(RESEND, {"challenge_id": challenge, "channel": "sms"}).status_code == 200
    vendors.meta([{"id": message.vendor_id, "status": "failed", "errors": [{"code": 131026}]}])
    work()
    assert len(all_orders(rooms)) == 2


def test_a_number_that_is_not_on_whatsapp_at_once_gets_an_sms_in_the_same_request(rooms: Rooms, api: Api) -> None:
    rooms.gateways["whatsapp"].script = [InvalidRecipient("131026", not_on_channel=True)]
    answer = api.post(REQUEST, {"phone_number": PHONE, "channel": "whatsapp"}).json()
    assert (answer["challenge"]["channel"], answer["challenge"]["delivery"]) == ("sms", "accepted")
    assert answer["challenge"]["sends_left"] == 2
    assert Challenge.objects.get().channel == "sms"
