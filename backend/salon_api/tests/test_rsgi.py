"""What the server's entry answers by itself is a whole problem, as every other refusal is."""

import asyncio
import errno
import importlib
import json
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from salon_api.postgresql.patience import Patience

MEMBERS = {"type", "title", "status", "detail", "code", "error", "request_id"}


@pytest.fixture
def rsgi(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The entry without the application behind it, which opens its stores when it is imported."""
    monkeypatch.setitem(sys.modules, "salon_api.wsgi", SimpleNamespace(application=None))
    monkeypatch.delitem(sys.modules, "salon_api.rsgi", raising=False)
    entry = importlib.import_module("salon_api.rsgi")
    monkeypatch.setattr(entry, "patience", Patience())  # the suite's own waits for a database stay without a bound
    yield entry
    del sys.modules["salon_api.rsgi"]


class Wire:
    """A client whose body never comes, and what was answered to it."""

    answered: tuple[int, list[tuple[str, str]], bytes]

    async def __call__(self) -> bytes:
        await asyncio.sleep(60)
        return b""

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.answered = status, headers, body


def scope(**headers: str) -> Any:
    given = {"content-type": "application/json", **headers}
    return SimpleNamespace(
        server="127.0.0.1:8000", client="127.0.0.1:5000", method="POST", path="/api/auth/phone/request/",
        query_string="", http_version="1.1", scheme="http", headers=given,
    )  # fmt: skip


async def ask(entry: Any, asked: Any) -> tuple[int, dict[str, str], dict[str, Any]]:
    entry.__rsgi_init__(asyncio.get_running_loop())
    wire = Wire()
    await entry.__rsgi__(asked, wire)
    status, headers, body = wire.answered
    return status, dict(headers), json.loads(body)


def check(status: int, headers: dict[str, str], members: dict[str, Any], *, code: str) -> None:
    assert members.keys() == MEMBERS
    assert (members["status"], members["code"], members["error"]) == (status, code, members["detail"])
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-request-id"] == members["request_id"]
    assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")


def test_a_body_that_does_not_come_in_time_is_a_whole_problem(
    rsgi: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rsgi, "BODY_SECONDS", 0.05)
    entry = rsgi.Entry(lambda environ: (200, [], b"{}"), threads=1)
    status, headers, members = asyncio.run(ask(entry, scope(**{"content-length": "5"})))
    assert status == 408
    check(status, headers, members, code="invalid_request")


def test_what_django_could_not_answer_is_a_whole_problem_without_its_reason(rsgi: ModuleType) -> None:
    def crash(environ: dict[str, Any]) -> Any:
        raise RuntimeError("+966501234567 has 123456")

    status, headers, members = asyncio.run(ask(rsgi.Entry(crash, threads=1), scope()))
    assert status == 500
    check(status, headers, members, code="internal_error")
    assert "501234567" not in json.dumps(members)


def test_a_query_of_raw_bytes_reaches_the_application_as_wsgi_spells_it(rsgi: ModuleType) -> None:
    asked = scope()
    asked.query_string = "window=١h"
    spelled = rsgi.environ_of(asked)["QUERY_STRING"]
    assert spelled.encode("latin-1").decode() == "window=١h"


def test_a_host_out_of_files_around_the_views_is_a_503_and_a_bug_there_a_500(rsgi: ModuleType) -> None:
    def answer(environ: dict[str, Any]) -> Any:
        raise OSError(errno.EMFILE, "too many open files") if "HTTP_X_FULL" in environ else LookupError("a bug")

    full = asyncio.run(ask(rsgi.Entry(answer, threads=1), scope(**{"x-full": "1"})))
    status, headers, members = full
    assert (status, members["code"]) == (503, "service_unavailable")
    assert headers["retry-after"] == str(members.pop("retry_after"))
    check(status, headers, members, code="service_unavailable")
    check(*asyncio.run(ask(rsgi.Entry(answer, threads=1), scope())), code="internal_error")
