"""`/metrics`: for whoever has its token, with the state of the service in it."""

import re
from collections import Counter
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from apps.accounts.services.later import Work
from apps.accounts.services.limits import LimiterUnavailable
from apps.accounts.tasks import later
from apps.ops import queries
from conftest import BASE_ENVIRON, PHONE, Api, BuildRooms, Rooms

pytestmark = pytest.mark.django_db(transaction=True)
PRODUCTION = {
    "DEBUG": "False",
    "ALLOWED_HOSTS": "testserver",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "OTP_TEST_NUMBERS": "",
}


def test_with_debug_anybody_may_read(rooms: Rooms, api: Api) -> None:
    answer = api.get("/metrics")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=")


@pytest.mark.parametrize("shown", ["", "Bearer", "Bearer wrong", "Basic abc", "Bearer \xff", "Bearer رمز"])
def test_in_production_it_takes_the_token(build_rooms: BuildRooms, api: Api, shown: str) -> None:
    build_rooms(**PRODUCTION)
    answer = api.get("/metrics", **({"authorization": shown} if shown else {}))
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"
    right = api.get("/metrics", authorization=f"Bearer {BASE_ENVIRON['METRICS_TOKEN']}")
    assert right.status_code == 200


def test_without_a_token_production_tells_nobody(build_rooms: BuildRooms, api: Api) -> None:
    build_rooms(**PRODUCTION, METRICS_TOKEN="")
    assert api.get("/metrics", authorization="Bearer ").status_code == 401
    assert api.get("/metrics", authorization="Bearer x").status_code == 401


def test_the_state_is_in_it(rooms: Rooms, api: Api) -> None:
    text = api.get("/metrics").content.decode()
    for line in (
        'otp_status{level="ok"} 1.0',
        "otp_database_up 1.0",
        "otp_redis_lost 0.0",
        'otp_gateway_state{provider="twilio",state="up"} 1.0',
        'otp_gateway_state{provider="twilio",state="cooling"} 0.0',
    ):
        assert line in text.splitlines()


def test_what_happened_is_counted(rooms: Rooms, api: Api) -> None:
    before = _count(api, 'otp_requests_total{channel="sms",kind="request",purpose="login"}')
    api.post("/api/auth/phone/request/", {"phone_number": "+966501234567"})
    assert _count(api, 'otp_requests_total{channel="sms",kind="request",purpose="login"}') == before + 1


@pytest.mark.parametrize("by", ["challenge_id", "phone_number"])
def test_every_code_that_lets_somebody_in_is_counted_once(rooms: Rooms, api: Api, by: str) -> None:
    before = _count(api, 'otp_verified_total{purpose="login"}')
    asked = api.post("/api/auth/phone/request/", {"phone_number": PHONE}).json()
    named = {"challenge_id": asked["challenge_id"], "phone_number": PHONE}[by]
    for status in (200, 400):  # the second time it is used up
        assert api.post("/api/auth/phone/verify/", {by: named, "otp": rooms.gateway.last_code}).status_code == status
    assert _count(api, 'otp_verified_total{purpose="login"}') == before + 1


def test_each_send_is_one_decision_of_the_limits_and_a_guess_is_none(build_rooms: BuildRooms, api: Api) -> None:
    rooms = build_rooms(PHONE_AUTH_IP_MAX_FAILURES_PER_WINDOW="1")
    before = _decisions(api)
    api.post("/api/auth/phone/request/", {"phone_number": PHONE})
    assert _since(before, _decisions(api)) == {("admitted", ""): 1}
    api.post("/api/auth/phone/request/", {"phone_number": PHONE})
    assert _since(before, _decisions(api)) == {("admitted", ""): 1, ("refused", "cooldown"): 1}
    wrong = f"{(int(rooms.gateway.last_code) + 1) % 1_000_000:06d}"
    answers = [api.post("/api/auth/phone/verify/", {"phone_number": PHONE, "otp": wrong}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [400, 429, 429]
    assert _since(before, _decisions(api)) == {("admitted", ""): 1, ("refused", "cooldown"): 1}


def test_a_send_that_nothing_could_judge_is_one_refusal_by_the_store(
    rooms: Rooms, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(limits: object) -> None:
        raise LimiterUnavailable

    monkeypatch.setattr(rooms.services.limiter, "admit", gone)
    before = _decisions(api)
    assert api.post("/api/auth/phone/request/", {"phone_number": PHONE}).status_code == 503
    assert _since(before, _decisions(api)) == {("refused", "store"): 1}


def _decisions(api: Api) -> Counter[tuple[str, str]]:
    found = re.findall(
        r'^otp_limit_decisions_total{decision="(\w+)",scope="(\w*)"} ([0-9.]+)$',
        api.get("/metrics").content.decode(),
        re.MULTILINE,
    )
    return Counter({(decision, scope): int(float(count)) for decision, scope, count in found})


def _since(before: Counter[tuple[str, str]], now: Counter[tuple[str, str]]) -> dict[tuple[str, str], int]:
    return dict(now - before)


def _count(api: Api, series: str) -> float:
    for line in api.get("/metrics").content.decode().splitlines():
        if line.startswith(series + " "):
            return float(line.rpartition(" ")[2])
    return 0.0


def test_the_audit_tail_the_waiting_work_and_the_clocks_are_in_it(rooms: Rooms, api: Api) -> None:
    api.post("/admin/otp/blacklist", {"type": "phone", "value": PHONE}, x_admin_token=BASE_ENVIRON["ADMIN_TOKEN"])
    assert _count(api, "otp_audit_unsealed_records") == 1
    assert _count(api, "otp_blocks_in_force") == 1
    assert _count(api, "otp_tasks_waiting") == 0
    assert abs(_count(api, 'otp_clock_skew_seconds{store="database"}')) < 1
    assert 'otp_clock_skew_seconds{store="database"}' in api.get("/metrics").content.decode()


def test_work_that_no_worker_takes_is_counted_and_has_an_age(rooms: Rooms, api: Api) -> None:
    later(Work.NOTICE, ["0" * 32])
    later(Work.SEND_ON, ["0" * 32])
    DBTaskResult.objects.update(enqueued_at=timezone.now() - timedelta(minutes=5))
    assert _count(api, "otp_tasks_waiting") == 2
    assert _count(api, "otp_tasks_oldest_seconds") >= 300
    # What a worker has begun, and what is for a later hour, does not wait for anybody.
    first, second = DBTaskResult.objects.all()
    DBTaskResult.objects.filter(pk=first.pk).update(status="RUNNING")
    DBTaskResult.objects.filter(pk=second.pk).update(run_after=timezone.now() + timedelta(hours=1))
    assert (_count(api, "otp_tasks_waiting"), _count(api, "otp_tasks_oldest_seconds")) == (0, 0)


def test_no_name_is_described_twice(rooms: Rooms, api: Api) -> None:
    described = [line.split()[2] for line in api.get("/metrics").content.decode().splitlines() if line[:6] == "# TYPE"]
    assert len(described) == len(set(described))


def test_with_the_database_gone_it_still_answers(rooms: Rooms, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> bool:
        raise OperationalError

    monkeypatch.setattr(queries, "migrations_applied", gone)
    answer = api.get("/metrics")
    assert answer.status_code == 200
    lines = answer.content.decode().splitlines()
    assert "otp_database_up 0.0" in lines
    # Its absence is the alert that nobody answers at all.
    assert 'otp_build_info{version=""} 1.0' in lines
