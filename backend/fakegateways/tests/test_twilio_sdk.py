"""The official SDK works with the fake when its base URL points here."""

from __future__ import annotations

import json
import time

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from fakegateways.handle import FakeGateways
from fakegateways.tests.clients import ACCOUNT, PHONE


@pytest.fixture
def client(fake: FakeGateways) -> Client:
    made = Client(ACCOUNT, "fake-twilio-token", http_client=TwilioHttpClient(timeout=60))
    for domain in (made.api, made.content, made.messaging):
        domain.base_url = fake.twilio_url
    return made


def test_the_sdk_sends_and_reads_back(client: Client, fake: FakeGateways) -> None:
    fake.configure(twilio={"receipts": {"delay_seconds": 0.02, "gap_seconds": 0}})
    made = client.messages.create(
        to=PHONE, from_="+15005550006", body="123456", validity_period=300, risk_check="enable"
    )
    assert made.sid == fake.messages()[0].id
    assert made.date_created is not None
    assert fake.messages()[0].raw_fields["ValidityPeriod"] == "300"
    until = time.monotonic() + 60
    while client.messages(made.sid).fetch().status != "delivered":
        assert time.monotonic() < until
        time.sleep(0.02)


def test_the_sdk_sends_a_whatsapp_template_by_a_messaging_service(client: Client, fake: FakeGateways) -> None:
    made = client.messages.create(
        to=f"whatsapp:{PHONE}",
        messaging_service_sid="MG" + "0" * 32,
        content_sid="HX" + "a" * 32,
        content_variables=json.dumps({"1": "654321"}),
    )
    assert made.status == "accepted"
    assert fake.messages()[0].code == "654321"


def test_the_sdk_raises_the_vendors_code(client: Client) -> None:
    with pytest.raises(TwilioRestException) as caught:
        client.messages.create(to="+15005550009", from_="+15005550006", body="123456")
    assert (caught.value.status, caught.value.code) == (400, 21614)


def test_the_sdk_audits_the_account(client: Client) -> None:
    assert client.api.accounts(ACCOUNT).fetch().status == "active"
    assert client.balance.fetch().balance == "91.00"
    assert client.incoming_phone_numbers.list(phone_number="+15005550006")[0].phone_number == "+15005550006"
    assert client.messaging.v1.services("MG" + "0" * 32).fetch().sid == "MG" + "0" * 32
    assert len(client.messaging.v1.services("MG" + "0" * 32).phone_numbers.list()) == 1
    approval = client.content.v1.contents("HX" + "a" * 32).approval_fetch().fetch()
    assert approval.whatsapp is not None
    assert approval.whatsapp["status"] == "approved"


def test_the_sdk_keeps_one_connection(client: Client, fake: FakeGateways) -> None:
    before = fake.stats()["connections"]
    for _ in range(10):
        client.messages.create(to=PHONE, from_="+15005550006", body="123456")
    assert fake.stats()["connections"] - before == 1
