"""What a view gets and what becomes of its answer, its errors and its caller's token."""

from typing import Any

import pytest

from apps.accounts.api.errors import ANSWERS
from apps.accounts.tests.api.conftest import Send, problem


@pytest.mark.parametrize("path", ["echo", "failing/limited", "one/abc"])
def test_a_path_answers_the_same_with_and_without_its_last_slash(send: Send, path: str) -> None:
    with_slash = send("GET", f"/api/auth/{path}/", x_request_id="same")
    without = send("GET", f"/api/auth/{path}", x_request_id="same")
    assert with_slash.status_code == without.status_code
    assert with_slash.content == without.content
    assert send("POST", "/api/auth/echo", {"phone_number": "+966501234567"}).status_code == 200


def test_only_one_slash_is_forgiven(send: Send) -> None:
    problem(send("GET", "/api/auth/echo//"), 404, "not_found")


def test_an_answer_without_data_has_no_body_and_no_type(send: Send) -> None:
    response = send("POST", "/api/auth/nothing/")
    assert response.content == b""
    assert "Content-Type" not in response.headers


def test_an_answer_is_json_with_its_headers(send: Send) -> None:
    response = send("POST", "/api/auth/echo/", {"phone_number": "+966501234567"})
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["RateLimit"] == '"ip";r=4;t=3600'


def test_the_call_holds_what_the_headers_say(send: Send) -> None:
    seen = send(
        "GET",
        "/api/auth/echo/",
        user_agent="App/1.0\x1b[31m\r\n" + "x" * 400,
        x_device_token="t" * 40,
        accept_language="ar-SA, en;q=0.5",
    ).json()
    assert seen["user_agent"].startswith("App/1.0[31mxx")
    assert len(seen["user_agent"]) == 256
    assert seen["device_token"] == "t" * 40
    assert seen["language"] == "ar"


@pytest.mark.parametrize("token", ["", "with space", "x" * 257, "é"])
def test_an_unusable_device_token_is_no_device_token(send: Send, token: str) -> None:
    assert send("GET", "/api/auth/echo/", x_device_token=token).json()["device_token"] == ""


def test_a_malformed_device_id_stops_what_acts_and_nothing_that_only_reads(send: Send) -> None:
    assert send("GET", "/api/auth/echo/", x_device_id="a b").json()["device_id"] == ""
    body = {"phone_number": "+966501234567"}
    assert problem(send("POST", "/api/auth/echo/", body, x_device_id="a b"), 400, "invalid_request")["fields"]


@pytest.mark.parametrize("authorization", ["", "Basic dTpw", "Bearer", "Token abc"])
def test_without_a_bearer_token_a_call_is_401_with_a_challenge(send: Send, authorization: str) -> None:
    response = send("GET", "/api/auth/mine/", authorization=authorization)
    code = "token_invalid" if authorization == "Bearer" else "not_authenticated"
    problem(response, 401, code)
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("token", ["bad", "a b", "é", "x" * 5000, " x"])
def test_a_token_that_is_none_is_401(send: Send, token: str) -> None:
    problem(send("GET", "/api/auth/mine/", authorization=f"Bearer {token}"), 401, "token_invalid")


def test_the_scheme_is_read_in_any_case(send: Send) -> None:
    assert send("GET", "/api/auth/mine/", authorization="bearer anna").json() == {"who": "anna"}


def test_a_step_up_endpoint_wants_a_fresh_token(send: Send) -> None:
    problem(send("GET", "/api/auth/fresh/", authorization="Bearer anna"), 403, "step_up_required")
    assert send("GET", "/api/auth/fresh/", authorization="Bearer fresh-anna").status_code == 200


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", b"{"), ("POST", {}), ("PUT", None)])
def test_a_hidden_path_is_404_whatever_comes(send: Send, method: str, body: Any) -> None:
    problem(send(method, "/api/auth/hidden/", body), 404, "not_found")


def test_a_limit_says_whose_it_is_and_when_to_come_back(send: Send) -> None:
    response = send("GET", "/api/auth/failing/limited/")
    members = problem(response, 429, "rate_limited")
    assert members["scope"] == "ip"
    assert members["retry_after"] == 42
    assert response.headers["Retry-After"] == "42"


def test_a_problem_has_all_its_members(send: Send) -> None:
    members = problem(send("GET", "/api/auth/failing/number/", x_request_id="r1"), 400, "invalid_phone_number")
    assert members == {
        "type": "/errors/invalid_phone_number",
        "title": "Invalid phone number",
        "status": 400,
        "detail": "Enter a valid mobile number in international format, such as +9665XXXXXXXX.",
        "code": "invalid_phone_number",
        "error": "Enter a valid mobile number in international format, such as +9665XXXXXXXX.",
        "request_id": "r1",
        "fields": {"phone_number": ["This number is spelled differently. Use the form given in canonical."]},
        "challenge": {"id": "c1"},
        "canonical": "+966500000001",
    }


def test_a_problem_speaks_the_callers_language_and_keeps_its_code(send: Send) -> None:
    english = problem(send("GET", "/api/auth/failing/limited/"), 429, "rate_limited")
    arabic = problem(send("GET", "/api/auth/failing/limited/", accept_language="ar"), 429, "rate_limited")
    assert arabic["detail"] != english["detail"]
    assert arabic["detail"] == arabic["error"]
    unknown = problem(send("GET", "/no/such", accept_language="ar"), 404, "not_found")
    assert unknown["detail"] == "لم يُعثر على شيء هنا."


def test_what_an_exception_says_never_goes_out(send: Send) -> None:
    response = send("GET", "/api/auth/failing/vendor/")
    problem(response, 503, "delivery_failed")
    assert b"the vendor said" not in response.content
    assert b"966501234567" not in response.content


def test_a_503_always_says_when_to_come_back(send: Send) -> None:
    for how in ("vendor", "unavailable", "delivery"):
        response = send("GET", f"/api/auth/failing/{how}/")
        assert response.status_code == 503
        assert 1 <= int(response.headers["Retry-After"]) <= 5


@pytest.mark.parametrize("how", ["database", "memory", "openssl"])
def test_a_process_that_is_out_of_something_says_come_back_and_not_that_it_is_a_bug(send: Send, how: str) -> None:
    refused = problem(send("GET", f"/api/auth/failing/{how}/"), 503, "service_unavailable")
    assert 1 <= refused["retry_after"] <= 5


def test_an_old_path_is_marked_and_its_delivery_failure_is_500(send: Send) -> None:
    for how, status in (("delivery", 500), ("limited", 429), ("crash", 500), ("unavailable", 503)):
        response = send("GET", f"/api/mobile/failing/{how}/")
        assert response.status_code == status
        assert response.headers["Deprecation"].startswith("@")
        assert response.headers["Link"] == '</api/auth/failing/>; rel="successor-version"'
        assert response.headers["Cache-Control"] == "no-store"
    problem(send("GET", "/api/mobile/failing/delivery/"), 500, "delivery_failed")


def test_a_view_that_says_not_found_by_djangos_words_is_a_problem_too(send: Send) -> None:
    problem(send("GET", "/api/auth/failing/missing-file/"), 404, "not_found")


def test_every_domain_error_has_its_row() -> None:
    from apps.accounts import errors as domain

    codes = {
        kind.code for kind in vars(domain).values() if isinstance(kind, type) and issubclass(kind, domain.AccountsError)
    }
    assert codes <= set(ANSWERS)
