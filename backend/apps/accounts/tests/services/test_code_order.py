"""Two codes of one number, open beside each other: everybody locks the newer one first, so nobody waits in a circle."""

from collections.abc import Callable

import pytest

from apps.accounts.models import Code
from apps.accounts.services import fused, statements
from apps.accounts.services.block_values import target
from apps.accounts.services.blocks import Actor
from apps.accounts.services.lanes import TryRules
from apps.accounts.tests.meeting import meet
from conftest import PHONE, Api, BuildRooms, Rooms, needs_postgres

pytestmark = [pytest.mark.django_db(transaction=True), needs_postgres()]
REQUEST = "/api/auth/phone/request/"


@pytest.fixture
def rooms(build_rooms: BuildRooms, api: Api) -> Rooms:
    """A number with two codes: the first one has less than two minutes left."""
    made = build_rooms(OTP_RESEND_COOLDOWN_SECONDS="0")
    for wait in (500, 0):
        assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 200
        made.clock.advance(seconds=wait)
    assert Code.objects.filter(state="open").count() == 2
    return made


def block(rooms: Rooms) -> int:
    return rooms.services.blocks.add(target("phone", PHONE), actor=Actor("sara"), note="x").killed


def guess(rooms: Rooms) -> int:
    claim = fused.claim_on_phone(PHONE, rules=TryRules(per_challenge=5, per_day=50), offset=rooms.clock.offset)
    return len(claim.codes) if claim else 0


def ask_again(rooms: Rooms) -> int:
    return int(Api().post(REQUEST, {"phone_number": PHONE}).status_code)


@pytest.mark.parametrize(("act", "result"), [(block, 2), (guess, 2), (ask_again, 200)])
def test_whoever_waits_for_the_newer_code_does_not_hold_the_older_one(
    rooms: Rooms, act: Callable[[Rooms], int], result: int
) -> None:
    older, newer = Code.objects.order_by("expires_at").values_list("id", flat=True)
    lock = "SELECT 1 FROM accounts_code WHERE id = %s FOR NO KEY UPDATE"
    found = meet(
        lambda: statements.row(lock, (newer,)),
        lambda: act(rooms),
        lambda: statements.row(f"{lock} NOWAIT", (older,)),
    )
    assert found == result
