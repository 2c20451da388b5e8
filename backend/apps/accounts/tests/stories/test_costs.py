"""What a call costs in statements, and in exchanges with the cache: PostgreSQL does a step of an ordinary login in one.

BEGIN and COMMIT are counted: each is a round trip. What a process reads again now and then (block list, keys, choices
of operators) is not.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.services import fused
from apps.accounts.services.limits import ResilientLimiter
from conftest import PHONE, Api, Rooms, on_postgres

pytestmark = pytest.mark.django_db(transaction=True)
REQUEST, VERIFY = "/api/auth/phone/request/", "/api/auth/phone/verify/"
REFRESH, STATUS = "/api/auth/token/refresh/", "/api/auth/status/"
NOW_AND_THEN = ("accounts_block", "accounts_signingkey", "accounts_changecounter", "accounts_gateway")
# SQLite's portable path has no rows to lock.
LOCK = "SELECT id FROM accounts_failurelane"

Costs = dict[str, int]
PORTABLE: Costs = {"request": 9, "verify": 18, "verify by challenge": 17, "verify by device": 18}
FUSED: Costs = {"request": 2, "verify": 2, "verify by challenge": 2, "verify by device": 3}


@contextmanager
def costs(expected: int) -> Iterator[None]:
    """Check how many statements the block executes."""
    with CaptureQueriesContext(connection) as seen:
        yield
    said = [query["sql"] for query in seen.captured_queries]
    said = [sql for sql in said if not sql.startswith(LOCK) and not any(table in sql for table in NOW_AND_THEN)]
    assert len(said) == expected, "\n".join(said)


@pytest.fixture(params=["as the database can", "portable"])
def expected(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, rooms: Rooms) -> Costs:
    """The number of statements of each call, on this database and, where it has two, on either path."""
    rooms.services.keys.ensure()
    if request.param == "portable":
        monkeypatch.setattr(fused, "available", lambda: False)
        return PORTABLE
    return FUSED if on_postgres() else PORTABLE


@pytest.fixture
def person(rooms: Rooms, api: Api) -> dict[str, str]:
    """Somebody who has logged in once, long enough ago."""
    api.post(REQUEST, {"phone_number": PHONE})
    login: dict[str, str] = api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code}).json()
    rooms.clock.advance(seconds=3700)
    return login


def test_a_first_login(rooms: Rooms, api: Api, expected: Costs) -> None:
    with costs(expected["request"]):
        assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 200
    with costs(expected["verify"]):
        assert api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code}).status_code == 200


def test_every_further_login(rooms: Rooms, api: Api, expected: Costs, person: dict[str, str]) -> None:
    with costs(expected["request"]):
        assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 200
    with costs(expected["verify"]):
        assert api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code}).status_code == 200


def test_a_login_by_challenge(rooms: Rooms, api: Api, expected: Costs, person: dict[str, str]) -> None:
    challenge = api.post(REQUEST, {"phone_number": PHONE}).json()["challenge_id"]
    with costs(expected["verify by challenge"]):
        assert api.post(VERIFY, {"challenge_id": challenge, "otp": rooms.gateway.last_code}).status_code == 200


def test_a_login_by_the_device_that_asked(rooms: Rooms, api: Api, expected: Costs, person: dict[str, str]) -> None:
    body = {"phone_number": PHONE, "device_id": "device-1"}
    with costs(expected["request"]):
        api.post(REQUEST, body)
    with costs(expected["verify by device"]):
        assert api.post(VERIFY, {**body, "otp": rooms.gateway.last_code}).status_code == 200


def test_a_refresh_is_a_read_and_a_write_and_a_status_a_read(rooms: Rooms, api: Api, person: dict[str, str]) -> None:
    with costs(2):
        refreshed = api.post(REFRESH, {"refresh": person["refresh"]}).json()
    with costs(2):  # the first use of a generation is written down
        assert api.get(STATUS, authorization=f"Bearer {refreshed['access']}").status_code == 200
    with costs(1):
        assert api.get(STATUS, authorization=f"Bearer {refreshed['access']}").status_code == 200


def noting(asked: Counter[str], verb: str) -> Any:
    whole = getattr(ResilientLimiter, verb)

    def noted(*args: Any, **kwargs: Any) -> Any:
        asked[verb] += 1
        return whole(*args, **kwargs)

    return noted


def test_each_call_asks_the_cache_once(rooms: Rooms, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Counter[str] = Counter()
    for verb in ("admit", "peek", "refund", "clear"):
        monkeypatch.setattr(ResilientLimiter, verb, noting(asked, verb))
    api.post(REQUEST, {"phone_number": PHONE})
    assert asked == {"admit": 1}
    asked.clear()
    login = api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code}).json()
    assert asked == {"peek": 1}
    asked.clear()
    api.post(REFRESH, {"refresh": login["refresh"]})
    api.get(STATUS, authorization=f"Bearer {login['access']}")
    assert asked == {}


def test_a_wrong_code_asks_the_cache_before_and_counts_after_in_one_step_each(
    rooms: Rooms, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    challenge = api.post(REQUEST, {"phone_number": PHONE}).json()["challenge_id"]
    wrong = "000000" if rooms.gateway.last_code != "000000" else "111111"
    asked: Counter[str] = Counter()
    for verb in ("admit", "peek", "refund", "clear"):
        monkeypatch.setattr(ResilientLimiter, verb, noting(asked, verb))
    for whom in ({"phone_number": PHONE}, {"challenge_id": challenge}) * 2:  # a lane is fresh, and then it is not
        asked.clear()
        assert api.post(VERIFY, {**whom, "otp": wrong}).status_code == 400
        assert asked == {"peek": 1, "admit": 1}
