"""Receipts that a test orders one by one, and the handshake: posted now, their answers reported."""

from __future__ import annotations

import time

import pytest

from fakegateways.handle import FakeGateways
from fakegateways.tests.clients import PHONE, meta, twilio
from fakegateways.tests.service import Service, meta_statuses, signed_by_twilio


def test_an_old_receipt_carries_its_old_time(fake: FakeGateways, service: Service) -> None:
    fake.configure(meta={"webhook_url": service.url, "receipts": {"mode": "none"}})
    wamid = meta(fake).json()["messages"][0]["id"]
    assert fake.send_receipt("meta", id=wamid, age_seconds=86400) == [204]
    assert time.time() - int(meta_statuses(service.arrived[0])[0]["timestamp"]) == pytest.approx(86400, abs=5)


def test_a_chosen_receipt_is_posted_now_and_its_answer_reported(fake: FakeGateways, service: Service) -> None:
    fake.configure(twilio={"receipts": {"mode": "none"}})
    sid = twilio(fake, StatusCallback=service.url).json()["sid"]
    service.statuses = [204, 403]
    assert fake.send_receipt("twilio", id=sid, status="undelivered", error_code=30003) == [204]
    assert fake.send_receipt("twilio", phone=PHONE, status="delivered", forged=True) == [403]
    assert fake.send_receipt("twilio", id=sid, status="sent", copies=3, shared_key="fake-shared-key") == [204] * 3
    first, second = service.arrived[:2]
    assert (first.form["ErrorCode"], signed_by_twilio(first, service.url)) == ("30003", True)
    assert not signed_by_twilio(second, service.url)


def test_chosen_receipts_can_be_shuffled_and_repeated(fake: FakeGateways, service: Service) -> None:
    fake.configure(twilio={"receipts": {"mode": "none"}})
    sid = twilio(fake, StatusCallback=service.url).json()["sid"]
    fake.send_receipt("twilio", id=sid, statuses=["queued", "sending", "sent", "delivered", "read"] * 4, shuffle=True)
    told = [one.form["MessageStatus"] for one in service.arrived]
    assert len(told) == 20
    assert told != ["queued", "sending", "sent", "delivered", "read"] * 4


def test_several_messages_can_be_reported_in_one_webhook_on_demand(fake: FakeGateways, service: Service) -> None:
    fake.configure(meta={"webhook_url": service.url, "receipts": {"mode": "none"}})
    ids = [meta(fake).json()["messages"][0]["id"] for _ in range(3)]
    assert fake.send_receipt("meta", ids=ids, batch=True) == [204]
    assert [one["id"] for one in meta_statuses(service.arrived[0])] == ids


def test_a_receipt_for_a_message_nobody_sent_can_be_posted(fake: FakeGateways, service: Service) -> None:
    assert fake.send_receipt("meta", id="wamid.nobody", status="delivered", url=service.url) == [204]
    assert meta_statuses(service.arrived[0])[0]["id"] == "wamid.nobody"


@pytest.mark.parametrize(("token", "status", "echoed"), [("fake-verify-token", 200, True), ("wrong", 403, False)])
def test_the_handshake_is_done_and_reported(
    fake: FakeGateways, service: Service, token: str, status: int, echoed: bool
) -> None:
    fake.configure(meta={"webhook_url": service.url})
    service.statuses, service.greeting = [status], "1158201444"
    said = fake.handshake(verify_token=token)
    assert (said["status"], said["echoed"]) == (status, echoed)
    asked = service.arrived[0]
    assert (asked.method, asked.path) == (
        "GET",
        f"/webhook?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}",
    )


def test_a_service_that_is_not_there_is_reported_as_no_answer(fake: FakeGateways) -> None:
    assert fake.send_receipt("meta", id="wamid.x", url="http://127.0.0.1:9/") == [0]
    assert fake.handshake(url="http://127.0.0.1:9/")["status"] == 0
    fake.reset()
