"""The one-statement steps write what the portable path writes, and where they decline they leave no trace."""

import json
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection

from apps.accounts.services import challenges, fused, statements
from apps.accounts.services.lanes import TryRules
from apps.accounts.services.model import Asker, Opened, Purpose
from conftest import PHONE, Api, BuildRooms, Rooms, needs_postgres

pytestmark = [pytest.mark.django_db(transaction=True), needs_postgres()]
REQUEST, RESEND, VERIFY = "/api/auth/phone/request/", "/api/auth/phone/resend/", "/api/auth/phone/verify/"
TABLES = (
    "phoneline", "failurelane", "code", "challenge", "message", "user", "session", "devicetoken", "auditevent",
    "recycledclaim",
)  # fmt: skip
RULES, NO_SHIFT = TryRules(per_challenge=5, per_day=50), timedelta()
# Drawn by lot, or the time: they differ from login to login on one path, too.
DRAWN = {
    "id", "code_id", "challenge_id", "nonce", "send_id", "support_code", "session_id", "user_id", "subject",
    "refresh_hash", "secret_hash", "request_id", "latency_ms",
}  # fmt: skip


def everything() -> dict[str, list[dict[str, Any]]]:
    """Return all rows that a login touches."""
    found = {}
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"SELECT to_jsonb(t) FROM accounts_{table} t ORDER BY id")
            found[table] = [row if isinstance(row, dict) else json.loads(row) for (row,) in cursor.fetchall()]
    return found


def comparable(rows: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows without what differs from login to login; times and stamps count as there or not there."""
    return {table: sorted((_comparable(row) for row in of_table), key=repr) for table, of_table in rows.items()}


def _comparable(row: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in row.items():
        if name in DRAWN or name.endswith(("_at", "_ms", "_time")) or name == "at":
            kept[name] = value not in (None, "")
        elif name in ("sends", "stamps"):
            kept[name] = len(json.loads(value))
        elif name == "detail":
            kept[name] = {**json.loads(value), "session": True}
        else:
            kept[name] = value
    return kept


def forget() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE " + ", ".join(f"accounts_{table}" for table in TABLES) + " CASCADE")


def story(rooms: Rooms, api: Api) -> list[dict[str, list[dict[str, Any]]]]:
    """Log somebody in three times, each in another way; return all rows after each call."""
    seen = []

    def call(path: str, body: dict[str, str], **headers: str) -> dict[str, Any]:
        answer = api.post(path, body, **headers)
        assert answer.status_code == 200, answer.content
        seen.append(comparable(everything()))
        found: dict[str, Any] = answer.json()
        return found

    about = {"device_id": "device-1", "device_name": "My phone"}
    call(
        REQUEST, {"phone_number": PHONE, **about}, user_agent="App/1", x_forwarded_for="10.1.2.3", accept_language="ar"
    )
    call(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code, "device_name": "My phone"}, user_agent="App/1")
    rooms.clock.advance(seconds=3700)
    challenge = call(REQUEST, {"phone_number": PHONE})["challenge_id"]
    call(VERIFY, {"challenge_id": challenge, "otp": rooms.gateway.last_code})
    rooms.clock.advance(seconds=3700)
    call(REQUEST, {"phone_number": PHONE, **about})
    call(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code, **about})
    return seen


def test_both_paths_write_the_same_rows(build_rooms: BuildRooms, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms = build_rooms()
    rooms.services.keys.ensure()
    forget()
    fused_rows = story(rooms, api)
    forget()
    rooms = build_rooms()
    monkeypatch.setattr(fused, "available", lambda: False)
    portable_rows = story(rooms, api)
    for step, (fused_now, portable_now) in enumerate(zip(fused_rows, portable_rows, strict=True)):
        for table in TABLES:
            assert fused_now[table] == portable_now[table], f"{table} after step {step}"


@pytest.fixture
def asked(rooms: Rooms, api: Api) -> str:
    """Somebody who has asked for a code; the id of the challenge."""
    rooms.services.keys.ensure()
    challenge: str = api.post(REQUEST, {"phone_number": PHONE}).json()["challenge_id"]
    return challenge


def change(sql: str, *params: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)


UNCLAIMABLE = {
    "no code is open": "UPDATE accounts_code SET state = 'dead'",
    "the code has expired": "UPDATE accounts_code SET expires_at = now() - interval '1 second'",
    "the code has no try left": "UPDATE accounts_code SET bare_attempts = 5",
    "only another purpose's code is open": "UPDATE accounts_code SET purpose = 'step_up'",
    "only a test number's code is open": "UPDATE accounts_code SET kind = 'test'",
    "a read-out code is open": "INSERT INTO accounts_code (id, phone, purpose, scope, kind, nonce, key_id, state, "
    "bare_attempts, created_at, expires_at, minted_by, own_code_sent, operator, note) SELECT 'read-out', phone, "
    "purpose, scope, 'readout', nonce, key_id, state, 0, created_at, expires_at, '', true, '', '' FROM accounts_code",
    "the lane has a failure": "INSERT INTO accounts_failurelane (phone, lane, stamps, since_login) "
    f"VALUES ('{PHONE}', 'phone', '[1]', 1)",
    "the lane is shut": "INSERT INTO accounts_failurelane (phone, lane, stamps, since_login) "
    f"VALUES ('{PHONE}', 'phone', '[]', 100)",
}


@pytest.mark.parametrize("how", UNCLAIMABLE)
def test_a_claim_by_phone_that_is_out_of_the_ordinary_leaves_no_trace(asked: str, how: str) -> None:
    change("INSERT INTO accounts_failurelane (phone, lane, stamps, since_login) VALUES (%s, 'phone', '[]', 3) "
           "ON CONFLICT DO NOTHING", "+966500000000")  # fmt: skip
    if "lane" not in how:
        change(
            "INSERT INTO accounts_failurelane (phone, lane, stamps, since_login) VALUES (%s, 'phone', '[]', 3)", PHONE
        )
    change(UNCLAIMABLE[how])
    before = everything()
    assert fused.claim_on_phone(PHONE, rules=RULES, offset=NO_SHIFT) is None
    assert everything() == before


def test_two_codes_that_are_open_are_claimed_together_newest_first(asked: str) -> None:
    change(
        "INSERT INTO accounts_code (id, phone, purpose, scope, kind, nonce, key_id, state, bare_attempts, created_at, "
        "expires_at, minted_by, own_code_sent, operator, note) SELECT 'later', phone, purpose, scope, kind, nonce, "
        "key_id, state, 0, created_at, expires_at + interval '1 minute', '', true, '', '' FROM accounts_code"
    )
    claim = fused.claim_on_phone(PHONE, rules=RULES, offset=NO_SHIFT)
    assert claim is not None
    assert [code.id == "later" for code in claim.codes] == [True, False]
    assert [row["bare_attempts"] for row in everything()["code"]] == [1, 1]


UNCLAIMABLE_CHALLENGE = {
    "it is locked": "UPDATE accounts_challenge SET status = 'locked'",
    "it is canceled": "UPDATE accounts_challenge SET status = 'canceled'",
    "it has no try left": "UPDATE accounts_challenge SET attempts = 5",
    "its code is used": "UPDATE accounts_code SET state = 'used'",
    "its code has expired": "UPDATE accounts_code SET expires_at = now() - interval '1 second'",
}


@pytest.mark.parametrize("how", UNCLAIMABLE_CHALLENGE)
def test_a_challenge_that_cannot_be_claimed_leaves_no_trace(asked: str, how: str) -> None:
    change(
        "INSERT INTO accounts_failurelane (phone, lane, stamps, since_login) VALUES (%s, 'challenge', '[]', 3)", PHONE
    )
    change(UNCLAIMABLE_CHALLENGE[how])
    before = everything()
    assert fused.claim_on_challenge(asked, rules=RULES, offset=NO_SHIFT) is None
    assert everything() == before


def test_an_unknown_challenge_makes_no_lane() -> None:
    assert fused.claim_on_challenge("0" * 32, rules=RULES, offset=NO_SHIFT) is None
    assert everything()["failurelane"] == []


def test_a_claim_on_a_challenge_counts_once_and_says_whose_it_is(asked: str) -> None:
    claim = fused.claim_on_challenge(asked, rules=RULES, offset=NO_SHIFT)
    assert claim is not None
    assert (claim.phone, claim.purpose, claim.scope, claim.attempts) == (PHONE, Purpose.LOGIN, "", 1)
    (lane,) = everything()["failurelane"]
    assert (lane["lane"], json.loads(lane["stamps"]), lane["since_login"]) == ("challenge", [claim.stamp], 1)
    assert fused.claim_on_challenge(asked, rules=RULES, offset=NO_SHIFT) is None  # the lane is no longer fresh


@pytest.mark.parametrize("lane", ["", "device:1", "test"])
def test_a_phone_that_was_touched_in_any_lane_takes_the_portable_path(
    rooms: Rooms, api: Api, lane: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with statements.durable():
        challenges.lock_line(PHONE, lane, offset=NO_SHIFT)
    opening = rooms.services.otp._opening
    assert opening._quiet_ms == 3_600_001
    taken: list[str] = []
    whole = opening._open_under_lock

    def noted(*args: Any, **kwargs: Any) -> Opened:
        taken.append("portable")
        return whole(*args, **kwargs)

    monkeypatch.setattr(opening, "_open_under_lock", noted)
    assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 200
    assert taken == ["portable"]
    rooms.clock.advance(seconds=3602)
    assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 200
    assert taken == ["portable"]


def test_a_refused_send_does_not_make_a_phone_quiet_again(build_rooms: BuildRooms, api: Api) -> None:
    rooms = build_rooms(OTP_MAX_PER_WINDOW="1")
    assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 200
    rooms.clock.advance(seconds=3000)
    assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 429
    rooms.clock.advance(seconds=601)
    assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 200
    assert [json.loads(row["sends"]) for row in everything()["phoneline"]] != [[]]


def test_a_code_that_was_used_meanwhile_is_not_used_again(rooms: Rooms, api: Api, asked: str) -> None:
    claim = fused.claim_on_phone(PHONE, rules=RULES, offset=NO_SHIFT)
    assert claim is not None
    change("UPDATE accounts_code SET state = 'used'")
    asker_knows_nothing = everything()
    found = rooms.services.ordinary_login.log_in(claim, claim.codes[0], asker=Asker(ip="10.0.0.1"))
    assert found is None
    assert everything() == asker_knows_nothing


@pytest.mark.parametrize("step", ["the statement", "what comes after it"])
def test_a_step_that_ended_a_circle_is_done_again_by_itself(
    rooms: Rooms, api: Api, asked: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    change(
        "INSERT INTO accounts_user (password, is_superuser, username, phone_number, subject, role, phone_verified, "
        "is_active, is_staff, is_test, created_at, parked_phone) VALUES ('!', false, 'sara', %s, 'sara', 'customer', "
        "true, false, false, false, now(), '')",
        PHONE,
    )
    room, name = (fused, "log_in") if step == "the statement" else (rooms.services.login, "finish")
    whole, ended = getattr(room, name), [psycopg.errors.DeadlockDetected()]

    def once(*args: Any, **kwargs: Any) -> Any:
        if ended:
            raise OperationalError from ended.pop()
        return whole(*args, **kwargs)

    monkeypatch.setattr(room, name, once)
    answer = api.post(VERIFY, {"challenge_id": asked, "otp": rooms.gateway.last_code})
    assert (answer.status_code, answer.json()["code"], ended) == (403, "account_disabled", [])
