"""A proof before a send: asked of whom, judged by a proof service over a real socket, and what its silence means."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.db import connection

from apps.accounts import config
from apps.accounts.providers.siteverify import ADDRESSES, ProofUnavailable, Siteverify
from apps.accounts.services import humanity, statements
from apps.accounts.tests.guard.test_guard_door import stand
from apps.accounts.tests.providers.raw_server import RawServer, Seen, http
from conftest import BASE_ENVIRON, PHONE, Api, BuildRooms

REQUEST = "/api/auth/phone/request/"
SECRET = "0x4AAA-the-sites-secret"
GOOD, SPENT, LOW = "good-token", "spent-token", "low-score-token"


def siteverify(request: Seen) -> bytes | None:
    """Answer as the proof services do."""
    form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
    token = form.get("response", "")
    if form.get("secret") != SECRET:
        return http(200, json.dumps({"success": False, "error-codes": ["invalid-input-secret"]}).encode())
    answers: dict[str, Any] = {
        GOOD: {"success": True, "challenge_ts": "2027-01-01T00:00:00Z", "hostname": "x", "error-codes": []},
        LOW: {"success": True, "score": 0.2, "action": "login"},
        SPENT: {"success": False, "error-codes": ["timeout-or-duplicate"]},
        "theirs": {"success": False, "error-codes": ["internal-error"]},
    }
    if token == "hang":
        time.sleep(60)
        return None
    if token in ("html", "huge", "not-an-object"):
        body = {"html": b"<html>", "huge": b"{" + b" " * 100_000 + b"}", "not-an-object": b"[true]"}[token]
        return http(502 if token == "html" else 200, body)
    body = answers.get(token, {"success": False, "error-codes": ["invalid-input-response"]})
    return http(200, json.dumps(body).encode(), "Content-Type: application/json")


@pytest.fixture
def service() -> Iterator[RawServer]:
    with RawServer(siteverify) as server:
        yield server


def judge_of(service: RawServer, name: str = "turnstile", *, secret: str = SECRET, timeout: float = 30) -> Siteverify:
    return Siteverify(name, secret=secret, address=f"{service.url}/turnstile/v0/siteverify", timeout=timeout)


@pytest.mark.parametrize("name", ["turnstile", "recaptcha"])
def test_a_good_token_is_good_and_goes_out_as_a_form(service: RawServer, name: str) -> None:
    assert judge_of(service, name).judge(GOOD).good
    (seen,) = service.seen
    assert (seen.method, seen.path) == ("POST", "/turnstile/v0/siteverify")
    assert parse_qs(seen.body.decode()) == {"secret": [SECRET], "response": [GOOD]}


@pytest.mark.parametrize(
    ("token", "reason"),
    [(SPENT, "timeout-or-duplicate"), ("anything", "invalid-input-response"), (LOW, "low_score")],
)
def test_a_bad_token_is_told_with_its_reason(service: RawServer, token: str, reason: str) -> None:
    verdict = judge_of(service).judge(token)
    assert (verdict.good, verdict.reason) == (False, reason)


@pytest.mark.parametrize("token", ["theirs", "html", "huge", "not-an-object", "hang"])
def test_what_is_no_verdict_is_taken_for_none(service: RawServer, token: str) -> None:
    started = time.monotonic()
    with pytest.raises(ProofUnavailable):
        judge_of(service, timeout=0.5 if token == "hang" else 30).judge(token)
    assert time.monotonic() - started < 30  # a judge that hangs is not waited for


def test_our_own_wrong_secret_is_no_fault_of_the_token(service: RawServer) -> None:
    with pytest.raises(ProofUnavailable, match="invalid-input-secret"):
        judge_of(service, secret="wrong").judge(GOOD)


def test_the_public_addresses_are_those_of_the_vendors() -> None:
    assert ADDRESSES == {
        "turnstile": "https://challenges.cloudflare.com/turnstile/v0/siteverify",
        "recaptcha": "https://www.google.com/recaptcha/api/siteverify",
    }


@pytest.mark.parametrize(
    ("environ", "fault"),
    [
        ({"OTP_PROOF_PROVIDER": "turnstile"}, "OTP_PROOF_SECRET is needed"),
        ({"OTP_PROOF_URL": "http://proof.example.com/x"}, "OTP_PROOF_URL plain http"),
    ],
)
def test_a_proof_that_cannot_work_stops_the_start(environ: dict[str, str], fault: str) -> None:
    with pytest.raises(config.ConfigurationError) as caught:
        config.load({**BASE_ENVIRON, **environ})
    assert any(one.startswith(fault) for one in caught.value.faults)


Build = Callable[..., Any]


@pytest.fixture
def build(build_rooms: BuildRooms, service: RawServer) -> Build:
    def made(**environ: str) -> Any:
        return build_rooms(
            **{
                "OTP_PROOF_PROVIDER": "turnstile",
                "OTP_PROOF_SECRET": SECRET,
                "OTP_PROOF_URL": f"{service.url}/siteverify",
                "OTP_PROOF_WHEN": "always",
                "PHONE_AUTH_IP_MAX_PER_WINDOW": "0",
                **environ,
            }
        )

    return made


def ask(api: Api, phone: str = PHONE, *, proof: str = "", **body: str) -> Any:
    headers = {"x_proof_token": proof} if proof else {}
    return api.post(REQUEST, {"phone_number": phone, **body}, **headers)


@pytest.mark.django_db(transaction=True)
class TestSends:
    def test_no_proof_is_asked_for_unless_one_is_configured(self, build_rooms: BuildRooms, api: Api) -> None:
        build_rooms()
        assert ask(api).status_code == 200

    def test_without_a_proof_nothing_is_sent_and_the_answer_names_the_service(
        self, build: Build, api: Api, service: RawServer
    ) -> None:
        rooms = build()
        answer = ask(api)
        assert (answer.status_code, answer.json()["code"]) == (403, "proof_required")
        assert answer.json()["provider"] == "turnstile"
        assert (rooms.gateway.orders, service.seen) == ([], [])

    def test_a_bad_proof_is_refused_and_takes_no_limit(self, build: Build, api: Api) -> None:
        rooms = build()
        assert ask(api, proof=SPENT).json()["code"] == "proof_required"
        assert ask(api, proof=GOOD).json()["challenge"]["sends_left"] == 2
        assert len(rooms.gateway.orders) == 1

    def test_a_good_proof_may_come_in_the_body(self, build: Build, api: Api) -> None:
        build()
        assert ask(api, phone="+966501230001", proof=SPENT, body="").status_code == 403
        answer = api.post(REQUEST, {"phone_number": PHONE, "proof": GOOD}, x_proof_token=SPENT)
        assert answer.status_code == 200

    def test_a_proof_that_is_no_text_is_an_invalid_request(self, build: Build, api: Api) -> None:
        build()
        answer = api.post(REQUEST, {"phone_number": PHONE, "proof": 7})
        assert (answer.status_code, list(answer.json()["fields"])) == (400, ["proof"])

    def test_a_resend_needs_a_proof_of_its_own(self, build: Build, api: Api) -> None:
        rooms = build()
        challenge = ask(api, proof=GOOD).json()["challenge_id"]
        rooms.clock.advance(seconds=61)
        assert api.post("/api/auth/phone/resend/", {"challenge_id": challenge}).status_code == 403
        again = api.post("/api/auth/phone/resend/", {"challenge_id": challenge}, x_proof_token=GOOD)
        assert again.status_code == 200

    def test_only_the_named_countries_are_asked(self, build: Build, api: Api) -> None:
        build(OTP_PROOF_COUNTRIES="AE")
        assert ask(api).status_code == 200
        assert ask(api, "+971501234567").status_code == 403

    def test_at_risk_only_means_where_something_is_held_against_it(self, build: Build, api: Api) -> None:
        rooms = build(OTP_PROOF_WHEN="risk")
        assert ask(api).status_code == 403  # nobody was ever verified there
        stand("country", "SA", "open", rank=2)
        rooms.services.guard.forget()
        assert ask(api).status_code == 200
        stand("prefix", "+96650999", "slow", rank=2)
        rooms.services.guard.forget()
        assert ask(api, "+966509990000").status_code == 403
        assert ask(api, "+966509990000", proof=GOOD).status_code == 200

    def test_a_known_device_is_not_asked_at_risk(self, build: Build, api: Api) -> None:
        rooms = build(OTP_PROOF_WHEN="risk")
        ask(api, proof=GOOD)
        verify = {"phone_number": PHONE, "otp": rooms.gateway.last_code}
        token = api.post("/api/auth/phone/verify/", verify).json()["device_token"]
        rooms.clock.advance(seconds=61)
        stand("country", "SA", "slow")
        rooms.services.guard.forget()
        assert api.post(REQUEST, {"phone_number": PHONE}).status_code == 403
        assert api.post(REQUEST, {"phone_number": PHONE}, x_device_token=token).status_code == 200

    def test_a_person_who_has_proven_to_be_one_gets_room_in_a_full_country(self, build: Build, api: Api) -> None:
        rooms = build(OTP_PROOF_WHEN="risk", OTP_GUARD_MODE="enforce")
        numbers = [f"+23276{n:06d}" for n in range(25)]
        statuses = [ask(api, number, proof=GOOD).status_code for number in numbers[:15]]
        rooms.clock.advance(seconds=61)
        statuses += [ask(api, number, proof=GOOD).status_code for number in numbers[15:]]
        assert statuses == [200] * 25

    @pytest.mark.parametrize(("setting", "status"), [("allow", 200), ("refuse", 503)])
    def test_a_service_that_is_down_means_what_the_setting_says(
        self, build: Build, api: Api, service: RawServer, setting: str, status: int
    ) -> None:
        rooms = build(OTP_PROOF_ON_ERROR=setting)
        answer = ask(api, proof="theirs")
        assert answer.status_code == status
        assert len(rooms.gateway.orders) == (1 if status == 200 else 0)
        # Who could not get a token from a service that is down is not blamed for it.
        assert ask(api, "+966501230009").status_code == status

    def test_a_full_house_is_no_way_in(self, build: Build, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        rooms = build(OTP_PROOF_ON_ERROR="allow")
        room = rooms.services.policy._humanity
        for _ in range(humanity.PLACES):
            assert room._places.acquire(blocking=False)
        answer = ask(api, proof=GOOD)
        assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
        assert rooms.gateway.orders == []

    def test_junk_tokens_of_one_client_are_not_all_judged(self, build: Build, api: Api, service: RawServer) -> None:
        build()
        statuses = [ask(api, proof="junk").status_code for _ in range(humanity.TRIES + 3)]
        assert statuses == [403] * humanity.TRIES + [429] * 3
        assert len(service.seen) == humanity.TRIES

    def test_no_transaction_is_open_while_the_service_is_asked(
        self, build: Build, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen = []

        def judge(self: Siteverify, token: str) -> Any:
            seen.append((connection.in_atomic_block, connection.connection is not None and statements.is_postgres()))
            return real(self, token)

        real = Siteverify.judge
        build()
        monkeypatch.setattr(Siteverify, "judge", judge)
        assert ask(api, proof=GOOD).status_code == 200
        assert seen == [(False, False)]

    def test_a_test_number_needs_no_proof(self, build: Build, api: Api) -> None:
        build()
        assert ask(api, "+1234567890").status_code == 200
