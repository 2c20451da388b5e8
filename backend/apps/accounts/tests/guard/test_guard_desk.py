"""An operator sees what the guard holds back, and lifts it with a reason."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from apps.accounts.models import AuditEvent, GuardDecision, GuardStanding
from apps.accounts.services import audit, guard_rows, guard_rules
from apps.accounts.services.guard_desk import Actor
from apps.accounts.tests.guard.test_guard_door import ask, stand
from conftest import PHONE, Api, BuildRooms

pytestmark = pytest.mark.django_db(transaction=True)
NOTE = "a company's first day, checked by phone"


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("otp_guard", *arguments, stdout=out)
    return out.getvalue()


def test_what_is_held_back_is_listed_without_a_clients_address(build_rooms: BuildRooms) -> None:
    build_rooms(OTP_GUARD_MODE="enforce")
    stand("prefix", "+96650123", "paused", reason="sweep")
    stand("ip", "203.0.113.9", "paused", reason="many_countries")
    stand("country", "AE", "open")
    told = run("list")
    assert "prefix   +96650123          paused     sweep" in told
    assert "203.0.113.9" not in told
    assert "AE" not in told
    assert "mode enforce" in told
    assert {json.loads(line)["kind"] for line in run("list", "--json").splitlines()} == {"prefix", "ip"}


def test_a_lifted_prefix_is_open_at_once_and_the_act_is_on_record(build_rooms: BuildRooms, api: Api) -> None:
    rooms = build_rooms(OTP_GUARD_MODE="enforce")
    stand("prefix", "+96650123", "paused", reason="sweep", strikes=2)
    assert ask(api, PHONE).status_code == 403
    run("lift", "prefix", "+96650123", "--note", NOTE, "--actor", "ann")
    assert ask(api, PHONE).status_code == 200
    event = AuditEvent.objects.get(event="guard.lifted")
    assert (event.actor, event.subject, event.note) == ("ann", "+96650123", NOTE)
    decision = GuardDecision.objects.get()
    assert (decision.before, decision.after, decision.reason) == ("paused", "open", "lifted")
    rooms.clock.advance(seconds=120)
    rooms.services.guard_judge.judge()
    assert GuardStanding.objects.get(kind="prefix").state == "open"


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("country", "SA", "--note", NOTE), "not_found"),
        (("prefix", "+96650123", "--note", "short"), "invalid_request"),
    ],
)
def test_nothing_to_lift_or_no_reason_is_refused(
    build_rooms: BuildRooms, arguments: tuple[str, ...], fault: str
) -> None:
    build_rooms()
    stand("prefix", "+96650123", "paused")
    with pytest.raises(CommandError, match=fault):
        run("lift", *arguments)
    assert not AuditEvent.objects.filter(event="guard.lifted").exists()


def test_what_is_lifted_while_it_is_judged_stays_lifted(
    build_rooms: BuildRooms, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = build_rooms(OTP_GUARD_MODE="enforce")
    stand("country", "SA", "paused", reason="conversion")
    judged = guard_rules.judge

    def lifted_meanwhile(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr(guard_rules, "judge", judged)
        rulings = judged(*args, **options)
        run("lift", "country", "SA", "--note", NOTE)
        return rulings

    monkeypatch.setattr(guard_rules, "judge", lifted_meanwhile)
    rooms.services.guard_judge.judge()
    assert GuardStanding.objects.get(subject="SA").state == "open"
    assert ask(api, PHONE).status_code == 200


@pytest.mark.parametrize("fails", [audit, guard_rows])
def test_an_act_that_dies_half_way_is_neither_done_nor_on_record(
    build_rooms: BuildRooms, monkeypatch: pytest.MonkeyPatch, fails: Any
) -> None:
    rooms = build_rooms()
    stand("country", "SA", "paused", reason="conversion")

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fails, "record" if fails is audit else "_write", die)
    with pytest.raises(KeyboardInterrupt):
        rooms.services.guard_desk.lift("country", "SA", actor=Actor("ann"), note=NOTE)
    assert GuardStanding.objects.get().state == "paused"
    assert not AuditEvent.objects.exists()


def test_what_was_stopped_while_the_database_was_gone_is_counted_later(
    build_rooms: BuildRooms, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = build_rooms(OTP_GUARD_MODE="enforce")
    stand("prefix", "+96650123", "paused", reason="sweep")
    assert ask(api, PHONE).status_code == 403

    def gone(*_: Any, **__: Any) -> None:
        raise OperationalError

    with monkeypatch.context() as patched:
        patched.setattr(guard_rows, "count_stopped", gone)
        with pytest.raises(OperationalError):
            rooms.services.guard_judge.turn()
    rooms.services.guard_judge.turn()
    assert sum(GuardDecision.objects.values_list("stopped", flat=True)) == 1
