"""Faults that leave the answer alone and change what really happens, and how rules choose their calls."""

from __future__ import annotations

import json

import pytest
import requests

from fakegateways import codes
from fakegateways.catalogue import Fault
from fakegateways.handle import FakeGateways
from fakegateways.tests.clients import ACCOUNT, PHONE, authentica, balance, meta, send, twilio
from fakegateways.tests.service import Service

VENDORS = ("authentica", "twilio", "meta")
COVERED = {
    *(Fault.SWALLOW, Fault.HALF, Fault.OTHER_CODE, Fault.LOW_BALANCE, Fault.ASYNC_ERROR, Fault.RECEIPTS),
    *(Fault.HELD, Fault.BARE_ANSWER),
}


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_swallowed_message_is_accepted_and_never_heard_of_again(
    fake: FakeGateways, vendor: str, service: Service
) -> None:
    fake.configure(meta={"webhook_url": service.url})
    fake.script(vendor, "swallow")
    assert (twilio(fake, StatusCallback=service.url) if vendor == "twilio" else send(fake, vendor)).ok
    (got,) = fake.messages()
    assert (got.outcome, got.accepted, got.delivered) == ("fault:swallow", True, False)
    assert fake.stats()["receipts_pending"] == 0
    assert service.arrived == []


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_second_message_is_swallowed(fake: FakeGateways, vendor: str) -> None:
    fake.script(vendor, "half")
    assert all(send(fake, vendor).ok for _ in range(6))
    assert [one.delivered for one in fake.messages()] == [True, False] * 3


def test_another_code_than_ours_goes_out(fake: FakeGateways) -> None:
    fake.script("authentica", "other_code")
    assert authentica(fake, otp="012345").json()["success"] is True
    code = fake.messages()[0].code
    assert code != "012345"
    assert authentica(fake, "verify-otp", phone=PHONE, otp="012345").status_code == 422
    assert authentica(fake, "verify-otp", phone=PHONE, otp=code).status_code == 200


def test_the_balance_can_be_low(fake: FakeGateways) -> None:
    fake.script("authentica", "low_balance", balance="0.50")
    fake.script("twilio", "low_balance", balance=1)
    assert balance(fake).json()["data"]["balance"] == "0.50"
    url = f"{fake.twilio_url}/2010-04-01/Accounts/{ACCOUNT}/Balance.json"
    assert requests.get(url, auth=(ACCOUNT, "fake-twilio-token"), timeout=5).json()["balance"] == "1"
    assert authentica(fake).ok


_ASYNC_TWILIO = [code for code in codes.TWILIO if code >= 30000 and code not in (60205, 60410, 60605)] + [14107]


@pytest.mark.parametrize("code", _ASYNC_TWILIO)
def test_every_code_of_twilio_can_come_afterwards(fake: FakeGateways, service: Service, code: int) -> None:
    fake.configure(twilio={"receipts": {"delay_seconds": 0, "gap_seconds": 0}})
    fake.script("twilio", "async_error", code=code)
    assert twilio(fake, StatusCallback=service.url).status_code == 201
    last = service.wait(2 if code < 63000 else 1)[-1].form
    assert (last["ErrorCode"], last["MessageStatus"]) == (str(code), "failed" if code >= 63000 else "undelivered")
    assert not fake.messages()[0].delivered


@pytest.mark.parametrize("code", [130472, 131026, 131049, 131056, 131000, 132015])
def test_a_code_of_meta_can_come_afterwards(fake: FakeGateways, service: Service, code: int) -> None:
    fake.configure(meta={"webhook_url": service.url, "receipts": {"delay_seconds": 0}})
    fake.script("meta", "async_error", code=code)
    assert meta(fake).ok
    body = json.loads(service.wait(1)[0].body)
    status = body["entry"][0]["changes"][0]["value"]["statuses"][0]
    assert (status["status"], status["errors"][0]["code"]) == ("failed", code)
    assert set(status["errors"][0]) == {"code", "title", "message", "error_data", "href"}
    assert not fake.messages()[0].delivered


def test_the_status_of_a_later_failure_can_be_chosen(fake: FakeGateways, service: Service) -> None:
    fake.configure(twilio={"receipts": {"delay_seconds": 0, "gap_seconds": 0}})
    fake.script("twilio", "async_error", code=30003, status="failed")
    twilio(fake, StatusCallback=service.url)
    assert service.wait(1)[0].form["MessageStatus"] == "failed"


def test_one_message_can_have_receipts_of_its_own(fake: FakeGateways, service: Service) -> None:
    fake.script("twilio", "receipts", times=1, plan={"mode": "read", "delay_seconds": 0, "gap_seconds": 0})
    twilio(fake, StatusCallback=service.url)
    assert [one.form["MessageStatus"] for one in service.wait(3)] == ["sent", "delivered", "read"]


def test_a_receipt_can_lie_about_a_message_that_arrived(fake: FakeGateways) -> None:
    fake.script("twilio", "receipts", plan={"mode": "undelivered", "error_code": 30005, "arrives_anyway": True})
    twilio(fake)
    assert fake.messages()[0].delivered


@pytest.mark.parametrize("word", ["held_for_quality_assessment", "paused"])
def test_meta_can_keep_a_message_back(fake: FakeGateways, word: str) -> None:
    fake.script("meta", "held", message_status=word)
    assert meta(fake).json()["messages"][0]["message_status"] == word
    assert not fake.messages()[0].delivered


def test_meta_can_answer_with_the_id_alone(fake: FakeGateways) -> None:
    fake.script("meta", "bare_answer")
    body = meta(fake).json()
    assert set(body) == {"messaging_product", "messages"}
    assert set(body["messages"][0]) == {"id"}
    assert fake.messages()[0].delivered


def test_a_rule_meets_only_numbers_with_its_prefix_and_suffix(fake: FakeGateways) -> None:
    fake.script("twilio", "unavailable", prefix="+96655", suffix="7")
    sent = [
        send(fake, "twilio", phone=phone).status_code for phone in ("+966551234567", "+966551234568", "+971501234567")
    ]
    assert sent == [503, 201, 201]


def test_rules_are_met_in_their_order_like_a_sequence_of_events(fake: FakeGateways) -> None:
    fake.script("meta", "bad_gateway", times=2)
    fake.script("meta", "throttled", times=1)
    assert [send(fake, "meta").status_code for _ in range(4)] == [502, 502, 429, 200]
    assert fake.stats()["rules"] == 0


def test_a_share_meets_about_so_many_calls_and_the_same_ones_each_time() -> None:
    runs = []
    for _ in range(2):
        with FakeGateways(seed=7) as fake:
            fake.script("authentica", "swallow", share=0.3)
            for _ in range(200):
                authentica(fake)
            runs.append([one.delivered for one in fake.messages()])
    assert runs[0] == runs[1]
    assert 35 <= runs[0].count(False) <= 90


def test_a_rule_is_for_sending_unless_it_says_otherwise(fake: FakeGateways) -> None:
    fake.script("authentica", "unavailable")
    assert balance(fake).status_code == 200
    fake.script("authentica", "unavailable", on="any")
    assert balance(fake).status_code == 503
    assert authentica(fake, "verify-otp", phone=PHONE, otp="1").status_code == 503
    fake.reset()
    fake.script("authentica", "hang", on="verify", seconds=5)
    assert authentica(fake).ok
    with pytest.raises(requests.ReadTimeout):
        authentica(fake, "verify-otp", timeout=0.2, phone=PHONE, otp="1")


def test_a_fault_of_one_vendor_leaves_the_others_alone(fake: FakeGateways) -> None:
    fake.script("twilio", "html_500")
    assert [send(fake, vendor).status_code for vendor in VENDORS] == [200, 500, 200]


def test_a_fault_does_not_let_a_wrong_key_through(fake: FakeGateways) -> None:
    fake.script("authentica", "slow", ms=1)
    assert authentica(fake, key="nobody").status_code == 401
    assert not fake.messages()[0].delivered
