"""Forgetting beside what people do at the same moment: what becomes young again while it is looked at is kept."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from apps.accounts.models import Challenge, DeviceToken, IdempotencyRecord
from apps.accounts.services import challenges, device_tokens, session_cleaning, statements
from apps.accounts.services.challenges import Claimant, NewChallenge
from apps.accounts.services.idempotency import Kept, KeyedTicket
from apps.accounts.services.model import Purpose
from apps.accounts.services.session_types import DeviceFacts, Person
from apps.accounts.tests.meeting import meet
from apps.ops import forgetting
from conftest import PHONE, Api, Rooms, needs_postgres

pytestmark = [pytest.mark.django_db(transaction=True), needs_postgres()]
REQUEST, VERIFY = "/api/auth/phone/request/", "/api/auth/phone/verify/"
DAY = 86_400


def log_in(rooms: Rooms, api: Api, **headers: str) -> dict[str, Any]:
    assert api.post(REQUEST, {"phone_number": PHONE}, **headers).status_code == 200
    answer = api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code}, **headers)
    assert answer.status_code == 200
    return dict(answer.json())


def test_the_answer_of_a_session_that_is_refreshed_at_this_moment_is_kept(rooms: Rooms, api: Api) -> None:
    sessions = rooms.services.sessions
    first = sessions.refresh(log_in(rooms, api)["refresh"], device_id="")
    rooms.clock.advance(seconds=2 * 3600)
    now, answers = statements.now() + rooms.clock.offset, []
    meet(
        lambda: answers.append(sessions.refresh(first.refresh, device_id="")),
        lambda: session_cleaning.clear_successors(now=now, grace_seconds=3600),
    )
    # The answer was lost on the way: the same token gets it again.
    assert sessions.refresh(first.refresh, device_id="").refresh == answers[0].refresh


def test_a_key_that_is_claimed_anew_at_this_moment_is_kept(rooms: Rooms) -> None:
    keys = rooms.services.idempotency

    def claim() -> KeyedTicket:
        found = keys.claim("a-key-of-sixteen-chars", operation="x", body=b"{}", render=lambda error: Kept(400, ""))
        assert isinstance(found, KeyedTicket)
        return found

    claim()  # its call died
    rooms.clock.advance(seconds=3600)
    tickets: list[KeyedTicket] = []
    meet(lambda: tickets.append(claim()), keys.purge)
    tickets[0].settle(Kept(200, "{}"))
    assert IdempotencyRecord.objects.get().state == "done"


@pytest.fixture
def old_device(rooms: Rooms, api: Api) -> tuple[str, DeviceToken]:
    """A device that has not been used for long, of an account that others use; and its token."""
    raw = str(log_in(rooms, api)["device_token"])
    held = DeviceToken.objects.get()
    rooms.clock.advance(seconds=200 * DAY)
    type(held.user).objects.update(last_seen_at=statements.now() + rooms.clock.offset)
    return raw, held


@pytest.fixture
def forget(rooms: Rooms) -> Callable[[], int]:
    """Forget device tokens that were not used for a hundred days."""
    return lambda: session_cleaning.drop_dead_device_tokens(
        before=statements.now() + rooms.clock.offset - timedelta(days=100)
    )


def open_challenge(rooms: Rooms, token_id: str) -> None:
    now, phone = statements.now() + rooms.clock.offset, rooms.services.otp.parse_phone(PHONE)
    key = rooms.services.config.code_keys[0]
    code = challenges.insert_code(PHONE, Purpose.LOGIN, "", kind="sent", key=key, now=now, seconds=600)
    asked = NewChallenge(
        phone=phone, purpose=Purpose.LOGIN, scope="", bound=None, who=Claimant(device_token_id=token_id),
        channel="sms", language="en", ip="",
    )  # fmt: skip
    challenges.insert_challenge(code, asked, now=now)


def test_a_device_that_comes_back_at_this_moment_stays_known(
    rooms: Rooms, old_device: tuple[str, DeviceToken], forget: Callable[[], int]
) -> None:
    raw, held = old_device
    person = Person(held.user_id, "", PHONE, "customer", True, "", False)
    new: list[str] = []

    def come_back() -> None:
        now = statements.now() + rooms.clock.offset
        device = DeviceFacts(device_id="", device_name="", ip="", user_agent="")
        new.append(device_tokens.issue(person, shown=raw, device=device, session_id=str(held.session_id), now=now))

    assert meet(come_back, forget) == 0
    assert device_tokens.find(new[0], phone=PHONE) is not None


def test_a_device_that_asks_at_this_moment_stays_known(
    rooms: Rooms, old_device: tuple[str, DeviceToken], forget: Callable[[], int]
) -> None:
    assert meet(lambda: open_challenge(rooms, old_device[1].id), forget) == 0
    assert Challenge.objects.filter(device_token=old_device[1]).exists()


def test_a_device_that_is_forgotten_at_this_moment_asks_as_a_stranger(
    rooms: Rooms, old_device: tuple[str, DeviceToken], forget: Callable[[], int]
) -> None:
    def ask() -> bool:
        with statements.durable():
            open_challenge(rooms, old_device[1].id)
        return True

    assert meet(forget, ask) is True
    assert not DeviceToken.objects.exists()
    assert Challenge.objects.filter(device_token=None, status="pending").exists()


def test_a_purge_that_waits_in_a_circle_with_an_erasure_goes_on(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    rooms.clock.advance(seconds=31 * DAY)
    found = meet(
        lambda: statements.row("SELECT id FROM accounts_message FOR UPDATE"),
        lambda: forgetting.forget(rooms.services),
        lambda: statements.row("SELECT id FROM accounts_code FOR UPDATE"),
    )
    assert isinstance(found, dict), found
