"""Failover and healing as people meet them: nobody lost, nobody waits for a gateway that is known to be down."""

import threading
import time
from collections import Counter

import pytest
from prometheus_client import REGISTRY

from apps.accounts.models import Code, Message
from apps.accounts.providers import base
from apps.accounts.providers.base import Order, Receipt
from apps.accounts.services import courier
from apps.accounts.tests.services.health_rig import (
    BROKEN,
    EXHAUSTED,
    REFUSED,
    RESEND,
    UNAVAILABLE,
    UNKNOWN,
    AuditedGateway,
    Service,
    service,
)  # fmt: skip
from conftest import BuildRooms, needs_postgres

pytestmark = pytest.mark.django_db(transaction=True)


def alarms(name: str) -> float:
    return REGISTRY.get_sample_value("otp_alarms_total", {"alarm": name}) or 0.0


@pytest.fixture
def made(build_rooms: BuildRooms) -> Service:
    """Two gateways; trials run before the answer, so that a test sees them."""
    found = service(build_rooms)
    found.rooms.services.courier._beside = lambda call: call()
    return found


@pytest.mark.parametrize("how", [UNAVAILABLE, UNKNOWN, BROKEN, REFUSED])
def test_no_login_is_lost_while_the_main_gateway_is_down(made: Service, how) -> None:
    made.break_down("authentica", how)
    assert [made.ask() for _ in range(30)] == [200] * 30
    assert made.counts()["twilio"] == 30


def test_after_five_failures_nobody_meets_the_broken_gateway(made: Service) -> None:
    made.break_down("authentica", UNKNOWN)
    assert made.many(40) == {"authentica": 5, "twilio": 40}


def test_wrong_credentials_are_met_once_and_raise_one_alarm(made: Service) -> None:
    made.break_down("authentica", BROKEN)
    before = alarms("gateway_misconfigured")
    assert made.many(30) == {"authentica": 1, "twilio": 30}
    assert alarms("gateway_misconfigured") == before + 1


def test_a_refusal_of_one_message_cools_nobody(made: Service) -> None:
    made.break_down("authentica", REFUSED)
    assert made.many(20) == {"authentica": 20, "twilio": 20}
    assert made.state("authentica") == "up"


def test_a_host_out_of_sockets_blames_no_gateway_and_takes_nothing_from_anybody(made: Service) -> None:
    for name in made.names:
        made.break_down(name, EXHAUSTED)
    for _ in range(7):
        answer = made.answer()
        assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
    assert [made.state(name) for name in made.names] == ["up"] * len(made.names)
    for name in made.names:
        made.heal(name)
    made.people -= 7
    assert [made.ask() for _ in range(7)] == [200] * 7


def test_when_the_cooling_is_over_a_trial_runs_beside_and_the_person_does_not_wait_for_it(made: Service) -> None:
    made.break_down("authentica", UNKNOWN)
    made.many(5)
    made.rooms.clock.advance(seconds=10)
    assert made.many(3) == {"authentica": 1, "twilio": 3}
    assert Message.objects.filter(cause="probe", provider="authentica", state="unknown").count() == 1
    assert made.state("authentica") == "cooling"


def test_a_trial_that_is_taken_brings_the_gateway_back(made: Service) -> None:
    made.break_down("authentica", UNKNOWN)
    made.many(5)
    made.heal("authentica")
    made.rooms.clock.advance(seconds=10)
    made.many(1)
    assert made.state("authentica") == "up"
    assert made.many(3) == {"authentica": 3}


def test_a_gateway_that_becomes_slow_goes_behind_until_a_trial_was_quick(made: Service) -> None:
    at_its_usual_pace(made, "authentica")
    for _ in range(5):
        made.health.succeeded("authentica", channel="sms", seconds=3.0)
    assert made.state("authentica") == "cooling"
    assert made.health.weights(made.names, channel="sms") == {"authentica": 0.0, "twilio": 1.0}
    assert made.many(5) == {"twilio": 5}
    made.rooms.clock.advance(seconds=10)
    assert made.many(1) == {"authentica": 1, "twilio": 1}
    assert made.many(3) == {"authentica": 3}


def test_when_all_gateways_are_slow_all_of_them_are_used(made: Service) -> None:
    for name in made.names:
        at_its_usual_pace(made, name)
        for _ in range(5):
            made.health.succeeded(name, channel="sms", seconds=3.0)
    assert made.health.weights(made.names, channel="sms") == {"authentica": 1.0, "twilio": 1.0}
    assert made.many(5) == {"authentica": 5}


def test_a_gateway_that_always_was_slow_and_the_slow_tail_of_a_busy_one_move_nothing(made: Service) -> None:
    for number in range(200):
        made.health.succeeded("authentica", channel="sms", seconds=2.5)
        made.health.succeeded("twilio", channel="sms", seconds=3.0 if number % 5 == 0 else 0.2)
    assert (made.state("authentica"), made.state("twilio")) == ("up", "up")


def at_its_usual_pace(of: Service, name: str) -> None:
    for _ in range(20):
        of.health.succeeded(name, channel="sms", seconds=0.2)


def test_a_trial_carries_the_same_code_and_belongs_to_the_same_send(made: Service) -> None:
    made.cool("authentica")
    made.rooms.clock.advance(seconds=10)
    made.many(1)
    assert made.gateway("authentica").last_code == made.gateway("twilio").last_code
    probe, sent = Message.objects.get(cause="probe"), Message.objects.get(cause="request")
    assert (probe.send_id, probe.challenge_id) == (sent.send_id, sent.challenge_id)
    assert Code.objects.count() == 1


def test_a_failed_trial_leaves_the_answer_as_it_was(made: Service) -> None:
    made.break_down("authentica", UNKNOWN)
    made.cool("authentica")
    made.rooms.clock.advance(seconds=10)
    assert made.answer().json()["challenge"]["delivery"] == "accepted"


def test_a_trial_by_default_runs_in_a_thread_of_its_own(build_rooms: BuildRooms) -> None:
    ran: list[str] = []
    done = threading.Event()

    def note() -> None:
        ran.append(threading.current_thread().name)
        done.set()

    courier._in_a_thread(note)
    assert done.wait(60)
    assert ran == ["gateway-trial"]


def test_a_cooling_gateway_is_the_last_resort_when_all_that_are_up_fail(made: Service) -> None:
    made.cool("authentica")
    made.break_down("twilio", REFUSED)
    answer = made.answer()
    assert answer.status_code == 200
    assert made.counts() == {"authentica": 1, "twilio": 1}


def test_all_down_is_an_honest_503_that_costs_nobody_their_quota(build_rooms: BuildRooms) -> None:
    made = service(build_rooms, OTP_MAX_PER_WINDOW="3", OTP_RESEND_COOLDOWN_SECONDS="60")
    made.break_down("authentica", BROKEN)
    made.break_down("twilio", BROKEN)
    assert made.ask() == 503
    phone = made.next_phone()
    for _ in range(4):
        answer = made.api.post("/api/auth/phone/request/", {"phone_number": phone})
        assert (answer.status_code, answer.json()["code"]) == (503, "delivery_failed")
        assert 1 <= int(answer["Retry-After"]) <= 5
    made.heal("twilio")
    made.rooms.clock.advance(seconds=2)
    assert made.api.post("/api/auth/phone/request/", {"phone_number": phone}).status_code == 200


def test_all_down_and_one_back_is_found_by_the_next_person_after_two_seconds(made: Service) -> None:
    made.break_down("authentica", BROKEN)
    made.break_down("twilio", UNAVAILABLE)
    for _ in range(12):
        made.ask()
    assert (made.state("authentica"), made.state("twilio")) == ("misconfigured", "cooling")
    made.heal("twilio")
    made.rooms.clock.advance(seconds=2)
    assert made.ask() == 200
    assert made.state("twilio") == "up"
    assert made.many(3) == {"twilio": 3}


def test_while_all_are_down_each_gateway_is_met_once_in_two_seconds(made: Service) -> None:
    made.break_down("authentica", BROKEN)
    made.break_down("twilio", BROKEN)
    made.ask()
    made.rooms.clock.advance(seconds=2)
    now = time.monotonic()
    made.health.circuits._monotonic = lambda: now  # twenty people within one moment
    assert made.many(20) == {"authentica": 1, "twilio": 1}


def test_a_probe_that_another_send_took_leaves_no_attempt_open(made: Service) -> None:
    for name in made.names:
        made.cool(name, BROKEN, times=1)
    plan = made.health.plan
    stale = plan(made.names, channel="sms", region="SA", avoid=frozenset())
    for name in made.names:
        made.health.claim(name, channel="sms")
    made.health.plan = lambda *args, **kwargs: stale  # type: ignore[method-assign]
    answer = made.answer()
    assert (answer.status_code, made.counts()) == (503, {"authentica": 0, "twilio": 0})
    assert list(Message.objects.values_list("state", "error_kind")) == [("failed", "cooling")]


def test_no_gateway_is_tried_twice_for_one_request(made: Service) -> None:
    for how in (UNKNOWN, UNAVAILABLE, REFUSED, BROKEN):
        made.break_down("authentica", how)
        made.break_down("twilio", how)
        for _ in range(4):
            made.ask()
            made.rooms.clock.advance(seconds=3)
    tries = Counter(Message.objects.exclude(error_kind="cooling").values_list("send_id", "provider"))
    assert set(tries.values()) == {1}


def test_the_first_resend_of_a_person_in_a_silent_outage_leaves_by_another_gateway(made: Service) -> None:
    first = made.answer().json()
    assert made.asked_by(lambda: made.api.post(RESEND, {"challenge_id": first["challenge_id"]})) == {"twilio": 1}


@pytest.mark.parametrize(
    ("left", "others", "share"),
    [(9.0, 1, 7.0), (5.0, 0, 5.0), (9.0, 2, 5.0), (5.0, 1, 3.0), (1.0, 1, 0.5), (0.9, 2, 0.3)],
)
def test_a_hanging_gateway_leaves_the_others_their_share_of_the_deadline(
    left: float, others: int, share: float
) -> None:
    assert courier._share(left, others=others) == pytest.approx(share)


class Stopwatch:
    """Runs only while a gateway hangs."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_three_hanging_gateways_end_within_the_deadline_of_one_send(
    build_rooms: BuildRooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = service(build_rooms, gateways=3, OTP_PROVIDER_TIMEOUT_SECONDS="4", OTP_SEND_DEADLINE_SECONDS="6")
    clock = Stopwatch()
    monkeypatch.setattr(courier, "time", clock)
    monkeypatch.setattr(base, "time", clock)

    def hang(order: Order) -> Receipt:
        clock.now += order.seconds_left()
        raise UNKNOWN

    for name in made.names[:2]:
        made.gateway(name).send = hang  # type: ignore[method-assign]
    assert made.answer().json()["challenge"]["delivery"] == "accepted"
    assert clock.now < 6
    assert made.counts()["whatsapp"] == 1


@needs_postgres()
def test_a_hanging_gateway_cannot_take_every_place_while_another_is_up(build_rooms: BuildRooms) -> None:
    made = service(build_rooms, OTP_GATEWAY_THREADS="9")
    release = threading.Event()
    hanging = made.gateway("authentica")

    def hang(order: Order) -> Receipt:
        AuditedGateway.send(hanging, order)
        release.wait(60)
        return Receipt()

    hanging.send = hang  # type: ignore[method-assign]
    threads = [threading.Thread(target=made.ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    while made.counts()["authentica"] < 6:
        time.sleep(0.01)
    assert made.many(5) == {"twilio": 5}
    release.set()
    for thread in threads:
        thread.join()
