"""An account's end and its own data over HTTP: deletion, erasure, export, sessions, disabling, and the public keys."""

import json
import re
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client

from apps.accounts.models import AuditEvent, Challenge, Code, DeviceToken, Message, PhoneLine, Session, User
from apps.accounts.tests.stories.people import OTP_REQUEST, OTP_VERIFY, Visitor, problem, wrong
from conftest import OTHER_PHONE, PHONE, Api, BuildRooms, Rooms

pytestmark = pytest.mark.django_db(transaction=True)
ACCOUNT, EXPORT, SESSIONS = "/api/auth/account/", "/api/auth/account/export/", "/api/auth/sessions/"
REFRESH, JWKS = "/api/auth/token/refresh/", "/.well-known/jwks.json"
DAY = 86_400


@pytest.fixture
def sara(build_rooms: BuildRooms, api: Api) -> Visitor:
    rooms = build_rooms(OTP_MAX_PER_WINDOW="50", PHONE_AUTH_IP_MAX_PER_WINDOW="500")
    return Visitor(rooms, api, device_id="saras-phone").login()


def delete(visitor: Visitor) -> Any:
    access = visitor.step_up()
    return visitor.api.delete(ACCOUNT, authorization=f"Bearer {access}")


def export(visitor: Visitor) -> dict[str, Any]:
    answer = visitor.api.get(EXPORT, authorization=f"Bearer {visitor.step_up()}")
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def test_deletion_and_export_need_a_step_up_token(sara: Visitor) -> None:
    assert problem(sara.api.delete(ACCOUNT, **sara.bearer)) == (403, "step_up_required")
    assert problem(sara.api.get(EXPORT, **sara.bearer)) == (403, "step_up_required")
    assert problem(sara.api.delete(ACCOUNT)) == (401, "not_authenticated")
    assert sara.status().status_code == 200


def test_a_deleted_account_is_out_of_use_at_once_on_every_device(sara: Visitor) -> None:
    other = Visitor(sara.rooms, sara.api, device_id="tablet").login()
    step_up = sara.step_up()
    answer = sara.api.delete(ACCOUNT, authorization=f"Bearer {step_up}")
    assert (answer.status_code, answer.content) == (204, b"")
    for visitor in (sara, other):
        assert problem(visitor.status()) == (401, "session_revoked")
        refused = visitor.api.post(REFRESH, {"refresh": visitor.tokens["refresh"]}, **visitor.device)
        assert problem(refused) == (401, "session_revoked")
    assert problem(sara.api.delete(ACCOUNT, authorization=f"Bearer {step_up}")) == (401, "session_revoked")
    assert DeviceToken.objects.filter(revoked_at=None).count() == 0


def test_the_number_is_free_and_its_next_login_is_a_new_account(sara: Visitor) -> None:
    first = sara.user_id
    assert delete(sara).status_code == 204
    sara.login(x_device_token=sara.tokens["device_token"])
    assert (sara.tokens["is_new_user"], sara.user_id != first) == (True, True)
    assert sara.tokens["user"]["username"] == f"user_{PHONE[1:]}"


def test_another_account_can_take_the_number_of_a_deleted_one(sara: Visitor) -> None:
    omar = Visitor(sara.rooms, sara.api, phone=OTHER_PHONE).login()
    delete(sara)
    assert omar.change(PHONE).json()["user"]["phone_number"] == PHONE


def test_a_code_that_was_on_its_way_does_nothing_for_a_deleted_account(sara: Visitor) -> None:
    tablet = Visitor(sara.rooms, sara.api, device_id="tablet").login()
    tablet.ask_to_change(OTHER_PHONE)
    code = tablet.code()
    delete(sara)
    refused = tablet.api.post(OTP_VERIFY, {"purpose": "change_phone", "otp": code}, **tablet.bearer)
    assert problem(refused) == (401, "session_revoked")
    assert not User.objects.filter(phone_number=OTHER_PHONE).exists()


def dump() -> str:
    """Return everything in every table of ours but the audit trail, as text."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            if table.startswith("accounts_") and table != "accounts_auditevent":
                cursor.execute(f'SELECT * FROM "{table}"')
                found.append(f"{table}: {cursor.fetchall()}")
    return "\n".join(found)


def test_nothing_personal_is_left_after_the_erasure(sara: Visitor) -> None:
    user = User.objects.get()
    sara.ask()
    sara.api.post(OTP_VERIFY, {"otp": wrong(sara.code())}, **sara.bearer)
    delete(sara)
    erasure = sara.rooms.services.erasure
    sara.rooms.clock.advance(seconds=30 * DAY - 60)
    assert erasure.erase_due() == 0
    assert PHONE in dump()
    sara.rooms.clock.advance(seconds=120)
    assert erasure.erase_due() == 1
    assert erasure.erase_due() == 0
    left = dump()
    for personal in (PHONE, PHONE[1:], "saras-phone", "127.0.0.1"):
        assert personal not in left
    for model in (Session, DeviceToken, Challenge, Code, Message, PhoneLine):
        assert model.objects.count() == 0
    assert User.objects.get().subject == user.subject


def test_the_audit_trail_keeps_a_keyed_hash_of_an_erased_number_and_no_number(sara: Visitor) -> None:
    delete(sara)
    sara.rooms.clock.advance(seconds=31 * DAY)
    sara.rooms.services.erasure.erase_due()
    record = AuditEvent.objects.get(event="account.erased")
    assert json.loads(record.detail) == {"number": sara.rooms.services.erasure.number_hash(PHONE)}
    assert not AuditEvent.objects.filter(detail__contains=PHONE[1:]).exists()


def test_an_erasure_leaves_whoever_has_the_number_now_alone(sara: Visitor) -> None:
    delete(sara)
    heir = Visitor(sara.rooms, sara.api, device_id="heirs-phone").login()
    before = (
        Challenge.objects.filter(device_id="heirs-phone").count(),
        Session.objects.filter(revoked_at=None).count(),
    )
    sara.rooms.clock.advance(seconds=31 * DAY)
    assert sara.rooms.services.erasure.erase_due() == 1
    assert before == (
        Challenge.objects.filter(device_id="heirs-phone").count(),
        Session.objects.filter(revoked_at=None).count(),
    )
    assert User.objects.get(pk=heir.user_id).phone_number == PHONE
    assert PhoneLine.objects.filter(phone=PHONE, lane="").exists()


def test_an_erasure_keeps_the_counts_that_still_bind(build_rooms: BuildRooms, api: Api) -> None:
    rooms = build_rooms(ACCOUNT_ERASURE_DAYS="0", OTP_MAX_PER_WINDOW="3")
    sara = Visitor(rooms, api).login()
    delete(sara)
    assert rooms.services.erasure.erase_due() == 1
    rooms.clock.advance(seconds=61)
    assert api.post("/api/auth/phone/request/", {"phone_number": PHONE}).json()["challenge"]["sends_left"] == 0


def test_the_purge_erases_batch_after_batch(sara: Visitor) -> None:
    delete(sara)
    omar = Visitor(sara.rooms, sara.api, phone=OTHER_PHONE).login()
    delete(omar)
    sara.rooms.clock.advance(seconds=31 * DAY)
    out = StringIO()
    call_command("otp_purge", "--batch", "1", stdout=out)
    assert "2 accounts" in out.getvalue()
    assert User.objects.filter(erased_at=None).count() == 0


def test_the_export_holds_ones_own_data(sara: Visitor) -> None:
    Visitor(sara.rooms, sara.api, device_id="tablet").login()
    found = export(sara)
    assert found["account"]["phone_number"] == PHONE
    assert {session["device_id"] for session in found["sessions"]} == {"saras-phone", "tablet"}
    assert [device["device_id"] for device in found["devices"]] == ["saras-phone", "tablet"]
    assert [challenge["purpose"] for challenge in found["challenges"]] == ["login", "login", "step_up"]
    assert [message["state"] for message in found["messages"]] == ["accepted"] * 3
    assert "login.succeeded" in {event["event"] for event in found["events"]}
    assert all(entry["created_at"].endswith("+00:00") for entry in found["messages"])


def test_the_export_holds_nothing_of_others_and_no_secret(sara: Visitor) -> None:
    Visitor(sara.rooms, sara.api, phone=OTHER_PHONE, device_id="omars-phone").login()
    sara.rooms.clock.advance(seconds=61)
    sara.api.post("/api/auth/phone/request/", {"phone_number": PHONE}, x_device_id="strangers-phone")
    text = json.dumps(export(sara))
    for foreign in (OTHER_PHONE, "omars-phone", "strangers-phone"):
        assert foreign not in text
    secrets = [
        *Code.objects.values_list("nonce", flat=True),
        *DeviceToken.objects.values_list("secret_hash", flat=True),
    ]
    secrets += Session.objects.values_list("refresh_hash", flat=True)
    secrets += [sara.tokens[name] for name in ("access", "refresh", "device_token")]
    assert [secret for secret in secrets if secret in text] == []
    # Six digits may well stand in a random id, or be a time's microseconds.
    words = set(re.findall(r"\w+", re.sub(r"\d:\d\d\.\d+", "", text)))
    assert words.isdisjoint(order.code for order in sara.rooms.gateway.orders if order.code)


def test_the_export_does_not_tell_what_was_before_the_account_had_its_number(sara: Visitor) -> None:
    before = Visitor(sara.rooms, sara.api, phone=OTHER_PHONE, device_id="before").login()
    delete(before)
    assert sara.change(OTHER_PHONE).status_code == 200
    challenges = export(sara)["challenges"]
    assert {(one["phone"], one["purpose"]) for one in challenges} == {
        (PHONE, "step_up"),
        (OTHER_PHONE, "change_phone"),
        (OTHER_PHONE, "step_up"),
    }


def test_all_other_sessions_end_and_the_callers_own_stays(sara: Visitor) -> None:
    others = [Visitor(sara.rooms, sara.api, device_id=f"other-{n}").login() for n in range(2)]
    assert sara.api.delete(SESSIONS, **sara.bearer).status_code == 204
    assert sara.status().status_code == 200
    assert [problem(other.status()) for other in others] == [(401, "session_revoked")] * 2
    assert [entry["current"] for entry in sara.api.get(SESSIONS, **sara.bearer).json()] == [True]


def test_an_account_that_is_switched_off_in_the_database_gets_no_further_answer(sara: Visitor) -> None:
    User.objects.update(is_active=False)
    assert problem(sara.status()) == (401, "session_revoked")
    refused = sara.api.post(REFRESH, {"refresh": sara.tokens["refresh"]}, **sara.device)
    assert problem(refused) == (401, "session_revoked")
    assert problem(sara.api.post(OTP_REQUEST, {"purpose": "step_up"}, **sara.bearer)) == (401, "session_revoked")


def test_sessions_stay_ended_when_a_disabled_account_is_switched_on_again(sara: Visitor) -> None:
    ownership = sara.rooms.services.ownership
    assert ownership.disable(sara.user_id, actor="operator", note="fraud") == 1
    assert problem(sara.status()) == (401, "session_revoked")
    assert problem(sara.prove()) == (403, "account_disabled")
    ownership.enable(sara.user_id, actor="operator")
    assert problem(sara.status()) == (401, "session_revoked")
    assert sara.login().status().status_code == 200
    assert (
        list(AuditEvent.objects.filter(event__in=["account.disabled", "account.enabled"]).values_list("actor"))
        == [("operator",)] * 2
    )


@pytest.fixture
def staff(sara: Visitor) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("boss", "a-password"))
    return client


def act(staff: Client, action: str, user_id: int) -> Any:
    return staff.post("/admin/accounts/user/", {"action": action, "_selected_action": [user_id]}, follow=True)


def test_staff_switch_an_account_off_and_its_sessions_end_at_once(sara: Visitor, staff: Client) -> None:
    assert act(staff, "disable", sara.user_id).status_code == 200
    assert problem(sara.status()) == (401, "session_revoked")
    assert AuditEvent.objects.get(event="account.disabled").actor == "staff:boss"
    act(staff, "enable", sara.user_id)
    assert sara.login().status().status_code == 200


def test_staff_see_masked_numbers_and_cannot_edit_add_or_delete(sara: Visitor, staff: Client) -> None:
    listed = staff.get("/admin/accounts/user/").content.decode()
    page = staff.get(f"/admin/accounts/user/{sara.user_id}/change/").content.decode()
    for shown in (listed, page):
        assert "+966*****567" in shown
        assert PHONE[1:] not in shown
    assert 'name="role"' not in page
    assert staff.get("/admin/accounts/user/add/").status_code == 403
    assert staff.post(f"/admin/accounts/user/{sara.user_id}/delete/").status_code == 403


def test_the_public_keys_are_served_with_an_etag_and_may_be_kept_for_a_while(rooms: Rooms, api: Api) -> None:
    answer = api.get(JWKS)
    assert answer.status_code == 200, answer.content
    assert [key["alg"] for key in answer.json()["keys"]] == ["ES256", "ES256"]
    assert not any("d" in key for key in answer.json()["keys"])
    assert answer["Cache-Control"] == "public, max-age=300"
    again = api.get(JWKS, if_none_match=answer["ETag"])
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", answer["ETag"])
    assert api.get(JWKS, if_none_match='"other", W/' + answer["ETag"]).status_code == 304
    assert api.get(JWKS, if_none_match="*").status_code == 304
    assert api.get(JWKS, if_none_match='"other"').status_code == 200


def test_the_public_keys_have_one_path_and_can_only_be_read(rooms: Rooms, api: Api) -> None:
    assert problem(api.get(JWKS + "/")) == (404, "not_found")
    refused = api.post(JWKS, {})
    assert (problem(refused), refused["Allow"]) == ((405, "method_not_allowed"), "GET, HEAD")
