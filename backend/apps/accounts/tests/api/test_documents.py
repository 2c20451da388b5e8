"""The OpenAPI document, its page, and the explanations of errors say what the service does."""

import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import RequestFactory
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator

from apps.accounts.api import docs, errors_doc, texts
from apps.accounts.api.errors import ANSWERS
from apps.accounts.api.explanations import EXPLANATIONS
from apps.accounts.api.schema import codes_of, documented
from apps.accounts.tests.api import stage
from apps.accounts.tests.api.conftest import Send, problem

BACKEND = Path(__file__).resolve().parents[4]
LANGUAGES = {"en", "ar"}


@pytest.fixture(autouse=True)
def of_these_paths() -> Iterator[None]:
    """A process makes the document once; the one of the paths here is nobody else's."""
    docs.document.cache_clear()
    yield
    docs.document.cache_clear()


@pytest.fixture
def document(send: Send) -> dict[str, Any]:
    response = send("GET", "/api/schema/")
    assert response.status_code == 200
    found: dict[str, Any] = json.loads(response.content)
    return found


def test_the_document_shows_each_path_once_with_its_slash(document: dict[str, Any]) -> None:
    assert "/api/auth/echo/" in document["paths"]
    assert "/api/auth/echo" not in document["paths"]
    assert "/api/auth/one/{thing_id}/" in document["paths"]


def test_the_document_knows_the_body_and_its_strict_members(document: dict[str, Any]) -> None:
    call = document["paths"]["/api/auth/echo/"]["post"]
    assert list(call["requestBody"]["content"]) == ["application/json"]
    members = document["components"]["schemas"]["EchoBody"]
    assert members["required"] == ["phone_number"]
    assert members["properties"]["otp"]["pattern"] == "^[0-9]{6}$"
    assert members["properties"]["channel"]


def test_every_call_states_every_error_with_an_example(document: dict[str, Any]) -> None:
    answers = document["paths"]["/api/auth/echo/"]["post"]["responses"]
    shown = {
        example["value"]["code"]
        for answer in answers.values()
        for example in answer.get("content", {}).get("application/problem+json", {}).get("examples", {}).values()
    }
    assert shown == set(codes_of(stage.Echo, "POST"))
    assert shown >= {"invalid_phone_number", "rate_limited", "body_too_large", "internal_error"}


def test_a_429_and_a_503_document_their_retry_after(document: dict[str, Any]) -> None:
    answers = document["paths"]["/api/auth/echo/"]["post"]["responses"]
    assert "Retry-After" in answers["429"]["headers"]
    assert "Retry-After" in answers["503"]["headers"]
    assert "Retry-After" not in answers["200"].get("headers", {})
    assert "X-Request-ID" in answers["200"]["headers"]


def test_a_query_is_documented_where_it_is_read(document: dict[str, Any]) -> None:
    calls = document["paths"]["/api/auth/echo/"]
    in_query = {
        method: [one["name"] for one in call["parameters"] if one["in"] == "query"] for method, call in calls.items()
    }
    assert in_query == {"get": ["window"], "post": []}


def test_every_answer_that_may_name_a_wait_documents_it(document: dict[str, Any]) -> None:
    assert "Retry-After" in document["paths"]["/api/auth/counting/"]["post"]["responses"]["409"]["headers"]
    old = _committed()["paths"]["/api/mobile/auth/production/request/"]["post"]["responses"]
    assert "Retry-After" in old["500"]["headers"]


def test_a_path_of_the_first_mobile_api_documents_its_headers(document: dict[str, Any]) -> None:
    answers = document["paths"]["/api/mobile/failing/{how}/"]["get"]["responses"]
    assert all({"Deprecation", "Link"} <= set(answer["headers"]) for answer in answers.values())
    assert "Link" not in document["paths"]["/api/auth/echo/"]["post"]["responses"]["200"]["headers"]


def test_a_call_with_a_token_says_so(document: dict[str, Any]) -> None:
    assert document["paths"]["/api/auth/mine/"]["get"]["security"] == [{"bearer": []}]
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert document["paths"]["/api/auth/echo/"]["get"]["security"] == [{}]


def test_an_idempotent_call_documents_its_key(document: dict[str, Any]) -> None:
    call = document["paths"]["/api/auth/counting/"]["post"]
    assert "Idempotency-Key" in {parameter["name"] for parameter in call["parameters"]}
    assert {"409", "422"} <= set(call["responses"])


def test_an_old_path_is_documented_as_deprecated(document: dict[str, Any]) -> None:
    assert document["paths"]["/api/mobile/failing/{how}/"]["get"]["deprecated"] is True


def test_an_unknown_code_cannot_be_documented() -> None:
    with pytest.raises(ValueError, match="no such error codes"):
        documented("POST", "x", errors=["nonsense"])


def test_a_method_cannot_be_documented_as_another() -> None:
    with pytest.raises(ValueError, match="is not the GET method"):
        documented("GET", "x")(stage.Nothing.post)


def test_the_page_loads_nothing_from_elsewhere(send: Send) -> None:
    response = send("GET", "/api/docs/")
    page = response.content.decode()
    assert response.status_code == 200
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", page)
    policy = response.headers["Content-Security-Policy"]
    assert "http" not in policy
    assert "script-src 'self' 'sha256-" in policy


def test_the_pages_scripts_and_styles_are_installed(send: Send) -> None:
    from django.contrib.staticfiles import finders

    page = send("GET", "/api/docs/").content.decode()
    files = re.findall(r"""(?:src|href)="/static/([^"]+)""", page)
    assert len(files) == 3
    assert all(finders.find(name) for name in files)


def test_a_crowd_that_asks_a_fresh_process_has_the_document_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def slowly(self: SchemaGenerator, *, request: None, public: bool) -> dict[str, Any]:
        made.append(1)
        begun.set()
        assert go_on.wait(10)
        return {}

    monkeypatch.setattr(SchemaGenerator, "get_schema", slowly)
    with ThreadPoolExecutor(5) as crowd:
        answers = [crowd.submit(docs.schema, RequestFactory().get("/api/schema/")) for _ in range(5)]
        assert begun.wait(10)
        go_on.set()
        assert {answer.result().status_code for answer in answers} == {200}
    assert len(made) == 1


def test_the_documents_are_only_read(send: Send) -> None:
    for path in ("/api/schema/", "/api/docs/", "/errors/", "/errors/blocked/", "/errors/style.css"):
        assert send("GET", path).status_code == 200
        response = send("POST", path, {})
        problem(response, 405, "method_not_allowed")
        assert response.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("code", ANSWERS)
def test_the_type_of_every_problem_leads_to_its_explanation(send: Send, code: str) -> None:
    for path in (f"/errors/{code}", f"/errors/{code}/"):
        response = send("GET", path)
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/html")
        assert "Content-Security-Policy" in response.headers
        assert code in response.content.decode()
    assert f"/errors/{code}/" in send("GET", "/errors").content.decode()


def test_an_unknown_code_has_no_page(send: Send) -> None:
    problem(send("GET", "/errors/nonsense/"), 404, "not_found")


@pytest.mark.parametrize(("method", "path", "status", "media_type"), [
    ("post", "/api/auth/token/verify/", "200", "application/json"),
    ("post", "/api/webhooks/whatsapp/", "200", "application/json"),
    ("get", "/api/webhooks/whatsapp/", "200", "text/plain"),
])  # fmt: skip
def test_an_answer_without_members_is_no_empty_body(method: str, path: str, status: str, media_type: str) -> None:
    answers = _committed()["paths"][path][method]["responses"]
    assert list(answers[status]["content"]) == [media_type]


def test_every_example_fits_its_schema() -> None:
    document = _committed()
    shown = 0
    for calls in document["paths"].values():
        for call in calls.values():
            for said in (*call["responses"].values(), call.get("requestBody", {})):
                for content in said.get("content", {}).values():
                    schema = {**content["schema"], "components": document["components"]}
                    for example in content.get("examples", {}).values():
                        Draft202012Validator(schema).validate(example["value"])
                        shown += 1
    assert shown > 300


def test_every_call_that_sends_documents_the_callers_limit() -> None:
    sends = {
        path: call["responses"]
        for path, calls in _committed()["paths"].items()
        for call in calls.values()
        if "ResendCooldown" in json.dumps(call)
    }
    assert len(sends) >= 6
    for answers in sends.values():
        for status in ("200", "429"):
            assert {"RateLimit", "RateLimit-Policy"} <= set(answers[status]["headers"])


def test_every_call_documents_what_the_door_may_answer() -> None:
    for path, calls in _committed()["paths"].items():
        for method, call in calls.items():
            may = {"400", "413", "415"} if method in ("post", "delete") else {"400"}
            assert may <= set(call["responses"]), (method, path)


def test_every_call_of_an_operator_may_be_hidden() -> None:
    """Without a configured token the paths are not there."""
    paths = {path: calls for path, calls in _committed()["paths"].items() if path.startswith("/admin/otp/")}
    assert len(paths) >= 6
    assert all("404" in call["responses"] for calls in paths.values() for call in calls.values())


def _committed() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((BACKEND.parent / "docs" / "openapi.yaml").read_text())
    return found


def test_every_code_has_words_in_every_language_and_an_explanation() -> None:
    assert set(texts.DETAILS) == set(EXPLANATIONS) == set(ANSWERS)
    for words in (*texts.DETAILS.values(), *texts.EXACT.values(), *texts.SCOPES.values(), *texts.FIELD_FAULTS.values()):
        assert set(words) == LANGUAGES
        assert all(words.values())
        assert re.search(r"[\u0600-\u06ff]", words["ar"])


def test_the_one_answer_for_all_wrong_codes_is_worded_as_promised() -> None:
    assert texts.DETAILS["invalid_otp"]["en"] == "Invalid or expired OTP"


def test_every_key_that_the_code_uses_has_its_words() -> None:
    source = "\n".join(path.read_text() for path in BACKEND.glob("apps/**/*.py") if "/tests/" not in path.as_posix())
    exact = set(re.findall(r"""detail_key="([a-z_]+)\"""", source))
    faults = set(re.findall(r"""Fault\("([a-z_]+)"\)""", source))
    faults |= {
        key for keys in re.findall(r"fields=\{[^}]*?: \[([^\]]*)\]", source) for key in re.findall(r'"(\w+)"', keys)
    }
    assert exact
    assert faults
    assert exact - set(texts.EXACT) == set()
    assert faults - set(texts.FIELD_FAULTS) == set()


def test_the_document_of_errors_is_in_step_with_the_table() -> None:
    committed = (BACKEND.parent / "docs" / "errors.md").read_text(encoding="utf-8")
    assert committed == errors_doc.markdown()
