"""Processes are killed and replaced in mid-run: one message, one session, and nobody notices a rolling restart."""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from fakegateways.handle import FakeGateways
from rig.around import children, eventually, web_processes
from rig.crowds import Crowd
from rig.ground import REFRESH, REQUEST, RESEND, VERIFY, ask, by_twilio, log_in, new_phone, one, require_stores, shot
from rig.service import RunningService
from rig.together import Answered, Shot, race

pytestmark = pytest.mark.servers
COOLDOWN_SECONDS = 25


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeGateways]:
    with FakeGateways() as running:
        yield running


@pytest.fixture(scope="module")
def service(fake: FakeGateways) -> Iterator[RunningService]:
    require_stores()
    environ = by_twilio(
        fake,
        OTP_GLOBAL_MAX_PER_MINUTE="0",
        OTP_RESEND_COOLDOWN_SECONDS=str(COOLDOWN_SECONDS),
        OTP_PROVIDER_TIMEOUT_SECONDS="2",
        OTP_SEND_DEADLINE_SECONDS="3",
    )
    with RunningService(environ=environ) as running:
        yield running


def kill_everything(service: RunningService) -> None:
    """Kill every process of the service at once, as a host that loses its power does."""
    assert service.process is not None
    first = service.process.pid
    below = [first, *children(first)]
    for process in {*below, *(child for parent in below[1:] for child in children(parent))}:
        with contextlib.suppress(ProcessLookupError):  # the kernel ends the children of who died first
            os.kill(process, signal.SIGKILL)
    service.stop(kill=True)


def sessions_of(service: RunningService, phone: str) -> int:
    ((count,),) = service.query(
        "SELECT count(*) FROM accounts_session s JOIN accounts_user u ON u.id = s.user_id WHERE u.phone_number = %s",
        phone,
    )
    return int(count)


def test_a_rolling_restart_costs_nobody_a_call(service: RunningService, fake: FakeGateways) -> None:
    assert service.process is not None
    old = set(web_processes(service))
    with Crowd(service, fake) as crowd:
        time.sleep(0.5)
        began = time.monotonic()
        os.kill(service.process.pid, signal.SIGHUP)
        eventually(lambda: bool(old & set(web_processes(service))), False)
        took = time.monotonic() - began
        time.sleep(1)
    print(f"rolling restart: {took:.1f} s, {len(crowd.calls)} calls, slowest {crowd.slowest():.2f} s")
    assert len(web_processes(service)) == len(old)
    assert not crowd.errors(), crowd.errors()


def test_a_killed_send_is_one_message_and_its_person_can_ask_again(service: RunningService, fake: FakeGateways) -> None:
    phone = new_phone()
    rule = fake.script("twilio", "hang", suffix=phone[-6:], seconds=60)
    broken: list[Answered] = []
    asking = threading.Thread(target=lambda: broken.append(one(service, shot(REQUEST, {"phone_number": phone}))))
    asking.start()
    eventually(lambda: len(fake.messages(phone=phone)), 1)
    asked = time.monotonic()
    for process in web_processes(service):
        os.kill(process, signal.SIGKILL)
    asking.join(60)
    # At once: six seconds after the call the worker settles what nobody will tell of any more.
    assert service.query("SELECT state FROM accounts_message WHERE phone = %s", phone) == [("sending",)]
    fake.lift(rule=rule)
    eventually(service.answers, True)
    assert [answer.status for answer in broken] == [0]
    again = one(service, shot(REQUEST, {"phone_number": phone}))
    assert (again.status, again.code) == (429, "resend_cooldown")
    assert len(fake.messages(phone=phone)) == 1
    time.sleep(max(0.0, asked + COOLDOWN_SECONDS + 0.5 - time.monotonic()))
    assert one(service, shot(RESEND, {"phone_number": phone})).status == 200
    first, second = fake.messages(phone=phone)
    assert first.code == second.code
    assert one(service, shot(VERIFY, {"phone_number": phone, "otp": first.code})).status == 200


def kept_answer(service: RunningService, phone: str, code: str) -> Answered:
    """Repeat a verify under its key until the first call's fate is known: a call that died frees its key in 6 s."""
    until = time.monotonic() + 90
    while True:
        answer = one(service, keyed(phone, code))
        if answer.status not in (0, 409):
            return answer
        assert time.monotonic() < until, answer
        time.sleep(0.2)


def keyed(phone: str, code: str) -> Shot:
    return shot(VERIFY, {"phone_number": phone, "otp": code}, Idempotency_Key=f"login-of-{phone[1:]}")


def test_logins_under_a_key_survive_kills_with_one_session_each(service: RunningService, fake: FakeGateways) -> None:
    chance = random.Random(11)
    died = 0
    for _ in range(3):
        eventually(lambda: len(web_processes(service)), 2)
        phones = [new_phone() for _ in range(8)]
        codes = {}
        for phone in phones:
            ask(service, phone)
            codes[phone] = fake.wait_for_message(phone).code
        shots = [keyed(phone, codes[phone]) for phone in phones * 3]
        racing: list[Answered] = []
        crowd = threading.Thread(target=lambda made=shots, into=racing: into.extend(race(service.url, made)))
        crowd.start()
        time.sleep(0.22 + chance.random() * 0.08)
        os.kill(chance.choice(web_processes(service)), signal.SIGKILL)
        crowd.join(90)
        assert {answer.status for answer in racing} <= {0, 200, 409}
        died += sum(answer.status == 0 for answer in racing)
        for phone in phones:
            answer = kept_answer(service, phone, codes[phone])
            assert answer.status == 200, answer.body
            assert sessions_of(service, phone) == 1
            assert one(service, keyed(phone, codes[phone])).body == answer.body
            assert one(service, shot(VERIFY, {"phone_number": phone, "otp": codes[phone]})).status == 400
    print(f"{died} calls died with their process")


def test_what_was_acknowledged_is_there_after_everything_was_killed(
    service: RunningService, fake: FakeGateways
) -> None:
    refresh = log_in(service, fake, new_phone())["refresh"]
    phone = new_phone()
    ask(service, phone)
    code = fake.wait_for_message(phone).code
    kill_everything(service)
    service.start()
    assert one(service, shot(REFRESH, {"refresh": refresh})).status == 200
    assert one(service, shot(VERIFY, {"phone_number": phone, "otp": code})).status == 200
    assert one(service, shot(REFRESH, {"refresh": refresh})).status == 200
