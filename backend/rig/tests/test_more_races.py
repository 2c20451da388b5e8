"""Every kind of call raced against itself and its enemies on PostgreSQL and Redis: exact counts, and never a 5xx."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from fakegateways.handle import FakeGateways
from rig.ground import (
    REFRESH,
    REQUEST,
    RESEND,
    VERIFY,
    ask,
    by_twilio,
    log_in,
    new_address,
    new_phone,
    one,
    outcomes,
    require_stores,
    shot,
    wrong_codes,
)
from rig.service import PATIENT, SECRET, RunningService
from rig.together import race

pytestmark = pytest.mark.servers
GLOBAL_PER_MINUTE = 60
LONGEST_SECONDS = 5.0
# Where one slow moment of a busy machine says nothing; whoever waited for what is held would wait for ever.
ROOMY_SECONDS = 15.0


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeGateways]:
    with FakeGateways() as running:
        yield running


@pytest.fixture(scope="module")
def running(fake: FakeGateways) -> Iterator[RunningService]:
    require_stores()
    environ = by_twilio(
        fake,
        OTP_RESEND_COOLDOWN_SECONDS="0",
        OTP_GLOBAL_MAX_PER_MINUTE=str(GLOBAL_PER_MINUTE),
        PHONE_AUTH_IP_MAX_FAILURES_PER_WINDOW="1000",
        OTP_GLOBAL_MAX_FAILURES_PER_MINUTE="100000",
        **PATIENT,
    )
    with RunningService(environ=environ) as service:
        yield service


@pytest.fixture
def service(running: RunningService) -> RunningService:
    """The service, whose global limit nobody has used in this minute."""
    running.forget_redis()
    return running


def sent(fake: FakeGateways, phone: str) -> list[str]:
    return [message.code for message in fake.messages(phone=phone)]


def sessions_of(service: RunningService, phone: str) -> int:
    ((count,),) = service.query(
        "SELECT count(*) FROM accounts_session s JOIN accounts_user u ON u.id = s.user_id WHERE u.phone_number = %s",
        phone,
    )
    return int(count)


def test_a_hundred_requests_for_one_phone_send_its_limit_and_no_more(
    service: RunningService, fake: FakeGateways
) -> None:
    phone = new_phone()
    found = outcomes(race(service.url, [shot(REQUEST, {"phone_number": phone}) for _ in range(100)]))
    assert found == {(200, ""): 3, (429, "rate_limited"): 97}
    assert len(sent(fake, phone)) == 3
    assert len(set(sent(fake, phone))) == 1


def test_the_whole_service_sends_its_limit_and_no_more(service: RunningService, fake: FakeGateways) -> None:
    phones = [new_phone() for _ in range(100)]
    answers = race(service.url, [shot(REQUEST, {"phone_number": phone}) for phone in phones])
    assert outcomes(answers) == {(200, ""): GLOBAL_PER_MINUTE, (429, "rate_limited"): 100 - GLOBAL_PER_MINUTE}
    assert {answer.body["scope"] for answer in answers if answer.status == 429} == {"global"}
    assert sum(len(sent(fake, phone)) for phone in phones) == GLOBAL_PER_MINUTE


def test_one_device_sends_its_limit_and_no_more(service: RunningService, fake: FakeGateways) -> None:
    phones = [new_phone() for _ in range(100)]
    device = f"device-{new_phone()[1:]}"
    shots = [shot(REQUEST, {"phone_number": phone, "device_id": device}) for phone in phones]
    assert outcomes(race(service.url, shots)) == {(200, ""): 5, (429, "rate_limited"): 95}
    assert sum(len(sent(fake, phone)) for phone in phones) == 5


def test_one_ipv6_network_sends_its_limit_and_no_more(service: RunningService, fake: FakeGateways) -> None:
    shots = [shot(REQUEST, {"phone_number": new_phone()}, ip=f"2001:db8:7:1::{n:x}") for n in range(1, 61)]
    assert outcomes(race(service.url, shots)) == {(200, ""): 5, (429, "rate_limited"): 55}


def test_five_wrong_codes_of_a_known_device_are_compared_and_no_more(
    service: RunningService, fake: FakeGateways
) -> None:
    phone = new_phone()
    token = log_in(service, fake, phone)["device_token"]
    ask(service, phone)  # somebody else's challenge: without one, the code dies with the device's own
    assert one(service, shot(REQUEST, {"phone_number": phone}, X_Device_Token=token)).status == 200
    code = sent(fake, phone)[-1]
    shots = [
        shot(VERIFY, {"phone_number": phone, "otp": typed}, X_Device_Token=token) for typed in wrong_codes(code, 100)
    ]
    assert outcomes(race(service.url, shots)) == {(400, "invalid_otp"): 5, (429, "too_many_attempts"): 95}
    ((stamps,),) = service.query("SELECT since_login FROM accounts_failurelane WHERE lane LIKE 'device:%%'")
    assert stamps == 5
    assert one(service, shot(VERIFY, {"phone_number": phone, "otp": code})).status == 200  # the other lane is open


def test_wrong_codes_of_a_number_without_a_code_are_counted_exactly(service: RunningService) -> None:
    phone = new_phone()
    shots = [shot(VERIFY, {"phone_number": phone, "otp": f"{n:06d}"}) for n in range(100)]
    assert outcomes(race(service.url, shots)) == {(400, "invalid_otp"): 5, (429, "too_many_attempts"): 95}
    assert service.query("SELECT since_login FROM accounts_failurelane WHERE phone = %s", phone) == [(5,)]


def test_right_codes_among_wrong_ones_open_at_most_one_session(service: RunningService, fake: FakeGateways) -> None:
    for _ in range(4):
        phone = new_phone()
        challenge = ask(service, phone).body["challenge_id"]
        (right,) = sent(fake, phone)
        bodies = [{"phone_number": phone, "otp": typed} for typed in wrong_codes(right, 30)]
        bodies += [{"challenge_id": challenge, "otp": right}, {"phone_number": phone, "otp": right}] * 10
        found = outcomes(race(service.url, [shot(VERIFY, body) for body in bodies]))
        assert found[(200, "")] == sessions_of(service, phone) == 1
        ((tried,),) = service.query("SELECT bare_attempts FROM accounts_code WHERE phone = %s", phone)
        assert tried <= 5


def test_a_hundred_right_codes_are_answered_in_time(service: RunningService, fake: FakeGateways) -> None:
    took: list[float] = []
    while not took or (took[-1] >= LONGEST_SECONDS and len(took) < 5):  # a busy machine is not slow every time
        phone = new_phone()
        ask(service, phone)
        (right,) = sent(fake, phone)
        started = time.monotonic()
        found = outcomes(race(service.url, [shot(VERIFY, {"phone_number": phone, "otp": right}) for _ in range(100)]))
        took.append(time.monotonic() - started)
        assert found[(200, "")] == sessions_of(service, phone) == 1
    assert took[-1] < LONGEST_SECONDS


def test_resends_against_verifies_send_one_code_only_and_log_in_once(
    service: RunningService, fake: FakeGateways
) -> None:
    for _ in range(3):
        phone = new_phone()
        challenge = ask(service, phone).body["challenge_id"]
        (right,) = sent(fake, phone)
        resends = [shot(RESEND, {"challenge_id": challenge}), shot(RESEND, {"phone_number": phone})] * 10
        verifies = [shot(VERIFY, {"challenge_id": challenge, "otp": right}) for _ in range(20)]
        answers = race(service.url, [made for pair in zip(resends, verifies, strict=True) for made in pair])
        again, logins = outcomes(answers[::2]), outcomes(answers[1::2])
        assert logins[(200, "")] == sessions_of(service, phone) == 1
        assert set(logins) <= {(200, ""), (400, "invalid_otp"), (429, "too_many_attempts")}
        assert set(again) <= {(200, ""), (400, "invalid_otp"), (429, "rate_limited")}
        assert len(sent(fake, phone)) == 1 + again[(200, "")] <= 3
        assert set(sent(fake, phone)) == {right}


def test_a_hundred_refreshes_of_one_token_get_the_one_live_child(service: RunningService, fake: FakeGateways) -> None:
    refresh = log_in(service, fake, new_phone())["refresh"]
    answers = race(service.url, [shot(REFRESH, {"refresh": refresh}) for _ in range(100)])
    assert outcomes(answers) == {(200, ""): 100}
    (child,) = {answer.body["refresh"] for answer in answers}
    assert one(service, shot(REFRESH, {"refresh": child})).status == 200
    assert one(service, shot(REFRESH, {"refresh": refresh})).code == "refresh_reused"


def test_first_logins_of_one_number_by_several_challenges_make_one_account(
    service: RunningService, fake: FakeGateways
) -> None:
    phone = new_phone()
    challenges = [ask(service, phone).body["challenge_id"] for _ in range(3)]
    right = sent(fake, phone)[0]
    shots = [shot(VERIFY, {"challenge_id": challenge, "otp": right}) for challenge in challenges * 20]
    assert outcomes(race(service.url, shots))[(200, "")] == 1
    assert service.query("SELECT count(*) FROM accounts_user WHERE phone_number = %s", phone) == [(1,)]
    assert sessions_of(service, phone) == 1


def test_a_block_against_verifies_and_requests_leaves_nobody_a_way_in(
    service: RunningService, fake: FakeGateways
) -> None:
    for _ in range(3):
        phone = new_phone()
        ask(service, phone)
        (right,) = sent(fake, phone)
        order = {"type": "phone", "value": phone, "note": "raced against its owner"}
        shots = [shot("/admin/otp/blacklist", order, X_Admin_Token=SECRET + "admin")]
        shots += [shot(VERIFY, {"phone_number": phone, "otp": right}) for _ in range(30)]
        shots += [shot(REQUEST, {"phone_number": phone}) for _ in range(10)]
        answers = race(service.url, shots)
        assert answers[0].status == 201, answers[0].body
        assert outcomes(answers[1:31])[(200, "")] <= 1
        outcomes(answers[31:])
        time.sleep(1)
        assert one(service, shot(REQUEST, {"phone_number": phone})).code == "blocked"
        assert one(service, shot(VERIFY, {"phone_number": phone, "otp": right})).code == "blocked"
        assert sessions_of(service, phone) == outcomes(answers[1:31])[(200, "")]


def all_told_the_same(service: RunningService, path: str, body: object) -> dict[str, str]:
    """Race one call under one key and return the answer that everybody got who was not told to wait."""
    key = "key-of-a-race-" + new_address()
    answers = race(service.url, [shot(path, body, Idempotency_Key=key) for _ in range(60)])
    assert set(outcomes(answers)) <= {(200, ""), (409, "request_in_progress")}
    again = one(service, shot(path, body, Idempotency_Key=key))
    assert again.headers["idempotency-replayed"] == "true"
    assert {repr(answer.body) for answer in answers if answer.status == 200} == {repr(again.body)}
    return dict(again.body)


def test_calls_with_one_key_act_once_and_are_all_told_the_same(service: RunningService, fake: FakeGateways) -> None:
    phone = new_phone()
    all_told_the_same(service, REQUEST, {"phone_number": phone})
    (right,) = sent(fake, phone)
    login = all_told_the_same(service, VERIFY, {"phone_number": phone, "otp": right})
    child = all_told_the_same(service, REFRESH, {"refresh": login["refresh"]})
    assert len(sent(fake, phone)) == 1
    assert sessions_of(service, phone) == 1
    assert one(service, shot(REFRESH, {"refresh": child["refresh"]})).status == 200


@contextmanager
def held(service: RunningService, sql: str, *params: str) -> Iterator[None]:
    """Lock rows from outside, as a stray session of an operator would."""
    with psycopg.connect(service.database_url) as outsider:
        assert outsider.execute(sql, params).fetchall()
        yield
        outsider.rollback()


def test_a_row_that_an_outsider_holds_costs_only_its_own_phone(service: RunningService, fake: FakeGateways) -> None:
    stuck, others = new_phone(), [new_phone() for _ in range(10)]
    challenge = ask(service, stuck).body["challenge_id"]
    one(service, shot(VERIFY, {"phone_number": stuck, "otp": wrong_codes(sent(fake, stuck)[0], 1)[0]}))
    right = sent(fake, stuck)[0]
    bodies = [{"phone_number": stuck, "otp": right}, {"challenge_id": challenge, "otp": right}] * 30
    took: list[float] = []
    found = []

    def crowd() -> None:
        started = time.monotonic()
        found.extend(race(service.url, [shot(VERIFY, body) for body in bodies]))
        took.append(time.monotonic() - started)

    rows = "SELECT id FROM accounts_{} WHERE phone = %s FOR UPDATE"
    with (
        held(service, rows.format("failurelane"), stuck),
        held(service, rows.format("code"), stuck),
        held(service, rows.format("challenge"), stuck),
    ):
        thread = threading.Thread(target=crowd)
        thread.start()
        time.sleep(0.4)
        waits = []
        for phone in others:
            started = time.monotonic()
            log_in(service, fake, phone)
            waits.append(time.monotonic() - started)
        thread.join(90)
    assert sorted(waits)[len(waits) // 2] < 2
    assert max(waits) < ROOMY_SECONDS
    assert {(answer.status, answer.code) for answer in found} == {(503, "service_unavailable")}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in found)
    assert took[0] < ROOMY_SECONDS
    assert one(service, shot(VERIFY, {"challenge_id": challenge, "otp": right})).status == 200
