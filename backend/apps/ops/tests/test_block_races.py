"""A block against what people do at the same moment: one of the two wins, and nobody gets a 5xx."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from apps.accounts.models import Block, Challenge, Code, Session
from apps.ops.tests.conftest import OperatorApi
from conftest import Api, BuildRooms, needs_postgres

pytestmark = [pytest.mark.django_db(transaction=True), needs_postgres()]
REQUEST, VERIFY = "/api/auth/phone/request/", "/api/auth/phone/verify/"
NUMBERS = [f"+96650123456{place}" for place in range(6)]


def together(*acts: Callable[[], Any]) -> list[Any]:
    gate, found = threading.Barrier(len(acts)), [None] * len(acts)

    def run(place: int, act: Callable[[], Any]) -> None:
        gate.wait()
        try:
            found[place] = act()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def block(kind: str, value: str) -> int:
    return int(OperatorApi().post("/admin/otp/blacklist", {"type": kind, "value": value}).status_code)


def test_a_code_is_either_used_or_killed(build_rooms: BuildRooms) -> None:
    rooms = build_rooms(PHONE_AUTH_IP_MAX_PER_WINDOW="0")
    for number in NUMBERS:
        sent = Api().post(REQUEST, {"phone_number": number}).json()["challenge_id"]
        body = {"challenge_id": sent, "otp": rooms.gateway.last_code}

        def verify(body: dict[str, str] = body) -> int:
            return int(Api().post(VERIFY, body).status_code)

        def put(number: str = number) -> int:
            return block("phone", number)

        verified, blocked = together(verify, put)
        assert blocked == 201
        assert verified in (200, 400, 403)
        code = Code.objects.get(phone=number)
        assert (verified == 200) == (code.state == "used")
        assert code.state != "open"
    assert Session.objects.count() == Code.objects.filter(state="used").count()


def test_cancels_and_blocks_end_without_a_deadlock(build_rooms: BuildRooms) -> None:
    build_rooms(PHONE_AUTH_IP_MAX_PER_WINDOW="0")
    ids = [Api().post(REQUEST, {"phone_number": number}).json()["challenge_id"] for number in NUMBERS]

    def cancel(challenge_id: str) -> int:
        return int(Api().delete(f"/api/auth/phone/challenge/{challenge_id}/").status_code)

    acts: list[Callable[[], int]] = [lambda: block("prefix", "+96650123")]
    acts += [lambda challenge_id=challenge_id: cancel(challenge_id) for challenge_id in ids]  # type: ignore[misc]
    found = together(*acts)
    assert found == [201] + [204] * len(ids)
    assert not Challenge.objects.filter(status="pending").exists()
    assert not Code.objects.filter(state="open").exists()


def test_one_entry_that_many_make_at_once_is_made_once(build_rooms: BuildRooms) -> None:
    build_rooms()
    found = together(*[lambda: block("phone", NUMBERS[0])] * 8)
    assert sorted(found) == [200] * 7 + [201]
    assert Block.objects.count() == 1
