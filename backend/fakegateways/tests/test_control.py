"""The control API over HTTP, and the ledger behind it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import requests

from fakegateways import control
from fakegateways.handle import FakeGateways
from fakegateways.ledger import code_in
from fakegateways.server import Gateways
from fakegateways.tests.clients import PHONE, authentica, meta, send, twilio
from fakegateways.tests.service import Service
from fakegateways.wire import Request


def _order(fake: FakeGateways, method: str, path: str, body: Any = None) -> requests.Response:
    return requests.request(method, f"{fake.url}/_control/{path}", json=body, timeout=5)


def test_a_rule_is_put_listed_met_and_lifted(fake: FakeGateways) -> None:
    made = _order(fake, "POST", "script", {"vendor": "twilio", "fault": "hang", "times": 3, "params": {"seconds": 9}})
    assert (made.status_code, made.json()["params"]["seconds"]) == (201, 9.0)
    other = _order(fake, "POST", "script", {"vendor": "meta", "fault": "throttled"}).json()["id"]
    assert [one["fault"] for one in _order(fake, "GET", "script").json()["rules"]] == ["hang", "throttled"]
    assert _order(fake, "DELETE", "script?vendor=twilio").json() == {"lifted": 1}
    assert twilio(fake).ok
    assert meta(fake).status_code == 429
    assert _order(fake, "DELETE", f"script?id={other}").json() == {"lifted": 1}
    assert meta(fake).ok
    assert _order(fake, "DELETE", "script").json() == {"lifted": 0}


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("script", {"vendor": "nobody", "fault": "hang"}, "vendor must be"),
        ("script", {"vendor": "twilio", "fault": "earthquake"}, "fault must be"),
        ("script", {"vendor": "twilio", "fault": "other_code"}, "has no fault"),
        ("script", {"vendor": "twilio", "fault": "hang", "params": {"minutes": 1}}, "takes no minutes"),
        ("script", {"vendor": "twilio", "fault": "hang", "params": {"seconds": "x"}}, "must be a number"),
        ("script", {"vendor": "twilio", "fault": "hang", "params": {"on": "moon"}}, "on must be"),
        ("script", {"vendor": "twilio", "fault": "hang", "params": {"accepted": 1}}, "true or false"),
        ("script", {"vendor": "twilio", "fault": "hang", "times": 0}, "times"),
        ("script", {"vendor": "twilio", "fault": "hang", "share": 2}, "share"),
        ("script", {"vendor": "twilio", "fault": "hang", "colour": "red"}, "colour"),
        ("script", {"vendor": "twilio", "fault": "vendor_error", "params": {"code": 99}}, "no error code 99"),
        ("script", {"vendor": "meta", "fault": "async_error", "params": {"code": 30003}}, "no error code 30003"),
        ("script", {"vendor": "meta", "fault": "receipts", "params": {"plan": {"mode": "x"}}}, "must be one of"),
        ("receipt", {"vendor": "authentica", "id": "x"}, "no delivery reports"),
        ("receipt", {"vendor": "meta"}, "say which message"),
        ("receipt", {"vendor": "meta", "id": "x"}, "no callback URL"),
        ("receipt", {"vendor": "meta", "id": "x", "hue": 1}, "hue"),
        ("handshake", {}, "no webhook URL"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_with_its_reason(
    fake: FakeGateways, path: str, body: dict[str, Any], said: str
) -> None:
    answer = _order(fake, "POST", path, body)
    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert fake.stats()["rules"] == 0


@pytest.mark.parametrize(
    "body",
    [
        {"nobody": {}},
        {"meta": {"colour": "red"}},
        {"meta": {"token": 5}},
        {"meta": {"batch_size": "many"}},
        {"meta": {"templates": [{"name": "x"}]}},
        {"meta": {"templates": "x"}},
        {"twilio": {"test_credentials": 1}},
        {"twilio": {"receipts": {"mode": "x"}}},
        {"twilio": {"receipts": 5}},
        {"meta": {"token": "changed", "batch_size": -1}},
    ],
)
def test_a_configuration_that_makes_no_sense_changes_nothing(fake: FakeGateways, body: dict[str, Any]) -> None:
    assert _order(fake, "PUT", "config", body).status_code == 400
    assert meta(fake).ok


def test_credentials_can_be_changed(fake: FakeGateways) -> None:
    changed = {"authentica": {"api_key": "k"}, "twilio": {"auth_token": "t"}, "meta": {"token": "m"}}
    answer = _order(fake, "PUT", "config", changed)
    assert answer.json() == {"changed": ["authentica.api_key", "meta.token", "twilio.auth_token"]}
    assert [send(fake, vendor).status_code for vendor in changed] == [401, 401, 401]
    assert authentica(fake, key="k").ok
    assert twilio(fake, token="t").ok
    assert meta(fake, token="m").ok


def test_messages_are_chosen_by_vendor_phone_and_number_newest_last(fake: FakeGateways) -> None:
    for phone in (PHONE, "+966550000001", PHONE):
        for vendor in ("authentica", "twilio"):
            send(fake, vendor, phone=phone)
    everything = _order(fake, "GET", "messages").json()["messages"]
    assert [one["seq"] for one in everything] == sorted(one["seq"] for one in everything)
    assert len(everything) == 6
    assert len(_order(fake, "GET", "messages?vendor=twilio").json()["messages"]) == 3
    assert len(_order(fake, "GET", f"messages?phone={PHONE.replace('+', '%2B')}").json()["messages"]) == 4
    assert len(_order(fake, "GET", f"messages?phone={PHONE}").json()["messages"]) == 4
    last = everything[-2]["seq"]
    newer = _order(fake, "GET", f"messages?since={last}").json()["messages"]
    assert [one["seq"] for one in newer] == [everything[-1]["seq"]]
    assert set(newer[0]) == {
        *("seq", "at", "vendor", "channel", "to", "code", "text", "endpoint", "outcome", "accepted", "delivered"),
        *("id", "auth_ok", "error", "raw_fields", "receipts"),
    }


def test_reset_forgets_messages_and_rules_and_keeps_the_configuration(fake: FakeGateways) -> None:
    fake.configure(meta={"token": "m"})
    fake.script("meta", "hang")
    twilio(fake)
    seq = fake.messages()[-1].seq
    assert _order(fake, "POST", "reset").json() == {"reset": True}
    assert (fake.messages(), fake.stats()["rules"]) == ([], 0)
    assert meta(fake, token="m").ok
    assert fake.messages()[0].seq > seq


def test_a_chosen_receipt_and_a_handshake_go_over_http_too(fake: FakeGateways, service: Service) -> None:
    fake.configure(meta={"webhook_url": service.url})
    order = {"vendor": "meta", "id": "wamid.x", "status": "read", "forgery": "missing"}
    posted = _order(fake, "POST", "receipt", order).json()
    assert posted == {"posted": [{"status": "read", "answer": 204, "genuine": False}]}
    service.greeting = "12"
    assert _order(fake, "POST", "handshake", {"challenge": "12"}).json() == {
        "status": 200,
        "body": "12",
        "echoed": True,
    }


def test_the_catalogue_of_faults_can_be_read(fake: FakeGateways) -> None:
    named = {one["fault"]: one for one in _order(fake, "GET", "faults").json()["faults"]}
    assert named["hang"]["params"] == {"seconds": 60.0}
    assert named["other_code"]["vendors"] == ["authentica"]


def test_statistics_hold_no_number_and_no_code(fake: FakeGateways) -> None:
    authentica(fake, otp="987654")
    said = _order(fake, "GET", "stats")
    assert said.json()["outcomes"] == {"authentica:accepted": 1}
    assert PHONE[1:] not in said.text
    assert "987654" not in said.text


def test_an_unknown_order_gets_404_and_a_bad_body_400(fake: FakeGateways) -> None:
    assert _order(fake, "GET", "nothing").status_code == 404
    assert requests.post(f"{fake.url}/_control/script", data="[", timeout=5).status_code == 400


def test_orders_from_another_machine_are_refused() -> None:
    request = Request("POST", "/_control/reset", "", {}, b"", "192.0.2.7")
    assert asyncio.run(control.answer(Gateways(), request)).status == 403


def test_the_root_says_where_to_go(fake: FakeGateways) -> None:
    assert "/authentica/api/v2" in requests.get(fake.url, timeout=5).text
    assert requests.get(f"{fake.url}/elsewhere", timeout=5).status_code == 404


def test_the_ledger_forgets_the_oldest_and_says_so() -> None:
    with FakeGateways(ledger_limit=3) as small:
        for last in range(5):
            twilio(small, To=f"+96655000000{last}")
        assert [one.to[-1] for one in small.messages()] == ["2", "3", "4"]
        assert small.messages(phone="+966550000000") == []
        assert small.stats()["messages_forgotten"] == 2


def test_a_person_can_wait_for_a_message(fake: FakeGateways) -> None:
    twilio(fake)
    assert fake.wait_for_message(PHONE).code == "123456"
    with pytest.raises(TimeoutError):
        fake.wait_for_message(PHONE, since=fake.messages()[-1].seq, seconds=0.05)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("123456 is your code", "123456"),
        ("رمزك ١٢٣٤٥٦", "123456"),
        ("Valid 10 minutes, order 2026: 654321", "654321"),
        ("Your code: 1234", "1234"),
        ("111111\n\n@login.example.test #222222", "222222"),
        ("Call 966551234567", ""),
        ("no code", ""),
        ("code 123456\nFA+9qCX9V123456", "123456"),
    ],
)
def test_the_code_in_a_text_is_the_one_a_person_reads(text: str, code: str) -> None:
    assert code_in(text) == code
