"""Webhooks over HTTP: who is believed, what is read, and what is answered."""

import json
from typing import Any

import pytest

from apps.accounts.models import Message, ReceiptInbox
from apps.accounts.tests.hearing import (
    NUMBER_ID,
    PUBLIC,
    TWILIO,
    VERIFY_TOKEN,
    WHATSAPP,
    HearingTwilio,
    HearingWhatsApp,
    Vendors,
)
from conftest import PHONE, Api, BuildRooms, RecordingGateway, Rooms

pytestmark = pytest.mark.django_db(transaction=True)
REQUEST = "/api/auth/phone/request/"


@pytest.fixture
def rooms(build_rooms: BuildRooms) -> Rooms:
    return build_rooms(gateways=[HearingTwilio(), HearingWhatsApp()], PUBLIC_BASE_URL=PUBLIC)


@pytest.fixture
def vendors() -> Vendors:
    return Vendors()


@pytest.fixture
def message(rooms: Rooms, api: Api) -> Message:
    """A message that Twilio took."""
    assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 200
    return Message.objects.get()


def of_statuses(raw: bytes) -> bytes:
    return b'{"entry": [{"changes": [{"field": "messages", "value": {"statuses": ' + raw + b"}}]}]}"


def state_of(message: Message) -> str:
    message.refresh_from_db()
    return message.state


@pytest.mark.parametrize("path", [TWILIO, TWILIO.rstrip("/")])
def test_a_signed_callback_is_applied_before_its_2xx(vendors: Vendors, message: Message, path: str) -> None:
    answer = vendors.twilio(message.vendor_id, "delivered", path=path)
    assert answer.status_code == 204
    assert answer.content == b""
    assert state_of(message) == "delivered"


@pytest.mark.parametrize("signature", ["", "bm90IGEgc2lnbmF0dXJl", "\u00e9"])
def test_an_unsigned_or_wrongly_signed_callback_is_403_and_changes_nothing(
    vendors: Vendors, message: Message, signature: str
) -> None:
    answer = vendors.twilio(message.vendor_id, "delivered", signature=signature)
    assert answer.status_code == 403
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "forbidden"
    assert state_of(message) == "accepted"


def test_a_signature_with_another_secret_is_403(vendors: Vendors, message: Message) -> None:
    assert vendors.twilio(message.vendor_id, "delivered", secret="another").status_code == 403
    assert state_of(message) == "accepted"


def test_the_host_header_has_no_say_in_the_signature(vendors: Vendors, message: Message) -> None:
    assert vendors.twilio(message.vendor_id, "delivered", host="localhost").status_code == 204
    forged = vendors.twilio(message.vendor_id, "read", base="http://testserver")
    assert forged.status_code == 403


def test_a_callback_signed_with_a_shared_key_is_believed(vendors: Vendors, message: Message) -> None:
    assert vendors.twilio(message.vendor_id, "sent", shared_key="key-1", secret="shared-secret-1").status_code == 204
    unknown = vendors.twilio(message.vendor_id, "delivered", shared_key="key-2", secret="shared-secret-1")
    assert unknown.status_code == 403
    assert state_of(message) == "accepted"


def test_fields_that_are_new_to_us_are_passed_over_but_signed(vendors: Vendors, message: Message) -> None:
    assert vendors.twilio(message.vendor_id, "delivered", Novelty="1").status_code == 204
    assert state_of(message) == "delivered"


def test_a_gateway_that_is_not_configured_has_no_webhook(build_rooms: BuildRooms, vendors: Vendors) -> None:
    build_rooms(gateways=[RecordingGateway()])
    assert vendors.twilio("SM1", "delivered").status_code == 404
    assert vendors.meta([]).status_code == 404
    assert vendors.client.get(WHATSAPP).status_code == 404


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_other_methods_are_405_with_allow(rooms: Rooms, vendors: Vendors, method: str) -> None:
    answer = getattr(vendors.client, method)(WHATSAPP)
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD, POST")
    assert getattr(vendors.client, method)(TWILIO)["Allow"] == "POST"


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [(TWILIO, 64 * 1024, 403), (TWILIO, 64 * 1024 + 1, 413), (WHATSAPP, 3 * 1024 * 1024, 403),
     (WHATSAPP, 3 * 1024 * 1024 + 1, 413)],
)  # fmt: skip
def test_a_body_is_read_up_to_its_limit(rooms: Rooms, vendors: Vendors, path: str, size: int, status: int) -> None:
    answer = vendors.client.post(path, b"x" * size, content_type="application/octet-stream")
    assert answer.status_code == status, answer.content


def test_a_handshake_with_our_token_echoes_the_challenge_as_text(rooms: Rooms, vendors: Vendors) -> None:
    query = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": VERIFY_TOKEN}
    answer = vendors.client.get(WHATSAPP, query)
    assert (answer.status_code, answer.content) == (200, b"1158201444")
    assert answer["Content-Type"].startswith("text/plain")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert vendors.client.get(WHATSAPP.rstrip("/"), query).status_code == 200


@pytest.mark.parametrize(
    "change",
    [{"hub.verify_token": "wrong"}, {"hub.mode": "unsubscribe"}, {"hub.challenge": ""}, {"hub.verify_token": ""}],
)
def test_a_handshake_of_anybody_else_is_403(rooms: Rooms, vendors: Vendors, change: dict[str, str]) -> None:
    query = {"hub.mode": "subscribe", "hub.challenge": "1", "hub.verify_token": VERIFY_TOKEN, **change}
    answer = vendors.client.get(WHATSAPP, query)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_a_handshake_with_raw_bytes_in_its_query_is_400(rooms: Rooms, vendors: Vendors) -> None:
    query = f"hub.mode=subscribe&hub.challenge=١&hub.verify_token={VERIFY_TOKEN}"
    answer = vendors.client.get(f"{WHATSAPP}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_meta_is_answered_200_and_its_status_applied(rooms: Rooms, vendors: Vendors, api: Api) -> None:
    assert api.post(REQUEST, {"phone_number": PHONE, "channel": "whatsapp"}).status_code == 200
    message = Message.objects.get()
    answer = vendors.meta([{"id": message.vendor_id, "status": "delivered"}])
    assert (answer.status_code, answer.json()) == (200, {})
    assert state_of(message) == "delivered"


@pytest.mark.parametrize(
    "change", [lambda raw: raw.replace(b'": "', b'":  "', 1), lambda raw: raw + b" ", lambda raw: raw[:-1]]
)
def test_a_webhook_of_meta_is_checked_over_its_raw_bytes(rooms: Rooms, vendors: Vendors, api: Api, change: Any) -> None:
    from fakegateways import signatures

    api.post(REQUEST, {"phone_number": PHONE, "channel": "whatsapp"})
    message = Message.objects.get()
    value = {"metadata": {"phone_number_id": NUMBER_ID}, "statuses": [{"id": message.vendor_id, "status": "delivered"}]}
    raw = json.dumps({"entry": [{"changes": [{"field": "messages", "value": value}]}]}).encode()
    signature = signatures.meta("meta-app-secret", body=raw)
    assert vendors.meta_raw(change(raw), signature=signature).status_code == 403
    assert state_of(message) == "accepted"
    assert vendors.meta_raw(raw, signature=signature).status_code == 200
    assert state_of(message) == "delivered"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"entry": 1}', b'{"entry": [null, 1, {}]}',
        of_statuses(b'[{"id": 1}, {"id": "a", "status": []}]'), of_statuses(b'"many"'),
        of_statuses(b'[{"id": "\\u0000", "status": "delivered"}, {"id": "\\ud800", "status": "sent"}]'),
    ],
)  # fmt: skip
def test_signed_nonsense_is_2xx_and_changes_nothing(vendors: Vendors, message: Message, body: bytes) -> None:
    assert vendors.meta_raw(body).status_code == 200
    assert state_of(message) == "accepted"
    assert ReceiptInbox.objects.count() == 0


@pytest.mark.parametrize(
    "sid", ["", "SM\x00", "x" * 129, "a b", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")]
)
def test_a_signed_callback_with_an_odd_id_is_2xx_and_changes_nothing(
    vendors: Vendors, message: Message, sid: str
) -> None:
    assert vendors.twilio(sid, "delivered").status_code == 204
    assert state_of(message) == "accepted"
    assert ReceiptInbox.objects.count() == 0


def test_answers_of_webhooks_are_never_cached_and_name_the_request(rooms: Rooms, vendors: Vendors) -> None:
    answer = vendors.twilio("SM1", "delivered")
    assert answer["Cache-Control"] == "no-store"
    assert answer["X-Request-ID"]


def test_a_storm_is_turned_away_with_503_and_not_queued_without_end(
    rooms: Rooms, vendors: Vendors, message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.accounts.api import webhooks

    busy = webhooks.Turnstile(at_once=1, waiting=0, patience_seconds=0.01)
    monkeypatch.setattr(webhooks, "TURNSTILE", busy)
    with busy.pass_through():
        answer = vendors.twilio(message.vendor_id, "delivered")
        assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
        assert int(answer["Retry-After"]) >= 1
        assert vendors.twilio(message.vendor_id, "delivered", signature="").status_code == 403
    assert vendors.twilio(message.vendor_id, "delivered").status_code == 204
