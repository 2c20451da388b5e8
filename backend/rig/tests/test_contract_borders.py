"""The contract's borders over real sockets and real stores: waits, refunds, keys, addresses, closed accounts."""

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fakegateways.handle import FakeGateways
from rig.around import REQUEST
from rig.service import PATIENT, RunningService, stores_answer
from rig.together import Answered, Shot, race

VERIFY = "/api/auth/phone/verify/"
COOLDOWN_SECONDS = 6  # more than a busy machine needs from one call to the next
PHONE_LIMIT, IP_LIMIT = 3, 5
GIVEN_BACK_PER_HOUR = 3
pytestmark = pytest.mark.servers
_numbers = iter(f"+96655{n:07d}" for n in range(2_000_000, 9_900_000, 11))
_addresses = iter(f"10.77.{n // 250}.{n % 250 + 1}" for n in range(60_000))


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeGateways]:
    with FakeGateways() as running:
        yield running


@pytest.fixture(scope="module")
def service(fake: FakeGateways) -> Iterator[RunningService]:
    reason = stores_answer()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    environ = {
        **PATIENT,
        "OTP_PROVIDER": "authentica",
        "AUTHENTICA_API_KEY": "fake-authentica-key",
        "AUTHENTICA_BASE_URL": fake.authentica_url,
        "OTP_MAX_PER_WINDOW": str(PHONE_LIMIT),
        "OTP_RESEND_COOLDOWN_SECONDS": str(COOLDOWN_SECONDS),
        "PHONE_AUTH_IP_MAX_PER_WINDOW": str(IP_LIMIT),
        "OTP_GLOBAL_MAX_PER_MINUTE": "0",
    }
    with RunningService(environ=environ) as running:
        yield running


def shot(path: str, body: Any, *, address: str = "", **headers: str) -> Shot:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Shot(path, body, {"X-Forwarded-For": address or next(_addresses), **named})


def one(service: RunningService, path: str, body: Any, *, address: str = "", **headers: str) -> Answered:
    (answered,) = race(service.url, [shot(path, body, address=address, **headers)])
    return answered


def wait_as_told(answered: Answered) -> None:
    assert answered.status == 429
    assert answered.body["retry_after"] == int(answered.headers["retry-after"])
    time.sleep(int(answered.headers["retry-after"]))


def test_a_retry_at_exactly_retry_after_is_admitted_after_a_cooldown(service: RunningService) -> None:
    body = {"phone_number": next(_numbers)}
    assert one(service, REQUEST, body).status == 200
    refused = one(service, REQUEST, body)
    assert refused.code == "resend_cooldown"
    wait_as_told(refused)
    assert one(service, REQUEST, body).status == 200


def test_a_refused_request_consumes_nothing_of_any_limit(service: RunningService) -> None:
    address, phone = next(_addresses), next(_numbers)
    for _ in range(IP_LIMIT):
        assert one(service, REQUEST, {"phone_number": next(_numbers)}, address=address).status == 200
    refused = one(service, REQUEST, {"phone_number": phone}, address=address)
    assert (refused.code, refused.body["scope"]) == ("rate_limited", "ip")
    asked = one(service, REQUEST, {"phone_number": phone})
    assert asked.body["challenge"]["sends_left"] == PHONE_LIMIT - 1


@pytest.mark.parametrize("broken", ["garbage", "10.9.9.9:443", "10.0.0.01", "[2001:db8::1]", "198.51.100.9, garbage"])
def test_an_entry_that_is_no_address_ends_the_search_at_the_proxy(
    service: RunningService, fake: FakeGateways, broken: str
) -> None:
    phone = next(_numbers)
    one(service, REQUEST, {"phone_number": phone})
    login = one(service, VERIFY, {"phone_number": phone, "otp": fake.wait_for_message(phone).code}, address=broken)
    bearer = {"Authorization": f"Bearer {login.body['access']}"}
    (listed,) = race(service.url, [Shot("/api/auth/sessions/", None, bearer, "GET")])
    assert [session["ip"] for session in listed.body] == ["127.0.0.1"]


def test_three_failures_an_hour_are_given_back_and_no_fourth(service: RunningService, fake: FakeGateways) -> None:
    phone, answers = next(_numbers), []
    fake.script("authentica", "throttled", prefix=phone)
    until = time.monotonic() + 90
    while time.monotonic() < until:
        contacted = len(fake.messages(phone=phone))
        answered = one(service, REQUEST, {"phone_number": phone})
        if answered.code != "delivery_failed":
            break
        if len(fake.messages(phone=phone)) > contacted:
            answers.append(answered)
        else:
            assert int(answered.headers["retry-after"]) <= 5
        while one(service, REQUEST, {"phone_number": next(_numbers)}).status != 200:  # the breaker closes again
            time.sleep(0.5)
    assert answered.code == "resend_cooldown", answered.body
    assert len(answers) == GIVEN_BACK_PER_HOUR + 1


def test_one_key_in_parallel_is_one_message_and_one_answer(service: RunningService, fake: FakeGateways) -> None:
    phone = next(_numbers)
    key = f"in-parallel-{phone}"
    same = [shot(REQUEST, {"phone_number": phone}, Idempotency_Key=key) for _ in range(12)]
    answers = race(service.url, same)
    assert {a.code or a.status for a in answers} <= {200, "request_in_progress"}
    assert len({a.body["challenge_id"] for a in answers if a.status == 200}) == 1
    assert len(fake.messages(phone=phone)) == 1
    again = one(service, REQUEST, {"phone_number": phone}, Idempotency_Key=key)
    assert (again.status, again.headers["idempotency-replayed"]) == (200, "true")


def test_a_key_that_cannot_be_read_is_refused_and_sends_nothing(service: RunningService, fake: FakeGateways) -> None:
    phone = next(_numbers)
    for key in ("short", "x" * 129, "sixteen with space", "\u0661" * 16):
        assert one(service, REQUEST, {"phone_number": phone}, Idempotency_Key=key).code == "invalid_request"
    assert fake.messages(phone=phone) == []


def test_a_closed_account_is_told_apart_by_its_code_only(service: RunningService, fake: FakeGateways) -> None:
    closed, unknown = next(_numbers), next(_numbers)
    one(service, REQUEST, {"phone_number": closed})
    code = fake.wait_for_message(closed).code
    one(service, VERIFY, {"phone_number": closed, "otp": code})
    service.query("UPDATE accounts_user SET is_active = false WHERE phone_number = %s", closed)
    time.sleep(COOLDOWN_SECONDS)
    seen = [_shape(one(service, REQUEST, {"phone_number": phone})) for phone in (closed, unknown)]
    seen[0]["challenge"]["sends_left"] += 1  # it asked once before
    assert seen[0] == seen[1]
    wrong = [one(service, VERIFY, {"phone_number": phone, "otp": "000000"}) for phone in (closed, unknown)]
    assert _shape(wrong[0]) == _shape(wrong[1])
    proven = one(service, VERIFY, {"phone_number": closed, "otp": fake.messages(phone=closed)[-1].code})
    assert (proven.status, proven.code) == (403, "account_disabled")


def _shape(answered: Answered) -> dict[str, Any]:
    """Return the answer without what is random in each, and the names of its headers."""
    body = {name: value for name, value in answered.body.items() if name not in {"challenge_id", "request_id"}}
    hidden = {"id", "support_code", "phone_number"}
    if "challenge" in body:
        body["challenge"] = {name: value for name, value in body["challenge"].items() if name not in hidden}
    return {"status": answered.status, "headers": sorted(answered.headers), **body}
