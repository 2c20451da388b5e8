"""Whatever a caller makes PostgreSQL look for, it looks for by a key: no plan walks a table or an index that grows.

A plan is kept for as long as its connection lives, so it must be right on full tables though it was made on empty ones.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connection

from apps.accounts.services import fused
from apps.accounts.services.purging import Purging
from apps.accounts.services.standings import Standings
from conftest import PHONE, Api, Rooms, needs_postgres

pytestmark = [pytest.mark.django_db(transaction=True), needs_postgres("only PostgreSQL keeps plans")]
REQUEST, RESEND, VERIFY = "/api/auth/phone/request/", "/api/auth/phone/resend/", "/api/auth/phone/verify/"
REFRESH, STATUS, LOGOUT = "/api/auth/token/refresh/", "/api/auth/status/", "/api/auth/logout/"
SESSIONS = "/api/auth/sessions/"
HELPERS = frozenset({"Gather", "Gather Merge"})
SCANS = frozenset({"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Index Scan"})
VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
# A row for a gateway and route that is not as usual: each process reads them whole, now and then.
SMALL = frozenset({"accounts_gatewaystanding", "accounts_gatewaychoice"})


@contextmanager
def planned() -> Iterator[None]:
    """Check the plan of each statement that the block executes."""
    asked: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().upper().startswith(VERBS):
            asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield
    assert asked
    walks = [f"{walk}: {' '.join(sql.split())}" for sql, params in asked for walk in walks_of(sql, params)]
    assert not walks, "\n".join(walks)


def walks_of(sql: str, params: Any) -> Iterator[str]:
    """Say which growing tables or indexes the statement's plan walks from end to end, or that it starts processes."""
    with psycopg.ClientCursor(connection.connection) as cursor:
        found = cursor.execute("EXPLAIN (FORMAT JSON) " + sql, params).fetchone()
    assert found is not None
    nodes = [found[0][0]["Plan"]]
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        kind = node["Node Type"]
        if kind in HELPERS:
            yield f"{kind}: starts processes of its own"
        if kind in SCANS and "Index Cond" not in node and node.get("Relation Name", "") not in SMALL:
            yield f"{kind} {node.get('Relation Name', '')} {node.get('Index Name', '')}"


@pytest.fixture(params=["in one statement", "portable"], autouse=True)
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, rooms: Rooms) -> None:
    rooms.services.keys.ensure()
    if request.param == "portable":
        monkeypatch.setattr(fused, "available", lambda: False)


def test_a_login_by_challenge(rooms: Rooms, api: Api) -> None:
    with planned():
        challenge = api.post(REQUEST, {"phone_number": PHONE}).json()["challenge_id"]
        assert api.post(VERIFY, {"challenge_id": challenge, "otp": "000000"}).status_code == 400
        assert api.post(VERIFY, {"challenge_id": challenge, "otp": rooms.gateway.last_code}).status_code == 200


def test_a_login_by_phone_after_a_resend(rooms: Rooms, api: Api) -> None:
    with planned():
        api.post(REQUEST, {"phone_number": PHONE, "device_id": "device-1"})
        rooms.clock.advance(seconds=70)
        assert api.post(RESEND, {"phone_number": PHONE, "device_id": "device-1"}).status_code == 200
        assert api.post(VERIFY, {"phone_number": PHONE, "otp": "000000"}).status_code == 400
        assert api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code}).status_code == 200


def test_what_each_process_reads_of_the_gateways_every_half_second(rooms: Rooms) -> None:
    with planned():
        assert Standings(clock=rooms.clock).look().standings == {}


def test_a_look_at_a_challenge_and_its_end(api: Api) -> None:
    challenge = api.post(REQUEST, {"phone_number": PHONE}).json()["challenge_id"]
    with planned():
        assert api.get(f"/api/auth/phone/challenge/{challenge}/").status_code == 200
        assert api.delete(f"/api/auth/phone/challenge/{challenge}/").status_code == 204


def test_a_session_until_its_end(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    login = api.post(VERIFY, {"phone_number": PHONE, "otp": rooms.gateway.last_code}).json()
    with planned():
        login = api.post(REFRESH, {"refresh": login["refresh"]}).json()
        bearer = {"authorization": f"Bearer {login['access']}"}
        assert api.get(STATUS, **bearer).status_code == 200
        assert api.get(SESSIONS, **bearer).status_code == 200
        assert api.post(LOGOUT, {"refresh": login["refresh"]}, **bearer).status_code == 204


def test_the_forgetting_of_codes_that_are_old(rooms: Rooms, api: Api) -> None:
    api.post(REQUEST, {"phone_number": PHONE})
    rooms.clock.advance(seconds=31 * 86_400)
    made = rooms.services
    old = Purging(config=made.config, clock=rooms.clock, idempotency=made.idempotency, erasure=made.erasure)
    codes = next(step for step in old.steps() if step.name == "codes")
    with planned():
        assert codes.batch() == 1
