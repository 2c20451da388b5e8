"""Who may report a delivery of Meta, and what a report says."""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from apps.accounts.providers.base import DeliveryEvent, DeliveryStatus, FailureKind, WebhookCall
from apps.accounts.providers.whatsapp_receipts import WhatsAppListener
from apps.accounts.tests.providers.vendor_rows import META_RECEIPTS, META_ROWS, rows

META = WhatsAppListener(app_secret="app-secret-test", verify_token="our-token", phone_number_id="1065")


def hooked(body: bytes, *, secret: str = "app-secret-test") -> WebhookCall:
    signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return WebhookCall("POST", "/api/webhooks/whatsapp/", {"x-hub-signature-256": signature}, body)


def statuses(*said: Any, number: str | None = "1065", name: str = "messages") -> WebhookCall:
    value: dict[str, Any] = {"messaging_product": "whatsapp", "statuses": list(said)}
    if number is not None:
        value["metadata"] = {"phone_number_id": number}
    entry = {"id": "1", "changes": [{"field": name, "value": value}]}
    return hooked(json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode())


def test_the_known_signature_of_meta_is_accepted() -> None:
    call = WebhookCall(
        "POST",
        "/",
        {"x-hub-signature-256": "sha256=5d4a1124b075cf092476e6677b89ce220ec42f3593e0c842f738827622e0c143"},
        b'{"object":"whatsapp_business_account","entry":[]}',
    )

    assert META.authenticate(call)


@pytest.mark.parametrize(
    "header",
    [{}]
    + [
        {"x-hub-signature-256": value}
        for value in (
            "",
            "sha256=",
            "5d4a1124b075cf092476e6677b89ce220ec42f3593e0c842f738827622e0c143",
            "sha1=5d4a1124b075cf092476e6677b89ce220ec42f3593e0c842f738827622e0c143",
            "sha256=5D4A1124b075cf092476e6677b89ce220ec42f3593e0c842f738827622e0c143",
            "sha256=é",
        )
    ],
)
def test_what_meta_did_not_sign_is_refused(header: dict[str, str]) -> None:
    assert not META.authenticate(WebhookCall("POST", "/", header, b'{"object":"whatsapp_business_account","entry":[]}'))


def test_the_raw_bytes_are_signed_not_what_they_mean() -> None:
    call = hooked(b'{"entry": "\\u0645"}')

    assert META.authenticate(call)
    assert not META.authenticate(WebhookCall("POST", "/", call.headers, '{"entry": "م"}'.encode()))


def test_without_an_app_secret_nobody_is_believed() -> None:
    nobody = WhatsAppListener(app_secret="", verify_token="", phone_number_id="1065")

    assert not nobody.authenticate(hooked(b"{}", secret=""))
    empty = {"hub.mode": "subscribe", "hub.verify_token": "", "hub.challenge": "1"}
    assert nobody.handshake(WebhookCall("GET", "/", {}, b"", empty)) is None


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ({"hub.mode": "subscribe", "hub.verify_token": "our-token", "hub.challenge": "1158201444"}, "1158201444"),
        ({"hub.mode": "subscribe", "hub.verify_token": "our-tokens", "hub.challenge": "1"}, None),
        ({"hub.mode": "subscribe", "hub.verify_token": "é", "hub.challenge": "1"}, None),
        ({"hub.mode": "unsubscribe", "hub.verify_token": "our-token", "hub.challenge": "1"}, None),
        ({"hub.mode": "subscribe", "hub.verify_token": "our-token"}, None),
        ({"hub.mode": "subscribe", "hub.verify_token": "our-token", "hub.challenge": "1\r\nX: y"}, None),
        ({"hub.mode": "subscribe", "hub.verify_token": "our-token", "hub.challenge": "1" * 300}, None),
        ({}, None),
    ],
)
def test_the_handshake_answers_whoever_knows_our_token(query: dict[str, str], answer: str | None) -> None:
    assert META.handshake(WebhookCall("GET", "/", {}, b"", query)) == answer


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("sent", "sent"),
        ("delivered", "delivered"),
        ("read", "delivered"),
        ("played", "delivered"),
        ("failed", "failed"),
    ],
)
def test_a_status_of_meta_becomes_ours_without_any_recipient(word: str, status: str) -> None:
    said = {"id": "wamid.A=", "status": word, "timestamp": "1763622000", "biz_opaque_callback_data": "abc123"}

    (event,) = META.events(statuses(said))

    assert (event.vendor_id, event.status, event.reference) == ("wamid.A=", DeliveryStatus(status), "abc123")
    assert event.at == datetime.fromtimestamp(1763622000, UTC)


@pytest.mark.parametrize("code", sorted({code for code, _, _ in rows(META_ROWS)}))
def test_a_failure_that_meta_reports_decides_what_happens_next(code: int) -> None:
    (event,) = META.events(statuses({"id": "wamid.A=", "status": "failed", "errors": [{"code": code, "title": "T"}]}))

    assert event.failure == META_RECEIPTS.get(code, FailureKind.GATEWAY)
    assert event.error_code == str(code)


def test_a_batch_keeps_its_order_and_its_bad_parts_do_not_hide_the_good_ones() -> None:
    call = statuses(
        {"id": "wamid.1", "status": "sent"}, {"id": 5, "status": "sent"}, "x", None, {"status": "sent"},
        {"id": "wamid.2", "status": "warped"}, {"id": "wamid.3", "status": "failed", "errors": "x"},
        {"id": "wamid.4", "status": "delivered", "timestamp": "soon", "biz_opaque_callback_data": {"a": 1}},
    )  # fmt: skip

    assert [(event.vendor_id, event.status.value) for event in META.events(call)] == [
        ("wamid.1", "sent"),
        ("wamid.3", "failed"),
        ("wamid.4", "delivered"),
    ]


def test_only_messages_of_our_own_number_count() -> None:
    said = {"id": "wamid.1", "status": "sent"}

    assert len(META.events(statuses(said, number=None))) == 1
    assert META.events(statuses(said, number="2222")) == []
    assert META.events(statuses(said, name="message_template_status_update")) == []


ANYTHING = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=8),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(
            some.sampled_from(["entry", "changes", "value", "statuses", "id", "status", "errors"]), inner
        )
    ),
    max_leaves=12,
)


@given(ANYTHING)
def test_no_json_breaks_the_listener_of_meta(said: Any) -> None:
    for body in (said, {"entry": said}, {"entry": [{"changes": [{"field": "messages", "value": said}]}]}):
        assert all(isinstance(event, DeliveryEvent) for event in META.events(hooked(json.dumps(body).encode())))


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 60_000, b"\xff\xff", b'{"entry":' + b"[" * 60_000 + b"}"])
def test_no_bytes_break_the_listener_of_meta(body: bytes) -> None:
    assert META.events(hooked(body)) == []


def test_a_batch_of_ten_thousand_is_read_up_to_what_meta_ever_sends() -> None:
    many = statuses(*({"id": f"wamid.{number}", "status": "sent"} for number in range(10_000)))

    assert len(META.events(many)) == 1000
