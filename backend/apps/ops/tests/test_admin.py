"""Django's admin: staff read with masked numbers, block and lift through the services, and change nothing else."""

from typing import Any

import pytest
from django.contrib import admin
from django.test import Client

from apps.accounts.models import AuditEvent, Block, User
from apps.ops.tests.conftest import OperatorApi
from conftest import PHONE, Api, Rooms

pytestmark = pytest.mark.django_db(transaction=True)
REQUEST = "/api/auth/phone/request/"


@pytest.fixture
def staff(rooms: Rooms, api: Api, operator: OperatorApi) -> Client:
    """A superuser in the admin, with a login and a block behind them."""
    api.post(REQUEST, {"phone_number": PHONE})
    api.post("/api/auth/phone/verify/", {"phone_number": PHONE, "otp": rooms.gateway.last_code})
    operator.post("/admin/otp/blacklist", {"type": "phone", "value": PHONE})
    client = Client()
    client.force_login(User.objects.create_superuser("amal", "password"))
    return client


def pages() -> list[str]:
    return [
        f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        for model in admin.site._registry
        if model._meta.app_label in ("accounts", "ops")
    ]


def test_no_page_shows_a_full_number(staff: Client) -> None:
    assert len(pages()) >= 8
    for page in pages():
        answer = staff.get(page)
        assert answer.status_code == 200, page
        assert PHONE[1:] not in answer.content.decode(), page


@pytest.mark.parametrize("name", ["block", "auditevent", "challenge", "message", "session", "user"])
def test_no_row_shows_a_full_number(staff: Client, name: str) -> None:
    model: Any = next(model for model in admin.site._registry if model._meta.model_name == name)
    for row in model.objects.all():
        answer = staff.get(f"/admin/accounts/{name}/{row.pk}/change/")
        assert answer.status_code == 200
        assert PHONE[1:] not in answer.content.decode()


@pytest.mark.parametrize("name", ["auditevent", "auditseal", "challenge", "message", "session", "notice"])
def test_rows_are_neither_added_nor_changed_nor_deleted(staff: Client, name: str) -> None:
    assert staff.get(f"/admin/accounts/{name}/add/").status_code == 403
    model: Any = next(model for model in admin.site._registry if model._meta.model_name == name)
    for row in model.objects.all():
        assert staff.get(f"/admin/accounts/{name}/{row.pk}/delete/").status_code == 403
        assert staff.post(f"/admin/accounts/{name}/{row.pk}/change/", {"note": "x"}).status_code == 403


def test_a_block_is_added_by_the_service(staff: Client, api: Api) -> None:
    form = {"type": "prefix", "value": "+٩٦٦٥١", "note": "sweep", "expires_in": "", "_save": "Save"}
    answer = staff.post("/admin/accounts/block/add/", form)
    assert answer.status_code == 302, answer.content
    block = Block.objects.get(type="prefix")
    assert (block.value, block.created_by, block.note) == ("+96651", "staff:amal", "sweep")
    event = AuditEvent.objects.latest("id")
    assert (event.event, event.actor) == ("block.added", "staff:amal")
    assert api.post(REQUEST, {"phone_number": "+966511234567"}).status_code == 403


def test_a_block_of_everybody_or_oneself_takes_force(staff: Client) -> None:
    for value in ("0.0.0.0/0", "127.0.0.1"):
        form = {"type": "ip", "value": value, "note": "", "expires_in": "", "_save": "Save"}
        refused = staff.post("/admin/accounts/block/add/", form)
        assert refused.status_code == 200
        assert "everybody, or yourself" in refused.content.decode()
        assert staff.post("/admin/accounts/block/add/", {**form, "force": "on"}).status_code == 302
    assert Block.objects.filter(type="ip").count() == 2


def test_what_cannot_be_blocked_is_said_at_the_field(staff: Client) -> None:
    form = {"type": "phone", "value": "0501234567", "note": "", "expires_in": "", "_save": "Save"}
    answer = staff.post("/admin/accounts/block/add/", form)
    assert answer.status_code == 200
    assert "This cannot be one." in answer.content.decode()


def test_a_block_is_lifted_by_the_service(staff: Client, api: Api) -> None:
    block = Block.objects.get()
    answer = staff.post("/admin/accounts/block/", {"action": "lift", "_selected_action": [block.pk]})
    assert answer.status_code == 302
    assert AuditEvent.objects.latest("id").event == "block.lifted"
    assert "0 blocks" in staff.get("/admin/accounts/block/").content.decode()
    assert api.post(REQUEST, {"phone_number": PHONE}).json()["code"] != "blocked"


def test_strangers_and_members_of_staff_without_the_right_may_not(rooms: Rooms, staff: Client) -> None:
    assert Client().get("/admin/accounts/block/").status_code == 302
    client = Client()
    client.force_login(User.objects.create_user("basim", "password", is_staff=True, role="staff"))
    assert client.get("/admin/accounts/block/").status_code == 403
    assert client.post("/admin/accounts/block/add/", {}).status_code == 403
