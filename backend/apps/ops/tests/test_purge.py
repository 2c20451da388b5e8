"""Forgetting: in small batches, by several at once, and nothing that still counts."""

import io
import json
import threading
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django_tasks_db.models import DBTaskResult

from apps.accounts.models import (
    AuditEvent,
    Block,
    Challenge,
    Code,
    DeviceToken,
    FailureLane,
    GatewayEvent,
    IdempotencyRecord,
    Message,
    MinuteCount,
    PhoneLine,
    ReceiptInbox,
    RefusedSend,
    Session,
    User,
)
from apps.accounts.services import purging as purging_module
from apps.accounts.services import statements
from apps.ops.forgetting import forget
from apps.ops.tests.conftest import OperatorApi
from conftest import OTHER_PHONE, PHONE, Api, BuildRooms, Rooms, needs_postgres

pytestmark = pytest.mark.django_db(transaction=True)
REQUEST, RESEND, VERIFY = "/api/auth/phone/request/", "/api/auth/phone/resend/", "/api/auth/phone/verify/"
DAY = 86_400


def purge(*arguments: str) -> str:
    out = io.StringIO()
    call_command("otp_purge", *arguments, stdout=out)
    return out.getvalue()


def test_what_is_old_is_gone_and_what_is_young_stays(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    rooms.clock.advance(seconds=31 * DAY)
    api.post(REQUEST, {"phone_number": OTHER_PHONE})
    assert "1 codes" in purge()
    assert [one.phone for one in (Code.objects.get(), Challenge.objects.get(), Message.objects.get())] == [
        OTHER_PHONE
    ] * 3
    assert PhoneLine.objects.get().phone == OTHER_PHONE
    assert purge() == "Deleted: nothing.\n"


def test_a_challenge_that_moved_to_a_newer_code_goes_with_it(rooms: Rooms, api: Api) -> None:
    first = api.post(REQUEST, {"phone_number": PHONE}).json()
    rooms.clock.advance(seconds=500)
    api.post(RESEND, {"challenge_id": first["challenge_id"]})
    assert Code.objects.count() == 2
    rooms.clock.advance(seconds=30 * DAY - 200)
    purge("--batch", "1")
    assert (Code.objects.count(), Challenge.objects.count(), Message.objects.count()) == (1, 1, 1)
    rooms.clock.advance(seconds=600)
    purge("--batch", "1")
    assert (Code.objects.count(), Challenge.objects.count(), Message.objects.count()) == (0, 0, 0)


def test_the_days_can_be_chosen(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    rooms.clock.advance(seconds=3 * DAY)
    purge("--days", "5")
    assert Code.objects.exists()
    purge("--days", "2")
    assert not Code.objects.exists()


def test_the_audit_trail_and_the_sums_stay(rooms: Rooms, api: Api, operator: OperatorApi) -> None:
    operator.post("/admin/otp/blacklist", {"type": "phone", "value": PHONE})
    api.post(REQUEST, {"phone_number": PHONE})
    rooms.services.refusals.flush()
    rooms.clock.advance(seconds=40 * DAY)
    purge()
    assert AuditEvent.objects.count() == 1
    assert MinuteCount.objects.count() == 1
    assert not RefusedSend.objects.exists()
    assert Block.objects.count() == 1


def test_lifted_and_ended_blocks_are_forgotten(rooms: Rooms, operator: OperatorApi) -> None:
    operator.post("/admin/otp/blacklist", {"type": "phone", "value": PHONE})
    operator.post("/admin/otp/blacklist", {"type": "phone", "value": OTHER_PHONE, "expires_in": 60})
    operator.post("/admin/otp/blacklist", {"type": "prefix", "value": "+96650"})
    operator.delete("/admin/otp/blacklist", {"type": "phone", "value": PHONE})
    rooms.clock.advance(seconds=31 * DAY)
    purge()
    assert list(Block.objects.values_list("value", flat=True)) == ["+96650"]


def test_sessions_and_devices_go_long_after_their_end(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code})
    rooms.clock.advance(seconds=59 * DAY)
    purge()
    assert (Session.objects.count(), DeviceToken.objects.count()) == (1, 1)
    rooms.clock.advance(seconds=2 * DAY)
    purge()
    assert (Session.objects.count(), DeviceToken.objects.count()) == (0, 1)
    api.post(REQUEST, {"phone_number": PHONE})
    api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code, "device_id": "another"})
    rooms.clock.advance(seconds=121 * DAY)
    User.objects.update(last_seen_at=statements.now() + rooms.clock.offset)
    purge()
    assert list(DeviceToken.objects.values_list("device_id", flat=True)) == ["another"]


def test_the_device_of_an_account_that_fell_silent_is_known_for_ever(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    known = api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code}).json()["device_token"]
    rooms.clock.advance(seconds=500 * DAY)
    purge()
    api.post(REQUEST, {"phone_number": PHONE}, x_device_token=known)
    again = api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code}, x_device_token=known)
    assert again.json()["is_new_user"] is False


def test_a_device_that_a_challenge_names_stays(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    token = api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code}).json()["device_token"]
    rooms.clock.advance(seconds=200 * DAY)
    api.post(REQUEST, {"phone_number": PHONE}, x_device_token=token)
    purge()
    assert DeviceToken.objects.count() == 1


def test_the_line_of_a_phone_whose_known_device_has_a_code_open_is_kept(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    token = api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code}).json()["device_token"]
    rooms.clock.advance(seconds=3 * DAY)
    api.post(REQUEST, {"phone_number": PHONE}, x_device_token=token)
    purge()
    api.post(REQUEST, {"phone_number": PHONE})
    assert Code.objects.filter(state="open").count() == 1
    assert rooms.gateway.orders[-1].code == rooms.gateway.orders[-2].code


def test_sends_that_still_count_are_kept(build_rooms: BuildRooms, api: Api) -> None:
    rooms = build_rooms(OTP_WINDOW_MINUTES="10080")
    api.post(REQUEST, {"phone_number": PHONE})
    rooms.clock.advance(seconds=6 * DAY)
    purge("--days", "1")
    assert json.loads(PhoneLine.objects.get().sends)
    rooms.clock.advance(seconds=9 * DAY)
    purge("--days", "1")
    assert not PhoneLine.objects.exists()


def test_wrong_codes_that_count_towards_the_hundredth_are_kept_while_there_is_an_account(
    rooms: Rooms, api: Api
) -> None:
    User.objects.create(username="owner", phone_number=PHONE)
    api.post(VERIFY, {"phone_number": PHONE, "otp": "123456"})
    api.post(VERIFY, {"phone_number": OTHER_PHONE, "otp": "123456"})
    rooms.clock.advance(seconds=2 * DAY)
    purge()
    assert FailureLane.objects.count() == 2
    rooms.clock.advance(seconds=30 * DAY)
    purge()
    lane = FailureLane.objects.get()
    assert (lane.phone, lane.since_login) == (PHONE, 1)


def test_receipts_without_a_message_and_kept_answers_go(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE}, idempotency_key="a-key-of-sixteen-or-more")
    ReceiptInbox.objects.create(provider="twilio", vendor_id="SM1", status="sent", received_at=statements.now())
    assert IdempotencyRecord.objects.count() == 1
    rooms.clock.advance(seconds=8 * DAY)
    purge()
    assert not ReceiptInbox.objects.exists()
    assert not IdempotencyRecord.objects.exists()


def test_it_stops_when_its_time_is_over(rooms: Rooms, api: Api) -> None:
    for place in range(5):
        api.post(REQUEST, {"phone_number": f"+96650123456{place}"})
    rooms.clock.advance(seconds=31 * DAY)
    purge("--max-seconds", "0")
    assert Code.objects.count() == 5


def test_a_run_that_is_killed_leaves_whole_stories(rooms: Rooms, api: Api) -> None:
    for place in range(5):
        api.post(REQUEST, {"phone_number": f"+96650123456{place}"})
    rooms.clock.advance(seconds=31 * DAY)

    class Killed(BaseException):
        pass

    def kill(_: str, __: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        forget(rooms.services, batch=2, tell=kill)
    assert (Code.objects.count(), Challenge.objects.count(), Message.objects.count()) == (3, 3, 3)
    forget(rooms.services)
    assert (Code.objects.count(), Challenge.objects.count(), Message.objects.count()) == (0, 0, 0)


@needs_postgres()
def test_two_runs_at_once_share_the_work(build_rooms: BuildRooms, api: Api) -> None:
    rooms = build_rooms(PHONE_AUTH_IP_MAX_PER_WINDOW="0")
    for place in range(40):
        api.post(REQUEST, {"phone_number": f"+9665012345{place:02d}"})
    rooms.clock.advance(seconds=31 * DAY)
    found: list[int] = []

    def run() -> None:
        found.append(forget(rooms.services, batch=3)["codes"])
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(found) == 40
    assert not Code.objects.exists()


@needs_postgres()
def test_a_line_that_somebody_holds_is_passed_over(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    rooms.clock.advance(seconds=31 * DAY)
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            PhoneLine.objects.select_for_update().get()
            held.set()
            go_on.wait(60)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(60)
    forget(rooms.services)
    assert PhoneLine.objects.exists()
    go_on.set()
    thread.join()
    forget(rooms.services)
    assert not PhoneLine.objects.exists()


def test_a_send_that_comes_in_between_is_kept(rooms: Rooms, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    rooms.clock.advance(seconds=31 * DAY)
    drop = purging_module.Purging._drop

    def with_a_send(self: purging_module.Purging, table: str, *rest: object) -> int:
        if table == "accounts_phoneline":
            api.post(REQUEST, {"phone_number": PHONE})
        return drop(self, table, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(purging_module.Purging, "_drop", with_a_send)
    forget(rooms.services)
    now_ms = (statements.now() + rooms.clock.offset - timedelta(minutes=1)).timestamp() * 1000
    assert json.loads(PhoneLine.objects.get().sends)[-1] > now_ms


def test_finished_work_and_old_changes_of_gateways_go(rooms: Rooms, operator: OperatorApi) -> None:
    operator.post("/admin/otp/provider", {"provider": "twilio"})
    now = statements.now()
    for finished in (None, now):
        DBTaskResult.objects.create(
            status="SUCCESSFUL" if finished else "READY", finished_at=finished, args_kwargs={}, task_path="x",
            queue_name="default", backend_name="default", exception_class_path="", traceback="",
        )  # fmt: skip
    rooms.clock.advance(seconds=8 * DAY)
    purge()
    assert (DBTaskResult.objects.get().finished_at, GatewayEvent.objects.count()) == (None, 1)
    rooms.clock.advance(seconds=90 * DAY)
    purge()
    assert (DBTaskResult.objects.count(), GatewayEvent.objects.count()) == (1, 0)


@pytest.mark.parametrize("days", ["0", "-1", "3651", "99999999", "9" * 5000, "١", "1.5"])
def test_days_beyond_all_bounds_are_refused(rooms: Rooms, days: str) -> None:
    with pytest.raises(CommandError, match="from 1 to 3650"):
        purge(f"--days={days}")


def test_the_longest_time_is_fine(rooms: Rooms) -> None:
    assert purge("--days=3650", "--batch=100000") == "Deleted: nothing.\n"
