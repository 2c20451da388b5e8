"""An operator's choice of gateway: in force at once, lifted by hand or by time, and said who made it."""

import time
from typing import Any

import pytest

from apps.accounts.models import AuditEvent
from apps.accounts.providers.base import Channel
from apps.accounts.services import wiring
from apps.ops.dashboard import dashboard
from apps.ops.tests.conftest import OperatorApi
from conftest import PHONE, Api, BuildRooms, RecordingGateway, Rooms

pytestmark = pytest.mark.django_db(transaction=True)
PATH, REQUEST = "/admin/otp/provider", "/api/auth/phone/request/"


@pytest.fixture
def two(build_rooms: BuildRooms) -> Rooms:
    """Two gateways, twilio before authentica, and the service's own health."""
    names = ("twilio", "authentica")
    return build_rooms(
        gateways=[RecordingGateway(name=name) for name in names],
        OTP_FALLBACK_PROVIDERS="authentica",
        AUTHENTICA_API_KEY="key",
    )


def states(api: Api) -> dict[str, str]:
    return {one["name"]: one["state"] for one in api.get("/otp/status").json()["providers"]}


def test_a_chosen_gateway_gets_the_next_message(two: Rooms, operator: OperatorApi, api: Api) -> None:
    answer = operator.post(PATH, {"provider": "authentica", "note": "outage"})
    assert answer.status_code == 200, answer.content
    assert (answer.json()["provider"], answer.json()["created_by"]) == ("authentica", "operator")
    api.post(REQUEST, {"phone_number": PHONE})
    assert (len(two.gateways["twilio"].orders), len(two.gateways["authentica"].orders)) == (0, 1)
    assert states(api) == {"twilio": "up", "authentica": "forced"}
    assert api.get("/otp/status").json()["status"] == "degraded"


def test_the_choice_is_lifted_without_a_body(two: Rooms, operator: OperatorApi, api: Api) -> None:
    operator.post(PATH, {"provider": "authentica"})
    assert operator.delete(PATH).json() == {"lifted": True}
    assert operator.delete(PATH).json() == {"lifted": False}
    api.post(REQUEST, {"phone_number": PHONE})
    assert len(two.gateways["twilio"].orders) == 1
    assert states(api) == {"twilio": "up", "authentica": "up"}


def test_the_choice_ends_by_itself(two: Rooms, operator: OperatorApi, api: Api) -> None:
    operator.post(PATH, {"provider": "authentica", "expires_in": 60})
    assert operator.get(PATH).json()["choice"]["provider"] == "authentica"
    two.clock.advance(seconds=61)
    assert operator.get(PATH).json()["choice"] is None


def test_it_can_be_read(two: Rooms, operator: OperatorApi) -> None:
    assert operator.get(PATH).json()["choice"] is None
    operator.post(PATH, {"provider": "authentica", "note": "outage"})
    shown = operator.get(PATH).json()
    assert shown["choice"]["note"] == "outage"
    assert [one["name"] for one in shown["providers"]] == ["twilio", "authentica"]


@pytest.mark.parametrize(
    "body",
    [
        {"provider": "nobody"},
        {"provider": "whatsapp"},
        {"provider": ""},
        {"provider": 5},
        {},
        {"provider": "twilio", "expires_in": -1},
    ],
)
def test_an_unknown_gateway_is_400(two: Rooms, operator: OperatorApi, body: dict[str, Any]) -> None:
    answer = operator.post(PATH, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert operator.get(PATH).json()["choice"] is None


def events(operator: OperatorApi, window: str = "1h") -> list[tuple[str, str]]:
    dashboard().forget()
    found = operator.get(f"/admin/otp/dashboard?window={window}").json()["events"]
    return [(one["event"], one["at"]) for one in found if one["event"].startswith("gateway.")]


def test_the_line_of_events_says_when_a_choice_ends_and_that_it_has(two: Rooms, operator: OperatorApi) -> None:
    ends = operator.post(PATH, {"provider": "authentica", "note": "outage", "expires_in": 600}).json()["expires_at"]
    ((event, began),) = events(operator)
    assert event == "gateway.chosen"
    told = operator.get("/admin/otp/dashboard?window=1h").json()["events"]
    assert next(one for one in told if one["event"] == event)["detail"]["until"] == ends
    two.clock.advance(seconds=601)
    assert events(operator) == [("gateway.expired", ends), ("gateway.chosen", began)]
    two.clock.advance(seconds=3300)  # chosen before what is shown, and ended within it
    assert events(operator) == [("gateway.expired", ends)]
    two.clock.advance(seconds=600)
    assert events(operator) == []


def test_a_choice_that_a_hand_ended_did_not_end_by_itself(two: Rooms, operator: OperatorApi) -> None:
    operator.post(PATH, {"provider": "authentica", "expires_in": 600})
    operator.post(PATH, {"provider": "twilio", "expires_in": 600})
    operator.delete(PATH)
    operator.post(PATH, {"provider": "authentica"})
    two.clock.advance(seconds=1200)
    assert [event for event, _ in events(operator)] == [
        "gateway.chosen", "gateway.lifted", "gateway.chosen", "gateway.chosen",
    ]  # fmt: skip


def test_each_change_is_audited(two: Rooms, operator: OperatorApi) -> None:
    operator.post(PATH, {"provider": "authentica", "note": "outage"})
    operator.delete(PATH, {"note": "over"})
    found = list(AuditEvent.objects.order_by("id").values_list("event", "actor", "subject", "note"))
    assert found == [
        ("gateway.chosen", "operator", "authentica", "outage"),
        ("gateway.lifted", "operator", "authentica", "over"),
    ]


def test_another_process_hears_of_it_within_a_second(two: Rooms, operator: OperatorApi, api: Api) -> None:
    other = wiring.build(two.services.config, clock=two.clock, providers=two.services.providers)
    assert other.health.states(["authentica"]) == {"authentica": "up"}
    operator.post(PATH, {"provider": "authentica"})
    time.sleep(1.0)
    plan = other.courier.plan(("twilio", "authentica"), channel=Channel.SMS, region="SA")
    assert plan.names[0] == "authentica"


@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_strangers_choose_nothing(two: Rooms, api: Api, method: str) -> None:
    assert getattr(api, method)(PATH).status_code == 401
