"""Races over HTTP on PostgreSQL and Redis: requests whose last byte leaves together, against several processes."""

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from fakegateways.handle import FakeGateways
from rig.service import PATIENT, RunningService, stores_answer
from rig.together import Answered, Shot, race

REQUEST, RESEND, VERIFY = "/api/auth/phone/request/", "/api/auth/phone/resend/", "/api/auth/phone/verify/"
pytestmark = pytest.mark.servers
_numbers = iter(f"+96650{n:07d}" for n in range(1_000_000, 9_900_000, 7))


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
        "OTP_PROVIDER": "twilio",
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": "fake-twilio-token",
        "TWILIO_PHONE_NUMBER": "+15005550006",
        "TWILIO_BASE_URL": fake.twilio_url,
        "PHONE_AUTH_IP_MAX_FAILURES_PER_WINDOW": "1000",
        "OTP_GLOBAL_MAX_FAILURES_PER_MINUTE": "100000",
    }
    with RunningService(environ=environ) as running:
        yield running


def client(n: int) -> dict[str, str]:
    """Return the headers of a client with an address of its own."""
    return {"X-Forwarded-For": f"10.{n // 65536 % 256}.{n // 256 % 256}.{n % 256}"}


_clients = iter(range(1, 1_000_000))


def ask(service: RunningService, phone: str) -> Answered:
    (answer,) = race(service.url, [Shot(REQUEST, {"phone_number": phone}, client(next(_clients)))])
    assert answer.status == 200, answer.body
    return answer


def statuses(answers: list[Answered]) -> Counter[int]:
    return Counter(answer.status for answer in answers)


def wrong_codes(right: str, count: int) -> list[str]:
    return [f"{(int(right) + 1 + n) % 1_000_000:06d}" for n in range(count)]


def test_one_code_opens_one_session(service: RunningService, fake: FakeGateways) -> None:
    phone = next(_numbers)
    ask(service, phone)
    code = fake.wait_for_message(phone).code
    shots = [Shot(VERIFY, {"phone_number": phone, "otp": code}, client(next(_clients))) for _ in range(100)]
    found = statuses(race(service.url, shots))
    assert found[200] == 1, found
    assert set(found) <= {200, 400, 429}, found
    assert service.query(
        "SELECT count(*) FROM accounts_session s JOIN accounts_user u ON u.id = s.user_id WHERE u.phone_number = %s",
        phone,
    ) == [(1,)]


def test_never_more_than_five_wrong_codes_are_compared_on_a_challenge(
    service: RunningService, fake: FakeGateways
) -> None:
    phone = next(_numbers)
    challenge = ask(service, phone).body["challenge_id"]
    code = fake.wait_for_message(phone).code or ""
    shots = [
        Shot(VERIFY, {"challenge_id": challenge, "otp": otp}, client(next(_clients))) for otp in wrong_codes(code, 100)
    ]
    found = Counter((answer.status, answer.code) for answer in race(service.url, shots))
    assert found[(400, "invalid_otp")] == 5, found
    assert found[(429, "too_many_attempts")] == 95, found


def test_never_more_than_five_wrong_codes_are_compared_by_phone_alone(
    service: RunningService, fake: FakeGateways
) -> None:
    phone = next(_numbers)
    ask(service, phone)
    code = fake.wait_for_message(phone).code or ""
    shots = [
        Shot(VERIFY, {"phone_number": phone, "otp": otp}, client(next(_clients))) for otp in wrong_codes(code, 100)
    ]
    found = Counter((answer.status, answer.code) for answer in race(service.url, shots))
    assert found[(400, "invalid_otp")] == 5, found
    assert service.query("SELECT bare_attempts FROM accounts_code WHERE phone = %s", phone) == [(5,)]


def test_a_hundred_requests_for_one_phone_send_one_message(service: RunningService, fake: FakeGateways) -> None:
    phone = next(_numbers)
    shots = [Shot(REQUEST, {"phone_number": phone}, client(next(_clients))) for _ in range(100)]
    found = statuses(race(service.url, shots))
    assert found == {200: 1, 429: 99}, found
    assert len(fake.messages(phone=phone)) == 1


def test_a_hundred_requests_from_one_address_send_no_more_than_its_limit(
    service: RunningService, fake: FakeGateways
) -> None:
    phones, headers = [next(_numbers) for _ in range(100)], client(next(_clients))
    answers = race(service.url, [Shot(REQUEST, {"phone_number": phone}, headers) for phone in phones])
    assert statuses(answers) == {200: 5, 429: 95}
    assert sum(len(fake.messages(phone=phone)) for phone in phones) == 5


def test_first_logins_of_one_number_make_one_account(service: RunningService, fake: FakeGateways) -> None:
    phone = next(_numbers)
    challenge = ask(service, phone).body["challenge_id"]
    code = fake.wait_for_message(phone).code
    bodies = [{"phone_number": phone, "otp": code}, {"challenge_id": challenge, "otp": code}] * 25
    found = statuses(race(service.url, [Shot(VERIFY, body, client(next(_clients))) for body in bodies]))
    assert found[200] == 1, found
    assert service.query("SELECT count(*) FROM accounts_user WHERE phone_number = %s", phone) == [(1,)]


def test_cancels_against_verifies_end_in_one_state(service: RunningService, fake: FakeGateways) -> None:
    phone = next(_numbers)
    challenge = ask(service, phone).body["challenge_id"]
    code = fake.wait_for_message(phone).code
    path = f"/api/auth/phone/challenge/{challenge}/"
    shots = [Shot(path, None, client(next(_clients)), "DELETE") for _ in range(20)]
    shots += [Shot(VERIFY, {"challenge_id": challenge, "otp": code}, client(next(_clients))) for _ in range(20)]
    answers = race(service.url, shots)
    assert statuses(answers[:20]) == {204: 20}
    won = statuses(answers[20:])[200]
    ((status,),) = service.query("SELECT status FROM accounts_challenge WHERE id = %s", challenge)
    assert (won, status) in {(1, "verified"), (0, "canceled")}
