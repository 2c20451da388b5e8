"""Races over accounts and their numbers, on PostgreSQL and several processes: one number, one ticket, one end."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

import pytest

from fakegateways.handle import FakeGateways
from rig.service import RunningService, stores_answer
from rig.together import Answered, Shot, race

REQUEST, VERIFY, CHOOSE = "/api/auth/phone/request/", "/api/auth/phone/verify/", "/api/auth/phone/choose/"
OTP_REQUEST, OTP_VERIFY = "/api/auth/otp/request/", "/api/auth/otp/verify/"
ACCOUNT, REFRESH, STATUS = "/api/auth/account/", "/api/auth/token/refresh/", "/api/auth/status/"
pytestmark = pytest.mark.servers
_numbers = iter(f"+96655{n:07d}" for n in range(1_000_000, 9_900_000, 7))
_clients = iter(range(1, 1_000_000))


@dataclass
class App:
    """One person's app: asks, proves, and holds what it got."""

    service: RunningService
    fake: FakeGateways
    phone: str
    access: str = ""
    refresh: str = ""

    def shot(self, path: str, body: Any = None, *, access: str = "", method: str = "POST") -> Shot:
        """Return a request of this person, from an address of its own."""
        n = next(_clients)
        headers = {"X-Forwarded-For": f"10.{n // 65536 % 256}.{n // 256 % 256}.{n % 256}"}
        if access or self.access:
            headers["Authorization"] = f"Bearer {access or self.access}"
        return Shot(path, body, headers, method)

    def call(self, path: str, body: Any = None, *, access: str = "", method: str = "POST") -> Answered:
        shot = self.shot(path, body, access=access, method=method)
        connection = HTTPConnection("127.0.0.1", self.service.port, timeout=30)
        try:
            raw = None if shot.body is None else json.dumps(shot.body)
            connection.request(method, path, raw, {"Content-Type": "application/json", **shot.headers})
            answer = connection.getresponse()
            text = answer.read()
            return Answered(answer.status, json.loads(text) if text else None, dict(answer.getheaders()))
        finally:
            connection.close()

    def code_for(self, phone: str, path: str, body: Any, *, access: str = "") -> str:
        """Ask for a code to `phone` and return what its handset got."""
        before = len(self.fake.messages(phone=phone))
        answer = self.call(path, body, access=access)
        assert answer.status == 200, answer.body
        assert len(self.fake.messages(phone=phone)) == before + 1
        return self.fake.wait_for_message(phone).code or ""

    def login_code(self) -> str:
        return self.code_for(self.phone, REQUEST, {"phone_number": self.phone})

    def login(self) -> "App":
        answer = self.call(VERIFY, {"phone_number": self.phone, "otp": self.login_code()})
        assert answer.status == 200, answer.body
        self.access, self.refresh = answer.body["access"], answer.body["refresh"]
        return self

    def step_up(self) -> str:
        code = self.code_for(self.phone, OTP_REQUEST, {"purpose": "step_up"})
        answer = self.call(OTP_VERIFY, {"purpose": "step_up", "otp": code})
        assert answer.status == 200, answer.body
        return str(answer.body["access"])

    def change_code(self, number: str) -> str:
        body = {"purpose": "change_phone", "phone_number": number}
        return self.code_for(number, OTP_REQUEST, body, access=self.step_up())


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeGateways]:
    with FakeGateways() as running:
        yield running


@pytest.fixture(scope="module")
def service(fake: FakeGateways) -> Iterator[RunningService]:
    reason = stores_answer()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    environ = {
        "OTP_PROVIDER": "twilio",
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": "fake-twilio-token",
        "TWILIO_PHONE_NUMBER": "+15005550006",
        "TWILIO_BASE_URL": fake.twilio_url,
        "OTP_MAX_PER_WINDOW": "0",
        "OTP_RESEND_COOLDOWN_SECONDS": "0",
        "PHONE_AUTH_IP_MAX_FAILURES_PER_WINDOW": "1000",
        "OTP_GLOBAL_MAX_FAILURES_PER_MINUTE": "100000",
    }
    with RunningService(environ=environ) as running:
        yield running


@pytest.fixture
def app(service: RunningService, fake: FakeGateways) -> Any:
    """Return what makes a person's app, by default with a number of its own."""
    return lambda phone="": App(service, fake, phone or next(_numbers))


def codes(answers: list[Answered]) -> Counter[tuple[int, str]]:
    return Counter((answer.status, answer.code) for answer in answers)


def holders(service: RunningService, phone: str) -> int:
    ((count,),) = service.query("SELECT count(*) FROM accounts_user WHERE phone_number = %s", phone)
    return int(count)


def silent(service: RunningService, phone: str) -> None:
    """Let an account have been silent for 200 days."""
    service.query("UPDATE accounts_user SET last_seen_at = now() - interval '200 days' WHERE phone_number = %s", phone)


def ticket_of(who: App) -> str:
    answer = who.call(VERIFY, {"phone_number": who.phone, "otp": who.login_code()})
    assert answer.status == 200, answer.body
    assert answer.body.get("account_choice_required") is True, answer.body
    return str(answer.body["ticket"])


def test_of_accounts_that_change_to_one_number_one_wins(service: RunningService, app: Any) -> None:
    number = next(_numbers)
    people = [app().login() for _ in range(4)]
    shots = [who.shot(OTP_VERIFY, {"purpose": "change_phone", "otp": who.change_code(number)}) for who in people]
    found = codes(race(service.url, shots))
    assert found == {(200, ""): 1, (409, "phone_in_use"): 3}, found
    assert holders(service, number) == 1
    ((used,),) = service.query(
        "SELECT count(*) FROM accounts_code WHERE phone = %s AND purpose = 'change_phone' AND state = 'used'", number
    )
    assert used == 4
    assert {who.call(STATUS, method="GET").status for who in people} == {200}


def test_a_first_login_against_a_change_to_its_number_makes_one_holder(service: RunningService, app: Any) -> None:
    for _ in range(5):
        number = next(_numbers)
        mover, newcomer = app().login(), app(number)
        moving = mover.shot(OTP_VERIFY, {"purpose": "change_phone", "otp": mover.change_code(number)})
        coming = newcomer.shot(VERIFY, {"phone_number": number, "otp": newcomer.login_code()})
        moved, came = race(service.url, [moving, coming])
        assert came.status == 200, came.body
        assert (moved.status, moved.code) in {(200, ""), (409, "phone_in_use")}, moved.body
        assert (moved.status == 200) == (came.body["is_new_user"] is False)
        assert holders(service, number) == 1


def test_one_step_up_code_gives_one_token(service: RunningService, app: Any) -> None:
    who = app().login()
    code = who.code_for(who.phone, OTP_REQUEST, {"purpose": "step_up"})
    shots = [who.shot(OTP_VERIFY, {"purpose": "step_up", "otp": code}) for _ in range(50)]
    found = codes(race(service.url, shots))
    assert found[(200, "")] == 1, found
    assert set(found) <= {(200, ""), (400, "invalid_otp"), (429, "too_many_attempts")}, found


def test_one_ticket_chooses_once(service: RunningService, app: Any) -> None:
    who = app().login()
    silent(service, who.phone)
    visitor = app(who.phone)
    ticket = ticket_of(visitor)
    shots = [visitor.shot(CHOOSE, {"ticket": ticket, "choice": ("new", "mine")[n % 2]}) for n in range(50)]
    found = codes(race(service.url, shots))
    assert found[(200, "")] + found[(202, "")] == 1, found
    assert found[(400, "invalid_request")] == 49, found
    assert holders(service, who.phone) == 1
    ((parked,),) = service.query("SELECT count(*) FROM accounts_user WHERE parked_phone = %s", who.phone)
    assert parked == found[(200, "")]


def test_many_tickets_park_the_old_account_once(service: RunningService, app: Any) -> None:
    who = app().login()
    silent(service, who.phone)
    visitor = app(who.phone)
    tickets = [ticket_of(visitor) for _ in range(8)]
    shots = [visitor.shot(CHOOSE, {"ticket": ticket, "choice": "new"}) for ticket in tickets]
    found = codes(race(service.url, shots))
    assert found == {(200, ""): 1, (400, "invalid_request"): 7}, found
    ((accounts,),) = service.query(
        "SELECT count(*) FROM accounts_user WHERE phone_number = %s OR parked_phone = %s", who.phone, who.phone
    )
    assert accounts == 2


def test_parallel_claims_wait_as_one(service: RunningService, app: Any) -> None:
    who = app().login()
    silent(service, who.phone)
    visitor = app(who.phone)
    tickets = [ticket_of(visitor) for _ in range(8)]
    shots = [visitor.shot(CHOOSE, {"ticket": ticket, "choice": "mine"}) for ticket in tickets]
    assert codes(race(service.url, shots)) == {(202, ""): 8}
    ((waiting,),) = service.query(
        "SELECT count(*) FROM accounts_recycledclaim WHERE phone = %s AND state = 'waiting'", who.phone
    )
    assert waiting == 1


def living(service: RunningService) -> int:
    """Return how many sessions of deleted accounts are alive."""
    ((count,),) = service.query(
        "SELECT count(*) FROM accounts_session s JOIN accounts_user u ON u.id = s.user_id "
        "WHERE u.deleted_at IS NOT NULL AND s.revoked_at IS NULL"
    )
    return int(count)


def test_a_deletion_against_logins_leaves_no_session_of_the_deleted_account(service: RunningService, app: Any) -> None:
    for _ in range(5):
        who = app().login()
        step_up = who.step_up()
        other = app(who.phone)
        coming = other.shot(VERIFY, {"phone_number": who.phone, "otp": other.login_code()})
        deleted, came = race(service.url, [who.shot(ACCOUNT, access=step_up, method="DELETE"), coming])
        assert (deleted.status, came.status) == (204, 200), (deleted.body, came.body)
        assert living(service) == 0
        # The login came before the deletion and ended with it, or after it into a new account.
        alive = other.call(STATUS, access=came.body["access"], method="GET").status
        assert alive == (200 if came.body["is_new_user"] else 401)
        assert holders(service, who.phone) == (1 if came.body["is_new_user"] else 0)


def test_a_deletion_against_refreshes_changes_and_step_ups_ends_them_all(service: RunningService, app: Any) -> None:
    for _ in range(5):
        who = app().login()
        number = next(_numbers)
        step_up = who.step_up()
        change = who.shot(OTP_VERIFY, {"purpose": "change_phone", "otp": who.change_code(number)})
        again = who.shot(
            OTP_VERIFY, {"purpose": "step_up", "otp": who.code_for(who.phone, OTP_REQUEST, {"purpose": "step_up"})}
        )
        shots = [who.shot(ACCOUNT, access=step_up, method="DELETE"), change, again]
        shots += [who.shot(REFRESH, {"refresh": who.refresh}) for _ in range(8)]
        answers = race(service.url, shots)
        assert answers[0].status == 204, answers[0].body
        assert {answer.status for answer in answers[1:]} <= {200, 400, 401}, codes(answers)
        assert living(service) == 0
        assert holders(service, who.phone) == holders(service, number) == 0
        gained = [answer.body for answer in answers[1:] if answer.status == 200 and "access" in answer.body]
        for body in gained:
            assert who.call(STATUS, access=body["access"], method="GET").status == 401
            if "refresh" in body:
                assert who.call(REFRESH, {"refresh": body["refresh"]}).status == 401


def test_parallel_deletions_delete_once(service: RunningService, app: Any) -> None:
    who = app().login()
    step_up = who.step_up()
    found = codes(race(service.url, [who.shot(ACCOUNT, access=step_up, method="DELETE") for _ in range(20)]))
    assert found == {(204, ""): 1, (401, "session_revoked"): 19}, found


def test_accounts_that_swap_their_numbers_never_share_one(service: RunningService, app: Any) -> None:
    one, two = app().login(), app().login()
    shots = [
        one.shot(OTP_VERIFY, {"purpose": "change_phone", "otp": one.change_code(two.phone)}),
        two.shot(OTP_VERIFY, {"purpose": "change_phone", "otp": two.change_code(one.phone)}),
    ]
    answers = race(service.url, shots)
    assert {answer.status for answer in answers} <= {200, 409, 503}, codes(answers)
    assert holders(service, one.phone) <= 1
    assert holders(service, two.phone) <= 1
    assert {who.call(STATUS, method="GET").status for who in (one, two)} == {200}
