"""Authentica's dialect."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests

from fakegateways.handle import FakeGateways
from fakegateways.tests.clients import PHONE, authentica, balance


def test_an_own_code_goes_out_with_its_leading_zero(fake: FakeGateways) -> None:
    answer = authentica(fake, otp="012345", template_id=31)
    assert answer.status_code == 200
    assert answer.json() == {"success": True, "data": None, "message": "OTP sent successfully."}
    (got,) = fake.messages()
    assert (got.vendor, got.channel, got.to, got.code, got.delivered) == ("authentica", "sms", PHONE, "012345", True)
    assert (got.endpoint, got.outcome, got.accepted, got.id, got.auth_ok) == ("send-otp", "accepted", True, "", True)
    assert got.raw_fields == {"method": "sms", "phone": PHONE, "otp": "012345", "template_id": 31}


def test_without_an_own_code_the_vendor_mints_one_that_it_can_check(fake: FakeGateways) -> None:
    authentica(fake, otp=None)
    code = fake.messages()[0].code
    assert len(code) == 6
    assert code.isdigit()
    wrong = authentica(fake, "verify-otp", phone=PHONE, otp="x")
    assert (wrong.status_code, wrong.json()) == (422, {"status": False, "message": "Failed to verify OTP"})
    right = authentica(fake, "verify-otp", phone=PHONE, otp=code)
    assert (right.status_code, right.json()) == (200, {"status": True, "message": "OTP verified successfully"})
    assert authentica(fake, "verify-otp", phone=PHONE, otp=code).status_code == 422


def test_with_own_codes_switched_off_another_code_goes_out(fake: FakeGateways) -> None:
    fake.configure(authentica={"honours_own_code": False})
    authentica(fake, otp="012345")
    assert fake.messages()[0].code != "012345"


def test_a_minted_code_dies_after_its_time(fake: FakeGateways) -> None:
    fake.configure(authentica={"mint_ttl_seconds": 0.05, "mint_length": 4})
    authentica(fake, otp=None)
    code = fake.messages()[0].code
    assert len(code) == 4
    time.sleep(0.06)
    assert authentica(fake, "verify-otp", phone=PHONE, otp=code).status_code == 422


def test_free_text_needs_a_sender_and_shows_the_code_a_person_reads(fake: FakeGateways) -> None:
    text = "رمزك ٦٥٤٣٢١ صالح لمدة 10 دقائق"
    refused = authentica(fake, "send-sms", phone=PHONE, message=text)
    assert refused.status_code == 422
    assert "sender_name" in refused.json()["errors"]
    taken = authentica(fake, "send-sms", phone=PHONE, message=text, sender_name="SALON")
    assert taken.json() == {"success": True, "message": "Message sent successfully."}
    got = fake.messages()[-1]
    assert (got.code, got.text, got.endpoint) == ("654321", text, "send-sms")


@pytest.mark.parametrize("path", ["send-otp", "send-sms", "verify-otp"])
def test_a_wrong_key_gets_401_and_is_seen_in_the_ledger_only_for_sending(fake: FakeGateways, path: str) -> None:
    answer = authentica(fake, path, key="nobody", phone=PHONE)
    assert (answer.status_code, answer.json()) == (401, {"errors": [{"message": "Unauthorized"}]})
    recorded = [(one.auth_ok, one.accepted, one.delivered, one.error) for one in fake.messages()]
    assert recorded == ([] if path == "verify-otp" else [(False, False, False, "401")])


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"phone": "0551234567"}, "phone"),
        ({"phone": None}, "phone"),
        ({"method": "pigeon"}, "method"),
        ({"template_id": "31"}, "template_id"),
        ({"otp": "12a456"}, "otp"),
        ({"method": "email", "phone": None}, "email"),
    ],
)
def test_bad_input_gets_laravels_422_naming_the_field(fake: FakeGateways, fields: dict[str, Any], named: str) -> None:
    answer = authentica(fake, **fields)
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == [named]
    assert not fake.messages()[0].accepted


def test_bad_input_without_asking_for_json_gets_a_redirect(fake: FakeGateways) -> None:
    answer = requests.post(
        f"{fake.authentica_url}/send-otp",
        json={"method": "sms", "phone": "bad"},
        headers={"X-Authorization": "fake-authentica-key"},
        allow_redirects=False,
        timeout=5,
    )
    assert (answer.status_code, answer.headers["Location"]) == (302, "http://api.authentica.sa")
    assert "html" in answer.headers["Content-Type"]


def test_good_input_needs_no_accept_header(fake: FakeGateways) -> None:
    answer = requests.post(
        f"{fake.authentica_url}/send-otp",
        json={"method": "whatsapp", "phone": PHONE, "template_id": 11},
        headers={"X-Authorization": "fake-authentica-key"},
        timeout=5,
    )
    assert answer.json()["success"] is True
    assert fake.messages()[0].channel == "whatsapp"


def test_a_code_can_go_by_mail(fake: FakeGateways) -> None:
    assert authentica(fake, method="email", phone=None, email="a@example.test").status_code == 200
    assert (fake.messages()[0].to, fake.messages()[0].channel) == ("a@example.test", "email")


@pytest.mark.parametrize(("as_number", "expected"), [(False, "91.00"), (True, 91.0)])
def test_the_balance_is_a_text_or_a_number(fake: FakeGateways, as_number: bool, expected: object) -> None:
    fake.configure(authentica={"balance_is_number": as_number})
    assert balance(fake).json()["data"] == {"balance": expected}


def test_an_unknown_address_gets_404(fake: FakeGateways) -> None:
    assert authentica(fake, "send-pigeon").status_code == 404
