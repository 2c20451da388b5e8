"""Status, health and readiness: true within a second, and nobody waits for them."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest
from django.db import OperationalError

from apps.accounts.providers.base import Misconfigured
from apps.accounts.services import gateway_events, statements
from apps.accounts.services.gateway_health import GatewayHealth
from apps.accounts.services.limits import MemoryLimiter, ResilientLimiter
from apps.ops import board as board_module
from apps.ops import queries
from apps.ops.tests.conftest import ToldHealth
from conftest import Api, BuildRooms, RecordingGateway, Rooms

pytestmark = pytest.mark.django_db(transaction=True)
STATUS = "/otp/status"


class GoneRedis:
    """A store that is always gone; the limiter's health is what is under test elsewhere."""

    def __init__(self, *, settled: bool) -> None:
        self._settled = settled

    def settled(self, *, timeout_s: float = 0.3) -> bool:
        return self._settled


def with_redis(rooms: Rooms, *, up: bool, fallback: bool = True) -> None:
    limiter = ResilientLimiter(None, MemoryLimiter(), processes=1, memory_fallback=fallback)
    limiter.health = GoneRedis(settled=up)  # type: ignore[assignment]
    object.__setattr__(rooms.services, "limiter", limiter)


def test_the_status_says_what_the_contract_shows(rooms: Rooms, api: Api) -> None:
    answer = api.get(STATUS)
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "redis": "not configured",
        "database": "connected",
        "rateLimits": {
            "store": "memory",
            "phone": {"limit": 3, "window_seconds": 3600},
            "ip": {"limit": 5, "window_seconds": 3600},
            "device": {"limit": 5, "window_seconds": 3600},
            "cooldown_seconds": 60,
        },
        "providers": [{"name": "twilio", "channels": ["sms"], "state": "up", "primary": True}],
        "whatsapp": {"templateApproved": False, "rateLimitDoc": ""},
    }


@pytest.mark.parametrize("path", ["/api/auth/otp/status/", "/api/auth/otp/status"])
def test_the_api_has_the_same_status(rooms: Rooms, api: Api, path: str) -> None:
    assert api.get(path).json() == api.get(STATUS).json()


@pytest.mark.parametrize("path", ["/otp/status/", "/healthz/", "/readyz/", "/metrics/"])
def test_paths_that_never_had_a_slash_have_none(rooms: Rooms, api: Api, path: str) -> None:
    answer = api.get(path)
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


@pytest.mark.parametrize("path", ["/otp/status", "/healthz", "/readyz", "/metrics"])
def test_only_reading_is_allowed(rooms: Rooms, api: Api, path: str) -> None:
    answer = api.post(path, {})
    assert answer.status_code == 405
    assert answer["Allow"] == "GET, HEAD"


def test_the_approval_and_the_policy_of_the_template_are_shown(build_rooms: BuildRooms, api: Api) -> None:
    build_rooms(OTP_WHATSAPP_TEMPLATE_APPROVED="1", OTP_WHATSAPP_RATE_LIMIT_DOC="https://example.com/policy")
    assert api.get(STATUS).json()["whatsapp"] == {
        "templateApproved": True,
        "rateLimitDoc": "https://example.com/policy",
    }


@pytest.mark.parametrize(
    ("up", "fallback", "words", "store", "level"),
    [
        (True, True, "redis connected", "redis", "ok"),
        (False, True, "memory fallback", "memory", "degraded"),
        (False, False, "Redis unavailable", "none", "down"),
    ],
)
def test_redis_is_told_as_it_is(
    rooms: Rooms, api: Api, up: bool, fallback: bool, words: str, store: str, level: str
) -> None:
    with_redis(rooms, up=up, fallback=fallback)
    told = api.get(STATUS).json()
    assert (told["redis"], told["rateLimits"]["store"], told["status"]) == (words, store, level)
    assert api.get("/readyz").status_code == 200


def two_gateways() -> list[RecordingGateway]:
    return [RecordingGateway(name="twilio"), RecordingGateway(name="authentica")]


@pytest.mark.parametrize("state", ["cooling", "demoted", "misconfigured", "forced"])
def test_a_gateway_that_is_not_up_degrades(build_rooms: BuildRooms, api: Api, state: str) -> None:
    build_rooms(
        gateways=two_gateways(),
        health=ToldHealth(twilio=state),
        OTP_FALLBACK_PROVIDERS="authentica",
        AUTHENTICA_API_KEY="key",
    )
    told = api.get(STATUS).json()
    assert told["status"] == "degraded"
    assert [(gateway["name"], gateway["state"], gateway["primary"]) for gateway in told["providers"]] == [
        ("twilio", state, True),
        ("authentica", "up", False),
    ]


def test_with_no_usable_gateway_the_service_is_down_and_still_ready(build_rooms: BuildRooms, api: Api) -> None:
    build_rooms(health=ToldHealth(twilio="cooling"))
    assert api.get(STATUS).json()["status"] == "down"
    assert api.get("/readyz").status_code == 200


def slow(health: GatewayHealth) -> None:
    for seconds in [0.2] * 20 + [3.0] * 5:
        health.succeeded("twilio", channel="sms", seconds=seconds)


def without_whatsapp(health: GatewayHealth) -> None:
    health.failed("twilio", Misconfigured("63007"), channel="whatsapp", seconds=0.1)


@pytest.mark.parametrize(("befall", "state"), [(slow, "cooling"), (without_whatsapp, "misconfigured")])
def test_the_only_gateway_that_takes_codes_all_the_same_is_no_outage(
    build_rooms: BuildRooms, api: Api, befall: Callable[[GatewayHealth], None], state: str
) -> None:
    rooms = build_rooms()
    befall(cast(GatewayHealth, rooms.services.health))
    told = api.get(STATUS).json()
    assert (told["status"], told["providers"][0]["state"]) == ("degraded", state)
    assert api.post("/api/auth/phone/request/", {"phone_number": "+966501234567"}).status_code == 200


def test_a_gateway_that_refuses_our_credentials_is_misconfigured_at_once(build_rooms: BuildRooms, api: Api) -> None:
    rooms = build_rooms(
        gateways=two_gateways(), OTP_FALLBACK_PROVIDERS="authentica", AUTHENTICA_API_KEY="key",
    )  # fmt: skip
    rooms.gateway.always = Misconfigured("20003")
    assert api.post("/api/auth/phone/request/", {"phone_number": "+966501234567"}).status_code == 200
    told = api.get(STATUS).json()
    assert (told["status"], [one["state"] for one in told["providers"]]) == ("degraded", ["misconfigured", "up"])
    line = 'otp_gateway_state{provider="twilio",state="misconfigured"} 1.0'
    assert line in api.get("/metrics").content.decode().splitlines()
    assert [(one.before, one.after) for one in gateway_events.since(statements.now() - timedelta(minutes=1))] == [
        ("up", "misconfigured")
    ]


def test_a_gateway_that_is_named_but_switched_off_is_misconfigured(build_rooms: BuildRooms, api: Api) -> None:
    build_rooms(OTP_FALLBACK_PROVIDERS="authentica", AUTHENTICA_API_KEY="key")
    assert api.get(STATUS).json()["providers"][1] == {
        "name": "authentica",
        "channels": [],
        "state": "misconfigured",
        "primary": False,
    }


def test_a_database_that_is_gone_is_told_within_a_second(
    rooms: Rooms, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert api.get(STATUS).json()["database"] == "connected"
    monkeypatch.setattr(queries, "migrations_applied", gone)
    time.sleep(0.6)
    told = api.get(STATUS)
    assert told.status_code == 200
    assert (told.json()["status"], told.json()["database"]) == ("down", "unavailable")
    assert [gateway["state"] for gateway in told.json()["providers"]] == ["up"]
    not_ready = api.get("/readyz")
    assert not_ready.status_code == 503
    assert not_ready.json()["status"] == "not ready"
    monkeypatch.undo()
    time.sleep(0.6)
    assert api.get(STATUS).json()["status"] == "ok"
    assert api.get("/readyz").status_code == 200


def test_with_the_database_gone_the_gateways_are_as_the_last_beat_found_them_not_as_the_last_question_did(
    rooms: Rooms, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulse = rooms.services.pulse
    assert pulse is not None

    def states() -> list[str]:
        board_module.board().forget()
        return [gateway["state"] for gateway in api.get(STATUS).json()["providers"]]

    assert states() == ["up"]
    rooms.services.gateway_audits._mark("twilio", False, "credentials")
    pulse.beat()
    with monkeypatch.context() as patch:
        patch.setattr(queries, "migrations_applied", gone)
        assert states() == ["misconfigured"]
    assert states() == ["misconfigured"]
    rooms.services.gateway_audits._mark("twilio", True, "")
    pulse.beat()
    monkeypatch.setattr(queries, "migrations_applied", gone)
    assert states() == ["up"]


def test_missing_migrations_are_not_ready(rooms: Rooms, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "_wanted", lambda: frozenset({("accounts", "9999_of_tomorrow")}))
    answer = api.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["migrations"] == "missing"


def test_a_hundred_questions_are_one_look(rooms: Rooms, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def look() -> bool:
        looks.append(1)
        return True

    monkeypatch.setattr(queries, "migrations_applied", look)
    monkeypatch.setattr(board_module, "_board", None)
    started = time.monotonic()
    for _ in range(100):
        api.get(STATUS)
    assert len(looks) <= 1 + (time.monotonic() - started) / 0.5


def test_health_asks_nobody(rooms: Rooms, api: Api, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert api.get("/healthz").json() == {"status": "alive"}


def gone() -> bool:
    raise OperationalError("gone")
