"""Whose login failed between two times."""

import csv
import io
import json
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.core.management import CommandError, call_command

from apps.accounts.phones import Phone
from apps.accounts.providers.base import Rejected
from apps.accounts.services import statements
from apps.ops.tests.conftest import OperatorApi
from conftest import OTHER_PHONE, PHONE, Api, BuildRooms, Rooms

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "/admin/otp/affected"
REQUEST, VERIFY = "/api/auth/phone/request/", "/api/auth/phone/verify/"


def people(operator: OperatorApi, since: str = "1h", until: str = "") -> list[dict[str, Any]]:
    answer = operator.get(f"{PATH}?since={quote(since)}" + (f"&until={quote(until)}" if until else ""))
    assert answer.status_code == 200, answer.content
    assert answer.json()["total"] == len(answer.json()["people"])
    return list(answer.json()["people"])


def test_who_asked_and_did_not_get_in_is_listed_masked(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    api.post(REQUEST, {"phone_number": OTHER_PHONE})
    api.post(VERIFY, {"phone_number": OTHER_PHONE, "otp": rooms.gateway.last_code})
    (person,) = people(operator)
    assert (person["phone_number"], person["outcome"]) == ("+966*****567", "not_delivered")
    assert person["id"] == rooms.services.number_ids.of(PHONE)[:16]


@pytest.mark.parametrize("outcome", ["not_sent", "wrong_codes", "in_later"])
def test_the_outcome_says_how_it_failed(rooms: Rooms, operator: OperatorApi, api: Api, outcome: str) -> None:
    if outcome == "not_sent":
        rooms.gateway.always = Rejected("30007")
    api.post(REQUEST, {"phone_number": PHONE})
    until = (statements.now() + rooms.clock.offset + timedelta(seconds=1)).isoformat()
    if outcome == "wrong_codes":
        code = f"{(int(rooms.gateway.last_code) + 1) % 1_000_000:06d}"
        challenge = api.post(VERIFY, {"phone_number": PHONE, "otp": code})
        assert challenge.status_code == 400
        rooms.clock.advance(seconds=61)
        sent = api.post(REQUEST, {"phone_number": PHONE}).json()
        api.post(VERIFY, {"challenge_id": sent["challenge_id"], "otp": code})
        until = ""
    if outcome == "in_later":
        rooms.clock.advance(seconds=1200)
        api.post(REQUEST, {"phone_number": PHONE})
        api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code})
    (person,) = people(operator, until=until)
    assert person["outcome"] == outcome


def test_a_login_within_the_codes_life_is_no_failure(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    until = (statements.now() + rooms.clock.offset + timedelta(seconds=1)).isoformat()
    rooms.clock.advance(seconds=120)
    api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code})
    assert people(operator, until=until) == []


def test_whom_we_turned_away_for_want_of_a_gateway_is_listed(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    rooms.services.refusals.note("delivery_failed", "cooling", Phone(PHONE, "SA"))
    rooms.services.refusals.note("rate_limited", "ip", Phone(OTHER_PHONE, "SA"))
    (person,) = people(operator)
    assert (person["phone_number"], person["outcome"]) == ("+966*****567", "refused_by_us")


def test_requests_outside_the_window_are_not_its_own(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    rooms.clock.advance(seconds=7200)
    assert people(operator, since="1h") == []
    assert len(people(operator, since="3h")) == 1


def test_test_numbers_are_nobody(build_rooms: BuildRooms, operator: OperatorApi, api: Api) -> None:
    build_rooms()
    api.post(REQUEST, {"phone_number": "+1234567890"})
    assert people(operator) == []


def test_times_are_read_with_and_without_a_zone(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    start = statements.now() - timedelta(minutes=5)
    for text in (
        start.strftime("%Y-%m-%dT%H:%M:%SZ"),
        start.strftime("%Y-%m-%d %H:%M:%S"),
        start.isoformat(),
        start.strftime("%Y-%m-%d"),
    ):
        assert len(people(operator, since=text)) == 1
    lost_plus = start.strftime("%Y-%m-%dT%H:%M:%S+00:00")
    assert operator.get(f"{PATH}?since={lost_plus}").json()["total"] == 1


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?since=",
        "?since=yesterday",
        "?since=2024-13-45",
        "?since=1h&until=2h",
        "?since=90d",
        "?since=1h&until=x",
        "?since=0001-01-01T00:00:00%2B14:00",
    ],
)
def test_what_is_no_window_is_400(rooms: Rooms, operator: OperatorApi, query: str) -> None:
    answer = operator.get(PATH + query)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_the_command_gives_csv_and_json(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    out = io.StringIO()
    call_command("otp_affected", "--since", "1h", "--csv", stdout=out)
    (row,) = csv.DictReader(io.StringIO(out.getvalue()))
    assert (row["phone_number"], row["outcome"]) == ("+966*****567", "not_delivered")
    out = io.StringIO()
    call_command("otp_affected", "--since", "1h", "--json", stdout=out)
    assert json.loads(out.getvalue())["total"] == 1
    out = io.StringIO()
    call_command("otp_affected", "--since", "1h", stdout=out)
    assert out.getvalue().splitlines()[-1] == "1 people: 1 not_delivered"
    with pytest.raises(CommandError):
        call_command("otp_affected", "--since", "never", stdout=io.StringIO())
