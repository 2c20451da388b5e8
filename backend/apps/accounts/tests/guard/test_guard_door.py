"""The guard as callers meet it: what is refused and how, who passes all the same, what is written down."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.accounts.models import GuardDecision, GuardHour, GuardLease, GuardStanding
from apps.accounts.services import changes, guard_rows, guard_stats, statements
from apps.accounts.services.guard_thread import GuardThread
from apps.accounts.tests.guard.world import past
from conftest import PHONE, Api, BuildRooms, Rooms, needs_postgres

pytestmark = pytest.mark.django_db(transaction=True)
REQUEST, RESEND, VERIFY = "/api/auth/phone/request/", "/api/auth/phone/resend/", "/api/auth/phone/verify/"


@pytest.fixture
def rooms(build_rooms: BuildRooms) -> Rooms:
    """The guard enforcing; addresses are not what these tests are about."""
    return build_rooms(OTP_GUARD_MODE="enforce", PHONE_AUTH_IP_MAX_PER_WINDOW="0")


def stand(kind: str, subject: str, state: str, **fields: Any) -> None:
    """Write a standing and tell the processes, as the judge does."""
    now = statements.now()
    values = {"since": now, "changed_at": now, "until": now + timedelta(hours=1), "state": state, **fields}
    with statements.durable():
        revision = changes.bump(guard_rows.CHANGES)
        GuardStanding.objects.update_or_create(kind=kind, subject=subject, defaults={**values, "revision": revision})


def refresh(rooms: Rooms) -> None:
    rooms.services.guard.forget()


def ask(api: Api, phone: str = PHONE, **headers: str) -> Any:
    return api.post(REQUEST, {"phone_number": phone}, **headers)


@pytest.mark.parametrize(("kind", "subject"), [("country", "SA"), ("prefix", "+96650123")])
def test_a_paused_country_or_prefix_is_country_not_allowed(rooms: Rooms, api: Api, kind: str, subject: str) -> None:
    stand(kind, subject, "paused")
    answer = ask(api)
    assert (answer.status_code, answer.json()["code"]) == (403, "country_not_allowed")
    assert rooms.gateway.orders == []
    assert ask(api, "+966559999999").status_code == (403 if kind == "country" else 200)


def test_a_pause_ends_when_its_time_is_over(rooms: Rooms, api: Api) -> None:
    stand("country", "SA", "paused")
    assert ask(api).status_code == 403
    rooms.clock.advance(seconds=3601)
    assert ask(api).status_code == 200


def test_a_change_reaches_a_process_within_a_second_without_being_told(build_rooms: BuildRooms, api: Api) -> None:
    rooms = build_rooms(OTP_GUARD_MODE="enforce", PHONE_AUTH_IP_MAX_PER_WINDOW="0")
    ticks = [1000.0]
    rooms.services.guard._monotonic = lambda: ticks[0]
    assert ask(api).status_code == 200
    stand("country", "SA", "paused")
    ticks[0] += 0.6
    assert ask(api, "+966501234999").status_code == 403


def test_a_full_cap_is_rate_limited_for_the_whole_service_with_a_true_wait(rooms: Rooms, api: Api) -> None:
    answers = [ask(api, f"+23276{n:06d}") for n in range(21)]
    assert [answer.status_code for answer in answers] == [200] * 20 + [429]
    problem = answers[-1].json()
    assert (problem["code"], problem["scope"]) == ("rate_limited", "global")
    assert 590 <= int(answers[-1]["Retry-After"]) <= 600
    rooms.clock.advance(seconds=int(answers[-1]["Retry-After"]))
    assert ask(api, "+23276000999").status_code == 200


def test_a_refused_send_takes_nothing_from_the_persons_own_limits(rooms: Rooms, api: Api) -> None:
    for number in range(20):
        ask(api, f"+23276{number:06d}")
    assert ask(api, "+23276000999").status_code == 429
    rooms.clock.advance(seconds=601)
    assert ask(api, "+23276000999").json()["challenge"]["sends_left"] == 2


def test_sixty_countries_at_once_cost_no_more_than_one_common_cap(rooms: Rooms, api: Api) -> None:
    prefixes = ["+23276{:06d}", "+99450{:07d}", "+99890{:07d}", "+25078{:07d}", "+25675{:07d}"]
    answers = [ask(api, prefix.format(n * 13)).status_code for n in range(18) for prefix in prefixes]
    assert answers.count(200) == 60
    assert set(answers[60:]) == {429}


def test_who_verifies_gives_their_country_room_at_once(rooms: Rooms, api: Api) -> None:
    for number in range(60):
        phone = f"+97150{number * 10_007 % 10_000_000:07d}"
        assert ask(api, phone).status_code == 200
        done = api.post(VERIFY, {"phone_number": phone, "otp": rooms.gateway.last_code})
        assert done.status_code == 200


def test_a_known_device_passes_pauses_and_full_caps(rooms: Rooms, api: Api) -> None:
    ask(api)
    login = api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code}).json()
    stand("country", "SA", "paused")
    stand("prefix", "+96650123", "paused")
    refresh(rooms)
    rooms.clock.advance(seconds=61)
    assert ask(api).status_code == 403
    assert ask(api, x_device_token=login["device_token"]).status_code == 200


def test_a_resend_is_a_send(rooms: Rooms, api: Api) -> None:
    challenge = ask(api).json()["challenge_id"]
    rooms.clock.advance(seconds=61)
    stand("prefix", "+96650123", "paused")
    refresh(rooms)
    assert api.post(RESEND, {"challenge_id": challenge}).status_code == 403
    done = api.post(VERIFY, {"challenge_id": challenge, "otp": rooms.gateway.last_code})
    assert done.status_code == 200


def test_an_address_that_asked_for_many_countries_waits(rooms: Rooms, api: Api) -> None:
    stand("ip", "127.0.0.1", "paused")
    answer = ask(api)
    assert (answer.status_code, answer.json()["scope"]) == (429, "ip")
    assert 3500 <= int(answer["Retry-After"]) <= 3600


def test_one_address_that_asks_for_many_countries_is_found_out(rooms: Rooms, api: Api) -> None:
    for phone in ("+23276123456", "+994501234567", "+998901234567", "+250781234567"):
        assert ask(api, phone).status_code == 200
    rooms.clock.advance(seconds=120)
    rooms.services.guard_judge.judge()
    decision = GuardDecision.objects.get(kind="ip")
    assert (decision.after, decision.reason) == ("paused", "many_countries")
    assert json.loads(decision.evidence)["countries"] == 4
    refresh(rooms)
    assert ask(api).status_code == 429


def test_a_test_number_is_nobodys_country(rooms: Rooms, api: Api) -> None:
    stand("country", "ZZ", "paused")
    assert ask(api, "+1234567890").status_code == 200


def test_observing_refuses_nothing_and_asks_nothing(build_rooms: BuildRooms, api: Api) -> None:
    rooms = build_rooms(PHONE_AUTH_IP_MAX_PER_WINDOW="0")
    stand("country", "SL", "paused")
    assert [ask(api, f"+23276{n:06d}").status_code for n in range(25)] == [200] * 25
    assert rooms.services.guard._read_at == float("-inf")


def test_known_and_unknown_numbers_are_refused_alike(rooms: Rooms, api: Api) -> None:
    ask(api)
    api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code})
    rooms.clock.advance(seconds=61)
    stand("prefix", "+96650123", "paused")
    refresh(rooms)
    known, unknown = ask(api), ask(api, "+966501239876")
    assert known.status_code == unknown.status_code == 403
    told = [{**a.json(), "request_id": ""} for a in (known, unknown)]
    assert told[0] == told[1]


def test_what_is_stopped_is_counted_on_its_decision(rooms: Rooms, api: Api) -> None:
    for number in range(25):
        ask(api, f"+23276{number * 50:06d}")
    rooms.services.guard_judge.turn()
    capped = GuardDecision.objects.get(kind="country", subject="SL", reason="cap")
    assert (capped.stopped, capped.mode, capped.after) == (5, "enforce", "slow")
    rooms.clock.advance(seconds=120)
    rooms.services.guard_judge.judge()
    refresh(rooms)
    for number in range(50, 57):
        assert ask(api, f"+23276{number * 50:06d}").status_code == 403
    rooms.services.guard_judge.turn()
    assert GuardDecision.objects.get(kind="country", subject="SL", after="paused").stopped == 7


def test_a_million_refusals_leave_as_many_rows_as_there_are_subjects(rooms: Rooms, api: Api) -> None:
    stand("country", "SA", "paused")
    refresh(rooms)
    for _ in range(5):
        for number in range(20):
            assert ask(api, f"+966559{number:06d}").status_code == 403
        rooms.services.guard_judge.turn()
    assert GuardDecision.objects.count() == 1
    assert GuardDecision.objects.get().stopped == 100


def test_no_standing_and_no_decision_holds_a_full_number(rooms: Rooms, api: Api) -> None:
    for number in range(22):
        ask(api, f"+23276{number:06d}")
    rooms.clock.advance(seconds=120)
    rooms.services.guard_judge.turn()
    written = [*GuardStanding.objects.values(), *GuardDecision.objects.values()]
    assert written
    assert "+232760000" not in " ".join(str(row) for row in written)


def test_one_process_judges_and_another_takes_over(build_rooms: BuildRooms) -> None:
    first = build_rooms(OTP_GUARD_MODE="enforce").services.guard_judge
    second_rooms = build_rooms(OTP_GUARD_MODE="enforce")
    second = second_rooms.services.guard_judge
    assert first.turn() is True
    assert second.turn() is False
    second_rooms.clock.advance(seconds=guard_rows.LEASE_SECONDS + 1)
    assert second.turn() is True
    assert GuardLease.objects.count() == 1


def test_the_judge_rests_between_two_looks(rooms: Rooms) -> None:
    judge = rooms.services.guard_judge
    judge._monotonic = lambda: 1000.0
    assert judge.turn() is True
    assert judge.turn() is False
    judge._monotonic = lambda: 1060.0
    assert judge.turn() is True


@needs_postgres()
def test_the_thread_judges_by_itself(rooms: Rooms, api: Api) -> None:
    for number in range(22):
        ask(api, f"+23276{number:06d}")
    thread = GuardThread(rooms.services.guard_judge)
    thread.start()
    try:
        deadline = datetime.now(UTC) + timedelta(seconds=60)
        while not GuardDecision.objects.exists() and datetime.now(UTC) < deadline:
            time.sleep(0.02)
    finally:
        thread.stop()
    assert GuardDecision.objects.filter(subject="SL").exists()


def test_hours_are_counted_once_and_teach_what_is_usual(build_rooms: BuildRooms, api: Api) -> None:
    rooms = build_rooms(PHONE_AUTH_IP_MAX_PER_WINDOW="0")
    rooms.begin_a_stretch(3600)
    for number in range(6):
        phone = f"+96650555{number:04d}"
        ask(api, phone)
        if number:
            api.post(VERIFY, {"phone_number": phone, "otp": rooms.gateway.last_code})
    prices, policy = rooms.services.config.prices, rooms.services.guard.policy
    now = (statements.now() + rooms.clock.offset + timedelta(hours=3)).replace(minute=30)
    assert guard_stats.count_hours(now, days=28, prices=prices) >= 3
    assert guard_stats.count_hours(now, days=28, prices=prices) == 1  # the present hour alone
    hour = GuardHour.objects.get(country="SA")
    assert (hour.codes, hour.verified, hour.messages, hour.spent, hour.final) == (6, 5, 6, 1_200_000, True)
    assert guard_stats.pasts(now, policy)["SA"].recent_verified == 5


def test_old_hours_and_decisions_are_forgotten(rooms: Rooms) -> None:
    past("SA", days=1, an_hour=3, now=statements.now() - timedelta(days=500))
    guard_rows.count_stopped({("country", "SA"): 1}, mode="enforce", now=statements.now() - timedelta(days=100))
    guard_stats.purge(statements.now())
    assert not GuardHour.objects.exists()
    assert not GuardDecision.objects.exists()
