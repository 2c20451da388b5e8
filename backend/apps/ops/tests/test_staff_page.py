"""The staff's page: who may see it, what it may load, what its forms do and in whose name."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from apps.accounts.models import AuditEvent, Block, GatewayChoice, Message, User
from apps.accounts.services import statements
from apps.ops import queries, slots
from apps.ops.board import board
from apps.ops.dashboard import dashboard
from conftest import OTHER_PHONE, PHONE, Api, BuildRooms, RecordingGateway, Rooms

pytestmark = pytest.mark.django_db(transaction=True)
PAGE, DATA, ACT = "/admin/sms/otp", "/admin/sms/otp/data", "/admin/sms/otp/act"
REQUEST, VERIFY = "/api/auth/phone/request/", "/api/auth/phone/verify/"
STATIC = Path(__file__).resolve().parents[1] / "static" / "ops"


@pytest.fixture
def nora() -> User:
    return User.objects.create_user("nora", "a-long-password", is_staff=True, role="staff")


@pytest.fixture
def staff(rooms: Rooms, nora: User) -> Client:
    """A browser in which Nora of the staff is logged in."""
    client = Client()
    client.force_login(nora)
    return client


def read(staff: Client, window: str = "1h") -> Any:
    dashboard().forget()
    answer = staff.get(f"{DATA}?window={window}")
    assert answer.status_code == 200, answer.content
    return json.loads(answer.content)


def do(staff: Client, act: str, **fields: str) -> Any:
    return staff.post(ACT, {"act": act, "note": "Incident #123", **fields})


def test_a_stranger_is_led_to_the_login_and_back(rooms: Rooms) -> None:
    answer = Client().get(f"{PAGE}?window=6h")
    assert answer.status_code == 302
    assert answer["Location"] == "/admin/login/?next=/admin/sms/otp%3Fwindow%3D6h"


def test_a_window_in_raw_bytes_is_400(staff: Client) -> None:
    answer = staff.get(f"{DATA}?window=١h")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_with_the_database_gone_a_fresh_page_says_so_and_what_to_do(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> bool:
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(queries, "migrations_applied", gone)
    board().forget()
    for client in (staff, Client()):
        answer = client.get(f"{PAGE}?window=6h")
        assert (answer.status_code, answer["Content-Type"]) == (503, "text/html; charset=utf-8")
        assert answer["Retry-After"] == "5"
        assert not answer.cookies
        text = answer.content.decode()
        for part in ("the database does not answer", "What still works", "database-loss-and-restore.md",
                     '<meta http-equiv="refresh" content="5">'):  # fmt: skip
            assert part in text
        assert "<script" not in text
        assert "nora" not in text


def test_a_database_that_goes_while_the_page_is_made_is_told_in_the_same_way(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise OperationalError("server closed the connection")

    monkeypatch.setattr("apps.ops.staff.situation.read", gone)
    answer = staff.get(PAGE)
    assert answer.status_code == 503
    assert b"the database does not answer" in answer.content


def test_the_runbook_that_the_page_names_is_there() -> None:
    assert (STATIC.parents[4] / "docs" / "runbooks" / "database-loss-and-restore.md").is_file()


def test_a_customer_is_led_to_the_login_too(rooms: Rooms) -> None:
    client = Client()
    client.force_login(User.objects.create_user("somebody"))
    assert client.get(PAGE).status_code == 302
    assert client.get(DATA).status_code == 401
    assert client.post(ACT, {"act": "block"}).status_code == 401


def test_staff_that_was_switched_off_sees_nothing(staff: Client, nora: User) -> None:
    nora.is_active = False
    nora.save()
    assert staff.get(PAGE).status_code == 302
    assert staff.get(DATA).status_code == 401


def test_an_operators_token_opens_no_page(rooms: Rooms) -> None:
    assert Client().get(PAGE, headers={"x-admin-token": rooms.services.config["ADMIN_TOKEN"]}).status_code == 302


def test_a_form_without_its_token_does_nothing(rooms: Rooms, nora: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(nora)
    answer = client.post(ACT, {"act": "block", "type": "phone", "value": PHONE, "note": "Incident #123"})
    assert answer.status_code == 403
    assert not Block.objects.exists()


def test_a_form_with_the_pages_token_does_what_it_says(rooms: Rooms, nora: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(nora)
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', client.get(PAGE).content.decode())
    assert found is not None
    answer = client.post(
        ACT, {"csrfmiddlewaretoken": found[1], "act": "block", "type": "phone", "value": PHONE, "note": "Incident #123"}
    )
    assert answer.status_code == 200


def test_a_browser_may_say_where_a_staff_form_comes_from(staff: Client) -> None:
    # With `no-referrer` it would send `Origin: null`, and every form of the staff would be refused.
    assert staff.get(PAGE)["Referrer-Policy"] == "same-origin"
    assert Client().get("/admin/login/")["Referrer-Policy"] == "same-origin"
    assert Client().get("/otp/status")["Referrer-Policy"] == "no-referrer"


def test_the_page_runs_nothing_but_its_own_files(staff: Client) -> None:
    answer = staff.get(PAGE)
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    text = answer.content.decode()
    assert re.findall(r"<script(?![^>]*\bsrc=)", text) == []
    assert re.findall(r"\s(?:style|on[a-z]+)=", text) == []
    assert re.findall(r"""(?:src|href)=["'](?:https?:)?//""", text) == []


def test_the_chart_library_is_the_published_one() -> None:
    digests = {
        "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
        "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
        "LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
    }
    for name, digest in digests.items():
        assert hashlib.sha256((STATIC / "vendor" / "uplot" / name).read_bytes()).hexdigest() == digest


def test_the_page_says_how_it_is_before_any_script_runs(staff: Client) -> None:
    assert "Login is up. Nobody has asked for a code in the last hour." in staff.get(PAGE).content.decode()


def test_its_numbers_are_those_of_the_operators_dashboard(staff: Client, rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code})
    api.post(REQUEST, {"phone_number": PHONE})
    found = read(staff)
    told = api.get("/admin/otp/dashboard", x_admin_token=rooms.services.config["ADMIN_TOKEN"]).json()
    assert {name: found[name] for name in ("counters", "conversion", "countries", "spend", "time_to_login")} == {
        name: told[name] for name in ("counters", "conversion", "countries", "spend", "time_to_login")
    }
    assert found["refusals"] == [{"code": "resend_cooldown", "scope": "", "count": 1}]


@pytest.mark.parametrize("summed", [False, True])
def test_a_notice_is_sent_and_lowers_no_gateways_share_of_those_who_got_in(
    staff: Client, rooms: Rooms, api: Api, summed: bool
) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code})
    sent = Message.objects.get()
    for cause in ("notice", "audit"):
        Message.objects.create(
            send_id=cause, cause=cause, phone=PHONE, country="SA", provider=sent.provider, channel=sent.channel,
            state="accepted", created_at=sent.created_at,
        )  # fmt: skip
    if summed:
        rooms.clock.advance(seconds=3 * 3600)
        slots.catch_up(statements.now() + rooms.clock.offset, now=statements.now() + rooms.clock.offset)
    row = next(one for one in read(staff, "24h")["providers"] if one["name"] == sent.provider)
    assert (row["sent"], row["codes_sent"], row["verified"]) == (3, 1, 1)


def test_no_number_of_a_person_is_in_it(staff: Client, rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    assert do(staff, "block", type="phone", value=OTHER_PHONE).status_code == 200
    dashboard().forget()
    text = staff.get(DATA).content.decode()
    assert PHONE[1:] not in text
    assert OTHER_PHONE[1:] not in text
    assert rooms.gateway.last_code not in text


def test_a_malformed_window_is_400(staff: Client) -> None:
    assert staff.get(f"{DATA}?window=1y").status_code == 400


def test_a_block_is_in_force_and_in_the_trail_under_the_persons_name(staff: Client, api: Api) -> None:
    answer = do(staff, "block", type="phone", value=PHONE, expires_in="3600")
    assert answer.status_code == 200
    assert "is blocked" in json.loads(answer.content)["done"]
    assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 403
    event = AuditEvent.objects.get(event="block.added")
    assert (event.actor, event.note) == ("nora", "Incident #123")


def test_a_block_is_lifted_by_its_opaque_id(staff: Client, api: Api) -> None:
    do(staff, "block", type="phone", value=PHONE)
    (entry,) = read(staff)["blocks"]["entries"]
    assert re.fullmatch(r"\+966\*+567", entry["value"])
    assert do(staff, "lift", ref=entry["id"]).status_code == 200
    assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 200
    assert AuditEvent.objects.get(event="block.lifted").actor == "nora"
    assert do(staff, "lift", ref=entry["id"]).status_code == 404


def test_a_block_that_would_cover_everybody_asks_first(staff: Client) -> None:
    refused = do(staff, "block", type="ip", value="0.0.0.0/0")
    assert (refused.status_code, json.loads(refused.content)["code"]) == (409, "force_required")
    assert do(staff, "block", type="ip", value="0.0.0.0/0", force="yes").status_code == 200


def test_a_gateway_is_put_first_and_lifted_again(build_rooms: BuildRooms, nora: User) -> None:
    build_rooms(
        OTP_FALLBACK_PROVIDERS="authentica", AUTHENTICA_API_KEY="k",
        gateways=[RecordingGateway("twilio"), RecordingGateway("authentica")],
    )  # fmt: skip
    staff = Client()
    staff.force_login(nora)
    assert do(staff, "choose", provider="authentica", expires_in="3600").status_code == 200
    found = read(staff)
    assert (found["choice"]["provider"], found["choice"]["created_by"]) == ("authentica", "nora")
    assert found["headline"]["doing"][0].startswith("nora put Authentica first (“Incident #123”) until")
    assert do(staff, "unchoose").status_code == 200
    assert not GatewayChoice.objects.exists()
    assert do(staff, "unchoose").status_code == 404
    told = AuditEvent.objects.filter(event__startswith="gateway.").order_by("id").values_list("event", "actor")
    assert list(told) == [("gateway.chosen", "nora"), ("gateway.lifted", "nora")]


@pytest.mark.parametrize("note", ["", "  ", "ab", "x" * 256])
def test_nothing_is_done_without_a_reason(staff: Client, note: str) -> None:
    answer = staff.post(ACT, {"act": "block", "type": "phone", "value": PHONE, "note": note})
    assert (answer.status_code, list(json.loads(answer.content)["fields"])) == (400, ["note"])
    assert not Block.objects.exists()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"act": "erase"}, "act"),
        ({"act": "block", "type": "phone", "value": "0501234567"}, "value"),
        ({"act": "block", "type": "all", "value": "x"}, "type"),
        ({"act": "block", "type": "phone", "value": PHONE, "expires_in": "0"}, "expires_in"),
        ({"act": "block", "type": "phone", "value": PHONE, "expires_in": "-5"}, "expires_in"),
        ({"act": "block", "type": "phone", "value": PHONE, "expires_in": "99999999"}, "expires_in"),
        ({"act": "choose", "provider": "nobody"}, "provider"),
    ],
)
def test_a_form_that_cannot_be_done_says_which_field(staff: Client, fields: dict[str, str], named: str) -> None:
    answer = staff.post(ACT, {"note": "Incident #123", **fields})
    assert (answer.status_code, list(json.loads(answer.content)["fields"])) == (400, [named])


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"type": "phone", "value": "0501234567"}, "such as +9665XXXXXXXX"),
        ({"type": "prefix", "value": "96650"}, "such as +96655"),
        ({"type": "ip", "value": "192.0.2"}, "such as 192.0.2.7 or 192.0.2.0/24"),
        ({"type": "device", "value": "my phone"}, "1 to 128 of the characters"),
        ({"type": "phone", "value": PHONE, "expires_in": "0"}, "whole seconds from 1 to"),
        ({"type": "phone", "value": PHONE, "note": "ab"}, "in 3 to 255 characters"),
    ],
)
def test_a_form_that_cannot_be_done_says_what_is_wanted(staff: Client, fields: dict[str, str], wanted: str) -> None:
    answer = staff.post(ACT, {"act": "block", "note": "Incident #123", **fields})
    ((line,),) = json.loads(answer.content)["fields"].values()
    assert wanted in line


def test_an_act_is_a_post_and_nothing_else(staff: Client) -> None:
    assert [staff.get(ACT).status_code, staff.post(PAGE).status_code, staff.post(DATA).status_code] == [405] * 3
