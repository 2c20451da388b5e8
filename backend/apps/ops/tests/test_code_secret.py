"""A process that was given another OTP_SECRET than the others is not ready while they open codes; they stay ready."""

from itertools import count

import pytest
from django.conf import settings

from apps.accounts.services import statements, wiring
from apps.ops import board as board_module
from apps.ops import status
from conftest import Api, BuildRooms

pytestmark = pytest.mark.django_db(transaction=True)
REQUEST, READY = "/api/auth/phone/request/", "/readyz"
OURS = "the-secret-of-codes-that-all-processes-were-given-1"
WRONG = "a-secret-of-codes-that-one-process-alone-was-given-2"
_numbers = count(966501000000)


class Process:
    """Has services of its own and its own memory of the others."""

    def __init__(self, build_rooms: BuildRooms, api: Api, *, secret: str, previous: str = "") -> None:
        self._rooms = build_rooms(OTP_SECRET=secret, OTP_SECRET_PREVIOUS=previous)
        self._board = board_module.Board(self._rooms.services)
        self._api = api

    def act(self) -> None:
        """Answer the next requests."""
        settings.OTP = self._rooms.services.config
        wiring.use(self._rooms.services)

    def open_code(self) -> None:
        self.act()
        _let_time_pass()
        answer = self._api.post(REQUEST, {"phone_number": f"+{next(_numbers)}"})
        assert answer.status_code == 200
        _let_time_pass()

    def look(self) -> tuple[bool, str]:
        self._board.forget()
        ready, facts = status.readiness(self._board)
        return ready, facts["code_secret"]

    def wait(self, seconds: float) -> None:
        self._rooms.clock.advance(seconds=seconds)


def _let_time_pass() -> None:
    """Wait for the next millisecond of the database's clock: SQLite counts no finer."""
    before = statements.now()
    while statements.now() == before:
        pass


def test_a_newcomer_with_another_secret_is_not_ready_while_the_others_open_codes(
    build_rooms: BuildRooms, api: Api
) -> None:
    right = Process(build_rooms, api, secret=OURS)
    assert right.look() == (True, "shared")
    right.open_code()
    wrong = Process(build_rooms, api, secret=WRONG)
    assert wrong.look() == (True, "shared")  # the code may be of processes that are gone
    right.open_code()
    assert wrong.look() == (False, "differs")
    assert right.look() == (True, "shared")


def test_what_the_wrong_one_opens_does_not_make_the_right_ones_look_wrong(build_rooms: BuildRooms, api: Api) -> None:
    right = Process(build_rooms, api, secret=OURS)
    right.look()
    right.open_code()
    wrong = Process(build_rooms, api, secret=WRONG)
    wrong.look()
    wrong.open_code()
    restarted = Process(build_rooms, api, secret=OURS)
    restarted.look()
    wrong.open_code()
    right.open_code()
    assert [one.look()[0] for one in (right, restarted, wrong)] == [True, True, False]


def test_once_nobody_opens_codes_with_the_former_secret_the_newcomer_is_ready(
    build_rooms: BuildRooms, api: Api
) -> None:
    old = Process(build_rooms, api, secret=OURS)
    old.open_code()
    new = Process(build_rooms, api, secret=WRONG)
    new.look()
    old.open_code()
    assert new.look() == (False, "differs")
    new.wait(300)
    assert new.look() == (False, "differs")
    new.wait(301)
    assert new.look() == (True, "shared")


def test_a_change_for_all_at_once_is_none(build_rooms: BuildRooms, api: Api) -> None:
    Process(build_rooms, api, secret=OURS).open_code()
    new = Process(build_rooms, api, secret=WRONG)
    new.look()
    new.open_code()
    assert new.look() == (True, "shared")


def test_processes_that_know_both_secrets_are_ready(build_rooms: BuildRooms, api: Api) -> None:
    old = Process(build_rooms, api, secret=OURS, previous=WRONG)
    old.look()
    old.open_code()
    new = Process(build_rooms, api, secret=WRONG, previous=OURS)
    new.look()
    old.open_code()
    new.open_code()
    assert [one.look() for one in (old, new)] == [(True, "shared")] * 2


def test_the_probe_says_it(build_rooms: BuildRooms, api: Api) -> None:
    old = Process(build_rooms, api, secret=OURS)
    old.open_code()
    new = Process(build_rooms, api, secret=WRONG)
    assert api.get(READY).status_code == 200
    old.open_code()
    new.act()
    board_module.board().forget()
    refused = api.get(READY)
    assert (refused.status_code, refused.json()["code_secret"], refused.json()["status"]) == (
        503,
        "differs",
        "not ready",
    )
