"""Every answer goes out through the door: its id, its headers, its one log line, and never a cookie or a trace."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client, override_settings
from structlog.testing import capture_logs

from apps.accounts.api.door import CONTENT_SECURITY_POLICY
from apps.accounts.tests.api.conftest import Send, problem

ECHO = "/api/auth/echo/"
ORIGIN = "https://app.example.com"


@pytest.fixture
def shared(settings: Any) -> Iterator[Client]:
    """A client of a service that lets one browser origin in."""
    settings.OTP = _WithOrigins(settings.OTP)
    with override_settings(
        ROOT_URLCONF="apps.accounts.tests.api.stage", MIDDLEWARE=["apps.accounts.api.door.Door"], DEBUG=True
    ):
        yield Client(raise_request_exception=False)


class _WithOrigins:
    trusted_proxies = ()

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getitem__(self, name: str) -> Any:
        return (ORIGIN,) if name == "CORS_ALLOWED_ORIGINS" else self.inner[name]


@pytest.mark.parametrize("given", ["abc", "A-Z.a_z-0-9", "x" * 64])
def test_a_well_formed_request_id_is_taken_and_returned(send: Send, given: str) -> None:
    response = send("GET", ECHO, x_request_id=given)
    assert response.headers["X-Request-ID"] == given
    assert response.json()["request_id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\r\nSet-Cookie: x=1", "é", "a/b", "a\x00"])
def test_any_other_request_id_is_replaced(send: Send, given: str) -> None:
    made = send("GET", ECHO, x_request_id=given).headers["X-Request-ID"]
    assert made != given
    assert re.fullmatch(r"[0-9a-f]{32}", made)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", ECHO, 200),
        ("POST", ECHO, 400),
        ("PUT", ECHO, 405),
        ("DELETE", "/api/auth/nothing/", 204),
        ("GET", "/api/auth/unknown/", 404),
        ("GET", "/api/auth/failing/crash/", 500),
        ("GET", "/api/auth/failing/database/", 503),
    ],
)
def test_every_answer_under_api_auth_carries_the_headers(send: Send, method: str, path: str, status: int) -> None:
    response = send(method, path)
    assert response.status_code == status
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["X-Request-ID"]
    assert "Server" not in response.headers
    assert not response.cookies


def test_an_unknown_path_is_a_problem_whatever_the_method(send: Send) -> None:
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
        problem(send(method, "/no/such/path"), 404, "not_found")


@pytest.mark.parametrize(
    "path", ["/api/auth/echo/x", "//api/auth/echo/", "/api/auth/one/a%00b/", "/%ff%fe", "/a%0d%0ab"]
)
def test_an_odd_path_is_404(send: Send, path: str) -> None:
    problem(send("GET", path), 404, "not_found")


@pytest.mark.parametrize(
    "host", ["evil.example.com", "a_b", "testserver:port", "testserver@evil", "", "127.0.0.1.evil"]
)
@pytest.mark.parametrize("path", [ECHO, "/no/such/path", "/healthz"])
def test_a_bad_host_is_a_problem(send: Send, host: str, path: str) -> None:
    members = problem(send("GET", path, host=host or "\x7f"), 400, "invalid_request")
    assert host not in members["detail"] or not host


def test_an_orchestrator_may_probe_by_address_and_only_the_probes(send: Send) -> None:
    for host in ("203.0.113.7", "203.0.113.7:8000", "[2001:db8::7]:8000"):
        assert send("GET", "/healthz", host=host).status_code == 200
        problem(send("GET", ECHO, host=host), 400, "invalid_request")


def test_a_crash_says_nothing_of_itself(send: Send) -> None:
    response = send("GET", "/api/auth/failing/crash/")
    problem(response, 500, "internal_error")
    assert b"501234567" not in response.content
    assert b"ValueError" not in response.content
    assert b"Traceback" not in response.content


def test_a_crash_is_logged_with_its_place_and_without_its_values(send: Send) -> None:
    with capture_logs() as lines:
        send("GET", "/api/auth/failing/crash/")
    (crash,) = [line for line in lines if line["event"] == "otp.crashed"]
    assert crash["error"] == "ValueError"
    assert any("stage.py" in frame and frame.endswith(" get") for frame in crash["stack"])
    assert "966501234567" not in repr(lines)
    assert "123456" not in repr(lines)


def test_a_crash_outside_the_endpoints_is_a_problem_too(send: Send) -> None:
    response = send("GET", "/plain/crash")
    problem(response, 500, "internal_error")
    assert b"501234567" not in response.content


def test_what_django_finds_suspicious_is_400(send: Send) -> None:
    problem(send("GET", "/plain/suspicious"), 400, "invalid_request")


@pytest.mark.django_db(transaction=True)
def test_a_database_that_cannot_answer_is_503_and_says_when_to_come_back(send: Send) -> None:
    for path in ("/plain/query", "/api/auth/failing/database/"):
        response = send("GET", path)
        members = problem(response, 503, "service_unavailable")
        assert 1 <= int(response.headers["Retry-After"]) <= 5
        assert members["retry_after"] == int(response.headers["Retry-After"])


def test_one_line_is_logged_per_answer_and_no_raw_path(send: Send) -> None:
    with capture_logs() as lines:
        send("GET", "/api/auth/one/secretid/", x_request_id="req-1")
        send("GET", "/never/heard/of+966501234567")
        send("PROPFIND", "/api/auth/echo/")
    answered = [line for line in lines if line["event"] == "otp.answered"]
    assert [(line["method"], line["route"], line["status"]) for line in answered] == [
        ("GET", "one", 200),
        ("GET", "unknown", 404),
        ("other", "echo", 405),
    ]
    assert all(line["ms"] >= 0 for line in answered)
    assert "secretid" not in repr(answered)
    assert "966501234567" not in repr(answered)


def test_the_request_id_is_in_every_log_line_of_the_request_and_in_none_after_it(send: Send) -> None:
    from structlog.contextvars import get_contextvars, merge_contextvars

    with capture_logs(processors=[merge_contextvars]) as lines:
        send("GET", "/api/auth/failing/crash/", x_request_id="req-9")
    assert {line["request_id"] for line in lines} == {"req-9"}
    assert "request_id" not in get_contextvars()


def test_an_api_answer_sets_no_cookie_and_a_staff_page_may(send: Send) -> None:
    assert not send("GET", "/api/cookie").cookies
    assert send("GET", "/admin/page").cookies["plain"].value == "1"


def test_pages_carry_a_policy_and_cannot_be_framed(send: Send) -> None:
    response = send("GET", "/admin/page")
    assert response.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert response.headers["X-Frame-Options"] == "DENY"
    assert "default-src 'self'" in CONTENT_SECURITY_POLICY


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "PATCH", "TRACE", "PROPFIND", "HEAD"])
def test_another_method_is_405_with_allow(send: Send, method: str) -> None:
    response = send(method, "/api/auth/nothing/")
    if method != "HEAD":
        problem(response, 405, "method_not_allowed")
    assert response.status_code == 405
    assert response.headers["Allow"] == "POST, DELETE"


def test_a_plain_view_refuses_a_method_in_the_same_words(send: Send) -> None:
    response = send("PUT", "/plain/reading")
    problem(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == "GET, HEAD"


def test_head_goes_where_get_goes(send: Send) -> None:
    response = send("HEAD", ECHO)
    assert response.status_code == 200
    assert send("PUT", ECHO).headers["Allow"] == "GET, HEAD, POST"


def test_cors_is_off(send: Send) -> None:
    response = send("GET", ECHO, origin=ORIGIN)
    assert not [name for name in response.headers if name.startswith("Access-Control")]
    problem(send("OPTIONS", ECHO, origin=ORIGIN, access_control_request_method="POST"), 405, "method_not_allowed")


def test_an_allowed_origin_may_ask_and_call(shared: Client) -> None:
    asked = shared.options(ECHO, HTTP_ORIGIN=ORIGIN, HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST")
    assert asked.status_code == 204
    assert asked.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "POST" in asked.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    called = shared.get(ECHO, HTTP_ORIGIN=ORIGIN)
    assert called.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Access-Control-Allow-Credentials" not in called.headers
    assert "Origin" in called.headers["Vary"]
    refused = shared.post(ECHO, HTTP_ORIGIN=ORIGIN, data="{", content_type="application/json")
    assert refused.headers["Access-Control-Allow-Origin"] == ORIGIN


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", ORIGIN + ".evil.com", ORIGIN.upper(), "*"])
def test_another_origin_may_not(shared: Client, origin: str) -> None:
    asked = shared.options(ECHO, HTTP_ORIGIN=origin, HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST")
    problem(asked, 405, "method_not_allowed")
    called = shared.get(ECHO, HTTP_ORIGIN=origin)
    assert "Access-Control-Allow-Origin" not in called.headers
    assert "Origin" in called.headers["Vary"]


def test_operators_pages_are_never_shared_with_a_browser_origin(shared: Client) -> None:
    assert "Access-Control-Allow-Origin" not in shared.get("/admin/page", HTTP_ORIGIN=ORIGIN).headers
