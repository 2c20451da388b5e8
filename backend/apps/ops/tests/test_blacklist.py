"""The block list by the operators' API: canonical, idempotent, in force at once; nobody locks themselves out."""

import time
from typing import Any

import pytest

from apps.accounts.clock import Clock
from apps.accounts.errors import NotFound
from apps.accounts.models import AuditEvent, Block, Challenge, Code
from apps.accounts.services.blocklist import BlockList
from apps.ops.tests.conftest import OperatorApi
from conftest import OTHER_PHONE, PHONE, Api, BuildRooms, Rooms

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "/admin/otp/blacklist"
REQUEST, VERIFY = "/api/auth/phone/request/", "/api/auth/phone/verify/"


def block(operator: OperatorApi, kind: str, value: str, **more: Any) -> Any:
    return operator.post(PATH, {"type": kind, "value": value, **more})


def test_the_runbooks_block_and_its_end_work_as_they_stand(rooms: Rooms, operator: OperatorApi) -> None:
    made = block(operator, "phone", "+250788000000", note="Incident #123")
    assert made.status_code == 201
    assert made.json()["value"] == "+250*****000"
    assert made.json()["note"] == "Incident #123"
    assert made.json()["created_by"] == "operator"
    lifted = operator.delete(PATH, {"type": "phone", "value": "+250788000000"})
    assert lifted.status_code == 200
    assert operator.get(PATH).json() == {"entries": [], "total": 0}


def test_blocking_again_is_200_and_takes_the_new_end(rooms: Rooms, operator: OperatorApi) -> None:
    first = block(operator, "phone", PHONE)
    again = block(operator, "phone", PHONE, note="longer", expires_in=60)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert again.json()["note"] == "longer"
    assert again.json()["expires_at"] is not None
    assert operator.get(PATH).json()["total"] == 1


def test_lifting_what_is_not_there_is_404(rooms: Rooms, operator: OperatorApi) -> None:
    answer = operator.delete(PATH, {"type": "phone", "value": PHONE})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_lifted_block_can_be_made_again(rooms: Rooms, operator: OperatorApi) -> None:
    block(operator, "phone", PHONE)
    operator.delete(PATH, {"type": "phone", "value": PHONE})
    assert operator.delete(PATH, {"type": "phone", "value": PHONE}).status_code == 404
    assert block(operator, "phone", PHONE).status_code == 201


@pytest.mark.parametrize(
    ("kind", "given", "stored"),
    [
        ("phone", "+9660501234567", "+966501234567"),
        ("phone", "+٩٦٦٥٠١٢٣٤٥٦٧", "+966501234567"),
        ("phone", "+1234567890", "+1234567890"),
        ("prefix", "+٩٦٦٥", "+9665"),
        ("ip", "192.0.2.77/24", "192.0.2.0/24"),
        ("ip", "192.0.2.77", "192.0.2.77"),
        ("ip", "192.0.2.77/32", "192.0.2.77"),
        ("ip", "::ffff:192.0.2.77", "192.0.2.77"),
        ("ip", "2001:0DB8::0001/64", "2001:db8::/64"),
        ("device", "Phone-1_a.b", "Phone-1_a.b"),
    ],
)
def test_a_value_has_one_spelling(rooms: Rooms, operator: OperatorApi, kind: str, given: str, stored: str) -> None:
    assert block(operator, kind, given).status_code == 201
    assert Block.objects.get().value == stored
    assert block(operator, kind, stored).status_code == 200


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("phone", "0501234567"),
        ("phone", " +966501234567"),
        ("phone", "+966 50 123 4567"),
        ("phone", "+0123456789"),
        ("prefix", "+"),
        ("prefix", "966"),
        ("prefix", "+012"),
        ("prefix", "+123456789012345"),
        ("ip", "300.1.1.1"),
        ("ip", "192.0.2.1/33"),
        ("ip", "fe80::1%eth0"),
        ("ip", "example.com"),
        ("device", "a b"),
        ("device", "a\n"),
        ("country", "SA"),
        ("phone", ""),
    ],
)
def test_what_cannot_be_one_is_400(rooms: Rooms, operator: OperatorApi, kind: str, value: str) -> None:
    answer = block(operator, kind, value)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["fields"]
    assert not Block.objects.exists()


@pytest.mark.parametrize(
    "more",
    [
        {"expires_in": 0},
        {"expires_in": "60"},
        {"expires_in": None},
        {"expires_in": True},
        {"note": 5},
        {"force": "yes"},
    ],
)
def test_mistyped_members_are_400(rooms: Rooms, operator: OperatorApi, more: dict[str, Any]) -> None:
    assert block(operator, "phone", PHONE, **more).status_code == 400


@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_strangers_may_do_none_of_it(rooms: Rooms, api: Api, method: str) -> None:
    answer = getattr(api, method)(PATH)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


def test_the_path_has_no_slash(rooms: Rooms, operator: OperatorApi) -> None:
    assert operator.get(PATH + "/").status_code == 404


@pytest.mark.parametrize(
    ("kind", "value"), [("phone", PHONE), ("prefix", "+96650"), ("device", "phone-1"), ("ip", "192.0.2.0/24")]
)
def test_a_block_refuses_requests_and_verifies_and_nobody_else(
    rooms: Rooms, operator: OperatorApi, api: Api, kind: str, value: str
) -> None:
    from django.test import Client

    block(operator, kind, value)
    client = Client(REMOTE_ADDR="192.0.2.9")

    def post(path: str, body: dict[str, str]) -> Any:
        return client.post(path, body, content_type="application/json", HTTP_X_DEVICE_ID="phone-1")

    for path, body in ((REQUEST, {}), (VERIFY, {"otp": "123456"})):
        answer = post(path, {"phone_number": PHONE, **body})
        assert (answer.status_code, answer.json()["code"]) == (403, "blocked")
    assert api.post(REQUEST, {"phone_number": "+447400123456"}).status_code == 200
    assert len(rooms.gateway.orders) == 1


def test_a_lifted_block_refuses_nobody(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    block(operator, "phone", PHONE)
    assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 403
    operator.delete(PATH, {"type": "phone", "value": PHONE})
    assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 200


def test_a_block_ends_by_the_databases_clock(rooms: Rooms, operator: OperatorApi, api: Api) -> None:
    block(operator, "phone", PHONE, expires_in=60)
    assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 403
    rooms.clock.advance(seconds=61)
    assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 200
    assert operator.get(PATH).json()["total"] == 0
    assert operator.delete(PATH, {"type": "phone", "value": PHONE}).status_code == 404
    assert block(operator, "phone", PHONE).status_code == 201


@pytest.mark.parametrize(("kind", "value"), [("phone", PHONE), ("prefix", "+96650123")])
def test_a_new_block_kills_the_open_code(rooms: Rooms, operator: OperatorApi, api: Api, kind: str, value: str) -> None:
    sent = api.post(REQUEST, {"phone_number": PHONE}).json()
    code = rooms.gateway.last_code
    api.post(REQUEST, {"phone_number": "+447400123456"})
    block(operator, kind, value)
    operator.delete(PATH, {"type": kind, "value": value})
    answer = api.post(VERIFY, {"challenge_id": sent["challenge_id"], "otp": code})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_otp")
    assert api.get(f"/api/auth/phone/challenge/{sent['challenge_id']}/").json()["status"] == "canceled"
    assert Code.objects.filter(state="open").count() == 1
    assert Challenge.objects.filter(status="pending").count() == 1


@pytest.mark.parametrize(
    ("kind", "value"),
    [("ip", "0.0.0.0/0"), ("ip", "::/0"), ("ip", "0.0.0.0/1"), ("prefix", "+9"), ("ip", "127.0.0.0/24")],
)
def test_what_would_cover_everybody_or_the_caller_takes_force(
    rooms: Rooms, operator: OperatorApi, kind: str, value: str
) -> None:
    answer = block(operator, kind, value)
    assert (answer.status_code, answer.json()["code"]) == (409, "force_required")
    assert not Block.objects.exists()
    assert block(operator, kind, value, force=True).status_code == 201


def test_the_callers_own_device_takes_force(rooms: Rooms, operator: OperatorApi) -> None:
    body = {"type": "device", "value": "desk-1"}
    assert operator.post(PATH, body, x_device_id="desk-1").status_code == 409
    assert operator.post(PATH, body, x_device_id="desk-2").status_code == 201


def test_the_prefix_of_the_only_allowed_country_takes_force(build_rooms: BuildRooms, operator: OperatorApi) -> None:
    build_rooms(OTP_ALLOWED_COUNTRIES="SA")
    assert block(operator, "prefix", "+966").status_code == 409
    assert block(operator, "prefix", "+9665").status_code == 409  # every mobile number of the country begins so
    assert block(operator, "prefix", "+96650").status_code == 201


def test_an_entry_is_lifted_by_its_id_in_the_list(rooms: Rooms, operator: OperatorApi) -> None:
    block(operator, "phone", PHONE)
    (entry,) = operator.get(PATH).json()["entries"]
    assert operator.delete(PATH, {"id": entry["id"], "note": "over"}).json()["value"] == "+966*****567"
    assert operator.get(PATH).json()["total"] == 0
    assert operator.delete(PATH, {"id": entry["id"]}).status_code == 404
    with pytest.raises(NotFound):
        rooms.services.blocks.target_of("\x00")
    assert operator.delete(PATH, {"note": "over"}).json()["fields"].keys() == {"type", "value"}


def test_a_number_in_a_note_is_masked(rooms: Rooms, operator: OperatorApi) -> None:
    block(operator, "device", "d-1", note="customer +966 55-900 0006 called, ticket 4711234567")
    assert operator.get(PATH).json()["entries"][0]["note"] == "customer +966*****006 called, ticket 4711234567"


def test_every_change_is_audited_once_with_who_and_why(rooms: Rooms, operator: OperatorApi) -> None:
    block(operator, "phone", PHONE, note="abuse")
    block(operator, "phone", PHONE, note="more abuse")
    operator.delete(PATH, {"type": "phone", "value": PHONE, "note": "over"})
    operator.delete(PATH, {"type": "phone", "value": PHONE})
    found = list(AuditEvent.objects.order_by("id").values_list("event", "actor", "subject", "note"))
    assert found == [
        ("block.added", "operator", "+966*****567", "abuse"),
        ("block.changed", "operator", "+966*****567", "more abuse"),
        ("block.lifted", "operator", "+966*****567", "over"),
    ]
    assert PHONE not in "".join(AuditEvent.objects.values_list("detail", flat=True))


def test_the_list_shows_no_full_number(rooms: Rooms, operator: OperatorApi) -> None:
    block(operator, "phone", PHONE)
    block(operator, "prefix", OTHER_PHONE[:-1])
    block(operator, "prefix", "+96650")
    shown = [entry["value"] for entry in operator.get(PATH).json()["entries"]]
    assert shown == ["+96650", "+966*****456", "+966*****567"]


def test_another_process_knows_within_a_second(rooms: Rooms, operator: OperatorApi) -> None:
    other = BlockList(clock=Clock())
    ask = {"phone": PHONE, "ip": "", "device_id": ""}
    assert other.match(**ask) == ""
    block(operator, "phone", PHONE)
    time.sleep(0.6)
    assert other.match(**ask) == "phone"
    operator.delete(PATH, {"type": "phone", "value": PHONE})
    time.sleep(0.6)
    assert other.match(**ask) == ""


def test_an_unchanged_list_is_one_small_read_however_long_it_is(
    rooms: Rooms, operator: OperatorApi, django_assert_num_queries: Any
) -> None:
    moment = [0.0]
    other = BlockList(clock=Clock(), monotonic=lambda: moment[0])
    Block.objects.bulk_create(
        Block(type="ip", value=f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", created_by="x", created_at="2026-01-01T00:00Z")
        for n in range(5000)
    )
    block(operator, "phone", PHONE)
    assert other.match(phone="", ip="10.0.19.135", device_id="") == "ip"
    moment[0] = 1.0
    with django_assert_num_queries(1):
        assert other.match(phone=PHONE, ip="", device_id="") == "phone"
        for _ in range(100):
            assert other.match(phone="", ip="10.9.9.9", device_id="") == ""
    block(operator, "phone", OTHER_PHONE)
    moment[0] = 2.0
    with django_assert_num_queries(2):
        assert other.match(phone=OTHER_PHONE, ip="", device_id="") == "phone"


def test_an_older_database_is_read_anew(rooms: Rooms, operator: OperatorApi) -> None:
    from apps.accounts.models import ChangeCounter

    moment = [0.0]
    other = BlockList(clock=Clock(), monotonic=lambda: moment[0])
    block(operator, "phone", PHONE)
    block(operator, "phone", OTHER_PHONE)
    assert other.match(phone=OTHER_PHONE, ip="", device_id="") == "phone"
    Block.objects.filter(value=OTHER_PHONE).delete()
    ChangeCounter.objects.update(value=1)
    moment[0] = 1.0
    assert other.match(phone=OTHER_PHONE, ip="", device_id="") == ""
    assert other.match(phone=PHONE, ip="", device_id="") == "phone"
