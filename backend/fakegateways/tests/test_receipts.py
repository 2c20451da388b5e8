"""Receipts: really posted, really signed, and wrong in every way that was ordered."""

from __future__ import annotations

import json
import time

import pytest
from twilio.request_validator import RequestValidator

from fakegateways import signatures
from fakegateways.handle import FakeGateways
from fakegateways.tests.clients import ACCOUNT, PHONE, meta, twilio
from fakegateways.tests.service import Service, meta_statuses, signed_by_twilio

AT_ONCE = {"delay_seconds": 0, "gap_seconds": 0}


def test_twilio_posts_its_story_signed_to_the_url_of_the_message(fake: FakeGateways, service: Service) -> None:
    fake.configure(twilio={"receipts": AT_ONCE})
    url = f"{service.url}?attempt=7"
    sid = twilio(fake, StatusCallback=f"{url}#rc=2&rp=all").json()["sid"]
    arrived = service.wait(2)
    assert [one.form["MessageStatus"] for one in arrived] == ["sent", "delivered"]
    assert all(signed_by_twilio(one, url) for one in arrived)
    assert [one.path for one in arrived] == ["/webhook?attempt=7"] * 2, "the fragment stays at home"
    form = arrived[1].form
    assert (form["MessageSid"], form["SmsSid"], form["SmsStatus"]) == (sid, sid, "delivered")
    assert (form["AccountSid"], form["From"], form["To"]) == (ACCOUNT, "+15005550006", PHONE)
    assert len(form["RawDlrDoneDate"]) == 10
    fake.wait_for_receipts()
    assert [(one["status"], one["answer"]) for one in fake.messages()[0].receipts] == [
        ("sent", 204),
        ("delivered", 204),
    ]


def test_twilio_signs_with_a_shared_key_when_told_to(fake: FakeGateways, service: Service) -> None:
    fake.configure(twilio={"receipts": {**AT_ONCE, "shared_key": "fake-shared-key"}})
    twilio(fake, StatusCallback=service.url)
    one = service.wait(1)[0]
    assert one.headers["x-twilio-webhooks-signature-settings"] == "key=fake-shared-key,algorithm=HMAC_SHA256"
    reader = RequestValidator("fake-shared-secret")
    assert reader.validate(service.url, one.form, one.headers["x-twilio-signature"], "HMAC_SHA256")


def test_whatsapp_by_twilio_has_its_channel_fields(fake: FakeGateways, service: Service) -> None:
    fake.configure(twilio={"receipts": {**AT_ONCE, "mode": "read"}})
    twilio(
        fake,
        To=f"whatsapp:{PHONE}",
        From=None,
        MessagingServiceSid="MG" + "0" * 32,
        Body=None,
        ContentSid="HX" + "a" * 32,
        StatusCallback=service.url,
    )
    last = service.wait(3)[-1].form
    assert (last["EventType"], last["ChannelPrefix"], last["To"]) == ("READ", "whatsapp", f"whatsapp:{PHONE}")
    assert last["MessagingServiceSid"] == "MG" + "0" * 32


def test_meta_posts_statuses_signed_over_raw_bytes_that_no_reserialisation_gives(
    fake: FakeGateways, service: Service
) -> None:
    fake.configure(meta={"webhook_url": service.url, "receipts": AT_ONCE})
    wamid = meta(fake, biz_opaque_callback_data="our-id").json()["messages"][0]["id"]
    arrived = service.wait(2)
    assert [meta_statuses(one)[0]["status"] for one in arrived] == ["sent", "delivered"]
    for one in arrived:
        assert one.headers["x-hub-signature-256"] == signatures.meta("fake-meta-secret", body=one.body)
        assert b"\\u003d" in one.body
        assert json.dumps(json.loads(one.body), separators=(",", ":")).encode() != one.body
    status = meta_statuses(arrived[1])[0]
    assert (status["id"], status["recipient_id"], status["biz_opaque_callback_data"]) == (wamid, PHONE[1:], "our-id")
    assert json.loads(arrived[0].body)["entry"][0]["id"] == "200000000000001"


def test_meta_can_leave_the_recipient_out(fake: FakeGateways, service: Service) -> None:
    fake.configure(meta={"webhook_url": service.url, "receipts": {**AT_ONCE, "without_recipient": True}})
    meta(fake)
    assert "recipient_id" not in meta_statuses(service.wait(1)[0])[0]


def test_meta_puts_several_statuses_in_one_webhook(fake: FakeGateways, service: Service) -> None:
    fake.configure(meta={"webhook_url": service.url, "batch_size": 4, "batch_window_seconds": 5, "receipts": AT_ONCE})
    for _ in range(4):
        meta(fake)
    arrived = service.wait(2)
    assert [len(meta_statuses(one)) for one in arrived] == [4, 4]


def test_a_batch_that_does_not_fill_leaves_after_its_window(fake: FakeGateways, service: Service) -> None:
    fake.configure(
        meta={"webhook_url": service.url, "batch_size": 50, "batch_window_seconds": 1.0, "receipts": AT_ONCE}
    )
    meta(fake)
    assert len(meta_statuses(service.wait(1)[0])) == 2


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("sent_only", ["sent"]),
        ("undelivered", ["sent", "undelivered"]),
        ("failed", ["failed"]),
        ("read", ["sent", "delivered", "read"]),
        ("out_of_order", ["delivered", "sent"]),
        ("none", []),
    ],
)
def test_each_story_is_told_as_named(fake: FakeGateways, service: Service, mode: str, expected: list[str]) -> None:
    fake.configure(twilio={"receipts": {**AT_ONCE, "mode": mode}})
    twilio(fake, StatusCallback=service.url)
    arrived = service.wait(len(expected))
    fake.wait_for_receipts()
    assert [one.form["MessageStatus"] for one in arrived] == expected
    assert len(service.arrived) == len(expected)
    assert fake.messages()[0].delivered is (mode not in ("undelivered", "failed"))
    failures = [one.form["ErrorCode"] for one in arrived if "ErrorCode" in one.form]
    assert failures == (["30008"] if mode in ("undelivered", "failed") else [])


def test_receipts_repeat_as_often_as_ordered(fake: FakeGateways, service: Service) -> None:
    fake.configure(twilio={"receipts": {**AT_ONCE, "mode": "sent_only", "copies": 100}})
    twilio(fake, StatusCallback=service.url)
    arrived = service.wait(100, seconds=20)
    assert {one.body for one in arrived} == {arrived[0].body}


def test_receipts_wait_as_long_as_ordered(fake: FakeGateways, service: Service) -> None:
    fake.configure(twilio={"receipts": {"mode": "sent_only", "delay_seconds": 0.3}})
    begun = time.time()
    twilio(fake, StatusCallback=service.url)
    assert service.wait(1)[0].at - begun >= 0.3


@pytest.mark.parametrize("vendor", ["twilio", "meta"])
def test_receipts_can_all_come_before_the_answer_of_the_send(fake: FakeGateways, service: Service, vendor: str) -> None:
    fake.configure(meta={"webhook_url": service.url})
    fake.script(vendor, "receipts", plan={"before_answer": True, "mode": "delivered"})
    if vendor == "twilio":
        twilio(fake, StatusCallback=service.url)
    else:
        meta(fake)
    assert len(service.arrived) == 2


@pytest.mark.parametrize("forgery", ["wrong", "missing", "empty", "tampered", "unknown_key", "unknown_algorithm"])
def test_a_forged_receipt_is_not_genuine_by_the_vendors_own_rules(
    fake: FakeGateways, service: Service, forgery: str
) -> None:
    fake.configure(
        twilio={"receipts": {**AT_ONCE, "mode": "sent_only", "forgery": forgery}},
        meta={"webhook_url": service.url, "receipts": {**AT_ONCE, "mode": "sent_only", "forgery": forgery}},
    )
    twilio(fake, StatusCallback=service.url)
    one = service.wait(1)[0]
    named = one.headers.get("x-twilio-webhooks-signature-settings", "")
    assert not (named == "" and signed_by_twilio(one, service.url))
    assert ("key=nobody" in named, "HMAC_MD5" in named) == (forgery == "unknown_key", forgery == "unknown_algorithm")
    meta(fake)
    two = service.wait(2)[1]
    assert two.headers.get("x-hub-signature-256") != signatures.meta("fake-meta-secret", body=two.body)
    assert ("x-hub-signature-256" in two.headers) is (forgery != "missing")
    fake.wait_for_receipts()
    assert not any(receipt["genuine"] for one in fake.messages() for receipt in one.receipts)


def test_twilio_tries_again_as_the_fragment_says(fake: FakeGateways, service: Service) -> None:
    fake.configure(twilio={"receipts": {**AT_ONCE, "mode": "sent_only"}})
    service.statuses = [503, 503]
    twilio(fake, StatusCallback=f"{service.url}#rc=3&rp=5xx,rt")
    arrived = service.wait(3)
    fake.wait_for_receipts()
    assert len(service.arrived) == 3
    assert ["i-twilio-idempotency-token" in one.headers for one in arrived] == [False, True, True]
    assert arrived[1].headers["i-twilio-idempotency-token"] == arrived[2].headers["i-twilio-idempotency-token"]
    assert [one["answer"] for one in fake.messages()[0].receipts] == [503, 503, 204]


def test_twilio_does_not_try_again_after_an_answer_by_default(fake: FakeGateways, service: Service) -> None:
    fake.configure(twilio={"receipts": {**AT_ONCE, "mode": "sent_only"}})
    service.statuses = [500]
    twilio(fake, StatusCallback=service.url)
    service.wait(1)
    fake.wait_for_receipts()
    assert len(service.arrived) == 1


def test_twilio_gives_up_waiting_when_the_fragment_says(fake: FakeGateways, service: Service) -> None:
    fake.configure(twilio={"receipts": {**AT_ONCE, "mode": "sent_only"}})
    service.delay = 60.0
    twilio(fake, StatusCallback=f"{service.url}#rt=200")
    service.wait(1)
    fake.wait_for_receipts(seconds=30)
    assert [one["answer"] for one in fake.messages()[0].receipts] == [0]


def test_meta_tries_again_until_it_is_taken(fake: FakeGateways, service: Service) -> None:
    fake.configure(meta={"webhook_url": service.url, "receipts": {**AT_ONCE, "mode": "sent_only"}})
    service.statuses = [403, 500]
    meta(fake)
    arrived = service.wait(3)
    assert len({one.body for one in arrived}) == 1
    assert arrived[1].at - arrived[0].at >= 0.45
    assert arrived[2].at - arrived[1].at >= 0.9


def test_the_socket_can_go_elsewhere_than_the_signed_url_says(fake: FakeGateways, service: Service) -> None:
    fake.configure(twilio={"receipts": AT_ONCE}, house={"connect_callbacks_to": service.url.removesuffix("/webhook")})
    url = "https://otp.example.test/api/webhooks/twilio/"
    twilio(fake, StatusCallback=url)
    one = service.wait(1)[0]
    assert (one.path, one.headers["host"]) == ("/api/webhooks/twilio/", "otp.example.test")
    assert signed_by_twilio(one, url)


def test_sending_does_not_wait_for_a_slow_webhook(fake: FakeGateways, service: Service) -> None:
    fake.configure(twilio={"receipts": AT_ONCE})
    service.delay = 60.0
    for _ in range(50):
        assert twilio(fake, StatusCallback=service.url).status_code == 201
    assert fake.stats()["receipts_pending"] > 0


def test_receipts_that_wait_are_bounded_and_the_rest_is_counted(
    fake: FakeGateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fakegateways.receipts.PENDING_LIMIT", 3)
    fake.configure(twilio={"receipts": {"delay_seconds": 30, "mode": "sent_only"}})
    for _ in range(5):
        twilio(fake, StatusCallback="http://127.0.0.1:9/")
    assert (fake.stats()["receipts_pending"], fake.stats()["receipts"]["dropped"]) == (3, 2)
    fake.reset()


def test_a_reset_drops_receipts_that_have_not_left(fake: FakeGateways, service: Service) -> None:
    fake.configure(twilio={"receipts": {"delay_seconds": 1.5, "mode": "sent_only"}})
    twilio(fake, StatusCallback=service.url)
    fake.reset()
    fake.wait_for_receipts()
    assert service.arrived == []
