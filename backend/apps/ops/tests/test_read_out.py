"""Read-out codes: for a person who cannot receive one, made by a named operator for a reason."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts.models import AuditEvent, Challenge, Code, Message, Session, User
from apps.accounts.tests.working import work
from apps.ops.tests.conftest import OperatorApi
from conftest import PHONE, Api, BuildRooms, Rooms, needs_postgres

pytestmark = pytest.mark.django_db(transaction=True)
PATH, BLACKLIST = "/admin/otp/sessions", "/admin/otp/blacklist"
REQUEST, VERIFY, CHOOSE = "/api/auth/phone/request/", "/api/auth/phone/verify/", "/api/auth/phone/choose/"
WHY = "Incident #123: no delivery"


def make(operator: OperatorApi, number: str = PHONE, note: str = WHY) -> Any:
    return operator.post(PATH, {"phone_number": number, "note": note})


def test_the_code_is_never_sent_and_opens_one_manual_session(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    made = make(operator)
    assert made.status_code == 201
    assert set(made.json()) == {"code", "expires_in", "challenge_id"}
    assert made.json()["expires_in"] == 600
    assert rooms.gateway.orders == []
    login = api.post(VERIFY, {"phone_number": PHONE, "otp": made.json()["code"]})
    assert login.status_code == 200
    session = Session.objects.get()
    assert (session.amr, session.note) == ("manual", WHY)
    again = api.post(VERIFY, {"phone_number": PHONE, "otp": made.json()["code"]})
    assert (again.status_code, again.json()["code"]) == (400, "invalid_otp")
    assert Challenge.objects.get().status == "verified"


def test_the_access_token_says_manual(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    import base64
    import json

    access = api.post(VERIFY, {"phone_number": PHONE, "otp": make(operator).json()["code"]}).json()["access"]
    payload = access.split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["amr"] == ["manual"]


def test_it_is_separate_from_the_code_that_was_sent(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    sent = rooms.gateway.last_code
    code = make(operator).json()["code"]
    assert code != sent
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": sent}).status_code == 200
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": code}).status_code == 200


def test_the_device_that_waits_for_its_own_code_gets_in_with_it_too(
    rooms: Rooms, operator: OperatorApi, api: Api
) -> None:
    api.post(REQUEST, {"phone_number": PHONE, "device_id": "d-1"})
    code = make(operator).json()["code"]
    wrong = {"phone_number": PHONE, "otp": f"{(int(code) + 1) % 1_000_000:06d}", "device_id": "d-1"}
    assert api.post(VERIFY, wrong).status_code == 400
    login = api.post(VERIFY, {"phone_number": PHONE, "otp": code, "device_id": "d-1"})
    assert login.status_code == 200
    assert Session.objects.get().amr == "manual"


def test_it_lives_ten_minutes(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    code = make(operator).json()["code"]
    rooms.clock.advance(seconds=601)
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": code}).status_code == 400


def test_a_second_one_ends_the_first(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    first, second = make(operator).json(), make(operator).json()
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": first["code"]}).status_code == 400
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": second["code"]}).status_code == 200
    assert Challenge.objects.get(pk=first["challenge_id"]).status == "canceled"


@pytest.mark.parametrize("note", ["too short", "          ", "", "123456789 "])
def test_a_reason_of_less_than_ten_characters_is_400(rooms: Rooms, operator: OperatorApi, note: str) -> None:
    answer = make(operator, note=note)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["note"])
    assert not Code.objects.exists()


def test_without_a_reason_it_is_400(rooms: Rooms, operator: OperatorApi) -> None:
    assert operator.post(PATH, {"phone_number": PHONE}).status_code == 400


@pytest.mark.parametrize("number", ["0501234567", "+9660501234567", "+966112345678"])
def test_a_number_that_cannot_log_in_is_400(rooms: Rooms, operator: OperatorApi, number: str) -> None:
    answer = make(operator, number)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_phone_number")


def test_an_account_of_another_role_gets_none(rooms: Rooms, operator: OperatorApi) -> None:
    User.objects.create(username="staff", phone_number=PHONE, role="staff")
    answer = make(operator)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert not Code.objects.exists()


def test_a_disabled_account_gets_none(rooms: Rooms, operator: OperatorApi) -> None:
    User.objects.create(username="gone", phone_number=PHONE, is_active=False)
    assert make(operator).json()["code"] == "account_disabled"


def test_an_unknown_number_gets_none_where_nobody_may_sign_up(build_rooms: BuildRooms, operator: OperatorApi) -> None:
    build_rooms(PHONE_AUTH_ALLOW_SIGNUP="False")
    answer = make(operator)
    assert (answer.status_code, answer.json()["code"]) == (404, "user_not_found")


def test_a_blocked_number_gets_none(rooms: Rooms, operator: OperatorApi) -> None:
    operator.post(BLACKLIST, {"type": "phone", "value": PHONE})
    assert make(operator).json()["code"] == "blocked"


def test_a_block_kills_it(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    code = make(operator).json()["code"]
    operator.post(BLACKLIST, {"type": "phone", "value": PHONE})
    operator.delete(BLACKLIST, {"type": "phone", "value": PHONE})
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": code}).status_code == 400


def test_each_operator_makes_a_limited_number_an_hour(build_rooms: BuildRooms, operator: OperatorApi) -> None:
    rooms = build_rooms(ADMIN_READOUT_MAX_PER_HOUR="2", ADMIN_TOKENS="amal:" + "a" * 40)
    assert [make(operator).status_code for _ in range(2)] == [201, 201]
    refused = make(operator)
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert int(refused["Retry-After"]) > 0
    refused = make(operator)
    assert refused.json()["code"] == "rate_limited"
    assert 3500 < int(refused["Retry-After"]) <= 3600
    assert make(OperatorApi(token="a" * 40)).status_code == 201
    rooms.clock.advance(seconds=int(refused["Retry-After"]))
    assert make(operator).status_code == 201


@needs_postgres()
def test_parallel_calls_do_not_pass_the_limit(build_rooms: BuildRooms) -> None:
    build_rooms(ADMIN_READOUT_MAX_PER_HOUR="3")

    def one(_: int) -> int:
        try:
            return int(make(OperatorApi()).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(one, range(12)))
    assert sorted(found) == [201] * 3 + [429] * 9


def test_codes_and_sessions_are_listed_masked_and_without_the_code(
    rooms: Rooms, operator: OperatorApi, api: Api
) -> None:
    code = make(operator).json()["code"]
    api.post(VERIFY, {"phone_number": PHONE, "otp": code})
    rooms.clock.advance(seconds=1)  # they are listed by their time
    make(operator, "+447400123456")
    answer = operator.get(PATH)
    listed = answer.json()
    assert [(item["phone_number"], item["status"], item["operator"], item["note"]) for item in listed["codes"]] == [
        ("+447*****456", "open", "operator", WHY),
        ("+966*****567", "used", "operator", WHY),
    ]
    assert [(item["phone_number"], item["note"], item["revoked_at"]) for item in listed["sessions"]] == [
        ("+966*****567", WHY, None)
    ]
    text = answer.content.decode()
    assert PHONE not in text
    assert f'"{code}"' not in text


def test_a_note_revokes_its_codes_and_sessions(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    login = api.post(VERIFY, {"phone_number": PHONE, "otp": make(operator).json()["code"]}).json()
    code = make(operator, "+447400123456").json()["code"]
    other = make(operator, "+447400123457", note="Another incident").json()["code"]
    assert operator.delete(PATH, {"note": WHY}).json() == {"revoked": 2}
    assert api.get("/api/auth/status/", authorization=f"Bearer {login['access']}").status_code == 401
    assert api.post(VERIFY, {"phone_number": "+447400123456", "otp": code}).status_code == 400
    assert api.post(VERIFY, {"phone_number": "+447400123457", "otp": other}).status_code == 200
    assert operator.delete(PATH, {"note": WHY}).json() == {"revoked": 0}


@pytest.fixture
def silent(rooms: Rooms, operator: OperatorApi, api: Api) -> str:
    """The ticket that a read-out code got for a number that was silent for long."""
    seen = timezone.now() - timedelta(days=200)
    User.objects.create(username="silent", phone_number=PHONE, last_seen_at=seen)
    answer = api.post(VERIFY, {"phone_number": PHONE, "otp": make(operator).json()["code"]}).json()
    assert answer["account_choice_required"] is True
    ticket: str = answer["ticket"]
    return ticket


def test_a_session_by_the_choice_of_a_silent_number_is_as_manual_as_any_other(
    rooms: Rooms, operator: OperatorApi, api: Api, silent: str
) -> None:
    login = api.post(CHOOSE, {"ticket": silent, "choice": "new"}).json()
    session = Session.objects.get()
    assert (session.amr, session.note) == ("manual", WHY)
    assert [item["session_id"] for item in operator.get(PATH).json()["sessions"]] == [login["session_id"]]
    assert operator.delete(PATH, {"note": WHY}).json() == {"revoked": 1}
    assert api.get("/api/auth/status/", authorization=f"Bearer {login['access']}").status_code == 401


def test_a_note_revokes_the_choice_that_its_code_came_to(
    rooms: Rooms, operator: OperatorApi, api: Api, silent: str
) -> None:
    assert operator.delete(PATH, {"note": "Another incident"}).json() == {"revoked": 0}
    assert operator.delete(PATH, {"note": WHY}).json() == {"revoked": 1}
    assert api.post(CHOOSE, {"ticket": silent, "choice": "new"}).status_code == 400
    assert [event.note for event in AuditEvent.objects.filter(event="readout.revoked")] == [WHY]
    assert operator.delete(PATH, {"note": WHY}).json() == {"revoked": 0}


def test_one_session_is_revoked_by_its_id(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    login = api.post(VERIFY, {"phone_number": PHONE, "otp": make(operator).json()["code"]}).json()
    assert operator.delete(PATH, {"session_id": login["session_id"]}).json() == {"revoked": 1}
    assert operator.delete(PATH, {"session_id": login["session_id"]}).json() == {"revoked": 0}
    assert operator.delete(PATH, {"session_id": "nobody's"}).json() == {"revoked": 0}
    assert api.get("/api/auth/status/", authorization=f"Bearer {login['access']}").status_code == 401


def test_nothing_named_is_400(rooms: Rooms, operator: OperatorApi) -> None:
    assert operator.delete(PATH, {}).status_code == 400
    assert operator.delete(PATH).status_code == 400


def test_each_act_is_audited_once_without_code_or_number(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    code = make(operator).json()["code"]
    operator.delete(PATH, {"note": WHY})
    found = list(AuditEvent.objects.order_by("id").values_list("event", "actor", "note"))
    assert found == [("readout.made", "operator", WHY), ("readout.revoked", "operator", WHY)]
    rows = str(list(AuditEvent.objects.values()))
    assert PHONE not in rows
    assert f"'{code}'" not in rows
    assert not Message.objects.exists()


@pytest.mark.parametrize("has_an_account", [True, False])
def test_the_number_is_told_once_and_in_its_language(
    rooms: Rooms, operator: OperatorApi, api: Api, has_an_account: bool
) -> None:
    if has_an_account:
        User.objects.create(username="one", phone_number=PHONE)
    api.post(REQUEST, {"phone_number": PHONE}, accept_language="ar")
    code = make(operator).json()["code"]
    work()
    assert api.post(VERIFY, {"phone_number": PHONE, "otp": code}).json()["is_new_user"] is not has_an_account
    work()
    _, notice = rooms.gateway.orders
    assert (notice.to, notice.language, notice.code) == (PHONE, "ar", None)
    assert "لرقمك" in notice.text
    assert code not in notice.text


def test_a_number_that_never_asked_is_told_too(rooms: Rooms, operator: OperatorApi) -> None:
    make(operator)
    work()
    (notice,) = rooms.gateway.orders
    assert "support made a login code for your number" in notice.text


def test_a_refused_code_tells_nobody(rooms: Rooms, operator: OperatorApi) -> None:
    User.objects.create(username="staff", phone_number=PHONE, role="staff")
    make(operator)
    work()
    assert rooms.gateway.orders == []


def test_no_table_holds_the_code(rooms: Rooms, operator: OperatorApi) -> None:
    code = make(operator).json()["code"]
    assert code not in str(list(Code.objects.values_list("phone", "state", "key_id", "operator", "note", "minted_by")))


def test_five_tries_an_address_and_the_person_elsewhere_still_gets_in(rooms: Rooms, operator: OperatorApi) -> None:
    from django.test import Client

    code = make(operator).json()["code"]
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    stranger, person = Client(REMOTE_ADDR="192.0.2.1"), Client(REMOTE_ADDR="192.0.2.2")

    def verify(client: Client, otp: str) -> int:
        return client.post(VERIFY, {"phone_number": PHONE, "otp": otp}, content_type="application/json").status_code

    for _ in range(8):
        verify(stranger, wrong)
    assert verify(stranger, code) != 200
    assert verify(person, code) == 200
