"""Refusals are remembered without a statement of their own, however many there are."""

from typing import Any

import pytest
from django.db import OperationalError

from apps.accounts import telemetry
from apps.accounts.models import MinuteCount, RefusedSend
from apps.accounts.phones import Phone
from apps.accounts.services import refusals as refusals_module
from apps.accounts.services import statements
from apps.ops.tests.conftest import OperatorApi
from conftest import PHONE, Api, Rooms

pytestmark = pytest.mark.django_db(transaction=True)
REQUEST, VERIFY = "/api/auth/phone/request/", "/api/auth/phone/verify/"


@pytest.fixture
def rooms(rooms: Rooms) -> Rooms:
    """The services at the beginning of an hour: the rows that are counted here are one a minute, or one an hour."""
    rooms.begin_a_stretch(3600)
    return rooms


def test_a_refusal_is_counted_in_the_minute_and_for_the_number(rooms: Rooms, api: Api) -> None:
    for _ in range(3):
        api.post(REQUEST, {"phone_number": PHONE})
    rooms.services.refusals.flush()
    assert list(MinuteCount.objects.values_list("name", "label", "count")) == [("refused", "resend_cooldown", 2)]
    row = RefusedSend.objects.get()
    assert (row.code, row.count, row.phone) == ("resend_cooldown", 2, "")
    assert row.phone_key == rooms.services.number_ids.of(PHONE)
    assert PHONE not in str(RefusedSend.objects.values())


def test_later_ones_are_added(rooms: Rooms, api: Api, operator: OperatorApi) -> None:
    operator.post("/admin/otp/blacklist", {"type": "phone", "value": PHONE})
    for _ in range(2):
        api.post(REQUEST, {"phone_number": PHONE})
        rooms.services.refusals.flush()
    assert RefusedSend.objects.get().count == 2
    assert MinuteCount.objects.get().label == "blocked/phone"


@pytest.mark.parametrize("by", ["phone", "challenge"])
def test_tries_that_are_used_up_are_counted_where_the_others_are(
    rooms: Rooms, api: Api, operator: OperatorApi, by: str
) -> None:
    def told(scope: str) -> float:
        return float(telemetry.REFUSED.labels("too_many_attempts", scope)._value.get())

    sent = api.post(REQUEST, {"phone_number": PHONE}).json()
    named = {"phone_number": PHONE} if by == "phone" else {"challenge_id": sent["challenge_id"]}
    wrong, before = f"{(int(rooms.gateway.last_code) + 1) % 1_000_000:06d}", told(by)
    answers = [api.post(VERIFY, {**named, "otp": wrong}).status_code for _ in range(8)]
    assert answers == [400] * 5 + [429] * 3
    assert told(by) - before == 3
    assert operator.get("/admin/otp/dashboard?window=1h").json()["counters"]["rate_limited"] == 3
    row = RefusedSend.objects.get()
    assert (row.code, row.scope, row.count, row.phone) == ("too_many_attempts", by, 3, "")
    assert row.phone_key == rooms.services.number_ids.of(PHONE)


def test_a_pause_between_wrong_codes_is_counted_too(rooms: Rooms, api: Api) -> None:
    for _ in range(8):
        api.post(VERIFY, {"phone_number": PHONE, "otp": "123456"})
    rooms.services.refusals.flush()
    assert list(MinuteCount.objects.values_list("label", "count")) == [("too_many_attempts/phone_early", 3)]


def test_a_number_is_kept_where_we_failed_the_person(rooms: Rooms) -> None:
    rooms.services.refusals.note("delivery_failed", "cooling", Phone(PHONE, "SA"))
    rooms.services.refusals.flush()
    assert RefusedSend.objects.get().phone == PHONE


def test_a_flood_is_one_small_write(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr(refusals_module, "MOST_PHONES", 10)
    with django_assert_max_num_queries(0):
        for place in range(1000):
            rooms.services.refusals.note("rate_limited", "ip", Phone(f"+96650{place:07d}", "SA"))
    with django_assert_max_num_queries(6):  # the transaction's own are among them
        rooms.services.refusals.flush()
    assert MinuteCount.objects.get().count == 1000
    assert RefusedSend.objects.count() == 10


def test_nothing_refused_is_nothing_written(rooms: Rooms, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        rooms.services.refusals.flush()


def test_what_cannot_be_written_now_is_written_later(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms.services.refusals.note("rate_limited", "global", None)

    def gone() -> None:
        raise OperationalError

    monkeypatch.setattr(statements, "now", gone)
    rooms.services.refusals.flush()
    monkeypatch.undo()
    rooms.services.refusals.note("rate_limited", "global", None)
    rooms.services.refusals.flush()
    assert MinuteCount.objects.get().count == 2
