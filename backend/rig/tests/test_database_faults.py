"""PostgreSQL breaks in mid-run: 503 and come back, no 500, nothing sent without a row, and well again by itself."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

from fakegateways.handle import FakeGateways
from rig.around import worker_of
from rig.crowds import Crowd
from rig.databases import PrivatePostgres, programs
from rig.ground import REQUEST, VERIFY, by_twilio, log_in, new_phone, one, require_stores, shot
from rig.service import RunningService

pytestmark = pytest.mark.servers
# Who is not well again by itself never is; a busy machine takes longer.
WELL_AGAIN_SECONDS = 60.0
MOST_CONNECTIONS = 24
# What is promised. A call of two busy cores may end a little later: as much as their calls take while all is well, and
# as long as the whole machine stood still meanwhile.
LONGEST_CALL_SECONDS = 5.0
LEAST_ROOM_SECONDS, MOST_ROOM_SECONDS = 0.6, 6.0
# A call that waited for as long as the database is frozen would be found out on any machine.
FROZEN_SECONDS = 12.0


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeGateways]:
    with FakeGateways() as running:
        yield running


@pytest.fixture(scope="module")
def database() -> Iterator[PrivatePostgres]:
    require_stores()
    if programs() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("the PostgreSQL server's programs are not installed")
        pytest.skip("the PostgreSQL server's programs are not installed")
    # The service asks for the isolation that its statements are made for, whatever a server's default is.
    stricter = "default_transaction_isolation=serializable"
    with PrivatePostgres(options=(f"max_connections={MOST_CONNECTIONS}", stricter)) as running:
        yield running


@pytest.fixture(scope="module")
def service(fake: FakeGateways, database: PrivatePostgres) -> Iterator[RunningService]:
    environ = by_twilio(fake, OTP_GLOBAL_MAX_PER_MINUTE="0", DATABASE_POOL_MAX="6")
    with RunningService(environ=environ, database_server=database.url) as running:
        yield running


def require_well(service: RunningService, fake: FakeGateways, *, since: float) -> float:
    """Log somebody in, again and again until it works; return the seconds since `since`."""
    while True:
        phone = new_phone()
        answer = one(service, shot(REQUEST, {"phone_number": phone}))
        assert answer.status in (200, 503), answer
        if answer.status == 200:
            code = fake.wait_for_message(phone).code
            answer = one(service, shot(VERIFY, {"phone_number": phone, "otp": code}))
            assert answer.status in (200, 503), answer
            if answer.status == 200:
                return time.monotonic() - since
        assert time.monotonic() - since < WELL_AGAIN_SECONDS
        time.sleep(0.1)


def require_only_503(crowd: Crowd, *, broke: float) -> int:
    """Check that whoever failed since it broke was told to come back, and in time; return how many that were."""
    wrong = {key: count for key, count in crowd.errors().items() if key[1:] != (503, "service_unavailable")}
    # A code that was used up in a transaction whose end we never heard of is no longer good.
    assert not wrong, wrong
    room = min(max(LEAST_ROOM_SECONDS, 2 * crowd.slowest(until=broke - 0.1)), MOST_ROOM_SECONDS)
    room += crowd.stood_still(since=broke - 0.1)
    assert crowd.slowest(since=broke - 0.1) < LONGEST_CALL_SECONDS + room
    return sum(crowd.errors().values())


def require_a_row_for_each_message(service: RunningService, fake: FakeGateways) -> None:
    rows = {phone for (phone,) in service.query("SELECT phone FROM accounts_message")}
    assert {message.to for message in fake.messages()} <= rows


def require_challenges_of(service: RunningService, acknowledged: list[str]) -> None:
    kept = {found for (found,) in service.query("SELECT id FROM accounts_challenge")}
    assert set(acknowledged) <= kept


def test_a_stricter_default_of_the_server_costs_nobody_a_call(service: RunningService, fake: FakeGateways) -> None:
    with Crowd(service, fake, people=8) as crowd:
        crowd.live(2, calls=51)
    assert not crowd.errors(), crowd.errors()


def test_ended_sessions_cost_a_503_each_at_most(
    service: RunningService, fake: FakeGateways, database: PrivatePostgres
) -> None:
    with Crowd(service, fake) as crowd:
        crowd.live(0.5, calls=4)
        broke = time.monotonic()
        ended = database.end_sessions()
        well = require_well(service, fake, since=time.monotonic())
        time.sleep(0.5)
    assert ended > 2
    failed = require_only_503(crowd, broke=broke)
    print(f"{ended} sessions ended: {failed} of {len(crowd.calls)} calls failed, well after {well:.2f} s")
    assert failed <= ended
    require_a_row_for_each_message(service, fake)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_costs_503s_and_no_acknowledged_challenge(
    service: RunningService, fake: FakeGateways, database: PrivatePostgres, mode: str
) -> None:
    acknowledged = [str(log_in_challenge(service)) for _ in range(3)]
    with Crowd(service, fake) as crowd:
        crowd.live(0.5, calls=4)
        broke = time.monotonic()
        database.restart(mode, pause=1.0)
        well = require_well(service, fake, since=time.monotonic())
        time.sleep(0.5)
    failed = require_only_503(crowd, broke=broke)
    print(f"restart {mode}: {failed} of {len(crowd.calls)} calls failed, well after {well:.2f} s")
    assert failed > 0
    require_a_row_for_each_message(service, fake)
    require_challenges_of(service, acknowledged)


def log_in_challenge(service: RunningService) -> str:
    answer = one(service, shot(REQUEST, {"phone_number": new_phone()}))
    assert answer.status == 200, answer
    return str(answer.body["challenge_id"])


def test_no_call_waits_longer_than_five_seconds_for_a_frozen_database(
    service: RunningService, fake: FakeGateways, database: PrivatePostgres
) -> None:
    with Crowd(service, fake, people=30, pause=0.2) as crowd:
        crowd.live(0.7, calls=60)
        frozen = time.monotonic()
        database.freeze()
        time.sleep(FROZEN_SECONDS)
        healthy = one(service, shot("/healthz", method="GET"))
        not_ready = one(service, shot("/readyz", method="GET"))
        database.thaw()
        well = require_well(service, fake, since=time.monotonic())
        time.sleep(0.5)
    failed = require_only_503(crowd, broke=frozen)
    print(
        f"frozen: {failed} of {len(crowd.calls)} calls failed, "
        f"the slowest took {crowd.slowest(since=frozen - 1):.2f} s, well after {well:.2f} s"
    )
    assert failed >= 30
    assert healthy.status == 200
    assert not_ready.status == 503
    require_a_row_for_each_message(service, fake)


def test_connections_that_others_hold_cost_the_surplus_a_503_and_nothing_else(
    service: RunningService, fake: FakeGateways, database: PrivatePostgres
) -> None:
    database.end_sessions()
    with ExitStack() as others:
        held = 0
        while True:
            try:
                others.enter_context(psycopg.connect(f"{database.url}/postgres"))
                held += 1
            except psycopg.OperationalError:
                break
        assert held > 5
        broke = time.monotonic()
        with Crowd(service, fake, people=20) as crowd:
            time.sleep(4)
            others.close()
            well = require_well(service, fake, since=time.monotonic())
        failed = require_only_503(crowd, broke=broke)
    print(f"{held} connections held: {failed} of {len(crowd.calls)} failed, well after {well:.2f} s")
    require_a_row_for_each_message(service, fake)


def test_a_database_that_was_killed_is_used_again_when_it_is_back(
    service: RunningService, fake: FakeGateways, database: PrivatePostgres
) -> None:
    with Crowd(service, fake) as crowd:
        crowd.live(0.5, calls=4)
        broke = time.monotonic()
        database.kill()
        time.sleep(1.5)
        database.start()
        well = require_well(service, fake, since=time.monotonic())
    failed = require_only_503(crowd, broke=broke)
    print(f"killed: {failed} of {len(crowd.calls)} calls failed, well after {well:.2f} s")
    require_a_row_for_each_message(service, fake)
    messages = [(message.to, message.seq) for message in fake.messages()]
    assert len(messages) == len({phone for phone, _ in messages})  # one message for each request


def test_log_ins_are_as_before(service: RunningService, fake: FakeGateways) -> None:
    for _ in range(10):
        log_in(service, fake, new_phone())


def test_a_database_that_is_gone_leaves_one_json_line_per_event_and_the_worker_alive(
    service: RunningService, fake: FakeGateways, database: PrivatePostgres
) -> None:
    before = worker_of(service)
    database.restart("fast", pause=6.0)
    require_well(service, fake, since=time.monotonic())
    assert worker_of(service) == before
    for line in service.log.read_text().splitlines():
        assert "event" in json.loads(line), line
