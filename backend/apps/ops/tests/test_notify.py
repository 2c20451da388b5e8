"""Telling people that an incident is over: a dry run first, never twice, and none of the wrong people."""

import io
import time
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.accounts.models import AuditEvent, Notice
from apps.accounts.services.later import Work
from apps.ops import notifying
from apps.ops.affected import Person, people, window
from apps.ops.tests.conftest import OperatorApi
from conftest import OTHER_PHONE, PHONE, Api, BuildRooms, Rooms

pytestmark = pytest.mark.django_db(transaction=True)
REQUEST, VERIFY = "/api/auth/phone/request/", "/api/auth/phone/verify/"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let a test not wait between two people, and see for how long it would have."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


def notify(*arguments: str) -> str:
    out = io.StringIO()
    call_command("otp_notify", "--since", "1h", *arguments, stdout=out)
    return out.getvalue()


def test_without_send_nobody_is_told(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    out = notify()
    assert "1 people would be told." in out
    assert "Nothing was sent" in out
    assert not Notice.objects.exists()


def test_everybody_affected_is_told_once_in_their_language(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE}, accept_language="ar")
    api.post(REQUEST, {"phone_number": OTHER_PHONE})
    assert "2 people are told." in notify("--send", "--by", "amal", "--note", "Incident #123")
    assert sorted(Notice.objects.values_list("phone", "language", "kind")) == [
        (PHONE, "ar", "incident_over"),
        (OTHER_PHONE, "en", "incident_over"),
    ]
    event = AuditEvent.objects.get(event="incident.notified")
    assert (event.actor, event.note) == ("amal", "Incident #123")


def test_a_second_run_tells_nobody_again(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    notify("--send")
    out = notify("--send")
    assert "0 people are told." in out
    assert "1 left out: told already" in out
    assert Notice.objects.count() == 1


def test_a_run_that_was_stopped_goes_on_where_it_was(rooms: Rooms, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in range(4):
        api.post(REQUEST, {"phone_number": f"+96650123456{place}"}, x_forwarded_for=f"192.0.2.{place}")
    stopped = RuntimeError("killed")

    def stop_after_two(_: float) -> None:
        if Notice.objects.count() == 2:
            raise stopped

    monkeypatch.setattr(time, "sleep", stop_after_two)
    with pytest.raises(RuntimeError):
        notify("--send")
    monkeypatch.undo()
    monkeypatch.setattr(time, "sleep", lambda _: None)
    assert "2 people are told." in notify("--send")
    assert Notice.objects.count() == len(set(Notice.objects.values_list("phone", flat=True))) == 4


def test_two_runs_at_once_tell_each_person_once(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    made = rooms.services
    (person,) = people(window("1h", "", services=made), services=made)
    first, second = (notifying.Notifier(made, by=name) for name in ("a", "b"))
    assert [first._promise(person), second._promise(person)] == [True, False]
    assert Notice.objects.count() == 1


def test_the_wrong_people_are_left_out(build_rooms: BuildRooms, api: Api, operator: OperatorApi) -> None:
    rooms = build_rooms(PHONE_AUTH_IP_MAX_PER_WINDOW="0")
    for number in (PHONE, OTHER_PHONE, "+966501234560"):
        api.post(REQUEST, {"phone_number": number})
    operator.post("/admin/otp/blacklist", {"type": "phone", "value": OTHER_PHONE})
    made = rooms.services
    asked = people(window("1h", "", services=made), services=made)
    later = [Person(one.id, one.phone, one.first_request_at, "in_later", "en") for one in asked if one.phone == PHONE]
    others = [one for one in asked if one.phone != PHONE]
    tally = notifying.Notifier(made, by="x").tell([*later, *others], send=True)
    assert tally.told == 1
    assert dict(tally.left_out) == {"logged in meanwhile": 1, "blocked": 1}
    assert list(Notice.objects.values_list("phone", flat=True)) == ["+966501234560"]


def test_a_person_told_a_week_ago_may_be_told_of_another_incident(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    notify("--send")
    rooms.clock.advance(seconds=8 * 86_400)
    api.post(REQUEST, {"phone_number": PHONE})
    assert "1 people are told." in notify("--send")


def test_the_pace_leaves_room_for_logins(build_rooms: BuildRooms, api: Api, no_pauses: list[float]) -> None:
    build_rooms(OTP_GLOBAL_MAX_PER_MINUTE="120")
    api.post(REQUEST, {"phone_number": PHONE})
    notify("--send")
    assert no_pauses == [2.0]


def test_nothing_it_prints_is_a_number(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    assert PHONE[1:] not in notify() + notify("--send")


def test_a_window_that_is_none_is_refused() -> None:
    with pytest.raises(CommandError):
        call_command("otp_notify", "--since", "never", stdout=io.StringIO())


def test_the_promised_notice_is_work_for_the_worker(rooms: Rooms, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    promised: list[Any] = []
    monkeypatch.setattr(rooms.services.notices, "_later", lambda work, ids: promised.append((work, list(ids))))
    api.post(REQUEST, {"phone_number": PHONE})
    notify("--send")
    assert promised == [(Work.NOTICE, [Notice.objects.get().id])]
