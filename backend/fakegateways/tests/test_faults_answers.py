"""Every fault that replaces the answer, for every vendor that has it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fakegateways import codes
from fakegateways.catalogue import CATALOGUE, Fault
from fakegateways.handle import FakeGateways
from fakegateways.tests.clients import send

VENDORS = ("authentica", "twilio", "meta")
STATUS_OF = {
    Fault.UNAUTHORIZED: 401,
    Fault.NO_CREDIT: 402,
    Fault.FORBIDDEN: 403,
    Fault.INVALID: 422,
    Fault.THROTTLED: 429,
    Fault.HTML_500: 500,
    Fault.BAD_GATEWAY: 502,
    Fault.UNAVAILABLE: 503,
    Fault.REDIRECT: 302,
    Fault.HTML_200: 200,
    Fault.BAD_JSON: 200,
    Fault.EMPTY_OBJECT: 200,
    Fault.EMPTY_BODY: 200,
    Fault.DEEP_JSON: 200,
    Fault.HUGE: 200,
    Fault.WRONG_CHARSET: 200,
}
COVERED = {*STATUS_OF, Fault.STATUS, Fault.PROBLEM_JSON, Fault.VENDOR_ERROR, Fault.SUCCESS_FALSE}


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("fault", STATUS_OF)
def test_the_answer_has_the_ordered_status_and_nothing_reaches_the_handset(
    fake: FakeGateways, vendor: str, fault: Fault
) -> None:
    fake.script(vendor, fault, times=1)
    assert send(fake, vendor).status_code == STATUS_OF[fault]
    (got,) = fake.messages()
    assert (got.outcome, got.accepted, got.delivered) == (f"fault:{fault}", False, False)
    assert got.error == str(STATUS_OF[fault])
    assert send(fake, vendor).ok, "the rule was for one call"
    assert fake.messages()[-1].delivered


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("fault", [Fault.HTML_200, Fault.EMPTY_OBJECT, Fault.BAD_GATEWAY])
def test_a_broken_answer_can_hide_a_message_that_went_out(fake: FakeGateways, vendor: str, fault: Fault) -> None:
    fake.script(vendor, fault, accepted=True)
    assert send(fake, vendor).status_code == STATUS_OF[fault]
    (got,) = fake.messages()
    assert (got.outcome, got.accepted, got.delivered) == (f"fault:{fault}", True, True)


def test_any_status_body_and_header_can_be_ordered(fake: FakeGateways) -> None:
    body = {"detail": "teapot"}
    fake.script("meta", "status", status=418, body=body, headers={"X-Reason": "tea"}, retry_after="7", times=1)
    answer = send(fake, "meta")
    assert (answer.status_code, answer.json(), answer.headers["X-Reason"]) == (418, body, "tea")
    assert answer.headers["Retry-After"] == "7"
    fake.script("meta", "status", status=299, body="plain", content_type="text/plain")
    assert (send(fake, "meta").text, send(fake, "meta").headers["Content-Type"]) == ("plain", "text/plain")


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.UNAVAILABLE])
@pytest.mark.parametrize("retry_after", ["", "30", "Fri, 20 Nov 2026 08:00:00 GMT"])
def test_retry_after_is_there_when_ordered_and_only_then(
    fake: FakeGateways, vendor: str, fault: Fault, retry_after: str
) -> None:
    fake.script(vendor, fault, retry_after=retry_after)
    assert send(fake, vendor).headers.get("Retry-After", "") == retry_after


@pytest.mark.parametrize("code", sorted(codes.TWILIO))
def test_every_code_of_twilio_can_be_the_answer(fake: FakeGateways, code: int) -> None:
    fake.script("twilio", "vendor_error", code=code)
    answer = send(fake, "twilio")
    assert (answer.status_code, answer.json()["code"]) == (codes.TWILIO[code][0], code)
    assert fake.messages()[0].error == str(code)


@pytest.mark.parametrize("code", sorted(code for code in codes.META if code not in range(201, 299)))
def test_every_code_of_meta_can_be_the_answer(fake: FakeGateways, code: int) -> None:
    fake.script("meta", "vendor_error", code=code)
    answer = send(fake, "meta")
    assert (answer.status_code, answer.json()["error"]["code"]) == (codes.META[code][0], code)


@pytest.mark.parametrize("code", sorted(codes.AUTHENTICA))
def test_every_status_of_authentica_can_be_the_answer(fake: FakeGateways, code: int) -> None:
    fake.script("authentica", "vendor_error", code=code)
    assert send(fake, "authentica").status_code == code


def test_the_same_code_can_come_with_another_status(fake: FakeGateways) -> None:
    fake.script("meta", "vendor_error", code=130429, status=429, retry_after="4")
    answer = send(fake, "meta")
    assert (answer.status_code, answer.json()["error"]["code"], answer.headers["Retry-After"]) == (429, 130429, "4")


def test_twilio_can_answer_with_a_problem_document(fake: FakeGateways) -> None:
    fake.script("twilio", "problem_json", code=21211)
    answer = send(fake, "twilio")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"], "title" in answer.json()) == (400, 21211, True)


def test_each_vendor_can_say_no_in_a_success(fake: FakeGateways) -> None:
    for vendor in VENDORS:
        fake.script(vendor, "success_false", message="no")
    first = send(fake, "authentica")
    assert (first.status_code, first.json()) == (200, {"success": False, "data": None, "message": "no"})
    second = send(fake, "twilio")
    assert (second.status_code, second.json()["status"]) == (201, "failed")
    third = send(fake, "meta")
    assert (third.status_code, "messages" in third.json()) == (200, False)
    assert not any(one.delivered for one in fake.messages())


def test_the_invalid_bodies_are_each_vendors_own(fake: FakeGateways) -> None:
    for vendor in VENDORS:
        fake.script(vendor, "invalid")
    assert "phone" in send(fake, "authentica").json()["errors"]
    assert send(fake, "twilio").headers["Content-Type"] == "application/problem+json"
    assert send(fake, "meta").json()["error"]["code"] == 100


def test_the_bad_bodies_are_bad_in_the_way_they_say(fake: FakeGateways) -> None:
    def body(fault: str, **params: Any) -> bytes:
        fake.script("authentica", fault, times=1, **params)
        return send(fake, "authentica", timeout=20).content

    with pytest.raises(json.JSONDecodeError):
        json.loads(body("bad_json"))
    with pytest.raises(RecursionError):
        json.loads(body("deep_json"))
    with pytest.raises(UnicodeDecodeError):
        body("wrong_charset").decode("utf-8")
    assert len(body("huge")) == 10_000_000
    assert len(body("huge", bytes=70_000)) == 70_000
    assert json.loads(body("deep_json", depth=3)) == {"data": [[[]]]}
    assert b"<html>" in body("html_200")
    assert body("empty_body") == b""
    fake.script("authentica", "redirect", location="http://127.0.0.1:1/x")
    assert send(fake, "authentica").headers["Location"] == "http://127.0.0.1:1/x"


def test_every_fault_has_a_test_here_or_beside(fake: FakeGateways) -> None:
    from fakegateways.tests import test_faults_behaviour, test_faults_transport

    assert COVERED | test_faults_behaviour.COVERED | test_faults_transport.COVERED == set(Fault) == set(CATALOGUE)
