"""Twilio's dialect, over plain HTTP."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from fakegateways.handle import FakeGateways
from fakegateways.tests.clients import ACCOUNT, PHONE, twilio

_CONTENT = "HX" + "a" * 32
_SERVICE = "MG" + "0" * 32


def test_a_message_is_created_with_the_whole_body_of_the_documentation(fake: FakeGateways) -> None:
    answer = twilio(fake)
    body = answer.json()
    assert answer.status_code == 201
    assert set(body) == {
        *("sid", "account_sid", "api_version", "body", "date_created", "date_sent", "date_updated", "direction"),
        *("error_code", "error_message", "from", "messaging_service_sid", "num_media", "num_segments", "price"),
        *("price_unit", "status", "subresource_uris", "to", "uri"),
    }
    assert (body["status"], body["to"], body["num_segments"], body["price"]) == ("queued", PHONE, "1", None)
    (got,) = fake.messages()
    assert (got.id, got.code, got.text, got.channel) == (body["sid"], "123456", "123456 is your code", "sms")
    assert got.delivered


def test_a_messaging_service_answers_accepted_without_a_sender(fake: FakeGateways) -> None:
    body = twilio(fake, From=None, MessagingServiceSid=_SERVICE).json()
    assert (body["status"], body["from"], body["num_segments"]) == ("accepted", None, "0")


def test_a_whatsapp_template_carries_the_code_in_its_variables(fake: FakeGateways) -> None:
    answer = twilio(
        fake,
        To=f"whatsapp:{PHONE}",
        From="whatsapp:+15005550006",
        Body=None,
        ContentSid=_CONTENT,
        ContentVariables=json.dumps({"1": "654321"}),
    )
    assert answer.status_code == 201
    (got,) = fake.messages()
    assert (got.channel, got.to, got.code, got.delivered) == ("whatsapp", PHONE, "654321", True)


def test_free_text_on_whatsapp_is_taken_and_then_fails_outside_the_window(fake: FakeGateways) -> None:
    fake.configure(twilio={"receipts": {"delay_seconds": 0}})
    body = twilio(fake, To=f"whatsapp:{PHONE}", From="whatsapp:+15005550006").json()
    assert not fake.messages()[0].delivered
    read = _get(fake, f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{body['sid']}.json").json()
    assert (read["status"], read["error_code"]) == ("failed", 63016)


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"To": None}, 400, 21604),
        ({"From": None}, 400, 21603),
        ({"Body": None}, 400, 21602),
        ({"Body": "x" * 1601}, 400, 21617),
        ({"To": "12"}, 400, 21211),
        ({"To": "whatsapp:SA.someone"}, 400, 21211),
        ({"To": f"whatsapp:{PHONE}"}, 400, 21910),
        ({"StatusCallback": "ftp://example.test/"}, 400, 21609),
        ({"StatusCallback": "https://under_score.example.test/"}, 400, 21609),
        ({"MessagingServiceSid": "MGnonsense"}, 400, 21705),
        ({"ContentSid": "HXnonsense"}, 400, 21655),
        ({"ContentSid": _CONTENT, "ContentVariables": "{"}, 400, 21656),
        ({"ContentVariables": '{"1":"2"}'}, 400, 21654),
        ({"ValidityPeriod": "36001"}, 400, 20001),
        ({"To": "+15005550001"}, 400, 21211),
        ({"To": "+15005550002"}, 400, 21612),
        ({"To": "+15005550003"}, 400, 21408),
        ({"To": "+15005550004"}, 400, 21610),
        ({"To": "+15005550009"}, 400, 21614),
        ({"From": "+15005550001"}, 400, 21212),
        ({"From": "+15005550007"}, 400, 21606),
        ({"From": "+15005550008"}, 400, 21611),
        ({"token": "wrong"}, 401, 20003),
        ({"account": "AC" + "1" * 32}, 404, 20404),
    ],
)
def test_a_bad_call_gets_the_documented_code(
    fake: FakeGateways, fields: dict[str, Any], status: int, code: int
) -> None:
    answer = twilio(fake, **fields)
    assert (answer.status_code, answer.json()["code"], answer.json()["status"]) == (status, code, status)
    assert answer.json()["more_info"] == f"https://www.twilio.com/docs/errors/{code}"
    (got,) = fake.messages()
    assert (got.accepted, got.delivered, got.error, got.auth_ok) == (False, False, str(code), code != 20003)


def test_test_credentials_take_the_magic_sender_only_and_call_nobody_back(fake: FakeGateways) -> None:
    fake.configure(twilio={"test_credentials": True})
    assert twilio(fake, From="+966500000001").json()["code"] == 21606
    assert twilio(fake, StatusCallback="http://127.0.0.1:9/").status_code == 201
    assert fake.stats()["receipts_pending"] == 0


def test_an_api_key_is_as_good_as_the_token(fake: FakeGateways) -> None:
    fake.configure(twilio={"api_keys": {"SKabc": "a-secret"}})
    url = f"{fake.twilio_url}/2010-04-01/Accounts/{ACCOUNT}/Balance.json"
    assert requests.get(url, auth=("SKabc", "a-secret"), timeout=5).json()["balance"] == "91.00"
    assert requests.get(url, auth=("SKabc", "another"), timeout=5).status_code == 401
    assert requests.get(url, headers={"Authorization": "Basic %%%"}, timeout=5).status_code == 401


@pytest.mark.parametrize(
    ("text", "segments"),
    [("a" * 160, "1"), ("a" * 161, "2"), ("€" * 80, "1"), ("€" * 81, "2"), ("ر" * 70, "1"), ("ر" * 71, "2")],
)
def test_segments_are_counted_by_the_alphabet(fake: FakeGateways, text: str, segments: str) -> None:
    assert twilio(fake, Body=text).json()["num_segments"] == segments


def test_a_message_read_back_moves_on_without_any_callback(fake: FakeGateways, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.configure(twilio={"receipts": {"delay_seconds": 600, "gap_seconds": 600}})
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{twilio(fake).json()['sid']}.json"
    assert _get(fake, path).json()["status"] == "queued"
    for minutes, status in ((15, "sent"), (25, "delivered")):
        later = SimpleNamespace(time=lambda minutes=minutes: time.time() + minutes * 60)
        monkeypatch.setattr("fakegateways.twilio.time", later)
        assert _get(fake, path).json()["status"] == status
    assert _get(fake, f"/2010-04-01/Accounts/{ACCOUNT}/Messages/SMnone.json").json()["code"] == 20404


def test_a_number_that_ends_in_a_code_fails_with_it_when_asked_to(fake: FakeGateways) -> None:
    assert twilio(fake, To="+9665530005").status_code == 201
    assert fake.messages()[-1].delivered
    fake.configure(twilio={"errors_by_suffix": True, "receipts": {"delay_seconds": 0, "gap_seconds": 0}})
    sid = twilio(fake, To="+9665530005").json()["sid"]
    assert not fake.messages()[-1].delivered
    read = _get(fake, f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}.json").json()
    assert (read["status"], read["error_code"]) == ("undelivered", 30005)


def test_the_account_can_be_audited(fake: FakeGateways) -> None:
    fake.configure(twilio={"content_statuses": {_CONTENT: "rejected"}, "account_status": "suspended"})
    assert _get(fake, f"/2010-04-01/Accounts/{ACCOUNT}.json").json()["status"] == "suspended"
    assert _get(fake, f"/v1/Content/{_CONTENT}/ApprovalRequests").json()["whatsapp"]["status"] == "rejected"
    assert _get(fake, f"/v1/Content/HX{'b' * 32}/ApprovalRequests").json()["whatsapp"]["status"] == "approved"
    assert _get(fake, f"/v1/Content/{_CONTENT}").json()["sid"] == _CONTENT
    assert _get(fake, f"/v1/Services/{_SERVICE}").json()["sid"] == _SERVICE
    assert _get(fake, f"/v1/Services/{_SERVICE}/PhoneNumbers").json()["phone_numbers"]
    assert _get(fake, f"/v1/Services/MG{'1' * 32}").status_code == 404
    numbers = f"/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers.json"
    assert len(_get(fake, f"{numbers}?PhoneNumber=%2B15005550006").json()["incoming_phone_numbers"]) == 1
    assert _get(fake, f"{numbers}?PhoneNumber=%2B15005550001").json()["incoming_phone_numbers"] == []
    assert _get(fake, "/2010-04-01/nothing").status_code == 404


def _get(fake: FakeGateways, path: str) -> requests.Response:
    return requests.get(f"{fake.twilio_url}{path}", auth=(ACCOUNT, "fake-twilio-token"), timeout=5)
