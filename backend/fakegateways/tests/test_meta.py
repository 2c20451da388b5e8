"""Meta's dialect."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests

from fakegateways.handle import FakeGateways
from fakegateways.tests.clients import PHONE, meta, template


def test_a_template_is_taken_and_gets_a_wamid(fake: FakeGateways) -> None:
    answer = meta(fake, biz_opaque_callback_data="our-id")
    body = answer.json()
    assert answer.status_code == 200
    assert body["messaging_product"] == "whatsapp"
    assert body["contacts"] == [{"input": PHONE[1:], "wa_id": PHONE[1:]}]
    assert body["messages"][0]["id"].startswith("wamid.HBgM")
    assert body["messages"][0]["message_status"] == "accepted"
    (got,) = fake.messages()
    assert (got.to, got.code, got.channel, got.delivered, got.id) == (
        PHONE,
        "123456",
        "whatsapp",
        True,
        body["messages"][0]["id"],
    )


def _broken(**changes: Any) -> dict[str, Any]:
    made = template()
    for component in made["components"]:
        if component["type"] == changes.get("of"):
            component.update(changes["to"])
    return made


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"token": "wrong"}, 401, 190),
        ({"messaging_product": "sms"}, 400, 100),
        ({"to": None}, 400, 131008),
        ({"to": "abc"}, 400, 131009),
        ({"to": None, "recipient": "SA.abc123"}, 400, 131062),
        ({"to": "SA.abc123"}, 400, 131062),
        ({"to": "966500000000"}, 400, 131021),
        ({"type": "text"}, 400, 131047),
        ({"template": {}}, 400, 131008),
        ({"template": template(language="fr")}, 404, 132001),
        ({"template": template(name="nobody")}, 404, 132001),
        ({"template": template(code="1" * 16)}, 400, 132005),
        ({"template": {**template(), "components": template()["components"][:1]}}, 400, 132000),
        ({"template": _broken(of="button", to={"sub_type": "quick_reply"})}, 400, 132012),
        ({"template": _broken(of="button", to={"parameters": [{"type": "text", "text": "9"}]})}, 400, 132012),
        ({"template": _broken(of="body", to={"parameters": []})}, 400, 132000),
    ],
)
def test_a_bad_call_gets_the_documented_code(
    fake: FakeGateways, fields: dict[str, Any], status: int, code: int
) -> None:
    answer = meta(fake, **fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert set(error) == {"message", "type", "code", "error_data", "fbtrace_id"}
    assert [(one.accepted, one.error) for one in fake.messages()] == [(False, str(code))]


@pytest.mark.parametrize(
    ("state", "status", "code"),
    [("PAUSED", 400, 132015), ("DISABLED", 400, 132016), ("PENDING", 404, 132001), ("REJECTED", 404, 132001)],
)
def test_only_an_approved_template_can_be_sent(fake: FakeGateways, state: str, status: int, code: int) -> None:
    fake.configure(meta={"templates": [{"name": "otp_ar", "language": "ar", "status": state}]})
    answer = meta(fake)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    listed = _get(fake, "200000000000001/message_templates?name=otp_ar").json()["data"]
    assert [one["status"] for one in listed] == [state]


def test_templates_are_listed_with_language_and_components(fake: FakeGateways) -> None:
    listed = _get(fake, "200000000000001/message_templates?name=otp_code").json()
    assert [(one["language"], one["status"], one["category"]) for one in listed["data"]] == [
        ("ar", "APPROVED", "AUTHENTICATION"),
        ("en", "APPROVED", "AUTHENTICATION"),
    ]
    assert [one["type"] for one in listed["data"][0]["components"]] == ["BODY", "FOOTER", "BUTTONS"]
    assert "paging" in listed
    one = _get(fake, listed["data"][1]["id"]).json()
    assert (one["name"], one["language"]) == ("otp_code", "en")


def test_number_account_and_token_can_be_audited(fake: FakeGateways) -> None:
    assert _get(fake, "100000000000001?fields=quality_rating").json()["quality_rating"] == "GREEN"
    assert _get(fake, "200000000000001").json()["id"] == "200000000000001"
    assert _get(fake, "200000000000001/phone_numbers").json()["data"][0]["id"] == "100000000000001"
    assert _get(fake, "debug_token?input_token=fake-meta-token").json()["data"]["is_valid"] is True
    assert _get(fake, "debug_token?input_token=other").json()["data"]["is_valid"] is False
    assert _get(fake, "999").json()["error"]["code"] == 100
    assert _get(fake, "999/message_templates").json()["error"]["code"] == 100


def test_a_revoked_token_is_refused_everywhere(fake: FakeGateways) -> None:
    fake.configure(meta={"token_is_valid": False})
    assert meta(fake).json()["error"]["code"] == 190
    assert _get(fake, "100000000000001").status_code == 401


def test_another_number_of_ours_is_not_known(fake: FakeGateways) -> None:
    fake.configure(meta={"phone_number_id": "100000000000002"})
    assert meta(fake).json()["error"]["code"] == 100


def test_one_person_is_written_to_only_so_often_when_the_pair_limit_is_on(fake: FakeGateways) -> None:
    fake.configure(meta={"pair_limit_seconds": 600})
    assert meta(fake).status_code == 200
    assert meta(fake).json()["error"]["code"] == 131056
    assert meta(fake, to="966550000001").status_code == 200
    fake.configure(meta={"pair_limit_seconds": 0.2})
    time.sleep(0.21)
    assert meta(fake).status_code == 200


def _get(fake: FakeGateways, path: str) -> requests.Response:
    url = f"{fake.meta_url}/v23.0/{path}"
    return requests.get(url, headers={"Authorization": "Bearer fake-meta-token"}, timeout=5)
