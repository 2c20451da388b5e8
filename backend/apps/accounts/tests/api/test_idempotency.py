"""A repeat with the same key, path and body gets the first answer again, and nothing happens twice."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from apps.accounts.models import IdempotencyRecord
from apps.accounts.services import wiring
from apps.accounts.services.idempotency import Kept, KeyedTicket
from apps.accounts.tests.api import stage
from apps.accounts.tests.api.conftest import Send, problem
from conftest import Rooms, needs_postgres

PATH = "/api/auth/counting/"
KEY = "a-key-of-sixteen-or-more"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(rooms: Rooms, send: Send) -> tuple[Rooms, Send]:
    """The services, with a clock to move, and the client."""
    return rooms, send


def test_a_repeat_gets_the_first_answer_again(world: tuple[Rooms, Send]) -> None:
    _, send = world
    first = send("POST", PATH, {"act": "go"}, idempotency_key=KEY)
    again = send("POST", PATH, {"act": "go"}, idempotency_key=KEY)
    assert stage.Counting.acts == 1
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["RateLimit"] == first.headers["RateLimit"]
    assert again.headers["Content-Type"] == "application/json"
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers


def test_the_same_members_in_other_spacing_on_the_path_without_its_slash_are_a_repeat(
    world: tuple[Rooms, Send],
) -> None:
    _, send = world
    send("POST", PATH, b'{"act": "go", "x": 1}', idempotency_key=KEY)
    again = send("POST", PATH.rstrip("/"), b'{"x":1,"act":"go"}', idempotency_key=KEY)
    assert again.headers["Idempotency-Replayed"] == "true"


def test_without_a_key_every_call_acts(world: tuple[Rooms, Send]) -> None:
    _, send = world
    send("POST", PATH, {"act": "go"})
    send("POST", PATH, {"act": "go"})
    assert stage.Counting.acts == 2
    assert not IdempotencyRecord.objects.exists()


def test_another_body_with_the_key_is_422(world: tuple[Rooms, Send]) -> None:
    _, send = world
    send("POST", PATH, {"act": "go"}, idempotency_key=KEY)
    problem(send("POST", PATH, {"act": "gone"}, idempotency_key=KEY), 422, "idempotency_key_reused")
    problem(send("POST", PATH, {"act": "go", "more": 1}, idempotency_key=KEY), 422, "idempotency_key_reused")
    assert stage.Counting.acts == 1


def test_another_key_acts_anew(world: tuple[Rooms, Send]) -> None:
    _, send = world
    send("POST", PATH, {"act": "go"}, idempotency_key=KEY)
    send("POST", PATH, {"act": "go"}, idempotency_key=KEY + "x")
    assert stage.Counting.acts == 2


@pytest.mark.parametrize(
    "key", ["", "short", "x" * 129, "has a space in the middle", "unvisible\x00-character", "é" * 20]
)
def test_a_malformed_key_is_400_and_nothing_happens(world: tuple[Rooms, Send], key: str) -> None:
    _, send = world
    problem(send("POST", PATH, {"act": "go"}, idempotency_key=key), 400, "invalid_request")
    assert stage.Counting.acts == 0


@pytest.mark.parametrize("key", ["x" * 16, "~" * 128])
def test_a_key_has_16_to_128_visible_characters(world: tuple[Rooms, Send], key: str) -> None:
    _, send = world
    assert send("POST", PATH, {"act": "go"}, idempotency_key=key).status_code == 200


def test_a_refusal_is_kept_as_it_was_said(world: tuple[Rooms, Send]) -> None:
    _, send = world
    first = send("POST", PATH, {"act": "wrong"}, idempotency_key=KEY, accept_language="ar", x_request_id="first")
    again = send("POST", PATH, {"act": "wrong"}, idempotency_key=KEY, x_request_id="second")
    problem(again, 400, "invalid_otp")
    assert again.content == first.content
    assert again.headers["X-Request-ID"] == "second"
    assert stage.Counting.acts == 1


@pytest.mark.parametrize(("act", "status"), [("limited", 429), ("crash", 500)])
def test_429_and_5xx_are_not_kept(world: tuple[Rooms, Send], act: str, status: int) -> None:
    _, send = world
    for _ in range(2):
        response = send("POST", PATH, {"act": act}, idempotency_key=KEY)
        assert response.status_code == status
        assert "Idempotency-Replayed" not in response.headers
    assert stage.Counting.acts == 2
    assert not IdempotencyRecord.objects.exists()


def test_bad_input_uses_no_key_up(world: tuple[Rooms, Send]) -> None:
    _, send = world
    problem(send("POST", PATH, {"act": 5}, idempotency_key=KEY), 400, "invalid_request")
    assert send("POST", PATH, {"act": "go"}, idempotency_key=KEY).status_code == 200


def test_an_answer_kept_within_the_act_is_what_is_answered_and_replayed(world: tuple[Rooms, Send]) -> None:
    _, send = world
    first = send("POST", PATH, {"act": "within"}, idempotency_key=KEY)
    again = send("POST", PATH, {"act": "within"}, idempotency_key=KEY)
    assert first.json() == {"acts": 1, "token": "secret-token"}
    assert again.content == first.content
    assert stage.Counting.acts == 1


def test_a_death_between_commit_and_answer_is_replayed(world: tuple[Rooms, Send]) -> None:
    _, send = world
    with pytest.raises(SystemExit):
        send("POST", PATH, {"act": "dies after commit"}, idempotency_key=KEY)
    again = send("POST", PATH, {"act": "dies after commit"}, idempotency_key=KEY)
    assert again.json() == {"acts": 1}
    assert again.headers["Idempotency-Replayed"] == "true"
    assert stage.Counting.acts == 1


def test_a_repeat_while_the_first_runs_is_409(world: tuple[Rooms, Send]) -> None:
    rooms, send = world
    _claim(rooms, b'{"act":"go"}')
    response = send("POST", PATH, {"act": "go"}, idempotency_key=KEY)
    problem(response, 409, "request_in_progress")
    problem(send("POST", PATH, {"act": "other"}, idempotency_key=KEY), 422, "idempotency_key_reused")
    assert stage.Counting.acts == 0


def test_a_call_that_died_frees_its_key_after_the_send_deadline_and_three_seconds(world: tuple[Rooms, Send]) -> None:
    rooms, send = world
    deadline = rooms.services.config.send_deadline
    _claim(rooms, b'{"act":"go"}')
    rooms.clock.advance(seconds=deadline + 1)
    problem(send("POST", PATH, {"act": "go"}, idempotency_key=KEY), 409, "request_in_progress")
    rooms.clock.advance(seconds=2.5)
    assert send("POST", PATH, {"act": "go"}, idempotency_key=KEY).json()["acts"] == 1


def test_a_slow_call_whose_key_was_taken_over_cannot_commit_its_act(world: tuple[Rooms, Send]) -> None:
    from apps.accounts.errors import RequestInProgress
    from apps.accounts.services import statements

    rooms, send = world
    slow = _claim(rooms, b'{"act":"go"}')
    rooms.clock.advance(seconds=60)
    second = send("POST", PATH, {"act": "go"}, idempotency_key=KEY)
    with pytest.raises(RequestInProgress), statements.durable():
        slow.keep(200, {"acts": 99})
    slow.settle(Kept(status=200, body='{"acts":99}'))
    slow.release()
    again = send("POST", PATH, {"act": "go"}, idempotency_key=KEY)
    assert again.content == second.content


def test_an_answer_is_given_again_for_ten_minutes_and_then_no_more(world: tuple[Rooms, Send]) -> None:
    rooms, send = world
    send("POST", PATH, {"act": "go"}, idempotency_key=KEY)
    rooms.clock.advance(seconds=595)
    assert send("POST", PATH, {"act": "go"}, idempotency_key=KEY).headers["Idempotency-Replayed"] == "true"
    rooms.clock.advance(seconds=10)
    assert send("POST", PATH, {"act": "other"}, idempotency_key=KEY).json()["acts"] == 2


def test_one_callers_key_is_not_anothers(world: tuple[Rooms, Send]) -> None:
    _, send = world
    path = "/api/auth/mine-counting/"
    for who in ("anna", "omar"):
        assert send("POST", path, idempotency_key=KEY, authorization=f"Bearer {who}").json() == {"who": who}
    again = send("POST", path, idempotency_key=KEY, authorization="Bearer anna")
    assert again.json() == {"who": "anna"}
    assert again.headers["Idempotency-Replayed"] == "true"


def test_the_table_holds_neither_key_nor_body_nor_answer(world: tuple[Rooms, Send]) -> None:
    _, send = world
    send("POST", PATH, {"act": "within"}, idempotency_key=KEY)
    send("POST", PATH, {"act": "go"}, idempotency_key=KEY + "2")
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM accounts_idempotencyrecord")
        dump = repr(cursor.fetchall())
    for secret in (KEY, "within", "secret-token", "966501234567", "counting"):
        assert secret not in dump


def test_a_stolen_table_opens_only_with_the_servers_secret_the_key_and_the_body(
    world: tuple[Rooms, Send], build_rooms: Callable[..., Rooms]
) -> None:
    _, send = world
    send("POST", PATH, {"act": "go"}, idempotency_key=KEY)
    build_rooms(SECRET_KEY="another-secret-key-of-more-than-thirty-two-characters")
    assert send("POST", PATH, {"act": "go"}, idempotency_key=KEY).json()["acts"] == 2


def test_purge_deletes_what_nobody_can_be_given_any_more(world: tuple[Rooms, Send]) -> None:
    rooms, send = world
    send("POST", PATH, {"act": "go"}, idempotency_key=KEY)
    _claim(rooms, b"{}", key=KEY + "2")
    idempotency = rooms.services.idempotency
    assert idempotency.purge() == 0
    rooms.clock.advance(seconds=601)
    assert idempotency.purge(batch=1) == 1
    assert idempotency.purge() == 1
    assert idempotency.purge() == 0


def test_a_database_that_dies_after_the_act_does_not_undo_the_answer(
    world: tuple[Rooms, Send], monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError

    _, send = world

    def gone(self: Any, answer: Kept) -> int:
        raise OperationalError

    monkeypatch.setattr(KeyedTicket, "_write", gone)
    assert send("POST", PATH, {"act": "go"}, idempotency_key=KEY).status_code == 200


@needs_postgres()
def test_of_many_parallel_calls_with_one_key_exactly_one_acts(world: tuple[Rooms, Send]) -> None:
    _, send = world
    start, answers = threading.Barrier(12), []

    def call() -> None:
        try:
            start.wait()
            answers.append(send("POST", PATH, {"act": "within"}, idempotency_key=KEY))
        finally:
            connection.close()

    threads = [threading.Thread(target=call) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stage.Counting.acts == 1
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) <= {200, 409}
    assert len([a for a in answers if a.status_code == 200 and "Idempotency-Replayed" not in a.headers]) == 1


def _claim(rooms: Rooms, body: bytes, *, key: str = KEY) -> KeyedTicket:
    claimed = wiring.services().idempotency.claim(
        key, operation=f"POST {PATH.rstrip('/')} ", body=body, render=lambda error: Kept(status=400, body="{}")
    )
    assert isinstance(claimed, KeyedTicket)
    return claimed
